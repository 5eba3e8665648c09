//! DPoP proofs (RFC 9449): a JWT, for one request, by which a client shows that it has the key that its token is bound
//! to.

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use time::{Duration, OffsetDateTime};

use crate::{Jwk, Jws, MalformedJws, ProofAlgorithm, PublicKey, UnfitKey};

/// The header field that holds a proof (RFC 9449 §4.1).
pub const DPOP_HEADER: &str = "dpop";
/// The header field that holds a nonce to put into the next proof (§8).
pub const DPOP_NONCE_HEADER: &str = "dpop-nonce";
/// The `typ` header of a proof (§4.2).
const DPOP_TYPE: &str = "dpop+jwt";
/// How old a proof may be.
pub const DPOP_AGE: Duration = Duration::seconds(60);
/// How far a client's clock may be ahead.
pub const DPOP_AHEAD: Duration = Duration::seconds(30);
/// The longest `jti`, in bytes.
const MAX_JTI_LENGTH: usize = 256;

/// A proof whose signature fits the key in it. What it says is still to be checked.
#[derive(Debug)]
pub struct DpopProof {
    key: PublicKey,
    claims: Claims,
}

#[derive(Deserialize)]
struct Header {
    typ: String,
    alg: String,
    jwk: serde_json::Value,
}

#[derive(Debug, Deserialize)]
struct Claims {
    jti: String,
    htm: String,
    htu: String,
    iat: i64,
    ath: Option<String>,
    nonce: Option<String>,
}

/// The request that a proof must be for.
#[derive(Clone, Copy, Debug)]
pub struct DpopRequest<'a> {
    /// Its method.
    pub method: &'a str,
    /// The address of this server as clients know it, without a slash at the end.
    pub base_url: &'a str,
    /// Its path.
    pub path: &'a str,
    /// The access token that it comes with; none at a token endpoint.
    pub token: Option<&'a str>,
}

/// Why a proof is not accepted. The texts repeat nothing but what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DpopRefused {
    /// Not exactly one.
    #[error("send exactly one DPoP proof, in the header DPoP")]
    Several,
    /// None, where one is needed.
    #[error("a DPoP proof is needed, in the header DPoP (RFC 9449)")]
    Missing,
    /// Not a JWT of the form.
    #[error(
        "the DPoP proof cannot be read: it needs typ, alg and jwk in its header, and jti, htm, htu and iat"
    )]
    Malformed,
    /// Another kind of JWT.
    #[error("the type ('typ') of a DPoP proof is dpop+jwt")]
    Type,
    /// Its algorithm.
    #[error("a DPoP proof must be signed by one of ES256, ES384, RS256, RS384, PS256")]
    Algorithm,
    /// Its key.
    #[error(
        "the public key ('jwk') of the DPoP proof cannot be used: RSA from 2048 bits, P-256 or P-384, no private half"
    )]
    Key,
    /// Its signature.
    #[error("the DPoP proof is not signed by the key in it")]
    Signature,
    /// For another method.
    #[error("'htm' of the DPoP proof is not the method of this request")]
    Method,
    /// For another address.
    #[error("'htu' of the DPoP proof is not the address of this request, without query")]
    Address,
    /// Too old, or from the future.
    #[error(
        "'iat' of the DPoP proof is too long ago or ahead: make one for each request; is the clock of the client right?"
    )]
    Time,
    /// For another token.
    #[error("'ath' of the DPoP proof is not the hash of the access token")]
    Token,
    /// Another key than the token is bound to.
    #[error("the DPoP proof is by another key than the one that the token is bound to")]
    OtherKey,
    /// Used before.
    #[error("the DPoP proof was used before: make one for each request, with another 'jti'")]
    Replayed,
    /// So many at once that they cannot be told apart any more.
    #[error("too many DPoP proofs came at once: try again in a minute")]
    TooMany,
    /// Without the nonce that is wanted.
    #[error("put the nonce of the header DPoP-Nonce into the DPoP proof")]
    Nonce,
}

impl From<MalformedJws> for DpopRefused {
    fn from(_: MalformedJws) -> Self {
        Self::Malformed
    }
}

impl From<UnfitKey> for DpopRefused {
    fn from(_: UnfitKey) -> Self {
        Self::Key
    }
}

impl DpopProof {
    /// Reads a proof and checks its signature by the key in it (RFC 9449 §4.3, 1–7).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, DpopRefused> {
        let jws = Jws::parse(text)?;
        let header: Header = jws.header()?;
        if !header.typ.eq_ignore_ascii_case(DPOP_TYPE) {
            return Err(DpopRefused::Type);
        }
        let algorithm: ProofAlgorithm = header.alg.parse().map_err(|_| DpopRefused::Algorithm)?;
        if Jwk::private_member(&header.jwk).is_some() {
            return Err(DpopRefused::Key);
        }
        let jwk: Jwk = serde_json::from_value(header.jwk).map_err(|_| DpopRefused::Key)?;
        let key = PublicKey::from_jwk(&jwk)?;
        if !key.fits(algorithm) {
            return Err(DpopRefused::Algorithm);
        }
        let claims: Claims = jws.payload()?;
        if claims.jti.is_empty() || claims.jti.len() > MAX_JTI_LENGTH {
            return Err(DpopRefused::Malformed);
        }
        if !jws.is_signed_by(&key, algorithm) {
            return Err(DpopRefused::Signature);
        }
        Ok(Self { key, claims })
    }

    /// The thumbprint of its key, to which a token is bound (§6.1, `jkt`).
    pub fn thumbprint(&self) -> &str {
        self.key.thumbprint()
    }

    /// Its own id.
    pub fn jti(&self) -> &str {
        &self.claims.jti
    }

    /// The server's nonce in it.
    pub fn nonce(&self) -> Option<&str> {
        self.claims.nonce.as_deref()
    }

    /// Whether it was made for this request, now (§4.3, 8–12). Whether it was used before is for those who remember.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check(&self, request: DpopRequest<'_>, now: OffsetDateTime) -> Result<(), DpopRefused> {
        if self.claims.htm != request.method {
            return Err(DpopRefused::Method);
        }
        if !is_address(&self.claims.htu, request.base_url, request.path) {
            return Err(DpopRefused::Address);
        }
        let age = now.unix_timestamp().saturating_sub(self.claims.iat);
        if age > DPOP_AGE.whole_seconds() || age < -DPOP_AHEAD.whole_seconds() {
            return Err(DpopRefused::Time);
        }
        match request.token {
            Some(token) if self.claims.ath.as_deref() != Some(&token_hash(token)) => Err(DpopRefused::Token),
            _ => Ok(()),
        }
    }
}

/// `ath` (§4.2): SHA-256 of the token, base64url.
pub fn token_hash(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, token.as_bytes()))
}

/// Whether `htu` is `path` of the server at `base_url`. Query and fragment do not count (§4.3), the case of scheme and
/// host and of percent escapes does not either, nor does a default port (RFC 3986 §6.2.2, §6.2.3).
fn is_address(htu: &str, base_url: &str, path: &str) -> bool {
    let end = htu.find(['?', '#']).unwrap_or(htu.len());
    let Some((origin, claimed)) = split(&htu[..end]) else { return false };
    let Some((own, prefix)) = split(base_url) else { return false };
    let own_path = [prefix.trim_end_matches('/'), path].concat();
    let claimed = if claimed.is_empty() { "/" } else { claimed };
    plain_origin(origin).eq_ignore_ascii_case(plain_origin(own))
        && (claimed == own_path || normal(claimed) == normal(&own_path))
}

/// An address without its default port.
fn plain_origin(origin: &str) -> &str {
    let default = if origin.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:")) {
        ":443"
    } else {
        ":80"
    };
    origin.strip_suffix(default).unwrap_or(origin)
}

/// Scheme and authority, and the rest.
fn split(url: &str) -> Option<(&str, &str)> {
    let authority = url.find("://")? + 3;
    let end = url[authority..].find('/').map_or(url.len(), |slash| authority + slash);
    Some((&url[..end], &url[end..]))
}

/// A path with unreserved characters unescaped, and other escapes in capitals (RFC 3986 §6.2.2).
fn normal(path: &str) -> Vec<u8> {
    let mut normal = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digit = |at: usize| behind.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        match (*first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                let byte = u8::try_from(high * 16 + low).unwrap_or_default();
                if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                    normal.push(byte);
                } else {
                    normal.extend([b'%', behind[0].to_ascii_uppercase(), behind[1].to_ascii_uppercase()]);
                }
                rest = &behind[2..];
            }
            (byte, ..) => {
                normal.push(byte);
                rest = behind;
            }
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use time::macros::datetime;

    use super::*;
    use crate::testing::ClientSigner;

    const NOW: OffsetDateTime = datetime!(2026-03-05 12:00 UTC);
    const REQUEST: DpopRequest<'static> = DpopRequest {
        method: "GET",
        base_url: "https://gate.example:8443",
        path: "/pms/x",
        token: Some("token"),
    };

    fn claims() -> Value {
        json!({
            "jti": "1", "htm": "GET", "htu": "https://gate.example:8443/pms/x", "iat": NOW.unix_timestamp(),
            "ath": token_hash("token"),
        })
    }

    fn check(name: &str, value: &Value) -> Result<(), DpopRefused> {
        let signer = ClientSigner::generate(ProofAlgorithm::Es256);
        let mut claims = claims();
        claims[name] = value.clone();
        DpopProof::parse(&signer.proof(&claims))?.check(REQUEST, NOW)
    }

    #[test]
    fn a_proof_of_each_algorithm_is_for_its_own_key() {
        for algorithm in ProofAlgorithm::ALL {
            let signer = ClientSigner::generate(algorithm);
            let proof = DpopProof::parse(&signer.proof(&claims())).unwrap();
            proof.check(REQUEST, NOW).unwrap();
            assert_eq!(proof.thumbprint(), signer.jwk(None).thumbprint().unwrap());
        }
    }

    #[test]
    fn each_rule_has_its_own_refusal() {
        use DpopRefused::{Address, Malformed, Method, Time, Token};
        let now = NOW.unix_timestamp();
        for (name, value, wanted) in [
            ("jti", json!(""), Err(Malformed)),
            ("jti", json!("j".repeat(257)), Err(Malformed)),
            ("jti", Value::Null, Err(Malformed)),
            ("htm", json!("POST"), Err(Method)),
            ("htm", json!("get"), Err(Method)),
            ("htu", json!("HTTPS://Gate.Example:8443/pms/x?a=b#c"), Ok(())),
            ("htu", json!("https://gate.example:8443/pms/%78"), Ok(())),
            ("htu", json!("https://gate.example:8443/pms/y"), Err(Address)),
            ("htu", json!("https://gate.example:8443/PMS/x"), Err(Address)),
            ("htu", json!("https://gate.example/pms/x"), Err(Address)),
            ("htu", json!("http://gate.example:8443/pms/x"), Err(Address)),
            ("htu", json!("/pms/x"), Err(Address)),
            ("iat", json!(now - 60), Ok(())),
            ("iat", json!(now - 61), Err(Time)),
            ("iat", json!(now + 30), Ok(())),
            ("iat", json!(now + 31), Err(Time)),
            ("iat", json!("now"), Err(Malformed)),
            ("ath", json!(token_hash("other")), Err(Token)),
            ("ath", Value::Null, Err(Token)),
            ("nonce", json!("any"), Ok(())),
        ] {
            assert_eq!(check(name, &value), wanted, "{name}: {value}");
        }
    }

    #[test]
    fn the_header_of_a_proof_is_judged() {
        let signer = ClientSigner::generate(ProofAlgorithm::Es256);
        let other = ClientSigner::generate(ProofAlgorithm::Es256);
        let jwk = signer.jwk(None);
        let refused = |header: Value| DpopProof::parse(&signer.sign(header, &claims())).unwrap_err();
        assert_eq!(refused(json!({ "typ": "JWT", "jwk": jwk })), DpopRefused::Type);
        assert_eq!(refused(json!({ "jwk": jwk })), DpopRefused::Malformed);
        assert_eq!(refused(json!({ "typ": "dpop+jwt" })), DpopRefused::Malformed);
        for alg in ["none", "HS256", "EdDSA"] {
            assert_eq!(refused(json!({ "typ": "dpop+jwt", "jwk": jwk, "alg": alg })), DpopRefused::Algorithm);
        }
        assert_eq!(refused(json!({ "typ": "dpop+jwt", "jwk": jwk, "alg": "RS256" })), DpopRefused::Algorithm);
        assert_eq!(refused(json!({ "typ": "dpop+jwt", "jwk": other.jwk(None) })), DpopRefused::Signature);
        let mut private = serde_json::to_value(&jwk).unwrap();
        private["d"] = json!("AAAA");
        assert_eq!(refused(json!({ "typ": "dpop+jwt", "jwk": private })), DpopRefused::Key);
        assert_eq!(
            refused(json!({ "typ": "dpop+jwt", "jwk": { "kty": "oct", "k": "AA" } })),
            DpopRefused::Key
        );
    }

    #[test]
    fn a_default_port_and_a_path_of_the_base_do_not_count() {
        assert!(is_address("https://a.example:443/x", "https://a.example", "/x"));
        assert!(is_address("https://a.example/x", "https://a.example:443", "/x"));
        assert!(is_address("https://a.example/b/x", "https://a.example/b", "/x"));
        assert!(is_address("https://a.example", "https://a.example", "/"));
        assert!(!is_address("https://a.example:80/x", "https://a.example", "/x"));
        assert!(!is_address("https://a.example/%2f", "https://a.example", "//"));
        assert!(is_address("https://a.example/%2f", "https://a.example", "/%2F"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_text_is_a_proof_or_none(text in "\\PC{0,80}", htu in "\\PC{0,40}") {
            let _ = DpopProof::parse(&text);
            let _ = is_address(&htu, "https://gate.example", "/x");
        }

        #[test]
        fn a_path_is_its_own_address(path in "/[a-zA-Z0-9._~$%/-]{0,40}") {
            let htu = format!("https://gate.example{path}");
            prop_assert!(is_address(&htu, "https://gate.example", &path));
        }
    }
}
