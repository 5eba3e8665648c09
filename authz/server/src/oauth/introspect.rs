//! Token introspection (RFC 7662): a client asks about its own tokens, and learns nothing about others'.

use std::sync::Arc;

use access_token::{AccessTokenClaims, Confirmation, Expected, peek_header, verify};
use axum::{
    body::Body,
    extract::State as Extract,
    response::{IntoResponse, Response},
};
use http::{Request, request::Parts};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::{
    authenticate::{Door, authenticate},
    error::{ErrorContext, NO_STORE, OAuthError},
    form::Form,
    presented_credentials::present,
    request::read_body,
};
use crate::state::State;

/// `POST /oauth2/introspect`
pub(crate) async fn endpoint(Extract(state): Extract<Arc<State>>, request: Request<Body>) -> Response {
    let now = state.clock.now();
    let (parts, body) = request.into_parts();
    match introspect(&state, &parts, body, now).await {
        Ok(response) => response,
        Err(error) => error.into_response(&ErrorContext::new(&state, &parts, now)),
    }
}

async fn introspect(
    state: &State,
    parts: &Parts,
    body: Body,
    now: OffsetDateTime,
) -> Result<Response, OAuthError> {
    let body = read_body(parts, body).await?;
    let form = Form::parse(&body)?;
    let presented = present(parts, &form)?;
    let client = authenticate(state, &presented, Door::standard(parts), now).await?;
    let token = form.get("token").ok_or(OAuthError::MissingParameter("token"))?;

    let claims = own_claims(state, token, now).filter(|claims| {
        claims.client_id == client.client.client.id.as_str() && !state.revocations.revokes(claims)
    });
    let answer = match claims {
        // RFC 7662 §2.2: nothing but this about tokens that are not active, not ours, or not the asker's.
        None => json!({ "active": false }),
        Some(claims) => {
            let mut answer = json!({
            "active": true,
            "scope": claims.scope,
            "client_id": claims.client_id,
            "token_type": Confirmation::token_type(claims.cnf.as_ref()),
            "exp": claims.exp,
            "iat": claims.iat,
            "nbf": claims.nbf,
            "sub": claims.sub,
            "aud": claims.aud,
            "iss": claims.iss,
            "jti": claims.jti,
            "roles": claims.roles,
            "org_id": claims.org_id,
            "stakeholder": claims.stakeholder,
            "qualified": claims.qualified,
            "domains": claims.domains,
            });
            // RFC 8705 §3.2, RFC 9449 §6.2.
            if let Some(cnf) = &claims.cnf {
                answer["cnf"] = json!(cnf);
            }
            answer
        }
    };
    Ok((NO_STORE, answer.to_string()).into_response())
}

/// The claims of a token of ours that is good at `now`, revocation aside.
pub(crate) fn own_claims(state: &State, token: &str, now: OffsetDateTime) -> Option<AccessTokenClaims> {
    let header = peek_header(token).ok()?;
    let ring = state.ring.load();
    let key = ring.verification_key(&header.kid, now)?;
    let issuers = state.settings.issuers();
    let expected = Expected { issuers: &issuers, audience: None, leeway: Duration::ZERO };
    verify(token, key, &expected, now).ok()
}
