//! Signing keys: their times, and the private half as sealed text.

use authz_domain::SigningKeyLife;
use database::{DatabaseError, Db, instant, micros, on_db};
use time::OffsetDateTime;

use crate::convert::Cell;

/// A key as stored.
#[derive(Clone)]
pub struct StoredSigningKey {
    /// Id, algorithm and times.
    pub life: SigningKeyLife,
    /// The private key, sealed under the master key.
    pub sealed: String,
}

impl std::fmt::Debug for StoredSigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredSigningKey").field("life", &self.life).finish_non_exhaustive()
    }
}

/// Keeps a new key.
pub async fn insert(db: &mut Db<'_>, key: &StoredSigningKey) -> Result<(), DatabaseError> {
    let life = &key.life;
    on_db!(db, conn => sqlx::query(
        "INSERT INTO signing_keys (kid, algorithm, sealed, created_at, not_before, not_after)
         VALUES ($1, $2, $3, $4, $5, $6)"
    )
    .bind(life.kid.as_str()).bind(life.algorithm.as_str()).bind(key.sealed.as_str())
    .bind(micros(life.created_at)).bind(micros(life.not_before)).bind(life.not_after.map(micros))
    .execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// All keys, in the order in which they sign.
pub async fn list(db: &mut Db<'_>) -> Result<Vec<StoredSigningKey>, DatabaseError> {
    type Row = (String, String, String, i64, i64, Option<i64>);
    let rows = on_db!(db, conn => sqlx::query_as::<_, Row>(
        "SELECT kid, algorithm, sealed, created_at, not_before, not_after FROM signing_keys ORDER BY not_before, kid"
    ).fetch_all(conn).await)?;
    rows.into_iter()
        .map(|(kid, algorithm, sealed, created_at, not_before, not_after)| {
            let algorithm =
                Cell { table: "signing_keys", column: "algorithm", row: &kid }.parse(&algorithm)?;
            Ok(StoredSigningKey {
                life: SigningKeyLife {
                    kid,
                    algorithm,
                    created_at: instant(created_at),
                    not_before: instant(not_before),
                    not_after: not_after.map(instant),
                },
                sealed,
            })
        })
        .collect()
}

/// Writes from when a key signs.
pub async fn set_not_before(db: &mut Db<'_>, kid: &str, at: OffsetDateTime) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query("UPDATE signing_keys SET not_before = $2 WHERE kid = $1")
        .bind(kid).bind(micros(at)).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Writes from when a key signs no more.
pub async fn set_not_after(db: &mut Db<'_>, kid: &str, at: OffsetDateTime) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query("UPDATE signing_keys SET not_after = $2 WHERE kid = $1")
        .bind(kid).bind(micros(at)).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Destroys a key.
pub async fn delete(db: &mut Db<'_>, kid: &str) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query("DELETE FROM signing_keys WHERE kid = $1")
        .bind(kid).execute(conn).await.map(|_| ()))?;
    Ok(())
}
