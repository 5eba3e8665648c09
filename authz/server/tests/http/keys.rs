//! Signing keys: published before use, rotated by schedule and command, in three algorithms.

use access_token::{Algorithm, JwkSet, peek_header};
use authz_domain::{Actor, SigningKeyState};
use axum::body::Body;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use config::TokenAlgorithm;
use http::Request;
use rsa::{BigUint, RsaPublicKey, pkcs1v15, sha2::Sha256, signature::Verifier as _};
use time::Duration;

use crate::harness::{DEFAULT_SCOPE, TENANT, TestAuthz};

async fn published(authz: &TestAuthz) -> Vec<String> {
    let set: JwkSet = serde_json::from_str(&authz.get("/oauth2/jwks").await.text).unwrap();
    set.keys.into_iter().map(|jwk| jwk.kid.unwrap()).collect()
}

#[tokio::test]
async fn the_key_set_is_cacheable_and_public_only() {
    let authz = TestAuthz::start().await;
    let answer = authz.get("/oauth2/jwks").await;
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    let json = answer.json();
    assert_eq!(json["keys"].as_array().unwrap().len(), 2);
    for key in json["keys"].as_array().unwrap() {
        assert_eq!(
            (key["kty"].as_str(), key["use"].as_str(), key["alg"].as_str()),
            (Some("EC"), Some("sig"), Some("ES256"))
        );
        assert!(key.get("d").is_none());
    }
    let tag = answer.header("etag").to_owned();
    let request = Request::get("/oauth2/jwks").header("if-none-match", &tag).body(Body::empty()).unwrap();
    let unchanged = authz.send(request).await;
    assert_eq!((unchanged.status.as_u16(), unchanged.text.as_str()), (304, ""));
    assert_eq!(authz.get(&format!("/{TENANT}/discovery/v2.0/keys")).await.text, answer.text);
    assert_eq!(authz.get("/other/discovery/v2.0/keys").await.status, 400);
}

#[tokio::test]
async fn the_next_key_is_published_before_it_signs_and_the_last_until_its_tokens_are_dead() {
    for authz in TestAuthz::each().await {
        let credentials = authz.industry_client().await;
        let before = published(&authz).await;
        let kid =
            async || peek_header(&authz.token(&credentials, DEFAULT_SCOPE).await.access_token()).unwrap().kid;
        assert_eq!(kid().await, before[0]);

        let rotation = authz.acts().rotate_signing_keys(Actor::Operator, false).await.unwrap();
        assert_eq!(rotation.kid, before[1]);
        assert_eq!(rotation.begins_at, authz.clock.now() + Duration::hours(1));
        assert_eq!(kid().await, before[0], "not yet: verifiers may not know the next key");
        let last = authz.token(&credentials, DEFAULT_SCOPE).await.access_token();
        authz.clock.advance(Duration::hours(1));
        assert_eq!(kid().await, before[1], "by the clock alone");
        assert!(published(&authz).await.contains(&before[0]));
        drop(last);

        authz.clock.advance(Duration::minutes(71));
        authz.acts().maintain_signing_keys().await.unwrap();
        let after = published(&authz).await;
        assert!(!after.contains(&before[0]), "everything it signed is dead");
        assert_eq!(after.len(), 2, "there is a next one again");
    }
}

#[tokio::test]
async fn the_schedule_is_kept_without_anybody() {
    let authz = TestAuthz::start().await;
    let before = published(&authz).await;
    authz.clock.advance(Duration::days(90));
    let credentials = authz.industry_client().await;
    let token = authz.token(&credentials, DEFAULT_SCOPE).await.access_token();
    assert_eq!(peek_header(&token).unwrap().kid, before[1]);
    authz.acts().maintain_signing_keys().await.unwrap();
    let states: Vec<_> =
        authz.acts().list_signing_keys().await.unwrap().into_iter().map(|view| view.state).collect();
    assert_eq!(states, [SigningKeyState::Retiring, SigningKeyState::Active, SigningKeyState::Next]);
}

#[tokio::test]
async fn a_clock_that_travels_and_comes_back_leaves_a_key_that_signs() {
    let authz = TestAuthz::start().await;
    let credentials = authz.industry_client().await;
    for days in [729, -729, 5000, -5000] {
        authz.clock.advance(Duration::days(days));
        authz.acts().maintain_signing_keys().await.unwrap();
        authz.acts().move_clock(Actor::Operator, None).await.unwrap();
    }
    let token = authz.token(&credentials, DEFAULT_SCOPE).await.access_token();
    authz.verified(&token, "api://pmsgate/pms").await;
}

#[tokio::test]
async fn another_algorithm_takes_over_at_the_next_start() {
    let first = TestAuthz::start().await;
    let credentials = first.industry_client().await;
    let old = first.token(&credentials, DEFAULT_SCOPE).await.access_token();
    let mut settings = first.settings.clone();
    settings.signing_keys.algorithm = Algorithm::EdDsa;
    let authz = authz_server::Authz::start(
        settings,
        first.keys.clone(),
        first.database.database().clone(),
        first.clock.clone(),
        first.stop.clone(),
    )
    .await
    .unwrap();
    let second = TestAuthz { router: authz.router(), authz, ..first };
    let new = second.token(&credentials, DEFAULT_SCOPE).await.access_token();
    assert_eq!(peek_header(&new).unwrap().algorithm, Algorithm::EdDsa);
    second.verified(&new, "api://pmsgate/pms").await;
    second.verified(&old, "api://pmsgate/pms").await;
}

#[tokio::test]
async fn an_independent_library_accepts_rs256_tokens() {
    let authz = TestAuthz::with(|settings| settings.tokens.algorithm = TokenAlgorithm::Rs256).await;
    let credentials = authz.industry_client().await;
    let token = authz.token(&credentials, DEFAULT_SCOPE).await.access_token();
    authz.verified(&token, "api://pmsgate/pms").await;

    let set: JwkSet = serde_json::from_str(&authz.get("/oauth2/jwks").await.text).unwrap();
    let header = peek_header(&token).unwrap();
    let jwk = set.keys.iter().find(|jwk| jwk.kid.as_deref() == Some(&header.kid)).unwrap();
    let number = |text: &Option<String>| {
        BigUint::from_bytes_be(&URL_SAFE_NO_PAD.decode(text.as_ref().unwrap()).unwrap())
    };
    let key = RsaPublicKey::new(number(&jwk.n), number(&jwk.e)).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let verifier = pkcs1v15::VerifyingKey::<Sha256>::new(key);
    let signature = pkcs1v15::Signature::try_from(signature.as_slice()).unwrap();
    verifier.verify(signed.as_bytes(), &signature).unwrap();
    assert!(verifier.verify(&signed.as_bytes()[1..], &signature).is_err());
}

#[tokio::test]
async fn private_keys_are_sealed_in_the_database() {
    let authz = TestAuthz::start().await;
    let mut reader = authz.database.database().read().await.unwrap();
    for key in authz_store::signing_keys::list(&mut reader.db()).await.unwrap() {
        assert!(key.sealed.starts_with("v1."));
        assert!(!format!("{key:?}").contains(&key.sealed));
    }
}
