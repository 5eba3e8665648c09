//! The issuer's keys: one read for a storm, old keys while it is down.

use std::sync::{Arc, atomic::Ordering};

use access_token::{Algorithm, SigningKey};
use futures_util::future::join_all;
use http::StatusCode;

use crate::house::{House, READ, claims, eventually};

#[tokio::test]
async fn a_storm_of_unknown_keys_costs_one_read() {
    let house = House::start().await;
    assert_eq!(house.issuer.jwks_reads.load(Ordering::SeqCst), 1);
    let storm = (0..40).map(|n| {
        let stranger = SigningKey::generate(Algorithm::Es256).unwrap();
        let token = stranger.sign(&claims(|c| c.jti = n.to_string())).unwrap();
        let house = &house;
        async move { house.ask(READ, &token).await }
    });
    for answer in join_all(storm).await {
        assert_eq!((answer.status, answer.rule().as_str()), (StatusCode::UNAUTHORIZED, "token-key-unknown"));
    }
    assert_eq!(house.issuer.jwks_reads.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_new_key_works_at_once() {
    let house = House::start().await;
    for algorithm in [Algorithm::EdDsa] {
        let key = SigningKey::generate(algorithm).unwrap();
        house.issuer.published.lock().unwrap().push(key.public_jwk().clone());
        let answer = house.ask(READ, &key.sign(&claims(|_| {})).unwrap()).await;
        assert_eq!(answer.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn known_keys_stay_in_use_while_the_issuer_is_down() {
    let house = House::start_with(|settings| settings.jwks_cool_down = std::time::Duration::ZERO).await;
    house.issuer.set_down(true);
    let stranger = SigningKey::generate(Algorithm::Es256).unwrap();
    let answer = house.ask(READ, &stranger.sign(&claims(|_| {})).unwrap()).await;
    assert_eq!(answer.rule(), "token-key-unknown");
    assert_eq!(house.ask(READ, &house.token()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn without_any_key_the_fault_is_ours() {
    let house = House::start_unready(|_| {}, |issuer| issuer.set_down(true)).await;
    let answer = house.ask(READ, &house.token()).await;
    assert_eq!(
        (answer.status, answer.rule().as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "issuer-keys-unavailable")
    );
    assert_eq!(answer.header("retry-after"), "1");
    assert!(!house.health.troubles().is_empty());

    house.issuer.set_down(false);
    eventually("the keys are read", || async {
        house.ask(READ, &house.token()).await.status == StatusCode::OK
    })
    .await;
}

#[tokio::test]
async fn a_withdrawn_key_takes_its_cached_tokens_along() {
    let house = House::start_with(|settings| settings.jwks_cool_down = std::time::Duration::ZERO).await;
    let token = house.token();
    assert_eq!(house.ask(READ, &token).await.status, StatusCode::OK);
    let next = Arc::new(SigningKey::generate(Algorithm::Es256).unwrap());
    *house.issuer.published.lock().unwrap() = vec![next.public_jwk().clone()];
    // A token of the new key makes the gateway read again.
    assert_eq!(house.ask(READ, &next.sign(&claims(|_| {})).unwrap()).await.status, StatusCode::OK);
    assert_eq!(house.ask(READ, &token).await.rule(), "token-key-unknown");
}
