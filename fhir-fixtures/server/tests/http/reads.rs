//! Reads: shapes of both FHIR versions, conditional reads, representations.

use http::StatusCode;
use serde_json::json;
use time::Duration;

use crate::{
    catalogue,
    harness::{Caller, HOST, House, OWNER, PUBLIC, V3, V5},
};

const ID: &str = "600000000001";

async fn house() -> House {
    let house = House::empty().await;
    house.import(vec![catalogue::product(ID, "Examplol", OWNER)]).await;
    house
}

#[tokio::test]
async fn v3_speaks_4_4_0_and_the_others_5_0_0() {
    let house = house().await;
    let old = house.get(&Caller::OWNER, &format!("{V3}/MedicinalProductDefinition/{ID}")).await.json();
    assert!(old.get("productClassification").is_some(), "{old}");
    assert!(old["name"][0].get("namePart").is_some());
    assert_eq!(
        old["packagedMedicinalProduct"],
        json!([{"reference": format!("PackagedProductDefinition/{ID}-ppd")}])
    );
    let new = house.get(&Caller::PUBLIC, &format!("{PUBLIC}/MedicinalProductDefinition/{ID}")).await.json();
    assert!(new.get("classification").is_some(), "{new}");
    assert!(new["name"][0].get("part").is_some());
    assert!(new.get("packagedMedicinalProduct").is_none());
    assert_eq!(new["meta"]["versionId"], "1");
}

#[tokio::test]
async fn everything_is_the_product_first_and_all_that_belongs_to_it() {
    let house = house().await;
    for base in [V3, V5] {
        let answer =
            house.get(&Caller::OWNER, &format!("{base}/MedicinalProductDefinition/{ID}/$everything")).await;
        let bundle = answer.json();
        assert_eq!((&bundle["type"], &bundle["total"]), (&json!("searchset"), &json!(5)));
        let entries = answer.entries();
        let types: Vec<_> =
            entries.iter().map(|entry| entry["resource"]["resourceType"].as_str().unwrap()).collect();
        assert_eq!(
            types,
            [
                "MedicinalProductDefinition",
                "ManufacturedItemDefinition",
                "Organization",
                "PackagedProductDefinition",
                "RegulatedAuthorization"
            ]
        );
        assert_eq!(entries[0]["fullUrl"], format!("http://{HOST}{base}/MedicinalProductDefinition/{ID}"));
        assert_eq!(entries[0]["search"]["mode"], "match");
        assert_eq!(
            answer.link("self").unwrap(),
            format!("{base}/MedicinalProductDefinition/{ID}/$everything")
        );
    }
}

#[tokio::test]
async fn everything_comes_in_pages_and_since_a_time_when_asked() {
    let house = house().await;
    let everything = format!("{V5}/MedicinalProductDefinition/{ID}/$everything");
    let whole = house.get(&Caller::OWNER, &everything).await.ids();
    let mut target = Some(format!("{everything}?_count=2"));
    let mut ids = Vec::new();
    while let Some(page) = target {
        let answer = house.get(&Caller::OWNER, &page).await;
        assert_eq!(answer.json()["total"], 5);
        let here = answer.ids();
        assert!((1..=2).contains(&here.len()));
        ids.extend(here);
        target = answer.link("next");
    }
    assert_eq!(ids, whole);

    house.clock.advance(Duration::hours(1));
    house.import(vec![catalogue::product(ID, "Examplol new", OWNER)]).await;
    let since = house.get(&Caller::OWNER, &format!("{everything}?_since=2026-03-01T12:30:00Z")).await;
    assert_eq!(since.ids(), [ID]);
    let nothing = house.get(&Caller::OWNER, &format!("{everything}?_since=2027")).await;
    assert_eq!((nothing.entries().len(), nothing.json()["total"].as_u64()), (0, Some(0)));
}

#[tokio::test]
async fn a_state_the_caller_has_is_not_sent_again() {
    let house = house().await;
    let read = format!("{V3}/MedicinalProductDefinition/{ID}");
    let first = house.get(&Caller::OWNER, &read).await;
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with("W/\"1."), "{tag}");
    assert_eq!(first.header("last-modified"), "Sun, 01 Mar 2026 12:00:00 GMT");
    // The bare version is FHIR's own name for the state.
    for known in [tag.as_str(), "W/\"1\""] {
        let again = house.get_with(&Caller::OWNER, &read, &[("if-none-match", known)]).await;
        assert_eq!(
            (again.status, again.text.as_str(), again.header("etag")),
            (StatusCode::NOT_MODIFIED, "", tag.as_str())
        );
    }
    let unchanged = [("if-modified-since", "Sun, 01 Mar 2026 12:00:00 GMT")];
    assert_eq!(house.get_with(&Caller::OWNER, &read, &unchanged).await.status, StatusCode::NOT_MODIFIED);
    // The same version shows less to somebody else: another state.
    let less = house.get_with(&Caller::STRANGER, &read, &[("if-none-match", &tag)]).await;
    assert_eq!(less.status, StatusCode::OK);
    assert_ne!(less.header("etag"), tag);
    // So does the other format.
    let xml = [("if-none-match", tag.as_str()), ("accept", "application/fhir+xml")];
    let xml = house.get_with(&Caller::OWNER, &read, &xml).await;
    assert_eq!(xml.status, StatusCode::OK);
    assert_eq!(xml.header("etag"), format!("{}.xml\"", tag.trim_end_matches('"')));

    house.clock.advance(Duration::hours(1));
    house.import(vec![catalogue::product(ID, "Examplol new", OWNER)]).await;
    let changed = house.get_with(&Caller::OWNER, &read, &[("if-none-match", &tag)]).await;
    assert_eq!(changed.status, StatusCode::OK);
    assert!(changed.header("etag").starts_with("W/\"2."), "{}", changed.header("etag"));
    // Somebody who may not see it is not told that it did not change.
    let stranger = house.get_with(&Caller::VETERINARY_AUTHORITY, &read, &[("if-none-match", "*")]).await;
    assert_eq!(stranger.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_change_is_seen_once_the_feed_was_read() {
    let house = house().await;
    let read = format!("{V3}/MedicinalProductDefinition/{ID}");
    house.follow().await;
    assert_eq!(house.get(&Caller::OWNER, &read).await.json()["name"][0]["productName"], "Examplol");
    assert_eq!(
        house.get(&Caller::OWNER, &format!("{V3}/MedicinalProductDefinition/600000000002")).await.status,
        StatusCode::NOT_FOUND
    );
    house
        .import(vec![
            catalogue::product(ID, "Examplol new", OWNER),
            catalogue::product("600000000002", "Second", OWNER),
        ])
        .await;
    house.follow().await;
    assert_eq!(house.get(&Caller::OWNER, &read).await.json()["name"][0]["productName"], "Examplol new");
    assert_eq!(
        house.get(&Caller::OWNER, &format!("{V3}/MedicinalProductDefinition/600000000002")).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_new_link_changes_what_4_4_0_shows_without_a_new_version() {
    let house = house().await;
    let read = format!("{V3}/MedicinalProductDefinition/{ID}");
    let first = house.get(&Caller::OWNER, &read).await;
    house.clock.advance(Duration::hours(1));
    let pack = json!({
        "resourceType": "PackagedProductDefinition", "id": "second-ppd",
        "packageFor": [{"reference": format!("MedicinalProductDefinition/{ID}")}],
    });
    let mut bundle = catalogue::product(ID, "Examplol", OWNER);
    bundle["entry"].as_array_mut().unwrap().push(json!({"resource": pack}));
    house.import(vec![bundle]).await;
    for known in
        [("if-none-match", first.header("etag")), ("if-modified-since", first.header("last-modified"))]
    {
        let again = house.get_with(&Caller::OWNER, &read, &[known]).await;
        assert_eq!(again.status, StatusCode::OK, "{known:?}");
        assert_eq!(again.json()["packagedMedicinalProduct"].as_array().unwrap().len(), 2);
        assert_eq!(again.json()["meta"]["versionId"], "1");
    }
}

#[tokio::test]
async fn parameters_that_an_operation_does_not_take_are_named() {
    let house = house().await;
    let target = format!("{V3}/MedicinalProductDefinition/{ID}?_summary=true&_elements=id");
    let refused = house.get(&Caller::OWNER, &target).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.text.contains("_elements, _summary"), "{}", refused.text);
    let lenient = house.get_with(&Caller::OWNER, &target, &[("prefer", "handling=lenient")]).await;
    assert_eq!(lenient.status, StatusCode::OK);
}
