//! One-time tokens that were mailed or texted: their hashes, how often they were tried, whether they were used.

use database::{DatabaseError, Db, instant, micros, on_db};
use time::OffsetDateTime;

/// A token as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneTimeToken {
    /// Its id, which is no secret.
    pub id: String,
    /// What it is for.
    pub purpose: String,
    /// A registration or an account; none for nobody.
    pub subject: Option<String>,
    /// For whom it counts that it was sent: the subject, or the keyed hash of an address; empty when it was not sent.
    pub counted_for: String,
    /// The keyed hash of its code.
    pub code_hash: String,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// Until when it works.
    pub expires_at: OffsetDateTime,
    /// Wrong tries so far.
    pub tries: i64,
    /// Whether it was used.
    pub used: bool,
}

type Row = (String, String, Option<String>, String, String, i64, i64, i64, Option<i64>);

fn read(row: Row) -> OneTimeToken {
    let (id, purpose, subject, counted_for, code_hash, created_at, expires_at, tries, used_at) = row;
    OneTimeToken {
        id,
        purpose,
        subject,
        counted_for,
        code_hash,
        created_at: instant(created_at),
        expires_at: instant(expires_at),
        tries,
        used: used_at.is_some(),
    }
}

/// Keeps a new token.
pub async fn insert(db: &mut Db<'_>, token: &OneTimeToken) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query(
        "INSERT INTO one_time_tokens (id, purpose, subject, counted_for, code_hash, created_at, expires_at, tries,
            used_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 0, NULL)"
    )
    .bind(token.id.as_str()).bind(token.purpose.as_str()).bind(token.subject.as_deref())
    .bind(token.counted_for.as_str()).bind(token.code_hash.as_str()).bind(micros(token.created_at)).bind(micros(token.expires_at))
    .execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// The token with this id.
pub async fn find(db: &mut Db<'_>, id: &str) -> Result<Option<OneTimeToken>, DatabaseError> {
    let row = on_db!(db, conn => sqlx::query_as::<_, Row>(
        "SELECT id, purpose, subject, counted_for, code_hash, created_at, expires_at, tries, used_at
         FROM one_time_tokens WHERE id = $1"
    ).bind(id).fetch_optional(conn).await)?;
    Ok(row.map(read))
}

/// How many tokens for a purpose were sent since `since` that count for somebody.
pub async fn sent_since(
    db: &mut Db<'_>,
    counted_for: &str,
    purpose: &str,
    since: OffsetDateTime,
) -> Result<i64, DatabaseError> {
    Ok(on_db!(db, conn => sqlx::query_scalar::<_, i64>(
        "SELECT COUNT(*) FROM one_time_tokens WHERE counted_for = $1 AND purpose = $2 AND created_at > $3"
    ).bind(counted_for).bind(purpose).bind(micros(since)).fetch_one(conn).await)?)
}

/// Counts a wrong try.
pub async fn count_try(db: &mut Db<'_>, id: &str) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query("UPDATE one_time_tokens SET tries = tries + 1 WHERE id = $1")
        .bind(id).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Uses a token up. Whether it was unused: of two at once, one gets true.
pub async fn use_up(db: &mut Db<'_>, id: &str, now: OffsetDateTime) -> Result<bool, DatabaseError> {
    let changed = on_db!(db, conn => sqlx::query(
        "UPDATE one_time_tokens SET used_at = $2 WHERE id = $1 AND used_at IS NULL"
    ).bind(id).bind(micros(now)).execute(conn).await.map(|done| done.rows_affected()))?;
    Ok(changed == 1)
}

/// Ends the earlier tokens of a subject for a purpose: only the newest works.
pub async fn end_earlier(
    db: &mut Db<'_>,
    subject: &str,
    purpose: &str,
    now: OffsetDateTime,
) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query(
        "UPDATE one_time_tokens SET used_at = $3 WHERE subject = $1 AND purpose = $2 AND used_at IS NULL"
    ).bind(subject).bind(purpose).bind(micros(now)).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Forgets what lapsed before `before`.
pub async fn forget_before(db: &mut Db<'_>, before: OffsetDateTime) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query("DELETE FROM one_time_tokens WHERE expires_at <= $1")
        .bind(micros(before)).execute(conn).await.map(|_| ()))?;
    Ok(())
}
