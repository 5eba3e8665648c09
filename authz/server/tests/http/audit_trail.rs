//! The audit trail: every act leaves its record, no act can be added without one, and what is done to it is found.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use authz_domain::{Act, Actor};
use authz_server::{NewAccount, NewProof, NewWebhook, UseCases, audit_event};
use authz_store::{audit_events, audit_events::AuditQuery};
use database::{Database, testing::TestDatabase};
use time::Duration;

use crate::{
    harness::{TestAuthz, new_client},
    portal_visitor::{PASSWORD, Portal},
};

async fn records(database: &Database) -> Vec<audit_events::ChainedRecord> {
    audit_events::after(&mut database.read().await.unwrap().db(), 0, 1000).await.unwrap()
}

/// Runs an act; the words of the records that it left.
async fn left(authz: &TestAuthz, act: impl Future<Output = ()>) -> Vec<String> {
    let before = records(authz.database.database()).await.len();
    act.await;
    records(authz.database.database()).await[before..].iter().map(|one| one.record.act.clone()).collect()
}

#[tokio::test]
async fn every_act_leaves_exactly_one_record() {
    for database in TestDatabase::each().await {
        let authz = TestAuthz::on(database, |_| {}).await;
        let (acts, by) = (authz.acts(), || Actor::Account("a-1".to_owned()));
        let issued = authz.industry_client().await;
        let id = issued.client_id.as_str();
        let organisation = "ORG-100000001".parse().unwrap();
        let mut hook = String::new();
        let csv = "id,name,country,category\nORG-100000009,New,NL,industry\n";
        let mut seen: Vec<(Act, Vec<String>)> = Vec::new();
        macro_rules! act {
            ($act:ident, $run:expr) => {
                seen.push((Act::$act, left(&authz, async { $run }).await));
            };
        }
        act!(ClientCreated, drop(acts.create_client(by(), new_client()).await.unwrap()));
        act!(SecretRotated, drop(acts.rotate_secret(by(), id, false).await.unwrap()));
        act!(SecretRevoked, acts.revoke_secret(by(), id, issued.secret_id.as_str()).await.unwrap());
        act!(ClientChanged, acts.change_client(by(), id, "renamed", None).await.unwrap());
        act!(ClientSuspended, acts.suspend_client(by(), id).await.unwrap());
        act!(ClientResumed, acts.resume_client(by(), id).await.unwrap());
        act!(SigningKeyRotated, drop(acts.rotate_signing_keys(by(), false).await.unwrap()));
        act!(OrganisationsImported, drop(acts.import_organisations(by(), "x.csv", csv).await.unwrap()));
        let account = NewAccount {
            email: "ana.silva@fable.example".to_owned(),
            first_name: "Ana".to_owned(),
            last_name: "Silva".to_owned(),
            password: Some(PASSWORD.to_owned()),
            roles: Vec::new(),
        };
        act!(AccountCreated, drop(acts.open_account(by(), account).await.unwrap()));
        act!(CalendarChanged, drop(acts.renew_calendar(by(), &organisation).await.unwrap()));
        act!(CalendarChanged, assert!(acts.remove_calendar(by(), &organisation).await.unwrap()));
        let new = NewWebhook {
            organisation: None,
            url: "https://hooks.example.org/".to_owned(),
            events: Vec::new(),
        };
        act!(WebhookCreated, hook = acts.create_webhook(by(), new).await.unwrap().0);
        act!(WebhookChanged, assert!(acts.set_webhook_active(by(), &hook, false).await.unwrap()));
        act!(WebhookRemoved, assert!(acts.remove_webhook(by(), &hook).await.unwrap()));
        act!(MessagesRetried, acts.retry_messages(by()).await.unwrap());
        act!(ClockMoved, assert!(acts.move_clock(by(), Some(Duration::days(1))).await.unwrap().by_command));
        let sections = [("mail".to_owned(), "host = 1".to_owned())];
        act!(ConfigurationChanged, acts.note_configuration(&sections).await.unwrap());
        authz.clock.advance(Duration::days(725));
        act!(ClientRevoked, acts.revoke_client(by(), id).await.unwrap());
        act!(ExpiryReminded, assert_eq!(acts.remind_of_expiry().await.unwrap(), 1));
        let other = authz.industry_client().await;
        let keys = NewProof::KeysAt("https://client.example/jwks".to_owned());
        let register = acts.register_proof(by(), other.client_id.as_str(), keys, false);
        act!(ProofRegistered, drop(register.await.unwrap()));
        for (act, words) in &seen {
            let ours: Vec<&String> =
                words.iter().filter(|word| !word.starts_with("signing_key.created")).collect();
            // A new client comes with its first secret: two acts in one.
            let with = if *act == Act::ClientCreated { vec![Act::SecretIssued.as_str()] } else { Vec::new() };
            assert_eq!(ours, [vec![act.as_str()], with].concat(), "{words:?}");
        }
        assert_eq!(left(&authz, async { acts.note_configuration(&sections).await.unwrap() }).await, [""; 0]);
        let verdict = acts.verify_trail(None, |_| {}).await.unwrap();
        assert_eq!((verdict.broken.clone(), verdict.sound), (None, verdict.head.number));
        for one in records(authz.database.database()).await {
            let text = format!("{one:?}");
            for secret in [issued.client_secret.expose(), PASSWORD, "api-team@example.org", "ana.silva@"] {
                assert!(!text.contains(secret), "{text}");
            }
            assert_eq!(
                audit_event(&one.record, &one.link, "https://x.example")["resourceType"],
                "AuditEvent"
            );
        }
    }
}

/// Functions that write and leave no record, and why that is right.
const WITHOUT_RECORD: &[(&str, &str)] = &[
    ("forget_once", "removes what lapsed"),
    ("forget", "removes what lapsed"),
    ("one", "sends what an act with a record posted"),
    ("use_once", "takes the id of an assertion, which says nothing that the token does not"),
    ("tell_webhooks", "puts down what records say"),
    ("find_session", "notes when a session was last seen"),
    ("end_session", "signing in is noted, not how a session ends"),
    ("end_other_sessions", "signing in is noted, not how a session ends"),
    ("sign_out", "signing in is noted, not how a session ends"),
    ("prove", "sends a code; signing in is noted"),
    ("is_proven", "uses a code up; signing in is noted"),
    ("pass", "remembers a question that was answered"),
    ("choose", "a personal preference"),
    ("keep", "a registration is nobody's account yet"),
    ("send_token", "a registration is nobody's account yet"),
    ("send_reset", "a token is mailed; the new password is noted"),
    ("send_user_name", "a mail to the owner"),
    ("ask_account", "a token is mailed; taking the account up is noted"),
    ("begin_request", "a draft is nobody's business; handing it in is noted"),
    ("change_draft", "a draft is nobody's business; handing it in is noted"),
    ("add_document", "a draft is nobody's business; handing it in is noted"),
    ("remove_document", "a draft is nobody's business; handing it in is noted"),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            found.push(path);
        }
    }
}

/// The functions of a source, without its tests: name and text.
fn functions(text: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for line in text.split("#[cfg(test)]").next().unwrap().lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_head = line.contains("fn ") && !line.trim_start().starts_with("//");
        if let Some(at) = words.iter().position(|word| *word == "fn").filter(|_| is_head) {
            let name = words[at + 1].split(['(', '<']).next().unwrap();
            found.push((name.to_owned(), String::new()));
        }
        if let Some((_, body)) = found.last_mut() {
            body.push_str(line);
            body.push('\n');
        }
    }
    found
}

#[test]
fn no_function_writes_without_a_record_or_a_reason() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let all: Vec<(String, String)> =
        files.iter().flat_map(|path| functions(&std::fs::read_to_string(path).unwrap())).collect();
    // Whoever appends, and whoever calls somebody who does on its own behalf.
    let mut record: BTreeSet<&str> =
        all.iter().filter(|(_, body)| body.contains(".audit(")).map(|(name, _)| name.as_str()).collect();
    loop {
        let calls = |body: &str| {
            record.iter().any(|name| {
                body.contains(&format!("self.{name}(")) || body.contains(&format!("acts.{name}("))
            })
        };
        let more: Vec<&str> = all
            .iter()
            .filter(|(name, body)| !record.contains(name.as_str()) && calls(body))
            .map(|(name, _)| name.as_str())
            .collect();
        if more.is_empty() {
            break;
        }
        record.extend(more);
    }
    let exempt: BTreeMap<&str, &str> = WITHOUT_RECORD.iter().copied().collect();
    let writes = |body: &str| body.contains("authz_store::begin(") || body.contains("database.begin(");
    let writers: Vec<&str> =
        all.iter().filter(|(_, body)| writes(body)).map(|(name, _)| name.as_str()).collect();
    assert!(writers.len() > 40, "the walk finds the writers: {writers:?}");
    let silent: Vec<&&str> =
        writers.iter().filter(|name| !record.contains(**name) && !exempt.contains_key(**name)).collect();
    assert!(silent.is_empty(), "these write and leave no record: {silent:?}");
    let stale: Vec<&&str> = exempt.keys().filter(|name| !writers.contains(name)).collect();
    assert!(stale.is_empty(), "these are no writers any more: {stale:?}");
}

#[tokio::test]
async fn a_noted_head_tells_whether_the_trail_is_the_same() {
    let authz = TestAuthz::start().await;
    authz.industry_client().await;
    let acts: UseCases = authz.other_process();
    let sound = acts.verify_trail(None, |_| {}).await.unwrap();
    assert_eq!(sound.broken, None);
    let (number, link) = (sound.head.number, sound.head.link.clone());
    authz.industry_client().await;
    let known = acts.verify_trail(Some((number, &link)), |_| {}).await.unwrap();
    assert_eq!((known.broken, known.as_known), (None, Some(true)));
    let other = acts.verify_trail(Some((number, "another")), |_| {}).await.unwrap();
    assert_eq!(other.as_known, Some(false));
}

#[tokio::test]
async fn the_page_filters_pages_and_says_from_where() {
    let portal = Portal::start().await;
    let mut agency = portal.agency("chief@agency.example").await;
    for _ in 0..60 {
        portal.authz.acts().move_clock(Actor::Operator, None).await.unwrap();
    }
    let page = agency.get("/portal/audit?act=clock.moved").await.text.clone();
    assert_eq!(page.matches("clock.moved</span>").count(), 50, "{page}");
    assert!(page.contains("Older records"));
    let link = crate::portal_visitor::after(&page, "<a href=\"/portal/audit?").unwrap();
    assert!(link.contains("act=clock.moved"), "{link}");
    let before = link.rsplit("before=").next().unwrap();
    let page = agency.get(&format!("/portal/audit?act=clock.moved&before={before}")).await.text.clone();
    assert_eq!(page.matches("clock.moved</span>").count(), 10);
    assert!(!page.contains("Older records"));
    let page =
        agency.get("/portal/audit?actor=chief@agency.example&act=account.signed_in").await.text.clone();
    assert_eq!(page.matches("account.signed_in</span>").count(), 2, "{page}");
    assert!(page.contains("Ana Silva") && page.contains("192.0.2."), "{page}");
    assert!(agency.get("/portal/audit?from=soon").await.text.contains("Write a day like"));
    assert!(agency.get("/portal/audit?from=2100-01-01").await.text.contains("Nothing fits"));
    let query = AuditQuery { act: "account.signed_in", ..AuditQuery::default() };
    let mut reader = portal.authz.database.database().read().await.unwrap();
    let found = audit_events::page(&mut reader.db(), &query, None, 1).await.unwrap();
    assert!(found[0].record.origin.as_deref().unwrap().starts_with("192.0.2."));
}
