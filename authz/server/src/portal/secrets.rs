//! Making a new secret, showing it once, and ending secrets and clients: what cannot be taken back is asked twice.

use std::sync::Arc;

use authz_domain::{Actor, SecretState};
use axum::{
    extract::{Path, RawQuery, State as Extract},
    response::Response,
};

use super::{
    clients::{mine, name_of},
    error::PortalError,
    form::{Button, Errors, Field, Fields, Form, Kind, read_reason, why_field},
    page::{Block, Page, link, see_other},
    visitor::{Posted, Visitor},
};
use crate::{
    mail::credentials::{Particulars, exact},
    state::State,
    use_cases::{ClientView, IssuedCredentials, OfferedSecret, Rotate, UseCaseError, UseCases},
};

/// The page with a new secret. It is the answer to the form itself: nowhere else is the secret kept.
pub(super) fn shown_once(particulars: &Particulars, issued: &IssuedCredentials) -> Page {
    let mut facts = vec![
        ("Token URL".to_owned(), format!("POST {}", issued.token_url)),
        ("Client Id".to_owned(), issued.client_id.to_string()),
        ("Scope".to_owned(), issued.scope.clone()),
        ("Expiration date".to_owned(), exact(issued.expires_at)),
    ];
    facts.extend(particulars.apis.iter().cloned());
    let ended: Vec<String> = issued.ended.iter().map(|one| format!("{}…", one.hint)).collect();
    if !ended.is_empty() {
        facts.push(("Ended just now".to_owned(), ended.join(", ")));
    }
    Page::new("Your new client secret")
        .block(Block::note(
            "This is shown once",
            "Copy the secret now and keep it as you keep a password. We do not keep it.",
        ))
        .block(Block::Snippet { label: "Client Secret", text: issued.client_secret.expose().to_owned() })
        .block(Block::Facts(facts))
        .block(Block::Snippet { label: "curl", text: particulars.curl() })
}

/// The first characters of the secret that a third one ends at once.
fn ended_by_third(view: &ClientView) -> Option<&str> {
    let mut live = view.secrets.iter().filter(|one| one.state == SecretState::Live);
    live.nth(1).map(|oldest| oldest.secret.hint.as_str())
}

/// What is said before a third secret is made.
fn two_work(oldest: &str) -> Block {
    Block::note(
        "Two secrets work at present",
        format!("At most two may. The older one, {oldest}…, ends at once when you go on."),
    )
}

fn sure_field(oldest: &str) -> Field {
    Field::new(Kind::Tick, "sure", format!("{oldest}… may end at once"))
}

/// What is said to who does not confirm it.
const SURE: &str = "Confirm it: whatever still uses the older secret is refused from then on.";

fn rotate_page(state: &State, view: &ClientView, fields: &Fields, errors: &Errors) -> Page {
    let newest = view.secrets.first().map_or("", |one| one.secret.id.as_str());
    let mut page = Page::new(format!("Rotate {}", name_of(&view.client))).text(format!(
        "A new secret is made. The present one works beside it for {} days, never past its own expiration date, and \
         then retires by itself.",
        state.settings.overlap.whole_days()
    ));
    let mut all = vec![Field::hidden("newest", newest)];
    let immediately = Field::new(Kind::Tick, "immediately", "End the old secrets at once")
        .optional()
        .hint("If somebody else may know them. Every token bought with them is refused from then on.")
        .typed(fields, errors);
    let to = Field::new(Kind::Radios, "to", "How to hand it over")
        .choice("page", "Show it here, once", "", true)
        .choice("mail", "Mail it to the technical contact", "", false)
        .typed(fields, errors);
    all.extend([to, immediately, why_field(fields, errors)]);
    if let Some(oldest) = ended_by_third(view) {
        page = page.block(two_work(oldest));
        all.push(sure_field(oldest).typed(fields, errors));
    }
    page.form(Form::post(
        format!("/portal/clients/{}/rotate", view.client.id),
        all,
        vec![Button::main("Make a new secret")],
    ))
}

/// `GET /portal/clients/{id}/rotate`
pub(crate) async fn rotation(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let view = mine(&state, visitor.require()?, &id).await?;
    view.client.may_rotate().map_err(UseCaseError::from)?;
    Ok(rotate_page(&state, &view, &Fields::default(), &Errors::default()).show(&visitor))
}

/// `POST /portal/clients/{id}/rotate`
pub(crate) async fn rotate(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let one = visitor.require()?;
    let view = mine(&state, one, &id).await?;
    let (actor, acts) = (Actor::Account(one.account.id.clone()), UseCases::of(Arc::clone(&state)));
    // The page names the newest secret it knew: sending the form twice makes one.
    let known = fields.get("newest").to_owned();
    let how = Rotate {
        immediately: fields.has("immediately"),
        newest_known: Some(known.as_str()).filter(|known| !known.is_empty() || !view.secrets.is_empty()),
        in_use: None,
        renewal: true,
    };
    let mut errors = Errors::default();
    let reason = errors.take("reason", read_reason(&fields, false)).unwrap_or_default();
    if !matches!(fields.get("to"), "page" | "mail") {
        errors.add("to", "Choose one.");
    }
    // Who looked at an older page is told that, and nothing is made.
    let current = view.secrets.first().is_some_and(|newest| newest.secret.id.as_str() == known);
    if current && !how.immediately && !fields.has("sure") && ended_by_third(&view).is_some() {
        errors.add("sure", SURE);
    }
    if !errors.is_empty() {
        return Ok(rotate_page(&state, &view, &fields, &errors).show(&visitor));
    }
    let acts = acts.because(reason)?;
    let outcome = if fields.get("to") == "page" {
        acts.rotate(actor, &id, how).await.map(Some)
    } else {
        acts.rotate_by_mail(actor, &id, how).await.map(|()| None)
    };
    match outcome {
        Ok(Some(issued)) => {
            let back = link(format!("/portal/clients/{id}"), "The client's page", "");
            let page = shown_once(&acts.particulars(&view.client), &issued);
            Ok(page.block(Block::Links(vec![back])).show(&visitor))
        }
        Ok(None) => Ok(see_other(&visitor, &format!("/portal/clients/{id}"))),
        Err(error @ UseCaseError::NoContact) => {
            let errors = Errors::of("to", error.sentence());
            Ok(rotate_page(&state, &view, &fields, &errors).show(&visitor))
        }
        Err(error) => Err(error.into()),
    }
}

/// What is to be ended: one secret by its id and hint, or the whole client.
fn ended(view: &ClientView, secret: &str) -> Option<(String, String)> {
    if secret.is_empty() {
        return Some((String::new(), name_of(&view.client)));
    }
    let found = view.secrets.iter().find(|one| one.secret.id.as_str() == secret)?;
    Some((secret.to_owned(), format!("the secret {}…", found.secret.hint)))
}

fn end_page(view: &ClientView, fields: &Fields, errors: &Errors) -> Result<Page, PortalError> {
    let (secret, name) = ended(view, fields.get("secret")).ok_or(PortalError::NotFound)?;
    Ok(Page::new(format!("Revoke {name}?"))
        .text("It stops working at once, with every token bought with it. This cannot be taken back.")
        .form(Form::post(
            format!("/portal/clients/{}/end", view.client.id),
            vec![Field::hidden("secret", secret), why_field(fields, errors)],
            vec![Button::danger("Revoke", "revoke"), Button::other("Keep it", "cancel")],
        )))
}

/// `GET /portal/clients/{id}/end`
pub(crate) async fn confirm(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let view = mine(&state, visitor.require()?, &id).await?;
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    Ok(end_page(&view, &query, &Errors::default())?.show(&visitor))
}

/// `POST /portal/clients/{id}/end`
pub(crate) async fn end(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let one = visitor.require()?;
    let view = mine(&state, one, &id).await?;
    if fields.get("do") == "revoke" {
        let (secret, _) = ended(&view, fields.get("secret")).ok_or(PortalError::NotFound)?;
        let reason = match read_reason(&fields, false) {
            Ok(reason) => reason,
            Err(problem) => {
                return Ok(end_page(&view, &fields, &Errors::of("reason", problem))?.show(&visitor));
            }
        };
        let (actor, acts) = (Actor::Account(one.account.id.clone()), UseCases::of(state).because(reason)?);
        if secret.is_empty() {
            acts.revoke_client(actor, &id).await?;
        } else {
            acts.revoke_secret(actor, &id, &secret).await?;
        }
    }
    Ok(see_other(&visitor, &format!("/portal/clients/{id}")))
}

/// What a mailed link that does not work says, whatever the reason.
fn over() -> Page {
    Page::new("This link does not work any more").status(http::StatusCode::NOT_FOUND).text(
        "It was used, its time is over, or it was never made. If nobody of yours used it, have the client's secrets \
         looked at: an Admin of your organisation can rotate them on the client's page.",
    )
}

fn offered_page(token: &str, offered: &OfferedSecret, errors: &Errors) -> Page {
    let mut fields = vec![Field::hidden("t", token)];
    let mut page = Page::new("Get your client secret")
        .text("The secret is made when you press the button, and shown once. The link does not work after that.")
        .block(Block::Facts(vec![
            ("Client Id".to_owned(), offered.client.id.to_string()),
            ("The link works until".to_owned(), exact(offered.expires_at)),
        ]));
    if let Some(oldest) = &offered.ends {
        page = page.block(two_work(oldest));
        fields.push(sure_field(oldest).with_error(errors));
    }
    page.form(Form::post("/portal/credentials", fields, vec![Button::main("Show the client secret")]))
}

/// `GET /portal/credentials`: a button, and nothing else. Programs that look at links in mails change nothing.
pub(crate) async fn offered(
    Extract(state): Extract<Arc<State>>,
    RawQuery(query): RawQuery,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let token = query.get("t");
    let page = match UseCases::of(Arc::clone(&state)).offered_secret(token).await? {
        Some(offered) => offered_page(token, &offered, &Errors::default()),
        None => over(),
    };
    Ok(page.show(&visitor))
}

/// `POST /portal/credentials`
pub(crate) async fn take(
    Extract(state): Extract<Arc<State>>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let (acts, token) = (UseCases::of(Arc::clone(&state)), fields.get("t"));
    if let Some(offered) = acts.offered_secret(token).await?
        && offered.ends.is_some()
        && !fields.has("sure")
    {
        return Ok(offered_page(token, &offered, &Errors::of("sure", SURE)).show(&visitor));
    }
    let page = match acts.take_offered_secret(token).await? {
        Some((client, issued)) => shown_once(&acts.particulars(&client), &issued),
        None => over(),
    };
    Ok(page.show(&visitor))
}
