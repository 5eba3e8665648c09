//! Signing keys change hands without anybody being refused.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use harness::{ApiClient, PMS_SCOPE, Program};
use http::StatusCode;
use rsa::{BigUint, RsaPublicKey, pkcs1v15, signature::Verifier as _};
use serde_json::Value;

const PRODUCT: &str = "/pms/api/v3/MedicinalProductDefinition/600000900001";

fn header_of(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap()).unwrap()
}

async fn published(api: &ApiClient) -> Vec<Value> {
    let answer = api.send(api.request("GET", "/oauth2/jwks")).await;
    assert_eq!(answer.status, StatusCode::OK);
    answer.json()["keys"].as_array().unwrap().clone()
}

#[tokio::test]
async fn the_next_key_is_published_before_it_signs_and_the_old_one_after() {
    let mut program = Program::serve().await;
    let client = program.industry("ORG-100000001", &[]);
    assert_eq!(client.scope, PMS_SCOPE);
    let api = program.api();
    let old = header_of(&api.token(&client).await)["kid"].clone();

    program.result(&["key", "rotate"]);
    let token = api.token(&client).await;
    assert_eq!(header_of(&token)["kid"], old, "the next key waits for its lead time");
    let listed = program.result(&["key", "list"]);
    let next = listed.as_array().unwrap().iter().find(|key| key["state"] == "next").unwrap()["kid"].clone();
    assert!(listed.as_array().unwrap().iter().any(|key| key["state"] == "active" && key["kid"] == old));

    // Past the lead time, within the life of a token.
    program
        .kill_and_restart(&[("PMSGATE__SANDBOX_CLOCK", "+61m"), ("PMSGATE__TOKENS__LIFETIME", "2h")])
        .await;
    let api = program.api();
    let kids: Vec<Value> = published(&api).await.iter().map(|key| key["kid"].clone()).collect();
    assert!(kids.contains(&old) && kids.contains(&next), "{kids:?}");
    let token = api.token(&client).await;
    assert_eq!(header_of(&token)["kid"], next);
    assert_eq!(api.get(PRODUCT, &token).await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_rs256_token_is_verified_by_an_independent_implementation() {
    let program =
        Program::serve_with(harness::Store::Sqlite, &[("PMSGATE__TOKENS__ALGORITHM", "RS256")]).await;
    let api = program.api();
    let token = api.token(&program.industry("ORG-100000001", &[])).await;
    let header = header_of(&token);
    assert_eq!((header["alg"].as_str(), header["typ"].as_str()), (Some("RS256"), Some("at+jwt")));

    let keys = published(&api).await;
    let key = keys.iter().find(|key| key["kid"] == header["kid"]).unwrap();
    let number =
        |name: &str| BigUint::from_bytes_be(&URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap());
    let key = RsaPublicKey::new(number("n"), number("e")).unwrap();
    let verifier = pkcs1v15::VerifyingKey::<rsa::sha2::Sha256>::new(key);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature =
        pkcs1v15::Signature::try_from(URL_SAFE_NO_PAD.decode(signature).unwrap().as_slice()).unwrap();
    verifier.verify(signed.as_bytes(), &signature).unwrap();
    assert_eq!(api.get(PRODUCT, &token).await.status, StatusCode::OK);
}

#[tokio::test]
async fn every_algorithm_is_honoured_by_the_gateway() {
    for algorithm in ["ES256", "EdDSA"] {
        let program =
            Program::serve_with(harness::Store::Sqlite, &[("PMSGATE__TOKENS__ALGORITHM", algorithm)]).await;
        let api = program.api();
        let token = api.token(&program.industry("ORG-100000001", &[])).await;
        assert_eq!(header_of(&token)["alg"], algorithm);
        assert_eq!(api.get(PRODUCT, &token).await.status, StatusCode::OK);
    }
}
