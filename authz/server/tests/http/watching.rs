//! Secrets end: reminders, the page, the calendar and webhooks that tell it.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use authz_domain::{Act, Actor, ReminderStep, WebhookEvent};
use authz_server::NewWebhook;
use authz_store::{audit_events, audit_events::AuditQuery, secrets};
use axum::body::Body;
use database::testing::TestDatabase;
use http::Request;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::{
    harness::{START, TestAuthz, new_client},
    portal_visitor::{Person, Portal, after},
};

const CONTACT: &str = "api-team@example.org";
const ADMIN: &str = "ana.silva@fable.example";
const ORGANISATION: &str = "ORG-100000001";

async fn reminders_to(portal: &Portal, to: &str) -> Vec<Value> {
    let mails = portal.mails(to).await;
    mails.into_iter().filter(|mail| mail["text"].as_str().unwrap().contains("Secret: pms_")).collect()
}

/// Two servers and a command look at the same time.
async fn everybody_looks(authz: &TestAuthz) -> usize {
    let all = [authz.acts(), authz.other_process(), authz.other_process()];
    let looks = all.map(|acts| tokio::spawn(async move { acts.remind_of_expiry().await.unwrap() }));
    let mut told = 0;
    for look in looks {
        told += look.await.unwrap();
    }
    told
}

#[tokio::test]
async fn each_reminder_goes_once_to_contact_and_admins_however_many_servers_look() {
    for database in TestDatabase::each().await {
        let portal = Portal::on(database, |_| {}).await;
        portal.account(ADMIN, &[("iris-industry-admin", Some(ORGANISATION))]).await;
        let issued = portal.authz.industry_client().await;
        let (mut sent, mut told) = (Vec::new(), 0);
        for step in ReminderStep::ALL {
            portal.authz.clock.advance(step.reached_at(issued.expires_at) - portal.authz.clock.now());
            assert_eq!(everybody_looks(&portal.authz).await, 1, "{step}");
            assert_eq!(everybody_looks(&portal.authz).await, 0, "{step} again");
            for to in [CONTACT, ADMIN] {
                let mails = reminders_to(&portal, to).await;
                assert_eq!(mails.len(), told + 1, "{to} {step}");
                let text = mails[told]["text"].as_str().unwrap();
                for said in [
                    issued.client_id.as_str(),
                    ORGANISATION,
                    "2028-03-05T12:34:56Z",
                    &format!("/portal/clients/{}", issued.client_id),
                ] {
                    assert!(text.contains(said), "{said} in {text}");
                }
                assert_eq!(text.contains("/api/v1/client/secrets"), step != ReminderStep::ENDED);
            }
            told += 1;
            sent.push(step);
        }
        let expiring = portal.authz.acts().expiring_secrets(Duration::days(1)).await.unwrap();
        assert_eq!(expiring[0].reminders, sent);
        let query = AuditQuery { act: Act::ExpiryReminded.as_str(), ..AuditQuery::default() };
        let mut reader = portal.authz.database.database().read().await.unwrap();
        assert_eq!(audit_events::page(&mut reader.db(), &query, None, 100).await.unwrap().len(), 7);
    }
}

#[tokio::test]
async fn after_a_downtime_there_is_one_reminder_and_none_for_who_switched() {
    let portal = Portal::start().await;
    let issued = portal.authz.industry_client().await;
    portal.authz.clock.advance(Duration::days(725));
    assert_eq!(everybody_looks(&portal.authz).await, 1);
    let mails = reminders_to(&portal, CONTACT).await;
    assert_eq!(mails.len(), 1);
    assert!(mails[0]["subject"].as_str().unwrap().contains("expires in 6 days"), "{}", mails[0]["subject"]);
    let id = issued.client_id.as_str();
    let new = portal.authz.acts().rotate_secret(Actor::Operator, id, false).await.unwrap();
    portal.authz.clock.advance(Duration::days(5));
    assert_eq!(everybody_looks(&portal.authz).await, 1, "nobody uses the new one yet");
    let text = reminders_to(&portal, CONTACT).await[1]["text"].as_str().unwrap().to_owned();
    assert!(text.contains("made already and never used"), "{text}");
    let mut work = portal.authz.database.database().begin().await.unwrap();
    secrets::note_used(&mut work.db(), &new.secret_id, portal.authz.clock.now()).await.unwrap();
    work.commit().await.unwrap();
    portal.authz.clock.advance(Duration::days(100));
    assert_eq!(everybody_looks(&portal.authz).await, 0);
}

#[tokio::test]
async fn a_client_that_nobody_looks_after_is_told_to_the_agency() {
    let portal = Portal::start().await;
    portal.account("chief@agency.example", &[("agency-admin", None)]).await;
    let new = authz_server::NewClient { contact: None, ..new_client() };
    portal.authz.acts().create_client(Actor::Operator, new).await.unwrap();
    portal.authz.clock.advance(Duration::days(725));
    assert_eq!(everybody_looks(&portal.authz).await, 1);
    assert_eq!(reminders_to(&portal, "chief@agency.example").await.len(), 1);
}

#[tokio::test]
async fn the_page_shows_the_agency_all_and_admins_their_own() {
    let portal = Portal::start().await;
    let issued = portal.authz.industry_client().await;
    let other = authz_server::NewClient {
        organisation: Some("ORG-100000002".parse().unwrap()),
        label: "other export".to_owned(),
        ..new_client()
    };
    portal.authz.acts().create_client(Actor::Operator, other).await.unwrap();
    let mut admin = portal.signed_in(ADMIN, &[("iris-industry-admin", Some(ORGANISATION))]).await;
    let page = admin.get("/portal/expiring?within=4026").await.text.clone();
    assert!(page.contains("nightly export") && !page.contains("other export"), "{page}");
    assert!(page.contains(issued.client_id.as_str()) && page.contains("<rect "), "{page}");
    // A secret made now ends in the last month that has a bar.
    let cells: String = page.split_whitespace().collect();
    assert!(cells.contains("<td>2028-03</td><td>1</td>") && page.contains(CONTACT), "{page}");
    assert!(admin.get("/portal/expiring").await.text.contains("Nothing expires in this time"));
    assert!(!admin.get("/portal/expiring?within=4026&successor=yes").await.text.contains("nightly export"));
    assert_eq!(admin.get("/portal/audit").await.status, 404);
    let mut agency = portal.agency("chief@agency.example").await;
    let page = agency.get("/portal/expiring?within=4026&q=other").await.text.clone();
    assert!(page.contains("other export") && !page.contains("nightly export"), "{page}");
    let mut nobody = portal.signed_in("nora.nobody@medco.example", &[]).await;
    for path in ["/portal/expiring", "/portal/notifications", "/portal/audit"] {
        assert_eq!(nobody.get(path).await.status, 404, "{path}");
    }
}

/// What stands in a calendar's address, after it was made in the portal.
async fn calendar_key(person: &mut Person<'_>, act: &str) -> String {
    person.get("/portal/notifications").await;
    let fields = [("organisation", ORGANISATION), ("do", act)];
    let page = person.post("/portal/notifications/calendar", &fields).await.text.clone();
    page.split("calendar.ics?key=").nth(1).map(|rest| rest.chars().take(64).collect()).unwrap_or_default()
}

#[tokio::test]
async fn a_calendar_is_private_renewable_and_read_by_a_library_of_others() {
    let portal = Portal::start().await;
    let issued = portal.authz.industry_client().await;
    let mut admin = portal.signed_in(ADMIN, &[("iris-industry-admin", Some(ORGANISATION))]).await;
    let key = calendar_key(&mut admin, "renew").await;
    let path = |key: &str| format!("/portal/calendar.ics?key={key}");
    let calendar = portal.authz.get(&path(&key)).await;
    // RFC 5545 §3.6: exactly once each.
    for line in ["PRODID:", "VERSION:"] {
        assert_eq!(calendar.text.matches(line).count(), 1, "{}", calendar.text);
    }
    assert_eq!(
        (calendar.status.as_u16(), calendar.header("content-type")),
        (200, "text/calendar; charset=utf-8")
    );
    assert_eq!(calendar.header("cache-control"), "private, max-age=3600");
    let tag = calendar.header("etag").to_owned();
    portal.authz.clock.advance(Duration::MINUTE);
    let again = Request::get(path(&key)).header("if-none-match", &tag).body(Body::empty()).unwrap();
    let again = portal.authz.send(again).await;
    assert_eq!((again.status.as_u16(), again.text.as_str(), again.header("etag")), (304, "", tag.as_str()));
    if let Some(read) = read_by("with_icalendar.py", calendar.text.as_bytes()) {
        assert_eq!(read["version"], "2.0");
        assert_eq!(read["events"].as_array().unwrap().len(), 1);
        let event = &read["events"][0];
        assert_eq!(event["starts"], "2028-03-05T12:34:56+00:00");
        assert_eq!(event["summary"], "API secret of nightly export expires");
        assert!(event["uid"].as_str().unwrap().starts_with(issued.secret_id.as_str()));
        assert!(event["url"].as_str().unwrap().ends_with(issued.client_id.as_str()));
    }
    let renewed = calendar_key(&mut admin, "renew").await;
    assert_ne!(renewed, key);
    assert_eq!(portal.authz.get(&path(&key)).await.status, 404, "the old address leads nowhere");
    assert_eq!(portal.authz.get(&path(&renewed)).await.status, 200);
    calendar_key(&mut admin, "remove").await;
    for gone in [renewed.as_str(), "", "x"] {
        assert_eq!(portal.authz.get(&path(gone)).await.status, 404);
    }
    let mut stranger = portal
        .signed_in("sven.strand@nordlicht.example", &[("iris-industry-admin", Some("ORG-100000002"))])
        .await;
    stranger.get("/portal/notifications").await;
    let fields = [("organisation", ORGANISATION), ("do", "renew")];
    assert_eq!(stranger.post_only("/portal/notifications/calendar", &fields).await.status, 404);
}

/// What a script with somebody else's library prints about this; none where the library is not provided.
fn read_by(script: &str, input: &[u8]) -> Option<Value> {
    let Some(python) = std::env::var_os("PMSGATE_TEST_PYTHON") else {
        assert!(
            std::env::var_os("PMSGATE_TEST_COMPLETE").is_none(),
            "the set-up is complete but has no Python"
        );
        return None;
    };
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients").join(script);
    let mut child = Command::new(python)
        .arg(script)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// Headers and body of a request.
type Got = (Vec<(String, String)>, String);

/// A receiver: answers with what it is told to, and keeps what it got.
struct Receiver {
    url: String,
    answer: Arc<Mutex<&'static str>>,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let answer = Arc::new(Mutex::new("204 No Content"));
        let got: Arc<Mutex<Vec<Got>>> = Arc::default();
        let (status, kept) = (Arc::clone(&answer), Arc::clone(&got));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut bytes = Vec::new();
                let mut piece = [0; 4096];
                let (head, body) = loop {
                    let read = stream.read(&mut piece).unwrap();
                    bytes.extend_from_slice(&piece[..read]);
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let length = head.lines().find_map(|line| {
                        line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned)
                    });
                    if body.len() == length.unwrap().parse::<usize>().unwrap() {
                        break (head.to_owned(), body.to_owned());
                    }
                };
                let headers = head
                    .lines()
                    .skip(1)
                    .filter_map(|line| line.split_once(": "))
                    .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                    .collect();
                kept.lock().unwrap().push((headers, body));
                let status = *status.lock().unwrap();
                let extra = if status.starts_with('3') { "location: http://127.0.0.1:1/\r\n" } else { "" };
                write!(stream, "HTTP/1.1 {status}\r\n{extra}content-length: 0\r\nconnection: close\r\n\r\n")
                    .unwrap();
            }
        });
        Self { url, answer, got }
    }

    fn answers(&self, status: &'static str) {
        *self.answer.lock().unwrap() = status;
    }

    fn count(&self) -> usize {
        self.got.lock().unwrap().len()
    }

    fn last(&self) -> Got {
        self.got.lock().unwrap().last().unwrap().clone()
    }
}

async fn listening_authz() -> Portal {
    Portal::with(|settings| settings.webhooks.allowed_networks = vec!["127.0.0.0/8".parse().unwrap()]).await
}

#[tokio::test]
async fn a_webhook_is_told_at_least_once_signed_and_tried_again_until_it_is_given_up() {
    let portal = listening_authz().await;
    // Receivers compare the time with their own clock.
    portal.authz.clock.advance(OffsetDateTime::now_utc() - START);
    let receiver = Receiver::start();
    let acts = portal.authz.acts();
    let issued = portal.authz.industry_client().await;
    let id = issued.client_id.as_str();
    let new = NewWebhook {
        organisation: Some(ORGANISATION.parse().unwrap()),
        url: receiver.url.clone(),
        events: vec![WebhookEvent::ClientSuspended, WebhookEvent::ClientResumed],
    };
    let (hook, secret) = acts.create_webhook(Actor::Operator, new).await.unwrap();
    portal.authz.authz.call_webhooks().await;
    assert_eq!(receiver.count(), 0, "what was before is not told");

    acts.suspend_client(Actor::Operator, id).await.unwrap();
    portal.authz.authz.call_webhooks().await;
    let (headers, body) = receiver.last();
    let told: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(told["type"], "client.suspended");
    assert_eq!(told["data"], json!({ "client_id": id, "organisation": ORGANISATION }));
    let headers: serde_json::Map<String, Value> =
        headers.into_iter().map(|(name, value)| (name, value.into())).collect();
    let message = json!({ "secret": secret.as_str(), "headers": headers, "body": body });
    if let Some(read) = read_by("with_standardwebhooks.py", message.to_string().as_bytes()) {
        assert_eq!(read, json!({ "type": "client.suspended", "client": id }));
    }
    let first = headers["webhook-id"].clone();

    receiver.answers("500 Oops");
    acts.resume_client(Actor::Operator, id).await.unwrap();
    for tries in 1..=10 {
        portal.authz.authz.call_webhooks().await;
        assert_eq!(receiver.count(), 1 + tries);
        portal.authz.authz.call_webhooks().await;
        assert_eq!(receiver.count(), 1 + tries, "not before its time");
        portal.authz.clock.advance(Duration::hours(30));
    }
    portal.authz.authz.call_webhooks().await;
    assert_eq!(receiver.count(), 11, "given up");
    let view = acts.show_webhook(&hook).await.unwrap().unwrap();
    assert!(view.deliveries[0].dead_at.is_some(), "{view:?}");
    assert_eq!(view.deliveries[0].failure.as_deref(), Some("answered 500"));
    assert_ne!(json!(view.deliveries[0].id), first);
    assert_eq!(acts.house_health().await.unwrap().dead_webhook_messages, 1);

    // Shown in the portal, and sent again from there with the same id.
    receiver.answers("200 OK");
    let mut admin = portal.signed_in(ADMIN, &[("iris-industry-admin", Some(ORGANISATION))]).await;
    let page = admin.get(&format!("/portal/webhooks/{hook}")).await.text.clone();
    assert!(page.contains("given up") && page.contains("answered 500"), "{page}");
    let dead = after(&page, "name=\"message\" value=\"").unwrap().to_owned();
    admin.post(&format!("/portal/webhooks/{hook}"), &[("message", &dead), ("do", "resend")]).await;
    portal.authz.authz.call_webhooks().await;
    assert_eq!(receiver.count(), 12);
    assert!(receiver.last().0.contains(&("webhook-id".to_owned(), dead)));
    assert_eq!(acts.house_health().await.unwrap().dead_webhook_messages, 0);

    // A redirect is not followed, and who wants no more gets no more.
    receiver.answers("302 Found");
    acts.suspend_client(Actor::Operator, id).await.unwrap();
    portal.authz.authz.call_webhooks().await;
    assert_eq!(
        acts.show_webhook(&hook).await.unwrap().unwrap().deliveries[0].failure.as_deref(),
        Some("answered 302")
    );
    receiver.answers("410 Gone");
    portal.authz.clock.advance(Duration::HOUR);
    portal.authz.authz.call_webhooks().await;
    assert!(!acts.show_webhook(&hook).await.unwrap().unwrap().webhook.active);
}

#[tokio::test]
async fn a_webhook_hears_its_own_organisation_only_and_no_neighbour_can_be_called() {
    let portal = listening_authz().await;
    let receiver = Receiver::start();
    let acts = portal.authz.acts();
    let issued = portal.authz.industry_client().await;
    let mut stranger = portal
        .signed_in("sven.strand@nordlicht.example", &[("iris-industry-admin", Some("ORG-100000002"))])
        .await;
    let path = "/portal/notifications/webhooks/ORG-100000002";
    stranger.get(path).await;
    let typed = |url: &'static str| [("organisation", "ORG-100000002"), ("url", url)];
    for (url, words) in [
        ("http://10.0.0.1/", "internal address"),
        ("https://169.254.169.254/latest", "internal address"),
        ("gopher://example.org/", "https://"),
        ("hook", "whole address"),
    ] {
        let page = stranger.post_only(path, &typed(url)).await;
        assert!(page.status == 422 && page.text.contains(words), "{url}: {}", page.text);
    }
    let url: &'static str = Box::leak(receiver.url.clone().into_boxed_str());
    let page = stranger.post_only(path, &typed(url)).await.text.clone();
    assert!(page.contains("whsec_"), "{page}");
    let theirs = after(&page, "href=\"/portal/webhooks/").unwrap().to_owned();
    acts.suspend_client(Actor::Operator, issued.client_id.as_str()).await.unwrap();
    portal.authz.authz.call_webhooks().await;
    assert_eq!(receiver.count(), 0, "another organisation's");
    let mut admin = portal.signed_in(ADMIN, &[("iris-industry-admin", Some(ORGANISATION))]).await;
    assert_eq!(admin.get(&format!("/portal/webhooks/{theirs}")).await.status, 404);
    let mut agency = portal.agency("chief@agency.example").await;
    let path = "/portal/notifications/webhooks/agency";
    agency.get(path).await;
    assert!(
        agency.post_only(path, &[("organisation", "agency"), ("url", url)]).await.text.contains("whsec_")
    );
    acts.resume_client(Actor::Operator, issued.client_id.as_str()).await.unwrap();
    portal.authz.authz.call_webhooks().await;
    assert_eq!(receiver.count(), 1, "the agency hears of all");
}

#[tokio::test]
async fn a_sandbox_tells_its_clock_and_production_has_none_to_tell() {
    for database in TestDatabase::each().await {
        let authz = TestAuthz::on(database, |_| {}).await;
        for (moved, seconds) in [(Some(Duration::days(729)), 62_985_600), (None, 0)] {
            authz.acts().move_clock(Actor::Operator, moved).await.unwrap();
            let told = authz.get("/sandbox/clock").await;
            assert_eq!(told.status, 200, "{}", told.text);
            assert_eq!(told.json()["offset_seconds"], seconds);
            assert_eq!(told.header("cache-control"), "no-store");
        }
    }
    let production = TestAuthz::with(|settings| settings.environment = config::Environment::Production).await;
    assert_eq!(production.get("/sandbox/clock").await.status, 404);
}
