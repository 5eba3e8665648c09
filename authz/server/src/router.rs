//! Every route of the authorization server, on one screen.

use std::sync::Arc;

use axum::{
    Router, middleware,
    routing::{any, get},
};

use crate::{
    api,
    oauth::{authorize, feed, introspect, jwks, metadata, revoke, token},
    origin, portal, sandbox_clock,
    state::State,
};

/// The routes. Endpoints that take POST answer other methods themselves, in OAuth's words.
pub(crate) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/oauth2/token", any(token::root))
        .route("/{tenant}/oauth2/v2.0/token", any(token::tenant))
        .route("/oauth2/introspect", any(introspect::endpoint))
        .route("/oauth2/revoke", any(revoke::endpoint))
        .route("/oauth2/revocations", get(feed::get))
        .route("/oauth2/jwks", get(jwks::root))
        .route("/{tenant}/discovery/v2.0/keys", get(jwks::tenant))
        .route("/.well-known/oauth-authorization-server", get(metadata::server))
        .route("/.well-known/openid-configuration", get(metadata::server))
        .route("/.well-known/smart-configuration", get(metadata::smart))
        // RFC 8414 §3.1: where the issuer has a path, the well-known part stands before it. Clients of OpenID
        // Connect Discovery look behind it.
        .route("/.well-known/oauth-authorization-server/{tenant}/v2.0", get(metadata::tenant))
        .route("/{tenant}/v2.0/.well-known/oauth-authorization-server", get(metadata::tenant))
        .route("/{tenant}/v2.0/.well-known/openid-configuration", get(metadata::tenant))
        .route("/{tenant}/oauth2/v2.0/authorize", any(authorize::endpoint))
        .route("/sandbox/clock", get(sandbox_clock::get))
        .merge(portal::routes())
        .merge(api::routes(&state))
        .layer(middleware::from_fn(origin::note))
        .with_state(state)
}
