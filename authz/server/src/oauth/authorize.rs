//! The authorization endpoint that generic clients insist on finding in the metadata: it exists, and says that
//! there is no sign-in for people (RFC 6749 §4.1.2.1, without a redirection that nobody registered).

use std::sync::Arc;

use axum::{extract::State as Extract, response::Response};
use http::request::Parts;

use super::error::{ErrorContext, OAuthError};
use crate::state::State;

/// `/{tenant}/oauth2/v2.0/authorize`
pub(crate) async fn endpoint(Extract(state): Extract<Arc<State>>, parts: Parts) -> Response {
    OAuthError::NoSignIn.into_response(&ErrorContext::new(&state, &parts, state.clock.now()))
}
