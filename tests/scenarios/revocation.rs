//! What the command line ends is ended at the gateway within a second, while the server runs.

use std::time::{Duration, Instant};

use harness::{ApiClient, Program};
use http::StatusCode;

const PRODUCT: &str = "/pms/api/v3/MedicinalProductDefinition/600000900001";

/// The contract's promise.
const IN_FORCE: Duration = Duration::from_secs(1);

/// Asks until the gateway's answer is `status`; how long that took since `from`. A deadline keeps a broken promise
/// from hanging the test.
async fn until(api: &ApiClient, token: &str, status: StatusCode, from: Instant) -> Duration {
    loop {
        let answer = api.get(PRODUCT, token).await;
        if answer.status == status {
            return from.elapsed();
        }
        assert!(from.elapsed() < 10 * IN_FORCE, "still {} instead of {status}", answer.status);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_suspended_client_s_tokens_stop_within_a_second_and_work_again_when_it_is_resumed() {
    for store in Program::stores() {
        let program = Program::serve_with(store, &[]).await;
        let (api, client) = (program.api(), program.industry("ORG-100000001", &[]));
        let token = api.token(&client).await;
        assert_eq!(api.get(PRODUCT, &token).await.status, StatusCode::OK);

        let suspended = program.result(&["client", "suspend", &client.client_id]);
        assert_eq!(suspended["status"], "suspended");
        let took = until(&api, &token, StatusCode::UNAUTHORIZED, Instant::now()).await;
        assert!(took < IN_FORCE, "{store:?}: {took:?}");
        let refused = api.get(PRODUCT, &token).await;
        assert!(refused.header("www-authenticate").contains("invalid_token"), "{:?}", refused.headers);
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", client.client_id.as_str()),
            ("client_secret", client.client_secret.as_str()),
        ];
        let answer = api.ask_token(&form).await;
        assert_eq!(answer.json()["error"], "invalid_client", "{}", answer.text());
        assert!(
            answer.json()["error_description"].as_str().unwrap().contains("suspended"),
            "{}",
            answer.text()
        );

        program.result(&["client", "resume", &client.client_id]);
        let took = until(&api, &token, StatusCode::OK, Instant::now()).await;
        assert!(took < IN_FORCE, "{store:?}: {took:?}");
    }
}

#[tokio::test]
async fn a_revoked_client_is_gone_for_good() {
    let program = Program::serve().await;
    let (api, client) = (program.api(), program.industry("ORG-100000001", &[]));
    let token = api.token(&client).await;
    assert_eq!(api.get(PRODUCT, &token).await.status, StatusCode::OK);
    program.result(&["client", "revoke", &client.client_id]);
    let took = until(&api, &token, StatusCode::UNAUTHORIZED, Instant::now()).await;
    assert!(took < IN_FORCE, "{took:?}");
    let outcome = program.run(&["client", "resume", &client.client_id]);
    assert_eq!(outcome.code, Some(1));
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
}

#[tokio::test]
async fn immediate_rotation_ends_the_old_secret_and_its_tokens_and_leaves_the_new_one_working() {
    for store in Program::stores() {
        let program = Program::serve_with(store, &[]).await;
        let (api, old) = (program.api(), program.industry("ORG-100000001", &[]));
        let old_token = api.token(&old).await;
        assert_eq!(api.get(PRODUCT, &old_token).await.status, StatusCode::OK);

        let rotated = program.result(&["client", "rotate", &old.client_id, "--immediately"]);
        let from = Instant::now();
        let new: harness::Credentials = serde_json::from_value(rotated).unwrap();
        assert_eq!(new.client_id, old.client_id);
        assert_ne!(new.client_secret, old.client_secret);
        let took = until(&api, &old_token, StatusCode::UNAUTHORIZED, from).await;
        assert!(took < IN_FORCE, "{store:?}: {took:?}");
        let new_token = api.token(&new).await;
        assert_eq!(api.get(PRODUCT, &new_token).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn ordinary_rotation_leaves_both_secrets_working() {
    let program = Program::serve().await;
    let (api, old) = (program.api(), program.industry("ORG-100000001", &[]));
    let rotated = program.result(&["client", "rotate", &old.client_id]);
    let new: harness::Credentials = serde_json::from_value(rotated).unwrap();
    for credentials in [&old, &new] {
        let token = api.token(credentials).await;
        assert_eq!(api.get(PRODUCT, &token).await.status, StatusCode::OK);
    }
    let shown = program.result(&["client", "show", &old.client_id]);
    assert_eq!(shown["secrets"].as_array().map(Vec::len), Some(2), "{shown}");
    assert!(!shown.to_string().contains(&old.client_secret));
}

#[tokio::test]
async fn a_revoked_token_is_refused_and_others_of_the_client_are_not() {
    let program = Program::serve().await;
    let (api, client) = (program.api(), program.industry("ORG-100000001", &[]));
    let (first, second) = (api.token(&client).await, api.token(&client).await);
    let revoke = api
        .request("POST", "/oauth2/revoke")
        .basic_auth(&client.client_id, Some(&client.client_secret))
        .form(&[("token", first.as_str())]);
    assert_eq!(api.send(revoke).await.status, StatusCode::OK);
    until(&api, &first, StatusCode::UNAUTHORIZED, Instant::now()).await;
    assert_eq!(api.get(PRODUCT, &second).await.status, StatusCode::OK);

    let introspect = |token: String| {
        let request = api
            .request("POST", "/oauth2/introspect")
            .basic_auth(&client.client_id, Some(&client.client_secret))
            .form(&[("token", token)]);
        api.send(request)
    };
    assert_eq!(introspect(first).await.json()["active"], false);
    assert_eq!(introspect(second).await.json()["active"], true);
}

#[tokio::test]
async fn a_revocation_outlives_a_crash_of_the_server() {
    let mut program = Program::serve().await;
    let client = program.industry("ORG-100000001", &[]);
    let token = program.api().token(&client).await;
    program.kill();
    program.result(&["client", "suspend", &client.client_id]);
    program.kill_and_restart(&[]).await;
    assert_eq!(program.api().get(PRODUCT, &token).await.status, StatusCode::UNAUTHORIZED);
}
