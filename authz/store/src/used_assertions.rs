//! Client assertions that were used and could still be used again.

use database::{DatabaseError, Db, micros, on_db};
use time::OffsetDateTime;

/// Notes that a client used the assertion of this id. False when it did so before: of several instances that are shown
/// the same one at the same time, one gets true.
pub async fn use_once(
    db: &mut Db<'_>,
    client_id: &str,
    jti_hash: &str,
    until: OffsetDateTime,
) -> Result<bool, DatabaseError> {
    let noted = on_db!(db, conn => sqlx::query(
        "INSERT INTO used_assertions (client_id, jti_hash, until_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
    )
    .bind(client_id).bind(jti_hash).bind(micros(until)).execute(conn).await.map(|done| done.rows_affected()))?;
    Ok(noted == 1)
}

/// Forgets those that are dead by now. How many.
pub async fn forget_dead(db: &mut Db<'_>, now: OffsetDateTime) -> Result<u64, DatabaseError> {
    Ok(on_db!(db, conn => sqlx::query("DELETE FROM used_assertions WHERE until_at <= $1")
        .bind(micros(now)).execute(conn).await.map(|done| done.rows_affected()))?)
}
