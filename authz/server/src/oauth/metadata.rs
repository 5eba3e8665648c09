//! Server metadata: RFC 8414, OpenID Connect Discovery for clients that insist on it, SMART App Launch.

use std::sync::Arc;

use axum::{
    extract::{Path, State as Extract},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, header, request::Parts};

use super::error::{ErrorContext, OAuthError};
use crate::state::State;

const HEADERS: [(HeaderName, HeaderValue); 3] = [
    (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
    (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
];

fn document(bytes: &Bytes) -> Response {
    (HEADERS, bytes.clone()).into_response()
}

/// The root issuer's document.
pub(crate) async fn server(Extract(state): Extract<Arc<State>>) -> Response {
    document(&state.documents.server)
}

/// What a FHIR client looks for.
pub(crate) async fn smart(Extract(state): Extract<Arc<State>>) -> Response {
    document(&state.documents.smart)
}

/// One tenant's document.
pub(crate) async fn tenant(
    Extract(state): Extract<Arc<State>>,
    Path(tenant): Path<String>,
    parts: Parts,
) -> Response {
    match state.documents.tenant(&tenant) {
        Some(bytes) => document(bytes),
        None => {
            OAuthError::UnknownTenant.into_response(&ErrorContext::new(&state, &parts, state.clock.now()))
        }
    }
}
