//! JSON and XML: every answer in both, saying the same.

use fhir_model::xml;
use http::{Method, StatusCode};
use pms_terms::FhirVersion;
use serde_json::Value;

use crate::{
    catalogue,
    harness::{Answer, Caller, HOST, House, OWNER, PUBLIC, V3, V5},
};

const ID: &str = "600000000001";
const XML: (&str, &str) = ("accept", "application/fhir+xml");

fn tree(version: FhirVersion, answer: &Answer) -> Value {
    assert_eq!(answer.header("content-type"), "application/fhir+xml", "{}", answer.text);
    xml::read(version, &answer.text).unwrap_or_else(|error| panic!("{error}\n{}", answer.text))
}

/// Links say how they were asked for; everything else is the same.
fn without_links(mut tree: Value) -> Value {
    if let Some(fields) = tree.as_object_mut() {
        fields.remove("link");
    }
    tree
}

#[tokio::test]
async fn every_operation_says_the_same_in_xml() {
    let house = House::demo().await;
    house.import(vec![catalogue::product(ID, "Examplol <5 mg> & more", OWNER)]).await;
    let mut asked = 0;
    for caller in [Caller::PUBLIC, Caller::STRANGER, Caller::QUALIFIED] {
        for (base, version) in
            [(V3, FhirVersion::V4_4_0), (V5, FhirVersion::V5_0_0), (PUBLIC, FhirVersion::V5_0_0)]
        {
            if (base == PUBLIC) != (caller.base() == PUBLIC) {
                continue;
            }
            let search = format!("{base}/MedicinalProductDefinition");
            for path in [
                format!("{search}?_count=3&_revinclude=*"),
                format!("{search}?_count=2&_summary=true"),
                format!("{search}/{ID}"),
                format!("{search}/{ID}/$everything"),
                format!("{search}/{ID}/_history"),
                format!("{search}/{ID}/_history/1"),
                format!("{search}/699999999999"),
                format!("{search}?colour=red"),
                format!("{base}/Nowhere"),
            ] {
                let json = house.get(&caller, &path).await;
                for (target, headers) in [
                    (path.clone(), vec![XML]),
                    (format!("{path}{}_format=xml", if path.contains('?') { "&" } else { "?" }), vec![]),
                ] {
                    let xml = house.get_with(&caller, &target, &headers).await;
                    assert_eq!(xml.status, json.status, "{} {target}", caller.label);
                    let said = tree(version, &xml);
                    assert_eq!(without_links(said), without_links(json.json()), "{} {target}", caller.label);
                    asked += 1;
                }
            }
        }
    }
    assert!(asked > 80, "{asked}");
}

#[tokio::test]
async fn metadata_and_refusals_come_in_xml_too() {
    let house = House::empty().await;
    for (base, version) in [(V3, FhirVersion::V4_4_0), (PUBLIC, FhirVersion::V5_0_0)] {
        let answer = house.send(&Method::GET, &format!("{base}/metadata"), &[XML]).await;
        let said = tree(version, &answer);
        assert_eq!(said["resourceType"], "CapabilityStatement");
        assert_eq!(said["fhirVersion"], version.as_str());
        let refused = house.send(&Method::GET, &format!("{base}/MedicinalProductDefinition"), &[XML]).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
        assert_eq!(tree(version, &refused)["issue"][0]["code"], "login");
    }
}

#[tokio::test]
async fn both_formats_are_pretty_on_demand_and_others_are_refused_in_words() {
    let house = House::empty().await;
    house.import(vec![catalogue::product(ID, "Examplol", OWNER)]).await;
    let read = format!("{V3}/MedicinalProductDefinition/{ID}");
    let plain = house.get(&Caller::OWNER, &read).await;
    let pretty = house.get(&Caller::OWNER, &format!("{read}?_pretty=true&_format=json")).await;
    assert!(pretty.text.contains("\n  \"id\""));
    assert_eq!(pretty.json(), plain.json());
    let pretty = house.get(&Caller::OWNER, &format!("{read}?_pretty=true&_format=xml")).await;
    assert!(pretty.text.contains("\n  <id value="), "{}", pretty.text);
    assert_eq!(tree(FhirVersion::V4_4_0, &pretty), plain.json());
    for (target, accept) in
        [(format!("{read}?_format=ttl"), "*/*"), (read.clone(), "application/fhir+turtle")]
    {
        let refused = house.get_with(&Caller::OWNER, &target, &[("accept", accept)]).await;
        assert_eq!(refused.status, StatusCode::NOT_ACCEPTABLE);
        assert!(refused.text.contains("application/fhir+xml"), "{}", refused.text);
        assert_eq!(refused.header("content-type"), "application/fhir+json");
    }
}

#[tokio::test]
async fn a_walk_in_xml_finds_what_a_walk_in_json_finds() {
    let house = House::demo().await;
    let whole = house.all_ids(&Caller::PUBLIC, "", 200).await;
    let mut target = Some(format!("{PUBLIC}/MedicinalProductDefinition?_count=7&_format=xml"));
    let mut ids = Vec::new();
    while let Some(page) = target {
        let bundle = tree(FhirVersion::V5_0_0, &house.get(&Caller::PUBLIC, &page).await);
        for entry in bundle["entry"].as_array().into_iter().flatten() {
            ids.push(entry["resource"]["id"].as_str().unwrap().to_owned());
        }
        let next = bundle["link"].as_array().unwrap().iter().find(|link| link["relation"] == "next");
        target = next.map(|link| {
            link["url"].as_str().unwrap().strip_prefix(&format!("http://{HOST}")).unwrap().to_owned()
        });
    }
    assert_eq!(ids, whole);
}
