//! Faults that a client of a sandbox asks for, so that it can learn to bear them; elsewhere nobody can.

use std::time::{Duration, Instant};

use harness::{Program, Store};
use http::StatusCode;

const SEARCH: &str = "/pms/api/v3/MedicinalProductDefinition?_count=3";
const READ: &str = "/pms/api/v3/MedicinalProductDefinition/600000900001";

#[tokio::test]
async fn a_sandbox_answers_wrongly_on_request() {
    let program = Program::serve().await;
    let api = program.api();
    let token = api.token(&program.industry("ORG-100000001", &[])).await;
    let ask = |path: &str, fault: &str| {
        api.request("GET", path).bearer_auth(&token).header("X-Sandbox-Fault", fault)
    };
    for (fault, status, code) in [
        ("429", StatusCode::TOO_MANY_REQUESTS, "throttled"),
        ("503", StatusCode::SERVICE_UNAVAILABLE, "transient"),
        ("500", StatusCode::BAD_REQUEST, "value"),
    ] {
        for path in [SEARCH, READ] {
            let answer = api.send(ask(path, fault)).await;
            assert_eq!(answer.status, status, "{fault}: {}", answer.text());
            assert_eq!(answer.json()["issue"][0]["code"], code);
            assert!(!answer.header("x-request-id").is_empty());
            let wait: Option<u64> = answer.header("retry-after").parse().ok();
            assert_eq!(wait.is_some(), fault != "500", "{fault}");
        }
    }

    let began = Instant::now();
    let answer = api.send(ask(READ, "slow=700ms")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(began.elapsed() >= Duration::from_millis(700), "{:?}", began.elapsed());

    // A resource is announced with its length, a rewritten Bundle comes in chunks: both end before their end.
    let whole = api.get(READ, &token).await.body.len() as u64;
    let answer = ask(READ, "truncate").send().await.unwrap();
    assert_eq!((answer.status(), answer.content_length()), (StatusCode::OK, Some(whole)));
    assert!(answer.bytes().await.is_err());
    let answer = ask(SEARCH, "truncate").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.bytes().await.is_err());

    // Nothing stays of it.
    assert_eq!(api.get(SEARCH, &token).await.status, StatusCode::OK);
    assert_eq!(api.get(READ, &token).await.body.len() as u64, whole);
}

#[tokio::test]
async fn outside_a_sandbox_nobody_can_ask_for_a_fault() {
    let mut program = Program::serve().await;
    let client = program.industry("ORG-100000001", &[]);
    program.kill_and_restart(&[("PMSGATE__SANDBOX", "false")]).await;
    let api = program.api();
    let token = api.token(&client).await;
    for fault in ["429", "503", "slow=30s", "truncate", "nonsense"] {
        let began = Instant::now();
        let request = api.request("GET", READ).bearer_auth(&token).header("X-Sandbox-Fault", fault);
        let answer = api.send(request).await;
        assert_eq!(answer.status, StatusCode::OK, "{fault}: {}", answer.text());
        assert!(began.elapsed() < Duration::from_secs(10), "{fault}");
    }
    let document = api.send(api.request("GET", "/pms/api/v3/openapi.json")).await;
    assert!(!document.text().contains("X-Sandbox-Fault"));
}

#[tokio::test]
async fn a_slow_answer_is_given_up_by_the_gateway_when_its_patience_ends() {
    let program = Program::serve_with(Store::Sqlite, &[("PMSGATE__GATEWAY__ANSWER_TIMEOUT", "1s")]).await;
    let api = program.api();
    let token = api.token(&program.industry("ORG-100000001", &[])).await;
    let request = api.request("GET", READ).bearer_auth(&token).header("X-Sandbox-Fault", "slow=30s");
    let answer = api.send(request).await;
    assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT, "{}", answer.text());
}
