//! `_include` and `_revinclude`: what comes along, for whom.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    catalogue,
    harness::{Answer, Caller, House, OWNER, PUBLIC, V3},
};

const ID: &str = "600000000001";

/// A product with one resource behind each link.
fn product() -> Value {
    let mut bundle = catalogue::product(ID, "Examplol", OWNER);
    let reference = |text: String| json!({"reference": text});
    let entries = bundle["entry"].as_array_mut().unwrap();
    entries[0]["resource"]["contact"] =
        json!([{"type": {"text": "QPPV"}, "contact": reference("PractitionerRole/qppv".into())}]);
    for resource in [
        json!({"resourceType": "PractitionerRole", "id": "qppv", "organization": reference(format!("Organization/{OWNER}"))}),
        json!({"resourceType": "AdministrableProductDefinition", "id": "apd", "status": "active",
            "formOf": [reference(format!("MedicinalProductDefinition/{ID}"))],
            "routeOfAdministration": [{"code": {"text": "oral"}}]}),
        json!({"resourceType": "Ingredient", "id": "active", "status": "active",
            "for": [reference(format!("ManufacturedItemDefinition/{ID}-mid"))],
            "role": catalogue::term("100000072050", "100000072072"), "substance": {"code": {"concept": {"text": "examplol"}}}}),
        json!({"resourceType": "ClinicalUseDefinition", "id": "use", "type": "indication",
            "subject": [reference(format!("MedicinalProductDefinition/{ID}"))]}),
        json!({"resourceType": "RegulatedAuthorization", "id": "pack-ra",
            "type": catalogue::term("220000000060", "220000000061"),
            "status": catalogue::term("100000072049", "100000072099"),
            "subject": [reference(format!("PackagedProductDefinition/{ID}-ppd"))]}),
    ] {
        entries.push(json!({"resource": resource}));
    }
    bundle
}

/// What was included: `Type/id`, sorted; each once, behind the matches, and not counted.
fn included(answer: &Answer) -> BTreeSet<String> {
    let entries = answer.entries();
    let mode = |entry: &Value| entry["search"]["mode"].as_str().unwrap().to_owned();
    let matches = entries.iter().take_while(|entry| mode(entry) == "match").count();
    assert_eq!(answer.json()["total"], matches);
    let keys: Vec<String> = entries[matches..]
        .iter()
        .map(|entry| {
            assert_eq!(mode(entry), "include");
            let resource = &entry["resource"];
            let key = format!(
                "{}/{}",
                resource["resourceType"].as_str().unwrap(),
                resource["id"].as_str().unwrap()
            );
            assert!(entry["fullUrl"].as_str().unwrap().ends_with(&key));
            key
        })
        .collect();
    let unique: BTreeSet<String> = keys.iter().cloned().collect();
    assert_eq!(unique.len(), keys.len(), "{keys:?}");
    unique
}

#[tokio::test]
async fn links_are_followed_by_the_names_of_each_version() {
    let house = House::empty().await;
    house.import(vec![product()]).await;
    let ppd = format!("PackagedProductDefinition/{ID}-ppd");
    let mid = format!("ManufacturedItemDefinition/{ID}-mid");
    let ra = format!("RegulatedAuthorization/{ID}-ra");
    let holder = format!("Organization/{OWNER}");
    for (base, query, expected) in [
        (V3, "_include=MedicinalProductDefinition:contact", vec!["PractitionerRole/qppv"]),
        (V3, "_include=MedicinalProductDefinition:contact:Organization", vec![]),
        (V3, "_revinclude=RegulatedAuthorization:subject", vec![ra.as_str()]),
        (V3, "_revinclude=PackagedProductDefinition:subject", vec![&ppd]),
        (
            V3,
            "_revinclude=AdministrableProductDefinition:subject",
            vec!["AdministrableProductDefinition/apd"],
        ),
        (V3, "_revinclude=ClinicalUseIssue:subject", vec!["ClinicalUseIssue/use"]),
        (V3, "_include=MedicinalProductDefinition:packaged-medicinal-product", vec![&ppd]),
        (
            V3,
            "_include=MedicinalProductDefinition:packaged-medicinal-product&_include:iterate=PackagedProductDefinition:manufactured-item&_include:iterate=ManufacturedItemDefinition:ingredient",
            vec![&ppd, &mid, "Ingredient/active"],
        ),
        (
            V3,
            "_revinclude=RegulatedAuthorization:subject&_include:iterate=RegulatedAuthorization:holder",
            vec![&ra, &holder],
        ),
        // Not from what was included, unless :iterate says so.
        (
            V3,
            "_revinclude=PackagedProductDefinition:subject&_revinclude=RegulatedAuthorization:subject",
            vec![&ppd, &ra],
        ),
        (
            V3,
            "_revinclude=PackagedProductDefinition:subject&_revinclude:iterate=RegulatedAuthorization:subject",
            vec![&ppd, &ra, "RegulatedAuthorization/pack-ra"],
        ),
        (PUBLIC, "_revinclude=PackagedProductDefinition:package-for", vec![&ppd]),
        (
            PUBLIC,
            "_revinclude=AdministrableProductDefinition:form-of",
            vec!["AdministrableProductDefinition/apd"],
        ),
        (PUBLIC, "_revinclude=ClinicalUseDefinition:subject", vec!["ClinicalUseDefinition/use"]),
        (
            PUBLIC,
            "_revinclude=PackagedProductDefinition:package-for&_include:iterate=PackagedProductDefinition:contained-item&_revinclude:iterate=Ingredient:for",
            vec![&ppd, &mid, "Ingredient/active"],
        ),
        (PUBLIC, "_include=MedicinalProductDefinition:contact", vec![]),
    ] {
        let caller = if base == PUBLIC { Caller::PUBLIC } else { Caller::QUALIFIED };
        let answer = house.get(&caller, &format!("{base}/MedicinalProductDefinition?{query}")).await;
        let expected: BTreeSet<String> = expected.into_iter().map(str::to_owned).collect();
        assert_eq!(included(&answer), expected, "{query}");
    }
}

/// Everything that can be reached is what `$everything` shows, for each class of callers: nothing more, nothing less.
#[tokio::test]
async fn all_links_together_lead_to_what_the_caller_sees_of_the_product() {
    let house = House::demo().await;
    house.import(vec![product()]).await;
    let mut seen = 0;
    for caller in [Caller::PUBLIC, Caller::STRANGER, Caller::OWNER, Caller::AGENCY] {
        let base = format!("{}/MedicinalProductDefinition", caller.base());
        for id in house.all_ids(&caller, "", 200).await.into_iter().step_by(4) {
            let everything = house.get(&caller, &format!("{base}/{id}/$everything")).await.entries();
            let query = "_include:iterate=*&_revinclude:iterate=*";
            let answer = house.get(&caller, &format!("{base}?_id={id}&{query}")).await;
            let along = included(&answer);
            let whole: BTreeSet<String> = everything[1..]
                .iter()
                .map(|entry| {
                    let resource = &entry["resource"];
                    format!(
                        "{}/{}",
                        resource["resourceType"].as_str().unwrap(),
                        resource["id"].as_str().unwrap()
                    )
                })
                .collect();
            assert!(along.is_subset(&whole), "{} {id}", caller.label);
            seen += along.len();
            // Included resources are the filtered ones, byte for byte.
            for entry in answer.entries() {
                assert!(
                    everything.iter().any(|one| one["resource"] == entry["resource"]),
                    "{} {id}",
                    caller.label
                );
            }
        }
    }
    assert!(seen > 100, "{seen}");
}

#[tokio::test]
async fn a_page_includes_each_resource_once_and_later_pages_go_on() {
    let house = House::empty().await;
    let ids: Vec<String> = (0..5).map(|n| format!("60000000000{n}")).collect();
    house.import(ids.iter().map(|id| catalogue::product(id, "Examplol", OWNER)).collect()).await;
    let query =
        "_revinclude=RegulatedAuthorization:subject&_include:iterate=RegulatedAuthorization:holder&_count=2";
    let mut target = Some(format!("{V3}/MedicinalProductDefinition?{query}"));
    let (mut found, mut holders) = (Vec::new(), 0);
    while let Some(page) = target {
        let answer = house.get(&Caller::OWNER, &page).await;
        let entries = answer.entries();
        for entry in &entries {
            if entry["search"]["mode"] == "match" {
                found.push(entry["resource"]["id"].as_str().unwrap().to_owned());
            }
            holders += usize::from(entry["resource"]["resourceType"] == "Organization");
        }
        assert_eq!(answer.json()["total"], 5);
        target = answer.link("next");
    }
    assert_eq!(found, ids);
    assert_eq!(holders, 3, "once on each of three pages");
}

#[tokio::test]
async fn summaries_are_of_all_and_elements_of_what_was_searched_for() {
    let house = House::empty().await;
    house.import(vec![product()]).await;
    let search = format!("{V3}/MedicinalProductDefinition?_revinclude=RegulatedAuthorization:subject");
    let resources = |answer: &Answer| -> Vec<Value> {
        answer.entries().iter().map(|entry| entry["resource"].clone()).collect()
    };
    let whole = resources(&house.get(&Caller::OWNER, &search).await);
    let elements = resources(&house.get(&Caller::OWNER, &format!("{search}&_elements=identifier")).await);
    assert!(elements[0].get("status").is_none());
    assert_eq!(elements[1], whole[1]);
    let summary = resources(&house.get(&Caller::OWNER, &format!("{search}&_summary=true")).await);
    for resource in &summary {
        assert!(resource["meta"]["tag"].to_string().contains("SUBSETTED"), "{resource}");
    }
    let counted = house.get(&Caller::OWNER, &format!("{search}&_summary=count")).await;
    assert_eq!((counted.json()["total"].as_u64(), counted.entries().len()), (Some(1), 0));
}
