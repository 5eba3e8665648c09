//! A client assertion: a JWT by which a client proves that it has its private key (RFC 7523 §2.2, §3).

use access_token::{Jws, MalformedJws, ProofAlgorithm, PublicKey};
use serde::Deserialize;
use thiserror::Error;
use time::{Duration, OffsetDateTime};

use crate::{ClientKeys, KeyNamed, decoy_keys::decoy};

/// The one `client_assertion_type` (RFC 7523 §2.2).
pub const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The longest life of an assertion.
pub const ASSERTION_LIFETIME: Duration = Duration::minutes(5);
/// How far a client's clock may be off.
pub const ASSERTION_LEEWAY: Duration = Duration::seconds(30);
/// The longest `jti`, in bytes.
const MAX_JTI_LENGTH: usize = 256;

/// An assertion as presented. Nothing about it is known until a key of its client verifies it.
#[derive(Clone, Debug)]
pub struct ClientAssertion<'t> {
    jws: Jws<'t>,
    algorithm: ProofAlgorithm,
    named: KeyNamed,
    claims: Claims,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
    kid: Option<String>,
    x5t: Option<String>,
    #[serde(rename = "x5t#S256")]
    x5t_s256: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: Seconds,
    nbf: Option<Seconds>,
    iat: Option<Seconds>,
    jti: Option<String>,
}

/// One audience, or a list of them (RFC 7519 §4.1.3).
#[derive(Clone, Debug)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Whole seconds since the epoch. RFC 7519 admits fractions, which some clients write; they are cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seconds(i64);

/// What an endpoint expects of an assertion.
#[derive(Clone, Copy, Debug)]
pub struct AssertionRules<'a> {
    /// The names of this server: its issuers and token endpoints.
    pub audiences: &'a [String],
    /// How far ahead `exp` may lie.
    pub lifetime: Duration,
}

/// The id of an assertion that was found good: to be remembered until `until`, so that it is used once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedAssertion {
    /// `jti`.
    pub jti: String,
    /// From when on it would be refused as expired.
    pub until: OffsetDateTime,
}

/// Why an assertion is not accepted. The texts repeat only what was sent and say what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AssertionRefused {
    /// Not a JWT.
    #[error("the client assertion cannot be read: {0}")]
    Malformed(#[from] MalformedJws),
    /// Its algorithm.
    #[error("the client assertion must be signed by one of ES256, ES384, RS256, RS384, PS256")]
    Algorithm,
    /// A token of another kind.
    #[error("the client assertion has the type ('typ') of another kind of token: leave it out, or write JWT")]
    Type,
    /// RFC 7523 §3: both name the client.
    #[error("'iss' and 'sub' of a client assertion must both be the client_id")]
    Subject,
    /// Not for this server, or not for it alone.
    #[error(
        "'aud' of the client assertion must be this server's issuer or token endpoint, and nothing beside it"
    )]
    Audience,
    /// Over.
    #[error("the client assertion has expired: make a new one for each request")]
    Expired,
    /// From the future.
    #[error("the client assertion is not valid yet: is the clock of the client right?")]
    NotYetValid,
    /// Too long a life.
    #[error("the client assertion lives too long: 'exp' may be {} minutes ahead, and 'iat' as long ago", .0.whole_minutes())]
    TooLong(Duration),
    /// No id.
    #[error("the client assertion needs a 'jti' of 1 to {MAX_JTI_LENGTH} bytes, another one each time")]
    NoId,
}

impl<'t> ClientAssertion<'t> {
    /// Reads an assertion without believing it.
    ///
    /// # Errors
    /// What makes it none.
    pub fn parse(text: &'t str) -> Result<Self, AssertionRefused> {
        let jws = Jws::parse(text)?;
        let header: Header = jws.header()?;
        let algorithm = header.alg.parse().map_err(|_| AssertionRefused::Algorithm)?;
        // An access token or a proof signed by the same key is no assertion (RFC 8725 §3.11).
        let types = ["JWT", "client-authentication+jwt"];
        if header.typ.is_some_and(|typ| !types.iter().any(|own| own.eq_ignore_ascii_case(&typ))) {
            return Err(AssertionRefused::Type);
        }
        let claims: Claims = jws.payload()?;
        if claims.iss != claims.sub {
            return Err(AssertionRefused::Subject);
        }
        let named = KeyNamed { kid: header.kid, x5t: header.x5t, x5t_s256: header.x5t_s256 };
        Ok(Self { jws, algorithm, named, claims })
    }

    /// The client that it claims to be from.
    pub fn client_id(&self) -> &str {
        &self.claims.sub
    }

    /// Whether one of these keys is named and signed it. None when they have no key of that name.
    pub fn is_signed_by_one_of(&self, keys: &ClientKeys) -> Option<bool> {
        let mut candidates = keys.candidates(&self.named, self.algorithm).peekable();
        candidates.peek()?;
        Some(candidates.any(|key| self.is_signed_by(key)))
    }

    fn is_signed_by(&self, key: &PublicKey) -> bool {
        self.jws.is_signed_by(key, self.algorithm)
    }

    /// Checks the signature with a key that is nobody's: for as long as it takes.
    pub fn is_signed_by_nobody(&self) -> bool {
        decoy(self.algorithm).is_some_and(|key| self.is_signed_by(key))
    }

    /// Whether its claims hold at `now` (RFC 7523 §3). Asked after the signature was verified.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check(
        &self,
        rules: AssertionRules<'_>,
        now: OffsetDateTime,
    ) -> Result<UsedAssertion, AssertionRefused> {
        let Claims { aud, exp, nbf, iat, jti, .. } = &self.claims;
        // An assertion that is good at several servers could be used by one of them at another.
        let audience = match aud {
            Audience::One(audience) => audience,
            Audience::Several(audiences) => match audiences.as_slice() {
                [audience] => audience,
                _ => return Err(AssertionRefused::Audience),
            },
        };
        if !rules.audiences.contains(audience) {
            return Err(AssertionRefused::Audience);
        }
        let seconds = now.unix_timestamp();
        let (leeway, lifetime) = (ASSERTION_LEEWAY.whole_seconds(), rules.lifetime.whole_seconds());
        if exp.0.saturating_add(leeway) <= seconds {
            return Err(AssertionRefused::Expired);
        }
        if nbf.iter().chain(iat).any(|start| start.0.saturating_sub(leeway) > seconds) {
            return Err(AssertionRefused::NotYetValid);
        }
        let earliest = seconds.saturating_sub(lifetime).saturating_sub(leeway);
        if exp.0 > seconds.saturating_add(lifetime).saturating_add(leeway)
            || iat.is_some_and(|iat| iat.0 < earliest || exp.0.saturating_sub(iat.0) > lifetime)
        {
            return Err(AssertionRefused::TooLong(rules.lifetime));
        }
        let jti = jti.as_deref().filter(|jti| !jti.is_empty() && jti.len() <= MAX_JTI_LENGTH);
        let jti = jti.ok_or(AssertionRefused::NoId)?.to_owned();
        let until = OffsetDateTime::from_unix_timestamp(exp.0.saturating_add(leeway));
        Ok(UsedAssertion { jti, until: until.unwrap_or(now) })
    }
}

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(one) => Ok(Self::One(one)),
            serde_json::Value::Array(several) => {
                let texts = several.iter().map(|one| one.as_str().map(str::to_owned)).collect::<Option<_>>();
                texts.map(Self::Several).ok_or_else(|| serde::de::Error::custom("aud"))
            }
            _ => Err(serde::de::Error::custom("aud")),
        }
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        let text = number.to_string();
        let whole = text.split_once('.').map_or(text.as_str(), |(whole, _)| whole);
        whole.parse().map(Self).map_err(|_| serde::de::Error::custom("no whole seconds"))
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-03-05 12:00 UTC);

    fn assertion(header: &Value, claims: &Value) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.c2ln", encode(header), encode(claims))
    }

    fn good() -> Value {
        let now = NOW.unix_timestamp();
        json!({ "iss": "c", "sub": "c", "aud": "https://a.example", "exp": now + 300, "iat": now, "jti": "1" })
    }

    fn check(claims: &Value) -> Result<UsedAssertion, AssertionRefused> {
        let text = assertion(&json!({ "alg": "ES256" }), claims);
        let audiences = ["https://a.example".to_owned(), "https://a.example/oauth2/token".to_owned()];
        let rules = AssertionRules { audiences: &audiences, lifetime: ASSERTION_LIFETIME };
        ClientAssertion::parse(&text)?.check(rules, NOW)
    }

    #[test]
    fn a_good_assertion_is_to_be_remembered_until_it_is_dead() {
        let used = check(&good()).unwrap();
        assert_eq!(used, UsedAssertion { jti: "1".to_owned(), until: NOW + Duration::seconds(330) });
    }

    #[test]
    fn each_rule_of_the_claims_has_its_own_refusal() {
        use AssertionRefused::{Audience, Expired, Malformed, NoId, NotYetValid, Subject, TooLong};
        let now = NOW.unix_timestamp();
        let payload = Malformed(MalformedJws::Payload);
        for (name, value, wanted) in [
            ("aud", json!(["https://a.example/oauth2/token"]), None),
            ("aud", json!("https://b.example"), Some(Audience)),
            ("aud", json!(["https://a.example", "https://b.example"]), Some(Audience)),
            ("aud", json!([]), Some(Audience)),
            ("aud", json!(1), Some(payload.clone())),
            ("sub", json!("d"), Some(Subject)),
            ("iss", Value::Null, Some(payload.clone())),
            ("exp", json!(now - 29), None),
            ("exp", json!(now - 30), Some(Expired)),
            ("exp", json!(now + 301), Some(TooLong(ASSERTION_LIFETIME))),
            ("exp", json!("soon"), Some(payload.clone())),
            ("exp", Value::Null, Some(payload)),
            ("nbf", json!(now + 30), None),
            ("nbf", json!(now + 31), Some(NotYetValid)),
            ("iat", json!(now + 31), Some(NotYetValid)),
            ("iat", json!(now - 1), Some(TooLong(ASSERTION_LIFETIME))),
            ("iat", Value::Null, None),
            ("exp", serde_json::from_str("1772712001.75").unwrap(), None),
            ("jti", Value::Null, Some(NoId)),
            ("jti", json!(""), Some(NoId)),
            ("jti", json!("j".repeat(257)), Some(NoId)),
        ] {
            let mut claims = good();
            claims[name] = value.clone();
            assert_eq!(check(&claims).err(), wanted, "{name}: {value}");
        }
        let mut old = good();
        old["iat"] = json!(now - 331);
        old["exp"] = json!(now - 29);
        assert_eq!(check(&old).err(), Some(TooLong(ASSERTION_LIFETIME)));
    }

    #[test]
    fn a_token_of_another_kind_or_algorithm_is_no_assertion() {
        let refused = |header: Value| ClientAssertion::parse(&assertion(&header, &good())).err();
        assert_eq!(refused(json!({ "alg": "ES256", "typ": "jwt" })), None);
        assert_eq!(refused(json!({ "alg": "PS256", "typ": "client-authentication+jwt" })), None);
        for typ in ["at+jwt", "dpop+jwt", ""] {
            assert_eq!(refused(json!({ "alg": "ES256", "typ": typ })), Some(AssertionRefused::Type), "{typ}");
        }
        for alg in ["none", "HS256", "EdDSA", "RS512", ""] {
            assert_eq!(refused(json!({ "alg": alg })), Some(AssertionRefused::Algorithm), "{alg}");
        }
        assert_eq!(refused(json!({})), Some(AssertionRefused::Malformed(MalformedJws::Header)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn what_is_accepted_is_remembered_longer_than_it_could_be_accepted(
            exp in -400_i64..800, iat in prop::option::of(-800_i64..400), later in 0_i64..2000
        ) {
            let now = NOW.unix_timestamp();
            let mut claims = good();
            claims["exp"] = json!(now + exp);
            claims["iat"] = iat.map_or(Value::Null, |iat| json!(now + iat));
            let text = assertion(&json!({ "alg": "ES256" }), &claims);
            let audiences = ["https://a.example".to_owned()];
            let rules = AssertionRules { audiences: &audiences, lifetime: ASSERTION_LIFETIME };
            let assertion = ClientAssertion::parse(&text).unwrap();
            if let Ok(used) = assertion.check(rules, NOW) {
                prop_assert!(used.until > NOW);
                prop_assert!(used.until <= NOW + ASSERTION_LIFETIME + ASSERTION_LEEWAY * 2);
                let then = NOW + Duration::seconds(later);
                prop_assert!(then < used.until || assertion.check(rules, then).is_err());
            }
        }
    }
}
