//! Whatever the demo catalogue holds: a class sees through every door the same, and never what is not its own.

use std::collections::{BTreeMap, BTreeSet};

use fhir_model::access;
use http::StatusCode;
use serde_json::Value;

use crate::harness::{Caller, House, PUBLIC, V3, V5};

/// What the model says each caller may see: the oracle for what the server sends.
#[tokio::test]
async fn the_server_sends_what_the_model_lets_through_and_nothing_else() {
    let house = House::demo().await;
    house.follow().await;
    let all: Vec<String> = house.all_ids(&Caller::AGENCY, "", 200).await;
    let (mut seen, mut hidden) = (0, 0);
    for caller in Caller::ALL {
        let viewer = caller.viewer();
        let base = if caller.stakeholder == pms_terms::Stakeholder::Public { PUBLIC } else { V5 };
        for id in &all {
            let stored = fhir_store::find(house.database(), id).await.unwrap().unwrap();
            let visible = access::gate(&house.matrix, &viewer, &stored.facts).visible;
            let answer =
                house.get(&caller, &format!("{base}/MedicinalProductDefinition/{id}/$everything")).await;
            if !visible {
                assert_eq!(answer.status, StatusCode::NOT_FOUND, "{} {id}", caller.label);
                hidden += 1;
                continue;
            }
            let column = access::column(&viewer, &stored.facts);
            let targets = house.known_to(&viewer, &stored).await;
            let filtered =
                access::filter(&house.matrix, column, &stored.facts, &stored.product, &targets).unwrap();
            let key = |resource: &Value| format!("{}/{}", resource["resourceType"], resource["id"]);
            let expected: BTreeMap<String, Value> =
                filtered.product.resources().map(|resource| (key(resource), resource.clone())).collect();
            let sent: BTreeMap<String, Value> = answer
                .entries()
                .into_iter()
                .map(|entry| (key(&entry["resource"]), entry["resource"].clone()))
                .collect();
            assert_eq!(sent, expected, "{} {id}", caller.label);
            seen += 1;
        }
    }
    assert!(seen > 100 && hidden > 20, "{seen} {hidden}");
}

#[tokio::test]
async fn an_authority_for_one_domain_never_meets_the_other() {
    let house = House::demo().await;
    let human: BTreeSet<String> =
        house.all_ids(&Caller::HUMAN_AUTHORITY, "", 200).await.into_iter().collect();
    let veterinary: BTreeSet<String> =
        house.all_ids(&Caller::VETERINARY_AUTHORITY, "", 200).await.into_iter().collect();
    let both: BTreeSet<String> = house.all_ids(&Caller::AUTHORITY, "", 200).await.into_iter().collect();
    assert!(!human.is_empty() && !veterinary.is_empty());
    assert_eq!(human.union(&veterinary).cloned().collect::<BTreeSet<_>>(), both);
    for (caller, not_theirs) in [
        (Caller::HUMAN_AUTHORITY, veterinary.difference(&human)),
        (Caller::VETERINARY_AUTHORITY, human.difference(&veterinary)),
    ] {
        for id in not_theirs {
            for path in ["", "/$everything", "/_history", "/_history/1"] {
                let answer = house.get(&caller, &format!("{V3}/MedicinalProductDefinition/{id}{path}")).await;
                assert_eq!(answer.status, StatusCode::NOT_FOUND, "{} {id}{path}", caller.label);
            }
        }
    }
}

#[tokio::test]
async fn no_answer_in_4_4_0_refers_to_a_resource_that_is_not_in_it() {
    let house = House::demo().await;
    for caller in
        [Caller::PUBLIC, Caller::STRANGER, Caller::OWNER, Caller::QUALIFIED, Caller::HUMAN_AUTHORITY]
    {
        for id in house.all_ids(&caller, "", 200).await {
            // The public API has no 4.4.0; the rendering is the same code.
            let base = if caller.stakeholder == pms_terms::Stakeholder::Public { PUBLIC } else { V3 };
            let answer =
                house.get(&caller, &format!("{base}/MedicinalProductDefinition/{id}/$everything")).await;
            let entries = answer.entries();
            let here: BTreeSet<String> = entries
                .iter()
                .map(|entry| {
                    let text = |name: &str| entry["resource"][name].as_str().unwrap().to_owned();
                    format!("{}/{}", text("resourceType"), text("id"))
                })
                .collect();
            for entry in &entries {
                let resource = &entry["resource"];
                for name in ["ingredient", "pharmaceuticalProduct", "packagedMedicinalProduct"] {
                    for link in resource[name].as_array().into_iter().flatten() {
                        if let Some(reference) = link["reference"].as_str() {
                            assert!(here.contains(reference), "{} {id}: {name} {reference}", caller.label);
                        }
                    }
                }
            }
        }
    }
}
