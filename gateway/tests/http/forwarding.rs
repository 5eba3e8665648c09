//! What reaches the upstream and what comes back.

use axum::response::IntoResponse as _;
use http::{Method, StatusCode};
use pms_terms::{FhirVersion, Stakeholder};
use serde_json::json;

use crate::house::{Answer, House, READ, SEARCH, fhir};

#[tokio::test]
async fn the_upstream_learns_who_asks_and_nothing_that_the_caller_pretends() {
    let house = House::start().await;
    let request = house
        .get(READ, &house.token())
        .header("x-request-id", "my-id.1")
        .header("cookie", "a=b")
        .header("x-pmsgate-caller", "forged")
        .header("x-pmsgate-anything", "forged")
        .header("forwarded", "for=6.6.6.6")
        .header("x-forwarded-for", "6.6.6.6")
        .header("ocp-apim-subscription-key", "old")
        .header("te", "trailers")
        .header("connection", "prefer")
        .header("prefer", "return=minimal")
        .header("if-none-match", "W/\"3\"")
        .header("accept", "application/fhir+json");
    let answer = Answer::of(request.send().await.unwrap()).await;
    assert_eq!((answer.status, answer.header("x-request-id")), (StatusCode::OK, "my-id.1"));
    let received = house.upstream.last();
    assert_eq!(received.uri, READ);
    for dropped in [
        "authorization",
        "cookie",
        "x-pmsgate-anything",
        "ocp-apim-subscription-key",
        "te",
        "connection",
        "prefer",
        "accept-encoding",
    ] {
        assert!(!received.headers.contains_key(dropped), "{dropped}");
    }
    assert_eq!(received.headers["x-request-id"], "my-id.1");
    assert_eq!(received.headers["if-none-match"], "W/\"3\"");
    assert_eq!(received.headers["host"], house.upstream.address.lock().unwrap().as_str());
    assert_eq!(received.headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(received.headers["x-forwarded-host"], "gate.example:8443");
    assert_eq!(received.headers["x-forwarded-proto"], "https");
    assert_eq!(received.headers["forwarded"], "for=127.0.0.1;host=\"gate.example:8443\";proto=https");
    let context = received.context;
    assert_eq!((context.client_id.as_str(), context.request_id.as_str()), ("client-1", "my-id.1"));
    assert_eq!(context.organisation.unwrap().as_str(), "ORG-100000001");
    assert_eq!((context.stakeholder, context.qualified), (Stakeholder::Industry, true));
    assert_eq!((context.product.as_str(), context.fhir_version), ("pms-read-v3", FhirVersion::V4_4_0));
}

#[tokio::test]
async fn an_encoded_path_is_forwarded_in_its_canonical_form() {
    let house = House::start().await;
    house.upstream.answer(|_| fhir(StatusCode::OK, r#"{"resourceType":"Bundle"}"#));
    let answer = house.ask(&format!("{READ}/%24everything"), &house.token()).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(house.upstream.last().uri, format!("{READ}/$everything").as_str());
}

#[tokio::test]
async fn answers_pass_with_listed_headers_and_our_addresses() {
    let house = House::start().await;
    let base = house.upstream.base();
    house.upstream.answer(move |_| {
        (
            StatusCode::CREATED,
            [
                ("content-type", "application/fhir+json".to_owned()),
                ("etag", "W/\"3\"".to_owned()),
                ("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT".to_owned()),
                ("location", format!("{base}/X/1")),
                ("content-location", format!("{base}/X/1/_history/2")),
                ("server", "secret/1.0".to_owned()),
                ("set-cookie", "a=b".to_owned()),
                ("x-powered-by", "secret".to_owned()),
                ("x-pmsgate-caller", "secret".to_owned()),
            ],
            format!(r#"{{"resourceType":"X","url":"{base}/X/1"}}"#),
        )
            .into_response()
    });
    let answer = house.ask(READ, &house.token()).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(answer.header("etag"), "W/\"3\"");
    assert_eq!(answer.header("location"), "https://gate.example:8443/pms/api/v3/X/1");
    assert_eq!(answer.header("content-location"), "https://gate.example:8443/pms/api/v3/X/1/_history/2");
    assert_eq!(answer.header("cache-control"), "private, no-cache");
    assert_eq!(answer.header("content-length"), answer.text.len().to_string());
    for dropped in ["server", "set-cookie", "x-powered-by", "x-pmsgate-caller"] {
        assert!(!answer.headers.contains_key(dropped), "{dropped}");
    }
    assert!(answer.text.contains(&house.upstream.base()), "a resource is not a Bundle and is not touched");
}

#[tokio::test]
async fn the_links_of_a_bundle_are_ours() {
    let house = House::start().await;
    let base = house.upstream.base();
    house.upstream.answer(move |_| {
        let entries: Vec<_> = (0..500)
            .map(|n| json!({"fullUrl": format!("{base}/X/{n}"), "resource": {"resourceType": "X", "id": n, "url": format!("{base}/X/{n}")}}))
            .collect();
        let bundle = json!({"resourceType": "Bundle", "link": [{"relation": "next", "url": format!("{base}/X?_cursor=abc")}], "entry": entries});
        fhir(StatusCode::OK, bundle.to_string())
    });
    let answer = house.ask(&format!("{SEARCH}?name=a"), &house.token()).await;
    let bundle = answer.json();
    assert_eq!(bundle["link"][0]["url"], "https://gate.example:8443/pms/api/v3/X?_cursor=abc");
    assert_eq!(bundle["entry"].as_array().unwrap().len(), 500);
    for (n, entry) in bundle["entry"].as_array().unwrap().iter().enumerate() {
        assert_eq!(entry["fullUrl"], format!("https://gate.example:8443/pms/api/v3/X/{n}"));
        assert_eq!(entry["resource"]["url"], format!("{}/X/{n}", house.upstream.base()));
    }
    assert!(!answer.headers.contains_key("content-length"));
}

#[tokio::test]
async fn outcomes_of_the_upstream_pass_unchanged() {
    let house = House::start().await;
    let body = r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"not-found"}]}"#;
    house.upstream.answer(move |_| fhir(StatusCode::NOT_FOUND, body));
    let answer = house.ask(READ, &house.token()).await;
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::NOT_FOUND, body));
}

#[tokio::test]
async fn a_conditional_read_is_answered_without_a_body() {
    let house = House::start().await;
    house.upstream.answer(|_| (StatusCode::NOT_MODIFIED, [("etag", "W/\"3\"")]).into_response());
    let answer =
        Answer::of(house.get(READ, &house.token()).header("if-none-match", "W/\"3\"").send().await.unwrap())
            .await;
    assert_eq!(
        (answer.status, answer.header("etag"), answer.text.as_str()),
        (StatusCode::NOT_MODIFIED, "W/\"3\"", "")
    );
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let house = House::start().await;
    let answer =
        Answer::of(house.client.head(house.url(READ)).bearer_auth(house.token()).send().await.unwrap()).await;
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, ""));
    assert_eq!(house.upstream.last().method, Method::HEAD);
    let refused = Answer::of(house.client.head(house.url(READ)).send().await.unwrap()).await;
    assert_eq!((refused.status, refused.text.as_str()), (StatusCode::UNAUTHORIZED, ""));
    assert!(refused.header("content-length").parse::<usize>().unwrap() > 0);
}

#[tokio::test]
async fn a_posted_body_arrives_whole_and_capped() {
    let house = House::start().await;
    let path = "/pms/api/v5-alpha/MedicinalProductDefinition/$merge";
    house.upstream.answer(|_| fhir(StatusCode::OK, r#"{"resourceType":"Bundle"}"#));
    let post = |body: reqwest::Body| {
        house
            .client
            .post(house.url(path))
            .bearer_auth(house.token())
            .header("content-type", "application/fhir+json")
            .body(body)
    };
    let body = "x".repeat(60_000);
    let answer = Answer::of(post(body.clone().into()).send().await.unwrap()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(house.upstream.last().body, body);
    assert_eq!(house.upstream.last().headers["content-type"], "application/fhir+json");

    let chunks = |count: usize| {
        let chunk = || Ok::<_, std::io::Error>(bytes::Bytes::from("y".repeat(10_000)));
        reqwest::Body::wrap_stream(futures_util::stream::iter((0..count).map(move |_| chunk())))
    };
    let answer = Answer::of(post(chunks(5)).send().await.unwrap()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(house.upstream.last().body.len(), 50_000);

    let before = house.upstream.count();
    let answer = Answer::of(post("z".repeat(65 * 1024).into()).send().await.unwrap()).await;
    assert_eq!((answer.status, answer.rule().as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large"));
    let answer = Answer::of(post(chunks(7)).send().await.unwrap()).await;
    assert_eq!((answer.status, answer.rule().as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large"));
    assert_eq!(house.upstream.count(), before);
}
