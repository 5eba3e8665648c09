//! Guessing is slowed down, and nobody else.

use http::StatusCode;
use time::Duration;

use crate::harness::{DEFAULT_SCOPE, TestAuthz, form_request, token_body};

fn guess(id: &str) -> String {
    format!("grant_type=client_credentials&client_id={id}&client_secret=guess")
}

#[tokio::test]
async fn repeated_failures_of_a_client_must_wait() {
    let authz = TestAuthz::start().await;
    let credentials = authz.industry_client().await;
    let id = credentials.client_id.as_str();
    let mut statuses = Vec::new();
    for _ in 0..12 {
        statuses.push(authz.post("/oauth2/token", &guess(id)).await.status.as_u16());
    }
    assert_eq!(statuses[..10], [401; 10]);
    assert_eq!(statuses[10..], [429; 2]);
    let waiting = authz.token(&credentials, DEFAULT_SCOPE).await;
    assert_eq!(waiting.verdict(), (429, "temporarily_unavailable".to_owned()));
    assert_eq!(waiting.header("retry-after"), "1");
    let elsewhere = form_request("/oauth2/token", &token_body(&credentials, DEFAULT_SCOPE));
    assert_eq!(
        authz.send_from("198.51.100.1:1", elsewhere).await.status,
        200,
        "another address is not slowed"
    );
    authz.clock.advance(Duration::seconds(1));
    authz.token(&credentials, DEFAULT_SCOPE).await.access_token();
    assert_eq!(authz.post("/oauth2/token", &guess(id)).await.status, 401, "a success forgives");
}

#[tokio::test]
async fn an_address_that_guesses_does_not_stop_the_others_behind_it() {
    let authz = TestAuthz::start().await;
    let credentials = authz.industry_client().await;
    let mut refused = 0;
    for n in 0..100 {
        let answer = authz.post("/oauth2/token", &guess(&format!("guess-{n}"))).await;
        refused += usize::from(answer.status == StatusCode::TOO_MANY_REQUESTS);
    }
    assert!(refused > 0);
    authz.token(&credentials, DEFAULT_SCOPE).await.access_token();
}

#[tokio::test]
async fn an_unknown_client_is_slowed_like_a_known_one() {
    let authz = TestAuthz::start().await;
    let credentials = authz.industry_client().await;
    let mut statuses = Vec::new();
    for (id, address) in [(credentials.client_id.as_str(), "192.0.2.7:1"), ("nobody", "192.0.2.8:1")] {
        let mut seen = Vec::new();
        for _ in 0..15 {
            seen.push(authz.send_from(address, form_request("/oauth2/token", &guess(id))).await.status);
        }
        statuses.push(seen);
    }
    assert_eq!(statuses[0], statuses[1]);
}
