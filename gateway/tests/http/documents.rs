//! Open documents: what may be read without a token.

use axum::response::IntoResponse as _;
use http::StatusCode;
use serde_json::json;

use crate::house::{Answer, House, fhir};

#[tokio::test]
async fn metadata_is_open_ours_and_survives_the_upstream() {
    let house = House::start().await;
    let base = house.upstream.base();
    house.upstream.answer(move |_| {
        let statement = json!({
            "resourceType": "CapabilityStatement", "implementation": {"description": "x", "url": base},
            "rest": [{"mode": "server", "resource": [{"type": "MedicinalProductDefinition"}, {"type": "Patient"}]}],
        });
        fhir(StatusCode::OK, statement.to_string())
    });
    let ask = || async {
        Answer::of(house.client.get(house.url("/pms/api/v3/metadata")).send().await.unwrap()).await
    };
    let answer = ask().await;
    assert_eq!(answer.status, StatusCode::OK);
    let statement = answer.json();
    assert_eq!(statement["implementation"]["url"], "https://gate.example:8443/pms/api/v3");
    assert_eq!(statement["rest"][0]["resource"], json!([{"type": "MedicinalProductDefinition"}]));
    assert!(answer.text.contains("https://gate.example:8443/oauth2/token"));
    let received = house.upstream.last();
    assert_eq!(
        (received.uri.path(), received.context.client_id.as_str()),
        ("/pms/api/v3/metadata", "pmsgate-gateway")
    );

    house.upstream.answer(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response());
    assert_eq!(ask().await.text, answer.text, "kept");
    assert_eq!(house.upstream.count(), 1);
}

#[tokio::test]
async fn unusable_metadata_is_a_bad_gateway() {
    let house = House::start().await;
    house.upstream.answer(|_| fhir(StatusCode::OK, "[]"));
    let answer = Answer::of(house.client.get(house.url("/public/v1/metadata")).send().await.unwrap()).await;
    assert_eq!((answer.status, answer.rule().as_str()), (StatusCode::BAD_GATEWAY, "upstream-answer"));
}

#[tokio::test]
async fn well_known_documents_and_the_description_are_open() {
    let house = House::start().await;
    for (path, member) in [
        ("/.well-known/oauth-protected-resource/pms/api/v3", "authorization_servers"),
        ("/pms/api/v3/.well-known/oauth-protected-resource", "authorization_servers"),
        ("/pms/api/v3/.well-known/smart-configuration", "token_endpoint"),
        ("/public/v1/openapi.json", "openapi"),
    ] {
        let answer = Answer::of(house.client.get(house.url(path)).send().await.unwrap()).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert!(answer.json().get(member).is_some(), "{path}");
        let posted = Answer::of(house.client.post(house.url(path)).send().await.unwrap()).await;
        assert_eq!(
            (posted.status, posted.header("allow")),
            (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD"),
            "{path}"
        );
    }
}
