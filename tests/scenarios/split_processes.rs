//! Authorization server, gateway and backend as three processes with folders of their own: a sandbox's clock moves in all
//! of them.

use std::time::{Duration, Instant};

use harness::{Answer, ApiClient, Credentials, Program};

const PRODUCT: &str = "/pms/api/v3/MedicinalProductDefinition/600000900001";
/// A moved clock is in force within a second; a busy machine gets more.
const SOON: Duration = Duration::from_secs(3);

/// Asks until the answer has this status.
async fn becomes(api: &ApiClient, token: &str, status: u16) {
    let begun = Instant::now();
    loop {
        let answer = api.get(PRODUCT, token).await;
        if answer.status == status {
            return;
        }
        assert!(begun.elapsed() < SOON, "not {status} but {}: {}", answer.status, answer.text());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn ask(authz: &Program, client: &Credentials) -> Answer {
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", client.client_id.as_str()),
        ("client_secret", client.client_secret.as_str()),
        ("scope", client.scope.as_str()),
    ];
    authz.api().ask_token(&form).await
}

/// Asks with tokens as they are given now, until one opens the product; answers that one.
async fn serves(gateway: &ApiClient, authz: &Program, client: &Credentials) -> String {
    let begun = Instant::now();
    loop {
        let answer = ask(authz, client).await;
        if answer.status == 200 {
            let token = answer.json()["access_token"].as_str().unwrap().to_owned();
            let answer = gateway.get(PRODUCT, &token).await;
            if answer.status == 200 {
                return token;
            }
            assert!(begun.elapsed() < SOON, "{}", answer.text());
        }
        assert!(begun.elapsed() < SOON, "{}", answer.text());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_sandbox_of_three_processes_travels_as_one() {
    let mut authz = Program::serve_part("authz", None, &[]).await;
    let backend = Program::serve_part("backend", Some(&authz), &[]).await;
    let backend_url = [("PMSGATE__GATEWAY__BACKEND_URL", backend.ready.base_url.as_str())];
    let gateway = Program::serve_part("gateway", Some(&authz), &backend_url).await;
    let client = authz.industry("ORG-100000001", &[]);
    let api = gateway.api();
    let old = serves(&api, &authz, &client).await;

    // What the gateway signs for the backend holds for seconds: the backend takes it only if its clock moved as well.
    authz.result(&["clock", "set", "+729d"]);
    becomes(&api, &old, 401).await;
    serves(&api, &authz, &client).await;

    authz.result(&["clock", "set", "+731d"]);
    let begun = Instant::now();
    loop {
        let answer = ask(&authz, &client).await;
        if answer.status == 401 {
            assert!(answer.text().contains("expired"), "{}", answer.text());
            break;
        }
        assert!(begun.elapsed() < SOON, "the secret does not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    // Nobody answers: the others say that they do not follow, and catch up when somebody does again.
    authz.kill();
    authz.result(&["clock", "set", "+10d"]);
    let begun = Instant::now();
    for part in [&gateway, &backend] {
        while !part.log().contains("the sandbox's clock is not followed") {
            assert!(begun.elapsed() < SOON, "nothing is said: {}", part.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    authz.kill_and_restart(&[]).await;
    serves(&api, &authz, &client).await;

    authz.result(&["clock", "reset"]);
    serves(&api, &authz, &client).await;
}
