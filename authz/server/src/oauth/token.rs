//! The token endpoint: the steps in order.

use std::sync::Arc;

use access_token::{AccessTokenClaims, Confirmation};
use authz_domain::{Grant, grant};
use axum::{
    body::Body,
    extract::{Path, State as Extract},
    response::{IntoResponse, Response},
};
use http::{Request, request::Parts};
use http_service::AccessNote;
use serde::Serialize;
use time::OffsetDateTime;

use super::{
    authenticate::{AuthenticatedClient, Door, authenticate},
    client_credentials_flow,
    error::{ErrorContext, NO_STORE, OAuthError},
    form::Form,
    possession,
    presented_credentials::present,
    request::read_body,
};
use crate::{entropy::entropy, state::State};

/// `POST /oauth2/token`
pub(crate) async fn root(Extract(state): Extract<Arc<State>>, request: Request<Body>) -> Response {
    answer(&state, None, request).await
}

/// `POST /{tenant}/oauth2/v2.0/token`, where clients of Entra ID look.
pub(crate) async fn tenant(
    Extract(state): Extract<Arc<State>>,
    Path(tenant): Path<String>,
    request: Request<Body>,
) -> Response {
    answer(&state, Some(&tenant), request).await
}

async fn answer(state: &State, tenant: Option<&str>, request: Request<Body>) -> Response {
    let now = state.clock.now();
    let (parts, body) = request.into_parts();
    match issue(state, tenant, &parts, body, now).await {
        Ok(response) => {
            state.meters.issued();
            response
        }
        Err(error) => {
            state.meters.refused();
            error.into_response(&ErrorContext::new(state, &parts, now))
        }
    }
}

async fn issue(
    state: &State,
    tenant: Option<&str>,
    parts: &Parts,
    body: Body,
    now: OffsetDateTime,
) -> Result<Response, OAuthError> {
    if tenant.is_some_and(|tenant| !state.settings.tenants.iter().any(|own| own == tenant)) {
        return Err(OAuthError::UnknownTenant);
    }
    let body = read_body(parts, body).await?;
    let form = Form::parse(&body)?;
    let presented = present(parts, &form);
    let wish = form.get("scope");
    let client_id = presented.as_ref().ok().map(|presented| presented.client_id.as_ref());
    let flow = match client_credentials_flow::begin(form.get("grant_type"), client_id, wish) {
        // What is wrong with the credentials is known better here than there.
        Err(OAuthError::NoCredentials) => return Err(presented.err().unwrap_or(OAuthError::NoCredentials)),
        other => other?,
    };
    let presented = presented?;

    let proof = possession::presented(state, parts, now)?;
    let door = if tenant.is_some() { Door::entra(parts) } else { Door::standard(parts) };
    let client = authenticate(state, &presented, door, now).await?;
    let flow = flow.authenticated()?;

    let registered = &client.client;
    let role = registered.role.as_ref().ok_or(OAuthError::RoleGone)?;
    let granted = grant(wish, &role.resource, &registered.client.allowed)?;
    if let Some(target) = form.get("resource")
        && !is_resource(target, &granted.resource, &state.settings.base_url)
    {
        return Err(OAuthError::OtherTarget { resource: granted.resource });
    }
    let scope = granted.scope.to_string();
    flow.granted(&scope)?;

    // To the key that the client asked for, else to the certificate by which it is known.
    let key = possession::bind(state, proof.as_ref(), registered.client.dpop_required, now)?;
    let cnf = key.or_else(|| client.certificate());
    let token_type = Confirmation::token_type(cnf.as_ref());
    let token = sign(state, &client, tenant, &granted, cnf, now)?;
    // The request's own words, when there were any: clients compare.
    let scope = wish.map(each_once).filter(|words| !words.is_empty()).unwrap_or(scope);
    let answer = TokenResponse {
        token_type,
        expires_in: token.expires_in,
        ext_expires_in: token.expires_in,
        access_token: &token.text,
        scope: &scope,
    };
    let body = serde_json::to_vec(&answer).map_err(|error| OAuthError::Failed(Box::new(error)))?;
    let mut response = (NO_STORE, body).into_response();
    let client_id = Some(registered.client.id.as_str().to_owned());
    response.extensions_mut().insert(AccessNote { client_id, ..AccessNote::default() });
    Ok(response)
}

/// The words of a scope in their order, each once, between single spaces (RFC 6749 §3.3).
fn each_once(wish: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    for word in wish.split_ascii_whitespace() {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words.join(" ")
}

/// RFC 8707: the resource a client names must be one that its token is good for: the audience itself, or an API of
/// this installation, of which the token's audience says which.
fn is_resource(target: &str, resource: &str, base_url: &str) -> bool {
    let target = target.trim_end_matches('/');
    target == resource
        || target.strip_prefix(base_url).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

struct SignedToken {
    text: String,
    expires_in: i64,
}

/// Makes the token (RFC 9068 §2). It never outlives the secret or the certificate that bought it.
fn sign(
    state: &State,
    client: &AuthenticatedClient,
    tenant: Option<&str>,
    granted: &Grant,
    cnf: Option<Confirmation>,
    now: OffsetDateTime,
) -> Result<SignedToken, OAuthError> {
    let settings = &state.settings;
    let registered = &client.client;
    let iat = now.unix_timestamp();
    let ends_at = client.ends_at().unix_timestamp();
    let exp = iat.saturating_add(settings.token_lifetime.whole_seconds()).min(ends_at);
    let role = registered.role.as_ref().ok_or(OAuthError::RoleGone)?;
    let jti = entropy().map_err(|error| OAuthError::Failed(Box::new(error)))?;
    let claims = AccessTokenClaims {
        iss: tenant.map_or_else(|| settings.issuer.clone(), |tenant| settings.tenant_issuer(tenant)),
        sub: registered.client.id.as_str().to_owned(),
        aud: granted.resource.clone(),
        exp,
        nbf: iat,
        iat,
        jti: uuid::Builder::from_random_bytes(jti).into_uuid().hyphenated().to_string(),
        client_id: registered.client.id.as_str().to_owned(),
        azp: registered.client.id.as_str().to_owned(),
        scope: granted.scope.to_string(),
        // A token for another API than the role's carries no role.
        roles: (granted.resource == role.resource).then(|| role.token_role.clone()).into_iter().collect(),
        org_id: registered.client.organisation.clone(),
        stakeholder: registered.stakeholder,
        qualified: registered.client.qualified,
        domains: registered.client.domains,
        tid: tenant.unwrap_or_else(|| settings.default_tenant()).to_owned(),
        ver: "2.0".to_owned(),
        secret_id: client.secret().id.as_str().to_owned(),
        cnf,
    };
    let ring = state.ring.load();
    let key = ring.signer(now).ok_or(OAuthError::Internal)?;
    let text = key.sign(&claims).map_err(|error| OAuthError::Failed(Box::new(error)))?;
    Ok(SignedToken { text, expires_in: exp - iat })
}

/// RFC 6749 §5.1; `ext_expires_in` because Entra ID sends it.
#[derive(Serialize)]
struct TokenResponse<'a> {
    token_type: &'static str,
    expires_in: i64,
    ext_expires_in: i64,
    access_token: &'a str,
    scope: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_the_audience_or_an_api_of_ours() {
        let is = |target| is_resource(target, "api://pmsgate/pms", "https://localhost:8443");
        assert!(is("api://pmsgate/pms"));
        assert!(is("api://pmsgate/pms/"));
        assert!(is("https://localhost:8443/pms/api/v3"));
        assert!(is("https://localhost:8443/"));
        assert!(!is("https://localhost:8443.example.org/"));
        assert!(!is("api://pmsgate/public"));
        assert!(!is(""));
    }
}
