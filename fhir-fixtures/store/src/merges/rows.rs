//! The rows of merges: written once when one is taken, once when it is done.

use database::{DatabaseError, Db, on_db};
use fhir_model::access::Viewer;
use pms_terms::Domains;
use time::OffsetDateTime;

use super::{Answer, Limits, Outcome, Submission};
use crate::StoreError;

/// Takes the next place in the queue. Whoever else adds a merge waits from here until this unit of work ends.
pub(super) async fn next_place(db: &mut Db<'_>) -> Result<i64, StoreError> {
    Ok(on_db!(db, conn => sqlx::query_scalar::<_, i64>(
        "UPDATE merge_queue SET seq = seq + 1 WHERE id = 1 RETURNING seq"
    ).fetch_one(conn).await)?)
}

/// Takes the next id for a new resource, which nobody has or refers to.
pub(super) async fn next_resource_id(db: &mut Db<'_>, resource_type: &str) -> Result<String, StoreError> {
    loop {
        let id = on_db!(db, conn => sqlx::query_scalar::<_, i64>(
            "UPDATE merge_queue SET resource_id = resource_id + 1 WHERE id = 1 RETURNING resource_id"
        ).fetch_one(conn).await)?
        .to_string();
        let taken = on_db!(db, conn => sqlx::query_scalar::<_, i64>(
            "SELECT (SELECT COUNT(*) FROM resources WHERE resource_type = $1 AND resource_id = $2)
                  + (SELECT COUNT(*) FROM product_members WHERE resource_type = $1 AND resource_id = $2)"
        ).bind(resource_type).bind(&id).fetch_one(conn).await)?;
        if taken == 0 {
            return Ok(id);
        }
    }
}

/// Adds a merge: with its outcome when it is done, else with its body, to wait.
pub(super) async fn insert(
    db: &mut Db<'_>,
    submission: &Submission<'_>,
    place: i64,
    product_id: &str,
    outcome: Option<&Outcome>,
    limits: &Limits,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let viewer = submission.viewer;
    let organisation = viewer.organisation.as_ref().map_or("", |own| own.as_str());
    let body = if outcome.is_some() { String::new() } else { submission.bundle.to_string() };
    let (state, finished_at) =
        if outcome.is_some() { ("done", database::micros(now)) } else { ("queued", 0) };
    let key_until = submission.idempotency_key.map_or(0, |_| database::micros(now + limits.key_lifetime));
    // One that is done was answered with its outcome: nobody asks for that but by its key.
    let kept_until = if outcome.is_some() { key_until } else { i64::MAX };
    on_db!(db, conn => sqlx::query(
        "INSERT INTO merges (merge_id, seq, client_id, organisation, stakeholder, qualified, human, veterinary,
             product_id, request_digest, is_async, idempotency_key, state, body, outcome, accepted_at, finished_at,
             key_until, kept_until)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)"
    ).bind(submission.merge_id).bind(place).bind(submission.client_id).bind(organisation)
     .bind(viewer.stakeholder.as_str()).bind(viewer.qualified).bind(viewer.domains.human)
     .bind(viewer.domains.veterinary).bind(product_id).bind(submission.request_digest).bind(outcome.is_none())
     .bind(submission.idempotency_key).bind(state).bind(&body).bind(text(outcome)?)
     .bind(database::micros(now)).bind(finished_at).bind(key_until).bind(kept_until)
     .execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Notes what became of a merge that waited.
pub(super) async fn finish(
    db: &mut Db<'_>,
    merge_id: &str,
    outcome: &Outcome,
    kept_until: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    on_db!(db, conn => sqlx::query(
        "UPDATE merges SET state = 'done', body = '', outcome = $1, finished_at = $2, kept_until = $3
         WHERE merge_id = $4 AND state = 'queued'"
    ).bind(text(Some(outcome))?).bind(database::micros(now)).bind(database::micros(kept_until)).bind(merge_id)
     .execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// What was answered to the request that used the key before; nothing when the key is free.
pub(super) async fn answered_before(
    db: &mut Db<'_>,
    submission: &Submission<'_>,
    key: &str,
    now: OffsetDateTime,
) -> Result<Option<Answer>, StoreError> {
    on_db!(db, conn => sqlx::query(
        "UPDATE merges SET idempotency_key = NULL WHERE client_id = $1 AND idempotency_key = $2 AND key_until <= $3"
    ).bind(submission.client_id).bind(key).bind(database::micros(now)).execute(conn).await.map(|_| ()))?;
    let row = on_db!(db, conn => sqlx::query_as::<_, (String, String, bool, String)>(
        "SELECT merge_id, request_digest, is_async, outcome FROM merges WHERE client_id = $1 AND idempotency_key = $2"
    ).bind(submission.client_id).bind(key).fetch_optional(conn).await)?;
    let Some((merge_id, digest, is_async, outcome)) = row else { return Ok(None) };
    if digest != submission.request_digest {
        return Ok(Some(Answer::KeyReused));
    }
    Ok(Some(match read_outcome(&merge_id, &outcome)? {
        Some(outcome) if !is_async => Answer::Done(outcome),
        outcome => Answer::Queued { merge_id, is_done: outcome.is_some() },
    }))
}

fn text(outcome: Option<&Outcome>) -> Result<String, DatabaseError> {
    let Some(outcome) = outcome else { return Ok(String::new()) };
    serde_json::to_string(outcome).map_err(|_| corrupt("outcome", "new"))
}

/// The outcome in a stored row; nothing while the merge waits.
pub(super) fn read_outcome(merge_id: &str, text: &str) -> Result<Option<Outcome>, DatabaseError> {
    if text.is_empty() {
        return Ok(None);
    }
    serde_json::from_str(text).map(Some).map_err(|_| corrupt("outcome", merge_id))
}

/// A merge that waits.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct WaitingRow {
    pub(super) merge_id: String,
    pub(super) client_id: String,
    organisation: String,
    stakeholder: String,
    qualified: bool,
    human: bool,
    veterinary: bool,
    pub(super) body: String,
    pub(super) accepted_at: i64,
}

impl WaitingRow {
    /// On whose behalf.
    pub(super) fn viewer(&self) -> Result<Viewer, DatabaseError> {
        let organisation = match self.organisation.as_str() {
            "" => None,
            id => Some(id.parse().map_err(|_| corrupt("organisation", &self.merge_id))?),
        };
        Ok(Viewer {
            stakeholder: self.stakeholder.parse().map_err(|_| corrupt("stakeholder", &self.merge_id))?,
            qualified: self.qualified,
            domains: Domains { human: self.human, veterinary: self.veterinary },
            organisation,
        })
    }
}

/// The merge that waits longest.
pub(super) async fn first_waiting(db: &mut Db<'_>) -> Result<Option<WaitingRow>, StoreError> {
    Ok(on_db!(db, conn => sqlx::query_as::<_, WaitingRow>(
        "SELECT merge_id, client_id, organisation, stakeholder, qualified, human, veterinary, body, accepted_at
         FROM merges WHERE state = 'queued' ORDER BY seq LIMIT 1"
    ).fetch_optional(conn).await)?)
}

fn corrupt(column: &'static str, row: &str) -> DatabaseError {
    DatabaseError::Corrupt { table: "merges", column, row: row.to_owned() }
}
