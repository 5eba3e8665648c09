//! API credentials in the whole house: rotation under load, and what tokens of the administration do not open.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use harness::{ApiClient, Credentials, Program};
use http::StatusCode;
use tokio::sync::watch;

const PRODUCTS: &str = "/pms/api/v3/MedicinalProductDefinition";
const PRODUCT: &str = "/pms/api/v3/MedicinalProductDefinition/600000900001";
const ROTATIONS: u64 = 100;
const ASKERS: usize = 4;

/// A new secret for a client, with its own token; the answer as credentials.
async fn rotate(api: &ApiClient, client: &Credentials) -> Credentials {
    let token = api.token_for(&client.client_id, &client.client_secret, "client.rotate").await;
    let answer = api.send(api.request("POST", "/api/v1/client/secrets").bearer_auth(token)).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    serde_json::from_value(answer.json()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_rotations_under_a_stream_of_token_requests_refuse_nobody() {
    for store in Program::stores() {
        let program = Program::serve_with(store, &[]).await;
        let api = program.api();
        let first = program.industry("ORG-100000001", &[]);
        let (newest, known) = watch::channel(first.clone());
        let (over, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut askers = Vec::new();
        // When each asker last began a request with the newest secret that it knew, as a number of rotations.
        let mut rounds = Vec::new();
        for _ in 0..ASKERS {
            let round = Arc::new(AtomicU64::new(0));
            rounds.push(Arc::clone(&round));
            let (api, known, over, asked) =
                (api.clone(), known.clone(), Arc::clone(&over), Arc::clone(&asked));
            askers.push(tokio::spawn(async move {
                while !over.load(Ordering::Acquire) {
                    let client = known.borrow().clone();
                    let answer = api
                        .ask_token(&[
                            ("grant_type", "client_credentials"),
                            ("client_id", &client.client_id),
                            ("client_secret", &client.client_secret),
                        ])
                        .await;
                    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
                    asked.fetch_add(1, Ordering::AcqRel);
                    round.fetch_add(1, Ordering::AcqRel);
                }
            }));
        }
        let mut client = first;
        for _ in 0..ROTATIONS {
            client = rotate(&api, &client).await;
            newest.send(client.clone()).unwrap();
            // A client does not rotate twice while a request of its own is on its way with the secret before last.
            let before: Vec<u64> = rounds.iter().map(|round| round.load(Ordering::Acquire)).collect();
            while rounds.iter().zip(&before).any(|(round, before)| round.load(Ordering::Acquire) == *before) {
                assert!(!askers.iter().any(tokio::task::JoinHandle::is_finished), "a request was refused");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        over.store(true, Ordering::Release);
        for asker in askers {
            asker.await.unwrap();
        }
        assert!(asked.load(Ordering::Acquire) >= ROTATIONS * ASKERS as u64);
        let shown = program.result(&["client", "show", &client.client_id]);
        let secrets = shown["secrets"].as_array().unwrap();
        assert_eq!(secrets.len() as u64, ROTATIONS + 1);
        assert_eq!(secrets.iter().filter(|secret| secret["status"] == "live").count(), 2);
    }
}

#[tokio::test]
async fn a_token_for_rotation_opens_no_product() {
    let program = Program::serve().await;
    let (api, client) = (program.api(), program.industry("ORG-100000001", &[]));
    let token = api.token_for(&client.client_id, &client.client_secret, "client.rotate").await;
    for path in [PRODUCT, PRODUCTS, "/public/v1/MedicinalProductDefinition/600000900001"] {
        assert_eq!(api.get(path, &token).await.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    let operator = program.create_client(&["--role", "operator"]);
    let token = api.token(&operator).await;
    assert_eq!(api.get(PRODUCT, &token).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(api.get("/api/v1/clients", &token).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_command_says_which_secret_a_third_one_ended() {
    for store in Program::stores() {
        let program = Program::serve_with(store, &[]).await;
        let client = program.industry("ORG-100000001", &[]);
        let rotate = |options: &[&str]| {
            let answer = program.result(&[&["client", "rotate", &client.client_id], options].concat());
            let ended = answer["ended"].as_array().unwrap();
            ended.iter().map(|one| one["secret_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(rotate(&[]), [""; 0]);
        assert_eq!(rotate(&[]), [client.secret_id.as_str()]);
        assert_eq!(rotate(&["--immediately", "--reason", "it was in a ticket"]).len(), 2);
        let trail = program.run(&["audit", "export"]).stdout;
        assert_eq!(trail.matches("it was in a ticket").count(), 1, "{trail}");
        let shown = program.result(&["client", "show", &client.client_id]);
        let live = shown["secrets"].as_array().unwrap().iter().filter(|one| one["status"] == "live");
        assert_eq!(live.count(), 1, "{shown}");
    }
}
