//! Search over HTTP: parameters, pages, totals, refusals.

use http::StatusCode;

use crate::{
    catalogue,
    harness::{Caller, House, OWNER, V3},
};

const SEARCH: &str = "/pms/api/v3/MedicinalProductDefinition";

#[tokio::test]
async fn every_class_pages_to_the_end_without_loss_or_duplicate() {
    let house = House::demo().await;
    for follow in [false, true] {
        if follow {
            house.follow().await;
        }
        let mut sizes = Vec::new();
        for caller in Caller::ALL {
            let whole = house.all_ids(&caller, "", 200).await;
            assert!(whole.windows(2).all(|two| two[0] < two[1]), "{}", caller.label);
            for count in [1, 7] {
                assert_eq!(house.all_ids(&caller, "", count).await, whole, "{}", caller.label);
            }
            // Whatever is listed can be read, and in every class the same.
            for id in &whole {
                let read =
                    house.get(&caller, &format!("{}/MedicinalProductDefinition/{id}", caller.base())).await;
                assert_eq!(read.status, StatusCode::OK, "{} {id}", caller.label);
            }
            sizes.push((caller.label, whole.len()));
        }
        let size = |label: &str| sizes.iter().find(|(known, _)| *known == label).unwrap().1;
        assert!(size("agency") >= 40, "{sizes:?}");
        assert!(0 < size("public") && size("public") < size("agency"), "{sizes:?}");
        assert!(
            size("human authority") < size("authority") && size("veterinary authority") < size("authority"),
            "{sizes:?}"
        );
        assert!(size("owner") > size("stranger"), "{sizes:?}");
    }
}

#[tokio::test]
async fn parameters_combine_and_a_product_is_found_by_each() {
    let house = House::empty().await;
    house
        .import(vec![
            catalogue::product("600000000001", "Examplol 5 mg", OWNER),
            catalogue::product("600000000002", "Examplol 10 mg", OWNER),
            catalogue::with_status("600000000003", "Vetexample", OWNER, "100000000013", "100000072099"),
        ])
        .await;
    let spor = "http%3A%2F%2Fspor.ema.europa.eu%2Fv1%2Flists";
    for (query, expected) in [
        ("_id=600000000001", &["600000000001"][..]),
        ("_id=600000000001,600000000003", &["600000000001", "600000000003"]),
        ("name=EXAMPLOL", &["600000000001", "600000000002"]),
        ("name=examplol+5", &["600000000001"]),
        ("name:contains=example", &["600000000003"]),
        ("name:exact=Examplol%2010%20mg", &["600000000002"]),
        ("name=examplol&name:contains=10", &["600000000002"]),
        ("identifier=ES-100099999-600000000002", &["600000000002"]),
        ("identifier=http://ema.europa.eu/fhir/mpId%7CES-100099999-600000000002", &["600000000002"]),
        ("identifier=%7CES-100099999-600000000002", &[]),
        (&format!("domain={spor}%2F100000000004%7C100000000013"), &["600000000003"]),
        ("domain=100000000012,100000000013", &["600000000001", "600000000002", "600000000003"]),
        ("status=200000005004", &["600000000001", "600000000002", "600000000003"]),
        ("product-classification=100000095065&name=vet", &["600000000003"]),
        ("_lastUpdated=2026-03-01", &["600000000001", "600000000002", "600000000003"]),
        ("_lastUpdated=gt2026-03-01", &[]),
        ("_lastUpdated=ap2026-03-01", &["600000000001", "600000000002", "600000000003"]),
        ("_lastUpdated=ap2020", &[]),
        ("name=nonesuch", &[]),
    ] {
        let answer = house.get(&Caller::AGENCY, &format!("{SEARCH}?{query}")).await;
        assert_eq!(answer.ids(), expected, "{query}");
        assert_eq!(answer.json()["total"], expected.len(), "{query}");
        assert!(answer.link("self").is_some());
    }
    let counted = house.get(&Caller::AGENCY, &format!("{SEARCH}?_count=0")).await;
    assert_eq!((counted.json()["total"].as_u64(), counted.entries().len()), (Some(3), 0));
}

#[tokio::test]
async fn a_hidden_identifier_finds_nothing_and_counts_nothing() {
    let house = House::empty().await;
    house.import(vec![catalogue::product("600000000001", "Examplol", OWNER)]).await;
    for (caller, total) in [
        (Caller::OWNER, 1),
        (Caller::STRANGER, 0),
        (Caller::PUBLIC, 0),
        (Caller::HUMAN_AUTHORITY, 1),
        (Caller::AGENCY, 1),
    ] {
        for query in ["identifier=SECRET-600000000001", "identifier=https://company.example/product-code%7C"]
        {
            let answer =
                house.get(&caller, &format!("{}/MedicinalProductDefinition?{query}", caller.base())).await;
            assert_eq!(answer.json()["total"], total, "{} {query}", caller.label);
            assert_eq!(answer.ids().len(), total, "{} {query}", caller.label);
        }
    }
}

#[tokio::test]
async fn wrong_parameters_are_refused_by_name() {
    let house = House::empty().await;
    let long = format!("name={}", "x".repeat(2100));
    let many = ["name=a"; 11].join("&");
    for (query, words) in [
        ("nonsense=1", "nonsense"),
        ("_sort=contact", "_sort"),
        ("_sort=name,-name", "twice"),
        ("_sort=", "_sort"),
        ("_sort=name,", "_sort"),
        ("_sort:desc=name", "_sort"),
        ("_total=all", "_total"),
        ("_summary=yes", "_summary"),
        ("_elements=name,colour", "colour"),
        ("_elements=name&_summary=true", "_summary"),
        ("_include=Organization:partof", "_include:iterate"),
        ("_include=RegulatedAuthorization:subject", "_include:iterate"),
        ("_include=MedicinalProductDefinition:colour", "contact"),
        ("_include=MedicinalProductDefinition", "names no parameter"),
        ("_include=a:b:c:d", "colons"),
        ("_include=Patient:x", "no resource type"),
        ("_include:recurse=*", ":iterate"),
        ("_revinclude=PackagedProductDefinition:package-for", "subject"),
        ("_revinclude=ClinicalUseDefinition:subject", "ClinicalUseIssue"),
        ("_revinclude=Ingredient:for", "no link"),
        ("_revinclude=*&_summary=text", "_summary"),
        ("name:missing=true", ":missing"),
        ("status:missing=true", ":missing"),
        ("name:not=a", ":not"),
        ("name=", "name"),
        ("name=a,,b", "comma"),
        ("_count=-1", "_count"),
        ("_count=ten", "_count"),
        ("_count=1&_count=2", "more than once"),
        ("_lastUpdated=yesterday", "_lastUpdated"),
        ("_lastUpdated=zz2026", "eq ne gt ge lt le sa eb ap"),
        ("identifier=a%7Cb%7Cc", "bar"),
        ("_pretty=maybe", "_pretty"),
        ("_cursor=AAAA", "page link"),
        (&long, "2048"),
        (&many, "10 search parameters"),
    ] {
        let answer = house.get(&Caller::OWNER, &format!("{SEARCH}?{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        let issue = answer.json()["issue"][0].clone();
        let text = issue["details"]["text"].as_str().unwrap();
        assert!(text.contains(words), "{query}: {text}");
        assert!(issue["details"]["coding"][0]["code"].is_string(), "{issue}");
        assert!(issue["diagnostics"].as_str().unwrap().starts_with("Request r-1. Rule: "), "{issue}");
    }
}

#[tokio::test]
async fn unknown_parameters_are_ignored_on_demand_and_the_answer_says_so() {
    let house = House::empty().await;
    house.import(vec![catalogue::product("600000000001", "Examplol", OWNER)]).await;
    let target = format!("{SEARCH}?nonsense=1&name=examplol");
    let answer = house.get_with(&Caller::OWNER, &target, &[("prefer", "handling=lenient")]).await;
    let entries = answer.entries();
    assert_eq!(answer.json()["total"], 1);
    assert_eq!(entries[1]["search"]["mode"], "outcome");
    assert!(entries[1]["resource"]["issue"][0]["details"]["text"].as_str().unwrap().contains("nonsense"));
    assert_eq!(answer.link("self").unwrap(), format!("{SEARCH}?name=examplol"));
    // What the gateway had left out already is told, too; strict is strict whatever follows.
    let told = [("prefer", "handling=lenient"), ("x-pmsgate-ignored", "colour&shoe%20size")];
    let answer = house.get_with(&Caller::OWNER, &format!("{SEARCH}?name=examplol"), &told).await;
    assert!(
        answer.text.contains("Ignored, because not supported here: colour, shoe size."),
        "{}",
        answer.text
    );
    let strict = [("prefer", "handling=strict, handling=lenient")];
    assert_eq!(house.get_with(&Caller::OWNER, &target, &strict).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_total_is_told_again_until_something_changes_and_to_its_own_class_only() {
    let house = House::empty().await;
    let product = |n: usize| catalogue::product(&format!("60000000000{n}"), "Examplol", OWNER);
    let hidden = catalogue::with_status("600000000009", "Examplol", OWNER, "100000000012", "220000000066");
    house.import(vec![product(1), product(2), hidden]).await;
    house.follow().await;
    for (more, all, open) in [(3, 3, 2), (4, 4, 3), (5, 5, 4)] {
        for _ in 0..2 {
            for (caller, expected) in [(Caller::OWNER, all), (Caller::STRANGER, open), (Caller::AGENCY, all)]
            {
                for query in
                    ["name=examplol&_count=1", "name=examplol&_count=0", "name=examplol&_summary=count"]
                {
                    let answer = house.get(&caller, &format!("{SEARCH}?{query}")).await;
                    assert_eq!(answer.json()["total"], expected, "{} {query}", caller.label);
                }
            }
        }
        house.import(vec![product(more)]).await;
        house.follow().await;
    }
}

#[tokio::test]
async fn an_unchanged_page_is_not_sent_again() {
    let house = House::empty().await;
    let ids = ["600000000001", "600000000002", "600000000003"];
    house.import(ids.iter().map(|id| catalogue::product(id, "Examplol", OWNER)).collect()).await;
    let target = format!("{SEARCH}?_count=2&_revinclude=RegulatedAuthorization:subject");
    let tag = house.get(&Caller::OWNER, &target).await.header("etag").to_owned();
    let again = house.get_with(&Caller::OWNER, &target, &[("if-none-match", &tag)]).await;
    assert_eq!((again.status, again.text.as_str()), (StatusCode::NOT_MODIFIED, ""));
    // Another caller sees something else at the same address.
    let other = house.get_with(&Caller::STRANGER, &target, &[("if-none-match", &tag)]).await;
    assert_eq!(other.status, StatusCode::OK);
    house.import(vec![catalogue::product("600000000004", "Examplol", OWNER)]).await;
    let more = house.get_with(&Caller::OWNER, &target, &[("if-none-match", &tag)]).await;
    assert_eq!(more.status, StatusCode::OK, "the total is another one");
    assert_eq!(more.header("last-modified"), "", "what no longer matches leaves no trace");
}

#[tokio::test]
async fn a_page_link_is_for_its_own_caller_and_query_only() {
    let house = House::empty().await;
    let ids = ["600000000001", "600000000002", "600000000003"];
    house.import(ids.iter().map(|id| catalogue::product(id, "Examplol", OWNER)).collect()).await;
    let first = house.get(&Caller::OWNER, &format!("{SEARCH}?name=examplol&_count=1")).await;
    let next = first.link("next").unwrap();
    assert_eq!(house.get(&Caller::OWNER, &next).await.ids(), ["600000000002"]);
    // Another page size is the same query; other words are not.
    assert_eq!(house.get(&Caller::OWNER, &next.replace("_count=1", "_count=5")).await.ids().len(), 2);
    for stolen in [next.replace("name=examplol", "name=e"), next.replace("name=examplol&", "")] {
        assert_eq!(house.get(&Caller::OWNER, &stolen).await.status, StatusCode::BAD_REQUEST, "{stolen}");
    }
    for other in [Caller::STRANGER, Caller::QUALIFIED, Caller::AUTHORITY] {
        assert_eq!(house.get(&other, &next).await.status, StatusCode::BAD_REQUEST, "{}", other.label);
    }
    let last = next.chars().last().unwrap();
    let changed = format!("{}{}", &next[..next.len() - 1], if last == 'A' { 'B' } else { 'A' });
    assert_eq!(house.get(&Caller::OWNER, &changed).await.status, StatusCode::BAD_REQUEST);
    assert!(!next.contains("600000000"), "{next}");
}

#[tokio::test]
async fn pages_stay_in_order_while_products_come_and_go() {
    let house = House::empty().await;
    let ids: Vec<String> = (1..=9).map(|n| format!("60000000000{n}")).collect();
    house.import(ids.iter().step_by(2).map(|id| catalogue::product(id, "Examplol", OWNER)).collect()).await;
    let first = house.get(&Caller::OWNER, &format!("{V3}/MedicinalProductDefinition?_count=2")).await;
    assert_eq!(first.ids(), [ids[0].clone(), ids[2].clone()]);
    house
        .import(vec![
            catalogue::product(&ids[1], "Between", OWNER),
            catalogue::product(&ids[3], "After", OWNER),
        ])
        .await;
    let second = house.get(&Caller::OWNER, &first.link("next").unwrap()).await;
    assert_eq!(second.ids(), [ids[3].clone(), ids[4].clone()]);
}
