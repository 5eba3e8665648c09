//! Clients that prove themselves by other things than a secret, against the shipped program.

use std::fs;

use access_token::{ProofAlgorithm, testing::ClientSigner};
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

        // Suspended from another process, refused within a second by token endpoint and gateway.
        program.result(&["client", "suspend", client]);
        let (_, answer) = ask(&program, &assertion(&program, &signer, client, "2")).await;
        assert!(answer["error_description"].as_str().unwrap().contains("suspended"), "{answer}");
        let shown = program.result(&["client", "show", client]);
        assert_eq!(shown["authentication"], "private_key_jwt");
    }
}
