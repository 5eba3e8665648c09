//! API clients in the portal: the list, a client's page, its name and contact, stopping it for a while.

use std::sync::Arc;

use authz_domain::{Actor, AuthenticationMethod, Client, ClientStatus, EmailAddress, SecretState};
use axum::{
    extract::{Path, State as Extract},
    response::Response,
};

use super::{
    error::PortalError,
    form::{Button, Errors, Field, Fields, Form, Kind, read_reason, why_field},
    page::{Block, Cell, Page, Table, link, see_other},
    snippets,
    visitor::{Posted, SignedIn, Visitor},
};
use crate::{
    mail::letters::shown,
    state::State,
    use_cases::{ClientView, UseCaseError, UseCases, named},
};

/// What a client is called: its name and the beginning of its id.
pub(super) fn name_of(client: &Client) -> String {
    let id = client.id.as_str().get(..8).unwrap_or(client.id.as_str());
    let place = client.organisation.as_ref().map_or_else(|| "public".to_owned(), ToString::to_string);
    if client.label.is_empty() {
        format!("{id} ({place})")
    } else {
        format!("{} {id} ({place})", client.label)
    }
}

/// A client that the visitor looks after; for all others there is no such page.
pub(super) async fn mine(state: &Arc<State>, one: &SignedIn, id: &str) -> Result<ClientView, PortalError> {
    let found = UseCases::of(Arc::clone(state)).client_of(&one.account.id, &one.held, id).await?;
    found.ok_or(PortalError::NotFound)
}

/// `GET /portal/clients`
pub(crate) async fn list(
    Extract(state): Extract<Arc<State>>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let one = visitor.require()?;
    let clients = UseCases::of(Arc::clone(&state)).clients_of(&one.account.id, &one.held).await?;
    let rows = clients
        .iter()
        .map(|view| {
            let client = &view.client;
            let role = state.settings.role(&client.role).map_or(client.role.as_str(), |role| &role.title);
            let live = view.secrets.iter().filter(|secret| secret.state == SecretState::Live);
            let ends = live.map(|secret| secret.secret.ends_at()).max();
            let used = view.secrets.iter().filter_map(|secret| secret.secret.last_used_at).max();
            vec![
                Cell::link(format!("/portal/clients/{}", client.id), name_of(client)),
                Cell::text(role),
                Cell::State(client.status.as_str().to_owned()),
                Cell::text(ends.map_or_else(|| "no live secret".to_owned(), shown)),
                Cell::text(used.map_or_else(|| "never".to_owned(), shown)),
            ]
        })
        .collect();
    Ok(Page::new("API clients")
        .block(Block::Table(Table {
            caption: "Clients that you look after".to_owned(),
            head: vec!["Client", "Role", "Status", "Secret works until", "Last used"],
            rows,
            empty: "You look after no API client yet.",
        }))
        .block(Block::Links(vec![
            link("/portal/api-access", "Request API access", ""),
            link("/portal/public-api-access", "Request Public API access PMS", ""),
        ]))
        .show(&visitor))
}

fn facts(acts: &UseCases, state: &State, view: &ClientView) -> Vec<(String, String)> {
    let (client, particulars) = (&view.client, acts.particulars(&view.client));
    let mut facts = vec![
        ("Status".to_owned(), client.status.as_str().to_owned()),
        ("Client Id".to_owned(), particulars.client_id),
        ("Role".to_owned(), particulars.role),
        (
            "Authenticates by".to_owned(),
            view.method().map_or("nothing live", AuthenticationMethod::noun).to_owned(),
        ),
    ];
    if client.dpop_required {
        facts.push(("Tokens".to_owned(), "only bound to a key of its own (DPoP)".to_owned()));
    }
    if !particulars.organisation.is_empty() {
        facts.push(("Organisation".to_owned(), particulars.organisation));
        let qualified = if client.qualified { "yes" } else { "no" };
        facts.push(("Qualified".to_owned(), qualified.to_owned()));
        facts.push(("Sees products".to_owned(), named(client.domains)));
    }
    facts.push(("May ask for".to_owned(), client.allowed.to_string()));
    facts.push(("Technical contact".to_owned(), client.contact.clone().unwrap_or_default()));
    facts.push(("Registered".to_owned(), shown(client.created_at)));
    facts.push((
        "Overlap after a rotation".to_owned(),
        format!("{} days", state.settings.overlap.whole_days()),
    ));
    facts
}

fn secrets_table(view: &ClientView) -> Block {
    let id = &view.client.id;
    let rows = view
        .secrets
        .iter()
        .map(|one| {
            let secret = &one.secret;
            let live = one.state == SecretState::Live;
            vec![
                Cell::text(if secret.proof.secret().is_some() {
                    format!("{}…", secret.hint)
                } else {
                    format!("{} {}", secret.proof.method().noun(), secret.hint)
                }),
                Cell::State(if live && secret.retires_at.is_some() {
                    "retiring".to_owned()
                } else {
                    one.state.as_str().to_owned()
                }),
                Cell::text(shown(secret.issued_at)),
                Cell::text(secret.last_used_at.map_or_else(|| "never".to_owned(), shown)),
                Cell::text(shown(secret.ends_at())),
                if live {
                    let href = format!("/portal/clients/{id}/end?secret={}", secret.id);
                    Cell::link(href, format!("Revoke {}", secret.hint))
                } else {
                    Cell::text("")
                },
            ]
        })
        .collect();
    Block::Table(Table {
        caption: "Secrets and keys, newest first".to_owned(),
        head: vec!["Secret", "State", "Issued", "Last used", "Works until", ""],
        rows,
        empty: "No secret was made yet: the link in the mail makes it.",
    })
}

fn client_page(state: &Arc<State>, view: &ClientView, fields: &Fields, errors: &Errors) -> Page {
    let acts = UseCases::of(Arc::clone(state));
    let (client, particulars) = (&view.client, acts.particulars(&view.client));
    let path = format!("/portal/clients/{}", client.id);
    let mut page =
        Page::new(name_of(client)).block(Block::Facts(facts(&acts, state, view))).block(secrets_table(view));
    if client.status == ClientStatus::Revoked {
        return page.block(Block::note("This client was revoked", "It cannot be used any more."));
    }
    page = page.block(Block::Links(vec![
        link(format!("{path}/rotate"), "Rotate", "A new secret; the old one works for a while."),
        link(
            format!("{path}/keys"),
            "Register keys",
            "A key or certificate of its own, in place of a secret.",
        ),
        link(format!("{path}/end"), "Revoke this client", "For good, with every token it has."),
    ]));
    let button = if client.status == ClientStatus::Active {
        Button::other("Suspend", "suspend")
    } else {
        Button::main("Resume")
    };
    let why = why_field(fields, errors);
    page = page.form(Form::post(format!("{path}/status"), vec![why], vec![button]));
    let label = Field::new(Kind::Text, "label", "Name of the client").optional().value(client.label.clone());
    let contact = Field::new(Kind::Email, "contact", "API technical contact")
        .value(client.contact.clone().unwrap_or_default());
    let snippet = |label: &'static str, text: String| Block::Snippet { label, text };
    page.block(Block::Heading("Name and contact".to_owned()))
        .form(Form::post(
            path,
            vec![label.typed(fields, errors), contact.typed(fields, errors)],
            vec![Button::main("Save")],
        ))
        .block(Block::Heading("Settings to copy".to_owned()))
        .block(snippet("Settings", snippets::settings(&particulars)))
        .block(Block::Heading("A first call with curl".to_owned()))
        .block(snippet("curl", snippets::curl(&particulars)))
        .block(Block::Heading("The same in Python".to_owned()))
        .block(snippet("Python", snippets::python(&particulars)))
        .block(Block::Heading("Rotation by the machine itself".to_owned()))
        .text(
            "This script asks for a token with the scope client.rotate, which is good for nothing else, and puts the \
             new secret into the file in place of the old one.",
        )
        .block(snippet("Shell script", snippets::rotation(&particulars)))
}

/// `GET /portal/clients/{id}`
pub(crate) async fn show(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let view = mine(&state, visitor.require()?, &id).await?;
    Ok(client_page(&state, &view, &Fields::default(), &Errors::default()).show(&visitor))
}

/// `POST /portal/clients/{id}`: name and contact.
pub(crate) async fn save(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let one = visitor.require()?;
    let view = mine(&state, one, &id).await?;
    let mut errors = Errors::default();
    let contact = errors.take("contact", fields.get("contact").parse::<EmailAddress>());
    if let Some(contact) = &contact
        && contact.key() != one.account.email.key()
        && view.client.contact.as_deref() != Some(contact.as_str())
    {
        errors.take("contact", state.settings.portal.registration.check_address(contact));
    }
    if errors.is_empty() {
        let actor = Actor::Account(one.account.id.clone());
        let acts = UseCases::of(Arc::clone(&state));
        match acts.change_client(actor, &id, fields.get("label"), Some(fields.get("contact"))).await {
            Ok(()) => return Ok(see_other(&visitor, &format!("/portal/clients/{id}"))),
            Err(UseCaseError::Particulars(refused)) => errors.add("label", refused),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(client_page(&state, &view, &fields, &errors).show(&visitor))
}

/// `POST /portal/clients/{id}/status`: suspends a client, or lets it go on.
pub(crate) async fn status(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let one = visitor.require()?;
    let view = mine(&state, one, &id).await?;
    let reason = match read_reason(&fields, false) {
        Ok(reason) => reason,
        Err(problem) => {
            let errors = Errors::of("reason", problem);
            return Ok(client_page(&state, &view, &fields, &errors).show(&visitor));
        }
    };
    let (actor, acts) = (Actor::Account(one.account.id.clone()), UseCases::of(state).because(reason)?);
    if fields.get("do") == "suspend" {
        acts.suspend_client(actor, &id).await?;
    } else {
        acts.resume_client(actor, &id).await?;
    }
    Ok(see_other(&visitor, &format!("/portal/clients/{id}")))
}
