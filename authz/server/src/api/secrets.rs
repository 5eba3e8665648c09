//! Secrets at the administration API, and what is registered in place of them: rotation by an operator and by the
//! machine itself, revocation, what expires.

use std::sync::Arc;

use axum::{
    Extension, Json,
    body::Body,
    extract::{Path, RawQuery, State as Extract},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode};
use time::Duration;

use super::{
    caller::Caller,
    clients::{NO_STORE, find_to_change},
    model::{Credentials, Expiring, ExpiringItem, OwnRotation, ProofMade, ProofWanted, Rotation},
    problem::Problem,
    read::{Query, json, json_or_default},
};
use crate::{
    state::State,
    use_cases::{Rotate, UseCases},
};

/// `POST /api/v1/clients/{client_id}/secrets`
pub(crate) async fn rotate(
    Extract(state): Extract<Arc<State>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let wanted: Rotation = json_or_default(&headers, body).await?;
    let (acts, _) = find_to_change(state, &caller, &id).await?;
    let how = Rotate {
        immediately: wanted.immediately,
        newest_known: wanted.newest_known.as_deref(),
        ..Rotate::default()
    };
    let issued = acts.because(&wanted.reason)?.rotate(caller.actor(), &id, how).await?;
    Ok((StatusCode::CREATED, NO_STORE, Json(Credentials::from(&issued))).into_response())
}

/// `POST /api/v1/clients/{client_id}/keys`
pub(crate) async fn register(
    Extract(state): Extract<Arc<State>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let wanted: ProofWanted = json(&headers, body).await?;
    let proof = wanted.proof().ok_or_else(|| {
        Problem::malformed(
            "send exactly one of 'jwks', 'jwks_uri', 'certificate', 'tls_certificate' and 'tls_subject': a client has one \
             method",
        )
    })?;
    let (acts, _) = find_to_change(state, &caller, &id).await?;
    let acts = acts.because(&wanted.reason)?;
    let made = acts.register_proof(caller.actor(), &id, proof, wanted.immediately).await?;
    Ok((StatusCode::CREATED, NO_STORE, Json(ProofMade::from(&made))).into_response())
}

/// `DELETE /api/v1/clients/{client_id}/secrets/{secret_id}`
pub(crate) async fn revoke(
    Extract(state): Extract<Arc<State>>,
    Extension(caller): Extension<Caller>,
    Path((id, secret)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &["reason"])?;
    let (acts, _) = find_to_change(state, &caller, &id).await?;
    let acts = acts.because(query.get("reason").unwrap_or_default())?;
    acts.revoke_secret(caller.actor(), &id, &secret).await?;
    Ok((StatusCode::NO_CONTENT, NO_STORE).into_response())
}

/// `GET /api/v1/credentials/expiring`
pub(crate) async fn expiring(
    Extract(state): Extract<Arc<State>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &["within"])?;
    let days = query.number("within", 0, 3660, 90)?;
    let found = UseCases::of(state).expiring_secrets(Duration::days(days)).await?;
    let seen = found.iter().filter(|one| caller.sees(one.client.organisation.as_ref()));
    Ok((NO_STORE, Json(Expiring { items: seen.map(ExpiringItem::from).collect() })).into_response())
}

/// `POST /api/v1/client/secrets`
pub(crate) async fn rotate_own(
    Extract(state): Extract<Arc<State>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let wanted: OwnRotation = json_or_default(&headers, body).await?;
    let acts = UseCases::of(state).because(&wanted.reason)?;
    let issued = acts.rotate_own_secret(caller.id(), &caller.secret, wanted.immediately).await?;
    Ok((StatusCode::CREATED, NO_STORE, Json(Credentials::from(&issued))).into_response())
}
