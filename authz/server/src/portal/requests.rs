//! Tracking one's requests: where they stand, who decides, why not; taking one back.

use std::sync::Arc;

use authz_domain::{AccessRequest, AccessRole, RequestState, request_name};
use authz_store::access_requests;
use axum::{
    extract::{Path, RawQuery, State as Extract},
    response::Response,
};

use super::{
    documents::file_field,
    error::PortalError,
    form::{Button, Errors, Fields, Form},
    page::{Block, Cell, Page, Table, link, see_other},
    visitor::{Posted, Visitor},
};
use crate::{
    mail::letters::shown,
    state::State,
    use_cases::{RequestPlan, UseCases, named},
};

/// Requests on one page.
const SHOWN: i64 = 100;

/// `GET /portal/requests`
pub(crate) async fn list(
    Extract(state): Extract<Arc<State>>,
    RawQuery(query): RawQuery,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let one = visitor.require()?;
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let acts = UseCases::of(Arc::clone(&state));
    let mut reader = state.database.read().await?;
    let all = access_requests::of_account(&mut reader.db(), &one.account.id, SHOWN).await?;
    let catalogue = &state.settings.portal.catalogue;
    let mut page = Page::new("Track my requests");
    let numbers: Vec<i64> = query.get("submitted").split('.').filter_map(|n| n.parse().ok()).collect();
    for request in all.iter().filter(|one| one.number.is_some_and(|number| numbers.contains(&number))) {
        let about_credentials =
            request.roles.iter().any(|id| catalogue.role(id).is_some_and(AccessRole::is_about_credentials));
        let text = match (request.state, about_credentials) {
            (RequestState::Approved, false) => "It was approved by the system at once: the roles work now.",
            (RequestState::Approved, true) => {
                "It was approved by the system at once: the credentials are on their way to the technical contact."
            }
            _ => "It was submitted. You get a mail when it is decided.",
        };
        page = page.block(Block::good(format!("Request {}", request.name()), text));
    }
    let rows = all
        .iter()
        .map(|request| {
            let href = if request.state == RequestState::Draft {
                format!("/portal/requests/{}/organisation", request.id)
            } else {
                format!("/portal/requests/{}", request.id)
            };
            vec![
                Cell::link(href, request.name()),
                Cell::text(acts.what(request)),
                Cell::State(request.state.title().to_owned()),
                Cell::text(if request.state.is_open() { acts.who_decides(request) } else { String::new() }),
                Cell::text(request.submitted_at.map(shown).unwrap_or_default()),
                Cell::text(request.decided_at.map(shown).unwrap_or_default()),
                Cell::text(request.reason.clone()),
            ]
        })
        .collect();
    Ok(page
        .block(Block::Table(Table {
            caption: "Your requests, newest first".to_owned(),
            head: vec!["Request", "What", "State", "Who decides", "Submitted", "Decided", "Reason"],
            rows,
            empty: "You have not asked for anything yet.",
        }))
        .block(Block::Links(vec![link("/portal/requests/new", "Request access", "")]))
        .show(&visitor))
}

/// What is known of a request, for its requester and for reviewers.
pub(super) async fn facts(acts: &UseCases, plan: &RequestPlan) -> Result<Vec<(String, String)>, PortalError> {
    let request = &plan.request;
    let mut facts = vec![
        ("Request".to_owned(), request.number.map_or_else(|| "Draft".to_owned(), request_name)),
        ("What".to_owned(), acts.what(request)),
        ("State".to_owned(), request.state.title().to_owned()),
    ];
    if let Some(organisation) = &plan.organisation {
        facts.push(("Organisation".to_owned(), format!("{} ({})", organisation.name, organisation.id)));
    }
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            facts.push((name.to_owned(), value));
        }
    };
    if let Some(access) = acts.api_access_of(&request.id).await? {
        add("Client", access.client);
        add("Name of the client", Some(access.label));
        add("Technical contact", Some(access.contact));
        add("Environment", access.environment);
        if request.organisation.is_some() {
            add("Qualified", Some(if access.qualified { "yes" } else { "no" }.to_owned()));
            add("Sees products", Some(named(access.domains)));
        }
        add("Narrower scope", access.scope);
    }
    add("Language", request.language.clone());
    add("Comment", Some(request.comment.clone()));
    add("Submitted", request.submitted_at.map(shown));
    add("Who decides", Some(acts.who_decides(request)).filter(|_| request.state.is_open()));
    add("Decided", request.decided_at.map(shown));
    add("Reason", Some(request.reason.clone()));
    Ok(facts)
}

pub(super) async fn show_page(
    state: &Arc<State>,
    plan: &RequestPlan,
    errors: &Errors,
) -> Result<Page, PortalError> {
    let acts = UseCases::of(Arc::clone(state));
    let request: &AccessRequest = &plan.request;
    let mut page = Page::new(request.name()).block(Block::Facts(facts(&acts, plan).await?));
    if !plan.documents.is_empty() {
        let names = plan.documents.iter().map(|one| one.file_name.clone()).collect();
        page = page.block(Block::Heading("Documents".to_owned())).block(Block::List(names));
    }
    if request.state == RequestState::WaitingForDocuments {
        let path = format!("/portal/requests/{}/documents", request.id);
        let form = Form::post(path, vec![file_field(plan, errors)], vec![Button::main("Attach")]);
        page = page.form(form.with_files());
    }
    if request.state.is_open() {
        let button = Button::danger("Withdraw this request", "withdraw");
        page = page.form(Form::post(format!("/portal/requests/{}", request.id), Vec::new(), vec![button]));
    }
    Ok(page)
}

/// `GET /portal/requests/{id}`
pub(crate) async fn show(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let one = visitor.require()?;
    let plan = UseCases::of(Arc::clone(&state)).plan_request(&one.account, &id).await?;
    let plan = plan.ok_or(PortalError::NotFound)?;
    if plan.request.state == RequestState::Draft {
        return Ok(see_other(&visitor, &format!("/portal/requests/{id}/recap")));
    }
    let mut page = show_page(&state, &plan, &Errors::default()).await?;
    if let Some(access) = UseCases::of(Arc::clone(&state)).api_access_of(&id).await?
        && let Some(client) = access.client
    {
        let words = "Its secrets, settings to copy, rotation.";
        page = page.block(Block::Links(vec![link(
            format!("/portal/clients/{client}"),
            "The API client",
            words,
        )]));
    }
    Ok(page.show(&visitor))
}

/// `POST /portal/requests/{id}`
pub(crate) async fn withdraw(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    Posted { visitor, .. }: Posted,
) -> Result<Response, PortalError> {
    let one = visitor.require()?;
    if !UseCases::of(Arc::clone(&state)).withdraw_request(&one.account, &id).await? {
        return Err(PortalError::NotFound);
    }
    Ok(see_other(&visitor, &format!("/portal/requests/{id}")))
}
