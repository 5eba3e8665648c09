//! Webhooks and what they are told: put down once for each record of the audit trail, claimed, delivered or given up.

use database::{DatabaseError, Db, instant, micros, on_db};
use pms_terms::OrganisationId;
use time::{Duration, OffsetDateTime};

use crate::convert::Cell;

/// Somebody who wants to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Its id.
    pub id: String,
    /// Whose it is; none: the agency's.
    pub organisation: Option<OrganisationId>,
    /// Where messages go.
    pub url: String,
    /// Event types; none: all.
    pub events: Vec<String>,
    /// The signing secret, sealed.
    pub sealed: String,
    /// Whether it is told now.
    pub active: bool,
    /// Since when.
    pub created_at: OffsetDateTime,
    /// Records after this number are told.
    pub after_number: i64,
}

/// A message to one webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its id, the same at every try: receivers recognise a second delivery by it.
    pub id: String,
    /// To whom.
    pub webhook: String,
    /// The record of the trail that it tells.
    pub number: i64,
    /// The event type.
    pub event: String,
    /// The body, JSON.
    pub body: String,
    /// Since when it waits.
    pub created_at: OffsetDateTime,
    /// When it is tried next.
    pub due_at: OffsetDateTime,
    /// How often it was tried.
    pub tries: i64,
    /// When it was taken.
    pub delivered_at: Option<OffsetDateTime>,
    /// When it was given up.
    pub dead_at: Option<OffsetDateTime>,
    /// Why the last try failed.
    pub failure: Option<String>,
}

#[derive(sqlx::FromRow)]
struct WebhookRow {
    id: String,
    organisation_id: Option<String>,
    url: String,
    events: String,
    sealed: String,
    active: bool,
    created_at: i64,
    after_number: i64,
}

impl TryFrom<WebhookRow> for Webhook {
    type Error = DatabaseError;

    fn try_from(row: WebhookRow) -> Result<Self, DatabaseError> {
        let cell = Cell { table: "webhooks", column: "organisation_id", row: &row.id };
        Ok(Self {
            organisation: row.organisation_id.map(|id| cell.parse(&id)).transpose()?,
            url: row.url,
            events: row.events.split_whitespace().map(str::to_owned).collect(),
            sealed: row.sealed,
            active: row.active,
            created_at: instant(row.created_at),
            after_number: row.after_number,
            id: row.id,
        })
    }
}

#[derive(sqlx::FromRow)]
struct DeliveryRow {
    id: String,
    webhook_id: String,
    number: i64,
    event: String,
    body: String,
    created_at: i64,
    due_at: i64,
    tries: i64,
    delivered_at: Option<i64>,
    dead_at: Option<i64>,
    failure: Option<String>,
}

impl From<DeliveryRow> for Delivery {
    fn from(row: DeliveryRow) -> Self {
        Self {
            id: row.id,
            webhook: row.webhook_id,
            number: row.number,
            event: row.event,
            body: row.body,
            created_at: instant(row.created_at),
            due_at: instant(row.due_at),
            tries: row.tries,
            delivered_at: row.delivered_at.map(instant),
            dead_at: row.dead_at.map(instant),
            failure: row.failure,
        }
    }
}

/// Sets one up.
pub async fn insert(db: &mut Db<'_>, webhook: &Webhook) -> Result<(), DatabaseError> {
    let events = webhook.events.join(" ");
    on_db!(db, conn => sqlx::query(
        "INSERT INTO webhooks (id, organisation_id, url, events, sealed, active, created_at, after_number)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
    )
    .bind(webhook.id.as_str()).bind(webhook.organisation.as_ref().map(OrganisationId::as_str))
    .bind(webhook.url.as_str()).bind(events.as_str()).bind(webhook.sealed.as_str()).bind(webhook.active)
    .bind(micros(webhook.created_at)).bind(webhook.after_number)
    .execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// All of them, oldest first.
pub async fn list(db: &mut Db<'_>) -> Result<Vec<Webhook>, DatabaseError> {
    let rows = on_db!(db, conn => sqlx::query_as::<_, WebhookRow>(
        "SELECT id, organisation_id, url, events, sealed, active, created_at, after_number
         FROM webhooks ORDER BY created_at, id"
    ).fetch_all(conn).await)?;
    rows.into_iter().map(Webhook::try_from).collect()
}

/// One of them.
pub async fn find(db: &mut Db<'_>, id: &str) -> Result<Option<Webhook>, DatabaseError> {
    let row = on_db!(db, conn => sqlx::query_as::<_, WebhookRow>(
        "SELECT id, organisation_id, url, events, sealed, active, created_at, after_number
         FROM webhooks WHERE id = $1"
    ).bind(id).fetch_optional(conn).await)?;
    row.map(Webhook::try_from).transpose()
}

/// Lets one be told or not.
pub async fn set_active(db: &mut Db<'_>, id: &str, active: bool) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query("UPDATE webhooks SET active = $2 WHERE id = $1")
        .bind(id).bind(active).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Takes one away, with its messages.
pub async fn remove(db: &mut Db<'_>, id: &str) -> Result<(), DatabaseError> {
    for sql in ["DELETE FROM webhook_deliveries WHERE webhook_id = $1", "DELETE FROM webhooks WHERE id = $1"]
    {
        on_db!(db, conn => sqlx::query(sql).bind(id).execute(conn).await.map(|_| ()))?;
    }
    Ok(())
}

/// Up to which record of the trail webhooks were told.
pub async fn position(db: &mut Db<'_>) -> Result<i64, DatabaseError> {
    Ok(on_db!(db, conn => sqlx::query_scalar::<_, i64>(
        "SELECT number FROM webhook_position WHERE only_row = 1"
    ).fetch_one(conn).await)?)
}

/// Moves on to a record.
pub async fn set_position(db: &mut Db<'_>, number: i64) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query("UPDATE webhook_position SET number = $1 WHERE only_row = 1")
        .bind(number).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Puts a message down, once for each webhook and record.
pub async fn enqueue(db: &mut Db<'_>, delivery: &Delivery) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query(
        "INSERT INTO webhook_deliveries (id, webhook_id, number, event, body, created_at, due_at, claimed_until, tries,
             delivered_at, dead_at, failure)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, NULL, NULL, NULL) ON CONFLICT DO NOTHING"
    )
    .bind(delivery.id.as_str()).bind(delivery.webhook.as_str()).bind(delivery.number)
    .bind(delivery.event.as_str()).bind(delivery.body.as_str()).bind(micros(delivery.created_at))
    .bind(micros(delivery.due_at))
    .execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Whether a message is due: a cheap look before a unit of work is opened.
pub async fn is_due(db: &mut Db<'_>, now: OffsetDateTime) -> Result<bool, DatabaseError> {
    let found = on_db!(db, conn => sqlx::query_scalar::<_, i64>(
        "SELECT COUNT(*) FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook_id AND w.active
         WHERE d.delivered_at IS NULL AND d.dead_at IS NULL AND d.due_at <= $1 AND d.claimed_until <= $1"
    ).bind(micros(now)).fetch_one(conn).await)?;
    Ok(found > 0)
}

/// Claims the next due message for `lease`: nobody else gets it meanwhile. The condition is repeated outside the
/// inner query, or two workers on PostgreSQL would claim the same row.
pub async fn claim_due(
    db: &mut Db<'_>,
    now: OffsetDateTime,
    lease: Duration,
) -> Result<Option<Delivery>, DatabaseError> {
    let row = on_db!(db, conn => sqlx::query_as::<_, DeliveryRow>(
        "UPDATE webhook_deliveries SET claimed_until = $2, tries = tries + 1
         WHERE id = (SELECT d.id FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook_id AND w.active
                     WHERE d.delivered_at IS NULL AND d.dead_at IS NULL AND d.due_at <= $1 AND d.claimed_until <= $1
                     ORDER BY d.due_at, d.number, d.id LIMIT 1)
           AND claimed_until <= $1 AND delivered_at IS NULL AND dead_at IS NULL
         RETURNING id, webhook_id, number, event, body, created_at, due_at, tries, delivered_at, dead_at, failure"
    ).bind(micros(now)).bind(micros(now + lease)).fetch_optional(conn).await)?;
    Ok(row.map(Delivery::from))
}

/// Notes that a message was taken.
pub async fn mark_delivered(db: &mut Db<'_>, id: &str, now: OffsetDateTime) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query("UPDATE webhook_deliveries SET delivered_at = $2, failure = NULL WHERE id = $1")
        .bind(id).bind(micros(now)).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Notes a failure, and when to try again; without a time the message is given up.
pub async fn mark_failed(
    db: &mut Db<'_>,
    id: &str,
    failure: &str,
    due_at: Option<OffsetDateTime>,
    now: OffsetDateTime,
) -> Result<(), DatabaseError> {
    let dead_at = due_at.is_none().then(|| micros(now));
    on_db!(db, conn => sqlx::query(
        "UPDATE webhook_deliveries SET failure = $2, due_at = $3, dead_at = $4, claimed_until = 0 WHERE id = $1"
    ).bind(id).bind(failure).bind(micros(due_at.unwrap_or(now))).bind(dead_at)
    .execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Lets a message that was given up, or taken, be sent once more. Whether there was one.
pub async fn send_again(
    db: &mut Db<'_>,
    webhook: &str,
    id: &str,
    now: OffsetDateTime,
) -> Result<bool, DatabaseError> {
    let changed = on_db!(db, conn => sqlx::query(
        "UPDATE webhook_deliveries SET dead_at = NULL, delivered_at = NULL, tries = 0, due_at = $3, claimed_until = 0
         WHERE webhook_id = $1 AND id = $2 AND (dead_at IS NOT NULL OR delivered_at IS NOT NULL)"
    ).bind(webhook).bind(id).bind(micros(now)).execute(conn).await.map(|done| done.rows_affected()))?;
    Ok(changed == 1)
}

/// The messages of a webhook, those given up first, then the newest.
pub async fn deliveries(db: &mut Db<'_>, webhook: &str, limit: i64) -> Result<Vec<Delivery>, DatabaseError> {
    let rows = on_db!(db, conn => sqlx::query_as::<_, DeliveryRow>(
        "SELECT id, webhook_id, number, event, body, created_at, due_at, tries, delivered_at, dead_at, failure
         FROM webhook_deliveries WHERE webhook_id = $1
         ORDER BY CASE WHEN dead_at IS NULL THEN 1 ELSE 0 END, number DESC LIMIT $2"
    ).bind(webhook).bind(limit).fetch_all(conn).await)?;
    Ok(rows.into_iter().map(Delivery::from).collect())
}

/// How many messages wait, and how many were given up.
pub async fn count(db: &mut Db<'_>) -> Result<(i64, i64), DatabaseError> {
    Ok(on_db!(db, conn => sqlx::query_as::<_, (i64, i64)>(
        "SELECT COUNT(CASE WHEN dead_at IS NULL AND delivered_at IS NULL THEN 1 END), COUNT(dead_at)
         FROM webhook_deliveries"
    ).fetch_one(conn).await)?)
}

/// Forgets what was taken before `before`.
pub async fn forget_delivered(db: &mut Db<'_>, before: OffsetDateTime) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query("DELETE FROM webhook_deliveries WHERE delivered_at < $1")
        .bind(micros(before)).execute(conn).await.map(|_| ()))?;
    Ok(())
}
