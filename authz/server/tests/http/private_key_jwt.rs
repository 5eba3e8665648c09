//! Clients that authenticate by assertions (RFC 7523): what is accepted, and every way to be refused.

use access_token::{Jwk, ProofAlgorithm, testing::ClientSigner};
use authz_domain::{Actor, ClientId, SecretState};
use authz_server::NewProof;
use database::testing::TestDatabase;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use time::Duration;

use crate::{
    followers,
    harness::{
        Answer, BASE, DEFAULT_SCOPE, TENANT, TestAuthz, escaped, form_request, new_client, token_body,
    },
};

/// A client with a key, and what it needs to sign.
pub(crate) struct Signing {
    pub(crate) id: ClientId,
    pub(crate) signer: ClientSigner,
}

/// Registers a client that never had a secret, with one key named `k1`.
pub(crate) async fn signing_client(authz: &TestAuthz, algorithm: ProofAlgorithm) -> Signing {
    let signer = ClientSigner::generate(algorithm);
    let keys = key_set(&[signer.jwk(Some("k1"))]);
    let made =
        authz.acts().create_client_with(Actor::Operator, new_client(), NewProof::Keys(keys)).await.unwrap();
    Signing { id: made.client_id, signer }
}

pub(crate) fn key_set(keys: &[Jwk]) -> Vec<u8> {
    json!({ "keys": keys }).to_string().into_bytes()
}

impl Signing {
    /// Claims as they should be, with an id of their own.
    pub(crate) fn claims(&self, authz: &TestAuthz, jti: &str) -> Value {
        let now = authz.clock.now().unix_timestamp();
        json!({
            "iss": self.id.as_str(), "sub": self.id.as_str(), "aud": format!("{BASE}/oauth2/token"),
            "iat": now, "exp": now + 60, "jti": jti,
        })
    }

    pub(crate) fn assertion(&self, authz: &TestAuthz, jti: &str) -> String {
        self.signer.sign(json!({ "kid": "k1", "typ": "JWT" }), &self.claims(authz, jti))
    }
}

pub(crate) fn body(assertion: &str) -> String {
    format!(
        "grant_type=client_credentials&scope={}&client_assertion_type={}&client_assertion={assertion}",
        escaped(DEFAULT_SCOPE),
        escaped("urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
    )
}

async fn ask(authz: &TestAuthz, assertion: &str) -> Answer {
    authz.post("/oauth2/token", &body(assertion)).await
}

fn refused() -> (u16, String) {
    (401, "invalid_client".to_owned())
}

#[tokio::test]
async fn an_assertion_of_each_algorithm_gives_a_token_on_each_database() {
    for authz in TestAuthz::each().await {
        for algorithm in ProofAlgorithm::ALL {
            let client = signing_client(&authz, algorithm).await;
            let answer = ask(&authz, &client.assertion(&authz, "1")).await;
            let claims = authz.verified(&answer.access_token(), "api://pmsgate/pms").await;
            assert_eq!(claims.client_id, client.id.as_str(), "{algorithm}");
            assert_eq!(answer.json()["token_type"], "Bearer");
            let view = authz.acts().show_client(client.id.as_str()).await.unwrap();
            assert_eq!(claims.secret_id, view.secrets[0].secret.id.as_str());
        }
    }
}

#[tokio::test]
async fn either_name_of_this_server_is_an_audience() {
    let authz = TestAuthz::start().await;
    let client = signing_client(&authz, ProofAlgorithm::Es256).await;
    let tenant = format!("{BASE}/{TENANT}/oauth2/v2.0/token");
    for (aud, status) in [
        (json!(BASE), 200),
        (json!([format!("{BASE}/oauth2/token")]), 200),
        (json!(tenant), 200),
        (json!("https://other.example"), 401),
        (json!(format!("{BASE}/")), 401),
        (json!([BASE, "https://other.example"]), 401),
    ] {
        let mut claims = client.claims(&authz, &aud.to_string());
        claims["aud"] = aud.clone();
        let answer = ask(&authz, &client.signer.sign(json!({ "kid": "k1" }), &claims)).await;
        assert_eq!(answer.status, status, "{aud}: {}", answer.text);
        assert!(status == 200 || answer.description().contains("'aud'"), "{}", answer.text);
    }
}

#[tokio::test]
async fn an_assertion_is_good_once_on_every_instance_until_it_is_dead() {
    for database in TestDatabase::each().await {
        let authz = TestAuthz::on(database, |_| {}).await;
        let client = signing_client(&authz, ProofAlgorithm::Es256).await;
        let assertion = client.assertion(&authz, "once");
        assert_eq!(ask(&authz, &assertion).await.status, 200);
        let again = ask(&authz, &assertion).await;
        assert_eq!(again.verdict(), refused());
        assert!(again.description().contains("used before"), "{}", again.text);
        let other = followers::second(&authz).await;
        assert_eq!(followers::status(&other, &body(&assertion)).await, 401);
        assert_eq!(followers::status(&other, &body(&client.assertion(&authz, "another"))).await, 200);
        // The same id from another client is another assertion.
        let neighbour = signing_client(&authz, ProofAlgorithm::Es256).await;
        assert_eq!(ask(&authz, &neighbour.assertion(&authz, "once")).await.status, 200);
    }
}

#[tokio::test]
async fn each_wrong_assertion_has_its_own_useful_answer() {
    let authz = TestAuthz::start().await;
    let client = signing_client(&authz, ProofAlgorithm::Es256).await;
    let stranger = ClientSigner::generate(ProofAlgorithm::Es256);
    let header = json!({ "kid": "k1" });
    let now = authz.clock.now().unix_timestamp();
    let with = |name: &str, value: Value| {
        let mut claims = client.claims(&authz, "j");
        claims[name] = value;
        client.signer.sign(header.clone(), &claims)
    };
    let good = client.claims(&authz, "j");
    let unsigned = client.signer.sign(json!({ "alg": "none", "kid": "k1" }), &good);
    let mut nobody = good.clone();
    (nobody["iss"], nobody["sub"]) = (json!("nobody"), json!("nobody"));
    for (what, assertion, words) in [
        ("no JWT", "x".to_owned(), "cannot be read"),
        ("unsigned", unsigned.clone(), "must be signed by"),
        ("signature left out", unsigned.rsplit_once('.').unwrap().0.to_owned() + ".", "cannot be read"),
        ("HMAC", client.signer.sign(json!({ "alg": "HS256", "kid": "k1" }), &good), "must be signed by"),
        ("another's key", stranger.sign(header.clone(), &good), "none of the keys"),
        (
            "a key in the header",
            stranger.sign(json!({ "jwk": stranger.jwk(None) }), &good),
            "none of the keys",
        ),
        ("another kid", client.signer.sign(json!({ "kid": "k2" }), &good), "none of the keys"),
        ("an unknown client", stranger.sign(header.clone(), &nobody), "none of the keys"),
        ("critical", client.signer.sign(json!({ "kid": "k1", "crit": ["x"] }), &good), "critical"),
        (
            "an access token",
            client.signer.sign(json!({ "kid": "k1", "typ": "at+jwt" }), &good),
            "another kind",
        ),
        ("two subjects", with("sub", json!("other")), "'iss' and 'sub'"),
        ("expired", with("exp", json!(now - 31)), "expired"),
        ("not yet", with("nbf", json!(now + 60)), "not valid yet"),
        ("long life", with("exp", json!(now + 301)), "5 minutes"),
        ("old", with("iat", json!(now - 400)), "5 minutes"),
        ("no id", with("jti", Value::Null), "'jti'"),
        ("no expiry", with("exp", Value::Null), "cannot be read"),
    ] {
        // Late enough not to be slowed down for the failure before.
        let request = form_request("/oauth2/token", &body(&assertion));
        let answer = authz.send_from(&format!("192.0.2.{}:1", what.len()), request).await;
        assert_eq!(answer.verdict(), refused(), "{what}: {}", answer.text);
        assert!(answer.description().contains(words), "{what}: {}", answer.text);
        assert!(answer.headers.contains_key("www-authenticate"), "{what}");
    }
}

#[tokio::test]
async fn exactly_one_method_of_authentication_is_taken() {
    let authz = TestAuthz::start().await;
    let client = signing_client(&authz, ProofAlgorithm::Es256).await;
    let assertion = body(&client.assertion(&authz, "1"));
    let id = client.id.as_str();
    for (more, verdict) in [
        (format!("&client_secret=x&client_id={id}"), (400, "invalid_request")),
        ("&client_id=other".to_owned(), (400, "invalid_request")),
        (format!("&client_id={id}"), (200, "")),
    ] {
        let answer = authz.post("/oauth2/token", &format!("{assertion}{more}")).await;
        assert_eq!(answer.verdict(), (verdict.0, verdict.1.to_owned()), "{more}: {}", answer.text);
    }
    let other_type = assertion.replace("jwt%2Dbearer", "saml2%2Dbearer");
    assert!(authz.post("/oauth2/token", &other_type).await.description().contains("client_assertion_type"));
}

#[tokio::test]
async fn a_client_registered_for_keys_cannot_use_a_secret_any_more() {
    let authz = TestAuthz::start().await;
    let credentials = authz.industry_client().await;
    let id = credentials.client_id.as_str();
    let token = authz.token(&credentials, DEFAULT_SCOPE).await.access_token();
    let signer = ClientSigner::generate(ProofAlgorithm::Es256);
    let keys = NewProof::Keys(key_set(&[signer.jwk(Some("k1"))]));
    // By another process, while the server has the client in its cache.
    let made = authz.other_process().register_proof(Actor::Operator, id, keys, false).await.unwrap();
    assert_eq!(made.ended[0].id, credentials.secret_id);
    authz.authz.catch_up().await.unwrap();
    let refusal = authz.token(&credentials, DEFAULT_SCOPE).await;
    assert_eq!(refusal.verdict(), refused());
    assert!(refusal.description().contains("retired"), "{}", refusal.text);
    let client = Signing { id: credentials.client_id.clone(), signer };
    assert_eq!(ask(&authz, &client.assertion(&authz, "1")).await.status, 200);
    // What the secret bought runs out by itself.
    let introspected = authz
        .post("/oauth2/introspect", &format!("{}&token={token}", body(&client.assertion(&authz, "2"))))
        .await;
    assert_eq!(introspected.json()["active"], true, "{}", introspected.text);
    // No rotation leads back to a secret, unless the key is ended first.
    let back = authz.acts().rotate_secret(Actor::Operator, id, false).await.unwrap_err();
    assert!(back.to_string().contains("private_key_jwt"), "{back}");
    authz.acts().revoke_secret(Actor::Operator, id, made.secret_id.as_str()).await.unwrap();
    let secret = authz.acts().rotate_secret(Actor::Operator, id, false).await.unwrap();
    assert_eq!(authz.post("/oauth2/token", &token_body(&secret, DEFAULT_SCOPE)).await.status, 200);
    assert_eq!(ask(&authz, &client.assertion(&authz, "3")).await.verdict(), refused());
    let acts: Vec<String> = authz.trail_of(id).await.into_iter().map(|(act, _)| act).collect();
    assert!(acts.contains(&"proof.registered".to_owned()), "{acts:?}");
}

#[tokio::test]
async fn keys_overlap_expire_and_show_on_the_list_as_secrets_do() {
    let authz = TestAuthz::start().await;
    let client = signing_client(&authz, ProofAlgorithm::Es256).await;
    let id = client.id.as_str();
    authz.clock.advance(Duration::days(690));
    let expiring = authz.acts().expiring_secrets(Duration::days(90)).await.unwrap();
    assert_eq!(expiring.len(), 1);
    assert_eq!((expiring[0].client.id.as_str(), expiring[0].secret.hint.as_str()), (id, "k1"));

    let successor = ClientSigner::generate(ProofAlgorithm::Rs256);
    let keys = NewProof::Keys(key_set(&[successor.jwk(Some("k2"))]));
    authz.acts().register_proof(Actor::Operator, id, keys, false).await.unwrap();
    assert_eq!(ask(&authz, &client.assertion(&authz, "old")).await.status, 200, "both work");
    let new = successor.sign(json!({ "kid": "k2" }), &client.claims(&authz, "new"));
    assert_eq!(ask(&authz, &new).await.status, 200);
    authz.clock.advance(Duration::days(30));
    let retired = ask(&authz, &client.assertion(&authz, "late")).await;
    assert!(retired.description().contains("client key was replaced"), "{}", retired.text);
    authz.clock.advance(Duration::days(701));
    let expired = successor.sign(json!({ "kid": "k2" }), &client.claims(&authz, "end"));
    let expired = ask(&authz, &expired).await;
    assert!(expired.description().contains("client key expired at 20"), "{}", expired.text);
    let states: Vec<SecretState> =
        authz.acts().show_client(id).await.unwrap().secrets.into_iter().map(|one| one.state).collect();
    assert_eq!(states, [SecretState::Expired, SecretState::Retired]);
}

#[tokio::test]
async fn a_token_never_outlives_the_key_that_bought_it() {
    let authz = TestAuthz::start().await;
    let client = signing_client(&authz, ProofAlgorithm::Es256).await;
    let view = authz.acts().show_client(client.id.as_str()).await.unwrap();
    let ends_at = view.secrets[0].secret.ends_at();
    authz.clock.advance(ends_at - authz.clock.now() - Duration::minutes(10));
    let answer = ask(&authz, &client.assertion(&authz, "1")).await;
    assert_eq!(answer.json()["expires_in"], 600);
}

#[tokio::test]
async fn suspended_and_revoked_clients_are_told_so_only_when_they_sign() {
    let authz = TestAuthz::start().await;
    let client = signing_client(&authz, ProofAlgorithm::Es256).await;
    authz.acts().suspend_client(Actor::Operator, client.id.as_str()).await.unwrap();
    assert!(ask(&authz, &client.assertion(&authz, "1")).await.description().contains("suspended"));
    let stranger = ClientSigner::generate(ProofAlgorithm::Es256);
    let forged = stranger.sign(json!({ "kid": "k1" }), &client.claims(&authz, "2"));
    assert!(ask(&authz, &forged).await.description().contains("none of the keys"));
    authz.acts().revoke_client(Actor::Operator, client.id.as_str()).await.unwrap();
    assert!(ask(&authz, &client.assertion(&authz, "3")).await.description().contains("revoked"));
}

/// As MSAL does it: a certificate's key, named by its thumbprint, a life of ten minutes, no `kid`.
#[tokio::test]
async fn a_certificates_key_signs_for_the_entra_shaped_endpoint() {
    let authz = TestAuthz::start().await;
    let pair = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["client.example".to_owned()]).unwrap().self_signed(&pair).unwrap();
    let pem = certificate.pem().into_bytes();
    let proof = NewProof::KeyOf(pem.clone());
    let made = authz.acts().create_client_with(Actor::Operator, new_client(), proof).await.unwrap();
    let signer = ClientSigner::from_pkcs8(&pair.serialize_der());
    let client = Signing { id: made.client_id, signer };
    let path = format!("/{TENANT}/oauth2/v2.0/token");
    let thumbprint = authz_domain::Certificate::parse(&pem).unwrap().thumbprint();
    let mut claims = client.claims(&authz, "1");
    claims["aud"] = json!(format!("{BASE}{path}"));
    claims["exp"] = json!(authz.clock.now().unix_timestamp() + 600);
    let assertion = client.signer.sign(json!({ "x5t#S256": thumbprint }), &claims);
    let answer = authz.post(&path, &body(&assertion)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    claims["jti"] = json!("2");
    let assertion = client.signer.sign(json!({ "x5t#S256": thumbprint }), &claims);
    let strict = ask(&authz, &assertion).await;
    assert!(
        strict.description().contains("5 minutes"),
        "the other endpoint keeps to the rule: {}",
        strict.text
    );
    let assertion = client.signer.sign(json!({ "x5t#S256": "AAAA" }), &claims);
    assert!(authz.post(&path, &body(&assertion)).await.description().contains("none of the keys"));
}

#[tokio::test]
async fn what_cannot_be_registered_is_refused_and_nothing_is_written() {
    let authz = TestAuthz::start().await;
    let credentials = authz.industry_client().await;
    let id = credentials.client_id.as_str();
    let private = json!({ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "d": "AA" }).to_string();
    for (proof, words) in [
        (NewProof::Keys(b"{".to_vec()), "no JWK Set"),
        (NewProof::Keys(private.into_bytes()), "private half"),
        (NewProof::KeysAt("http://client.example/jwks".to_owned()), "https://"),
        (NewProof::KeysAt("https://10.0.0.1/jwks".to_owned()), "internal address"),
        (NewProof::KeyOf(b"x".to_vec()), "no X.509 certificate"),
    ] {
        let refused = authz.acts().register_proof(Actor::Operator, id, proof, true).await.unwrap_err();
        assert!(refused.to_string().contains(words), "{refused}");
    }
    assert_eq!(authz.token(&credentials, DEFAULT_SCOPE).await.status, 200);
    authz.acts().revoke_client(Actor::Operator, id).await.unwrap();
    let keys = NewProof::Keys(key_set(&[ClientSigner::generate(ProofAlgorithm::Es256).jwk(None)]));
    assert!(authz.acts().register_proof(Actor::Operator, id, keys, false).await.is_err());
}
