//! Requests for access.

use std::collections::BTreeMap;

use authz_domain::{AccessRequest, RequestState};
use database::{DatabaseError, Db, instant, micros, on_db};
use pms_terms::OrganisationId;
use time::OffsetDateTime;

use crate::{
    batch::{batches, in_batch},
    convert::Cell,
};

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    number: Option<i64>,
    account_id: String,
    application: String,
    organisation_id: Option<String>,
    deciding_organisation_id: Option<String>,
    language: Option<String>,
    comment: String,
    state: String,
    by_agency: bool,
    waiver_asked: bool,
    terms_ticked: bool,
    created_at: i64,
    submitted_at: Option<i64>,
    decided_at: Option<i64>,
    decided_by: Option<String>,
    reason: String,
    reminders: i64,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT r.id, r.number, r.account_id, r.application, r.organisation_id, r.deciding_organisation_id,
                 r.language, r.comment, r.state, r.by_agency, r.waiver_asked, r.terms_ticked, r.created_at, r.submitted_at,
                 r.decided_at, r.decided_by, r.reason, r.reminders
             FROM access_requests r ",
            $rest
        )
    };
}

fn complete(row: Row, roles: Vec<String>) -> Result<AccessRequest, DatabaseError> {
    let cell = |column| Cell { table: "access_requests", column, row: &row.id };
    let organisation = |column, id: Option<String>| -> Result<Option<OrganisationId>, DatabaseError> {
        id.map(|id| cell(column).parse(&id)).transpose()
    };
    Ok(AccessRequest {
        number: row.number,
        account: row.account_id,
        application: row.application,
        organisation: organisation("organisation_id", row.organisation_id)?,
        deciding_organisation: organisation("deciding_organisation_id", row.deciding_organisation_id)?,
        roles,
        language: row.language,
        comment: row.comment,
        state: cell("state").parse(&row.state)?,
        by_agency: row.by_agency,
        waiver_asked: row.waiver_asked,
        terms_ticked: row.terms_ticked,
        created_at: instant(row.created_at),
        submitted_at: row.submitted_at.map(instant),
        decided_at: row.decided_at.map(instant),
        decided_by: row.decided_by,
        reason: row.reason,
        reminders: row.reminders,
        id: row.id,
    })
}

async fn complete_all(db: &mut Db<'_>, rows: Vec<Row>) -> Result<Vec<AccessRequest>, DatabaseError> {
    let mut roles: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for batch in batches(rows.iter().map(|row| row.id.as_str())) {
        let found = on_db!(db, conn => {
            let mut query = sqlx::query_as::<_, (String, String)>(concat!(
                "SELECT request_id, role FROM access_request_roles WHERE request_id IN ", in_batch!(), " ORDER BY role"
            ));
            for id in batch {
                query = query.bind(id);
            }
            query.fetch_all(conn).await
        })?;
        for (request, role) in found {
            roles.entry(request).or_default().push(role);
        }
    }
    rows.into_iter()
        .map(|row| {
            let own = roles.remove(&row.id).unwrap_or_default();
            complete(row, own)
        })
        .collect()
}

/// Keeps a new request with its roles.
pub async fn insert(db: &mut Db<'_>, request: &AccessRequest) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query(
        "INSERT INTO access_requests (id, number, account_id, application, organisation_id, deciding_organisation_id,
             language, comment, state, by_agency, waiver_asked, created_at, submitted_at, decided_at, decided_by,
             reason, reminders, terms_ticked)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)"
    )
    .bind(request.id.as_str()).bind(request.number).bind(request.account.as_str())
    .bind(request.application.as_str()).bind(request.organisation.as_ref().map(OrganisationId::as_str))
    .bind(request.deciding_organisation.as_ref().map(OrganisationId::as_str)).bind(request.language.as_deref())
    .bind(request.comment.as_str()).bind(request.state.as_str()).bind(request.by_agency)
    .bind(request.waiver_asked).bind(micros(request.created_at)).bind(request.submitted_at.map(micros))
    .bind(request.decided_at.map(micros)).bind(request.decided_by.as_deref()).bind(request.reason.as_str())
    .bind(request.reminders).bind(request.terms_ticked)
    .execute(conn).await.map(|_| ()))?;
    set_roles(db, request).await
}

/// Writes everything of a request but its key, if it is still in the state `before`. Whether it was: of two at once,
/// one gets true.
pub async fn update(
    db: &mut Db<'_>,
    request: &AccessRequest,
    before: RequestState,
) -> Result<bool, DatabaseError> {
    let changed = on_db!(db, conn => sqlx::query(
        "UPDATE access_requests SET number = $2, organisation_id = $3, deciding_organisation_id = $4, language = $5,
             comment = $6, state = $7, by_agency = $8, waiver_asked = $9, submitted_at = $10, decided_at = $11,
             decided_by = $12, reason = $13, reminders = $14, terms_ticked = $16
         WHERE id = $1 AND state = $15"
    )
    .bind(request.id.as_str()).bind(request.number)
    .bind(request.organisation.as_ref().map(OrganisationId::as_str))
    .bind(request.deciding_organisation.as_ref().map(OrganisationId::as_str)).bind(request.language.as_deref())
    .bind(request.comment.as_str()).bind(request.state.as_str()).bind(request.by_agency)
    .bind(request.waiver_asked).bind(request.submitted_at.map(micros)).bind(request.decided_at.map(micros))
    .bind(request.decided_by.as_deref()).bind(request.reason.as_str()).bind(request.reminders)
    .bind(before.as_str()).bind(request.terms_ticked)
    .execute(conn).await.map(|done| done.rows_affected()))?;
    if changed == 1 {
        set_roles(db, request).await?;
    }
    Ok(changed == 1)
}

async fn set_roles(db: &mut Db<'_>, request: &AccessRequest) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query("DELETE FROM access_request_roles WHERE request_id = $1")
        .bind(request.id.as_str()).execute(conn).await.map(|_| ()))?;
    for role in &request.roles {
        on_db!(db, conn => sqlx::query("INSERT INTO access_request_roles (request_id, role) VALUES ($1, $2)")
            .bind(request.id.as_str()).bind(role.as_str()).execute(conn).await.map(|_| ()))?;
    }
    Ok(())
}

/// The next number of a request.
pub async fn next_number(db: &mut Db<'_>) -> Result<i64, DatabaseError> {
    Ok(on_db!(db, conn => sqlx::query_scalar::<_, i64>(
        "UPDATE access_request_numbers SET value = value + 1 WHERE only_row = 1 RETURNING value"
    ).fetch_one(conn).await)?)
}

/// The request with this key.
pub async fn find(db: &mut Db<'_>, id: &str) -> Result<Option<AccessRequest>, DatabaseError> {
    let row = on_db!(db, conn => sqlx::query_as::<_, Row>(select!("WHERE r.id = $1"))
        .bind(id).fetch_optional(conn).await)?;
    Ok(complete_all(db, row.into_iter().collect()).await?.pop())
}

/// The requests of an account, drafts too, newest first.
pub async fn of_account(
    db: &mut Db<'_>,
    account: &str,
    limit: i64,
) -> Result<Vec<AccessRequest>, DatabaseError> {
    let rows = on_db!(db, conn => sqlx::query_as::<_, Row>(
        select!("WHERE r.account_id = $1 ORDER BY r.created_at DESC, r.id LIMIT $2")
    ).bind(account).bind(limit).fetch_all(conn).await)?;
    complete_all(db, rows).await
}

/// Requests that wait for the agency, oldest first.
pub async fn open_for_agency(db: &mut Db<'_>, limit: i64) -> Result<Vec<AccessRequest>, DatabaseError> {
    let rows = on_db!(db, conn => sqlx::query_as::<_, Row>(select!(
        "WHERE r.state IN ('submitted', 'waiting') AND r.by_agency = TRUE ORDER BY r.submitted_at, r.id LIMIT $1"
    )).bind(limit).fetch_all(conn).await)?;
    complete_all(db, rows).await
}

/// Requests that wait for administrators of an organisation, oldest first.
pub async fn open_for_organisation(
    db: &mut Db<'_>,
    organisation: &OrganisationId,
    limit: i64,
) -> Result<Vec<AccessRequest>, DatabaseError> {
    let rows = on_db!(db, conn => sqlx::query_as::<_, Row>(select!(
        "WHERE r.state IN ('submitted', 'waiting') AND r.deciding_organisation_id = $1
         ORDER BY r.submitted_at, r.id LIMIT $2"
    )).bind(organisation.as_str()).bind(limit).fetch_all(conn).await)?;
    complete_all(db, rows).await
}

/// Requests that were submitted before `before` and are not decided, oldest first.
pub async fn open_since(
    db: &mut Db<'_>,
    before: OffsetDateTime,
    limit: i64,
) -> Result<Vec<AccessRequest>, DatabaseError> {
    let rows = on_db!(db, conn => sqlx::query_as::<_, Row>(select!(
        "WHERE r.state IN ('submitted', 'waiting') AND r.submitted_at <= $1 ORDER BY r.submitted_at, r.id LIMIT $2"
    )).bind(micros(before)).bind(limit).fetch_all(conn).await)?;
    complete_all(db, rows).await
}

/// Turns the requests for `role` that wait for administrators of an organisation over to the agency: nobody is left there
/// to decide.
pub async fn turn_over_to_agency(
    db: &mut Db<'_>,
    organisation: &OrganisationId,
    role: &str,
) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query(
        "UPDATE access_requests SET by_agency = TRUE
         WHERE deciding_organisation_id = $1 AND state IN ('submitted', 'waiting')
           AND id IN (SELECT request_id FROM access_request_roles WHERE role = $2)"
    ).bind(organisation.as_str()).bind(role).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Notes that terms were accepted.
pub async fn accept_terms(
    db: &mut Db<'_>,
    account: &str,
    terms: &str,
    version: &str,
    request: Option<&str>,
    now: OffsetDateTime,
) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query(
        "INSERT INTO terms_acceptances (account_id, terms, version, request_id, accepted_at)
         VALUES ($1, $2, $3, $4, $5)"
    ).bind(account).bind(terms).bind(version).bind(request).bind(micros(now))
    .execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// The versions of terms that an account accepted, and when, oldest first.
pub async fn accepted_terms(
    db: &mut Db<'_>,
    account: &str,
    terms: &str,
) -> Result<Vec<(String, OffsetDateTime)>, DatabaseError> {
    let rows = on_db!(db, conn => sqlx::query_as::<_, (String, i64)>(
        "SELECT version, accepted_at FROM terms_acceptances WHERE account_id = $1 AND terms = $2 ORDER BY accepted_at"
    ).bind(account).bind(terms).fetch_all(conn).await)?;
    Ok(rows.into_iter().map(|(version, at)| (version, instant(at))).collect())
}

/// Whether an account accepted this version of terms for a request.
pub async fn terms_accepted_for(
    db: &mut Db<'_>,
    account: &str,
    terms: &str,
    version: &str,
    request: &str,
) -> Result<bool, DatabaseError> {
    let count = on_db!(db, conn => sqlx::query_scalar::<_, i64>(
        "SELECT COUNT(*) FROM terms_acceptances
         WHERE account_id = $1 AND terms = $2 AND version = $3 AND request_id = $4"
    ).bind(account).bind(terms).bind(version).bind(request).fetch_one(conn).await)?;
    Ok(count > 0)
}

/// Requests that were handed in, by number after `after`, of one organisation or of all.
pub async fn page(
    db: &mut Db<'_>,
    organisation: Option<&OrganisationId>,
    after: i64,
    limit: i64,
) -> Result<Vec<AccessRequest>, DatabaseError> {
    let rows = on_db!(db, conn => sqlx::query_as::<_, Row>(select!(
        "WHERE r.number > $1 AND ($2 = '' OR r.organisation_id = $2) ORDER BY r.number LIMIT $3"
    ))
    .bind(after).bind(organisation.map_or("", OrganisationId::as_str)).bind(limit)
    .fetch_all(conn).await)?;
    complete_all(db, rows).await
}

/// The request with this number.
pub async fn find_by_number(db: &mut Db<'_>, number: i64) -> Result<Option<AccessRequest>, DatabaseError> {
    let row = on_db!(db, conn => sqlx::query_as::<_, Row>(select!("WHERE r.number = $1"))
        .bind(number).fetch_optional(conn).await)?;
    Ok(complete_all(db, row.into_iter().collect()).await?.pop())
}
