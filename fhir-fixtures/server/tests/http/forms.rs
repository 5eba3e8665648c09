//! Search by form: the same search as by address, with longer queries.

use http::StatusCode;

use crate::{
    catalogue,
    harness::{Caller, House, OWNER, PUBLIC, V3},
};

const SEARCH: &str = "/pms/api/v3/MedicinalProductDefinition";
const FORM: &str = "/pms/api/v3/MedicinalProductDefinition/_search";

fn id(n: usize) -> String {
    format!("6000000{n:05}")
}

async fn house(products: usize) -> House {
    let house = House::empty().await;
    house.import((0..products).map(|n| catalogue::product(&id(n), "Examplol", OWNER)).collect()).await;
    house
}

/// A search for these ids, whose query no address could hold.
fn long(ids: impl Iterator<Item = usize>) -> String {
    let identifiers: Vec<String> =
        ids.map(|n| format!("http://ema.europa.eu/fhir/mpId|ES-100099999-{}", id(n))).collect();
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("identifier", &identifiers.join(","));
    form.finish()
}

#[tokio::test]
async fn a_form_finds_what_the_same_query_finds_and_joins_with_it() {
    let house = house(5).await;
    for (caller, query) in [
        (Caller::OWNER, "name=examplol&_count=2&_sort=-_id"),
        (Caller::PUBLIC, "identifier=SECRET-600000000001"),
        (Caller::AGENCY, "_summary=count"),
    ] {
        let base = format!("{}/MedicinalProductDefinition", caller.base());
        let by_address = house.get(&caller, &format!("{base}?{query}")).await;
        let by_form = house.form(&caller, &format!("{base}/_search"), query).await;
        assert_eq!(by_form.json(), by_address.json(), "{query}");
        let (in_query, in_form) = query.split_once('&').unwrap_or(("", query));
        let joined = house.form(&caller, &format!("{base}/_search?{in_query}"), in_form).await;
        assert_eq!(joined.json(), by_address.json(), "{query}");
    }
    let everything = house.form_with(&Caller::OWNER, FORM, "", &[]).await;
    assert_eq!(everything.ids().len(), 5, "a form without parameters is a search without parameters");
}

#[tokio::test]
async fn a_long_search_pages_to_the_end_by_links_of_ordinary_length() {
    let house = house(60).await;
    let form = long((0..60).step_by(2));
    assert!(form.len() > 2048);
    let mut page = house.form(&Caller::OWNER, FORM, &format!("{form}&_count=7&_total=accurate")).await;
    let mut ids = Vec::new();
    let mut pages = 0;
    loop {
        ids.extend(page.ids());
        pages += 1;
        assert_eq!(page.json()["total"], 30);
        for relation in ["self", "first", "next"] {
            let Some(link) = page.link(relation) else { continue };
            assert!(link.len() <= 2048, "{relation}: {}", link.len());
            assert!(link.starts_with(&format!("{SEARCH}?")), "{relation}: {link}");
        }
        let Some(next) = page.link("next") else { break };
        assert_eq!(house.get(&Caller::STRANGER, &next).await.status, StatusCode::BAD_REQUEST);
        page = house.get(&Caller::OWNER, &next).await;
    }
    assert_eq!(pages, 5);
    assert_eq!(ids, (0..60).step_by(2).map(id).collect::<Vec<_>>());
    let again = house.get(&Caller::OWNER, &page.link("first").unwrap()).await;
    assert_eq!(again.ids(), ids[..7]);
    // Whoever follows a link may ask for other pages, but for nothing else.
    let larger = page.link("first").unwrap().replace("_count=7", "_count=50");
    assert_eq!(house.get(&Caller::OWNER, &larger).await.ids().len(), 30);
    let more = format!("{larger}&name=other");
    assert_eq!(house.get(&Caller::OWNER, &more).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn what_no_link_can_carry_is_answered_in_one_page_or_refused() {
    let house = house(3).await;
    let noise: Vec<String> =
        (0..200_u64).map(|n| format!("{:x}", (n + 7).wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect();
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("identifier:not", &noise[..100].join(","));
    let form = form.finish();
    let whole = house.form(&Caller::OWNER, FORM, &format!("{form}&_count=3")).await;
    assert_eq!(whole.ids().len(), 3);
    let many: Vec<String> = (0..9)
        .map(|n| {
            format!("name:contains={},e", noise[n * 11..].join(",").chars().take(800).collect::<String>())
        })
        .collect();
    let refused = house.form(&Caller::OWNER, FORM, &format!("{}&_count=1", many.join("&"))).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{}", refused.text);
    assert!(refused.text.contains("too long to be carried"), "{}", refused.text);
}

#[tokio::test]
async fn forms_are_judged_like_queries() {
    let house = house(1).await;
    for (form, status, words) in [
        ("colour=red", StatusCode::BAD_REQUEST, "colour"),
        ("contact=x", StatusCode::FORBIDDEN, "contact"),
        ("_count=1&_count=2", StatusCode::BAD_REQUEST, "more than once"),
        ("_count=ten", StatusCode::BAD_REQUEST, "_count"),
        (&["name=a"; 11].join("&"), StatusCode::BAD_REQUEST, "10 search parameters"),
        (&format!("name={}", "x".repeat(70_000)), StatusCode::PAYLOAD_TOO_LARGE, "65536"),
    ] {
        let answer = house.form(&Caller::OWNER, FORM, form).await;
        assert_eq!(answer.status, status, "{words}");
        assert!(answer.text.contains(words), "{words}: {}", answer.text);
    }
    let both = house.form(&Caller::OWNER, &format!("{FORM}?_count=1"), "_count=2").await;
    assert_eq!(both.status, StatusCode::BAD_REQUEST, "{}", both.text);
    let json = [("content-type", "application/json")];
    let answer = house.form_with(&Caller::OWNER, FORM, "{}", &json).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{}", answer.text);
    let lenient = [
        ("content-type", "application/x-www-form-urlencoded; charset=UTF-8"),
        ("prefer", "handling=lenient"),
    ];
    let answer = house.form_with(&Caller::OWNER, FORM, "colour=red", &lenient).await;
    assert_eq!(answer.entries().len(), 2);
    for base in [V3, PUBLIC] {
        let answer = house.get(&Caller::OWNER, &format!("{base}/MedicinalProductDefinition/_search")).await;
        assert!(!answer.status.is_success(), "{base}: _search is no id");
    }
}
