//! Token revocation (RFC 7009): a client ends one of its own access tokens before its time.

use std::sync::Arc;

use access_token::RevocationSubject;
use authz_domain::{Act, Actor};
use authz_store::revocations;
use axum::{
    body::Body,
    extract::State as Extract,
    response::{IntoResponse, Response},
};
use http::{Request, StatusCode, request::Parts};
use time::OffsetDateTime;

use super::{
    authenticate::{Door, authenticate},
    error::{ErrorContext, NO_STORE, OAuthError},
    form::Form,
    introspect::own_claims,
    presented_credentials::present,
    request::read_body,
};
use crate::{settings::LEEWAY, state::State, use_cases::UseCases};

/// `POST /oauth2/revoke`
pub(crate) async fn endpoint(Extract(state): Extract<Arc<State>>, request: Request<Body>) -> Response {
    let now = state.clock.now();
    let (parts, body) = request.into_parts();
    match revoke(&state, &parts, body, now).await {
        Ok(()) => (StatusCode::OK, NO_STORE).into_response(),
        Err(error) => error.into_response(&ErrorContext::new(&state, &parts, now)),
    }
}

async fn revoke(
    state: &Arc<State>,
    parts: &Parts,
    body: Body,
    now: OffsetDateTime,
) -> Result<(), OAuthError> {
    let body = read_body(parts, body).await?;
    let form = Form::parse(&body)?;
    let presented = present(parts, &form)?;
    let client = authenticate(state, &presented, Door::standard(parts), now).await?;
    let token = form.get("token").ok_or(OAuthError::MissingParameter("token"))?;
    // `token_type_hint` only helps to search (RFC 7009 §2.1); there is one type here. §2.2: an invalid token, or one
    // that is dead already, is as good as revoked.
    let Some(claims) = own_claims(state, token, now) else { return Ok(()) };
    if claims.client_id != client.client.client.id.as_str() {
        return Err(OAuthError::ForeignToken);
    }
    if state.revocations.revokes(&claims) {
        return Ok(());
    }
    let mut work = authz_store::begin(&state.database).await?;
    let until = claims.exp.saturating_add(LEEWAY.whole_seconds());
    let subject = RevocationSubject::Token(claims.jti.clone());
    revocations::append(&mut work.db(), &subject, until, true, state.clock.now()).await?;
    let actor = Actor::Client(claims.client_id.clone());
    let details = vec![("jti", claims.jti)];
    let acts = UseCases::of(Arc::clone(state));
    acts.audit(&mut work.db(), &actor, Act::TokenRevoked, &claims.client_id, details)
        .await
        .map_err(|error| OAuthError::Failed(Box::new(error)))?;
    work.commit().await?;
    state.catch_up().await.map_err(|error| OAuthError::Failed(Box::new(error)))
}
