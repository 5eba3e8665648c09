//! `kill -9` in the middle of submissions and rotations in the portal: after it, each is there with everything that
//! belongs to it, or not at all.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use harness::{Credentials, Program, Store, Visitor};
use serde_json::Value;

use crate::{clock_travel::mails, portal_in_a_browser::PASSWORD};

const ADMIN: &str = "ana.silva@fable.example";
const NEWCOMER: &str = "ben.okoye@fable.example";
const REVIEWER: &str = "grace.hall@agency.example";
const LETTER: &[u8] = b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n";
/// Between sending and the end, in milliseconds: in the last round everything is over by then, and before it anything.
const WAITS: [u64; 7] = [0, 8, 15, 25, 40, 60, 1500];

/// Opens an account with a password.
fn account(program: &Program, email: &str, role: &[&str]) {
    let password = program.data_dir().join("password");
    std::fs::write(&password, PASSWORD).unwrap();
    let named = ["account", "create", "--email", email, "--first-name", "Ana", "--last-name", "Silva"];
    program.result(&[&named[..], role, &["--password-file", password.to_str().unwrap()]].concat());
}

/// What one round began.
struct Round {
    /// The organisation whose Admin the newcomer asks to be.
    organisation: String,
    /// The draft of that.
    role_request: String,
    /// The request for credentials.
    access_request: String,
    /// Whom its mail goes to.
    contact: String,
}

/// The records of the trail, as act and subject, with how many there are of each.
fn trail(program: &Program) -> BTreeMap<(String, String), usize> {
    let export = program.run(&["audit", "export"]);
    assert_eq!(export.code, Some(0), "{}", export.stderr);
    let mut counts = BTreeMap::new();
    for line in export.stdout.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let word = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
        *counts.entry((word("act"), word("subject"))).or_default() += 1;
    }
    counts
}

/// Prepares one of each up to its last form, sends the three at once, and kills the server so long after that.
async fn interrupted(
    program: &mut Program,
    (admin, newcomer): (&mut Visitor, &mut Visitor),
    rotated: &Credentials,
    (number, wait): (usize, u64),
) -> Round {
    let organisation = format!("ORG-10000070{number}");
    newcomer.open("/portal/requests/new").await;
    newcomer.post("/portal/requests/new", &[("application", "iris-plm")]).await;
    let role_request = newcomer.path.split('/').nth(3).unwrap().to_owned();
    let path = format!("/portal/requests/{role_request}");
    let chosen = [("organisation", organisation.as_str()), ("do", "choose")];
    newcomer.post(&format!("{path}/organisation"), &chosen).await;
    newcomer.post(&format!("{path}/roles"), &[("role", "iris-industry-admin")]).await;
    let recap = format!("{path}/recap");
    newcomer.post_file(&recap, &[("comment", ""), ("do", "attach")], "letter.pdf", LETTER).await;
    assert!(newcomer.page.contains("letter.pdf"), "{}", newcomer.page);
    let submission = newcomer.form(&recap, &[("comment", "please"), ("do", "submit")]);

    admin.open("/portal/api-access").await;
    admin.post("/portal/api-access", &[("terms", "yes"), ("do", "next")]).await;
    let access_request = admin.path.split('/').nth(3).unwrap().to_owned();
    let contact = format!("team.{number}@fable.example");
    let label = format!("crash {number}");
    let access = admin.form(
        &admin.path,
        &[
            ("application", "IRIS PLM"),
            ("organisation", "ORG-100000001"),
            ("contact", &contact),
            ("role", "pms-industry-api"),
            ("label", &label),
            ("domain", "human"),
            ("access", "all"),
        ],
    );

    let rotate = format!("/portal/clients/{}/rotate", rotated.client_id);
    admin.open(&rotate).await;
    let newest = admin.hidden("newest");
    let rotation = admin.form(&rotate, &[("newest", &newest), ("to", "mail"), ("sure", "yes")]);

    let sent = [submission, access, rotation].map(|request| tokio::spawn(request.send()));
    tokio::time::sleep(Duration::from_millis(wait)).await;
    program.kill();
    for one in sent {
        // Most are cut off, which is the point.
        let _ = one.await.unwrap();
    }
    Round { organisation, role_request, access_request, contact }
}

/// Whether a request for a role was handed in; everything that belongs to it is there, or nothing.
async fn role_was_requested(
    newcomer: &mut Visitor,
    round: &Round,
    trail: &BTreeMap<(String, String), usize>,
) -> bool {
    let path = format!("/portal/requests/{}", round.role_request);
    newcomer.open(&path).await;
    let submitted = newcomer.path == path;
    assert!(newcomer.page.contains("letter.pdf"), "{}", newcomer.page);
    assert!(newcomer.page.contains(&round.organisation), "{}", newcomer.page);
    assert_eq!(newcomer.page.contains("Waiting for a decision"), submitted, "{}", newcomer.page);
    let record = ("access_request.submitted".to_owned(), round.role_request.clone());
    assert_eq!(trail.get(&record).copied().unwrap_or_default(), usize::from(submitted));
    submitted
}

/// Whether credentials were requested; client, secret and records are there, or nothing.
async fn access_was_requested(
    admin: &mut Visitor,
    program: &Program,
    round: &Round,
    trail: &BTreeMap<(String, String), usize>,
) -> bool {
    admin.open(&format!("/portal/requests/{}", round.access_request)).await;
    let approved = admin.page.contains("Approved");
    let clients = program.result(&["client", "list"]);
    let made: Vec<&Value> =
        clients.as_array().unwrap().iter().filter(|one| one["contact"] == round.contact.as_str()).collect();
    assert_eq!(made.len(), usize::from(approved), "{made:?}");
    for act in ["access_request.submitted", "access_request.closed"] {
        let count = trail.get(&(act.to_owned(), round.access_request.clone())).copied().unwrap_or_default();
        assert_eq!(count, usize::from(approved), "{act}");
    }
    for client in made {
        assert_eq!(client["secrets"].as_array().unwrap().len(), 1, "{client}");
        assert!(admin.page.contains(client["client_id"].as_str().unwrap()), "{}", admin.page);
        for act in ["client.created", "secret.issued"] {
            let subject = client["client_id"].as_str().unwrap().to_owned();
            assert_eq!(trail.get(&(act.to_owned(), subject)), Some(&1), "{act}");
        }
    }
    approved
}

/// Waits until each of the mails is there; one that was under way when the server died may come twice.
async fn mails_come(program: &Program, to: &str, words: &str, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let mut subjects: Vec<String> = mails(program, to)
            .iter()
            .map(|mail| format!("{} {}", mail["subject"], mail["text"]))
            .filter(|text| text.contains(words))
            .collect();
        subjects.sort();
        subjects.dedup();
        if subjects.len() == count {
            return;
        }
        assert!(Instant::now() < deadline, "{words:?} to {to}: {} of {count}", subjects.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn whatever_is_killed_is_whole_or_absent(store: Store) {
    let mut program = Program::serve_with(store, &[]).await;
    let mut organisations = vec!["id,name,country,category".to_owned()];
    organisations.extend(
        (0..WAITS.len()).map(|number| format!("ORG-10000070{number},Crash Pharma {number},NL,industry")),
    );
    let csv = program.data_dir().join("crash.csv");
    std::fs::write(&csv, organisations.join("\n")).unwrap();
    program.result(&["organisation", "import", csv.to_str().unwrap()]);
    account(&program, ADMIN, &["--role", "iris-industry-admin@ORG-100000001"]);
    account(&program, NEWCOMER, &[]);
    account(&program, REVIEWER, &["--agency-admin"]);
    let rotated = program.industry("ORG-100000001", &["--contact", "rotated@fable.example"]);
    let (mut admin, mut newcomer) = (Visitor::new(program.api()), Visitor::new(program.api()));
    admin.sign_in(ADMIN, PASSWORD).await;
    newcomer.sign_in(NEWCOMER, PASSWORD).await;
    let (mut requested, mut issued, mut secrets) = (0, 0, 1);
    let mut rounds = Vec::new();
    for (number, wait) in WAITS.into_iter().enumerate() {
        let both = (&mut admin, &mut newcomer);
        let round = interrupted(&mut program, both, &rotated, (number, wait)).await;
        program.kill_and_restart(&[]).await;
        let trail = trail(&program);
        let role = role_was_requested(&mut newcomer, &round, &trail).await;
        let access = access_was_requested(&mut admin, &program, &round, &trail).await;
        requested += usize::from(role);
        issued += usize::from(access);

        let shown = program.result(&["client", "show", &rotated.client_id]);
        let all = shown["secrets"].as_array().unwrap();
        let record = ("secret.rotated".to_owned(), rotated.client_id.clone());
        assert_eq!(trail.get(&record).copied().unwrap_or_default(), all.len() - 1);
        let ending = all.iter().filter(|one| !one["retires_at"].is_null()).count();
        assert_eq!(ending, all.len() - 1, "each but the newest ends: {shown}");
        rounds.push((wait, role, access, all.len() > secrets));
        secrets = all.len();
        let verdict = program.result(&["audit", "verify"]);
        assert_eq!(verdict["broken"], Value::Null, "{verdict}");
    }
    println!("{store:?}: wait in ms, role requested, credentials requested, rotated: {rounds:?}");
    let last = rounds.last().unwrap();
    assert!(last.1 && last.2 && last.3, "in the last round all of it has time");

    // A message that was being sent is left alone for a while; that is over an hour later.
    program.result(&["clock", "set", "+1h"]);
    mails_come(&program, NEWCOMER, ": we have your request", requested).await;
    mails_come(&program, REVIEWER, "/portal/review/", requested).await;
    mails_come(&program, ADMIN, ": approved", issued).await;
    mails_come(&program, "rotated@fable.example", "Client Secret: ", secrets - 1).await;
    assert_eq!(program.result(&["audit", "verify"])["broken"], Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn submissions_and_rotations_that_are_killed_are_whole_or_absent_on_sqlite() {
    whatever_is_killed_is_whole_or_absent(Store::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn submissions_and_rotations_that_are_killed_are_whole_or_absent_on_postgres() {
    if Program::stores().contains(&Store::Postgres) {
        whatever_is_killed_is_whole_or_absent(Store::Postgres).await;
    } else {
        println!("NOT CHECKED: no PostgreSQL; `cargo xtask test` starts one");
    }
}
