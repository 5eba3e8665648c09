//! Checking tokens: public keys, and every rule of RFC 9068 §4 that needs no network.

use std::{fmt, str::FromStr};

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rsa::PublicKeyComponents,
    signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{AccessTokenClaims, Algorithm, Jwk, TOKEN_TYPE};

/// Makes aws-lc-rs the backend of `jsonwebtoken`. Called first thing in a program; calling it again does nothing.
/// Fails to compile when the other backend is chosen, which is the point.
pub fn install_crypto_provider() {
    // Err means that a provider is installed already: ours, since it is the only one compiled in.
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
}

/// A public key, parsed once: `jsonwebtoken` would do that for every token, and reads a token's JSON twice.
pub struct VerificationKey {
    key: ParsedPublicKey,
    algorithm: Algorithm,
    kid: String,
}

impl VerificationKey {
    /// Reads a JWK of a key set. `None` for keys that are not for us: another use, another algorithm, no key id,
    /// malformed members. A symmetric key is never accepted.
    pub fn from_jwk(jwk: &Jwk) -> Option<Self> {
        if jwk.key_use.as_deref().is_some_and(|key_use| key_use != "sig") {
            return None;
        }
        let kid = jwk.kid.clone()?;
        let claimed = jwk.alg.as_deref();
        let member = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        let (algorithm, key) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("EC", Some("P-256")) => {
                let (x, y) = (member(&jwk.x)?, member(&jwk.y)?);
                // RFC 7518 §6.2.1.2: each coordinate has all its octets. An uncompressed point, SEC 1 §2.3.3.
                let whole = x.len() == 32 && y.len() == 32;
                let point = whole.then(|| [&[4][..], &x, &y].concat())?;
                (Algorithm::Es256, ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point))
            }
            ("RSA", _) => {
                let components = PublicKeyComponents { n: member(&jwk.n)?, e: member(&jwk.e)? };
                let key = AsDer::<PublicKeyX509Der<'_>>::as_der(&components).ok()?;
                (Algorithm::Rs256, ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.as_ref()))
            }
            ("OKP", Some("Ed25519")) => (Algorithm::EdDsa, ParsedPublicKey::new(&ED25519, member(&jwk.x)?)),
            _ => return None,
        };
        if claimed.is_some_and(|name| name != algorithm.as_str()) {
            return None;
        }
        Some(Self { key: key.ok()?, algorithm, kid })
    }

    /// The key id.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The one algorithm it verifies.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerificationKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// The part of a token's header that tells which key to use. Everything in it is the sender's claim;
/// `jku`, `x5u`, `jwk` are not read at all (ASVS 5.0 §9.1.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenHeader {
    /// The key id.
    pub kid: String,
    /// The algorithm, one of ours.
    pub algorithm: Algorithm,
}

/// Reads the header of `token` without believing it.
///
/// # Errors
/// [`TokenError::Malformed`], [`TokenError::UnsupportedAlgorithm`], [`TokenError::WrongType`].
pub fn peek_header(token: &str) -> Result<TokenHeader, TokenError> {
    #[derive(Deserialize)]
    struct Raw {
        alg: String,
        typ: Option<String>,
        kid: Option<String>,
        crit: Option<serde::de::IgnoredAny>,
    }
    let encoded = token.split('.').next().unwrap_or_default();
    let json =
        URL_SAFE_NO_PAD.decode(encoded).map_err(|_| TokenError::Malformed("header is not base64url"))?;
    let raw: Raw =
        serde_json::from_slice(&json).map_err(|_| TokenError::Malformed("header is not a JWS header"))?;
    if token.split('.').count() != 3 {
        return Err(TokenError::Malformed("not three parts"));
    }
    if raw.crit.is_some() {
        // RFC 7515 §4.1.11: an extension that is not understood makes the token invalid.
        return Err(TokenError::Malformed("header has critical extensions"));
    }
    let algorithm = Algorithm::from_str(&raw.alg).map_err(|_| TokenError::UnsupportedAlgorithm)?;
    let typ = raw.typ.unwrap_or_default();
    let typ =
        typ.get(..12).filter(|p| p.eq_ignore_ascii_case("application/")).map_or(typ.as_str(), |_| &typ[12..]);
    if !typ.eq_ignore_ascii_case(TOKEN_TYPE) {
        return Err(TokenError::WrongType);
    }
    Ok(TokenHeader { kid: raw.kid.ok_or(TokenError::Malformed("header has no kid"))?, algorithm })
}

/// What a resource server expects of a token.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Issuers that are trusted.
    pub issuers: &'a [String],
    /// The audience the token must name; none where the audience is checked later, against the resource asked for.
    pub audience: Option<&'a str>,
    /// Tolerated clock difference.
    pub leeway: Duration,
}

/// Checks signature, type, issuer, audience and times of `token`.
///
/// # Errors
/// The first rule that it breaks.
pub fn verify(
    token: &str,
    key: &VerificationKey,
    expected: &Expected<'_>,
    now: OffsetDateTime,
) -> Result<AccessTokenClaims, TokenError> {
    let header = peek_header(token)?;
    if header.algorithm != key.algorithm || header.kid != key.kid {
        return Err(TokenError::UnknownKey);
    }
    // RFC 7515 §5.2: the signature is over the two first parts as they came.
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed("not three parts"))?;
    let (_, payload) = signed.split_once('.').ok_or(TokenError::Malformed("not three parts"))?;
    let signature =
        URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenError::Malformed("signature is not base64url"))?;
    key.key.verify_sig(signed.as_bytes(), &signature).map_err(|_| TokenError::BadSignature)?;
    // Nothing of the payload was looked at before.
    let no_claims = || TokenError::Malformed("claims are not those of an access token of ours");
    let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| no_claims())?;
    let claims: AccessTokenClaims = serde_json::from_slice(&payload).map_err(|_| no_claims())?;
    if !expected.issuers.contains(&claims.iss) {
        return Err(TokenError::WrongIssuer);
    }
    if expected.audience.is_some_and(|audience| audience != claims.aud) {
        return Err(TokenError::WrongAudience { found: claims.aud });
    }
    let leeway = expected.leeway.whole_seconds();
    let now = now.unix_timestamp();
    if claims.exp.saturating_add(leeway) <= now {
        return Err(TokenError::Expired { at: claims.exp });
    }
    if claims.nbf.saturating_sub(leeway) > now {
        return Err(TokenError::NotYetValid { at: claims.nbf });
    }
    Ok(claims)
}

/// Why a token is not accepted. The texts may be shown to the caller: they repeat only what it sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a JWT of the expected form.
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    /// `none`, HMAC, or anything else outside the allow-list.
    #[error("the token's algorithm is not accepted: ES256, RS256 or EdDSA")]
    UnsupportedAlgorithm,
    /// The `typ` header is not `at+jwt`: an ID token, an assertion.
    #[error("the token is not an access token (typ must be at+jwt)")]
    WrongType,
    /// Signed with a key that the issuer does not publish.
    #[error("the token was signed with an unknown key")]
    UnknownKey,
    /// The signature does not fit.
    #[error("the token's signature is wrong")]
    BadSignature,
    /// Too old.
    #[error("the token expired at {}", written(*at))]
    Expired {
        /// `exp`.
        at: i64,
    },
    /// Too new.
    #[error("the token is not valid before {}", written(*at))]
    NotYetValid {
        /// `nbf`.
        at: i64,
    },
    /// From an issuer that is not trusted here.
    #[error("the token's issuer is not trusted here")]
    WrongIssuer,
    /// For another resource.
    #[error("the token is for {found}, not for this resource")]
    WrongAudience {
        /// `aud`.
        found: String,
    },
}

fn written(seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_else(|| seconds.to_string())
}
