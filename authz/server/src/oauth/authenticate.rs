//! Checking a client's credentials: the same path, the same work, whether the client exists or not.

use std::{net::IpAddr, sync::Arc};

use authz_domain::{ClientStatus, Secret, SecretState, is_identifier};
use time::OffsetDateTime;

use super::{error::OAuthError, presented_credentials::PresentedCredentials};
use crate::{
    client_cache::{CachedClient, position},
    state::State,
    throttle::Asker,
};

/// A client that has proven itself, and by which secret.
#[derive(Debug)]
pub(crate) struct AuthenticatedClient {
    pub(crate) client: Arc<CachedClient>,
    place: usize,
}

impl AuthenticatedClient {
    /// The secret it used.
    pub(crate) fn secret(&self) -> &Secret {
        &self.client.secrets[self.place].secret
    }
}

/// Stands in for ids that no client can have, so that they cost the same queries.
const NOBODY: &str = "-";

/// Checks credentials: one hash, always; the cached client, if there is one; and before anything is refused the
/// database, once, because a secret may have been made by another process a moment ago. So an unknown client and
/// a wrong secret do the same: one hash, two queries, the same comparisons.
pub(crate) async fn authenticate(
    state: &State,
    presented: &PresentedCredentials<'_>,
    address: IpAddr,
    now: OffsetDateTime,
) -> Result<AuthenticatedClient, OAuthError> {
    let asker = Asker { client_id: &presented.client_id, address };
    if let Some(wait) = state.throttle.must_wait(asker, now) {
        return Err(OAuthError::Throttled { wait });
    }
    let hash = state.keys.pepper.hash(&presented.secret);
    let id = if is_identifier(&presented.client_id) { &presented.client_id } else { NOBODY };

    let cached = state.clients.get(id);
    let mut found = cached.and_then(|client| Some((position(&hash, &client.secrets)?, client)));
    if found.is_none() {
        let loaded = state.clients.load(id, &state.database, &state.settings).await?;
        let secrets = loaded.as_ref().map_or(&[][..], |client| &client.secrets);
        let place = position(&hash, secrets);
        found = place.zip(loaded);
    }
    let Some((place, client)) = found else {
        return Err(match state.throttle.failed(asker, now) {
            Some(wait) => OAuthError::Throttled { wait },
            None => OAuthError::WrongCredentials,
        });
    };
    state.throttle.succeeded(asker);

    // From here on the caller is known to be the client, and may be told about itself.
    match client.client.status {
        ClientStatus::Active => {}
        ClientStatus::Suspended => return Err(OAuthError::ClientSuspended),
        ClientStatus::Revoked => return Err(OAuthError::ClientRevoked),
    }
    let secret = &client.secrets[place].secret;
    match secret.state(now) {
        SecretState::Live => {}
        SecretState::Expired => return Err(OAuthError::SecretExpired { at: secret.expires_at }),
        SecretState::Retired => return Err(OAuthError::SecretRetired { at: secret.ends_at() }),
        SecretState::Revoked => {
            return Err(OAuthError::SecretRevoked { at: secret.revoked_at.unwrap_or(now) });
        }
    }
    state.last_use.note(&client, place, now);
    Ok(AuthenticatedClient { client, place })
}
