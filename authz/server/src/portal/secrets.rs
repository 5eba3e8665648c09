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
    form::{Button, Errors, Field, Fields, Form, Kind},
    page::{Block, Page, link, see_other},
    visitor::{Posted, Visitor},
};
use crate::{
    mail::credentials::{Particulars, exact},
    state::State,
    use_cases::{ClientView, IssuedCredentials, Rotate, UseCaseError, UseCases},
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
    Page::new("Your new client secret")
        .block(Block::note(
            "This is shown once",
            "Copy the secret now and keep it as you keep a password. We do not keep it.",
        ))
        .block(Block::Snippet { label: "Client Secret", text: issued.client_secret.expose().to_owned() })
        .block(Block::Facts(facts))
        .block(Block::Snippet { label: "curl", text: particulars.curl() })
}

fn rotate_page(state: &State, view: &ClientView, errors: &Errors) -> Page {
    let live: Vec<_> = view.secrets.iter().filter(|one| one.state == SecretState::Live).collect();
    let newest = view.secrets.first().map_or("", |one| one.secret.id.as_str());
    let mut page = Page::new(format!("Rotate {}", name_of(&view.client))).text(format!(
        "A new secret is made. The present one works beside it for {} days, never past its own expiration date, and \
         then retires by itself.",
        state.settings.overlap.whole_days()
    ));
    if let [_, oldest, ..] = live.as_slice() {
        page = page.block(Block::note(
            "Two secrets work at present",
            format!("At most two may. The older one, {}…, ends when you go on.", oldest.secret.hint),
        ));
    }
    let immediately = Field::new(Kind::Tick, "immediately", "End the old secrets at once")
        .optional()
        .hint("If somebody else may know them. Every token bought with them is refused from then on.");
    let to = Field::new(Kind::Radios, "to", "How to hand it over")
        .choice("page", "Show it here, once", "", true)
        .choice("mail", "Mail it to the technical contact", "", false)
        .with_error(errors);
    page.form(Form::post(
        format!("/portal/clients/{}/rotate", view.client.id),
        vec![Field::hidden("newest", newest), to, immediately],
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
    Ok(rotate_page(&state, &view, &Errors::default()).show(&visitor))
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
    };
    let outcome = match fields.get("to") {
        "page" => acts.renew_secret(actor, &id, how).await.map(Some),
        "mail" => acts.renew_secret_by_mail(actor, &id, how).await.map(|()| None),
        _ => {
            let errors = Errors::of("to", "Choose one.");
            return Ok(rotate_page(&state, &view, &errors).show(&visitor));
        }
    };
    match outcome {
        Ok(Some(issued)) => {
            let back = link(format!("/portal/clients/{id}"), "The client's page", "");
            let page = shown_once(&acts.particulars(&view.client), &issued);
            Ok(page.block(Block::Links(vec![back])).show(&visitor))
        }
        Ok(None) => Ok(see_other(&visitor, &format!("/portal/clients/{id}"))),
        Err(error @ (UseCaseError::RotatedMeanwhile | UseCaseError::ExpiredForGood { .. })) => {
            Err(PortalError::Conflict(format!("Nothing was changed: {error}.")))
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

/// `GET /portal/clients/{id}/end`
pub(crate) async fn confirm(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let view = mine(&state, visitor.require()?, &id).await?;
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let (secret, name) = ended(&view, query.get("secret")).ok_or(PortalError::NotFound)?;
    Ok(Page::new(format!("Revoke {name}?"))
        .text("It stops working at once, with every token bought with it. This cannot be taken back.")
        .form(Form::post(
            format!("/portal/clients/{id}/end"),
            vec![Field::hidden("secret", secret)],
            vec![Button::danger("Revoke", "revoke"), Button::other("Keep it", "cancel")],
        ))
        .show(&visitor))
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
        let (actor, acts) = (Actor::Account(one.account.id.clone()), UseCases::of(Arc::clone(&state)));
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

/// `GET /portal/credentials`: a button, and nothing else. Programs that look at links in mails change nothing.
pub(crate) async fn offered(
    Extract(state): Extract<Arc<State>>,
    RawQuery(query): RawQuery,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let token = query.get("t");
    let Some(offered) = UseCases::of(Arc::clone(&state)).offered_secret(token).await? else {
        return Ok(over().show(&visitor));
    };
    Ok(Page::new("Get your client secret")
        .text("The secret is made when you press the button, and shown once. The link does not work after that.")
        .block(Block::Facts(vec![
            ("Client Id".to_owned(), offered.client.id.to_string()),
            ("The link works until".to_owned(), exact(offered.expires_at)),
        ]))
        .form(Form::post(
            "/portal/credentials",
            vec![Field::hidden("t", token)],
            vec![Button::main("Show the client secret")],
        ))
        .show(&visitor))
}

/// `POST /portal/credentials`
pub(crate) async fn take(
    Extract(state): Extract<Arc<State>>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let acts = UseCases::of(Arc::clone(&state));
    let page = match acts.take_offered_secret(fields.get("t")).await? {
        Some((client, issued)) => shown_once(&acts.particulars(&client), &issued),
        None => over(),
    };
    Ok(page.show(&visitor))
}
