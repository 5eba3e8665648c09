//! Time travel: a sandbox meets the end of a secret today, and comes back.

use std::time::{Duration, Instant};

use harness::{Answer, ApiClient, Credentials, Program, data_folder_command};
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
