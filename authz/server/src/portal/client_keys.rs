//! Registering in the portal what a client proves itself by in place of a secret.

use std::sync::Arc;

use authz_domain::Actor;
use axum::{
    extract::{Path, State as Extract},
    response::Response,
};

use super::{
    clients::{mine, name_of},
    error::PortalError,
    form::{Button, Errors, Field, Fields, Form, Kind, read_reason, why_field},
    page::{Block, Page, see_other},
    visitor::{Posted, Visitor},
};
use crate::{
    state::State,
    use_cases::{ClientView, NewProof, UseCaseError, UseCases},
};

fn page(state: &State, view: &ClientView, fields: &Fields, errors: &Errors) -> Page {
    let what = Field::new(Kind::Radios, "what", "What to register")
        .choice("jwks", "Public keys: a JWK Set, or one JWK", "They sign assertions (private_key_jwt).", true)
        .choice("jwks_uri", "The address at which the client publishes them", "By https.", false)
        .choice("certificate", "A certificate, in PEM, whose key signs assertions", "As MSAL has it.", false)
        .typed(fields, errors);
    let text = Field::new(Kind::Area, "text", "Keys, address or certificate")
        .hint("Never a private key: what was sent to anybody is no secret any more.")
        .typed(fields, errors);
    let immediately =
        Field::new(Kind::Tick, "immediately", "End what was registered before, with its tokens")
            .optional()
            .hint("If somebody else may have it.")
            .typed(fields, errors);
    Page::new(format!("Keys of {}", name_of(&view.client)))
        .text(format!(
            "A client with a key of its own needs no secret: nothing that is worth stealing travels. Its secrets stop \
             at once; tokens that they bought run out by themselves within {} minutes. Keys registered before work \
             beside the new ones for {} days.",
            state.settings.token_lifetime.whole_minutes(),
            state.settings.overlap.whole_days()
        ))
        .block(Block::note("Keys expire as secrets do", "Before they do you are reminded, and register them again."))
        .form(Form::post(
            format!("/portal/clients/{}/keys", view.client.id),
            vec![what, text, immediately, why_field(fields, errors)],
            vec![Button::main("Register")],
        ))
}

/// `GET /portal/clients/{id}/keys`
pub(crate) async fn get(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let view = mine(&state, visitor.require()?, &id).await?;
    view.client.may_rotate().map_err(UseCaseError::from)?;
    Ok(page(&state, &view, &Fields::default(), &Errors::default()).show(&visitor))
}

/// `POST /portal/clients/{id}/keys`
pub(crate) async fn post(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let one = visitor.require()?;
    let view = mine(&state, one, &id).await?;
    let mut errors = Errors::default();
    let reason = errors.take("reason", read_reason(&fields, false)).unwrap_or_default();
    let text = fields.raw("text").trim().to_owned();
    let proof = match fields.get("what") {
        "jwks" => Some(NewProof::Keys(text.into_bytes())),
        "jwks_uri" => Some(NewProof::KeysAt(text)),
        "certificate" => Some(NewProof::KeyOf(text.into_bytes())),
        _ => None,
    };
    let Some(proof) = proof else {
        errors.add("what", "Choose one.");
        return Ok(page(&state, &view, &fields, &errors).show(&visitor));
    };
    if errors.is_empty() {
        let acts = UseCases::of(Arc::clone(&state)).because(reason)?;
        let actor = Actor::Account(one.account.id.clone());
        match acts.register_proof(actor, &id, proof, fields.has("immediately")).await {
            Ok(_) => return Ok(see_other(&visitor, &format!("/portal/clients/{id}"))),
            Err(UseCaseError::Proof(refused)) => errors.add("text", refused),
            Err(UseCaseError::KeyAddress(refused)) => errors.add("text", refused),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(page(&state, &view, &fields, &errors).show(&visitor))
}
