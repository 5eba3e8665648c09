//! Checking a client's credentials: the same path, the same work, whether the client exists or not.

use std::{hint::black_box, net::IpAddr, sync::Arc};

use access_token::Confirmation;
use authz_domain::{
    ASSERTION_LIFETIME, AssertionRules, Certificate, ClientAssertion, ClientStatus, Proof, Secret,
    SecretState, is_identifier,
};
use authz_store::used_assertions;
use aws_lc_rs::digest;
use http::request::Parts;
use http_service::ClientCertificate;
use time::{Duration, OffsetDateTime};

use super::{
    error::OAuthError,
    presented_credentials::{PresentedCredentials, PresentedProof},
    request::address,
};
use crate::{
    client_cache::{CachedClient, position},
    state::State,
    throttle::Asker,
};

/// A client that has proven itself, and by which credential.
#[derive(Debug)]
pub(crate) struct AuthenticatedClient {
    pub(crate) client: Arc<CachedClient>,
    place: usize,
    /// The certificate of its connection, where that is its proof.
    certificate: Option<Certificate>,
}

impl AuthenticatedClient {
    /// The credential it used.
    pub(crate) fn secret(&self) -> &Secret {
        &self.client.secrets[self.place].secret
    }

    /// The certificate to which its tokens are bound (RFC 8705 §3).
    pub(crate) fn certificate(&self) -> Option<Confirmation> {
        self.certificate.as_ref().map(|own| Confirmation::Certificate(own.thumbprint()))
    }

    /// The instant after which no token bought now may work.
    pub(crate) fn ends_at(&self) -> OffsetDateTime {
        let secret = self.secret().ends_at();
        self.certificate.as_ref().map_or(secret, |own| own.valid_until().min(secret))
    }
}

/// The endpoint that is asked, as far as it matters to authentication.
#[derive(Clone, Copy)]
pub(crate) struct Door {
    address: IpAddr,
    assertion_lifetime: Duration,
}

impl Door {
    /// An endpoint of RFC 6749 and its companions.
    pub(crate) fn standard(parts: &Parts) -> Self {
        Self { address: address(parts), assertion_lifetime: ASSERTION_LIFETIME }
    }

    /// The endpoint that looks like Entra ID's. Its clients write assertions of ten minutes (MSAL has no setting for it).
    pub(crate) fn entra(parts: &Parts) -> Self {
        Self { assertion_lifetime: ASSERTION_LIFETIME * 2, ..Self::standard(parts) }
    }
}

/// Stands in for ids that no client can have, so that they cost the same queries.
const NOBODY: &str = "-";

/// A client, and the place of the credential among its own.
type Found = (Arc<CachedClient>, usize);

/// Checks credentials: one hash or signature, always; the cached client, if there is one; and before anything is refused
/// the database, once, because a credential may have been made by another process a moment ago. So an unknown client and
/// a wrong secret do the same: one hash, two queries, the same comparisons.
pub(crate) async fn authenticate(
    state: &State,
    presented: &PresentedCredentials<'_>,
    door: Door,
    now: OffsetDateTime,
) -> Result<AuthenticatedClient, OAuthError> {
    let asker = Asker { client_id: &presented.client_id, address: door.address };
    if let Some(wait) = state.throttle.must_wait(asker, now) {
        return Err(OAuthError::Throttled { wait });
    }
    let id = if is_identifier(&presented.client_id) { &presented.client_id } else { NOBODY };
    let mut certificate = None;
    let (found, wrong) = match &presented.proof {
        PresentedProof::Secret(secret) => (by_secret(state, id, secret).await?, OAuthError::WrongCredentials),
        PresentedProof::Certificate(shown) => {
            let read = Certificate::parse(shown.own()).map_err(|_| OAuthError::WrongCertificate)?;
            let wrong = match read.valid_until() {
                at if at < now => OAuthError::CertificateExpired { at },
                _ => OAuthError::WrongCertificate,
            };
            let found = by_certificate(state, id, shown, &read, now).await?;
            certificate = Some(read);
            (found, wrong)
        }
        PresentedProof::Assertion(assertion) => {
            (by_assertion(state, id, assertion, now).await?, OAuthError::WrongSignature)
        }
    };
    let Some((client, place)) = found else {
        return Err(match state.throttle.failed(asker, now) {
            Some(wait) => OAuthError::Throttled { wait },
            None => wrong,
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
    let method = secret.proof.method();
    match secret.state(now) {
        SecretState::Live => {}
        SecretState::Expired => return Err(OAuthError::SecretExpired { method, at: secret.expires_at }),
        SecretState::Retired => return Err(OAuthError::SecretRetired { method, at: secret.ends_at() }),
        SecretState::Revoked => {
            return Err(OAuthError::SecretRevoked { method, at: secret.revoked_at.unwrap_or(now) });
        }
    }
    if let PresentedProof::Assertion(assertion) = &presented.proof {
        use_once(state, id, assertion, door.assertion_lifetime, now).await?;
    }
    state.last_use.note(&client, place, now);
    Ok(AuthenticatedClient { client, place, certificate })
}

async fn by_secret(state: &State, id: &str, secret: &str) -> Result<Option<Found>, OAuthError> {
    let hash = state.keys.pepper.hash(secret);
    let cached = state.clients.get(id);
    let found = cached.and_then(|client| Some((position(&hash, &client.secrets)?, client)));
    if let Some((place, client)) = found {
        return Ok(Some((client, place)));
    }
    let loaded = state.clients.load(id, &state.database, &state.settings).await?;
    let secrets = loaded.as_ref().map_or(&[][..], |client| &client.secrets);
    let place = position(&hash, secrets);
    Ok(loaded.zip(place))
}

async fn by_assertion(
    state: &State,
    id: &str,
    assertion: &ClientAssertion<'_>,
    now: OffsetDateTime,
) -> Result<Option<Found>, OAuthError> {
    let cached = state.clients.get(id);
    if let Some(place) = signer(state, cached.as_deref(), assertion, now).await {
        return Ok(cached.zip(Some(place)));
    }
    let loaded = state.clients.load(id, &state.database, &state.settings).await?;
    if let Some(place) = signer(state, loaded.as_deref(), assertion, now).await {
        return Ok(loaded.zip(Some(place)));
    }
    // A client that publishes its keys itself may sign with a new one at any time.
    let Some(client) = loaded else { return Ok(None) };
    for (place, address) in published(&client) {
        let keys = state.key_sets.look_again(address, now).await;
        if keys.is_some_and(|keys| assertion.is_signed_by_one_of(&keys) == Some(true)) {
            return Ok(Some((client, place)));
        }
    }
    Ok(None)
}

async fn by_certificate(
    state: &State,
    id: &str,
    shown: &ClientCertificate,
    read: &Certificate,
    now: OffsetDateTime,
) -> Result<Option<Found>, OAuthError> {
    // Judged whether the client exists or not.
    let issued = state.certificate_issuers.issued(shown, now);
    // What is registered is the certificate itself (RFC 8705 §2.2), or whom a known issuer says that it is for (§2.1).
    let holder = |client: &CachedClient| {
        client.secrets.iter().position(|one| match &one.secret.proof {
            Proof::Certificate(thumbprint) => shown.is(thumbprint),
            Proof::Subject(subject) => issued && read.is_for(subject),
            Proof::Secret(_) | Proof::Keys(_) | Proof::KeysAt(_) => false,
        })
    };
    if let Some(cached) = state.clients.get(id)
        && let Some(place) = holder(&cached)
    {
        return Ok(Some((cached, place)));
    }
    let loaded = state.clients.load(id, &state.database, &state.settings).await?;
    let place = loaded.as_deref().and_then(holder);
    Ok(loaded.zip(place))
}

/// Where a client publishes keys, and by which credential.
fn published(client: &CachedClient) -> Vec<(usize, &str)> {
    let credentials = client.secrets.iter().enumerate();
    credentials
        .filter_map(|(place, one)| match &one.secret.proof {
            Proof::KeysAt(address) => Some((place, address.as_str())),
            Proof::Secret(_) | Proof::Keys(_) | Proof::Subject(_) | Proof::Certificate(_) => None,
        })
        .collect()
}

/// The place of the credential whose key signed the assertion. At least one signature is checked, whether the client has
/// a key or exists at all.
async fn signer(
    state: &State,
    client: Option<&CachedClient>,
    assertion: &ClientAssertion<'_>,
    now: OffsetDateTime,
) -> Option<usize> {
    let mut checked = false;
    for (place, one) in client.map_or(&[][..], |client| &client.secrets).iter().enumerate() {
        let signed = match &one.secret.proof {
            Proof::Secret(_) | Proof::Subject(_) | Proof::Certificate(_) => None,
            Proof::Keys(keys) => assertion.is_signed_by_one_of(keys),
            Proof::KeysAt(address) => {
                let keys = state.key_sets.get(address, now).await;
                keys.and_then(|keys| assertion.is_signed_by_one_of(&keys))
            }
        };
        match signed {
            Some(true) => return Some(place),
            Some(false) => checked = true,
            None => {}
        }
    }
    if !checked {
        black_box(assertion.is_signed_by_nobody());
    }
    None
}

/// Checks what a proven client says in its assertion, and takes its id: it is good once, on all instances.
async fn use_once(
    state: &State,
    client_id: &str,
    assertion: &ClientAssertion<'_>,
    lifetime: Duration,
    now: OffsetDateTime,
) -> Result<(), OAuthError> {
    let audiences = state.settings.audiences();
    let used = assertion.check(AssertionRules { audiences: &audiences, lifetime }, now)?;
    let hash = hex::encode(digest::digest(&digest::SHA256, used.jti.as_bytes()));
    let mut work = state.database.begin().await?;
    let first = used_assertions::use_once(&mut work.db(), client_id, &hash, used.until).await?;
    work.commit().await?;
    if first { Ok(()) } else { Err(OAuthError::AssertionUsed) }
}
