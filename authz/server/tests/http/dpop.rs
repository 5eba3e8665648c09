//! Tokens bound to a key at the token endpoint (RFC 9449 §5): what binds them, and every way to be refused.

use access_token::{Confirmation, ProofAlgorithm, testing::ClientSigner, token_hash};
use authz_domain::Actor;
use authz_server::{IssuedCredentials, NewClient};
use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use time::Duration;

use crate::{
    harness::{Answer, BASE, DEFAULT_SCOPE, TENANT, TestAuthz, form_request, new_client, token_body},
    private_key_jwt::{body, signing_client},
};

fn claims(authz: &TestAuthz, jti: &str) -> Value {
    let now = authz.clock.now().unix_timestamp();
    json!({ "jti": jti, "htm": "POST", "htu": format!("{BASE}/oauth2/token"), "iat": now })
}

async fn send(authz: &TestAuthz, path: &str, body: &str, proofs: &[&str]) -> Answer {
    let mut request = form_request(path, body);
    for proof in proofs {
        request.headers_mut().append("dpop", proof.parse().unwrap());
    }
    authz.send(request).await
}

async fn ask(authz: &TestAuthz, client: &IssuedCredentials, proof: &str) -> Answer {
    send(authz, "/oauth2/token", &token_body(client, DEFAULT_SCOPE), &[proof]).await
}

#[tokio::test]
async fn a_proof_binds_the_token_to_its_key() {
    let authz = TestAuthz::start().await;
    let client = authz.industry_client().await;
    for algorithm in ProofAlgorithm::ALL {
        let signer = ClientSigner::generate(algorithm);
        let answer = ask(&authz, &client, &signer.proof(&claims(&authz, "1"))).await;
        assert_eq!(answer.json()["token_type"], "DPoP", "{}", answer.text);
        let token = answer.access_token();
        let bound = authz.verified(&token, "api://pmsgate/pms").await;
        let thumbprint = signer.jwk(None).thumbprint().unwrap();
        assert_eq!(bound.cnf, Some(Confirmation::Key(thumbprint.clone())));
        let about = format!("{}&token={token}", token_body(&client, DEFAULT_SCOPE));
        let introspected = authz.post("/oauth2/introspect", &about).await.json();
        assert_eq!(
            (&introspected["token_type"], &introspected["cnf"]["jkt"]),
            (&json!("DPoP"), &json!(thumbprint))
        );
    }
    let unbound = authz.token(&client, DEFAULT_SCOPE).await;
    assert_eq!(unbound.json()["token_type"], "Bearer");
    assert_eq!(authz.verified(&unbound.access_token(), "api://pmsgate/pms").await.cnf, None);
}

#[tokio::test]
async fn it_goes_with_assertions_and_with_the_tenants_endpoint() {
    let authz = TestAuthz::start().await;
    let client = signing_client(&authz, ProofAlgorithm::Es256).await;
    let path = format!("/{TENANT}/oauth2/v2.0/token");
    let mut proof = claims(&authz, "1");
    proof["htu"] = json!(format!("{BASE}{path}"));
    let answer =
        send(&authz, &path, &body(&client.assertion(&authz, "1")), &[&client.signer.proof(&proof)]).await;
    assert_eq!(answer.json()["token_type"], "DPoP", "{}", answer.text);
}

#[tokio::test]
async fn each_wrong_proof_has_its_own_useful_answer() {
    let authz = TestAuthz::start().await;
    let client = authz.industry_client().await;
    let signer = ClientSigner::generate(ProofAlgorithm::Es256);
    let now = authz.clock.now().unix_timestamp();
    let with = |name: &str, value: Value| {
        let mut claims = claims(&authz, name);
        claims[name] = value;
        signer.proof(&claims)
    };
    let good = signer.proof(&claims(&authz, "good"));
    let other = ClientSigner::generate(ProofAlgorithm::Es256).jwk(None);
    for (what, proof, words) in [
        ("no JWT", "x".to_owned(), "cannot be read"),
        (
            "another type",
            signer.sign(json!({ "typ": "JWT", "jwk": signer.jwk(None) }), &claims(&authz, "1")),
            "dpop+jwt",
        ),
        (
            "unsigned",
            signer.sign(
                json!({ "typ": "dpop+jwt", "alg": "none", "jwk": signer.jwk(None) }),
                &claims(&authz, "1"),
            ),
            "must be signed by",
        ),
        (
            "another's key",
            signer.sign(json!({ "typ": "dpop+jwt", "jwk": other }), &claims(&authz, "1")),
            "not signed by the key",
        ),
        ("another method", with("htm", json!("GET")), "'htm'"),
        ("another address", with("htu", json!(format!("{BASE}/oauth2/introspect"))), "'htu'"),
        ("too old", with("iat", json!(now - 61)), "'iat'"),
        ("from the future", with("iat", json!(now + 31)), "'iat'"),
        ("no id", with("jti", Value::Null), "cannot be read"),
    ] {
        let answer = ask(&authz, &client, &proof).await;
        assert_eq!(answer.verdict(), (400, "invalid_dpop_proof".to_owned()), "{what}: {}", answer.text);
        assert!(answer.description().contains(words), "{what}: {}", answer.text);
    }
    let request = token_body(&client, DEFAULT_SCOPE);
    let twice = send(&authz, "/oauth2/token", &request, &[&good, &good]).await;
    assert_eq!(twice.verdict(), (400, "invalid_dpop_proof".to_owned()));
    assert_eq!(ask(&authz, &client, &good).await.status, 200);
    let again = ask(&authz, &client, &good).await;
    assert!(again.description().contains("used before"), "{}", again.text);
    // What a stranger sends is not remembered.
    let fresh = signer.proof(&claims(&authz, "fresh"));
    let stranger = request.replace("client_secret=", "client_secret=x");
    assert_eq!(send(&authz, "/oauth2/token", &stranger, &[&fresh]).await.status, 401);
    assert_eq!(ask(&authz, &client, &fresh).await.status, 200);
}

#[tokio::test]
async fn a_client_that_is_held_to_it_gets_no_unbound_token() {
    let authz = TestAuthz::start().await;
    let client = authz.industry_client().await;
    let id = client.client_id.as_str();
    authz.other_process().require_dpop(Actor::Operator, id, true).await.unwrap();
    authz.authz.catch_up().await.unwrap();
    let refused = authz.token(&client, DEFAULT_SCOPE).await;
    assert_eq!(refused.verdict(), (400, "invalid_dpop_proof".to_owned()));
    assert!(refused.description().contains("is needed"), "{}", refused.text);
    let signer = ClientSigner::generate(ProofAlgorithm::Es256);
    assert_eq!(ask(&authz, &client, &signer.proof(&claims(&authz, "1"))).await.json()["token_type"], "DPoP");
    assert!(authz.acts().show_client(id).await.unwrap().client.dpop_required);
    authz.acts().require_dpop(Actor::Operator, id, false).await.unwrap();
    assert_eq!(authz.token(&client, DEFAULT_SCOPE).await.status, 200);
    let changed = authz.trail_of(id).await.into_iter().filter(|(act, _)| act == "client.changed").count();
    assert_eq!(changed, 2, "each change is in the trail");
    authz.acts().require_dpop(Actor::Operator, id, false).await.unwrap();
    assert_eq!(authz.trail_of(id).await.iter().filter(|(act, _)| act == "client.changed").count(), 2);
}

#[tokio::test]
async fn a_wanted_nonce_is_told_and_then_taken() {
    let authz = TestAuthz::with(|settings| settings.tokens.dpop_nonces = true).await;
    let client = authz.industry_client().await;
    let signer = ClientSigner::generate(ProofAlgorithm::Es256);
    let told = ask(&authz, &client, &signer.proof(&claims(&authz, "1"))).await;
    assert_eq!(told.verdict(), (400, "use_dpop_nonce".to_owned()));
    let mut with_nonce = claims(&authz, "2");
    with_nonce["nonce"] = json!(told.header("dpop-nonce"));
    assert_eq!(ask(&authz, &client, &signer.proof(&with_nonce)).await.status, 200);
    with_nonce["jti"] = json!("3");
    authz.clock.advance(Duration::minutes(5));
    with_nonce["iat"] = json!(authz.clock.now().unix_timestamp());
    let stale = ask(&authz, &client, &signer.proof(&with_nonce)).await;
    assert_eq!(stale.verdict(), (400, "use_dpop_nonce".to_owned()));
    assert_ne!(stale.header("dpop-nonce"), told.header("dpop-nonce"));
    assert_eq!(authz.token(&client, DEFAULT_SCOPE).await.status, 200, "who binds nothing needs none");
}

#[tokio::test]
async fn the_administration_api_wants_the_proof_of_a_bound_token() {
    let authz = TestAuthz::start().await;
    let operator = NewClient { organisation: None, role: "operator".to_owned(), ..new_client() };
    let operator = authz.acts().create_client(Actor::Operator, operator).await.unwrap();
    let signer = ClientSigner::generate(ProofAlgorithm::Es256);
    let request = token_body(&operator, "clients.read");
    let token =
        send(&authz, "/oauth2/token", &request, &[&signer.proof(&claims(&authz, "1"))]).await.access_token();
    let call = async |scheme: &str, proof: Option<&str>| {
        let mut request =
            Request::get("/api/v1/clients").header("authorization", format!("{scheme} {token}"));
        if let Some(proof) = proof {
            request = request.header("dpop", proof);
        }
        authz.send(request.body(Body::empty()).unwrap()).await
    };
    let mut proof = claims(&authz, "2");
    (proof["htm"], proof["htu"]) = (json!("GET"), json!(format!("{BASE}/api/v1/clients")));
    proof["ath"] = json!(token_hash(&token));
    let proof = signer.proof(&proof);
    assert_eq!(call("Bearer", None).await.status, 401);
    assert_eq!(call("Bearer", Some(&proof)).await.status, 401);
    assert_eq!(call("DPoP", None).await.status, 401);
    assert_eq!(call("DPoP", Some(&signer.proof(&claims(&authz, "3")))).await.status, 401);
    assert_eq!(call("DPoP", Some(&proof)).await.status, 200);
    assert_eq!(call("DPoP", Some(&proof)).await.status, 401, "once");
}
