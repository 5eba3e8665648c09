//! The Service-Desk form "Request SPOR API Services": renewal of API secret credentials (EU IG PMS Chapter 1 §3.2.1.1,
//! Annex B §2.4).

use std::sync::Arc;

use authz_domain::AuthenticationMethod;
use axum::{
    extract::{RawQuery, State as Extract},
    response::Response,
};
use http::StatusCode;

use super::{
    api_access::tracked,
    clients::name_of,
    error::PortalError,
    form::{Button, Errors, Field, Fields, Form, Kind},
    page::{Block, Page, see_other},
    visitor::{Posted, SignedIn, Visitor},
};
use crate::{
    state::State,
    use_cases::{RenewalForm, Submitted, UseCases, new_id},
};

async fn page(
    state: &Arc<State>,
    one: &SignedIn,
    id: &str,
    fields: &Fields,
    errors: &Errors,
) -> Result<Page, PortalError> {
    let acts = UseCases::of(Arc::clone(state));
    let mut clients = acts.clients_of(&one.account.id, &one.held).await?;
    // Keys and certificates are registered, not mailed.
    clients.retain(|view| view.method().is_none_or(|method| method == AuthenticationMethod::ClientSecret));
    let intro = Page::new("Request SPOR API Services").text(
        "Renewal of API secret credentials: the new credentials are mailed to the client's technical contact. Submit \
         the request before the current credentials expire. Old and new secret work side by side for a while.",
    );
    if clients.is_empty() {
        return Ok(intro.block(Block::note(
            "There is nothing to renew",
            "You look after no API client that has a secret.",
        )));
    }
    let mut role = Field::new(Kind::Radios, "role", "SPOR API Request Type");
    let mut environment = Field::new(Kind::Select, "environment", "Environment");
    for of_organisation in [true, false] {
        if let Some(known) = state.settings.portal.catalogue.renewing(of_organisation) {
            role = role.choice(known.id.clone(), known.title.clone(), known.summary.clone(), of_organisation);
            let name = acts.environment_of(of_organisation);
            environment = environment.choice(name.clone(), name, "", of_organisation);
        }
    }
    let mut client = Field::new(Kind::Select, "client", "Client");
    for view in &clients {
        client = client.choice(view.client.id.to_string(), name_of(&view.client), "", false);
    }
    let mut all = vec![
        Field::hidden("request", id),
        role.typed(fields, errors),
        environment.typed(fields, errors),
        client.typed(fields, errors),
    ];
    if fields.has("sure") || errors.has("sure") {
        let sure = Field::new(Kind::Tick, "sure", "The older of the client's two secrets may end at once");
        all.push(sure.typed(fields, errors));
    }
    let buttons = vec![Button::main("Submit"), Button::other("Cancel", "cancel")];
    Ok(intro.form(Form::post("/portal/api-services", all, buttons)))
}

/// `GET /portal/api-services`
pub(crate) async fn get(
    Extract(state): Extract<Arc<State>>,
    RawQuery(query): RawQuery,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let one = visitor.require()?;
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    Ok(page(&state, one, &new_id()?, &query, &Errors::default()).await?.show(&visitor))
}

/// `POST /portal/api-services`
pub(crate) async fn post(
    Extract(state): Extract<Arc<State>>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let one = visitor.require()?;
    if fields.get("do") == "cancel" {
        return Ok(see_other(&visitor, "/portal/access"));
    }
    // Made with the page: sending it twice is one request.
    let id = fields.get("request");
    if uuid::Uuid::try_parse(id).is_err() {
        return Err(PortalError::NotFound);
    }
    let form = RenewalForm {
        role: fields.get("role").to_owned(),
        environment: fields.get("environment").to_owned(),
        client: fields.get("client").to_owned(),
        sure: fields.has("sure"),
    };
    let acts = UseCases::of(Arc::clone(&state));
    match acts.request_renewal(&one.account, &one.held, id, &form).await? {
        Some(Submitted::Request(request)) => Ok(see_other(&visitor, &tracked(request.number))),
        Some(Submitted::Refused(refused)) => {
            let errors = Errors::of(refused.field, refused.problem);
            let page = page(&state, one, id, &fields, &errors).await?;
            Ok(page.status(StatusCode::UNPROCESSABLE_ENTITY).show(&visitor))
        }
        Some(Submitted::NoTerms) | None => Err(PortalError::NotFound),
    }
}
