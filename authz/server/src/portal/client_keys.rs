//! Registering in the portal what a client proves itself by in place of a secret.

use std::sync::Arc;

use authz_domain::{Actor, AuthenticationMethod};
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
    let mut what = Field::new(Kind::Radios, "what", "What to register")
        .choice("jwks", "Public keys: a JWK Set, or one JWK", "They sign assertions (private_key_jwt).", true)
        .choice("jwks_uri", "The address at which the client publishes them", "By https.", false)
        .choice("certificate", "A certificate, in PEM, whose key signs assertions", "As MSAL has it.", false);
    let methods = state.settings.authentication_methods();
    if methods.contains(&AuthenticationMethod::SelfSignedTlsClientAuth.as_str()) {
        let hint = "Mutual TLS, whoever signed it.";
        what =
            what.choice("tls_certificate", "A certificate, in PEM, of the client's connections", hint, false);
    }
    if methods.contains(&AuthenticationMethod::TlsClientAuth.as_str()) {
        let hint = "Mutual TLS with a certificate of an issuer that is known here. dns:, uri:, ip:, email: and the \
                    name, or dn: and the whole distinguished name.";
        what = what.choice("tls_subject", "Whom the certificates of its connections are for", hint, false);
    }
    let what = what.typed(fields, errors);
    let text = Field::new(Kind::Area, "text", "Keys, address, certificate or name")
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
             at once; tokens that they bought run out by themselves within {} minutes. What was registered before for \
             the same method works beside the new for {} days.",
            state.settings.token_lifetime.whole_minutes(),
            state.settings.overlap.whole_days()
        ))
        .block(Block::note(
            "What is registered expires as secrets do",
            "A certificate at its own end, if that is earlier. Before, you are reminded, and register it or its \
             successor.",
        ))
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
        "tls_certificate" => Some(NewProof::Certificate(text.into_bytes())),
        "tls_subject" => Some(NewProof::Subject(text)),
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
            Err(refused @ UseCaseError::MethodNotOffered(_)) => errors.add("what", refused.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(page(&state, &view, &fields, &errors).show(&visitor))
}
