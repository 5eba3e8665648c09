//! The administration API, `/api/v1`: the same use cases as the portal and the command line, for machines.
//!
//! # How to add an operation
//!
//! A row in [`operations`], with its handler; its request and answer in `model.rs`; then write `docs/openapi.json` anew
//! (the test that compares says how). Scope and document follow from the row: neither can be forgotten.

mod caller;
mod clients;
mod document;
mod model;
mod problem;
mod read;
mod requests;
mod secrets;

use std::sync::Arc;

use access_token::AdministrationScope;
use axum::{
    Router, middleware,
    routing::{MethodRouter, delete, get, patch, post, put},
};

use self::document::{Answer, Kind, Parameter};
use crate::state::State;

/// One operation: what the router and the document both say.
pub(crate) struct Operation {
    method: &'static str,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    description: &'static str,
    /// What the caller's token must be good for.
    scope: AdministrationScope,
    parameters: Vec<Parameter>,
    /// What is sent.
    body: Option<Kind>,
    answers: Vec<Answer>,
    route: MethodRouter<Arc<State>>,
}

const PAGE: [Parameter; 2] = [
    Parameter::query("limit", "At most so many, 1 to 200; 50 when left out."),
    Parameter::query("cursor", "Where to go on: `next` of the page before."),
];
const REASON: Parameter = Parameter::query("reason", "Why, for the audit trail: at most 1000 characters.");
const CLIENT_ID: Parameter = Parameter::path("client_id", "The client.");

/// Every operation.
pub(crate) fn operations() -> Vec<Operation> {
    use AdministrationScope::{ReadClients, ReadRequests, RotateOwnSecret, WriteClients};
    vec![
        Operation {
            method: "get",
            path: "/api/v1/clients",
            id: "listClients",
            summary: "List clients",
            description: "Oldest first. A token of one organisation sees the clients of that organisation.",
            scope: ReadClients,
            parameters: vec![
                PAGE[0],
                PAGE[1],
                Parameter::query("organisation", "Only clients of this organisation."),
            ],
            body: None,
            answers: vec![Answer::ok(200, "A page of clients.", Kind::Clients)],
            route: get(clients::list),
        },
        Operation {
            method: "put",
            path: "/api/v1/clients/by-key/{external_key}",
            id: "ensureClient",
            summary: "Make a client, unless it is there",
            description: "Idempotent: the key names the client within its organisation, so sending the same again makes \
                          no second one. The secret is in the answer to the first request and nowhere else. When the \
                          client is there, label and contact are brought up to date; everything else must be the same, \
                          or the answer is 409. A revoked client gives its key free.",
            scope: WriteClients,
            parameters: vec![Parameter::path(
                "external_key",
                "What you call the client: 1 to 64 characters of A-Z, a-z, 0-9, '-' and '_'.",
            )],
            body: Some(Kind::ClientWanted),
            answers: vec![
                Answer::ok(200, "It was there.", Kind::Client),
                Answer::ok(201, "It was made, with its first secret.", Kind::ClientMade),
                Answer::problem(409, "A client of this key is there, and it is another one."),
            ],
            route: put(clients::ensure),
        },
        Operation {
            method: "get",
            path: "/api/v1/clients/{client_id}",
            id: "getClient",
            summary: "Show a client and its secrets",
            description: "Secrets are shown by hint.",
            scope: ReadClients,
            parameters: vec![CLIENT_ID],
            body: None,
            answers: vec![Answer::ok(200, "The client.", Kind::Client)],
            route: get(clients::show),
        },
        Operation {
            method: "patch",
            path: "/api/v1/clients/{client_id}",
            id: "changeClient",
            summary: "Change label, contact or status",
            description: "What is left out stays. Status is active or suspended; within a second every gateway refuses \
                          a suspended client's tokens. To end a client for good, delete it.",
            scope: WriteClients,
            parameters: vec![CLIENT_ID],
            body: Some(Kind::ClientChange),
            answers: vec![Answer::ok(200, "The client, changed.", Kind::Client)],
            route: patch(clients::change),
        },
        Operation {
            method: "delete",
            path: "/api/v1/clients/{client_id}",
            id: "revokeClient",
            summary: "Revoke a client for good",
            description: "With every secret and token it has. Deleting it again changes nothing.",
            scope: WriteClients,
            parameters: vec![CLIENT_ID, REASON],
            body: None,
            answers: vec![Answer::nothing(204, "It is revoked.")],
            route: delete(clients::revoke),
        },
        Operation {
            method: "post",
            path: "/api/v1/clients/{client_id}/secrets",
            id: "rotateSecret",
            summary: "Give a client a new secret",
            description: "The old secret works for the configured overlap, never past its own expiry; at most two are \
                          live. To repeat safely a request whose answer was lost, name the newest secret you know of.",
            scope: WriteClients,
            parameters: vec![CLIENT_ID],
            body: Some(Kind::Rotation),
            answers: vec![
                Answer::ok(201, "The new secret, shown once.", Kind::Credentials),
                Answer::problem(
                    409,
                    "There is a newer secret than the one you know of, the client authenticates by something else, or it \
                     is revoked.",
                ),
            ],
            route: post(secrets::rotate),
        },
        Operation {
            method: "post",
            path: "/api/v1/clients/{client_id}/keys",
            id: "registerKeys",
            summary: "Register keys or a certificate that a client proves itself by",
            description: "The client authenticates by that from then on: by private_key_jwt, self_signed_tls_client_auth \
                          or tls_client_auth. What was registered before for the same method works for the configured \
                          overlap, never past its own expiry; a secret stops at once, and tokens bought with it run \
                          out by themselves. What is registered expires as secrets do, a certificate at its own end if \
                          that is earlier.",
            scope: WriteClients,
            parameters: vec![CLIENT_ID],
            body: Some(Kind::ProofWanted),
            answers: vec![
                Answer::ok(201, "What was registered.", Kind::ProofMade),
                Answer::problem(409, "The client is revoked."),
            ],
            route: post(secrets::register),
        },
        Operation {
            method: "delete",
            path: "/api/v1/clients/{client_id}/secrets/{secret_id}",
            id: "revokeSecret",
            summary: "Revoke one secret",
            description: "With every token bought with it.",
            scope: WriteClients,
            parameters: vec![CLIENT_ID, Parameter::path("secret_id", "The secret."), REASON],
            body: None,
            answers: vec![
                Answer::nothing(204, "It is revoked."),
                Answer::problem(409, "It was over already."),
            ],
            route: delete(secrets::revoke),
        },
        Operation {
            method: "get",
            path: "/api/v1/credentials/expiring",
            id: "listExpiringCredentials",
            summary: "List secrets that expire soon",
            description: "Soonest first, those that have expired included.",
            scope: ReadClients,
            parameters: vec![Parameter::query(
                "within",
                "How many days to look ahead, 0 to 3660; 90 when left out.",
            )],
            body: None,
            answers: vec![Answer::ok(200, "The secrets.", Kind::Expiring)],
            route: get(secrets::expiring),
        },
        Operation {
            method: "get",
            path: "/api/v1/requests",
            id: "listRequests",
            summary: "List requests for access",
            description: "Those that were handed in, oldest first. They say nothing about the person who asks.",
            scope: ReadRequests,
            parameters: PAGE.to_vec(),
            body: None,
            answers: vec![Answer::ok(200, "A page of requests.", Kind::Requests)],
            route: get(requests::list),
        },
        Operation {
            method: "get",
            path: "/api/v1/requests/{request}",
            id: "getRequest",
            summary: "Show a request",
            description: "",
            scope: ReadRequests,
            parameters: vec![Parameter::path("request", "Its number: REQ- and eight digits.")],
            body: None,
            answers: vec![Answer::ok(200, "The request.", Kind::Request)],
            route: get(requests::show),
        },
        Operation {
            method: "post",
            path: "/api/v1/client/secrets",
            id: "rotateOwnSecret",
            summary: "Give yourself a new secret",
            description: "For every client, with its own token of the scope client.rotate. The secret that bought the \
                          token works for the overlap, never past its own expiry; if the answer is lost, ask again with \
                          the old secret. The body may be left out.",
            scope: RotateOwnSecret,
            parameters: vec![],
            body: Some(Kind::OwnRotation),
            answers: vec![Answer::ok(201, "The new secret, shown once.", Kind::Credentials)],
            route: post(secrets::rotate_own),
        },
    ]
}

/// The routes, each behind its scope.
pub(crate) fn routes(state: &Arc<State>) -> Router<Arc<State>> {
    let mut router = Router::new().route("/api/v1/openapi.json", get(document::get));
    for operation in operations() {
        let guard = middleware::from_fn_with_state((Arc::clone(state), operation.scope), caller::admit);
        router = router.route(operation.path, operation.route.layer(guard));
    }
    router
}
