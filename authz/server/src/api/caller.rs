//! Who calls: a client with a token of ours for this API, still in force, with the scope that the operation needs.

use std::sync::Arc;

use access_token::{AdministrationScope, Scope};
use authz_domain::{Actor, Client, ClientStatus, SecretId};
use axum::{
    extract::{Request, State as Extract},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, header, request::Parts};
use http_service::AccessNote;
use pms_terms::{ADMINISTRATION_RESOURCE, OrganisationId};

use super::problem::Problem;
use crate::{
    client_cache::CachedClient,
    oauth::{introspect::own_claims, possession},
    state::State,
};

/// The client that calls, as handlers see it.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    client: Arc<CachedClient>,
    /// The secret that bought its token.
    pub(crate) secret: SecretId,
}

impl Caller {
    /// Its id.
    pub(crate) fn id(&self) -> &str {
        self.client.client.id.as_str()
    }

    /// As the audit trail names it.
    pub(crate) fn actor(&self) -> Actor {
        Actor::Client(self.id().to_owned())
    }

    /// The one organisation it acts for; none for operators of the whole house.
    pub(crate) fn organisation(&self) -> Option<&OrganisationId> {
        self.client.client.organisation.as_ref()
    }

    /// Whether it may see something of an organisation, or without one.
    pub(crate) fn sees(&self, organisation: Option<&OrganisationId>) -> bool {
        self.organisation().is_none() || self.organisation() == organisation
    }

    /// Whether it may change a client that it sees. Those who administer are made and changed on the command line only:
    /// otherwise one could give itself what another one has.
    pub(crate) fn may_change(&self, state: &State, client: &Client) -> Result<(), Problem> {
        if !self.sees(client.organisation.as_ref()) {
            return Err(Problem::not_found());
        }
        if state.settings.role(&client.role).is_some_and(|role| role.administers()) {
            return Err(Problem::forbidden("clients that administer are changed on the command line"));
        }
        Ok(())
    }
}

/// The layer in front of every operation.
pub(crate) async fn admit(
    Extract((state, needed)): Extract<(Arc<State>, AdministrationScope)>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let admitted = authorise(&state, &parts, needed).await;
    let mut request = Request::from_parts(parts, body);
    match admitted {
        Ok(caller) => {
            let client_id = Some(caller.id().to_owned());
            request.extensions_mut().insert(caller);
            let mut response = next.run(request).await;
            response.extensions_mut().insert(AccessNote { client_id, ..AccessNote::default() });
            response
        }
        Err(problem) => problem.into_response(),
    }
}

async fn authorise(
    state: &Arc<State>,
    parts: &Parts,
    needed: AdministrationScope,
) -> Result<Caller, Problem> {
    let now = state.clock.now();
    let Some((by_dpop, token)) = token(&parts.headers)? else {
        let detail = "send a token of the token endpoint: Authorization: Bearer TOKEN";
        return Err(Problem::unauthorized(detail, false));
    };
    let claims = own_claims(state, token, now).filter(|claims| !state.revocations.revokes(claims));
    let Some(claims) = claims else {
        return Err(Problem::unauthorized("the token is not ours, has expired, or was revoked", true));
    };
    possession::check(state, &claims, by_dpop, token, parts, now)
        .map_err(|refused| Problem::unauthorized(refused, true))?;
    if claims.aud != ADMINISTRATION_RESOURCE {
        let detail =
            format!("the token is for {}, not for this API: ask for the scope you need here", claims.aud);
        return Err(Problem::unauthorized(detail, true));
    }
    let gone = || Problem::unauthorized("the token's client is not in force", true);
    let client = if let Some(client) = state.clients.get(&claims.client_id) {
        client
    } else {
        let loaded = state.clients.load(&claims.client_id, &state.database, &state.settings).await?;
        loaded.ok_or_else(gone)?
    };
    if client.client.status != ClientStatus::Active {
        return Err(gone());
    }
    let granted = Scope::parse(&claims.scope).unwrap_or_default();
    // What the client may have may have become less since the token was made.
    let still = needed == AdministrationScope::RotateOwnSecret
        || client.client.allowed.permits_administration(needed);
    if !granted.permits_administration(needed) || !still {
        return Err(Problem::insufficient_scope(needed));
    }
    let secret = claims.secret_id.parse().map_err(|_| gone())?;
    Ok(Caller { client, secret })
}

/// The token of exactly one `Authorization` header (RFC 6750 §2.1), and whether it comes by DPoP (RFC 9449 §7.1).
fn token(headers: &HeaderMap) -> Result<Option<(bool, &str)>, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::malformed("there is more than one Authorization header"));
    }
    let text = value.to_str().unwrap_or_default();
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some((false, token.trim()))),
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("dpop") => Ok(Some((true, token.trim()))),
        _ => Err(Problem::unauthorized("the Authorization header is not Bearer and a token", false)),
    }
}
