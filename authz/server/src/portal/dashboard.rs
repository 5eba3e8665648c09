//! The start page, terms and the privacy statement, and what a new role asks for at first.

use std::sync::Arc;

use authz_store::{granted_roles, outbox};
use axum::{
    extract::{Path, State as Extract},
    response::Response,
};

use super::{
    error::PortalError,
    form::{Button, Errors, Field, Fields, Form, Kind},
    page::{Block, Cell, Page, Table, link, see_other},
    visitor::{Posted, SignedIn, Visitor},
};
use crate::{state::State, use_cases::UseCases};

/// `GET /portal`
pub(crate) async fn get(
    Extract(state): Extract<Arc<State>>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let Some(one) = &visitor.signed_in else { return Ok(welcome().show(&visitor)) };
    if let Some(id) = asked_first(&state, one) {
        return Ok(see_other(&visitor, &format!("/portal/preference/{id}")));
    }
    let mut page = Page::new(format!("Hello, {}", one.account.first_name));
    let catalogue = &state.settings.portal.catalogue;
    let idle: Vec<_> = one.roles.iter().filter(|role| !one.held.contains(&role.held())).collect();
    if !idle.is_empty() {
        let text = "One of your roles needs a second factor. Set one up under Account, then sign in with it.";
        page = page.block(Block::Notice {
            look: "bad",
            title: "A role of yours is not in effect yet".to_owned(),
            text: vec![text.to_owned()],
        });
    }
    if one.reviews {
        let waiting = UseCases::of(Arc::clone(&state)).waiting_for(one.reviewer()).await?.len();
        let text = if waiting == 1 {
            "1 request waits for you.".to_owned()
        } else {
            format!("{waiting} requests wait for you.")
        };
        let mut links = vec![link("/portal/review", "Reviews", text)];
        if one.for_agency {
            let (waiting, _) = outbox::waiting(&mut state.database.read().await?.db()).await?;
            let text = format!("{waiting} mails and text messages were not sent yet.");
            links.push(link("/portal/messages", "Messages", text));
        }
        page = page.block(Block::Links(links));
    }
    let rows = one
        .roles
        .iter()
        .map(|role| {
            let known = catalogue.role(&role.role);
            let application = known.and_then(|known| catalogue.application(&known.application));
            vec![
                Cell::text(application.map_or("", |one| one.title.as_str())),
                Cell::text(catalogue.title_of(&role.role)),
                Cell::text(role.organisation.as_ref().map(ToString::to_string).unwrap_or_default()),
                Cell::text(role.language.clone().or_else(|| role.preference.clone()).unwrap_or_default()),
            ]
        })
        .collect();
    Ok(page
        .block(Block::Table(Table {
            caption: "Your roles".to_owned(),
            head: vec!["Application", "Role", "Organisation", "Details"],
            rows,
            empty: "You have no roles yet.",
        }))
        .block(Block::Links(vec![
            link(
                "/portal/requests/new",
                "Request access",
                "Choose an application, your organisation and a role.",
            ),
            link("/portal/clients", "API clients", "Credentials of machines: request, rotate, renew."),
            link("/portal/requests", "Track my requests", "Where your requests stand, and who decides."),
            link("/portal/account", "Account", "Your details, password, second factor and sessions."),
        ]))
        .show(&visitor))
}

fn welcome() -> Page {
    Page::new("Welcome to account management")
        .text("Create an account, ask for access to applications, and manage it.")
        .block(Block::Links(vec![
            link(
                "/portal/register",
                "Create an account",
                "With your real name and your own work address: generic and personal mailboxes are not accepted.",
            ),
            link("/portal/sign-in", "Sign in", "With your user name or e-mail address."),
            link("/portal/recover", "Recover your user name or password", "By mail to your registered address."),
            link("/portal/recover/account", "Re-activate your account", "If you ended it and want it back."),
            link("/portal/organisations", "Find your organisation", "Names, ORG-IDs and locations, without signing in."),
        ]))
}

/// The first role whose question at the first sign-in is not answered.
fn asked_first(state: &State, one: &SignedIn) -> Option<String> {
    let catalogue = &state.settings.portal.catalogue;
    one.roles
        .iter()
        .find(|role| {
            let asks = catalogue.role(&role.role).is_some_and(|known| known.preference.is_some());
            asks && role.preference.is_none() && one.held.contains(&role.held())
        })
        .map(|role| role.id.clone())
}

fn preference_page(state: &State, one: &SignedIn, id: &str, errors: &Errors) -> Option<Page> {
    let role = one.roles.iter().find(|role| role.id == id)?;
    let known = state.settings.portal.catalogue.role(&role.role)?;
    let asked = known.preference.as_ref()?;
    let mut field = Field::new(Kind::Radios, "choice", asked.title.clone());
    for choice in &asked.choices {
        let chosen = role.preference.as_deref() == Some(choice);
        field = field.choice(choice.clone(), choice.clone(), "", chosen);
    }
    Some(
        Page::new(asked.title.clone())
            .text(format!("This is your first sign-in as {}. Please choose.", known.title))
            .form(Form::post(
                format!("/portal/preference/{id}"),
                vec![field.typed(&Fields::default(), errors)],
                vec![Button::main("Save")],
            )),
    )
}

/// `GET /portal/preference/{id}`
pub(crate) async fn preference(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let page = preference_page(&state, visitor.require()?, &id, &Errors::default());
    Ok(page.ok_or(PortalError::NotFound)?.show(&visitor))
}

/// `POST /portal/preference/{id}`
pub(crate) async fn choose(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let one = visitor.require()?;
    let choice = fields.get("choice");
    let role = one.roles.iter().find(|role| role.id == id).ok_or(PortalError::NotFound)?;
    let known = state.settings.portal.catalogue.role(&role.role);
    let fits = known
        .and_then(|known| known.preference.as_ref())
        .is_some_and(|asked| asked.choices.iter().any(|one| one == choice));
    if !fits {
        let page = preference_page(&state, one, &id, &Errors::of("choice", "Choose one."));
        return Ok(page.ok_or(PortalError::NotFound)?.show(&visitor));
    }
    let mut work = state.database.begin().await?;
    granted_roles::set_preference(&mut work.db(), &id, choice).await?;
    work.commit().await?;
    Ok(see_other(&visitor, "/portal"))
}

/// `GET /portal/privacy`
pub(crate) async fn privacy(extract: Extract<Arc<State>>, visitor: Visitor) -> Result<Response, PortalError> {
    terms(extract, Path("privacy".to_owned()), visitor).await
}

/// `GET /portal/terms/{id}`
pub(crate) async fn terms(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let terms = state.settings.portal.catalogue.terms(&id).ok_or(PortalError::NotFound)?;
    let paragraphs = terms.text.split("\n\n").map(|text| Block::text(text.trim()));
    Ok(Page::new(terms.title.clone())
        .blocks(paragraphs)
        .text(format!("Version {}", terms.version))
        .show(&visitor))
}
