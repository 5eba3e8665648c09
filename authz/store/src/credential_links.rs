//! Mailed links to new secrets: hashes of their tokens, whose secret it is, whether they were used.

use database::{DatabaseError, Db, instant, micros, on_db};
use time::OffsetDateTime;

/// A link as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialLink {
    /// The keyed hash of its token.
    pub token_hash: String,
    /// Whose secret it leads to.
    pub client: String,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// Until when it works.
    pub expires_at: OffsetDateTime,
    /// Whether it was used, or another one took its place.
    pub used: bool,
}

type Row = (String, String, i64, i64, Option<i64>);

/// Keeps a new link. Earlier ones of the client end: only the newest works.
pub async fn insert(db: &mut Db<'_>, link: &CredentialLink) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query(
        "UPDATE credential_links SET used_at = $2 WHERE client_id = $1 AND used_at IS NULL"
    ).bind(link.client.as_str()).bind(micros(link.created_at)).execute(conn).await.map(|_| ()))?;
    on_db!(db, conn => sqlx::query(
        "INSERT INTO credential_links (token_hash, client_id, created_at, expires_at, used_at)
         VALUES ($1, $2, $3, $4, NULL)"
    )
    .bind(link.token_hash.as_str()).bind(link.client.as_str()).bind(micros(link.created_at))
    .bind(micros(link.expires_at))
    .execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// The link whose token has this hash.
pub async fn find(db: &mut Db<'_>, token_hash: &str) -> Result<Option<CredentialLink>, DatabaseError> {
    let row = on_db!(db, conn => sqlx::query_as::<_, Row>(
        "SELECT token_hash, client_id, created_at, expires_at, used_at FROM credential_links WHERE token_hash = $1"
    ).bind(token_hash).fetch_optional(conn).await)?;
    Ok(row.map(|(token_hash, client, created_at, expires_at, used_at)| CredentialLink {
        token_hash,
        client,
        created_at: instant(created_at),
        expires_at: instant(expires_at),
        used: used_at.is_some(),
    }))
}

/// Uses a link up. Whether it still worked: of two at once, one gets true.
pub async fn use_up(db: &mut Db<'_>, token_hash: &str, now: OffsetDateTime) -> Result<bool, DatabaseError> {
    let changed = on_db!(db, conn => sqlx::query(
        "UPDATE credential_links SET used_at = $2 WHERE token_hash = $1 AND used_at IS NULL AND expires_at > $2"
    ).bind(token_hash).bind(micros(now)).execute(conn).await.map(|done| done.rows_affected()))?;
    Ok(changed == 1)
}

/// Forgets links that were over before `before`.
pub async fn forget_before(db: &mut Db<'_>, before: OffsetDateTime) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query("DELETE FROM credential_links WHERE expires_at <= $1")
        .bind(micros(before)).execute(conn).await.map(|_| ()))?;
    Ok(())
}
