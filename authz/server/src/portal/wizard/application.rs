//! Step 1: the application.

use std::sync::Arc;

use axum::{
    extract::{RawQuery, State as Extract},
    response::Response,
};

use super::{needs_organisation, step, step_page};
use crate::{
    portal::{
        error::PortalError,
        form::{Button, Errors, Field, Fields, Form, Kind},
        page::{Page, see_other},
        visitor::{Posted, Visitor},
    },
    state::State,
    use_cases::UseCases,
};

fn page(state: &State, chosen: &str, errors: &Errors) -> Page {
    let mut field = Field::new(Kind::Radios, "application", "Application");
    for one in state.settings.portal.catalogue.offered() {
        field = field.choice(one.id.clone(), one.title.clone(), one.summary.clone(), one.id == chosen);
    }
    step_page("Request access", 0).form(Form::post(
        "/portal/requests/new",
        vec![field.with_error(errors)],
        vec![Button::main("Next: organisation")],
    ))
}

/// `GET /portal/requests/new`
pub(in crate::portal) async fn get(
    Extract(state): Extract<Arc<State>>,
    RawQuery(query): RawQuery,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    visitor.require()?;
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    Ok(page(&state, query.get("application"), &Errors::default()).show(&visitor))
}

/// `POST /portal/requests/new`
pub(in crate::portal) async fn post(
    Extract(state): Extract<Arc<State>>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let one = visitor.require()?;
    let wanted = fields.get("application");
    if !state.settings.portal.catalogue.offered().any(|application| application.id == wanted) {
        let errors = Errors::of("application", "Choose an application.");
        return Ok(page(&state, "", &errors).show(&visitor));
    }
    let id = UseCases::of(Arc::clone(&state)).begin_request(&one.account.id, wanted).await?;
    let next = if needs_organisation(&state, wanted) { "organisation" } else { "roles" };
    Ok(see_other(&visitor, &step(&id, next)))
}
