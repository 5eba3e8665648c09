//! Registrations whose address is not confirmed yet. They reserve nothing: an address may have several.

use database::{DatabaseError, Db, micros, on_db};
use time::OffsetDateTime;

/// A registration as kept: everything typed is sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRegistration {
    /// Its id.
    pub id: String,
    /// The address to be confirmed.
    pub email: String,
    /// The rest, sealed.
    pub sealed: String,
}

/// Keeps a registration, or keeps it anew.
pub async fn upsert(
    db: &mut Db<'_>,
    registration: &StoredRegistration,
    expires_at: OffsetDateTime,
) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query(
        "INSERT INTO registrations (id, email, sealed, expires_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (id) DO UPDATE SET sealed = excluded.sealed, expires_at = excluded.expires_at"
    )
    .bind(registration.id.as_str()).bind(registration.email.as_str()).bind(registration.sealed.as_str())
    .bind(micros(expires_at)).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// A registration that has not lapsed.
pub async fn find(
    db: &mut Db<'_>,
    id: &str,
    now: OffsetDateTime,
) -> Result<Option<StoredRegistration>, DatabaseError> {
    let row = on_db!(db, conn => sqlx::query_as::<_, (String, String, String)>(
        "SELECT id, email, sealed FROM registrations WHERE id = $1 AND expires_at > $2"
    ).bind(id).bind(micros(now)).fetch_optional(conn).await)?;
    Ok(row.map(|(id, email, sealed)| StoredRegistration { id, email, sealed }))
}

/// Forgets a registration.
pub async fn delete(db: &mut Db<'_>, id: &str) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query("DELETE FROM registrations WHERE id = $1")
        .bind(id).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Forgets what lapsed.
pub async fn forget_lapsed(db: &mut Db<'_>, now: OffsetDateTime) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query("DELETE FROM registrations WHERE expires_at <= $1")
        .bind(micros(now)).execute(conn).await.map(|_| ()))?;
    Ok(())
}
