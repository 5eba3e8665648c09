//! The private calendar of an organisation: whether it has an address, as a hash of what stands in it.

use database::{DatabaseError, Db, instant, micros, on_db};
use pms_terms::OrganisationId;
use time::OffsetDateTime;

use crate::convert::Cell;

/// Gives an organisation's calendar a new address; an old one leads nowhere from then on.
pub async fn set(
    db: &mut Db<'_>,
    organisation: &OrganisationId,
    key_hash: &str,
    by: &str,
    now: OffsetDateTime,
) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query(
        "INSERT INTO calendar_feeds (organisation_id, key_hash, made_at, made_by) VALUES ($1, $2, $3, $4)
         ON CONFLICT (organisation_id) DO UPDATE SET key_hash = $2, made_at = $3, made_by = $4"
    ).bind(organisation.as_str()).bind(key_hash).bind(micros(now)).bind(by).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Takes the address away. Whether there was one.
pub async fn remove(db: &mut Db<'_>, organisation: &OrganisationId) -> Result<bool, DatabaseError> {
    let removed = on_db!(db, conn => sqlx::query("DELETE FROM calendar_feeds WHERE organisation_id = $1")
        .bind(organisation.as_str()).execute(conn).await.map(|done| done.rows_affected()))?;
    Ok(removed == 1)
}

/// Since when an organisation's calendar has its address; none when it has none.
pub async fn made_at(
    db: &mut Db<'_>,
    organisation: &OrganisationId,
) -> Result<Option<OffsetDateTime>, DatabaseError> {
    let at = on_db!(db, conn => sqlx::query_scalar::<_, i64>(
        "SELECT made_at FROM calendar_feeds WHERE organisation_id = $1"
    ).bind(organisation.as_str()).fetch_optional(conn).await)?;
    Ok(at.map(instant))
}

/// Whose calendar has an address with this hash.
pub async fn find(db: &mut Db<'_>, key_hash: &str) -> Result<Option<OrganisationId>, DatabaseError> {
    let id = on_db!(db, conn => sqlx::query_scalar::<_, String>(
        "SELECT organisation_id FROM calendar_feeds WHERE key_hash = $1"
    ).bind(key_hash).fetch_optional(conn).await)?;
    id.map(|id| Cell { table: "calendar_feeds", column: "organisation_id", row: &id }.parse(&id)).transpose()
}
