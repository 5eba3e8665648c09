//! `$merge`: the documented examples, what a merge may never do, and the answers.

use std::{collections::BTreeSet, path::PathBuf};

use fhir_model::{
    Product, ResourceKey, ResourceType,
    access::{Column, Targets, Viewer, filter},
    merge::{
        Done, Plan, Rejection, Request, Rule, not_yours, outcome, outside, plan, product_id, response,
        status, told, validated,
    },
    resource_key, schema,
};
use pms_terms::{Domains, Stakeholder};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    properties::{pointers, product, tree},
    sample::{OWNER, facts_of, matrix, targets},
    shared,
};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/merge-examples")
}

fn file(name: &str) -> Option<Value> {
    let text = std::fs::read_to_string(folder().join(name)).ok()?;
    Some(serde_json::from_str(&text).unwrap())
}

fn example_product() -> Product {
    let bundle = file("product.json").unwrap();
    let resources: Vec<Value> =
        bundle["entry"].as_array().unwrap().iter().map(|entry| entry["resource"].clone()).collect();
    shared::products(&resources).swap_remove(0)
}

fn viewer(column: Column) -> Viewer {
    let stakeholder = match column {
        Column::Public => Stakeholder::Public,
        Column::IndustryOther | Column::IndustryOwner | Column::IndustryOwnerQualified => {
            Stakeholder::Industry
        }
        Column::Nca => Stakeholder::Nca,
        Column::Ema => Stakeholder::Ema,
    };
    let organisation = if column == Column::IndustryOther { "ORG-100099777" } else { OWNER };
    Viewer {
        stakeholder,
        qualified: column == Column::IndustryOwnerQualified,
        domains: Domains::BOTH,
        organisation: Some(organisation.parse().unwrap()),
    }
}

fn merge(product: &Product, bundle: &Value, column: Column) -> Result<Plan, Vec<Rejection>> {
    let known: BTreeSet<ResourceKey> =
        outside(bundle, product).resources.into_iter().filter(|key| key.id == "900100003").collect();
    plan(&Request {
        bundle,
        product,
        viewer: &viewer(column),
        matrix: matrix(),
        facts: &facts_of(product),
        targets: &targets(),
        known: &known,
        organisations: &[],
        shared: &BTreeSet::from([ResourceKey::new(ResourceType::RegulatedAuthorization, "630902")]),
    })
}

#[test]
fn every_rule_has_an_accepted_and_a_rejected_example() {
    let product = example_product();
    for resource in product.resources() {
        assert_eq!(schema::check(resource), vec![]);
    }
    let mut used = BTreeSet::from(["product.json", "other-product.json", "README.md"].map(str::to_owned));
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    for rule in Rule::ALL {
        let warning = matches!(rule, Rule::Placeholder | Rule::Detached);
        assert!(readme.contains(&format!("| `{}` |", rule.id())), "the README explains {}", rule.id());
        let name = format!("{}.accepted.json", rule.id());
        let accepted = file(&name).unwrap_or_else(|| panic!("{name} is missing"));
        used.insert(name);
        let done = merge(&product, &accepted, Column::IndustryOwnerQualified);
        let done = done.unwrap_or_else(|rejections| panic!("{}: {rejections:#?}", rule.id()));
        assert!(!done.is_empty(), "{} changes something", rule.id());
        assert_eq!(done.warnings.iter().any(|told| told.rule == rule), warning, "{}", rule.id());
        if warning {
            continue;
        }
        let name = format!("{}.rejected.json", rule.id());
        let rejected = file(&name).unwrap_or_else(|| panic!("{name} is missing"));
        used.insert(name);
        let column = match rule {
            Rule::Ownership => Column::IndustryOther,
            Rule::Qualified => Column::IndustryOwner,
            _ => Column::IndustryOwnerQualified,
        };
        let rejections = product_id(&rejected)
            .and_then(|_| merge(&product, &rejected, column))
            .expect_err(&format!("{} is rejected", rule.id()));
        let rules: BTreeSet<&str> = rejections.iter().map(|rejection| rejection.rule.id()).collect();
        assert_eq!(rules, BTreeSet::from([rule.id()]), "{rejections:#?}");
        let answer = outcome(&rejections);
        assert_eq!(answer["issue"][0]["details"]["coding"][0]["code"], rule.id());
        let due = match rule {
            Rule::Transaction | Rule::Entry => 400,
            Rule::Ownership | Rule::Qualified => 403,
            _ => 422,
        };
        assert_eq!(status(&rejections), due, "{}", rule.id());
    }
    for entry in std::fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        assert!(used.contains(&name), "{name} belongs to no rule");
    }
}

#[test]
fn places_are_told_in_fhirpath() {
    let product = example_product();
    for (rule, expression, code) in [
        ("R1", "Bundle.entry[0].resource.meta.versionId", "conflict"),
        ("R2", "Bundle.entry[1].request.method", "not-supported"),
        ("R3", "Bundle.entry[0].resource.operation[0].organization[1]", "duplicate"),
        ("R4", "Bundle.entry[0].resource.operation[1]", "business-rule"),
        ("schema", "Bundle.entry[1].resource.containedItemQuantity", "structure"),
        (
            "references",
            "Bundle.entry[1].resource.packaging.containedItem[0].item.reference.reference",
            "not-found",
        ),
        ("onlyOneDataCarrierIdentifier", "Bundle.entry[1].resource.identifier[1]", "invariant"),
    ] {
        let bundle = file(&format!("{rule}.rejected.json")).unwrap();
        let rejections = merge(&product, &bundle, Column::IndustryOwnerQualified).unwrap_err();
        assert_eq!((rejections[0].expression.as_str(), rejections[0].code), (expression, code), "{rule}");
    }
}

#[test]
fn new_resources_get_ids_and_everything_its_links() {
    let product = example_product();
    let bundle = file("qualified.accepted.json").unwrap();
    assert_eq!(product_id(&bundle), Ok("600000000901".to_owned()));
    let plan = merge(&product, &bundle, Column::Ema).unwrap();
    let mut next = 7_000;
    let resolved = plan.resolve(&mut |_| {
        next += 1;
        next.to_string()
    });
    let keys: Vec<String> = resolved.iter().map(|it| it.key.to_string()).collect();
    assert_eq!(
        keys,
        ["MedicinalProductDefinition/600000000901", "ActivityDefinition/7001", "RegulatedAuthorization/7002"]
    );
    assert_eq!(resolved[0].body["operation"][1]["type"]["reference"]["reference"], "ActivityDefinition/7001");
    assert_eq!(resolved[2].body["subject"][0]["reference"], "ActivityDefinition/7001");
    assert_eq!(resolved[0].expected_version.as_deref(), Some("3"));
    assert_eq!(resolved[1].expected_version, None);
    for it in &resolved {
        assert_eq!(schema::check(&it.body), vec![]);
        assert!(!it.body.to_string().contains("urn:uuid"));
    }
    let done: Vec<Done> = resolved
        .iter()
        .map(|it| Done {
            entry: it.entry,
            key: it.key.clone(),
            created: it.expected_version.is_none(),
            version_id: "4".to_owned(),
            last_modified: "2026-11-22T12:00:00Z".to_owned(),
            resource: Some(it.body.clone()),
        })
        .collect();
    let answer = response("http://localhost/pms/api/v5-alpha", &done, told(&plan.warnings).as_ref());
    assert_eq!(answer["type"], "transaction-response");
    assert_eq!(answer["entry"][1]["response"]["status"], "201 Created");
    assert_eq!(
        answer["entry"][0]["response"]["location"],
        "http://localhost/pms/api/v5-alpha/MedicinalProductDefinition/600000000901/_history/4"
    );
    shared::check_with_python(pms_terms::FhirVersion::V5_0_0, &[("response".to_owned(), answer)]);
    let dry = validated(&plan);
    assert_eq!(dry["issue"].as_array().unwrap().len(), 3, "{dry:#}");
}

#[test]
fn a_changed_pack_renews_the_version_of_the_product() {
    let product = example_product();
    let bundle = file("R1.accepted.json").unwrap();
    let plan = merge(&product, &bundle, Column::IndustryOwner).unwrap();
    let keys: Vec<ResourceType> = plan.changed.iter().map(|change| change.key.resource_type).collect();
    assert_eq!(keys, [ResourceType::MedicinalProductDefinition, ResourceType::PackagedProductDefinition]);
    assert_eq!(plan.changed[0].body, product.root);
    assert_eq!(plan.changed[1].body["containedItemQuantity"][0]["value"], 20);
}

#[test]
fn hidden_absent_and_foreign_are_told_alike() {
    let product = crate::sample::product();
    let versioned = versioned(&product);
    let put = |key: &str| {
        let (kind, id) = key.split_once('/').unwrap();
        json!({"request":{"method":"PUT","url":key},
            "resource":{"resourceType":kind,"id":id,"meta":{"versionId":"3"},"status":"active"}})
    };
    let root = json!({"request":{"method":"PUT","url":"MedicinalProductDefinition/600000000001"},
        "resource": filter(matrix(), Column::IndustryOwner, &facts_of(&versioned), &versioned, &targets()).unwrap().product.root});
    let told = |key: &str| {
        let bundle = json!({"resourceType":"Bundle","type":"transaction","entry":[root, put(key)]});
        let rejections = merge(&versioned, &bundle, Column::IndustryOwner).unwrap_err();
        assert_eq!(rejections.len(), 1);
        (rejections[0].rule, rejections[0].message.replace(key, "X"), rejections[0].expression.clone())
    };
    assert_eq!(told("ActivityDefinition/closed"), told("ActivityDefinition/absent"));
}

#[test]
fn an_owner_without_the_flag_changes_around_what_is_confidential() {
    let product = versioned(&crate::sample::product());
    let mut sent = shown(&product, Column::IndustryOwner).unwrap();
    assert_eq!(sent[0]["operation"].as_array().unwrap().len(), 1);
    sent[0]["name"][0]["productName"] = "Examplol forte".into();
    let plan = merge(&product, &sending(&sent), Column::IndustryOwner).unwrap();
    assert_eq!(plan.changed.len(), 1);
    let body = &plan.changed[0].body;
    assert_eq!(body["name"][0]["productName"], "Examplol forte");
    assert_eq!(body["operation"], product.root["operation"]);
    assert_eq!(body["contact"], product.root["contact"]);
    assert_eq!(body["extension"], product.root["extension"]);
}

#[test]
fn every_demo_product_can_be_sent_back_and_its_packs_renamed() {
    let mut renamed = 0;
    for bundle in fhir_model::demo::bundles() {
        let resources: Vec<Value> =
            bundle["entry"].as_array().unwrap().iter().map(|entry| entry["resource"].clone()).collect();
        for product in shared::products(&resources) {
            let product = versioned(&product);
            let mut sent = shown(&product, Column::Ema).unwrap();
            let back = merge(&product, &sending(&sent), Column::Ema);
            assert!(back.as_ref().is_ok_and(Plan::is_empty), "{}: {back:#?}", product.id());
            for pack in sent.iter_mut().filter(|it| it["resourceType"] == "PackagedProductDefinition") {
                pack["name"] = "Another name".into();
                renamed += 1;
            }
            let plan = merge(&product, &sending(&sent), Column::Ema);
            let plan = plan.unwrap_or_else(|rejections| panic!("{}: {rejections:#?}", product.id()));
            for change in plan
                .changed
                .iter()
                .filter(|it| it.key.resource_type == ResourceType::PackagedProductDefinition)
            {
                assert_eq!(change.body["name"], "Another name");
            }
        }
    }
    assert!(renamed > 40, "{renamed}");
}

#[test]
fn what_cannot_be_written_need_not_be_sent() {
    let mut product = example_product();
    let at = product.parts.iter().position(|it| it["id"] == "620901").unwrap();
    product.parts[at]["basis"] = json!([{"text": "Article 10"}]);
    let mut sent = product.parts[at].clone();
    sent.as_object_mut().unwrap().remove("basis");
    sent["validityPeriod"] = json!({"end": "2030-01-01"});
    let bundle = sending(&[product.root.clone(), sent]);
    let plan = merge(&product, &bundle, Column::IndustryOwner).unwrap();
    assert_eq!(plan.changed[1].body["basis"][0]["text"], "Article 10");
    assert_eq!(plan.changed[1].body["validityPeriod"]["end"], "2030-01-01");
}

#[test]
fn absolute_links_to_this_server_are_stored_relative() {
    let product = example_product();
    let mut bundle = file("R3.accepted.json").unwrap();
    let link = bundle.pointer_mut("/entry/0/resource/operation/0/organization/1/reference").unwrap();
    *link = "https://demo.pmsgate.example/fhir/Organization/900100003".into();
    let plan = merge(&product, &bundle, Column::IndustryOwnerQualified).unwrap();
    assert_eq!(
        plan.changed[0].body["operation"][0]["organization"][1]["reference"],
        "Organization/900100003"
    );
}

#[test]
fn nothing_of_one_product_is_put_into_another() {
    let product = example_product();
    let known = |mut bundle: Value, at: &str, link: &str| {
        *bundle.pointer_mut(at).unwrap() = link.into();
        let other = Targets { visible: BTreeSet::from(["600000000902".to_owned()]) };
        plan(&Request {
            bundle: &bundle,
            product: &product,
            viewer: &viewer(Column::IndustryOwnerQualified),
            matrix: matrix(),
            facts: &facts_of(&product),
            targets: &other,
            known: &BTreeSet::new(),
            organisations: &[],
            shared: &BTreeSet::new(),
        })
    };
    let bundle = file("shared.accepted.json").unwrap();
    let pushed =
        known(bundle, "/entry/1/resource/subject/0/reference", "MedicinalProductDefinition/600000000902");
    let rejections = pushed.unwrap_err();
    assert!(rejections.iter().all(|it| it.rule == Rule::References), "{rejections:#?}");
    // A new authorisation on an activity that the same Bundle takes out of its last operation would belong nowhere.
    let mut bundle = file("detached.accepted.json").unwrap();
    bundle["entry"].as_array_mut().unwrap().push(json!({
        "fullUrl": "urn:uuid:5f0c2c6e-0000-4000-8000-000000000009",
        "request": {"method": "POST", "url": "RegulatedAuthorization"},
        "resource": {"resourceType": "RegulatedAuthorization",
            "identifier": [{"system": "http://ema.europa.eu/fhir/manufacturingAuthorizationNumber", "value": "ES/9/MIA"}],
            "subject": [{"reference": "ActivityDefinition/6500901"}], "validityPeriod": {"start": "2026-01-01"},
            "holder": {"reference": "Organization/900100002"}, "regulator": {"reference": "Organization/900100009"}},
    }));
    let rejections = merge(&product, &bundle, Column::IndustryOwnerQualified).unwrap_err();
    assert_eq!((rejections[0].rule, rejections.len()), (Rule::R5, 1), "{rejections:#?}");
}

#[test]
fn whoever_may_not_write_is_told_the_same_of_every_product() {
    let product = example_product();
    let bundle = file("R1.accepted.json").unwrap();
    for column in [Column::Public, Column::IndustryOther, Column::Nca] {
        assert_eq!(merge(&product, &bundle, column), Err(not_yours(&bundle)), "{column}");
    }
    assert_eq!(status(&not_yours(&bundle)), 403);
    assert_eq!(not_yours(&json!({"resourceType": "Bundle"}))[0].rule, Rule::Transaction);
}

/// The product with a version on every resource.
fn versioned(product: &Product) -> Product {
    let mut product = product.clone();
    for resource in std::iter::once(&mut product.root).chain(&mut product.parts) {
        resource["meta"] = match resource["meta"].clone() {
            Value::Object(mut meta) => {
                meta.insert("versionId".to_owned(), "3".into());
                meta.into()
            }
            _ => json!({"versionId": "3"}),
        };
    }
    product
}

/// Elements with rules of their own.
const GUARDED: [&str; 17] = [
    "/basis",
    "/case",
    "/contained",
    "/description",
    "/domain",
    "/extension",
    "/holder",
    "/identifier",
    "/indication",
    "/intendedUse",
    "/operation",
    "/packageFor",
    "/region",
    "/regulator",
    "/status",
    "/subject",
    "/type",
];

const WRITABLE: [&str; 4] = [
    "MedicinalProductDefinition",
    "PackagedProductDefinition",
    "ActivityDefinition",
    "RegulatedAuthorization",
];

/// A transaction that sends these resources back.
fn sending(resources: &[Value]) -> Value {
    let entries: Vec<Value> = resources
        .iter()
        .map(|resource| json!({"request": {"method": "PUT", "url": resource_key(resource).unwrap().to_string()}, "resource": resource}))
        .collect();
    json!({"resourceType": "Bundle", "type": "transaction", "entry": entries})
}

fn writers() -> impl Strategy<Value = Column> {
    proptest::sample::select(vec![Column::IndustryOwner, Column::IndustryOwnerQualified, Column::Ema])
}

/// The writable resources that a column sees, of a product that it owns; `None` when random edits took that away.
fn shown(product: &Product, column: Column) -> Option<Vec<Value>> {
    let facts = facts_of(product);
    if fhir_model::access::column(&viewer(column), &facts) != column {
        return None;
    }
    let view = filter(matrix(), column, &facts, product, &targets())?;
    Some(
        view.product
            .resources()
            .filter(|it| WRITABLE.contains(&it["resourceType"].as_str().unwrap()))
            .cloned()
            .collect(),
    )
}

/// Every leaf with its path without indices, and how often it stands there.
fn leaves(value: &Value, path: &str, found: &mut std::collections::BTreeMap<String, i64>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields.iter().filter(|(name, _)| !matches!(name.as_str(), "meta" | "text")) {
                leaves(value, &format!("{path}.{name}"), found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| leaves(item, path, found)),
        leaf => *found.entry(format!("{path}={leaf}")).or_default() += 1,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sending_a_view_back_changes_nothing(product in product(true), column in writers()) {
        let product = versioned(&product);
        if let Some(resources) = shown(&product, column) {
            let plan = merge(&product, &sending(&resources), column);
            prop_assert!(plan.as_ref().is_ok_and(Plan::is_empty), "{} {:#?}", column, plan);
        }
    }

    #[test]
    fn no_bundle_makes_a_merge_panic(trees in proptest::collection::vec((tree(), tree()), 1..3), column in writers()) {
        let product = example_product();
        let mut bundle = file("qualified.accepted.json").unwrap();
        for (index, (resource, request)) in trees.into_iter().enumerate() {
            bundle["entry"][index]["resource"]["operation"] = resource;
            let _ = merge(&product, &bundle, column);
            bundle["entry"][index]["request"] = request;
            let _ = product_id(&bundle);
            let _ = merge(&product, &bundle, column);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_not_seen_is_never_changed(
        product in product(true),
        column in writers(),
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<proptest::sample::Index>(), "[a-z]{1,5}"), 1..4),
    ) {
        let product = versioned(&product);
        let Some(before) = shown(&product, column) else { return Ok(()) };
        let mut sent = before.clone();
        for (which, place, word) in edits {
            let at = which.index(sent.len().min(6));
            let mut found = Vec::new();
            pointers(&sent[at], "", &mut found);
            found.retain(|pointer| sent[at].pointer(pointer).is_some_and(Value::is_string));
            // Mostly what a client may change, so that many merges are accepted.
            if word.len() > 1 {
                found.retain(|pointer| !GUARDED.iter().any(|name| pointer.starts_with(name)) && !pointer.ends_with("/reference"));
            }
            found.retain(|pointer| pointer != "/id" && pointer != "/resourceType" && !pointer.starts_with("/meta"));
            if !found.is_empty() {
                let pointer = &found[place.index(found.len())];
                let value = sent[at].pointer_mut(pointer).unwrap();
                let is_date = value.as_str().is_some_and(|text| text.starts_with("20") && text.contains('-'));
                *value = if is_date { "2020-02-02".into() } else { word.into() };
            }
        }
        if let Ok(plan) = merge(&product, &sending(&sent), column) {
            if column != Column::Ema {
                let mut after = product.clone();
                for change in &plan.changed {
                    let all = std::iter::once(&mut after.root).chain(&mut after.parts);
                    all.filter(|it| resource_key(it).as_ref() == Some(&change.key)).for_each(|it| *it = change.body.clone());
                }
                prop_assert_eq!(facts_of(&after), facts_of(&product));
            }
            for change in &plan.changed {
                let stored = product.find(&change.key).unwrap();
                let seen = before.iter().find(|it| resource_key(it).as_ref() == Some(&change.key)).unwrap();
                let [mut all, mut visible, mut now] = [(); 3].map(|()| std::collections::BTreeMap::new());
                leaves(stored, "", &mut all);
                leaves(seen, "", &mut visible);
                leaves(&change.body, "", &mut now);
                for (leaf, count) in all {
                    let hidden = count - visible.get(&leaf).copied().unwrap_or_default();
                    prop_assert!(now.get(&leaf).copied().unwrap_or_default() >= hidden, "{} {} lost {}", column, change.key, leaf);
                }
                prop_assert_eq!(&change.body["meta"], &stored["meta"]);
                prop_assert_eq!(schema::check(&change.body), vec![]);
            }
        }
    }
}
