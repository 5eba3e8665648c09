//! What is sent to `$merge` is stored or refused, never dropped without a word.

use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    catalogue,
    harness::{Answer, Caller, House, V5},
    merge::{ID, OWNER, QUALIFIED, documented, everything, example, merge, outcome_later, send_bundle},
};

const ROOT: &str = "MedicinalProductDefinition/600000000901";
/// Of the same holder, and so no secret to it.
const SIBLING: &str = "600000000902";
/// Pending, of another holder.
const HIDDEN: &str = "600000000003";
const ABSENT: &str = "699999999999";

/// The examples, and a product that their holder must not know of.
async fn house() -> House {
    let house = documented().await;
    let stranger = "ORG-100099777";
    house
        .import(vec![catalogue::with_status(HIDDEN, "Pending", stranger, "100000000012", "220000000066")])
        .await;
    house.follow().await;
    house
}

/// The product as the caller reads it, and a transaction that sends it back, changed.
async fn changed(house: &House, caller: &Caller, change: impl FnOnce(&mut Value)) -> Value {
    let mut root = everything(house, caller).await.remove(ROOT).unwrap();
    change(&mut root);
    let entry = json!({"request": {"method": "PUT", "url": ROOT}, "resource": root});
    json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
}

fn cross_reference(link: &str) -> Value {
    json!([{"product": {"reference": {"reference": link}}}])
}

fn rules(answer: &Answer) -> Vec<String> {
    let issues = answer.json()["issue"].as_array().cloned().unwrap_or_default();
    issues.iter().map(|issue| issue["details"]["coding"][0]["code"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_new_link_to_a_product_that_the_caller_may_see_is_stored_and_replaced() {
    let house = house().await;
    let link = format!("MedicinalProductDefinition/{SIBLING}");
    let bundle = changed(&house, &QUALIFIED, |root| root["crossReference"] = cross_reference(&link)).await;
    let answer = merge(&house, &QUALIFIED, &[], &bundle).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    for caller in [QUALIFIED, Caller::AUTHORITY, Caller::AGENCY] {
        let root = &everything(&house, &caller).await[ROOT];
        assert_eq!(root["crossReference"], cross_reference(&link), "{}", caller.label);
    }
    let third = "600000000004";
    house.import(vec![catalogue::product(third, "Third", "ORG-100099001")]).await;
    let link = format!("MedicinalProductDefinition/{third}");
    let bundle = changed(&house, &QUALIFIED, |root| {
        root["crossReference"][0]["product"]["reference"]["reference"] = link.as_str().into();
    })
    .await;
    assert_eq!(merge(&house, &QUALIFIED, &[], &bundle).await.status, StatusCode::OK);
    assert_eq!(everything(&house, &Caller::AGENCY).await[ROOT]["crossReference"], cross_reference(&link));
}

#[tokio::test]
async fn links_to_hidden_and_to_absent_products_are_refused_alike_at_once_and_later() {
    let house = house().await;
    let before = everything(&house, &Caller::AGENCY).await;
    let mut told = Vec::new();
    for id in [HIDDEN, ABSENT] {
        let link = format!("MedicinalProductDefinition/{id}");
        let alone = changed(&house, &OWNER, |root| root["crossReference"] = cross_reference(&link)).await;
        let beside = changed(&house, &OWNER, |root| {
            root["crossReference"] = cross_reference(&link);
            root["indication"] = "Beside a link".into();
        })
        .await;
        for bundle in [&alone, &beside] {
            let answer = merge(&house, &OWNER, &[], bundle).await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.text);
            assert_eq!(rules(&answer), ["references"]);
            let later = outcome_later(&house, &OWNER, bundle).await;
            let issue = |outcome: &Value| {
                let issue = &outcome["issue"][0];
                [&issue["code"], &issue["details"], &issue["expression"]].map(Value::to_string)
            };
            assert_eq!(issue(&later["entry"][0]["response"]["outcome"]), issue(&answer.json()));
            told.push(answer.text.replace(id, "ID"));
        }
    }
    assert_eq!((&told[0], &told[1]), (&told[2], &told[3]));
    assert_eq!(everything(&house, &Caller::AGENCY).await, before);
    // A pack of another product, and of none.
    for link in ["PackagedProductDefinition/none", &format!("PackagedProductDefinition/{SIBLING}")] {
        let bundle = changed(&house, &OWNER, |root| root["crossReference"] = cross_reference(link)).await;
        assert_eq!(rules(&merge(&house, &OWNER, &[], &bundle).await), ["references"], "{link}");
    }
    let target = format!("{V5}/MedicinalProductDefinition/{ID}/$everything");
    assert!(!house.get(&Caller::AGENCY, &target).await.text.contains(HIDDEN));
}

#[tokio::test]
async fn a_resource_that_is_no_fhir_is_refused_and_nothing_else_is_stored() {
    let house = house().await;
    let before = everything(&house, &Caller::AGENCY).await;
    let pack = "PackagedProductDefinition/690901";
    let mut renamed = before[pack].clone();
    renamed["description"] = "Another pack".into();
    let renamed = json!({"request": {"method": "PUT", "url": pack}, "resource": renamed});
    for (wrong, at, code) in [
        (json!([]), ".name", "value"),
        (json!([{}]), ".name[0]", "value"),
        (json!(null), ".name", "structure"),
        (json!({}), ".name", "structure"),
        (json!("x"), ".name", "structure"),
        (json!(0), ".name", "structure"),
        (json!([{"productName": []}]), ".name[0].productName", "structure"),
        (json!([{"productName": {}}]), ".name[0].productName", "structure"),
    ] {
        for caller in [OWNER, QUALIFIED, Caller::AGENCY] {
            let mut bundle = changed(&house, &caller, |root| {
                root["name"] = wrong.clone();
                root["indication"] = "Lost".into();
            })
            .await;
            bundle["entry"].as_array_mut().unwrap().push(renamed.clone());
            let answer = merge(&house, &caller, &[], &bundle).await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong} {}", answer.text);
            let issue = &answer.json()["issue"][0];
            assert_eq!(rules(&answer)[0], "schema", "{wrong} {}", caller.label);
            assert_eq!(issue["expression"][0], format!("Bundle.entry[0].resource{at}"), "{wrong}");
            assert_eq!(issue["code"], code, "{wrong}");
        }
    }
    let activity = "ActivityDefinition/6500901";
    for wrong in [json!([]), json!({}), json!(" ")] {
        let mut bundle = changed(&house, &QUALIFIED, |_| {}).await;
        let mut sent = before[activity].clone();
        sent["status"] = wrong.clone();
        let entry = json!({"request": {"method": "PUT", "url": activity}, "resource": sent});
        bundle["entry"].as_array_mut().unwrap().push(entry);
        let answer = merge(&house, &QUALIFIED, &[], &bundle).await;
        assert_eq!(rules(&answer), ["schema"], "{wrong} {}", answer.text);
        assert_eq!(answer.json()["issue"][0]["expression"][0], "Bundle.entry[1].resource.status");
    }
    assert_eq!(everything(&house, &Caller::AGENCY).await, before);
}

#[tokio::test]
async fn a_visible_item_is_stored_beside_hidden_ones() {
    let contact = |kind: Value, organisation: &str| json!({"type": kind, "contact": {"reference": format!("Organization/{organisation}")}});
    let person = contact(catalogue::term("220000000032", "100000155057"), "900100002");
    let enquiry = contact(json!({"text": "Pharmacovigilance enquiry"}), "900100001");
    for stored in [json!([person]), json!([person, enquiry]), json!([enquiry, person])] {
        let house = documented().await;
        let mut product = example("product.json").unwrap();
        product["entry"][0]["resource"]["contact"] = stored.clone();
        house.import(vec![product]).await;
        // Out, in again, and the same once more.
        for (sent, other) in
            [(None, None), (Some(json!([enquiry])), None), (Some(json!([enquiry])), Some("and more"))]
        {
            let bundle = changed(&house, &OWNER, |root| {
                let fields = root.as_object_mut().unwrap();
                fields.remove("contact");
                fields.extend(sent.clone().map(|sent| ("contact".to_owned(), sent)));
                fields.extend(other.map(|other| ("indication".to_owned(), other.into())));
            })
            .await;
            let answer = merge(&house, &OWNER, &[], &bundle).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
            let seen = everything(&house, &OWNER).await;
            assert_eq!(seen[ROOT].get("contact"), sent.as_ref(), "{stored}");
            let whole = everything(&house, &Caller::AGENCY).await;
            let whole = whole[ROOT]["contact"].as_array().unwrap();
            let due = if sent.is_some() { 2 } else { 1 };
            assert_eq!(whole.len(), due, "{stored} {whole:?}");
            assert!(whole.contains(&person) && whole.contains(&enquiry) == sent.is_some(), "{whole:?}");
        }
    }
}

#[tokio::test]
async fn a_member_that_is_there_twice_is_refused_in_either_format() {
    let house = documented().await;
    let bundle = changed(&house, &OWNER, |root| root["indication"] = "one".into()).await;
    let twice =
        bundle.to_string().replace(r#""indication":"one""#, r#""indication":"one","indication":"two""#);
    let answer = send_bundle(&house, &OWNER, "application/fhir+json", twice).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text);
    let text = answer.json()["issue"][0]["details"]["text"].as_str().unwrap().to_owned();
    assert!(text.contains("entry[0].resource.indication is there twice at line 1"), "{text}");
    let xml = fhir_model::xml::write(pms_terms::FhirVersion::V5_0_0, &bundle).unwrap();
    let one = r#"<indication value="one"/>"#;
    let answer = send_bundle(&house, &OWNER, "application/fhir+xml", xml.replace(one, &one.repeat(2))).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text);
    assert!(answer.text.contains("twice"), "{}", answer.text);
    assert_eq!(everything(&house, &OWNER).await[ROOT].get("indication"), None);
}

#[tokio::test]
async fn a_queued_merge_that_is_sent_again_is_told_truly_how_it_stands() {
    let house = documented().await;
    let bundle = example("R1.accepted.json").unwrap();
    let headers = [("prefer", "respond-async"), ("idempotency-key", "k")];
    let mut places = Vec::new();
    for (worked, words) in [(false, "waits"), (false, "waits"), (true, "is decided")] {
        if worked {
            house.backend.merge_worker.run_once().await.unwrap();
        }
        let answer = merge(&house, &OWNER, &headers, &bundle).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
        assert!(answer.text.contains(words), "{}", answer.text);
        places.push(answer.header("content-location").to_owned());
    }
    assert!(places.iter().all(|place| *place == places[0]), "{places:?}");
}

#[tokio::test]
async fn what_a_bundle_does_not_have_is_named_with_what_to_do() {
    let house = documented().await;
    let bundle = changed(&house, &OWNER, |_| {}).await;
    for (pointer, name, value, due) in [
        ("", "foo", json!(1), ("transaction", "Bundle.foo")),
        ("/entry/0", "foo", json!(1), ("entry", "Bundle.entry[0].foo")),
        ("/entry/0/request", "etag", json!("x"), ("entry", "Bundle.entry[0].request.etag")),
        ("/entry/0/request", "url", json!(format!("/{ROOT}")), ("entry", "Bundle.entry[0].request.url")),
        (
            "/entry/0/request",
            "url",
            json!(format!("https://a.example/{ROOT}")),
            ("entry", "Bundle.entry[0].request.url"),
        ),
    ] {
        let mut bundle = bundle.clone();
        bundle.pointer_mut(pointer).unwrap()[name] = value;
        let answer = merge(&house, &OWNER, &[], &bundle).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text);
        let issue = &answer.json()["issue"][0];
        let told = (&issue["details"]["coding"][0]["code"], &issue["expression"][0]);
        assert_eq!(told, (&json!(due.0), &json!(due.1)), "{issue:#}");
    }
}
