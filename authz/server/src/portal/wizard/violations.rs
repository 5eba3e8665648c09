//! Roles that exclude each other stop a request on its way to the recap.

use std::sync::Arc;

use axum::{
    extract::{Path, State as Extract},
    response::Response,
};

use super::{change, draft, step, step_page};
use crate::{
    portal::{
        error::PortalError,
        form::{Button, Form},
        page::{Block, see_other},
        visitor::{Posted, Visitor},
    },
    state::State,
    use_cases::UseCases,
};

/// `GET /portal/requests/{id}/violations`: three ways out.
pub(in crate::portal) async fn get(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let plan = draft(&state, visitor.require()?, &id).await?;
    if plan.violations.is_empty() {
        return Ok(see_other(&visitor, &step(&id, "recap")));
    }
    let catalogue = &state.settings.portal.catalogue;
    let lines = plan.violations.iter().map(|broken| {
        let against = if broken.against_held { "which you hold" } else { "which you also ask for" };
        format!(
            "{} {} does not go with {}, {against}.",
            broken.rule,
            catalogue.title_of(&broken.wanted),
            catalogue.title_of(&broken.against)
        )
    });
    let mut buttons: Vec<Button> = plan
        .roles
        .iter()
        .map(|one| Button::other(format!("Remove {}", one.role.title), format!("remove {}", one.role.id)))
        .collect();
    let waivable = plan.violations.iter().all(|broken| broken.waivable);
    if waivable {
        buttons.push(Button::other("Go on with the violation", "waive"));
    }
    buttons.push(Button::other("Back to the roles", "back"));
    buttons.push(Button::danger("Cancel the request", "cancel"));
    let mut page = step_page("These roles exclude each other", 2).block(Block::Notice {
        look: "bad",
        title: "A rule is broken".to_owned(),
        text: lines.collect(),
    });
    page = page.text(if waivable {
        "You can remove a role, go on and let the reviewer decide, or cancel."
    } else {
        "This rule cannot be waived. You can remove a role or cancel."
    });
    Ok(page.form(Form::post(step(&id, "violations"), Vec::new(), buttons)).show(&visitor))
}

/// `POST /portal/requests/{id}/violations`
pub(in crate::portal) async fn post(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let one = visitor.require()?;
    let act = fields.get("do");
    if act == "back" {
        return Ok(see_other(&visitor, &step(&id, "roles")));
    }
    if act == "cancel" {
        UseCases::of(Arc::clone(&state)).withdraw_request(&one.account, &id).await?;
        return Ok(see_other(&visitor, "/portal/requests"));
    }
    let plan = draft(&state, one, &id).await?;
    if act == "waive" && plan.violations.iter().all(|broken| broken.waivable) {
        change(&state, one, &id, |request| request.waiver_asked = true).await?;
    } else if let Some(role) = act.strip_prefix("remove ") {
        change(&state, one, &id, |request| request.roles.retain(|other| other != role)).await?;
    }
    let plan = draft(&state, one, &id).await?;
    let next = if plan.request.roles.is_empty() {
        "roles"
    } else if plan.violations.is_empty() || plan.request.waiver_asked {
        "recap"
    } else {
        "violations"
    };
    Ok(see_other(&visitor, &step(&id, next)))
}
