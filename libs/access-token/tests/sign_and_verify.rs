//! Tokens made by one side of the contract, judged by the other.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use access_token::{
    AccessTokenClaims, Algorithm, Expected, Jwk, SigningKey, TokenError, VerificationKey, peek_header, verify,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use pms_terms::{Domains, Stakeholder};
use proptest::prelude::*;
use time::{Duration, OffsetDateTime};

const NOW: i64 = 1_795_000_000;

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(NOW).unwrap()
}

fn claims() -> AccessTokenClaims {
    AccessTokenClaims {
        iss: "https://issuer.example".to_owned(),
        sub: "client:c-1".to_owned(),
        aud: "api://pmsgate/pms".to_owned(),
        exp: NOW + 3600,
        nbf: NOW,
        iat: NOW,
        jti: "t-1".to_owned(),
        client_id: "c-1".to_owned(),
        azp: "c-1".to_owned(),
        scope: "system/*.rs".to_owned(),
        roles: vec!["PMS.Industry.API".to_owned()],
        org_id: Some("ORG-100000001".parse().unwrap()),
        stakeholder: Stakeholder::Industry,
        qualified: false,
        domains: Domains::BOTH,
        tid: "tenant".to_owned(),
        ver: "2.0".to_owned(),
        secret_id: "s-1".to_owned(),
        cnf: None,
    }
}

fn judge(token: &str, key: &VerificationKey) -> Result<AccessTokenClaims, TokenError> {
    let issuers = ["https://issuer.example".to_owned()];
    let expected =
        Expected { issuers: &issuers, audience: Some("api://pmsgate/pms"), leeway: Duration::seconds(60) };
    verify(token, key, &expected, now())
}

fn public(key: &SigningKey) -> VerificationKey {
    VerificationKey::from_jwk(key.public_jwk()).unwrap()
}

#[test]
fn every_algorithm_signs_what_its_public_key_verifies() {
    for algorithm in Algorithm::ALL {
        let key = SigningKey::generate(algorithm).unwrap();
        let token = key.sign(&claims()).unwrap();
        assert_eq!(judge(&token, &public(&key)).unwrap(), claims(), "{algorithm}");
        let header = peek_header(&token).unwrap();
        assert_eq!((header.kid.as_str(), header.algorithm), (key.kid(), algorithm));
    }
}

#[test]
fn a_key_survives_being_stored() {
    for algorithm in Algorithm::ALL {
        let key = SigningKey::generate(algorithm).unwrap();
        let again = SigningKey::from_pkcs8(algorithm, &key.to_pkcs8().unwrap()).unwrap();
        assert_eq!(again.kid(), key.kid());
        judge(&again.sign(&claims()).unwrap(), &public(&key)).unwrap();
    }
}

#[test]
fn another_key_does_not_verify() {
    for algorithm in Algorithm::ALL {
        let token = SigningKey::generate(algorithm).unwrap().sign(&claims()).unwrap();
        let other = SigningKey::generate(algorithm).unwrap();
        assert_eq!(judge(&token, &public(&other)), Err(TokenError::UnknownKey));
        // The right key id under another key's signature.
        let mut forged: Jwk = other.public_jwk().clone();
        forged.kid = Some(peek_header(&token).unwrap().kid);
        let forged = VerificationKey::from_jwk(&forged).unwrap();
        assert_eq!(judge(&token, &forged), Err(TokenError::BadSignature));
    }
}

#[test]
fn times_are_judged_by_the_given_clock_with_sixty_seconds_of_grace() {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let judged = |exp: i64, nbf: i64| {
        judge(&key.sign(&AccessTokenClaims { exp, nbf, ..claims() }).unwrap(), &public(&key))
    };
    assert!(judged(NOW - 59, NOW - 3600).is_ok());
    assert_eq!(judged(NOW - 60, NOW - 3600), Err(TokenError::Expired { at: NOW - 60 }));
    assert!(judged(NOW + 3600, NOW + 60).is_ok());
    assert_eq!(judged(NOW + 3600, NOW + 61), Err(TokenError::NotYetValid { at: NOW + 61 }));
    assert!(judged(i64::MAX, i64::MIN).is_ok());
}

#[test]
fn issuer_and_audience_must_fit() {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let wrong = AccessTokenClaims { iss: "https://elsewhere.example".to_owned(), ..claims() };
    assert_eq!(judge(&key.sign(&wrong).unwrap(), &public(&key)), Err(TokenError::WrongIssuer));
    let wrong = AccessTokenClaims { aud: "api://pmsgate/public".to_owned(), ..claims() };
    let refused = judge(&key.sign(&wrong).unwrap(), &public(&key)).unwrap_err();
    assert_eq!(refused, TokenError::WrongAudience { found: "api://pmsgate/public".to_owned() });
}

#[test]
fn none_hmac_and_other_types_are_refused_before_any_key_is_looked_at() {
    let with = |header: &str| format!("{}.e30.c2ln", URL_SAFE_NO_PAD.encode(header));
    for alg in ["none", "None", "HS256", "RS384", "ES256K", ""] {
        let token = with(&format!(r#"{{"typ":"at+jwt","alg":"{alg}","kid":"k"}}"#));
        assert_eq!(peek_header(&token), Err(TokenError::UnsupportedAlgorithm), "{alg}");
    }
    for typ in [r#""typ":"JWT","#, ""] {
        let token = with(&format!(r#"{{{typ}"alg":"ES256","kid":"k"}}"#));
        assert_eq!(peek_header(&token), Err(TokenError::WrongType), "{typ}");
    }
    assert!(peek_header(&with(r#"{"typ":"application/at+jwt","alg":"ES256","kid":"k"}"#)).is_ok());
    assert!(peek_header(&with(r#"{"typ":"at+jwt","alg":"ES256","kid":"k","crit":["b64"]}"#)).is_err());
}

#[test]
fn a_published_key_of_another_use_or_kind_is_not_for_us() {
    let good = SigningKey::generate(Algorithm::Es256).unwrap().public_jwk().clone();
    assert!(VerificationKey::from_jwk(&good).is_some());
    assert!(VerificationKey::from_jwk(&Jwk { key_use: Some("enc".to_owned()), ..good.clone() }).is_none());
    assert!(VerificationKey::from_jwk(&Jwk { alg: Some("RS256".to_owned()), ..good.clone() }).is_none());
    assert!(VerificationKey::from_jwk(&Jwk { kid: None, ..good.clone() }).is_none());
    assert!(VerificationKey::from_jwk(&Jwk { kty: "oct".to_owned(), ..good }).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_token_with_one_byte_changed_is_refused(at in 0usize..2000, bit in 0u8..7) {
        let key = SigningKey::generate(Algorithm::EdDsa).unwrap();
        let token = key.sign(&claims()).unwrap();
        let mut bytes = token.clone().into_bytes();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        if let Ok(changed) = String::from_utf8(bytes)
            && changed != token
        {
            prop_assert!(judge(&changed, &public(&key)).is_err());
        }
    }

    #[test]
    fn any_text_is_refused_without_panic(text in "[A-Za-z0-9_.=-]{0,300}") {
        let _ = peek_header(&text);
    }
}
