//! What clients prove themselves by: keyed hashes of secrets, public keys; hints and times.

use authz_domain::{ClientId, Proof, Secret, SecretId};
use database::{DatabaseError, Db, instant, micros, on_db};
use time::OffsetDateTime;

use crate::convert::Cell;

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    client_id: String,
    hint: String,
    method: String,
    /// Of a secret: its hash. Of other methods: what is kept for them.
    hash: String,
    issued_at: i64,
    expires_at: i64,
    retires_at: Option<i64>,
    revoked_at: Option<i64>,
    last_used_at: Option<i64>,
}

impl TryFrom<Row> for Secret {
    type Error = DatabaseError;

    fn try_from(row: Row) -> Result<Self, DatabaseError> {
        let cell = |column| Cell { table: "client_secrets", column, row: &row.id };
        Ok(Self {
            id: cell("id").parse(&row.id)?,
            client_id: cell("client_id").parse(&row.client_id)?,
            proof: Proof::from_stored(cell("method").parse(&row.method)?, &row.hash)
                .ok_or_else(|| cell("hash").corrupt())?,
            hint: row.hint,
            issued_at: instant(row.issued_at),
            expires_at: instant(row.expires_at),
            retires_at: row.retires_at.map(instant),
            revoked_at: row.revoked_at.map(instant),
            last_used_at: row.last_used_at.map(instant),
        })
    }
}

/// Keeps a new secret's record, as the client's newest.
pub async fn insert(db: &mut Db<'_>, secret: &Secret) -> Result<(), DatabaseError> {
    let (method, hash) = (secret.proof.method().as_str(), secret.proof.to_stored());
    on_db!(db, conn => sqlx::query(
        "INSERT INTO client_secrets (id, client_id, number, hint, hash, issued_at, expires_at, retires_at, revoked_at,
             last_used_at, method)
         SELECT $1, $2, COALESCE(MAX(number), 0) + 1, $3, $4, $5, $6, $7, $8, $9, $10
         FROM client_secrets WHERE client_id = $2"
    )
    .bind(secret.id.as_str()).bind(secret.client_id.as_str()).bind(secret.hint.as_str()).bind(hash.as_str())
    .bind(micros(secret.issued_at)).bind(micros(secret.expires_at)).bind(secret.retires_at.map(micros))
    .bind(secret.revoked_at.map(micros)).bind(secret.last_used_at.map(micros))
    .bind(method)
    .execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// All secrets of a client, newest first. Takes any text.
pub async fn of_client(db: &mut Db<'_>, client_id: &str) -> Result<Vec<Secret>, DatabaseError> {
    let rows = on_db!(db, conn => sqlx::query_as::<_, Row>(
        "SELECT id, client_id, hint, method, hash, issued_at, expires_at, retires_at, revoked_at, last_used_at
         FROM client_secrets WHERE client_id = $1 ORDER BY number DESC"
    ).bind(client_id).fetch_all(conn).await)?;
    rows.into_iter().map(Secret::try_from).collect()
}

/// The secrets of a client that may be presented: those not revoked, newest first, then the newest revoked ones, at
/// most `limit`. Every live secret is among the first two. Takes any text.
pub async fn presentable(db: &mut Db<'_>, client_id: &str, limit: i64) -> Result<Vec<Secret>, DatabaseError> {
    let rows = on_db!(db, conn => sqlx::query_as::<_, Row>(
        "SELECT id, client_id, hint, method, hash, issued_at, expires_at, retires_at, revoked_at, last_used_at
         FROM client_secrets WHERE client_id = $1
         ORDER BY CASE WHEN revoked_at IS NULL THEN 0 ELSE 1 END, number DESC LIMIT $2"
    ).bind(client_id).bind(limit).fetch_all(conn).await)?;
    rows.into_iter().map(Secret::try_from).collect()
}

/// Every secret of every client, newest first within a client.
pub async fn list(db: &mut Db<'_>) -> Result<Vec<Secret>, DatabaseError> {
    let rows = on_db!(db, conn => sqlx::query_as::<_, Row>(
        "SELECT id, client_id, hint, method, hash, issued_at, expires_at, retires_at, revoked_at, last_used_at
         FROM client_secrets ORDER BY client_id, number DESC"
    ).fetch_all(conn).await)?;
    rows.into_iter().map(Secret::try_from).collect()
}

/// Secrets that were not ended on purpose and expire before `before`, soonest first.
pub async fn expiring_before(db: &mut Db<'_>, before: OffsetDateTime) -> Result<Vec<Secret>, DatabaseError> {
    let rows = on_db!(db, conn => sqlx::query_as::<_, Row>(
        "SELECT id, client_id, hint, method, hash, issued_at, expires_at, retires_at, revoked_at, last_used_at
         FROM client_secrets WHERE expires_at < $1 AND revoked_at IS NULL ORDER BY expires_at, id"
    ).bind(micros(before)).fetch_all(conn).await)?;
    rows.into_iter().map(Secret::try_from).collect()
}

/// Whose secret it is.
pub async fn client_of(db: &mut Db<'_>, id: &SecretId) -> Result<Option<ClientId>, DatabaseError> {
    let found = on_db!(db, conn => sqlx::query_scalar::<_, String>(
        "SELECT client_id FROM client_secrets WHERE id = $1"
    ).bind(id.as_str()).fetch_optional(conn).await)?;
    let cell = Cell { table: "client_secrets", column: "client_id", row: id.as_str() };
    found.map(|client| cell.parse(&client)).transpose()
}

/// Writes when a secret retires or was revoked. Whether it was there.
pub async fn set_end(db: &mut Db<'_>, secret: &Secret) -> Result<bool, DatabaseError> {
    let changed = on_db!(db, conn => sqlx::query(
        "UPDATE client_secrets SET retires_at = $2, revoked_at = $3 WHERE id = $1"
    )
    .bind(secret.id.as_str()).bind(secret.retires_at.map(micros)).bind(secret.revoked_at.map(micros))
    .execute(conn).await.map(|done| done.rows_affected()))?;
    Ok(changed == 1)
}

/// Notes that a secret was used; an earlier use never overwrites a later one. Whether it was its first use: of several
/// instances, one gets true.
pub async fn note_used(db: &mut Db<'_>, id: &SecretId, at: OffsetDateTime) -> Result<bool, DatabaseError> {
    on_db!(db, conn => sqlx::query(
        "UPDATE client_secrets SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)"
    ).bind(id.as_str()).bind(micros(at)).execute(conn).await.map(|_| ()))?;
    let first = on_db!(db, conn => sqlx::query(
        "UPDATE client_secrets SET first_used_at = $2 WHERE id = $1 AND first_used_at IS NULL"
    ).bind(id.as_str()).bind(micros(at)).execute(conn).await.map(|done| done.rows_affected()))?;
    Ok(first == 1)
}
