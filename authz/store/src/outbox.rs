//! Messages to be sent: written in the unit of work of the act they tell about, sent by a job, wiped when sent.

use database::{DatabaseError, Db, instant, micros, on_db};
use time::{Duration, OffsetDateTime};

/// A message as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxMessage {
    /// Its id, which becomes the Message-ID: a second delivery can be recognised.
    pub id: String,
    /// `mail` or `text`.
    pub channel: String,
    /// What it is about.
    pub notice: String,
    /// Recipient and text, sealed.
    pub sealed: Option<String>,
    /// Since when it waits.
    pub created_at: OffsetDateTime,
    /// How often it was tried.
    pub tries: i64,
}

type Row = (String, String, String, Option<String>, i64, i64);

fn read(row: Row) -> OutboxMessage {
    let (id, channel, notice, sealed, created_at, tries) = row;
    OutboxMessage { id, channel, notice, sealed, created_at: instant(created_at), tries }
}

/// Puts a message in.
pub async fn enqueue(db: &mut Db<'_>, message: &OutboxMessage) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query(
        "INSERT INTO outbox (id, channel, notice, sealed, created_at, due_at, claimed_until, tries, sent_at, failure)
         VALUES ($1, $2, $3, $4, $5, $5, 0, 0, NULL, NULL)"
    )
    .bind(message.id.as_str()).bind(message.channel.as_str()).bind(message.notice.as_str())
    .bind(message.sealed.as_deref()).bind(micros(message.created_at))
    .execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Claims the next due message for `lease`: nobody else gets it meanwhile. The condition is repeated outside the
/// inner query, or two workers on PostgreSQL would claim the same row.
pub async fn claim_due(
    db: &mut Db<'_>,
    now: OffsetDateTime,
    lease: Duration,
) -> Result<Option<OutboxMessage>, DatabaseError> {
    let row = on_db!(db, conn => sqlx::query_as::<_, Row>(
        "UPDATE outbox SET claimed_until = $2, tries = tries + 1
         WHERE id = (SELECT id FROM outbox WHERE sent_at IS NULL AND due_at <= $1 AND claimed_until <= $1
                     ORDER BY due_at, id LIMIT 1)
           AND claimed_until <= $1 AND sent_at IS NULL
         RETURNING id, channel, notice, sealed, created_at, tries"
    ).bind(micros(now)).bind(micros(now + lease)).fetch_optional(conn).await)?;
    Ok(row.map(read))
}

/// Notes that a message was sent, and wipes what it said.
pub async fn mark_sent(db: &mut Db<'_>, id: &str, now: OffsetDateTime) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query("UPDATE outbox SET sent_at = $2, sealed = NULL, failure = NULL WHERE id = $1")
        .bind(id).bind(micros(now)).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Notes that a message could not be sent, and when to try again. `failure` holds nothing personal.
pub async fn mark_failed(
    db: &mut Db<'_>,
    id: &str,
    failure: &str,
    due_at: OffsetDateTime,
) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query("UPDATE outbox SET failure = $2, due_at = $3, claimed_until = 0 WHERE id = $1")
        .bind(id).bind(failure).bind(micros(due_at)).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// A message that was not sent yet, as an operator sees it: nothing of what it says, nor to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingMessage {
    /// What it is about.
    pub notice: String,
    /// `mail` or `text`.
    pub channel: String,
    /// Since when it waits.
    pub created_at: OffsetDateTime,
    /// How often it was tried.
    pub tries: i64,
    /// When it is tried next.
    pub due_at: OffsetDateTime,
    /// Why the last try failed; empty before the first.
    pub failure: String,
}

/// The messages that were not sent yet, those that failed most often first.
pub async fn waiting_list(db: &mut Db<'_>, limit: i64) -> Result<Vec<WaitingMessage>, DatabaseError> {
    let rows = on_db!(db, conn => sqlx::query_as::<_, (String, String, i64, i64, i64, Option<String>)>(
        "SELECT notice, channel, created_at, tries, due_at, failure FROM outbox
         WHERE sent_at IS NULL ORDER BY tries DESC, created_at, id LIMIT $1"
    ).bind(limit).fetch_all(conn).await)?;
    Ok(rows
        .into_iter()
        .map(|(notice, channel, created_at, tries, due_at, failure)| WaitingMessage {
            notice,
            channel,
            created_at: instant(created_at),
            tries,
            due_at: instant(due_at),
            failure: failure.unwrap_or_default(),
        })
        .collect())
}

/// Makes every message that waits due at `now`.
pub async fn make_due(db: &mut Db<'_>, now: OffsetDateTime) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query("UPDATE outbox SET due_at = $1 WHERE sent_at IS NULL AND due_at > $1")
        .bind(micros(now)).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// How many messages wait, and since when the oldest does.
pub async fn waiting(db: &mut Db<'_>) -> Result<(i64, Option<OffsetDateTime>), DatabaseError> {
    let (count, oldest) = on_db!(db, conn => sqlx::query_as::<_, (i64, Option<i64>)>(
        "SELECT COUNT(*), MIN(created_at) FROM outbox WHERE sent_at IS NULL"
    ).fetch_one(conn).await)?;
    Ok((count, oldest.map(instant)))
}

/// Forgets what was sent before `before`.
pub async fn forget_sent(db: &mut Db<'_>, before: OffsetDateTime) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query("DELETE FROM outbox WHERE sent_at < $1")
        .bind(micros(before)).execute(conn).await.map(|_| ()))?;
    Ok(())
}
