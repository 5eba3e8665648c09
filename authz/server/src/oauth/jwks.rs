//! The public keys (RFC 7517 §5): cacheable, the next key published before it signs.

use std::sync::Arc;

use aws_lc_rs::digest;
use axum::{
    extract::{Path, State as Extract},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};

use super::error::{ErrorContext, OAuthError};
use crate::state::State;

/// `GET /oauth2/jwks`
pub(crate) async fn root(Extract(state): Extract<Arc<State>>, headers: HeaderMap) -> Response {
    answer(&state, &headers)
}

/// `GET /{tenant}/discovery/v2.0/keys`: the same keys, where clients of Entra ID look.
pub(crate) async fn tenant(
    Extract(state): Extract<Arc<State>>,
    Path(tenant): Path<String>,
    parts: Parts,
) -> Response {
    if !state.settings.tenants.contains(&tenant) {
        let context = ErrorContext::new(&state, &parts, state.clock.now());
        return OAuthError::UnknownTenant.into_response(&context);
    }
    answer(&state, &parts.headers)
}

fn answer(state: &State, headers: &HeaderMap) -> Response {
    let now = state.clock.now();
    let body = serde_json::to_vec(&state.ring.load().jwk_set(now)).unwrap_or_default();
    let digest = digest::digest(&digest::SHA256, &body);
    let tag = format!("\"{}\"", hex::encode(&digest.as_ref()[..12]));
    let cached = format!("public, max-age={}", state.settings.key_set_max_age.whole_seconds());
    let fixed = [
        (header::CACHE_CONTROL, HeaderValue::try_from(cached).unwrap_or(HeaderValue::from_static("public"))),
        (header::ETAG, HeaderValue::try_from(tag.as_str()).unwrap_or(HeaderValue::from_static("\"\""))),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    if matches_tag(headers, &tag) {
        return (StatusCode::NOT_MODIFIED, fixed).into_response();
    }
    let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (fixed, content_type, body).into_response()
}

/// RFC 9110 §13.1.2, with the weak comparison that it asks for.
fn matches_tag(headers: &HeaderMap, tag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|candidate| candidate == "*" || candidate.trim_start_matches("W/") == tag)
}
