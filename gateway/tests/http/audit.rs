//! Who read what, and how much was withheld: every call leaves a record, and nothing done to records goes unnoticed.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use audit_chain::{ChainBroken, ChainKey};
use axum::response::IntoResponse as _;
use gateway::{
    AuditSettings, GatewaySettings,
    audit::{Entry, Line, ReadRecord, audit_event, folders, lines, verify},
};
use http::StatusCode;
use proptest::prelude::*;
use serde_json::Value;
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::house::{House, READ, SEARCH, eventually, fhir};

const KEY: [u8; 32] = [9; 32];

fn key() -> ChainKey {
    ChainKey::new(&KEY)
}

fn kept_in(folder: &Path) -> AuditSettings {
    AuditSettings {
        folder: folder.to_owned(),
        key: Zeroizing::new(KEY),
        file_size: 4096,
        // Long enough for the writer to let records gather, as in the field.
        queue: 10_000,
        refuses_when_full: false,
    }
}

/// A house that keeps its trail in a folder; its clients are told nothing of what the backend says beside its answers.
async fn house(folder: &Path, change: impl FnOnce(&mut GatewaySettings)) -> House {
    let audit = kept_in(folder);
    House::start_with(|settings| {
        settings.audit = Some(audit);
        change(settings);
    })
    .await
}

fn trail(folder: &Path) -> PathBuf {
    folder.join("1")
}

fn records(folder: &Path) -> Vec<Entry> {
    let read = |line: String| Line::read(&line).unwrap().0.content().unwrap().1;
    lines(&trail(folder)).unwrap().map(|line| read(line.unwrap())).collect()
}

async fn written(folder: &Path, count: usize) -> Vec<ReadRecord> {
    eventually("the records are written", || async { records(folder).len() >= count }).await;
    let read = |entry| if let Entry::Read(read) = entry { Some(*read) } else { None };
    records(folder).into_iter().filter_map(read).collect()
}

#[tokio::test]
async fn a_call_leaves_who_what_and_how_much_was_withheld_and_the_caller_is_not_told() {
    let folder = tempfile::tempdir().unwrap();
    let house = house(folder.path(), |_| {}).await;
    house.upstream.answer(|received| {
        let told = if received.uri.path().ends_with("Definition") {
            "2 30 0 600000000001 600000000002"
        } else {
            "1 12 3 600000000001"
        };
        let mut answer = fhir(StatusCode::OK, r#"{"resourceType":"Bundle"}"#);
        answer.headers_mut().insert("x-pmsgate-disclosed", told.parse().unwrap());
        answer
    });
    let token = house.token();
    let answer = house.ask(READ, &token).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(
        answer.headers.keys().all(|name| !name.as_str().starts_with("x-pmsgate")),
        "{:?}",
        answer.headers
    );
    house.ask(&format!("{SEARCH}?name=secret-name&_count=5"), &token).await;
    let refused = house.token_with(|claims| claims.scope = String::new());
    assert_eq!(house.ask(READ, &refused).await.status, StatusCode::FORBIDDEN);
    assert_eq!(house.ask(READ, "no-token").await.status, StatusCode::UNAUTHORIZED);

    let records = written(folder.path(), 3).await;
    let [read, search, denied] = &records[..] else { panic!("{records:?}") };
    assert_eq!(read.request_id, answer.header("x-request-id"));
    assert_eq!((read.client.as_str(), read.organisation.as_deref()), ("client-1", Some("ORG-100000001")));
    assert_eq!((read.stakeholder.as_str(), read.origin.as_deref()), ("industry", Some("127.0.0.1")));
    assert_eq!((read.product.as_str(), read.operation.as_str()), ("pms-read-v3", "EP303"));
    assert_eq!((read.interaction.as_str(), read.id.as_deref()), ("read", Some("600000000001")));
    assert_eq!((read.status, read.resources, read.withheld, read.hidden), (200, 1, 12, 3));
    assert_eq!((search.interaction.as_str(), search.id.as_deref()), ("search-type", None));
    assert_eq!(search.parameters, ["name", "_count"]);
    assert_eq!((search.withheld, search.products.len()), (30, 2));
    assert_eq!((denied.status, denied.refusal.as_deref()), (403, Some("scope-missing")));
    assert_eq!(denied.resources, 0);
    let text = fs::read_to_string(trail(folder.path()).join("000001.ndjson")).unwrap();
    assert!(!text.contains("secret-name") && !text.contains(&token));
}

#[tokio::test]
async fn a_trail_goes_on_over_files_and_restarts_and_is_exported_as_fhir() {
    let folder = tempfile::tempdir().unwrap();
    for round in 1..=2 {
        let house = house(folder.path(), |_| {}).await;
        let token = house.token();
        for _ in 0..20 {
            house.ask(READ, &token).await;
        }
        written(folder.path(), round * 20).await;
        drop(house);
        // The next one may only write once this one has let go.
        let lock = fs::File::open(trail(folder.path()).join("lock")).unwrap();
        eventually("the writer has ended", || async { lock.try_lock().is_ok() }).await;
    }
    assert_eq!(folders(folder.path()).unwrap().len(), 1);
    let files = fs::read_dir(trail(folder.path())).unwrap().count();
    assert!(files > 4, "{files}: several files, the note, the lock");
    let verdict = verify(&trail(folder.path()), &key(), None).unwrap();
    assert_eq!((verdict.sound, verdict.broken.clone()), (40, None));
    let known = (verdict.head.number, verdict.head.link.as_str());
    assert_eq!(verify(&trail(folder.path()), &key(), Some(known)).unwrap().as_known, Some(true));
    assert_eq!(verify(&trail(folder.path()), &key(), Some((3, "x"))).unwrap().as_known, Some(false));

    let line = lines(&trail(folder.path())).unwrap().next().unwrap().unwrap();
    let (record, link) = Line::read(&line).unwrap();
    let event = audit_event("1", &record, link, "https://gate.example").unwrap();
    assert_eq!((event["resourceType"].as_str(), event["action"].as_str()), (Some("AuditEvent"), Some("R")));
    assert_eq!(event["agent"][0]["who"]["identifier"]["value"], "client-1");
    assert_eq!(event["entity"][0]["what"]["reference"], "MedicinalProductDefinition/600000000001");
    let details: Vec<&Value> = event["entity"][0]["detail"].as_array().unwrap().iter().collect();
    assert!(details.iter().any(|one| one["type"]["text"] == "elements withheld"), "{details:?}");
}

/// Twelve records in files of a few each, made once.
async fn sound_trail() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let house = house(folder.path(), |_| {}).await;
    let token = house.token();
    for _ in 0..12 {
        house.ask(READ, &token).await;
    }
    written(folder.path(), 12).await;
    eventually("the end is noted", || async {
        let note = fs::read_to_string(trail(folder.path()).join("head.json")).unwrap_or_default();
        note.contains("\"number\":12")
    })
    .await;
    folder
}

fn copy(from: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.path().join(path.file_name().unwrap())).unwrap();
    }
    to
}

#[tokio::test]
async fn whatever_is_changed_removed_or_moved_is_found() {
    let sound = sound_trail().await;
    let all: Vec<String> = lines(&trail(sound.path())).unwrap().map(Result::unwrap).collect();
    // Rewrites all records into one file.
    let tampered = |change: &dyn Fn(&mut Vec<String>)| {
        let folder = copy(&trail(sound.path()));
        let mut lines = all.clone();
        change(&mut lines);
        for (at, path) in fs::read_dir(folder.path()).unwrap().map(|one| one.unwrap().path()).enumerate() {
            if path.extension().is_some_and(|ending| ending == "ndjson") {
                fs::remove_file(&path).unwrap_or_else(|error| panic!("{at}: {error}"));
            }
        }
        let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
        fs::write(folder.path().join("000001.ndjson"), text).unwrap();
        verify(folder.path(), &key(), None).unwrap().broken
    };
    assert_eq!(tampered(&|_| {}), None);
    assert_eq!(tampered(&|lines| drop(lines.remove(0))), Some(ChainBroken::Missing { missing: 1, found: 2 }));
    assert_eq!(tampered(&|lines| drop(lines.remove(5))), Some(ChainBroken::Missing { missing: 6, found: 7 }));
    assert_eq!(tampered(&|lines| drop(lines.pop())), Some(ChainBroken::CutOff { found: 11, expected: 12 }));
    assert_eq!(tampered(&|lines| lines.swap(3, 4)), Some(ChainBroken::Missing { missing: 4, found: 5 }));
    let changed = |lines: &mut Vec<String>| lines[6] = lines[6].replace("client-1", "client-2");
    assert_eq!(tampered(&changed), Some(ChainBroken::Changed { number: 7 }));
    assert_eq!(tampered(&|lines| lines[6] = "{}".into()), Some(ChainBroken::Changed { number: 7 }));
    assert!(verify(&trail(sound.path()), &ChainKey::new(&[8; 32]), None).unwrap().broken.is_some());

    let without_note = copy(&trail(sound.path()));
    fs::remove_file(without_note.path().join("head.json")).unwrap();
    let broken = verify(without_note.path(), &key(), None).unwrap().broken;
    assert_eq!(broken, Some(ChainBroken::HeadChanged { number: 0 }));
}

#[tokio::test]
async fn any_byte_that_is_changed_is_found() {
    let sound = sound_trail().await;
    let path = trail(sound.path()).join("000001.ndjson");
    let bytes = fs::read(&path).unwrap();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(64));
    runner
        .run(&(0..bytes.len(), 1_u8..=255), |(at, by)| {
            let mut changed = bytes.clone();
            changed[at] = changed[at].wrapping_add(by);
            fs::write(&path, &changed).unwrap();
            let verdict = verify(&trail(sound.path()), &key(), None);
            // No UTF-8 any more: it cannot even be read.
            prop_assert!(verdict.is_err() || verdict.unwrap().broken.is_some(), "byte {at} by {by}");
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn a_line_that_a_crash_cut_is_taken_away_and_the_trail_goes_on() {
    let sound = sound_trail().await;
    let own = trail(sound.path());
    let lock = fs::File::open(own.join("lock")).unwrap();
    eventually("the writer has ended", || async { lock.try_lock().is_ok() }).await;
    drop(lock);
    let last = fs::read_dir(&own).unwrap().map(|one| one.unwrap().path());
    let last = last.filter(|path| path.extension().is_some_and(|ending| ending == "ndjson")).max().unwrap();
    let mut text = fs::read_to_string(&last).unwrap();
    text.push_str("{\"number\":13,\"at\":\"20");
    fs::write(&last, text).unwrap();
    let house = house(sound.path(), |_| {}).await;
    house.ask(READ, &house.token()).await;
    written(sound.path(), 13).await;
    assert_eq!(verify(&own, &key(), None).unwrap().broken, None);
}

#[tokio::test]
async fn two_gateways_on_one_folder_have_trails_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (house(folder.path(), |_| {}).await, house(folder.path(), |_| {}).await);
    one.ask(READ, &one.token()).await;
    two.ask(READ, &two.token()).await;
    eventually("both have written", || async {
        let found = folders(folder.path()).unwrap();
        found.len() == 2 && found.iter().all(|(_, own)| lines(own).unwrap().count() == 1)
    })
    .await;
}

#[tokio::test]
async fn without_a_place_for_its_record_a_call_is_refused_or_counted() {
    let metrics = http_service::install_metrics();
    for refuses in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let house = house(folder.path(), |settings| {
            let audit = settings.audit.as_mut().unwrap();
            (audit.queue, audit.refuses_when_full) = (1, refuses);
        })
        .await;
        let house = Arc::new(house);
        // The one place is taken by a call that is still being answered.
        let (asked, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(std::sync::Barrier::new(2)));
        let (counted, held) = (Arc::clone(&asked), Arc::clone(&go));
        house.upstream.answer(move |_| {
            if counted.fetch_add(1, Ordering::SeqCst) == 0 {
                held.wait();
            }
            fhir(StatusCode::OK, "{}").into_response()
        });
        let first = tokio::spawn({
            let house = Arc::clone(&house);
            async move { house.ask(READ, &house.token()).await.status }
        });
        eventually("the first is under way", || async { asked.load(Ordering::SeqCst) == 1 }).await;
        if refuses {
            let second = house.ask(READ, &house.token()).await;
            assert_eq!(
                (second.status, second.rule().as_str()),
                (StatusCode::SERVICE_UNAVAILABLE, "audit-full")
            );
            assert_eq!(asked.load(Ordering::SeqCst), 1, "nothing was asked for");
            go.wait();
            assert_eq!(first.await.unwrap(), StatusCode::OK);
        } else {
            let second = tokio::spawn({
                let house = Arc::clone(&house);
                async move { house.ask(READ, &house.token()).await.status }
            });
            eventually("the gateway went on without", || async {
                metrics.render().contains("pmsgate_gateway_audit_lost_total 1")
            })
            .await;
            go.wait();
            assert_eq!(first.await.unwrap(), StatusCode::OK);
            assert_eq!(second.await.unwrap(), StatusCode::OK);
            // With the next call that finds a place.
            eventually("the gap is told", || async {
                house.ask(READ, &house.token()).await;
                records(folder.path()).iter().any(|entry| matches!(entry, Entry::Lost(_)))
            })
            .await;
            assert_eq!(verify(&trail(folder.path()), &key(), None).unwrap().broken, None);
        }
    }
}
