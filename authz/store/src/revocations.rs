//! Whose tokens gateways must refuse, numbered for the feed.

use access_token::{Revocation, RevocationSubject};
use database::{DatabaseError, Db, micros, on_db};
use time::OffsetDateTime;

use crate::{changes::next_seq, convert::Cell};

fn parts(subject: &RevocationSubject) -> (&'static str, &str) {
    match subject {
        RevocationSubject::Client(id) => ("client", id),
        RevocationSubject::Secret(id) => ("secret", id),
        RevocationSubject::Token(id) => ("token", id),
    }
}

/// Appends an entry that matters until `until` (seconds since the epoch); `revoked` false lifts an earlier one. It is issued `now`.
/// An earlier entry for the same subject says nothing any more and goes.
pub async fn append(
    db: &mut Db<'_>,
    subject: &RevocationSubject,
    until: i64,
    revoked: bool,
    now: OffsetDateTime,
) -> Result<i64, DatabaseError> {
    let seq = next_seq(db).await?;
    let (kind, id) = parts(subject);
    on_db!(db, conn => sqlx::query("DELETE FROM revocations WHERE kind = $1 AND subject = $2")
        .bind(kind).bind(id).execute(conn).await.map(|_| ()))?;
    on_db!(db, conn => sqlx::query(
        "INSERT INTO revocations (seq, kind, subject, until_at, revoked, issued_at) VALUES ($1, $2, $3, $4, $5, $6)"
    ).bind(seq).bind(kind).bind(id).bind(until).bind(revoked).bind(micros(now)).execute(conn).await.map(|_| ()))?;
    Ok(seq)
}

/// Entries after `seq` that still matter at `now`, in order.
pub async fn after(db: &mut Db<'_>, seq: i64, now: OffsetDateTime) -> Result<Vec<Revocation>, DatabaseError> {
    let rows = on_db!(db, conn => sqlx::query_as::<_, (i64, String, String, i64, bool, i64)>(
        "SELECT seq, kind, subject, until_at, revoked, issued_at FROM revocations
         WHERE seq > $1 AND until_at > $2 ORDER BY seq"
    ).bind(seq).bind(now.unix_timestamp()).fetch_all(conn).await)?;
    rows.into_iter()
        .map(|(seq, kind, id, until, revoked, at)| {
            let subject = match kind.as_str() {
                "client" => RevocationSubject::Client(id),
                "secret" => RevocationSubject::Secret(id),
                "token" => RevocationSubject::Token(id),
                _ => return Err(Cell { table: "revocations", column: "kind", row: &seq.to_string() }.corrupt()),
            };
            Ok(Revocation { seq, at, subject, until, revoked })
        })
        .collect()
}

/// Forgets entries whose last token is dead.
pub async fn forget_dead(db: &mut Db<'_>, now: OffsetDateTime) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query("DELETE FROM revocations WHERE until_at <= $1")
        .bind(now.unix_timestamp()).execute(conn).await.map(|_| ()))?;
    Ok(())
}
