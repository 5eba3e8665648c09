//! Requests for access at the administration API: to look at.

use std::sync::Arc;

use authz_domain::AccessRequest;
use authz_store::{access_requests, api_access};
use axum::{
    Extension, Json,
    extract::{Path, RawQuery, State as Extract},
    response::{IntoResponse, Response},
};
use database::Db;

use super::{
    caller::Caller,
    clients::NO_STORE,
    model::{Request, Requests},
    problem::Problem,
    read::{Query, cursor},
};
use crate::{state::State, use_cases::UseCases};

async fn written(acts: &UseCases, db: &mut Db<'_>, request: &AccessRequest) -> Result<Request, Problem> {
    let client = api_access::find(db, &request.id).await?.and_then(|access| access.client);
    Ok(Request::new(request, acts.what(request), client))
}

/// `GET /api/v1/requests`
pub(crate) async fn list(
    Extract(state): Extract<Arc<State>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &["limit", "cursor"])?;
    let limit = query.limit()?;
    let after = query.cursor::<i64>()?.unwrap_or(0);
    let acts = UseCases::of(Arc::clone(&state));
    let mut reader = state.database.read().await?;
    let mut db = reader.db();
    let mut found = access_requests::page(&mut db, caller.organisation(), after, limit + 1).await?;
    let next = if i64::try_from(found.len()).is_ok_and(|count| count > limit) {
        found.pop();
        found.last().and_then(|request| request.number).map(|number| cursor(&number.into()))
    } else {
        None
    };
    let mut items = Vec::with_capacity(found.len());
    for request in &found {
        items.push(written(&acts, &mut db, request).await?);
    }
    Ok((NO_STORE, Json(Requests { items, next })).into_response())
}

/// `GET /api/v1/requests/{request}`
pub(crate) async fn show(
    Extract(state): Extract<Arc<State>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let number = name.strip_prefix("REQ-").and_then(|digits| digits.parse::<i64>().ok());
    let number = number.ok_or_else(Problem::not_found)?;
    let acts = UseCases::of(Arc::clone(&state));
    let mut reader = state.database.read().await?;
    let mut db = reader.db();
    let found = access_requests::find_by_number(&mut db, number).await?;
    let request = found.filter(|request| caller.sees(request.organisation.as_ref()));
    let request = request.ok_or_else(Problem::not_found)?;
    Ok((NO_STORE, Json(written(&acts, &mut db, &request).await?)).into_response())
}
