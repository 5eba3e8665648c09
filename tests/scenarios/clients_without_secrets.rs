//! Clients that prove themselves by other things than a secret, against the shipped program.

use std::{
    fs,
    time::{Duration, Instant},
};

use access_token::{ProofAlgorithm, testing::ClientSigner, token_hash};
use harness::Program;
use http::StatusCode;
use serde_json::{Value, json};
use time::OffsetDateTime;

const PRODUCT: &str = "/pms/api/v3/MedicinalProductDefinition/600000900001";
const SCOPE: &str = "api://pmsgate/pms/.default";
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn assertion(program: &Program, signer: &ClientSigner, client: &str, jti: &str) -> String {
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let audience = format!("{}/oauth2/token", program.ready.base_url);
    let claims =
        json!({ "iss": client, "sub": client, "aud": audience, "iat": now, "exp": now + 60, "jti": jti });
    signer.sign(json!({ "kid": "k1" }), &claims)
}

async fn ask(program: &Program, assertion: &str) -> (StatusCode, Value) {
    let form = [
        ("grant_type", "client_credentials"),
        ("scope", SCOPE),
        ("client_assertion_type", ASSERTION),
        ("client_assertion", assertion),
    ];
    let answer = program.api().ask_token(&form).await;
    (answer.status, answer.json())
}

#[tokio::test]
async fn a_client_made_with_a_key_reads_a_product_and_its_assertion_survives_no_restart() {
    for store in Program::stores() {
        let mut program = Program::serve_with(store, &[]).await;
        let signer = ClientSigner::generate(ProofAlgorithm::Es384);
        let file = program.data_dir().join("keys.json");
        fs::write(&file, json!({ "keys": [signer.jwk(Some("k1"))] }).to_string()).unwrap();
        let made = program.result(&[
            "client",
            "create",
            "--organisation",
            "ORG-100000001",
            "--role",
            "pms-industry-api",
            "--jwks",
            file.to_str().unwrap(),
        ]);
        let client = made["client_id"].as_str().unwrap();
        assert_eq!(made["method"], "private_key_jwt");
        let first = assertion(&program, &signer, client, "1");
        let (status, answer) = ask(&program, &first).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let read = program.api().get(PRODUCT, answer["access_token"].as_str().unwrap()).await;
        assert_eq!(read.status, StatusCode::OK, "{}", read.text());

        program.kill_and_restart(&[]).await;
        let (status, answer) = ask(&program, &first).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{answer}");
        assert!(answer["error_description"].as_str().unwrap().contains("used before"), "{answer}");

        // Suspended from another process, refused soon after.
        program.result(&["client", "suspend", client]);
        let suspended = Instant::now();
        for n in 2.. {
            let jti = n.to_string();
            let (_, answer) = ask(&program, &assertion(&program, &signer, client, &jti)).await;
            if answer["error_description"].as_str().is_some_and(|text| text.contains("suspended")) {
                break;
            }
            assert!(suspended.elapsed() < Duration::from_secs(5), "{answer}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let shown = program.result(&["client", "show", client]);
        assert_eq!(shown["authentication"], "private_key_jwt");
    }
}

#[tokio::test]
async fn a_token_bound_by_dpop_is_good_for_its_key_alone() {
    let program = Program::serve().await;
    let (api, base) = (program.api(), program.ready.base_url.clone());
    let client = program.industry("ORG-100000001", &[]);
    program.result(&["client", "change", &client.client_id, "--dpop", "required"]);
    let signer = ClientSigner::generate(ProofAlgorithm::Es256);
    let proof = |method: &str, path: &str, token: Option<&str>, jti: &str| {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let mut claims = json!({ "htm": method, "htu": format!("{base}{path}"), "iat": now, "jti": jti });
        if let Some(token) = token {
            claims["ath"] = json!(token_hash(token));
        }
        signer.proof(&claims)
    };
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", &client.client_id),
        ("client_secret", &client.client_secret),
        ("scope", SCOPE),
    ];
    let bare = api.ask_token(&form).await;
    assert_eq!((bare.status, &bare.json()["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_dpop_proof")));
    let ask = api.request("POST", "/oauth2/token").form(&form);
    let answer = api.send(ask.header("dpop", proof("POST", "/oauth2/token", None, "1"))).await;
    assert_eq!(answer.json()["token_type"], "DPoP", "{}", answer.text());
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    let read = async |scheme: &str, proof: Option<String>| {
        let mut request = api.request("GET", PRODUCT).header("authorization", format!("{scheme} {token}"));
        if let Some(proof) = proof {
            request = request.header("dpop", proof);
        }
        api.send(request).await.status
    };
    let good = proof("GET", PRODUCT, Some(&token), "2");
    assert_eq!(read("DPoP", Some(good.clone())).await, StatusCode::OK);
    assert_eq!(read("DPoP", Some(good)).await, StatusCode::UNAUTHORIZED, "once");
    assert_eq!(read("DPoP", Some(proof("GET", PRODUCT, Some(&token), "3"))).await, StatusCode::OK);
    assert_eq!(read("Bearer", None).await, StatusCode::UNAUTHORIZED);
    assert_eq!(read("DPoP", None).await, StatusCode::UNAUTHORIZED);
}
