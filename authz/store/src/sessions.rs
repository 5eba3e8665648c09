//! Sessions of signed-in people. Of the cookie only a hash is kept.

use database::{DatabaseError, Db, instant, micros, on_db};
use time::OffsetDateTime;

/// A session as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Hash of the cookie.
    pub id_hash: String,
    /// Its name in lists.
    pub public_id: String,
    /// Whose it is.
    pub account: String,
    /// Whether a second factor is still to come.
    pub pending: bool,
    /// Whether a second factor was shown.
    pub second_factor: bool,
    /// From where it was begun.
    pub address: String,
    /// With which browser.
    pub agent: String,
    /// Since when.
    pub created_at: OffsetDateTime,
    /// Last request.
    pub seen_at: OffsetDateTime,
}

type Row = (String, String, String, bool, bool, String, String, i64, i64);

fn read(row: Row) -> Session {
    let (id_hash, public_id, account, pending, second_factor, address, agent, created_at, seen_at) = row;
    Session {
        id_hash,
        public_id,
        account,
        pending,
        second_factor,
        address,
        agent,
        created_at: instant(created_at),
        seen_at: instant(seen_at),
    }
}

/// Begins a session.
pub async fn insert(db: &mut Db<'_>, session: &Session) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query(
        "INSERT INTO sessions (id_hash, public_id, account_id, pending, second_factor, address, agent, created_at, seen_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
    )
    .bind(session.id_hash.as_str()).bind(session.public_id.as_str()).bind(session.account.as_str())
    .bind(session.pending).bind(session.second_factor).bind(session.address.as_str())
    .bind(session.agent.as_str()).bind(micros(session.created_at)).bind(micros(session.seen_at))
    .execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// The session of a cookie with this hash.
pub async fn find(db: &mut Db<'_>, id_hash: &str) -> Result<Option<Session>, DatabaseError> {
    let row = on_db!(db, conn => sqlx::query_as::<_, Row>(
        "SELECT id_hash, public_id, account_id, pending, second_factor, address, agent, created_at, seen_at
         FROM sessions WHERE id_hash = $1"
    ).bind(id_hash).fetch_optional(conn).await)?;
    Ok(row.map(read))
}

/// The sessions of an account, newest first.
pub async fn of_account(db: &mut Db<'_>, account: &str) -> Result<Vec<Session>, DatabaseError> {
    let rows = on_db!(db, conn => sqlx::query_as::<_, Row>(
        "SELECT id_hash, public_id, account_id, pending, second_factor, address, agent, created_at, seen_at
         FROM sessions WHERE account_id = $1 ORDER BY seen_at DESC, public_id"
    ).bind(account).fetch_all(conn).await)?;
    Ok(rows.into_iter().map(read).collect())
}

/// Notes that a session was used.
pub async fn touch(db: &mut Db<'_>, id_hash: &str, now: OffsetDateTime) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query("UPDATE sessions SET seen_at = $2 WHERE id_hash = $1")
        .bind(id_hash).bind(micros(now)).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Ends the session of a cookie.
pub async fn end(db: &mut Db<'_>, id_hash: &str) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query("DELETE FROM sessions WHERE id_hash = $1")
        .bind(id_hash).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Ends one session of an account by its name in lists. Whether it was there.
pub async fn end_one(db: &mut Db<'_>, account: &str, public_id: &str) -> Result<bool, DatabaseError> {
    let ended = on_db!(db, conn => sqlx::query(
        "DELETE FROM sessions WHERE account_id = $1 AND public_id = $2"
    ).bind(account).bind(public_id).execute(conn).await.map(|done| done.rows_affected()))?;
    Ok(ended == 1)
}

/// Ends all sessions of an account but the one with this cookie; with an empty hash, all of them.
pub async fn end_others(db: &mut Db<'_>, account: &str, kept_hash: &str) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query("DELETE FROM sessions WHERE account_id = $1 AND id_hash <> $2")
        .bind(account).bind(kept_hash).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Forgets sessions that lapsed: not used since `idle_since`, or begun before `begun_before`.
pub async fn forget_lapsed(
    db: &mut Db<'_>,
    idle_since: OffsetDateTime,
    begun_before: OffsetDateTime,
) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query("DELETE FROM sessions WHERE seen_at < $1 OR created_at < $2")
        .bind(micros(idle_since)).bind(micros(begun_before)).execute(conn).await.map(|_| ()))?;
    Ok(())
}
