//! Time travel: a sandbox meets the end of a secret today, and comes back.

use std::time::{Duration, Instant};

use harness::{Answer, ApiClient, Credentials, Driver, Program, data_folder_command};
use serde_json::Value;

/// A moved clock is in force within a second; a busy machine gets another one.
const SOON: Duration = Duration::from_secs(2);

/// Every mail to somebody in the development mailbox's folder, oldest first.
pub(crate) fn mails(program: &Program, to: &str) -> Vec<Value> {
    let Ok(folder) = std::fs::read_dir(program.data_dir().join("mail")) else { return Vec::new() };
    let mut files: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|kind| kind == "json"));
    files.sort();
    files
        .iter()
        .map(|path| serde_json::from_slice::<Value>(&std::fs::read(path).unwrap()).unwrap())
        .filter(|mail| mail["to"] == to)
        .collect()
}

/// Waits until somebody has so many mails, and takes care that there are no more.
pub(crate) async fn has_mails(program: &Program, to: &str, count: usize) -> Vec<Value> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while mails(program, to).len() < count {
        assert!(Instant::now() < deadline, "{} of {count} mails to {to}", mails(program, to).len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    let found = mails(program, to);
    assert_eq!(found.len(), count, "{found:?}");
    found
}

async fn ask(api: &ApiClient, credentials: &Credentials, secret: &str) -> Answer {
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", credentials.client_id.as_str()),
        ("client_secret", secret),
        ("scope", credentials.scope.as_str()),
    ];
    api.ask_token(&form).await
}

/// Asks until the answer has this status; how long it took.
async fn becomes(api: &ApiClient, credentials: &Credentials, status: u16) -> Answer {
    let begun = Instant::now();
    loop {
        let answer = ask(api, credentials, &credentials.client_secret).await;
        if answer.status == status {
            assert!(begun.elapsed() < SOON, "it took {:?}", begun.elapsed());
            return answer;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{}", answer.text());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_sandbox_travels_to_the_end_of_a_secret_and_back() {
    for store in Program::stores() {
        let program = Program::serve_with(store, &[]).await;
        let options = ["--contact", "team@tests.example", "--label", "ERP link"];
        let client = program.industry("ORG-100000001", &options);
        let api = program.api();
        let token = api.token(&client).await;
        let search = "/pms/api/v3/MedicinalProductDefinition?_count=1";
        assert_eq!(api.get(search, &token).await.status, 200);
        assert_eq!(program.result(&["clock", "show"])["offset"], "+0d");

        let moved = program.result(&["clock", "set", "+729d"]);
        assert_eq!((moved["offset"].as_str(), moved["moved_by"].as_str()), (Some("+729d"), Some("command")));
        let mails = has_mails(&program, "team@tests.example", 1).await;
        // Two calendar years have 730 or 731 days.
        let subject = mails[0]["subject"].as_str().unwrap();
        assert!(["tomorrow", "in 2 days"].iter().any(|left| subject.ends_with(left)), "{subject}");
        becomes(&api, &client, 200).await;
        let expiring = program.result(&["credentials", "expiring", "--within", "2d"]);
        let row =
            expiring.as_array().unwrap().iter().find(|row| row["client_id"] == client.client_id.as_str());
        assert_eq!(row.unwrap()["reminders"].as_array().unwrap().len(), 1);

        program.result(&["clock", "set", "+731d"]);
        let refused = becomes(&api, &client, 401).await.json();
        assert_eq!(refused["error"], "invalid_client");
        let description = refused["error_description"].as_str().unwrap();
        assert!(description.contains("expired"), "{description}");
        let stranger = ask(&api, &client, "pms_wrong").await.json();
        assert!(!stranger["error_description"].as_str().unwrap().contains("expired"), "{stranger}");
        assert_eq!(api.get(search, &token).await.status, 401, "the gateway's clock moved with it");
        let mails = has_mails(&program, "team@tests.example", 2).await;
        assert_eq!(mails[1]["subject"], "API secret of ERP link has expired");

        assert_eq!(program.result(&["clock", "reset"])["moved_by"], Value::Null);
        becomes(&api, &client, 200).await;
        let begun = Instant::now();
        loop {
            let token = api.token(&client).await;
            let answer = api.get(search, &token).await;
            if answer.status == 200 {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "reset does not heal: {}", answer.text());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        has_mails(&program, "team@tests.example", 2).await;
        assert_eq!(program.result(&["audit", "verify"])["broken"], Value::Null);
    }
}

#[tokio::test]
async fn production_has_no_clock_to_move() {
    let folder = tempfile::tempdir().unwrap();
    let mut production: Vec<(String, String)> = [
        ("PMSGATE__ENVIRONMENT", "production"),
        ("PMSGATE__LISTEN__TLS", "off"),
        ("PMSGATE__LISTEN__BASE_URL", "https://pms.tests.example"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    let run = |environment: &[(String, String)], arguments: &[&str]| {
        let output =
            data_folder_command(&folder.path().join("data"), environment).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for arguments in [&["clock", "set", "+1d"][..], &["clock", "reset"]] {
        let (code, said) = run(&production, arguments);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.lines().count() == 1 && said.contains("sandbox"), "{said}");
    }
    production.push(("PMSGATE__SANDBOX".to_owned(), "true".to_owned()));
    let (code, said) = run(&production, &["clock", "show"]);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("not allowed in production"), "{said}");
}

#[tokio::test]
async fn clock_forward_reminder_refusal_and_renewal_in_a_browser() {
    let Some(driver) = Driver::start() else { return };
    let program = Program::serve().await;
    let email = "ana.silva@fable.example";
    let password = program.data_dir().join("password");
    std::fs::write(&password, "correct Horse 9 staple").unwrap();
    let mut arguments =
        vec!["account", "create", "--email", email, "--first-name", "Ana", "--last-name", "Silva"];
    arguments.extend([
        "--role",
        "iris-industry-admin@ORG-100000001",
        "--password-file",
        password.to_str().unwrap(),
    ]);
    program.result(&arguments);
    let client = program.industry("ORG-100000001", &["--label", "ERP link"]);
    let api = program.api();
    api.token(&client).await;
    program.result(&["clock", "set", "+729d"]);
    // The demo client ends as well.
    let mails = has_mails(&program, email, 2).await;
    let subject = |mail: &Value| mail["subject"].as_str().unwrap().to_owned();
    let subject = mails.iter().map(subject).find(|subject| subject.contains("ERP link")).unwrap();
    let browser = driver.browser(&program.ready.base_url).await;
    browser.open("/portal/mailbox").await;
    browser.follow(&subject).await;
    browser.says(&client.client_id).await;
    browser.says("/api/v1/client/secrets").await;
    browser.screenshot("expiry-reminder").await;

    program.result(&["clock", "set", "+731d"]);
    let refused = becomes(&api, &client, 401).await.json();
    assert!(refused["error_description"].as_str().unwrap().contains("expired"), "{refused}");

    browser.open("/portal/sign-in").await;
    browser.fill("name", email).await;
    browser.fill("password", "correct Horse 9 staple").await;
    browser.press("Sign in").await;
    browser.open("/portal/expiring").await;
    browser.says("ERP link").await;
    browser.says("expired").await;
    browser.screenshot("expiring").await;
    browser.open("/portal/notifications").await;
    browser.press("Make a calendar address").await;
    browser.says("calendar.ics?key=").await;
    browser.open(&format!("/portal/clients/{}/rotate", client.client_id)).await;
    browser.press("Make a new secret").await;
    let text = browser.text().await;
    let new = text.split_whitespace().find(|word| word.starts_with("pms_") && word.len() == 53);
    let new = new.unwrap_or_else(|| panic!("no new secret on: {text}"));
    let answer = ask(&api, &client, new).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    browser.close().await;
}
