//! How an organisation's own systems hear what happens: its calendar and its webhooks.

use std::sync::Arc;

use authz_domain::{Actor, WebhookEvent};
use authz_store::webhooks::{Delivery, Webhook};
use axum::{
    extract::{Path, State as Extract},
    response::Response,
};
use pms_terms::OrganisationId;

use super::{
    error::PortalError,
    form::{Button, Errors, Field, Fields, Form, Kind},
    page::{Block, Cell, Page, Table, see_other},
    visitor::{Posted, SignedIn, Visitor},
};
use crate::{
    mail::letters::shown,
    state::State,
    use_cases::{NewWebhook, UseCaseError, UseCases},
};

/// What stands for the agency's own in a form.
const AGENCY: &str = "agency";

fn actor(one: &SignedIn) -> Actor {
    Actor::Account(one.account.id.clone())
}

/// For whom somebody may set things up: the organisations they administer, and the agency.
fn places(one: &SignedIn) -> Vec<Option<OrganisationId>> {
    let agency = one.for_agency.then_some(None);
    agency.into_iter().chain(one.administers.iter().cloned().map(Some)).collect()
}

/// The place that a form is about, if it is theirs.
fn place(one: &SignedIn, fields: &Fields) -> Result<Option<OrganisationId>, PortalError> {
    let wanted = match fields.get("organisation") {
        AGENCY => None,
        id => Some(id.parse().map_err(|_| PortalError::NotFound)?),
    };
    if places(one).contains(&wanted) { Ok(wanted) } else { Err(PortalError::NotFound) }
}

fn place_field(place: Option<&OrganisationId>) -> Field {
    Field::hidden("organisation", place.map_or(AGENCY, OrganisationId::as_str))
}

async fn overview(
    state: &Arc<State>,
    one: &SignedIn,
    typed: &Fields,
    errors: &Errors,
) -> Result<Page, PortalError> {
    let acts = UseCases::of(Arc::clone(state));
    let mut page = Page::new("Notifications").text(
        "Reminders of expiring secrets go by mail to technical contacts and administrators. Here your own systems can \
         hear of them, too.",
    );
    let all = acts.list_webhooks(&one.administers, one.for_agency).await?;
    for place in places(one) {
        let title = place.as_ref().map_or("The agency".to_owned(), ToString::to_string);
        page = page.block(Block::Heading(title.clone()));
        if let Some(organisation) = &place {
            let (text, buttons) = match acts.calendar_since(organisation).await? {
                None => (
                    "The calendar shows when secrets expire. It has no address yet.".to_owned(),
                    vec![Button::other("Make a calendar address", "renew")],
                ),
                Some(since) => (
                    format!("The calendar has a private address since {}. A new one ends it.", shown(since)),
                    vec![
                        Button::other("Make a new calendar address", "renew"),
                        Button::danger("Take the calendar address away", "remove"),
                    ],
                ),
            };
            let fields = vec![place_field(Some(organisation))];
            page = page.text(text).form(Form::post("/portal/notifications/calendar", fields, buttons));
        }
        let rows = all
            .iter()
            .filter(|hook| hook.organisation == place)
            .map(|hook| {
                vec![
                    Cell::link(format!("/portal/webhooks/{}", hook.id), hook.url.clone()),
                    Cell::text(told(hook)),
                    Cell::State(if hook.active { "active" } else { "stopped" }.to_owned()),
                ]
            })
            .collect();
        page = page.block(Block::Table(Table {
            caption: format!("Webhooks of {title}"),
            head: vec!["Address", "Told", "State"],
            rows,
            empty: "No webhooks yet.",
        }));
        let about_this = typed.get("organisation") == place.as_ref().map_or(AGENCY, OrganisationId::as_str);
        let (nothing, no_errors) = (Fields::default(), Errors::default());
        let (typed, errors) = if about_this { (typed, errors) } else { (&nothing, &no_errors) };
        page = page.block(Block::Links(vec![(
            new_webhook_path(place.as_ref()),
            format!("Add a webhook for {title}"),
            "Standard Webhooks: signed, tried again until they arrive.".to_owned(),
        )]));
        if about_this {
            page = page.form(webhook_form(place.as_ref(), typed, errors));
        }
    }
    Ok(page)
}

fn told(hook: &Webhook) -> String {
    if hook.events.is_empty() { "everything".to_owned() } else { hook.events.join(", ") }
}

fn new_webhook_path(place: Option<&OrganisationId>) -> String {
    format!("/portal/notifications/webhooks/{}", place.map_or(AGENCY, OrganisationId::as_str))
}

fn webhook_form(place: Option<&OrganisationId>, typed: &Fields, errors: &Errors) -> Form {
    let mut events = Field::new(Kind::Ticks, "events", "Tell it").hint("None ticked: everything.").optional();
    for event in WebhookEvent::ALL {
        events = events.choice(event.as_str(), event.title(), event.as_str(), false);
    }
    let url = Field::new(Kind::Text, "url", "Address")
        .hint("An https:// address that takes POST. Its signing secret is shown once, after this.");
    Form::post(
        new_webhook_path(place),
        vec![place_field(place), url.typed(typed, errors), events.typed(typed, errors)],
        vec![Button::main("Add the webhook")],
    )
}

fn require(visitor: &Visitor) -> Result<&SignedIn, PortalError> {
    let one = visitor.require()?;
    if places(one).is_empty() { Err(PortalError::NotFound) } else { Ok(one) }
}

/// `GET /portal/notifications`
pub(crate) async fn get(
    Extract(state): Extract<Arc<State>>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let page = overview(&state, require(&visitor)?, &Fields::default(), &Errors::default()).await?;
    Ok(page.show(&visitor))
}

/// `POST /portal/notifications/calendar`
pub(crate) async fn calendar(
    Extract(state): Extract<Arc<State>>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let one = require(&visitor)?;
    let organisation = place(one, &fields)?.ok_or(PortalError::NotFound)?;
    let acts = UseCases::of(Arc::clone(&state));
    if fields.get("do") == "remove" {
        acts.remove_calendar(actor(one), &organisation).await?;
        return Ok(see_other(&visitor, "/portal/notifications"));
    }
    let key = acts.renew_calendar(actor(one), &organisation).await?;
    let address = format!("{}/portal/calendar.ics?key={key}", state.settings.base_url);
    Ok(Page::new(format!("Calendar of {organisation}"))
        .block(Block::good(
            "This is its address",
            "It is shown this once. Whoever has it can read the calendar.",
        ))
        .block(Block::Plain(address))
        .text("Add it to a calendar program as a subscribed calendar.")
        .block(back())
        .show(&visitor))
}

fn back() -> Block {
    Block::Links(vec![("/portal/notifications".to_owned(), "Notifications".to_owned(), String::new())])
}

/// `GET /portal/notifications/webhooks/{place}`
pub(crate) async fn new_webhook(
    Extract(state): Extract<Arc<State>>,
    Path(wanted): Path<String>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let one = require(&visitor)?;
    let typed = Fields::of("organisation", &wanted);
    place(one, &typed)?;
    Ok(overview(&state, one, &typed, &Errors::default()).await?.show(&visitor))
}

/// `POST /portal/notifications/webhooks/{place}`
pub(crate) async fn add_webhook(
    Extract(state): Extract<Arc<State>>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let one = require(&visitor)?;
    let organisation = place(one, &fields)?;
    let wanted = fields.all("events");
    let events = WebhookEvent::ALL.into_iter().filter(|event| wanted.iter().any(|one| one == event.as_str()));
    let new = NewWebhook { organisation, url: fields.get("url").to_owned(), events: events.collect() };
    match UseCases::of(Arc::clone(&state)).create_webhook(actor(one), new).await {
        Ok((id, secret)) => Ok(Page::new("The webhook is set up")
            .block(Block::good(
                "This is its signing secret",
                "It is shown this once. Give it to the receiver.",
            ))
            .block(Block::Plain(secret.to_string()))
            .block(Block::Links(vec![(
                format!("/portal/webhooks/{id}"),
                "See its messages".to_owned(),
                String::new(),
            )]))
            .block(back())
            .show(&visitor)),
        Err(UseCaseError::Webhook(problem)) => {
            let errors = Errors::of("url", problem);
            Ok(overview(&state, one, &fields, &errors).await?.show(&visitor))
        }
        Err(error) => Err(error.into()),
    }
}

/// A webhook that is theirs to look after.
async fn theirs(acts: &UseCases, one: &SignedIn, id: &str) -> Result<(Webhook, Vec<Delivery>), PortalError> {
    let view = acts.show_webhook(id).await?.ok_or(PortalError::NotFound)?;
    let theirs =
        one.for_agency || view.webhook.organisation.as_ref().is_some_and(|id| one.administers.contains(id));
    if theirs { Ok((view.webhook, view.deliveries)) } else { Err(PortalError::NotFound) }
}

/// `GET /portal/webhooks/{id}`
pub(crate) async fn show_webhook(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let one = require(&visitor)?;
    let (hook, deliveries) = theirs(&UseCases::of(Arc::clone(&state)), one, &id).await?;
    let path = format!("/portal/webhooks/{id}");
    let rows = deliveries.iter().map(|message| row(&path, message)).collect();
    let toggle = if hook.active {
        Button::other("Stop it for now", "stop")
    } else {
        Button::other("Let it go on", "start")
    };
    Ok(Page::new("Webhook")
        .block(Block::Facts(vec![
            ("Address".to_owned(), hook.url.clone()),
            ("Told".to_owned(), told(&hook)),
            (
                "Of".to_owned(),
                hook.organisation.as_ref().map_or("every organisation".to_owned(), ToString::to_string),
            ),
            ("State".to_owned(), if hook.active { "active" } else { "stopped" }.to_owned()),
            ("Since".to_owned(), shown(hook.created_at)),
        ]))
        .block(Block::Table(Table {
            caption: "Messages: those given up first, then the newest".to_owned(),
            head: vec!["Id", "Event", "When", "State", "Tries", "Last failure", ""],
            rows,
            empty: "Nothing happened yet that it is told.",
        }))
        .form(Form::post(path, Vec::new(), vec![toggle, Button::danger("Take it away", "remove")]))
        .block(back())
        .show(&visitor))
}

fn row(path: &str, message: &Delivery) -> Vec<Cell> {
    let state = match (message.delivered_at, message.dead_at) {
        (Some(_), _) => "delivered".to_owned(),
        (None, Some(_)) => "given up".to_owned(),
        (None, None) => format!("waits until {}", shown(message.due_at)),
    };
    let waits = message.delivered_at.is_none() && message.dead_at.is_none();
    let again = if waits {
        Cell::text("")
    } else {
        let field = Field::hidden("message", message.id.clone());
        Cell::Form(Form::button(path, vec![field], Button::other("Send again", "resend")))
    };
    vec![
        Cell::text(message.id.clone()),
        Cell::text(message.event.clone()),
        Cell::text(shown(message.created_at)),
        Cell::State(state),
        Cell::text(message.tries.to_string()),
        Cell::text(message.failure.clone().unwrap_or_default()),
        again,
    ]
}

/// `POST /portal/webhooks/{id}`
pub(crate) async fn change_webhook(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let one = require(&visitor)?;
    let acts = UseCases::of(Arc::clone(&state));
    theirs(&acts, one, &id).await?;
    match fields.get("do") {
        "remove" => {
            acts.remove_webhook(actor(one), &id).await?;
            return Ok(see_other(&visitor, "/portal/notifications"));
        }
        "resend" => {
            acts.resend(actor(one), &id, fields.get("message")).await?;
        }
        "stop" => {
            acts.set_webhook_active(actor(one), &id, false).await?;
        }
        "start" => {
            acts.set_webhook_active(actor(one), &id, true).await?;
        }
        _ => return Err(PortalError::NotFound),
    }
    Ok(see_other(&visitor, &format!("/portal/webhooks/{id}")))
}
