//! Whatever is sent, the answer is one of OAuth's, never a failure of ours.

use axum::body::Body;
use http::Request;
use proptest::{collection, prelude::*, test_runner::TestRunner};

use crate::harness::{DEFAULT_SCOPE, TestAuthz, escaped, token_body};

#[test]
fn no_body_makes_the_server_fail() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (authz, credentials) = runtime.block_on(async {
        let authz = TestAuthz::start().await;
        let credentials = authz.industry_client().await;
        (authz, credentials)
    });
    let good = token_body(&credentials, DEFAULT_SCOPE);
    let name = prop_oneof![
        Just("grant_type".to_owned()),
        Just("client_id".to_owned()),
        Just("client_secret".to_owned()),
        Just("scope".to_owned()),
        Just("token".to_owned()),
        "[ -~]{0,12}",
    ];
    let value = prop_oneof![
        Just("client_credentials".to_owned()),
        Just(credentials.client_id.to_string()),
        Just(credentials.client_secret.expose().to_owned()),
        "\\PC{0,30}".prop_map(|text| escaped(&text)),
        "[%+&= -~]{0,30}",
    ];
    let pairs = collection::vec((name, value), 0..8).prop_map(|pairs| {
        pairs.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join("&").into_bytes()
    });
    let body = prop_oneof![
        pairs,
        collection::vec(any::<u8>(), 0..200),
        (0..good.len(), any::<u8>()).prop_map(move |(at, byte)| {
            let mut changed = good.clone().into_bytes();
            changed[at] = byte;
            changed
        }),
    ];
    let path = prop_oneof![Just("/oauth2/token"), Just("/oauth2/introspect"), Just("/oauth2/revoke")];
    let authorization = prop::option::of("[ -~]{0,40}");
    let mut runner = TestRunner::new(ProptestConfig::with_cases(250));
    runner
        .run(&(path, body, authorization), |(path, body, authorization)| {
            let mut request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
            if let Some(authorization) = authorization {
                request = request.header("authorization", authorization);
            }
            let answer = runtime.block_on(authz.send(request.body(Body::from(body)).unwrap()));
            prop_assert!(
                matches!(answer.status.as_u16(), 200 | 400 | 401 | 429),
                "{}: {}",
                answer.status,
                answer.text
            );
            if answer.status != 200 {
                prop_assert!(answer.json()["error"].is_string());
            }
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn a_scope_of_fifty_kilobytes_costs_nothing() {
    let authz = TestAuthz::start().await;
    let credentials = authz.industry_client().await;
    let long = authz.token(&credentials, &"system/*.rs ".repeat(4000)).await;
    assert_eq!(long.status, 413);
    let body = format!("{}+{}", token_body(&credentials, "x"), "system/*.r+".repeat(1200));
    assert_eq!(authz.post("/oauth2/token", &body).await.verdict(), (400, "invalid_scope".to_owned()));
}

#[tokio::test]
async fn a_body_without_a_length_is_limited_too() {
    let authz = TestAuthz::start().await;
    let chunks = (0..64).map(|_| Ok::<_, std::io::Error>("x".repeat(1024)));
    let body = Body::from_stream(futures_util::stream::iter(chunks));
    let request = Request::post("/oauth2/token").header("content-type", "application/x-www-form-urlencoded");
    let answer = authz.send(request.body(body).unwrap()).await;
    assert_eq!(answer.status, 413);
}
