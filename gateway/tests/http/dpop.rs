//! Tokens that are bound to a key (RFC 9449 §7): taken with its proof, made for this request, once.

use access_token::{Confirmation, DpopNonces, ProofAlgorithm, testing::ClientSigner, token_hash};
use http::StatusCode;
use serde_json::{Value, json};
use time::Duration;

use crate::house::{Answer, House, NOW, READ, SEARCH};

const HOST: &str = "https://gate.example:8443";

/// A gateway, a key, and a token bound to it.
struct Bound {
    house: House,
    signer: ClientSigner,
    token: String,
}

impl Bound {
    async fn new(house: House) -> Self {
        let signer = ClientSigner::generate(ProofAlgorithm::Es256);
        let thumbprint = signer.jwk(None).thumbprint().unwrap();
        let token = house.token_with(|claims| claims.cnf = Some(Confirmation::Key(thumbprint)));
        Self { house, signer, token }
    }

    fn claims(&self, jti: &str) -> Value {
        json!({
            "jti": jti, "htm": "GET", "htu": format!("{HOST}{READ}"), "iat": NOW.unix_timestamp(),
            "ath": token_hash(&self.token),
        })
    }

    async fn send(&self, scheme: &str, path: &str, proofs: &[&str]) -> Answer {
        let mut request = self.house.client.get(self.house.url(path));
        request = request.header("authorization", format!("{scheme} {}", self.token));
        for proof in proofs {
            request = request.header("dpop", *proof);
        }
        Answer::of(request.send().await.unwrap()).await
    }

    async fn ask(&self, claims: &Value) -> Answer {
        self.send("DPoP", READ, &[&self.signer.proof(claims)]).await
    }
}

#[tokio::test]
async fn a_bound_token_with_its_proof_is_taken_each_time_with_another_one() {
    let bound = Bound::new(House::start().await).await;
    for jti in ["1", "2", "3"] {
        let answer = bound.ask(&bound.claims(jti)).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    }
    let mut search = bound.claims("4");
    search["htu"] = json!(format!("{HOST}{SEARCH}"));
    let path = format!("{SEARCH}?name=a");
    let answer = bound.send("dpop", &path, &[&bound.signer.proof(&search)]).await;
    assert_eq!(answer.status, StatusCode::OK, "the query is no part of it: {answer:?}");
    // Neither the token nor the proof reach the upstream.
    let received = bound.house.upstream.last();
    assert!(!received.headers.contains_key("dpop") && !received.headers.contains_key("authorization"));
}

#[tokio::test]
async fn each_wrong_proof_is_challenged_with_its_reason() {
    let bound = Bound::new(House::start().await).await;
    let thief = ClientSigner::generate(ProofAlgorithm::Es256);
    let now = NOW.unix_timestamp();
    let with = |name: &str, value: Value| {
        let mut claims = bound.claims(name);
        claims[name] = value;
        bound.signer.proof(&claims)
    };
    let good = bound.signer.proof(&bound.claims("good"));
    let unsigned = good.rsplit_once('.').unwrap().0.to_owned() + ".AAAA";
    for (what, proof, words) in [
        ("another key", thief.proof(&bound.claims("1")), "another key"),
        ("another method", with("htm", json!("POST")), "'htm'"),
        ("another path", with("htu", json!(format!("{HOST}{SEARCH}"))), "'htu'"),
        ("another host", with("htu", json!(format!("https://other.example{READ}"))), "'htu'"),
        ("too old", with("iat", json!(now - 61)), "'iat'"),
        ("too early", with("iat", json!(now + 31)), "'iat'"),
        ("another token", with("ath", json!(token_hash("x"))), "'ath'"),
        ("no token", with("ath", Value::Null), "'ath'"),
        ("no id", with("jti", Value::Null), "cannot be read"),
        ("no signature", unsigned, "not signed"),
        ("no JWT", "x".to_owned(), "cannot be read"),
        (
            "no proof's type",
            bound.signer.sign(json!({ "typ": "JWT", "jwk": bound.signer.jwk(None) }), &bound.claims("2")),
            "dpop+jwt",
        ),
    ] {
        // Twice: the token's verdict is kept after the first, the proof is judged each time.
        for _ in 0..2 {
            let answer = bound.send("DPoP", READ, &[&proof]).await;
            assert_eq!(
                (answer.status, answer.rule().as_str()),
                (StatusCode::UNAUTHORIZED, "proof-invalid"),
                "{what}"
            );
            let challenge = answer.header("www-authenticate");
            assert!(
                challenge.starts_with("DPoP realm=") && challenge.contains(r#"error="invalid_dpop_proof""#),
                "{challenge}"
            );
            assert!(
                challenge.contains(words) && challenge.contains(r#"algs="ES256 ES384 RS256 RS384 PS256""#),
                "{what}: {challenge}"
            );
        }
    }
    for proofs in [&[][..], &[good.as_str(), good.as_str()]] {
        let answer = bound.send("DPoP", READ, proofs).await;
        assert_eq!(answer.rule(), "proof-invalid");
    }
    assert_eq!(bound.house.upstream.count(), 0);
}

#[tokio::test]
async fn a_proof_is_good_once() {
    let bound = Bound::new(House::start().await).await;
    let proof = bound.signer.proof(&bound.claims("once"));
    assert_eq!(bound.send("DPoP", READ, &[&proof]).await.status, StatusCode::OK);
    let again = bound.send("DPoP", READ, &[&proof]).await;
    assert_eq!(again.rule(), "proof-invalid");
    assert!(again.header("www-authenticate").contains("used before"));
    assert_eq!(bound.house.upstream.count(), 1);
}

#[tokio::test]
async fn a_bound_token_is_never_a_bearer_token_nor_the_other_way_round() {
    let bound = Bound::new(House::start().await).await;
    let proof = bound.signer.proof(&bound.claims("1"));
    for proofs in [&[][..], &[proof.as_str()]] {
        let answer = bound.send("Bearer", READ, proofs).await;
        assert_eq!((answer.status, answer.rule().as_str()), (StatusCode::UNAUTHORIZED, "token-bound"));
        let challenge = answer.header("www-authenticate");
        assert!(
            challenge.starts_with("DPoP ") && challenge.contains(r#"error="invalid_token""#),
            "{challenge}"
        );
    }
    let unbound = Bound { token: bound.house.token(), ..Bound::new(House::start().await).await };
    let unbound = Bound { house: bound.house, ..unbound };
    let answer = unbound.ask(&unbound.claims("2")).await;
    assert_eq!((answer.status, answer.rule().as_str()), (StatusCode::UNAUTHORIZED, "token-bound"));
    // A proof beside a Bearer token that is bound to nothing changes nothing.
    let ignored = unbound.send("Bearer", READ, &[&proof]).await;
    assert_eq!(ignored.status, StatusCode::OK, "{ignored:?}");
}

#[tokio::test]
async fn a_wanted_nonce_is_told_and_then_taken() {
    let nonces = DpopNonces::new(&[5; 32]);
    let house = House::start_with(|settings| settings.dpop_nonces = Some(nonces.clone())).await;
    let bound = Bound::new(house).await;
    let answer = bound.ask(&bound.claims("1")).await;
    assert_eq!((answer.status, answer.rule().as_str()), (StatusCode::UNAUTHORIZED, "proof-nonce"));
    assert!(answer.header("www-authenticate").contains(r#"error="use_dpop_nonce""#));
    let nonce = answer.header("dpop-nonce").to_owned();
    assert!(nonces.takes(&nonce, NOW));
    let mut claims = bound.claims("2");
    claims["nonce"] = json!(nonce);
    assert_eq!(bound.ask(&claims).await.status, StatusCode::OK);
    bound.house.clock.advance(Duration::minutes(5));
    claims["jti"] = json!("3");
    claims["iat"] = json!((NOW + Duration::minutes(5)).unix_timestamp());
    let stale = bound.ask(&claims).await;
    assert_eq!(stale.rule(), "proof-nonce", "{stale:?}");
}

#[tokio::test]
async fn who_sends_nothing_learns_both_ways_and_the_metadata_name_the_algorithms() {
    let house = House::start().await;
    let response = house.client.get(house.url(READ)).send().await.unwrap();
    let challenges: Vec<&str> =
        response.headers().get_all("www-authenticate").iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!(challenges.len(), 2);
    assert_eq!(challenges[1], r#"DPoP algs="ES256 ES384 RS256 RS384 PS256""#);
    let metadata = house.client.get(house.url("/.well-known/oauth-protected-resource/pms/api/v3"));
    let metadata = Answer::of(metadata.send().await.unwrap()).await.json();
    let names = json!(["ES256", "ES384", "RS256", "RS384", "PS256"]);
    assert_eq!(metadata["dpop_signing_alg_values_supported"], names);
    assert_eq!(metadata["dpop_bound_access_tokens_required"], false);
}
