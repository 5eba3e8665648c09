//! What a filter must close besides the element itself, channel by channel: how an answer could tell of something that
//! its caller must not see, and the test that fails when it does.
//!
//! | channel | test |
//! |---|---|
//! | 1 search by a hidden element | [`a_hidden_value_finds_nothing_by_any_parameter`] |
//! | 1 sort by a hidden element | [`nothing_hidden_can_be_sorted_by`] |
//! | 2 totals, counts, pages | [`totals_counts_and_pages_know_of_visible_products_only`] |
//! | 2 tokens in page links | [`a_page_link_holds_nothing_to_be_read`] |
//! | 3 hidden or absent: bytes, headers, conditional reads, error texts | [`hidden_and_absent_are_the_same_answer`] |
//! | 3 hidden or absent: time | [`hidden_and_absent_cost_the_same`] |
//! | 4 `_include`, `_revinclude` | [`nothing_hidden_comes_along`] |
//! | 4 `_elements`, `_summary` | [`a_hidden_element_cannot_be_asked_for_by_name`] |
//! | 4 `_has`, chains, `_content`, `_text`, `_filter` | [`there_is_no_parameter_that_looks_behind_the_view`] |
//! | 5 references, display | `other_products`, [`what_stands_beside_a_hidden_element_goes_with_it`] |
//! | 5 contained, narrative, extensions, description | [`what_stands_beside_a_hidden_element_goes_with_it`] |
//! | 6 tags and times of answers | [`a_hidden_change_moves_the_version_and_nothing_else`] |
//! | 7 SUBSETTED, required elements | [`what_lost_something_says_so_and_stays_valid`] |
//! | 8 memory shared between callers | [`what_one_caller_was_answered_is_nothing_to_another`] |
//! | 9 `$everything`, `$merge`, old versions | [`every_door_shows_the_same_view`], [`merge_answers_show_no_more_than_a_read`] |
//! | all of it, at random | `random_views` |

use http::{Method, StatusCode};
use serde_json::{Value, json};
use time::Duration;

use crate::{
    catalogue::{self, term},
    harness::{Answer, Caller, House, OWNER, V3, V5},
    merge,
    other_products::doors,
};

const ID: &str = "600000000001";
const PENDING: &str = "600000000002";
const ABSENT: &str = "600000000009";
/// Callers who see the product as the public does.
const OUTSIDERS: [Caller; 2] = [Caller::PUBLIC, Caller::STRANGER];

/// A public product with something hidden of every kind, each with the word `secret` in it.
fn secretive(id: &str) -> Value {
    let mut bundle = catalogue::product(id, "Examplol", OWNER);
    let root = &mut bundle["entry"][0]["resource"];
    let more = json!({
        "text": {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">secret narrative</div>"},
        "contained": [{"resourceType": "Organization", "id": "inside", "name": "secret contained"}],
        "extension": [{"url": "https://secret.example/extension", "valueString": "secret extension"}],
        "description": "secret description",
        "indication": "headache", "_indication": {"extension": [{"url": "https://secret.example/x", "valueString": "secret"}]},
        "contact": [{"type": {"coding": [{"code": "100000155057"}]}, "contact": {"reference": "PractitionerRole/secret-role", "display": "secret Dr"}}],
        "masterFile": [{"reference": "DocumentReference/secret-file", "display": "secret MFL"}],
        "attachedDocument": [{"reference": "DocumentReference/secret-report", "display": "secret report"}],
        "characteristic": [{"type": term("100000000099", "secret-characteristic"), "valueBoolean": true}],
        "comprisedOf": [{"reference": "#inside", "display": "secret part"}],
        "operation": [{"type": {"reference": {"reference": format!("ActivityDefinition/{id}-secret")}},
            "organization": [{"reference": "Organization/secret-site", "display": "secret site"}],
            "confidentialityIndicator": {"text": "Confidential"}}],
        "version": "secret version",
    });
    for (name, value) in more.as_object().unwrap() {
        root[name] = value.clone();
    }
    root["identifier"]
        .as_array_mut()
        .unwrap()
        .push(json!({"system": "https://secret.example/number", "value": "secret-number"}));
    root["classification"].as_array_mut().unwrap().push(term("100000000098", "secret-class"));
    let document = |name: &str| {
        json!({"resourceType": "DocumentReference", "id": name, "status": "current", "type": {"text": "secret"},
            "content": [{"attachment": {"title": "secret title"}}]})
    };
    for resource in [
        json!({"resourceType": "PractitionerRole", "id": "secret-role", "code": [{"text": "secret person"}]}),
        document("secret-file"),
        document("secret-report"),
        json!({"resourceType": "Organization", "id": "secret-site", "name": "secret site"}),
        json!({"resourceType": "ActivityDefinition", "id": format!("{id}-secret"), "status": "active"}),
        json!({"resourceType": "RegulatedAuthorization", "id": format!("{id}-secret-ma"),
            "identifier": [{"system": "https://secret.example/number", "value": "secret-licence"}],
            "subject": [{"reference": format!("ActivityDefinition/{id}-secret")}]}),
        json!({"resourceType": "Ingredient", "id": format!("{id}-secret-in"), "status": "active",
            "meta": {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]},
            "for": [{"reference": format!("ManufacturedItemDefinition/{id}-mid")}],
            "role": term("100000072050", "100000072082"),
            "substance": {"code": {"concept": term("100000000097", "secret-substance")}}}),
    ] {
        bundle["entry"].as_array_mut().unwrap().push(json!({"resource": resource}));
    }
    bundle
}

async fn house() -> House {
    let house = House::empty().await;
    house
        .import(vec![
            secretive(ID),
            catalogue::with_status(PENDING, "Pending", OWNER, "100000000012", "220000000066"),
            catalogue::product("600000000003", "Other", "ORG-100000098"),
        ])
        .await;
    house.follow().await;
    house
}

/// The address of a search.
pub(crate) fn search(caller: &Caller, query: &str) -> String {
    format!("{}/MedicinalProductDefinition?{query}", caller.base())
}

/// All of an answer that a caller gets, but for what no two answers share.
fn whole(answer: &Answer) -> String {
    // The state of all data is for the gateway, which keeps it for itself.
    let mut headers: Vec<String> = answer
        .headers
        .iter()
        .filter(|(name, _)| *name != caller_context::STATE_HEADER)
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    headers.sort();
    format!("{}\n{}\n{}", answer.status, headers.join("\n"), answer.text)
}

#[tokio::test]
async fn a_hidden_value_finds_nothing_by_any_parameter() {
    let house = house().await;
    let queries = [
        "identifier=secret-number",
        "identifier=https://secret.example/number|",
        "identifier=secret-licence",
        "product-classification=secret-class",
        "ingredient=secret-substance",
        "characteristic=secret-characteristic",
        "contact=PractitionerRole/secret-role",
        "master-file=secret-file",
    ];
    for query in queries.map(|query| query.replace('|', "%7C")) {
        let found = house.get(&Caller::AGENCY, &search(&Caller::AGENCY, &query)).await;
        let known = !query.contains("licence");
        assert_eq!(found.json()["total"], u64::from(known), "{query}");
        for caller in OUTSIDERS {
            for query in [query.clone(), format!("name=examplol&{query}")] {
                let answer = house.get(&caller, &search(&caller, &query)).await;
                let refused =
                    answer.status == StatusCode::FORBIDDEN || answer.status == StatusCode::BAD_REQUEST;
                assert!(refused || answer.json()["total"] == 0, "{} {query} {}", caller.label, answer.text);
            }
            // Nor may its absence be told: without it there are as many as there are.
            let (name, value) = query.split_once('=').unwrap();
            let all = house.get(&caller, &search(&caller, "")).await.json()["total"].clone();
            let without = house.get(&caller, &search(&caller, &format!("{name}:not={value}"))).await;
            assert!(
                without.status != StatusCode::OK || without.json()["total"] == all,
                "{} {query}",
                caller.label
            );
        }
    }
}

#[tokio::test]
async fn nothing_hidden_can_be_sorted_by() {
    let house = house().await;
    for caller in Caller::ALL {
        for name in
            ["contact", "characteristic", "master-file", "ingredient", "version", "description", "identifier"]
        {
            let answer = house.get(&caller, &search(&caller, &format!("_sort={name}"))).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{} {name}", caller.label);
        }
    }
}

#[tokio::test]
async fn totals_counts_and_pages_know_of_visible_products_only() {
    let house = house().await;
    for (caller, total) in
        [(Caller::PUBLIC, 2), (Caller::STRANGER, 2), (Caller::OWNER, 3), (Caller::VETERINARY_AUTHORITY, 0)]
    {
        for query in
            ["_summary=count", "_count=0", "_count=1", "_total=accurate", "name:contains=e&_total=accurate"]
        {
            let answer = house.get(&caller, &search(&caller, query)).await;
            assert_eq!(answer.json()["total"], total, "{} {query}", caller.label);
        }
        // A page is as long as asked while there are products, so that none was skipped.
        assert_eq!(house.all_ids(&caller, "", 1).await.len(), total, "{}", caller.label);
        let hidden = house.get(&caller, &search(&caller, &format!("_id={PENDING}"))).await;
        assert_eq!(hidden.json()["total"], u64::from(total == 3), "{}", caller.label);
    }
}

#[tokio::test]
async fn a_page_link_holds_nothing_to_be_read() {
    let house = house().await;
    let first = house.get(&Caller::OWNER, &search(&Caller::OWNER, "_count=1")).await;
    let next = first.link("next").unwrap();
    let cursor = next.split("_cursor=").nth(1).unwrap();
    // Decoded it names the last product of the page, which its caller saw, and no other.
    let plain = base64_text(cursor);
    for id in [PENDING, "600000000003"] {
        assert!(!next.contains(id) && !plain.contains(id), "{plain}");
    }
    for other in [Caller::STRANGER, Caller::QUALIFIED, Caller::AUTHORITY, Caller::AGENCY] {
        assert_eq!(house.get(&other, &next).await.status, StatusCode::BAD_REQUEST, "{}", other.label);
    }
}

/// The readable bytes of a cursor.
fn base64_text(cursor: &str) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digits: Vec<u32> = cursor
        .bytes()
        .filter_map(|byte| u32::try_from(DIGITS.iter().position(|digit| *digit == byte)?).ok())
        .collect();
    let bytes = digits.chunks(4).flat_map(|four| {
        let word = four.iter().fold(0, |word, digit| word << 6 | digit) << (6 * (4 - four.len()));
        word.to_be_bytes().into_iter().skip(1).take(four.len() - 1).collect::<Vec<u8>>()
    });
    bytes.map(|byte| if byte.is_ascii() { char::from(byte) } else { ' ' }).collect()
}

#[tokio::test]
async fn hidden_and_absent_are_the_same_answer() {
    let house = house().await;
    let etag = house.get(&Caller::OWNER, &format!("{V3}/MedicinalProductDefinition/{PENDING}")).await;
    let etag = etag.header("etag").to_owned();
    for caller in [Caller::PUBLIC, Caller::STRANGER, Caller::VETERINARY_AUTHORITY] {
        for (door, _) in doors(&caller, "ID") {
            for headers in [
                &[][..],
                &[("if-none-match", etag.as_str())],
                &[("if-none-match", "*")],
                &[("if-modified-since", "Sun, 01 Mar 2026 12:00:00 GMT")],
                &[("prefer", "handling=lenient")],
                &[("accept", "application/fhir+json; fhirVersion=4.4")],
            ] {
                let mut answers = Vec::new();
                for id in [PENDING, ABSENT] {
                    let answer = house.get_with(&caller, &door.replace("ID", id), headers).await;
                    let searched = door.contains('?');
                    assert!(searched || answer.status == StatusCode::NOT_FOUND, "{} {door}", caller.label);
                    // The tag of a search is of what it says, its own address included.
                    let tag = answer.header("etag").to_owned();
                    let whole = whole(&answer).replace(id, "ID");
                    answers.push(if tag.is_empty() { whole } else { whole.replace(&tag, "TAG") });
                }
                assert_eq!(answers[0], answers[1], "{} {door} {headers:?}", caller.label);
            }
        }
        // Wrong methods and parameters are told before anything is looked up.
        for (method, path) in
            [(Method::POST, ""), (Method::GET, "?nonsense=1"), (Method::GET, "/$everything?_since=x")]
        {
            let target = |id: &str| format!("{}/MedicinalProductDefinition/{id}{path}", caller.base());
            let hidden = house.ask(&caller, &method, &target(PENDING), &[]).await;
            let absent = house.ask(&caller, &method, &target(ABSENT), &[]).await;
            assert_eq!(whole(&hidden).replace(PENDING, "ID"), whole(&absent).replace(ABSENT, "ID"), "{path}");
        }
    }
}

#[tokio::test]
async fn hidden_and_absent_cost_the_same() {
    let house = house().await;
    let targets = |id: &str| doors(&Caller::STRANGER, id).into_iter().filter(|(door, _)| !door.contains('?'));
    for id in [PENDING, ABSENT] {
        for (door, _) in targets(id) {
            assert_eq!(house.get(&Caller::STRANGER, &door).await.status, StatusCode::NOT_FOUND, "{door}");
        }
    }
    // Both were decided from memory: without a database they still are, and neither is looked for anew.
    house.follow().await;
    house.database().close().await;
    tokio::time::pause();
    for id in [PENDING, ABSENT] {
        for (door, _) in targets(id) {
            assert_eq!(house.get(&Caller::STRANGER, &door).await.status, StatusCode::NOT_FOUND, "{door}");
        }
    }
}

#[tokio::test]
async fn nothing_hidden_comes_along() {
    let house = house().await;
    for caller in OUTSIDERS {
        for query in [
            "_include=*",
            "_revinclude=*",
            "_include=*&_revinclude=*",
            "_include:iterate=*&_revinclude:iterate=*",
        ] {
            let answer = house.get(&caller, &search(&caller, &format!("{query}&_id={ID}"))).await;
            assert!(!answer.text.contains("secret"), "{} {query}: {}", caller.label, answer.text);
        }
    }
    let agency = house
        .get(&Caller::AGENCY, &search(&Caller::AGENCY, &format!("_include=*&_revinclude=*&_id={ID}")))
        .await;
    assert_eq!(agency.status, StatusCode::OK, "{}", agency.text);
    assert!(agency.text.contains("secret"));
}

#[tokio::test]
async fn a_hidden_element_cannot_be_asked_for_by_name() {
    let house = house().await;
    for caller in OUTSIDERS {
        for name in [
            "description",
            "version",
            "contact",
            "characteristic",
            "operation",
            "comprisedOf",
            "text",
            "extension",
        ] {
            for query in [
                format!("_elements={name}"),
                format!("_elements={name},name"),
                "_summary=true".to_owned(),
                "_summary=data".to_owned(),
            ] {
                let answer = house.get(&caller, &search(&caller, &format!("{query}&_id={ID}"))).await;
                assert!(!answer.text.contains("secret "), "{} {query}: {}", caller.label, answer.text);
                if answer.status == StatusCode::OK {
                    // The same whether the element is hidden or never was: a product without it answers alike.
                    let other =
                        house.get(&caller, &search(&caller, &format!("{query}&_id=600000000003"))).await;
                    let names = |answer: &Answer| -> Vec<String> {
                        answer.entries()[0]["resource"].as_object().unwrap().keys().cloned().collect()
                    };
                    if query.starts_with("_elements") {
                        assert_eq!(names(&answer), names(&other), "{} {query}", caller.label);
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn there_is_no_parameter_that_looks_behind_the_view() {
    let house = house().await;
    for caller in Caller::ALL {
        for query in [
            "_has:RegulatedAuthorization:subject:identifier=secret-licence",
            "_content=secret",
            "_text=secret",
            "_filter=description%20co%20%22secret%22",
            "_list=secret",
            "contact.name=secret",
            "master-file:identifier=secret",
            "_query=secret",
            "description=secret",
            "description:contains=secret",
        ] {
            let answer = house.get(&caller, &search(&caller, query)).await;
            let refused = matches!(answer.status, StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN);
            assert!(refused, "{} {query} {}", caller.label, answer.status);
            // Ignored at the caller's wish, it changes nothing.
            let lenient =
                house.get_with(&caller, &search(&caller, query), &[("prefer", "handling=lenient")]).await;
            if lenient.status == StatusCode::OK {
                let all = house.get(&caller, &search(&caller, "")).await;
                assert_eq!(lenient.json()["total"], all.json()["total"], "{} {query}", caller.label);
            }
        }
    }
}

#[tokio::test]
async fn what_stands_beside_a_hidden_element_goes_with_it() {
    let house = house().await;
    for caller in OUTSIDERS {
        for (door, _) in doors(&caller, ID) {
            let answer = house.get(&caller, &door).await;
            assert!(!answer.text.contains("secret"), "{} {door}: {}", caller.label, answer.text);
        }
    }
    for caller in [Caller::AGENCY, Caller::AUTHORITY, Caller::QUALIFIED] {
        let answer = house.get(&caller, &format!("{V5}/MedicinalProductDefinition/{ID}/$everything")).await;
        for what in ["narrative", "contained", "extension", "description", "Dr", "part", "site", "licence"] {
            assert!(answer.text.contains(what), "{} {what}", caller.label);
        }
    }
}

#[tokio::test]
async fn a_hidden_change_moves_the_version_and_nothing_else() {
    let house = house().await;
    let everything = |caller: &Caller| {
        let base = if caller.label == "public" { caller.base() } else { V5 };
        format!("{base}/MedicinalProductDefinition/{ID}/$everything")
    };
    let mut before = Vec::new();
    for caller in OUTSIDERS {
        before.push(house.get(&caller, &everything(&caller)).await);
    }
    // A hidden part changes: for those who do not see it nothing does, the tag of the whole included.
    house.clock.advance(Duration::hours(1));
    let mut bundle = secretive(ID);
    let licence = bundle["entry"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .find(|entry| entry["resource"]["id"] == format!("{ID}-secret-ma").as_str())
        .unwrap();
    licence["resource"]["identifier"][0]["value"] = json!("another secret");
    house.import(vec![bundle]).await;
    house.follow().await;
    for (caller, before) in OUTSIDERS.iter().zip(&before) {
        let after = house.get(caller, &everything(caller)).await;
        assert_eq!(whole(&after), whole(before), "{}", caller.label);
    }
    // A hidden element of the root changes: its version and time do, as documented, and nothing else.
    house.clock.advance(Duration::hours(1));
    let mut bundle = secretive(ID);
    bundle["entry"][0]["resource"]["description"] = json!("another secret");
    house.import(vec![bundle]).await;
    house.follow().await;
    for (caller, before) in OUTSIDERS.iter().zip(&before) {
        let after = house.get(caller, &everything(caller)).await;
        let plain = |answer: &Answer| {
            let mut entries = answer.entries();
            for meta in ["versionId", "lastUpdated"] {
                entries[0]["resource"]["meta"][meta] = Value::Null;
            }
            entries
        };
        assert_eq!(plain(&after), plain(before), "{}", caller.label);
        assert_eq!(after.entries()[0]["resource"]["meta"]["versionId"], "2");
    }
}

#[tokio::test]
async fn what_lost_something_says_so_and_stays_valid() {
    let house = house().await;
    let stored = fhir_store::find(house.database(), ID).await.unwrap().unwrap();
    for caller in
        Caller::ALL.into_iter().filter(|caller| !matches!(caller.label, "public" | "veterinary authority"))
    {
        let answer = house.get(&caller, &format!("{V5}/MedicinalProductDefinition/{ID}/$everything")).await;
        for entry in answer.entries() {
            let resource = &entry["resource"];
            assert_eq!(fhir_model::schema::check(resource), vec![], "{}", caller.label);
            let key = fhir_model::resource_key(resource).unwrap();
            let complete = stored.product.find(&key).unwrap();
            let tagged = resource["meta"]["tag"].to_string().contains("SUBSETTED");
            assert_eq!(tagged, resource != complete, "{} {key}", caller.label);
            // A contact without its required contact would be nothing; it is gone with it.
            assert!(!tagged || resource.get("text").is_none(), "{} {key}", caller.label);
        }
    }
}

#[tokio::test]
async fn what_one_caller_was_answered_is_nothing_to_another() {
    let warm = house().await;
    let targets =
        |caller: &Caller| doors(caller, ID).into_iter().chain(doors(caller, PENDING)).map(|(door, _)| door);
    let mut alone = Vec::new();
    for caller in &Caller::ALL {
        // Each first caller of a house of its own.
        let cold = house().await;
        for target in targets(caller) {
            alone.push(whole(&cold.get(caller, &target).await));
        }
    }
    for round in 0..2 {
        let mut order: Vec<usize> = (0..Caller::ALL.len()).collect();
        if round == 1 {
            order.reverse();
        }
        for at in order {
            let caller = &Caller::ALL[at];
            let before: usize = Caller::ALL[..at].iter().map(|caller| targets(caller).count()).sum();
            for (n, target) in targets(caller).enumerate() {
                let answer = whole(&warm.get(caller, &target).await);
                assert_eq!(answer, alone[before + n], "{} {target}", caller.label);
            }
        }
    }
}

#[tokio::test]
async fn every_door_shows_the_same_view() {
    let house = house().await;
    for caller in [Caller::OWNER, Caller::QUALIFIED, Caller::HUMAN_AUTHORITY, Caller::AGENCY] {
        let root = |answer: Answer| match answer.json()["resourceType"].as_str() {
            Some("Bundle") => answer.entries()[0]["resource"].clone(),
            _ => answer.json(),
        };
        let read = root(house.get(&caller, &format!("{V3}/MedicinalProductDefinition/{ID}")).await);
        for (door, _) in doors(&caller, ID).into_iter().filter(|(door, _)| door.starts_with(V3)) {
            assert_eq!(root(house.get(&caller, &door).await), read, "{} {door}", caller.label);
        }
    }
}

/// Everything that the answer to an accepted merge shows, a read shows, too.
#[tokio::test]
async fn merge_answers_show_no_more_than_a_read() {
    let mut compared = 0;
    for rule in fhir_model::merge::Rule::ALL {
        let Some(bundle) = merge::example(&format!("{}.accepted.json", rule.id())) else { continue };
        let house = merge::documented().await;
        let answer = merge::merge(&house, &merge::OWNER, &[], &bundle).await;
        if answer.status != StatusCode::OK {
            continue;
        }
        let target = format!("{V5}/MedicinalProductDefinition/{}/$everything", merge::ID);
        let read = house.get(&merge::OWNER, &target).await.entries();
        for entry in answer.entries() {
            if let Some(resource) = entry.get("resource") {
                let shown = read.iter().any(|entry| entry["resource"] == *resource);
                assert!(shown, "{}: {resource}", rule.id());
                compared += 1;
            }
        }
    }
    assert!(compared > 3, "{compared}");
}
