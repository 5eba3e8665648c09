//! The feed by which instances of the server tell each other what to forget.

use database::{DatabaseError, Db, micros, on_db};
use time::OffsetDateTime;

use crate::convert::Cell;

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A client or one of its secrets.
    Client(String),
    /// Organisations: any client may be concerned.
    Organisations,
    /// The set of signing keys or their times.
    SigningKeys,
    /// The clock of a sandbox, or anything else that every cache depends on.
    Everything,
}

impl Change {
    fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Client(id) => ("client", id),
            Self::Organisations => ("organisations", ""),
            Self::SigningKeys => ("signing_keys", ""),
            Self::Everything => ("everything", ""),
        }
    }
}

/// The next number of the sequence that changes, revocations and audit events share.
pub(crate) async fn next_seq(db: &mut Db<'_>) -> Result<i64, DatabaseError> {
    Ok(on_db!(db, conn => sqlx::query_scalar::<_, i64>(
        "UPDATE authz_sequence SET value = value + 1 WHERE only_row = 1 RETURNING value"
    ).fetch_one(conn).await)?)
}

/// The last number given: the one cheap query by which followers see that there is something to read.
pub async fn latest(db: &mut Db<'_>) -> Result<i64, DatabaseError> {
    Ok(on_db!(db, conn => sqlx::query_scalar::<_, i64>(
        "SELECT value FROM authz_sequence WHERE only_row = 1"
    ).fetch_one(conn).await)?)
}

/// Notes a change.
pub async fn append(db: &mut Db<'_>, change: &Change, now: OffsetDateTime) -> Result<(), DatabaseError> {
    let seq = next_seq(db).await?;
    let (kind, subject) = change.parts();
    on_db!(db, conn => sqlx::query(
        "INSERT INTO authz_changes (seq, kind, subject, changed_at) VALUES ($1, $2, $3, $4)"
    ).bind(seq).bind(kind).bind(subject).bind(micros(now)).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Changes after `seq`, in order.
pub async fn after(db: &mut Db<'_>, seq: i64) -> Result<Vec<Change>, DatabaseError> {
    let rows = on_db!(db, conn => sqlx::query_as::<_, (i64, String, String)>(
        "SELECT seq, kind, subject FROM authz_changes WHERE seq > $1 ORDER BY seq"
    ).bind(seq).fetch_all(conn).await)?;
    rows.into_iter()
        .map(|(seq, kind, subject)| match kind.as_str() {
            "client" => Ok(Change::Client(subject)),
            "organisations" => Ok(Change::Organisations),
            "signing_keys" => Ok(Change::SigningKeys),
            "everything" => Ok(Change::Everything),
            _ => Err(Cell { table: "authz_changes", column: "kind", row: &seq.to_string() }.corrupt()),
        })
        .collect()
}

/// Forgets changes older than `before`: every instance that runs has seen them.
pub async fn forget_before(db: &mut Db<'_>, before: OffsetDateTime) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query("DELETE FROM authz_changes WHERE changed_at < $1")
        .bind(micros(before)).execute(conn).await.map(|_| ()))?;
    Ok(())
}
