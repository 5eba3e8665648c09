//! The signing keys in memory: parsed once, chosen by the clock.

use access_token::{Jwk, JwkSet, SigningKey, VerificationKey};
use authz_domain::{SigningKeyLife, SigningKeyPolicy, SigningKeyState};
use authz_store::signing_keys::StoredSigningKey;

use time::OffsetDateTime;

use crate::seal::{SealError, open};

/// All keys that are published or will sign.
#[derive(Debug)]
pub(crate) struct KeyRing {
    keys: Vec<RingKey>,
    policy: SigningKeyPolicy,
}

#[derive(Debug)]
struct RingKey {
    life: SigningKeyLife,
    signing: SigningKey,
    verification: Option<VerificationKey>,
}

impl KeyRing {
    /// A ring of nothing, until the first keys are loaded.
    pub(crate) fn empty(policy: SigningKeyPolicy) -> Self {
        Self { keys: Vec::new(), policy }
    }

    /// Opens and parses stored keys.
    pub(crate) fn open(
        stored: &[StoredSigningKey],
        seal: &[u8; 32],
        policy: SigningKeyPolicy,
    ) -> Result<Self, SealError> {
        let keys = stored.iter().map(|stored| {
            let pkcs8 = open(seal, &stored.life.kid, &stored.sealed)?;
            let signing =
                SigningKey::from_pkcs8(stored.life.algorithm, &pkcs8).map_err(|_| SealError::DoesNotOpen)?;
            let verification = VerificationKey::from_jwk(signing.public_jwk());
            Ok(RingKey { life: stored.life.clone(), signing, verification })
        });
        Ok(Self { keys: keys.collect::<Result<_, _>>()?, policy })
    }

    /// The key that signs at `now`.
    ///
    /// Should none be active (a sandbox's clock went back, or nobody planned ahead for very long), the one that is
    /// nearest to its time signs: it is published, so its tokens are good, and the planner follows within seconds.
    pub(crate) fn signer(&self, now: OffsetDateTime) -> Option<&SigningKey> {
        let of_state = |wanted: SigningKeyState| {
            self.keys.iter().filter(move |key| key.life.state(&self.policy, now) == wanted)
        };
        let active = of_state(SigningKeyState::Active)
            .max_by_key(|key| (key.life.algorithm == self.policy.algorithm, key.life.not_before));
        active
            .or_else(|| of_state(SigningKeyState::Next).min_by_key(|key| key.life.not_before))
            .or_else(|| of_state(SigningKeyState::Retiring).max_by_key(|key| key.life.not_before))
            .map(|key| &key.signing)
    }

    /// The published keys (RFC 7517 §5), the one that signs first.
    pub(crate) fn jwk_set(&self, now: OffsetDateTime) -> JwkSet {
        let mut published: Vec<(SigningKeyState, &RingKey)> = self
            .keys
            .iter()
            .map(|key| (key.life.state(&self.policy, now), key))
            .filter(|(state, _)| state.is_published())
            .collect();
        published.sort_by_key(|(state, key)| (*state != SigningKeyState::Active, key.life.not_before));
        let keys: Vec<Jwk> = published.into_iter().map(|(_, key)| key.signing.public_jwk().clone()).collect();
        JwkSet { keys }
    }

    /// The key by which a token of ours can be checked, if it is still published.
    pub(crate) fn verification_key(&self, kid: &str, now: OffsetDateTime) -> Option<&VerificationKey> {
        self.keys
            .iter()
            .find(|key| key.life.kid == kid && key.life.state(&self.policy, now).is_published())
            .and_then(|key| key.verification.as_ref())
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }
}
