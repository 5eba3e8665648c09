//! What is kept in memory: prepared reads ask the database nothing, and nothing is trusted for longer than the feed.

use std::time::Duration;

use http::StatusCode;

use crate::{
    catalogue,
    harness::{Caller, House, OWNER, V3},
};

#[tokio::test]
async fn a_prepared_read_asks_the_database_nothing_until_the_feed_falls_silent() {
    let house = House::empty().await;
    house.import(vec![catalogue::product("600000000001", "Examplol", OWNER)]).await;
    let open = format!("{V3}/MedicinalProductDefinition/600000000001");
    let everything = format!("{open}/$everything");
    let absent = format!("{V3}/MedicinalProductDefinition/699999999999");
    let ask = async |expected: [StatusCode; 3]| {
        for (target, expected) in [&open, &everything, &absent].into_iter().zip(expected) {
            assert_eq!(house.get(&Caller::OWNER, target).await.status, expected, "{target}");
        }
    };
    let fine = [StatusCode::OK, StatusCode::OK, StatusCode::NOT_FOUND];
    house.follow().await;
    ask(fine).await;
    house.follow().await;
    tokio::time::pause();
    ask(fine).await;
    // Closing waits for timers, which a standing clock would jump to.
    tokio::time::resume();
    house.database().close().await;
    tokio::time::pause();
    ask(fine).await;
    tokio::time::advance(Duration::from_secs(1)).await;
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    ask([unavailable; 3]).await;
    let refused = house.get(&Caller::OWNER, &open).await;
    assert_eq!(refused.json()["issue"][0]["code"], "transient");
    assert_eq!(refused.header("retry-after"), "2");
    assert!(!refused.text.contains("sql"), "{}", refused.text);
}

#[tokio::test]
async fn many_at_once_are_answered_alike() {
    let house = House::empty().await;
    house.import(vec![catalogue::product("600000000001", "Examplol", OWNER)]).await;
    house.follow().await;
    let target = format!("{V3}/MedicinalProductDefinition/600000000001/$everything");
    let asked = (0..16).map(|_| house.get(&Caller::OWNER, &target));
    let answers = futures_util::future::join_all(asked).await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK && answer.text == answers[0].text));
}
