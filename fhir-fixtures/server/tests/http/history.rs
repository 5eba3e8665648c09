//! History and old versions: for owners and authorities only, by today's policy.

use http::StatusCode;
use serde_json::json;
use time::Duration;

use crate::{
    catalogue,
    harness::{Caller, House, OWNER, V3},
};

const ID: &str = "600000000001";

async fn house() -> House {
    let house = House::empty().await;
    for name in ["One", "Two", "Three"] {
        house.import(vec![catalogue::product(ID, name, OWNER)]).await;
        house.clock.advance(Duration::hours(1));
    }
    house
}

#[tokio::test]
async fn old_versions_are_read_by_those_who_may_see_history() {
    let house = house().await;
    for caller in
        [Caller::OWNER, Caller::QUALIFIED, Caller::AUTHORITY, Caller::HUMAN_AUTHORITY, Caller::AGENCY]
    {
        for (vid, name) in [("1", "One"), ("2", "Two"), ("3", "Three")] {
            let answer =
                house.get(&caller, &format!("{V3}/MedicinalProductDefinition/{ID}/_history/{vid}")).await;
            assert_eq!(answer.status, StatusCode::OK, "{} {}", caller.label, answer.text);
            let resource = answer.json();
            assert_eq!(resource["name"][0]["productName"], name);
            assert_eq!(resource["meta"]["versionId"], vid);
            assert!(resource["name"][0].get("namePart").is_some());
            assert!(answer.header("etag").starts_with(&format!("W/\"{vid}.")), "{}", answer.header("etag"));
        }
    }
    for (caller, vid) in
        [(Caller::OWNER, "4"), (Caller::OWNER, "01"), (Caller::OWNER, "x"), (Caller::STRANGER, "1")]
    {
        let answer =
            house.get(&caller, &format!("{V3}/MedicinalProductDefinition/{ID}/_history/{vid}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{} {vid}", caller.label);
    }
    assert_eq!(
        house.get(&Caller::STRANGER, &format!("{V3}/MedicinalProductDefinition/{ID}")).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn the_history_is_newest_first_in_pages_and_since_a_time() {
    let house = house().await;
    let history = format!("{V3}/MedicinalProductDefinition/{ID}/_history");
    let whole = house.get(&Caller::OWNER, &history).await;
    let bundle = whole.json();
    assert_eq!((&bundle["type"], &bundle["total"]), (&json!("history"), &json!(3)));
    let versions = |answer: &crate::harness::Answer| -> Vec<String> {
        answer
            .entries()
            .iter()
            .map(|e| e["resource"]["meta"]["versionId"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(versions(&whole), ["3", "2", "1"]);
    assert_eq!(
        bundle["entry"][0]["request"],
        json!({"method": "PUT", "url": format!("MedicinalProductDefinition/{ID}")})
    );
    assert_eq!(bundle["entry"][2]["request"], json!({"method": "POST", "url": "MedicinalProductDefinition"}));
    assert_eq!(
        bundle["entry"][2]["response"],
        json!({"status": "201", "etag": "W/\"1\"", "lastModified": "2026-03-01T12:00:00Z"})
    );

    let first = house.get(&Caller::OWNER, &format!("{history}?_count=2")).await;
    assert_eq!(versions(&first), ["3", "2"]);
    let second = house.get(&Caller::OWNER, &first.link("next").unwrap()).await;
    assert_eq!((versions(&second), second.link("next")), (vec!["1".to_owned()], None));
    assert_eq!(second.json()["total"], 3);

    let since = house.get(&Caller::OWNER, &format!("{history}?_since=2026-03-01T13:00:00Z")).await;
    assert_eq!(versions(&since), ["3", "2"]);
}

/// A name whose meaning a hidden element changes is hidden with it, and a product without a name is none.
#[tokio::test]
async fn versions_of_which_nothing_is_seen_are_neither_shown_nor_counted() {
    let house = House::empty().await;
    for (n, hidden) in [(1, true), (2, false), (3, true), (4, false), (5, false)] {
        let mut bundle = catalogue::product(ID, &format!("Version {n}"), OWNER);
        if hidden {
            bundle["entry"][0]["resource"]["name"][0]["modifierExtension"] =
                json!([{"url": "https://company.example/negated", "valueBoolean": true}]);
        }
        house.import(vec![bundle]).await;
        house.clock.advance(Duration::hours(1));
    }
    let history = format!("{V3}/MedicinalProductDefinition/{ID}/_history");
    for (caller, versions) in
        [(Caller::OWNER, vec!["5", "4", "2"]), (Caller::QUALIFIED, vec!["5", "4", "3", "2", "1"])]
    {
        for count in [1, 2, 3, 200] {
            let mut target = Some(format!("{history}?_count={count}"));
            let mut seen = Vec::new();
            while let Some(page) = target {
                let answer = house.get(&caller, &page).await;
                assert_eq!(answer.json()["total"], versions.len(), "{} {count}", caller.label);
                let here = answer.entries();
                assert!(!here.is_empty() && here.len() <= count, "{} {count}", caller.label);
                seen.extend(
                    here.iter().map(|one| one["resource"]["meta"]["versionId"].as_str().unwrap().to_owned()),
                );
                target = answer.link("next");
            }
            assert_eq!(seen, versions, "{} {count}", caller.label);
        }
        let since = house.get(&caller, &format!("{history}?_since=2026-03-01T14:00:00Z&_count=0")).await;
        assert_eq!(since.json()["total"], versions.iter().filter(|version| **version >= "3").count());
    }
}
