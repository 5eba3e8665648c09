//! Metadata documents: complete, and every URL in them answers.

use serde_json::Value;

use crate::harness::{BASE, TENANT, TestAuthz};

#[tokio::test]
async fn every_url_in_every_document_works() {
    let authz = TestAuthz::start().await;
    for path in [
        "/.well-known/oauth-authorization-server".to_owned(),
        "/.well-known/openid-configuration".to_owned(),
        "/.well-known/smart-configuration".to_owned(),
        format!("/{TENANT}/v2.0/.well-known/openid-configuration"),
        format!("/{TENANT}/v2.0/.well-known/oauth-authorization-server"),
        format!("/.well-known/oauth-authorization-server/{TENANT}/v2.0"),
    ] {
        let answer = authz.get(&path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), "application/json");
        let document = answer.json();
        for (name, value) in document.as_object().unwrap() {
            let Some(url) = value.as_str().and_then(|text| text.strip_prefix(BASE)) else { continue };
            if name == "issuer" {
                continue;
            }
            let status = authz.get(if url.is_empty() { "/" } else { url }).await.status.as_u16();
            let wanted = match name.as_str() {
                "jwks_uri" | "service_documentation" => 200,
                "authorization_endpoint" => 400,
                _ => 405,
            };
            assert_eq!(status, wanted, "{path}: {name}");
        }
    }
    assert_eq!(authz.get("/other/v2.0/.well-known/openid-configuration").await.status, 400);
}

#[tokio::test]
async fn the_issuer_is_the_one_in_the_tokens() {
    let authz = TestAuthz::start().await;
    let issuer = async |path: &str| authz.get(path).await.json()["issuer"].as_str().unwrap().to_owned();
    assert_eq!(issuer("/.well-known/oauth-authorization-server").await, BASE);
    let tenant = issuer(&format!("/{TENANT}/v2.0/.well-known/openid-configuration")).await;
    assert_eq!(tenant, format!("{BASE}/{TENANT}/v2.0"));
    assert!(authz.settings.issuers().contains(&tenant));
}

#[tokio::test]
async fn nothing_is_claimed_that_does_not_work() {
    let authz = TestAuthz::start().await;
    let document = authz.get("/.well-known/oauth-authorization-server").await.json();
    assert_eq!(document["grant_types_supported"], serde_json::json!(["client_credentials"]));
    assert_eq!(
        document["token_endpoint_auth_methods_supported"],
        serde_json::json!(["client_secret_basic", "client_secret_post", "private_key_jwt"])
    );
    assert_eq!(
        document["token_endpoint_auth_signing_alg_values_supported"],
        serde_json::json!(["ES256", "ES384", "RS256", "RS384", "PS256"])
    );
    assert_eq!(document["id_token_signing_alg_values_supported"], serde_json::json!(["ES256"]));
    let scopes: Vec<_> =
        document["scopes_supported"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(
        scopes,
        [
            "api://pmsgate/pms/.default",
            "api://pmsgate/public/.default",
            "api://pmsgate/administration/.default",
            "client.rotate",
            "clients.read",
            "clients.write",
            "requests.read",
            "system/*.cruds",
            "system/*.rs"
        ]
    );
}
