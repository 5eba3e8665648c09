//! Order, totals, and how much of each product an answer shows.

use http::StatusCode;
use serde_json::json;

use crate::{
    catalogue,
    harness::{Caller, House, OWNER, PUBLIC, V3},
};

const SEARCH: &str = "/pms/api/v3/MedicinalProductDefinition";

fn names(answer: &crate::harness::Answer) -> Vec<String> {
    let name =
        |entry: &serde_json::Value| entry["resource"]["name"][0]["productName"].as_str().unwrap().to_owned();
    answer.entries().iter().map(name).collect()
}

#[tokio::test]
async fn every_order_pages_to_the_end_for_every_class() {
    let house = House::demo().await;
    for caller in Caller::ALL {
        let mut whole = house.all_ids(&caller, "", 200).await;
        whole.sort();
        for order in
            ["_id", "-_id", "_lastUpdated", "-_lastUpdated,name", "name", "-name", "status,-name,_id"]
        {
            let query = format!("_sort={order}");
            let at_once = house.all_ids(&caller, &query, 200).await;
            assert_eq!(house.all_ids(&caller, &query, 7).await, at_once, "{} {order}", caller.label);
            let mut sorted = at_once;
            sorted.sort();
            assert_eq!(sorted, whole, "{} {order}", caller.label);
        }
    }
}

#[tokio::test]
async fn names_are_ordered_without_regard_to_case_and_accents() {
    let house = House::empty().await;
    let all = [
        ("600000000001", "bravo"),
        ("600000000002", "Álpha"),
        ("600000000003", "Charlie"),
        ("600000000004", "alpha"),
    ];
    house.import(all.iter().map(|(id, name)| catalogue::product(id, name, OWNER)).collect()).await;
    let answer = house.get(&Caller::PUBLIC, &format!("{PUBLIC}/MedicinalProductDefinition?_sort=name")).await;
    assert_eq!(names(&answer), ["Álpha", "alpha", "bravo", "Charlie"]);
    let answer = house.get(&Caller::OWNER, &format!("{SEARCH}?_sort=-name,-_id")).await;
    assert_eq!(names(&answer), ["Charlie", "bravo", "alpha", "Álpha"]);
}

#[tokio::test]
async fn pages_stay_right_under_an_order_while_products_come_and_go() {
    let house = House::empty().await;
    let product = |n: usize, name: &str| catalogue::product(&format!("60000000000{n}"), name, OWNER);
    house
        .import(vec![product(1, "Echo"), product(2, "Delta"), product(3, "Charlie"), product(4, "Alpha")])
        .await;
    let first = house.get(&Caller::OWNER, &format!("{SEARCH}?_sort=name&_count=2")).await;
    assert_eq!(names(&first), ["Alpha", "Charlie"]);
    // One before the place, one behind it, and the product at the place itself moves away.
    house.import(vec![product(5, "Bravo"), product(6, "Cobra"), product(3, "Zulu")]).await;
    let second = house.get(&Caller::OWNER, &first.link("next").unwrap()).await;
    assert_eq!(names(&second), ["Cobra", "Delta"]);
    let third = house.get(&Caller::OWNER, &second.link("next").unwrap()).await;
    assert_eq!(names(&third), ["Echo", "Zulu"]);
    assert_eq!(third.link("next"), None);
    // A place in one order is none in another.
    let other = first.link("next").unwrap().replace("_sort=name", "_sort=-name");
    assert_eq!(house.get(&Caller::OWNER, &other).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_very_long_name_still_has_a_next_page() {
    let house = House::empty().await;
    let long = |end: &str| format!("{}{end}", "ÿ long name ".repeat(200));
    let all =
        [("600000000001", long("b")), ("600000000002", long("a")), ("600000000003", "Short".to_owned())];
    house.import(all.iter().map(|(id, name)| catalogue::product(id, name, OWNER)).collect()).await;
    let ids = house.all_ids(&Caller::OWNER, "_sort=-name", 1).await;
    assert_eq!(ids, ["600000000001", "600000000002", "600000000003"]);
}

#[tokio::test]
async fn totals_are_counted_unless_not_wanted() {
    let house = House::empty().await;
    let ids = ["600000000001", "600000000002", "600000000003"];
    house.import(ids.iter().map(|id| catalogue::product(id, "Examplol", OWNER)).collect()).await;
    for (query, total) in
        [("", Some(3)), ("&_total=accurate", Some(3)), ("&_total=estimate", Some(3)), ("&_total=none", None)]
    {
        let first = house.get(&Caller::OWNER, &format!("{SEARCH}?_count=2{query}")).await;
        let second = house.get(&Caller::OWNER, &first.link("next").unwrap()).await;
        assert_eq!(
            [first.json()["total"].as_i64(), second.json()["total"].as_i64()],
            [total, total],
            "{query}"
        );
        assert_eq!(second.ids(), ["600000000003"]);
    }
    let counted = house.get(&Caller::OWNER, &format!("{SEARCH}?_summary=count&_total=none")).await;
    assert_eq!((counted.json()["total"].as_i64(), counted.entries().len()), (Some(3), 0));
}

#[tokio::test]
async fn a_count_counts_only_what_the_caller_may_know_of() {
    let house = House::demo().await;
    for caller in Caller::ALL {
        let all = house.all_ids(&caller, "", 200).await;
        let target = format!("{}/MedicinalProductDefinition?_summary=count", caller.base());
        assert_eq!(house.get(&caller, &target).await.json()["total"], all.len(), "{}", caller.label);
    }
}

#[tokio::test]
async fn summaries_and_elements_show_less_and_say_so() {
    let house = House::empty().await;
    house.import(vec![catalogue::product("600000000001", "Examplol", OWNER)]).await;
    let whole = house.get(&Caller::AGENCY, SEARCH).await.entries()[0]["resource"].clone();
    for (query, shown, left_out) in [
        (
            "_elements=identifier,status",
            &["identifier", "status", "name"][..],
            &["domain", "classification", "version"][..],
        ),
        ("_elements=version", &["version", "name"], &["identifier", "status"]),
        ("_summary=text", &["name"], &["identifier", "status", "domain"]),
        ("_summary=true", &["identifier", "status", "name", "classification"], &["text"]),
        ("_summary=data", &["identifier", "status", "name", "domain"], &["text"]),
    ] {
        let resource =
            house.get(&Caller::AGENCY, &format!("{SEARCH}?{query}")).await.entries()[0]["resource"].clone();
        for name in shown.iter().chain(&["resourceType", "id"]) {
            assert_eq!(resource[name], whole[name], "{query} {name}");
        }
        for name in left_out {
            assert!(resource.get(name).is_none(), "{query} {name}");
        }
        assert_eq!(resource["meta"]["versionId"], whole["meta"]["versionId"]);
        let subsetted = json!([{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}]);
        assert_eq!(resource["meta"]["tag"], subsetted, "{query}");
    }
    let same = house.get(&Caller::AGENCY, &format!("{SEARCH}?_summary=false")).await.entries()[0]["resource"]
        .clone();
    assert_eq!(same, whole);
}

#[tokio::test]
async fn elements_are_chosen_from_what_the_caller_sees() {
    let house = House::demo().await;
    for caller in Caller::ALL {
        let base = caller.base();
        let whole =
            house.get(&caller, &format!("{base}/MedicinalProductDefinition?_count=200")).await.entries();
        // 4.4.0 has other names for some.
        let elements = if base == V3 {
            "identifier,contact,characteristic,productClassification,manufacturingBusinessOperation"
        } else {
            "identifier,contact,characteristic,classification,operation"
        };
        for query in [format!("_elements={elements}"), "_summary=true".to_owned()] {
            let target = format!("{base}/MedicinalProductDefinition?_count=200&{query}");
            let part = house.get(&caller, &target).await.entries();
            assert_eq!(part.len(), whole.len());
            for (part, whole) in part.iter().zip(&whole) {
                for (name, value) in part["resource"].as_object().unwrap() {
                    if name != "meta" {
                        assert_eq!(*value, whole["resource"][name], "{} {name}", caller.label);
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn a_parameter_of_other_groups_is_forbidden_and_never_ignored() {
    let house = House::demo().await;
    for (caller, parameter) in [
        (Caller::OWNER, "contact"),
        (Caller::STRANGER, "contact"),
        (Caller::PUBLIC, "contact"),
        (Caller::PUBLIC, "master-file"),
        (Caller::PUBLIC, "characteristic"),
    ] {
        let target = format!("{}/MedicinalProductDefinition?{parameter}=x", caller.base());
        for prefer in ["handling=strict", "handling=lenient"] {
            let answer = house.get_with(&caller, &target, &[("prefer", prefer)]).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{} {parameter}", caller.label);
            assert_eq!(answer.json()["issue"][0]["code"], "forbidden");
        }
    }
}

#[tokio::test]
async fn products_are_found_by_what_their_views_show() {
    let house = House::demo().await;
    let all = house.get(&Caller::AGENCY, &format!("{SEARCH}?_count=200")).await.entries();
    let first = |pointer: &str| {
        let found =
            all.iter().find_map(|entry| entry["resource"].pointer(pointer).and_then(|value| value.as_str()));
        found.unwrap_or_else(|| panic!("the demo has no {pointer}")).replace('/', "%2F")
    };
    for (parameter, pointer) in [
        ("contact", "/contact/0/contact/reference"),
        ("master-file", "/masterFile/0/reference"),
        ("type", "/type/coding/0/code"),
        ("name-language", "/name/0/countryLanguage/0/language/coding/0/code"),
    ] {
        let query = format!("{parameter}={}", first(pointer));
        assert!(!house.all_ids(&Caller::AGENCY, &query, 200).await.is_empty(), "{query}");
    }
}

#[tokio::test]
async fn a_characteristic_finds_ones_own_product_and_nobody_elses() {
    let house = House::empty().await;
    let mut bundle = catalogue::product("600000000001", "Examplol", OWNER);
    bundle["entry"][0]["resource"]["characteristic"] =
        json!([{"type": catalogue::term("100000000001", "77")}]);
    house.import(vec![bundle]).await;
    for (caller, found) in [
        (Caller::OWNER, 1),
        (Caller::STRANGER, 0),
        (Caller::HUMAN_AUTHORITY, 1),
        (Caller::VETERINARY_AUTHORITY, 0),
    ] {
        assert_eq!(house.all_ids(&caller, "characteristic=77", 9).await.len(), found, "{}", caller.label);
    }
}

#[tokio::test]
async fn not_means_without_as_far_as_the_caller_sees() {
    let house = House::empty().await;
    house
        .import(vec![
            catalogue::product("600000000001", "Examplol", OWNER),
            catalogue::with_status("600000000002", "Vetexample", OWNER, "100000000013", "100000072099"),
        ])
        .await;
    for (caller, query, expected) in [
        (Caller::OWNER, "domain:not=100000000013", &["600000000001"][..]),
        (Caller::OWNER, "domain:not=100000000012,100000000013", &[]),
        (Caller::OWNER, "identifier:not=SECRET-600000000001", &["600000000002"]),
        // Whether the hidden identifier is there makes no difference to a stranger.
        (Caller::STRANGER, "identifier:not=SECRET-600000000001", &["600000000001"]),
        (Caller::STRANGER, "identifier:not=SECRET-nothing", &["600000000001"]),
        (Caller::AGENCY, "type:not=1", &["600000000001", "600000000002"]),
    ] {
        assert_eq!(house.all_ids(&caller, query, 9).await, expected, "{} {query}", caller.label);
    }
}
