//! API credentials in the whole house: from the request in a browser to the product and to the successor; rotation under
//! load and by the machine's own script; nothing of it in the log.

use std::{
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use harness::{ApiClient, Browser, Credentials, Driver, Program};
use http::StatusCode;
use serde_json::Value;
use tokio::sync::watch;

use crate::portal_in_a_browser::{open_mail, signed_in};

const PRODUCTS: &str = "/pms/api/v3/MedicinalProductDefinition";
const PRODUCT: &str = "/pms/api/v3/MedicinalProductDefinition/600000900001";
/// Its authorisation is pending: only its own organisation and authorities see it.
const PENDING_OF_FIRST: &str = "600000900020";
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

/// A fact of a text.
fn fact(text: &str, name: &str) -> String {
    let start = format!("{name}: ");
    let line = text.lines().find_map(|line| line.trim().strip_prefix(&start));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
}

/// The text of the first snippet of the page that has these words.
async fn snippet(browser: &Browser, words: &str) -> String {
    let label = format!("pre[aria-label='{words}']");
    browser.text_of(&label).await
}

/// Runs the script of the client's page as cron does. Whether it did its work.
fn run_script(script: &str, folder: &Path, ca_file: &Path) -> bool {
    let (path, secret) = (folder.join("rotate.sh"), folder.join("client_secret"));
    std::fs::write(&path, script).unwrap();
    Command::new("sh")
        .arg(path)
        .arg(secret)
        .env("CURL_CA_BUNDLE", ca_file)
        .output()
        .map(|output| {
            if !output.status.success() {
                println!("{}", String::from_utf8_lossy(&output.stderr));
            }
            output.status.success()
        })
        .unwrap()
}

#[tokio::test]
async fn from_the_request_to_the_product_and_to_the_successor() {
    let Some(driver) = Driver::start() else { return };
    let settings = [("PMSGATE__TELEMETRY__LOG", "debug"), ("PMSGATE__TELEMETRY__ACCESS_LOG", "true")];
    let program = Program::serve_with(harness::Store::Sqlite, &settings).await;
    let api = program.api();

    // A reader of public data.
    let reader = signed_in(&driver, &program, "carl.roe@reader.example", &[]).await;
    reader.follow("Manage access").await;
    reader.follow("Request Public API access PMS").await;
    reader.press("Next").await;
    reader.says("Check the user agreement to go on.").await;
    reader.tick("User agreement").await;
    reader.press("Next").await;
    reader.says("approved by the system at once").await;
    open_mail(&reader, "Your API credentials: Public PMS API").await;
    let text = reader.text().await;
    let public_secret = fact(&text, "Client Secret");
    let token = api.token_for(&fact(&text, "Client Id"), &public_secret, &fact(&text, "Scope")).await;
    let product = api.get("/public/v1/MedicinalProductDefinition/600000900001", &token).await;
    assert_eq!(product.status, StatusCode::OK, "{}", product.text());
    assert_eq!(api.get(PRODUCT, &token).await.status, StatusCode::UNAUTHORIZED);
    reader.close().await;

    // An administrator of an organisation.
    let role = ["iris-industry-admin@ORG-100000001"];
    let admin = signed_in(&driver, &program, "ana.silva@aurelia.example", &role).await;
    admin.open("/portal/access").await;
    admin.screenshot("manage-access").await;
    admin.follow("Request API access").await;
    admin.screenshot("api-terms").await;
    admin.tick("User agreement").await;
    admin.press("Next").await;
    admin.fill("contact", "info@aurelia.example").await;
    admin.press("Submit").await;
    admin.says("generic mailbox").await;
    admin.fill("contact", "ana.silva@aurelia.example").await;
    admin.fill("label", "ERP link").await;
    admin.tick("Qualified").await;
    admin.screenshot("api-form").await;
    admin.press("Submit").await;
    admin.says("PMS API: PMS Industry API for ORG-100000001").await;
    open_mail(&admin, "Your API credentials: PMS Industry API").await;
    let text = admin.text().await;
    let (id, old, scope) = (fact(&text, "Client Id"), fact(&text, "Client Secret"), fact(&text, "Scope"));
    admin.screenshot("credentials-mail").await;
    let own = api.token_for(&id, &old, &scope).await;
    let pending = format!("{PRODUCTS}/{PENDING_OF_FIRST}");
    assert_eq!(api.get(&pending, &own).await.status, StatusCode::OK, "what is pending is its own");
    let stranger = api.token(&program.industry("ORG-100000002", &[])).await;
    assert_eq!(api.get(&pending, &stranger).await.status, StatusCode::NOT_FOUND);

    // Its page, on a phone and on a wide screen.
    let path = format!("/portal/clients/{id}");
    for page in [
        "/portal/access",
        "/portal/clients",
        "/portal/api-services",
        "/portal/api-access",
        &path,
        &format!("{path}/rotate"),
        &format!("{path}/end"),
    ] {
        admin.open(page).await;
        for width in [360, 1600] {
            admin.resize(width, 900).await;
            assert!(!admin.overflows().await, "{page} is wider than {width}");
        }
        admin.resize(1100, 1200).await;
    }
    admin.open(&path).await;
    admin.screenshot("client").await;
    let script = snippet(&admin, "Shell script").await;

    // Rotation: both work; the successor's first use is told.
    admin.follow("Rotate").await;
    admin.press("Make a new secret").await;
    admin.says("This is shown once").await;
    let new = snippet(&admin, "Client Secret").await.trim().to_owned();
    assert_eq!(new.len(), 53);
    for secret in [&old, &new] {
        let token = api.token_for(&id, secret, &scope).await;
        assert_eq!(api.get(PRODUCT, &token).await.status, StatusCode::OK);
    }
    open_mail(&admin, "The new client secret is in use: you may drop the old one").await;

    // The machine rotates by itself, with the script of the page: the oldest of three retires.
    let folder = program.data_dir();
    std::fs::write(folder.join("client_secret"), &new).unwrap();
    assert!(run_script(&script, &folder, program.ready.ca_file.as_deref().unwrap()));
    let newest = std::fs::read_to_string(folder.join("client_secret")).unwrap();
    assert_ne!(newest, new);
    for secret in [&new, &newest] {
        api.token_for(&id, secret, &scope).await;
    }
    let form =
        [("grant_type", "client_credentials"), ("client_id", id.as_str()), ("client_secret", old.as_str())];
    let refused = api.ask_token(&form).await;
    assert!(refused.text().contains("was replaced and retired"), "{}", refused.text());
    // With a secret that is over the script changes nothing.
    std::fs::write(folder.join("client_secret"), &old).unwrap();
    assert!(!run_script(&script, &folder, program.ready.ca_file.as_deref().unwrap()));
    assert_eq!(std::fs::read_to_string(folder.join("client_secret")).unwrap(), old);

    // Suspended in the portal: refused at the gateway within a second; and it goes on.
    let token = api.token_for(&id, &newest, &scope).await;
    admin.open(&path).await;
    for (button, status) in [("Suspend", StatusCode::UNAUTHORIZED), ("Resume", StatusCode::OK)] {
        admin.press(button).await;
        let from = std::time::Instant::now();
        while api.get(PRODUCT, &token).await.status != status {
            assert!(from.elapsed() < Duration::from_secs(1), "{button} is not in force after a second");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    // The Service Desk renews by mail.
    admin.open("/portal/api-services").await;
    admin.press("Submit").await;
    admin.says("Request SPOR API Services: PMS for ORG-100000001").await;
    admin.screenshot("api-requests").await;
    admin.close().await;

    let log = std::fs::read_to_string(program.data_dir().with_file_name("server.log")).unwrap();
    assert!(log.contains("/portal/clients/"), "requests are logged here");
    let mailed: Vec<Value> = std::fs::read_dir(program.data_dir().join("mail"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "json"))
        .map(|path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
        .collect();
    let mut secrets = vec![public_secret, old, new, newest];
    for mail in &mailed {
        let text = mail["text"].as_str().unwrap();
        secrets
            .extend(text.lines().filter_map(|line| line.strip_prefix("Client Secret: ")).map(str::to_owned));
    }
    for secret in secrets {
        assert!(!log.contains(&secret[4..]), "the log has a secret");
    }
}
