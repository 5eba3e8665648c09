//! The audit trail: appended in the unit of work of the act itself, never changed.

use authz_domain::AuditEvent;
use database::{DatabaseError, Db, instant, micros, on_db};
use time::OffsetDateTime;

use crate::{changes::next_seq, convert::Cell};

/// An entry as read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Its position in the trail.
    pub seq: i64,
    /// When it happened.
    pub at: OffsetDateTime,
    /// `operator`, `system`, `client` or `account`.
    pub actor_kind: String,
    /// The actor's id, where it has one.
    pub actor_id: Option<String>,
    /// What was done.
    pub act: String,
    /// To what.
    pub subject: String,
    /// Particulars.
    pub details: serde_json::Map<String, serde_json::Value>,
}

/// Appends an entry.
pub async fn append(db: &mut Db<'_>, event: &AuditEvent) -> Result<(), DatabaseError> {
    let seq = next_seq(db).await?;
    let (actor_kind, actor_id) = event.actor.parts();
    let details: serde_json::Map<_, _> =
        event.details.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into())).collect();
    let details = serde_json::Value::Object(details).to_string();
    on_db!(db, conn => sqlx::query(
        "INSERT INTO audit_events (seq, happened_at, actor_kind, actor_id, act, subject, details)
         VALUES ($1, $2, $3, $4, $5, $6, $7)"
    )
    .bind(seq).bind(micros(event.at)).bind(actor_kind).bind(actor_id).bind(event.act.as_str())
    .bind(event.subject.as_str()).bind(details.as_str())
    .execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Up to `limit` entries after `seq`, in order.
pub async fn after(db: &mut Db<'_>, seq: i64, limit: i64) -> Result<Vec<RecordedEvent>, DatabaseError> {
    type Row = (i64, i64, String, Option<String>, String, String, String);
    let rows = on_db!(db, conn => sqlx::query_as::<_, Row>(
        "SELECT seq, happened_at, actor_kind, actor_id, act, subject, details
         FROM audit_events WHERE seq > $1 ORDER BY seq LIMIT $2"
    ).bind(seq).bind(limit).fetch_all(conn).await)?;
    rows.into_iter()
        .map(|(seq, at, actor_kind, actor_id, act, subject, details)| {
            let cell = Cell { table: "audit_events", column: "details", row: &seq.to_string() };
            let details = serde_json::from_str(&details).map_err(|_| cell.corrupt())?;
            Ok(RecordedEvent { seq, at: instant(at), actor_kind, actor_id, act, subject, details })
        })
        .collect()
}
