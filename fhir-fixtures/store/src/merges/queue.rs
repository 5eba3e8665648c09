//! The durable queue: merges that are answered by the place where their outcome will be, and worked off in order.

use std::panic::AssertUnwindSafe;

use database::{Database, DatabaseError, Db, on_db};
use fhir_model::access::AccessMatrix;
use futures_util::FutureExt as _;
use time::{Duration, OffsetDateTime};

use super::{
    Answer, Limits, Outcome, Record, Submission, apply,
    rows::{self, WaitingRow},
};
use crate::{StoreError, index};

/// Puts a merge into the queue. When this returns it will be decided, whatever crashes.
///
/// # Errors
/// When the database fails; then it is not in the queue, and can be sent again.
pub async fn enqueue(
    database: &Database,
    submission: &Submission<'_>,
    limits: &Limits,
    now: OffsetDateTime,
) -> Result<Answer, StoreError> {
    let product_id = match apply::at_the_door(database, submission).await? {
        Ok(product_id) => product_id,
        Err(rejections) => return Ok(Answer::Done(Outcome::refused(&rejections))),
    };
    let mut work = database.begin().await?;
    let mut db = work.db();
    let place = rows::next_place(&mut db).await?;
    if let Some(key) = submission.idempotency_key
        && let Some(answer) = rows::answered_before(&mut db, submission, key, now).await?
    {
        return Ok(answer);
    }
    let (own, all) = waiting(&mut db, submission.client_id).await?;
    if all >= limits.waiting {
        return Ok(Answer::QueueFull);
    }
    if own >= limits.waiting_per_client {
        return Ok(Answer::ClientQueueFull);
    }
    rows::insert(&mut db, submission, place, &product_id, None, limits, now).await?;
    work.commit().await?;
    Ok(Answer::Queued { merge_id: submission.merge_id.to_owned(), is_done: false })
}

async fn waiting(db: &mut Db<'_>, client_id: &str) -> Result<(i64, i64), StoreError> {
    Ok(on_db!(db, conn => sqlx::query_as::<_, (i64, i64)>(
        "SELECT (SELECT COUNT(*) FROM merges WHERE client_id = $1 AND state = 'queued'),
                (SELECT COUNT(*) FROM merges WHERE state = 'queued')"
    ).bind(client_id).fetch_one(conn).await)?)
}

/// A merge that waited and is done.
#[derive(Debug)]
pub struct WorkedOff {
    /// The id of its outcome.
    pub merge_id: String,
    /// Who had sent it.
    pub client_id: String,
    /// What became of it.
    pub outcome: Outcome,
    /// How long it was in the queue.
    pub waited: Duration,
    /// The fault of ours that kept it from being decided.
    pub fault: Option<StoreError>,
}

/// Does the merge that waits longest; nothing when none waits. Any number of instances may call this at once.
///
/// # Errors
/// When the database does not answer: the merge waits on. What fails for another reason would fail for ever and hold up
/// the rest: its outcome says so.
pub async fn work_off_next(
    database: &Database,
    matrix: &AccessMatrix,
    outcome_lifetime: Duration,
    now: OffsetDateTime,
) -> Result<Option<WorkedOff>, StoreError> {
    // Asking costs no lock.
    if queue_status(database).await?.length == 0 {
        return Ok(None);
    }
    let mut work = database.begin().await?;
    let mut db = work.db();
    index::lock(&mut db).await?;
    let Some(row) = rows::first_waiting(&mut db).await? else { return Ok(None) };
    let outcome = match held(act(&mut db, matrix, &row, now)).await {
        Ok(outcome) => outcome,
        Err(error @ StoreError::Database(DatabaseError::Unavailable(_))) => return Err(error),
        Err(error) => {
            work.rollback().await?;
            let given_up = give_up(database, row, outcome_lifetime, now).await?;
            return Ok(Some(WorkedOff { fault: Some(error), ..given_up }));
        }
    };
    rows::finish(&mut db, &row.merge_id, &outcome, now + outcome_lifetime, now).await?;
    work.commit().await?;
    Ok(Some(worked_off(row, outcome, now)))
}

async fn act(
    db: &mut Db<'_>,
    matrix: &AccessMatrix,
    row: &WaitingRow,
    now: OffsetDateTime,
) -> Result<Outcome, StoreError> {
    let corrupt = |_| DatabaseError::Corrupt { table: "merges", column: "body", row: row.merge_id.clone() };
    let bundle = serde_json::from_str(&row.body).map_err(corrupt)?;
    apply::act(db, matrix, &row.viewer()?, &bundle, now).await
}

/// A panic as an error: it must not end the worker, and the queue with it.
async fn held<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    // What a panic leaves half done is the unit of work, which is rolled back.
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
        let words = words.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(StoreError::Panicked(words.unwrap_or_default()))
    })
}

async fn give_up(
    database: &Database,
    row: WaitingRow,
    outcome_lifetime: Duration,
    now: OffsetDateTime,
) -> Result<WorkedOff, StoreError> {
    let outcome = Outcome::failed();
    let mut work = database.begin().await?;
    rows::finish(&mut work.db(), &row.merge_id, &outcome, now + outcome_lifetime, now).await?;
    work.commit().await?;
    Ok(worked_off(row, outcome, now))
}

fn worked_off(row: WaitingRow, outcome: Outcome, now: OffsetDateTime) -> WorkedOff {
    let waited = now - database::instant(row.accepted_at);
    WorkedOff { merge_id: row.merge_id, client_id: row.client_id, outcome, waited, fault: None }
}

/// A merge that was queued by this client, while its outcome is kept.
pub async fn find(
    database: &Database,
    client_id: &str,
    merge_id: &str,
    now: OffsetDateTime,
) -> Result<Option<Record>, StoreError> {
    let mut reader = database.read().await?;
    let mut db = reader.db();
    let row = on_db!(&mut db, conn => sqlx::query_as::<_, (String, String)>(
        "SELECT product_id, outcome FROM merges
         WHERE merge_id = $1 AND client_id = $2 AND is_async AND kept_until > $3"
    ).bind(merge_id).bind(client_id).bind(database::micros(now)).fetch_optional(conn).await)?;
    let Some((product_id, outcome)) = row else { return Ok(None) };
    Ok(Some(Record { product_id, outcome: rows::read_outcome(merge_id, &outcome)? }))
}

/// Forgets what has been kept long enough; answers how many merges that were.
pub async fn purge(database: &Database, now: OffsetDateTime) -> Result<u64, StoreError> {
    // Asking costs no lock.
    let due = {
        let mut reader = database.read().await?;
        let mut db = reader.db();
        on_db!(&mut db, conn => sqlx::query_scalar::<_, i64>(
            "SELECT COUNT(*) FROM merges WHERE state = 'done' AND kept_until <= $1"
        ).bind(database::micros(now)).fetch_one(conn).await)?
    };
    if due == 0 {
        return Ok(0);
    }
    let mut work = database.begin().await?;
    let mut db = work.db();
    let gone = on_db!(&mut db, conn => sqlx::query("DELETE FROM merges WHERE state = 'done' AND kept_until <= $1")
        .bind(database::micros(now)).execute(conn).await.map(|done| done.rows_affected()))?;
    work.commit().await?;
    Ok(gone)
}

/// How full the queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueStatus {
    /// Merges that wait.
    pub length: i64,
    /// When the one that waits longest was taken.
    pub oldest_accepted_at: Option<OffsetDateTime>,
}

/// How full the queue is.
pub async fn queue_status(database: &Database) -> Result<QueueStatus, StoreError> {
    let mut reader = database.read().await?;
    let mut db = reader.db();
    let (length, oldest) = on_db!(&mut db, conn => sqlx::query_as::<_, (i64, Option<i64>)>(
        "SELECT COUNT(*), MIN(accepted_at) FROM merges WHERE state = 'queued'"
    ).fetch_one(conn).await)?;
    Ok(QueueStatus { length, oldest_accepted_at: oldest.map(database::instant) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_held_as_an_error() {
        let error =
            held(async { if true { panic!("at the wrong moment") } else { Ok(()) } }).await.unwrap_err();
        assert!(matches!(error, StoreError::Panicked(words) if words == "at the wrong moment"));
        assert!(held(async { Ok(1) }).await.is_ok_and(|one| one == 1));
    }
}
