//! Who calls: access token → [`Caller`], offline, by keys known beforehand and a cache of verdicts.
//!
//! A token that was checked before costs a look-up, by itself or by its SHA-256, and the rules that can change with time:
//! expiry, audience of the product, key still published, not revoked. A token that is bound to a key costs the proof of that key
//! with each request besides.

use std::{
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

use access_token::{DpopRefused, Expected, TokenError};
use aws_lc_rs::digest;
use http::{HeaderMap, header, request::Parts};
use moka::sync::Cache;
use time::{Duration, OffsetDateTime};

use crate::{
    at_hand::AtHand,
    caller::{Caller, Grants},
    error::GatewayError,
    keys::{Keys, NoKey},
    possession::Possession,
    revocation::{Revocations, Standing},
    routes::Product,
};

/// The longest token that is looked at, in bytes.
const MAX_TOKEN_LENGTH: usize = 8 * 1024;
/// How many refused tokens are remembered, so that a client that repeats one costs no signature check.
const REFUSED_CAPACITY: u64 = 4096;
/// How long an unused verdict is kept. Tokens live about as long.
const IDLE: std::time::Duration = std::time::Duration::from_secs(3600);

type Digest = [u8; 32];

/// Part of a digest is as good a hash as any. Only for tokens that were verified: nobody can choose those.
#[derive(Clone, Copy, Debug, Default)]
struct OfDigest(u64);

impl Hasher for OfDigest {
    fn write(&mut self, bytes: &[u8]) {
        if let Some((first, _)) = bytes.split_first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    /// The length, which is always the same.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Why the caller is not known. Texts are shown to the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unauthenticated {
    /// No token at all; another scheme counts as none.
    #[error("no access token was sent: put one into the header `Authorization: Bearer TOKEN`")]
    NoToken,
    /// More than one Authorization header.
    #[error("more than one Authorization header was sent")]
    SeveralHeaders,
    /// Scheme `Bearer`, but what follows has not the form of a token (RFC 6750 §2.1, `b64token`).
    #[error("the Authorization header does not hold a bearer token")]
    NotABearerToken,
    /// The token breaks a rule.
    #[error("{0}")]
    Refused(TokenError),
    /// A token that is bound to a key was sent as Bearer, by whoever has it (RFC 9449 §7.2).
    #[error(
        "the token is bound to a key: send it as `Authorization: DPoP TOKEN` with a proof in the header DPoP"
    )]
    Bound,
    /// A token that is bound to no key was sent with the scheme DPoP.
    #[error("the token is not bound to a key: send it as `Authorization: Bearer TOKEN`")]
    NotBound,
    /// The token is bound to a certificate, and this connection has another one or none.
    #[error("the token is bound to a client certificate, which this connection was not made with")]
    OtherCertificate,
    /// The proof of the key breaks a rule.
    #[error("{0}")]
    Proof(DpopRefused),
    /// The proof lacks the nonce that is wanted; this is the one.
    #[error("{}", DpopRefused::Nonce)]
    Nonce(String),
    /// The client, its secret or the token was revoked.
    #[error("the token was revoked, or the client or secret that obtained it")]
    Revoked,
}

/// Issue code, rule id and API-management text of a token error.
pub fn kind(error: &TokenError) -> (&'static str, &'static str, &'static str) {
    const INVALID: &str = "Access denied due to invalid JWT.";
    match error {
        TokenError::Malformed(_) => ("security", "token-malformed", INVALID),
        TokenError::UnsupportedAlgorithm => ("security", "token-algorithm", INVALID),
        TokenError::WrongType => ("security", "token-type", INVALID),
        TokenError::UnknownKey => ("security", "token-key-unknown", INVALID),
        TokenError::BadSignature => ("security", "token-signature", INVALID),
        TokenError::Expired { .. } => ("expired", "token-expired", "JWT expired."),
        TokenError::NotYetValid { .. } => ("security", "token-not-yet-valid", INVALID),
        TokenError::WrongIssuer => ("security", "token-issuer", INVALID),
        TokenError::WrongAudience { .. } => ("security", "token-audience", INVALID),
    }
}

/// Checks tokens for all products.
#[derive(Debug)]
pub struct Authenticator {
    keys: Arc<Keys>,
    revocations: Option<Arc<Revocations>>,
    issuers: Vec<String>,
    leeway: Duration,
    verified: Cache<Digest, Arc<Caller>, BuildHasherDefault<OfDigest>>,
    grants: Grants,
    refused: Cache<Digest, TokenError>,
    possession: Possession,
    hits: metrics::Counter,
    misses: metrics::Counter,
}

impl Authenticator {
    /// An authenticator with an empty cache.
    pub fn new(
        keys: Arc<Keys>,
        revocations: Option<Arc<Revocations>>,
        issuers: Vec<String>,
        leeway: std::time::Duration,
        capacity: u64,
        possession: Possession,
    ) -> Self {
        Self {
            keys,
            revocations,
            issuers,
            leeway: Duration::try_from(leeway).unwrap_or(Duration::MINUTE),
            verified: Cache::builder()
                .max_capacity(capacity)
                .time_to_idle(IDLE)
                .build_with_hasher(BuildHasherDefault::default()),
            grants: Grants::default(),
            refused: Cache::builder().max_capacity(REFUSED_CAPACITY).time_to_live(IDLE).build(),
            possession,
            hits: metrics::counter!("pmsgate_gateway_token_cache_total", "result" => "hit"),
            misses: metrics::counter!("pmsgate_gateway_token_cache_total", "result" => "miss"),
        }
    }

    /// Room for the callers that a worker sees.
    pub fn at_hand(&self) -> AtHand {
        AtHand::new(self.verified.policy().max_capacity().unwrap_or(0))
    }

    /// Who sends this request to this product. `may_try` is asked before a token that was never judged is.
    pub async fn caller(
        &self,
        parts: &Parts,
        product: &Product,
        now: OffsetDateTime,
        at_hand: &AtHand,
        may_try: impl FnOnce() -> Result<(), GatewayError>,
    ) -> Result<Arc<Caller>, GatewayError> {
        let (scheme, credentials) = match credentials(&parts.headers) {
            Ok(credentials) => credentials,
            Err(refused) => return may_try().and(Err(refused.into())),
        };
        let caller = self.verified(credentials, now, at_hand, may_try).await?;
        if scheme != Scheme::Bearer || caller.confirmation.is_some() {
            self.possession.check(scheme, &caller, credentials, parts, now)?;
        }
        if caller.grant.audience != product.resource {
            let found = caller.grant.audience.clone();
            return Err(Unauthenticated::Refused(TokenError::WrongAudience { found }).into());
        }
        match self.revocations.as_ref().map(|revocations| revocations.standing(&caller, now)) {
            None | Some(Standing::Good) => Ok(caller),
            Some(Standing::Revoked) => Err(Unauthenticated::Revoked.into()),
            Some(Standing::Unknown) => Err(GatewayError::RevocationsStale),
        }
    }

    /// What the token says, checked now or before.
    async fn verified(
        &self,
        credentials: &[u8],
        now: OffsetDateTime,
        at_hand: &AtHand,
        may_try: impl FnOnce() -> Result<(), GatewayError>,
    ) -> Result<Arc<Caller>, GatewayError> {
        if let Some(caller) = at_hand.find(credentials)
            && self.keys.publishes(&caller.grant.kid)
        {
            self.hits.increment(1);
            self.still_valid(&caller, now).map_err(Unauthenticated::Refused)?;
            return Ok(caller);
        }
        let key = digest_of(credentials);
        if let Some(caller) = self.verified.get(&key) {
            if self.keys.publishes(&caller.grant.kid) {
                self.hits.increment(1);
                self.still_valid(&caller, now).map_err(Unauthenticated::Refused)?;
                at_hand.keep(credentials, &caller);
                return Ok(caller);
            }
            // The issuer withdrew the key: whatever it signed is checked anew, and refused.
            self.verified.invalidate(&key);
        }
        may_try()?;
        let token = as_token(credentials)?;
        // A sandbox's clock may be moved back; then an expired token is judged anew.
        if let Some(error) = self.refused.get(&key).filter(|error| self.still_holds(error, now)) {
            self.hits.increment(1);
            return Err(Unauthenticated::Refused(error).into());
        }
        self.misses.increment(1);
        let header = access_token::peek_header(token).map_err(Unauthenticated::Refused)?;
        let verification_key = match Box::pin(self.keys.find(&header.kid)).await {
            Ok(found) => found,
            Err(NoKey::Unknown) => return Err(Unauthenticated::Refused(TokenError::UnknownKey).into()),
            Err(NoKey::NeverRead) => return Err(GatewayError::KeysUnavailable),
        };
        let expected = Expected { issuers: &self.issuers, audience: None, leeway: self.leeway };
        match access_token::verify(token, &verification_key, &expected, now) {
            Ok(claims) => {
                let caller = Arc::new(self.grants.caller(claims, header.kid));
                self.verified.insert(key, Arc::clone(&caller));
                Ok(caller)
            }
            Err(error) => {
                // Only what no passing of time can mend.
                if matches!(
                    error,
                    TokenError::BadSignature
                        | TokenError::WrongIssuer
                        | TokenError::Malformed(_)
                        | TokenError::Expired { .. }
                ) {
                    self.refused.insert(key, error.clone());
                }
                Err(Unauthenticated::Refused(error).into())
            }
        }
    }

    /// Whether a remembered refusal is still right.
    fn still_holds(&self, error: &TokenError, now: OffsetDateTime) -> bool {
        match error {
            TokenError::Expired { at } => {
                at.saturating_add(self.leeway.whole_seconds()) <= now.unix_timestamp()
            }
            _ => true,
        }
    }

    /// The two rules of a verified token that change with time.
    fn still_valid(&self, caller: &Caller, now: OffsetDateTime) -> Result<(), TokenError> {
        let leeway = self.leeway.whole_seconds();
        let now = now.unix_timestamp();
        if caller.expires.saturating_add(leeway) <= now {
            return Err(TokenError::Expired { at: caller.expires });
        }
        if caller.not_before.saturating_sub(leeway) > now {
            return Err(TokenError::NotYetValid { at: caller.not_before });
        }
        Ok(())
    }
}

/// The scheme of an Authorization header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// RFC 6750.
    Bearer,
    /// RFC 9449 §7.1.
    Dpop,
}

/// What follows the scheme in the one Authorization header of a request (RFC 6750 §2.1, RFC 9449 §7.1); not yet looked at.
fn credentials(headers: &HeaderMap) -> Result<(Scheme, &[u8]), Unauthenticated> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Err(Unauthenticated::NoToken) };
    if values.next().is_some() {
        return Err(Unauthenticated::SeveralHeaders);
    }
    let value = value.as_bytes();
    let starts =
        |name: &str| value.get(..name.len()).is_some_and(|own| own.eq_ignore_ascii_case(name.as_bytes()));
    let (scheme, length) = if starts("bearer") {
        (Scheme::Bearer, "bearer".len())
    } else if starts("dpop") {
        (Scheme::Dpop, "dpop".len())
    } else {
        return Err(Unauthenticated::NoToken);
    };
    match &value[length..] {
        [b' ', rest @ ..] if rest.len() <= MAX_TOKEN_LENGTH => {
            let start = rest.iter().position(|byte| *byte != b' ').unwrap_or(rest.len());
            Ok((scheme, &rest[start..]))
        }
        [] | [b' ', ..] => Err(Unauthenticated::NotABearerToken),
        _ => Err(Unauthenticated::NoToken),
    }
}

/// Credentials that have the form of a token (RFC 6750 §2.1, `b64token`). Asked only of those that were never judged:
/// what has a verdict had the form.
fn as_token(credentials: &[u8]) -> Result<&str, Unauthenticated> {
    let mark = |byte: u8| matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=');
    // Without a way out of the loop, sixteen bytes are looked at at once.
    let admitted =
        credentials.iter().fold(true, |so_far, byte| so_far & (byte.is_ascii_alphanumeric() | mark(*byte)));
    let token = str::from_utf8(credentials).ok().filter(|token| admitted && !token.is_empty());
    token.ok_or(Unauthenticated::NotABearerToken)
}

fn digest_of(credentials: &[u8]) -> Digest {
    let mut key = [0; 32];
    key.copy_from_slice(digest::digest(&digest::SHA256, credentials).as_ref());
    key
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher as _;

    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn with(values: &[&str]) -> HeaderMap {
        values.iter().map(|v| (header::AUTHORIZATION, HeaderValue::from_str(v).unwrap())).collect()
    }

    fn bearer_token(headers: &HeaderMap) -> Result<&str, Unauthenticated> {
        as_token(credentials(headers)?.1)
    }

    #[test]
    fn exactly_one_bearer_token_is_taken() {
        assert_eq!(bearer_token(&with(&["Bearer a.b.c"])), Ok("a.b.c"));
        assert_eq!(bearer_token(&with(&["bEARER  a.b.c"])), Ok("a.b.c"));
        assert_eq!(credentials(&with(&["dpop a.b.c"])), Ok((Scheme::Dpop, &b"a.b.c"[..])));
        assert_eq!(bearer_token(&with(&[])), Err(Unauthenticated::NoToken));
        assert_eq!(bearer_token(&with(&["Basic YTpi"])), Err(Unauthenticated::NoToken));
        assert_eq!(bearer_token(&with(&["Bearer a", "Bearer a"])), Err(Unauthenticated::SeveralHeaders));
        let long = format!("Bearer {}", "a".repeat(MAX_TOKEN_LENGTH + 1));
        for malformed in
            ["Bearer", "DPoP", "Bearer ", "Bearer a b", "Bearer a,b", "Bearer \"a\"", long.as_str()]
        {
            assert_eq!(
                bearer_token(&with(&[malformed])),
                Err(Unauthenticated::NotABearerToken),
                "{malformed}"
            );
        }
    }

    /// RFC 6750 §3: an `error_description` has no others, and they stand in one.
    #[test]
    fn what_a_refusal_says_is_of_ascii() {
        use Unauthenticated::{
            Bound, NoToken, NotABearerToken, NotBound, OtherCertificate, Revoked, SeveralHeaders,
        };
        for refused in [NoToken, SeveralHeaders, NotABearerToken, Bound, NotBound, OtherCertificate, Revoked]
        {
            let text = refused.to_string();
            assert!(
                text.bytes().all(|byte| (b' '..=b'~').contains(&byte) && !b"\"\\".contains(&byte)),
                "{text}"
            );
        }
    }

    #[test]
    fn a_digest_is_hashed_to_its_own_beginning() {
        let digest: Digest = std::array::from_fn(|at| u8::try_from(at).unwrap());
        assert_eq!(BuildHasherDefault::<OfDigest>::default().hash_one(digest), 0x0706_0504_0302_0100);
    }

    proptest! {
        #[test]
        fn any_header_is_read_or_refused(bytes in prop::collection::vec(0x20u8..0xff, 0..60)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let _ = bearer_token(&HeaderMap::from_iter([(header::AUTHORIZATION, value)]));
            }
        }
    }
}
