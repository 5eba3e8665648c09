//! Clients at the administration API.

use std::sync::Arc;

use authz_domain::{ClientStatus, is_identifier};
use authz_store::clients::After;
use axum::{
    Extension, Json,
    body::Body,
    extract::{Path, RawQuery, State as Extract},
    response::{IntoResponse, Response},
};
use database::instant;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use pms_terms::OrganisationId;

use super::{
    caller::Caller,
    model::{
        Client, ClientChange, ClientMade, ClientPlace, ClientWanted, Clients, Credentials, WantedStatus,
    },
    problem::Problem,
    read::{Query, cursor, json},
};
use crate::{
    state::State,
    use_cases::{ClientView, EnsuredClient, NewClient, UseCases},
};

/// Answers of this API are for their caller alone.
pub(super) const NO_STORE: [(header::HeaderName, HeaderValue); 1] =
    [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];

fn organisation_id(text: &str) -> Result<OrganisationId, Problem> {
    text.parse().map_err(|error| Problem::malformed(format!("organisation: {error}")))
}

/// `GET /api/v1/clients`
pub(crate) async fn list(
    Extract(state): Extract<Arc<State>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &["limit", "cursor", "organisation"])?;
    let limit = query.limit()?;
    let after = query.cursor::<ClientPlace>()?;
    let after = after.map(|place| After { created_at: instant(place.at), id: place.id });
    let wanted = query.get("organisation").map(organisation_id).transpose()?;
    if wanted.is_some() && !caller.sees(wanted.as_ref()) {
        return Err(Problem::forbidden("this token is for one organisation, and you ask for another"));
    }
    let organisation = wanted.as_ref().or(caller.organisation());
    let acts = UseCases::of(Arc::clone(&state));
    // One more tells whether there is a next page.
    let mut found = acts.page_of_clients(organisation, after.as_ref(), limit + 1).await?;
    let next = if i64::try_from(found.len()).is_ok_and(|count| count > limit) {
        found.pop();
        found
            .last()
            .and_then(|view| serde_json::to_value(ClientPlace::after(view)).ok())
            .map(|at| cursor(&at))
    } else {
        None
    };
    Ok((NO_STORE, Json(Clients { items: found.iter().map(Client::from).collect(), next })).into_response())
}

/// A client that the caller sees.
pub(super) async fn find(acts: &UseCases, caller: &Caller, id: &str) -> Result<ClientView, Problem> {
    let view = acts.show_client(id).await?;
    if caller.sees(view.client.organisation.as_ref()) { Ok(view) } else { Err(Problem::not_found()) }
}

/// A client that the caller may change, and the acts to do so.
pub(super) async fn find_to_change(
    state: Arc<State>,
    caller: &Caller,
    id: &str,
) -> Result<(UseCases, ClientView), Problem> {
    let acts = UseCases::of(Arc::clone(&state));
    let view = find(&acts, caller, id).await?;
    caller.may_change(&state, &view.client)?;
    Ok((acts, view))
}

/// `GET /api/v1/clients/{client_id}`
pub(crate) async fn show(
    Extract(state): Extract<Arc<State>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let view = find(&UseCases::of(state), &caller, &id).await?;
    Ok((NO_STORE, Json(Client::from(&view))).into_response())
}

/// `PUT /api/v1/clients/by-key/{external_key}`
pub(crate) async fn ensure(
    Extract(state): Extract<Arc<State>>,
    Extension(caller): Extension<Caller>,
    Path(key): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    if !is_identifier(&key) {
        let detail = "a key has 1 to 64 characters of A-Z, a-z, 0-9, '-' and '_'";
        return Err(Problem::malformed(detail));
    }
    let wanted: ClientWanted = json(&headers, body).await?;
    if state.settings.role(&wanted.role).is_some_and(|role| role.administers()) {
        return Err(Problem::forbidden("clients that administer are made on the command line"));
    }
    let named = wanted.organisation.as_deref().map(organisation_id).transpose()?;
    let organisation = named.or_else(|| caller.organisation().cloned());
    if !caller.sees(organisation.as_ref()) {
        return Err(Problem::forbidden("this token is for one organisation, and you ask for another"));
    }
    let new = NewClient {
        organisation,
        owner: None,
        external_key: Some(key),
        domains: wanted.domains(),
        role: wanted.role,
        label: wanted.label,
        contact: wanted.contact,
        qualified: wanted.qualified,
        scope: wanted.scope,
    };
    let acts = UseCases::of(state);
    match acts.ensure_client(caller.actor(), new).await? {
        EnsuredClient::Made(issued) => {
            let view = acts.show_client(issued.client_id.as_str()).await?;
            let made = ClientMade { client: Client::from(&view), credentials: Credentials::from(&issued) };
            let mut response = (StatusCode::CREATED, NO_STORE, Json(made)).into_response();
            let location = format!("/api/v1/clients/{}", issued.client_id);
            if let Ok(location) = HeaderValue::from_str(&location) {
                response.headers_mut().insert(header::LOCATION, location);
            }
            Ok(response)
        }
        EnsuredClient::Found(id) => {
            let view = acts.show_client(id.as_str()).await?;
            Ok((NO_STORE, Json(Client::from(&view))).into_response())
        }
    }
}

/// `PATCH /api/v1/clients/{client_id}`
pub(crate) async fn change(
    Extract(state): Extract<Arc<State>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let change: ClientChange = json(&headers, body).await?;
    let (acts, view) = find_to_change(state, &caller, &id).await?;
    let acts = acts.because(&change.reason)?;
    if change.label.is_some() || change.contact.is_some() {
        let label = change.label.as_deref().unwrap_or(&view.client.label);
        let contact = change.contact.as_deref().or(view.client.contact.as_deref());
        acts.change_client(caller.actor(), &id, label, contact).await?;
    }
    if let Some(required) = change.dpop_required {
        acts.require_dpop(caller.actor(), &id, required).await?;
    }
    match (change.status, view.client.status) {
        (Some(WantedStatus::Suspended), status) if status != ClientStatus::Suspended => {
            acts.suspend_client(caller.actor(), &id).await?;
        }
        (Some(WantedStatus::Active), status) if status != ClientStatus::Active => {
            acts.resume_client(caller.actor(), &id).await?;
        }
        _ => {}
    }
    let view = acts.show_client(&id).await?;
    Ok((NO_STORE, Json(Client::from(&view))).into_response())
}

/// `DELETE /api/v1/clients/{client_id}`
pub(crate) async fn revoke(
    Extract(state): Extract<Arc<State>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &["reason"])?;
    let (acts, view) = find_to_change(state, &caller, &id).await?;
    let acts = acts.because(query.get("reason").unwrap_or_default())?;
    if view.client.status != ClientStatus::Revoked {
        acts.revoke_client(caller.actor(), &id).await?;
    }
    Ok((StatusCode::NO_CONTENT, NO_STORE).into_response())
}
