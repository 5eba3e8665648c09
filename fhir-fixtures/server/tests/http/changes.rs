//! What gateways that keep answers are told: as of when an answer is true, and that something changed.

use std::time::Duration;

use axum::body::Body;
use caller_context::{CHANGED_HEADER, CHANGES_PATH, DataState, STATE_HEADER};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use crate::{
    catalogue,
    harness::{Answer, Caller, HOST, House, OWNER, V3},
    merge,
};

const ID: &str = "600000000001";

async fn house() -> House {
    let house = House::empty().await;
    house.import(vec![catalogue::product(ID, "Examplol", OWNER)]).await;
    house.follow().await;
    house
}

fn state(answer: &Answer) -> DataState {
    assert!(answer.status.is_success() || answer.status == StatusCode::NOT_MODIFIED, "{}", answer.text);
    answer.header(STATE_HEADER).parse().unwrap()
}

/// The open feed of a backend.
struct Feed(Body);

impl Feed {
    async fn open(house: &House) -> Self {
        let context = house.context(&Caller::PUBLIC, CHANGES_PATH);
        let signed =
            caller_context::sign(&context, &house.key, "GET", CHANGES_PATH, house.clock.now()).unwrap();
        let request = Request::get(CHANGES_PATH)
            .header("host", HOST)
            .header(caller_context::HEADER, signed)
            .body(Body::empty())
            .unwrap();
        let response = house.backend.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        Self(response.into_body())
    }

    /// The next line; none when there is none for a while, or no more.
    async fn next(&mut self) -> Option<DataState> {
        let frame = tokio::time::timeout(Duration::from_millis(200), self.0.frame()).await.ok()??;
        let line = frame.unwrap().into_data().unwrap();
        Some(std::str::from_utf8(&line).unwrap().strip_suffix('\n').unwrap().parse().unwrap())
    }
}

#[tokio::test]
async fn an_answer_says_which_change_it_is_as_new_as() {
    let house = house().await;
    let read = format!("{V3}/MedicinalProductDefinition/{ID}");
    let first = house.get(&Caller::OWNER, &read).await;
    assert_eq!(first.header(CHANGED_HEADER), house.clock.now().unix_timestamp().to_string());
    let known = house.get_with(&Caller::OWNER, &read, &[("if-none-match", first.header("etag"))]).await;
    assert_eq!(state(&known), state(&first));
    house.import(vec![catalogue::product(ID, "Examplol new", OWNER)]).await;
    // What is shown may be newer than what is said, never older.
    assert_eq!(state(&house.get(&Caller::OWNER, &read).await), state(&first));
    house.follow().await;
    let second = house.get(&Caller::OWNER, &read).await;
    assert_eq!(second.json()["name"][0]["productName"], "Examplol new");
    assert_eq!(state(&second).instance, state(&first).instance);
    assert!(state(&second).change > state(&first).change);
}

#[tokio::test]
async fn an_answer_that_is_good_once_says_nothing() {
    let house = house().await;
    let search = format!("{V3}/MedicinalProductDefinition");
    assert!(!house.get(&Caller::OWNER, &search).await.header(STATE_HEADER).is_empty());
    for (target, headers) in [
        (format!("{search}?_lastUpdated=ap2026-03-01"), &[][..]),
        (search.clone(), &[("x-sandbox-fault", "slow=1ms")][..]),
        (format!("{search}/600000000002"), &[][..]),
    ] {
        let answer = house.get_with(&Caller::OWNER, &target, headers).await;
        assert_eq!(answer.header(STATE_HEADER), "", "{target}");
    }
    // Nor does a backend that has not read what changed.
    let deaf = House::empty().await;
    assert_eq!(deaf.get(&Caller::OWNER, &search).await.header(STATE_HEADER), "");
}

#[tokio::test]
async fn a_merge_says_its_own_change_and_the_feed_says_it_too() {
    let house = merge::documented().await;
    house.follow().await;
    let mut feed = Feed::open(&house).await;
    let before = feed.next().await.unwrap();
    let caller = Caller { organisation: merge::OWNER.organisation, ..Caller::QUALIFIED };
    let merged = merge::merge(&house, &caller, &[], &merge::example("R1.accepted.json").unwrap()).await;
    let after = state(&merged);
    assert!(after.change > before.change);
    assert_eq!(feed.next().await, Some(after));
    // One that was refused changed nothing.
    let refused = merge::merge(&house, &caller, &[], &merge::example("R1.rejected.json").unwrap()).await;
    assert!(refused.status.is_client_error());
    assert_eq!(feed.next().await, None);
}

#[tokio::test]
async fn a_queued_merge_is_told_when_it_is_applied() {
    let house = merge::documented().await;
    house.follow().await;
    let mut feed = Feed::open(&house).await;
    let before = feed.next().await.unwrap();
    let caller = Caller { organisation: merge::OWNER.organisation, ..Caller::QUALIFIED };
    let bundle = merge::example("R1.accepted.json").unwrap();
    let queued = merge::merge(&house, &caller, &[("prefer", "respond-async")], &bundle).await;
    assert_eq!((queued.status, state(&queued)), (StatusCode::ACCEPTED, before));
    assert_eq!(feed.next().await, None);
    assert_eq!(house.backend.merge_worker.run_once().await.unwrap(), 1);
    assert!(feed.next().await.unwrap().change > before.change);
}

#[tokio::test]
async fn the_feed_tells_of_every_reading_and_ends_with_the_server() {
    let house = house().await;
    let mut feed = Feed::open(&house).await;
    let first = feed.next().await.unwrap();
    assert_eq!(feed.next().await, None, "nothing was read");
    house.follow().await;
    assert_eq!(feed.next().await, Some(first), "a sign of life");
    house.import(vec![catalogue::product(ID, "Examplol new", OWNER)]).await;
    house.follow().await;
    let second = feed.next().await.unwrap();
    assert!(second.instance == first.instance && second.change > first.change);
    let health = http_service::Health::default();
    house.backend.change_feed.clone().run(health.register("backend"), std::future::ready(())).await;
    assert_eq!(health.troubles(), []);
    assert!(feed.0.frame().await.is_none(), "the server stops");
    // Another run of the program may have another policy: nothing of this one is good there.
    let other = Feed::open(&self::house().await).await.next().await.unwrap();
    assert_ne!(other.instance, first.instance);
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_told_to_who_asks_whether_the_backend_is_ready() {
    let house = house().await;
    let health = http_service::Health::default();
    let run = |stop| house.backend.change_feed.clone().run(health.register("backend"), stop);
    run(std::future::ready(())).await;
    assert_eq!(health.troubles(), []);
    house.database().close().await;
    run(std::future::ready(())).await;
    assert_eq!(health.troubles(), [("backend", "the product store does not answer".to_owned())]);
}

#[tokio::test]
async fn the_feed_is_for_gateways() {
    let house = house().await;
    let answer = house.send(&Method::GET, CHANGES_PATH, &[]).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let read = format!("{V3}/MedicinalProductDefinition/{ID}");
    let context = house.context(&Caller::OWNER, &read);
    let elsewhere = caller_context::sign(&context, &house.key, "GET", &read, house.clock.now()).unwrap();
    let answer = house.send(&Method::GET, CHANGES_PATH, &[(caller_context::HEADER, &elsewhere)]).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "a context for a read opens a read only");
}
