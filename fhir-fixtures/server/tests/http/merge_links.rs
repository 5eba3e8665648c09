//! New links of a merge: what they may lead to, and what names a manufacturer.

use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    harness::{Answer, Caller, House},
    merge::{QUALIFIED, documented, everything, example, merge},
};

const ROOT: &str = "MedicinalProductDefinition/600000000901";

/// The rules that an answer names, each once.
fn rules(answer: &Answer) -> Vec<String> {
    let issues = answer.json()["issue"].as_array().cloned().unwrap_or_default();
    let mut rules: Vec<String> = issues
        .iter()
        .map(|issue| issue["details"]["coding"][0]["code"].as_str().unwrap().to_owned())
        .collect();
    rules.dedup();
    rules
}

/// Sends the product back, changed.
async fn sent(house: &House, change: impl FnOnce(&mut Value)) -> Answer {
    let mut root = everything(house, &QUALIFIED).await.remove(ROOT).unwrap();
    change(&mut root);
    let entry = json!({"request": {"method": "PUT", "url": ROOT}, "resource": root});
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry]});
    merge(house, &QUALIFIED, &[], &bundle).await
}

#[tokio::test]
async fn a_new_link_is_a_resource_of_this_server_of_a_type_that_its_element_has() {
    let house = documented().await;
    let before = everything(&house, &Caller::AGENCY).await;
    for text in [
        "javascript:alert(1)",
        "Patient/1",
        "Foo/1",
        "..",
        "#nowhere",
        "",
        "https://evil.example/x",
        "https://evil.example/MedicinalProductDefinition/600000000902",
        "x/MedicinalProductDefinition/600000000902",
        "MedicinalProductDefinition?identifier=1",
        "Organization/900100002",
        "urn:oid:1.2.3",
    ] {
        let link = json!({"product": {"reference": {"reference": text}}});
        let answer = sent(&house, |root| root["crossReference"] = json!([link])).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{text} {}", answer.text);
        let due = if text.is_empty() { "schema" } else { "references" };
        assert_eq!(rules(&answer), [due], "{text}");
        let issue = &answer.json()["issue"][0];
        let place = "Bundle.entry[0].resource.crossReference[0].product.reference.reference";
        assert_eq!(issue["expression"][0], place, "{text}");
    }
    let by_number =
        json!({"identifier": {"system": "http://ema.europa.eu/fhir/pmsId", "value": "600000000902"}});
    let answer =
        sent(&house, |root| root["crossReference"] = json!([{"product": {"reference": by_number}}])).await;
    assert_eq!(rules(&answer), ["references"], "{}", answer.text);
    for text in [
        "https://evil.example/Organization/900100001",
        "Organization/absent",
        "PractitionerRole/1",
        ROOT,
        "ActivityDefinition/6500901",
    ] {
        let answer = sent(&house, |root| {
            let makers = root["operation"][0]["organization"].as_array_mut().unwrap();
            makers.push(json!({"reference": text}));
        })
        .await;
        assert!(rules(&answer).contains(&"references".to_owned()), "{text} {}", answer.text);
    }
    assert_eq!(everything(&house, &Caller::AGENCY).await, before);
}

#[tokio::test]
async fn a_link_that_was_there_is_not_held_against_who_changes_something_else() {
    let house = documented().await;
    let mut product = example("product.json").unwrap();
    let strange = json!([{"reference": {"reference": "https://elsewhere.example/Patient/1"}}]);
    product["entry"][0]["resource"]["impurity"] = strange.clone();
    house.import(vec![product]).await;
    let answer = sent(&house, |root| root["indication"] = "Another".into()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(everything(&house, &Caller::AGENCY).await[ROOT]["impurity"], strange);
    // The same text elsewhere is a new link.
    let link = json!([{"product": strange[0]}]);
    let answer = sent(&house, |root| root["crossReference"] = link).await;
    assert_eq!(rules(&answer), ["references"], "{}", answer.text);
}

#[tokio::test]
async fn a_manufacturer_is_an_organisation_named_once() {
    let house = documented().await;
    let number = |number: &str| json!({"identifier": {"system": "https://spor.ema.europa.eu/v1/organisations", "value": number}});
    let absent = json!({"extension": [{
        "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]});
    let reference = |id: &str| json!({"reference": format!("Organization/{id}")});
    for (makers, due) in [
        (json!([{"display": "x"}]), "R4"),
        (json!([absent]), "R4"),
        (json!([{"identifier": {"system": "urn:x"}}]), "R4"),
        (json!([{"type": "Practitioner", "identifier": {"value": "x"}}]), "references"),
        (json!([reference("900100002"), {"display": "x"}]), "R4"),
        (json!([reference("900100002"), number("ORG-100099002")]), "R3"),
        (json!([number("ORG-100099003"), reference("900100003")]), "R3"),
        (json!([number("ORG-1"), number("ORG-1")]), "R3"),
    ] {
        let answer = sent(&house, |root| root["operation"][0]["organization"] = makers.clone()).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{makers} {}", answer.text);
        assert!(rules(&answer).contains(&due.to_owned()), "{makers} {}", answer.text);
    }
    let makers = json!([reference("900100002"), number("ORG-100099003")]);
    let answer = sent(&house, |root| root["operation"][0]["organization"] = makers).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
}

#[tokio::test]
async fn no_marketing_authorisation_is_created_in_the_guise_of_another() {
    let house = documented().await;
    let bundle = example("qualified.accepted.json").unwrap();
    let at = bundle["entry"]
        .as_array()
        .unwrap()
        .iter()
        .position(|it| it["request"]["url"] == "RegulatedAuthorization")
        .unwrap();
    let pushed = |it: &mut Value, name: &str, value: Value| it[name].as_array_mut().unwrap().push(value);
    let changes: [&dyn Fn(&mut Value); 4] = [
        &|it| pushed(it, "subject", json!({"reference": ROOT})),
        &|it| {
            let system = "http://ema.europa.eu/fhir/marketingAuthorizationNumber";
            pushed(it, "identifier", json!({"system": system, "value": "EU/1/1"}));
        },
        &|it| it["type"] = json!({"text": "Marketing Authorisation"}),
        &|it| it["subject"][0] = json!({"identifier": {"value": "x"}}),
    ];
    for (n, change) in changes.iter().enumerate() {
        let mut bundle = bundle.clone();
        change(&mut bundle["entry"][at]["resource"]);
        let answer = merge(&house, &QUALIFIED, &[], &bundle).await;
        assert!(rules(&answer).contains(&"R2".to_owned()), "{n} {}", answer.text);
    }
}
