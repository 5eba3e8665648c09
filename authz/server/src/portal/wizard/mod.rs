//! Asking for access in four steps: application, organisation, roles, recap. Each step is kept as a draft, so that
//! going back, reloading and coming back later lose nothing.

pub(super) mod application;
pub(super) mod organisation;
pub(super) mod recap;
pub(super) mod roles;
pub(super) mod violations;

use std::sync::Arc;

use authz_domain::{AccessRequest, RequestState};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;

use super::{
    error::PortalError,
    page::Page,
    visitor::{SignedIn, Visitor},
};
use crate::{
    state::State,
    use_cases::{RequestPlan, UseCases},
};

/// The script that keeps what is typed while it is typed.
const KEEPING: &str = "/assets/draft.js";

/// A page of the wizard.
fn step_page(title: &str, now: usize) -> Page {
    let labels = ["Application", "Organisation", "Roles", "Recap and submit"];
    Page::new(title).steps(super::page::steps(&labels, now))
}

/// A draft of who is signed in.
async fn draft(state: &Arc<State>, one: &SignedIn, id: &str) -> Result<RequestPlan, PortalError> {
    let plan = UseCases::of(Arc::clone(state)).plan_request(&one.account, id).await?;
    plan.filter(|plan| plan.request.state == RequestState::Draft).ok_or(PortalError::NotFound)
}

/// Changes a draft of who is signed in.
async fn change(
    state: &Arc<State>,
    one: &SignedIn,
    id: &str,
    change: impl FnOnce(&mut AccessRequest) + Send,
) -> Result<AccessRequest, PortalError> {
    let changed = UseCases::of(Arc::clone(state)).change_draft(&one.account.id, id, change).await?;
    changed.ok_or(PortalError::NotFound)
}

/// Whether an application's roles are held in organisations.
fn needs_organisation(state: &State, application: &str) -> bool {
    !state.settings.portal.catalogue.categories_of(application).is_empty()
}

/// The address of a step of a request.
fn step(id: &str, name: &str) -> String {
    format!("/portal/requests/{id}/{name}")
}

/// The address of the step before the roles.
fn before_roles(state: &State, request: &AccessRequest) -> String {
    if needs_organisation(state, &request.application) {
        step(&request.id, "organisation")
    } else {
        first_step(&request.application)
    }
}

/// The address of the first step with this application chosen.
fn first_step(application: &str) -> String {
    format!("/portal/requests/new?application={application}")
}

/// The answer to the script: it is kept, stay where you are.
fn kept(visitor: &Visitor) -> Response {
    visitor.with_cookie(StatusCode::NO_CONTENT.into_response())
}
