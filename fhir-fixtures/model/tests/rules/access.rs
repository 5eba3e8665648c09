//! What each column sees of the sample product: every row of the matrix, every side channel of a view.

use std::collections::BTreeSet;

use fhir_model::{
    Product, ResourceKey,
    access::{
        AccessMatrix, Column, DEFAULT_MATRIX, Outcome, Targets, Viewer, explain, filter, filter_resource,
        merge_hidden,
    },
    resource_key, schema,
};
use pms_terms::{Domains, Stakeholder};
use serde_json::{Value, json};

use crate::sample::{self, facts_of, matrix, seen, targets};

fn ids(product: &Product) -> BTreeSet<String> {
    product.resources().filter_map(resource_key).map(|key| key.to_string()).collect()
}

fn part(product: &Product, key: &str) -> Value {
    product.find(&key.parse::<ResourceKey>().unwrap()).cloned().unwrap_or_default()
}

fn text_of(product: &Product) -> String {
    product.resources().map(Value::to_string).collect()
}

const OUTSIDERS: [Column; 2] = [Column::Public, Column::IndustryOther];

#[test]
fn the_sample_is_valid_and_stays_valid_for_every_column() {
    for resource in sample::product().resources() {
        assert_eq!(schema::check(resource), vec![]);
    }
    for column in Column::ALL {
        for resource in seen(column).product.resources() {
            assert_eq!(schema::check(resource), vec![], "{column}");
        }
    }
}

#[test]
fn nothing_hidden_appears_in_an_outsiders_view() {
    for column in OUTSIDERS {
        let view = text_of(&seen(column).product);
        for word in [
            "hidden",
            "Hidden",
            "narrative",
            "secretose",
            "Dr ",
            "MFL1",
            "PRD1",
            "internal",
            "closed",
            "MIA",
            "supplier",
            "free text",
            "basis",
            "APP/1",
            "PROC/1",
            "applied for",
            "impurity",
            "inside",
            "Contained",
            "ResearchStudy",
            "600000000003",
            "person",
            "customer",
            "pending",
            "withdrawn",
            "group of it",
            "function of it",
            "other class",
            "legal-basis",
            "urn:profile",
            "dateRange",
            "restoreDate",
            "C9H9",
        ] {
            assert!(!view.contains(word), "{column} sees {word:?}: {view}");
        }
    }
}

#[test]
fn outsiders_see_the_public_subset() {
    for column in OUTSIDERS {
        let view = seen(column).product;
        let expected = [
            "MedicinalProductDefinition/600000000001",
            "RegulatedAuthorization/ra-valid",
            "PackagedProductDefinition/pack",
            "AdministrableProductDefinition/adm",
            "ManufacturedItemDefinition/item",
            "Ingredient/active",
            "Ingredient/excipient",
            "SubstanceDefinition/examplol",
            "SubstanceDefinition/lactose",
            "Organization/holder",
            "Organization/agency",
            "Organization/enquiry-point",
            "DocumentReference/smpc",
            "ClinicalUseDefinition/cu",
        ];
        assert_eq!(ids(&view), expected.into_iter().map(str::to_owned).collect(), "{column}");
        let root = &view.root;
        assert_eq!(root["name"], sample::product().root["name"]);
        assert_eq!(root["identifier"].as_array().unwrap().len(), 1);
        assert_eq!(root["classification"].as_array().unwrap().len(), 2);
        assert_eq!(root["masterFile"][0].as_object().unwrap().len(), 1);
        assert_eq!(root["masterFile"][0]["extension"][0]["valueCodeableConcept"]["text"], "Germany");
        assert_eq!(root["crossReference"].as_array().unwrap().len(), 1);
        assert_eq!(root["contact"].as_array().unwrap().len(), 1);
        assert_eq!(root["extension"].as_array().unwrap().len(), 1);
        assert!(root.get("operation").is_none());
        assert_eq!(root["meta"]["tag"][0]["code"], "SUBSETTED");
        let active = part(&view, "Ingredient/active");
        assert_eq!(active["substance"]["strength"][0]["presentationRatio"]["numerator"]["value"], 5);
        let excipient = part(&view, "Ingredient/excipient");
        assert_eq!(excipient["substance"]["code"]["concept"]["text"], "lactose");
        assert!(excipient["substance"].get("strength").is_none());
        let enquiry = part(&view, "Organization/enquiry-point");
        assert_eq!(
            enquiry["contact"],
            json!([{"address":{"country":"DE"}},
            {"purpose":{"text":"Pharmacovigilance enquiry"},"telecom":[{"system":"email","value":"enquiry@example.org"}]}])
        );
        let pack = part(&view, "PackagedProductDefinition/pack");
        assert_eq!(pack["packaging"]["packaging"][0]["containedItem"][0]["amount"]["value"], 30);
        assert_eq!(pack["packaging"]["packaging"][0]["material"][0]["text"], "PVC");
        assert_eq!(part(&view, "ManufacturedItemDefinition/item")["property"].as_array().unwrap().len(), 1);
        assert_eq!(
            part(&view, "AdministrableProductDefinition/adm")["ingredient"],
            json!([{"text":"examplol"}])
        );
        let authorisation = part(&view, "RegulatedAuthorization/ra-valid");
        assert!(authorisation.get("case").is_none());
        assert_eq!(authorisation["attachedDocument"].as_array().unwrap().len(), 1);
        assert_eq!(
            authorisation["indication"],
            json!([{"reference":{"reference":"ClinicalUseDefinition/cu"}}])
        );
    }
    assert!(seen(Column::Public).product.root.get("marketingStatus").is_none());
    let status = seen(Column::IndustryOther).product.root["marketingStatus"][0].clone();
    assert_eq!(status.as_object().unwrap().keys().collect::<Vec<_>>(), ["country", "status"]);
}

#[test]
fn an_owner_sees_its_product_but_not_what_is_confidential_or_personal() {
    let view = seen(Column::IndustryOwner).product;
    let words = text_of(&view);
    for word in [
        "Dr Hidden",
        "\"closed\"",
        "MIA ra-closed",
        "closed-site",
        "supplier",
        "impurity",
        "hidden component",
        "narrative",
        "hidden extension",
        "hidden beside",
        "Not confidential",
        "PractitionerRole",
        "\"structure\"",
        // Another's product, which is not public.
        "600000000003",
    ] {
        assert!(!words.contains(word), "owner sees {word:?}");
    }
    for word in [
        "MIA ra-open",
        "ra-pending",
        "ra-withdrawn",
        "hidden report",
        "internal number",
        "hidden description",
        "APP/1",
        "MFL1",
        "Hidden street",
        "secretose",
        "600000000002",
        "dateRange",
        "applied for",
    ] {
        assert!(words.contains(word), "owner misses {word:?}");
    }
    assert_eq!(view.root["operation"].as_array().unwrap().len(), 1);
    assert!(part(&view, "Ingredient/excipient")["substance"].get("strength").is_none());
}

#[test]
fn qualified_owners_and_authorities_see_everything() {
    let product = sample::product();
    let facts = facts_of(&product);
    let all = known(&["600000000002", "600000000003"]);
    for column in [Column::IndustryOwnerQualified, Column::Nca, Column::Ema] {
        let view = filter(matrix(), column, &facts, &product, &all).unwrap();
        assert!(view.product == product, "{column}");
        assert!(view.subsetted.is_empty() && view.hidden.is_empty());
    }
    // The agency passes every gate, even that of a product that is not there.
    assert!(filter(matrix(), Column::Ema, &facts, &product, &known(&[])).unwrap().product == product);
}

fn known(ids: &[&str]) -> Targets {
    Targets { visible: ids.iter().map(|id| (*id).to_owned()).collect() }
}

/// The sample with references to the products 600000000002 and 600000000003 in every shape and place.
fn with_references() -> Product {
    let mut product = sample::product();
    let pointing = |id: &str| json!({"reference": format!("MedicinalProductDefinition/{id}"), "display": format!("name of {id}")});
    product.root["crossReference"] =
        json!(["600000000002", "600000000003"].map(|id| json!({"type": {"text": format!("kind of {id}")},
            "product": {"concept": {"text": format!("text of {id}")}, "reference": pointing(id)}})));
    product.root["crossReference"].as_array_mut().unwrap().extend([
        json!({"product": {"reference": {"identifier": {"system": "http://ema.europa.eu/fhir/pmsId", "value": "600000000003"}}}}),
        json!({"product": {"reference": {"type": "MedicinalProductDefinition", "identifier": {"value": "600000000003"}}}}),
        json!({"product": {"reference": {"reference": "MedicinalProductDefinition?identifier=600000000003"}}}),
        json!({"product": {"reference": {"reference": "https://elsewhere.example/MedicinalProductDefinition/600000000003"}}}),
    ]);
    for (id, element) in [
        ("ra-valid", "subject"),
        ("pack", "packageFor"),
        ("adm", "formOf"),
        ("active", "for"),
        ("cu", "subject"),
    ] {
        let part = product.parts.iter_mut().find(|part| part["id"] == id).unwrap();
        let links = part[element].as_array_mut().unwrap();
        links.extend(["600000000002", "600000000003"].map(pointing));
        // A part of that product, which stands in no other.
        links.push(json!({"reference": "AdministrableProductDefinition/of-600000000003"}));
    }
    product
}

#[test]
fn a_reader_hears_of_those_products_only_that_it_may_know_of() {
    let product = with_references();
    let facts = facts_of(&product);
    for column in Column::ALL {
        for (ids, here, gone) in [
            (&["600000000002"][..], &["600000000002"][..], &["600000000003"][..]),
            (&[], &[], &["600000000002", "600000000003"]),
        ] {
            let view = filter(matrix(), column, &facts, &product, &known(ids)).unwrap();
            let text = text_of(&view.product);
            for id in here {
                // Its cross-reference, and one link of each part.
                assert_eq!(text.matches(&format!("name of {id}")).count(), 6, "{column} {id}");
            }
            for id in gone {
                assert_eq!(text.contains(id), column == Column::Ema, "{column} {id}: {text}");
            }
            for resource in view.product.resources() {
                assert_eq!(schema::check(resource), vec![], "{column}");
                let key = resource_key(resource).unwrap();
                let subsetted = resource["meta"]["tag"].to_string().contains("SUBSETTED");
                assert_eq!(subsetted, view.subsetted.contains(&key), "{column} {key}");
                let stored = product.find(&key).unwrap();
                assert_eq!(subsetted, resource != stored, "{column} {key}");
                // Whoever sends back what it saw deletes nothing.
                let merged = merge_hidden(matrix(), column, &facts, &product, &known(ids), stored, resource);
                assert!(&merged == stored, "{column} {key}");
            }
        }
    }
}

#[test]
fn an_extension_inside_another_needs_a_row_of_its_own() {
    let mut product = sample::product();
    product.root["name"][0]["extension"] = json!([{
        "url": "http://ema.europa.eu/fhir/extension/codeSystemName", "valueCoding": {"code": "open",
            "extension": [{"url": "urn:unknown", "valueString": "nested secret"}]},
    }]);
    product.root["masterFile"][0]["extension"][0]["extension"] =
        json!([{"url": "town", "valueString": "nested secret"}]);
    let facts = facts_of(&product);
    for column in [Column::Public, Column::IndustryOther, Column::IndustryOwner] {
        let view = filter(matrix(), column, &facts, &product, &targets()).unwrap().product;
        assert!(!text_of(&view).contains("nested secret"), "{column}");
        assert_eq!(view.root["name"][0]["extension"][0]["valueCoding"], json!({"code": "open"}), "{column}");
        assert_eq!(view.root["masterFile"][0]["extension"][0]["valueCodeableConcept"]["text"], "Germany");
    }
    let view = filter(matrix(), Column::Nca, &facts, &product, &targets()).unwrap().product;
    assert_eq!(text_of(&view).matches("nested secret").count(), 2);
}

#[test]
fn what_changes_the_meaning_takes_along_what_it_changes() {
    for (element, value) in [
        ("implicitRules", json!("https://rules.example/not-really")),
        ("_implicitRules", json!({"extension": [{"url": "urn:unknown", "valueString": "x"}]})),
        ("modifierExtension", json!([{"url": "https://rules.example/not-really", "valueBoolean": true}])),
    ] {
        let mut product = sample::product();
        let pack = product.parts.iter_mut().find(|part| part["id"] == "pack").unwrap();
        pack[element] = value.clone();
        let facts = facts_of(&product);
        for column in Column::ALL {
            let view = filter(matrix(), column, &facts, &product, &targets()).unwrap().product;
            let cleared = column >= Column::IndustryOwnerQualified;
            assert_eq!(ids(&view).contains("PackagedProductDefinition/pack"), cleared, "{column} {element}");
        }
        product.root[element] = value;
        assert!(filter(matrix(), Column::Public, &facts, &product, &targets()).is_none(), "{element}");
    }
}

#[test]
fn central_products_open_their_procedure_and_legal_basis() {
    let mut product = sample::product();
    product.parts[0]["identifier"][0]["value"] = json!("EU/1/24/001");
    let view = filter(matrix(), Column::Public, &facts_of(&product), &product, &targets()).unwrap().product;
    let authorisation = part(&view, "RegulatedAuthorization/ra-valid");
    assert_eq!(authorisation["case"]["identifier"]["value"], "PROC/1");
    assert!(authorisation["case"].get("application").is_none());
    assert_eq!(view.root["classification"].as_array().unwrap().len(), 3);
}

#[test]
fn the_batch_release_switch_opens_the_site_and_nothing_else() {
    let text = DEFAULT_MATRIX
        .replace("batch_release_manufacturer = []", r#"batch_release_manufacturer = ["public"]"#);
    let matrix = AccessMatrix::parse(&text, "opened").unwrap();
    let product = sample::product();
    let view = filter(&matrix, Column::Public, &facts_of(&product), &product, &targets()).unwrap().product;
    assert_eq!(view.root["operation"], json!([{"organization":[{"reference":"Organization/open-site"}]}]));
    assert!(
        ids(&view).contains("Organization/open-site") && !ids(&view).contains("Organization/closed-site")
    );
    assert!(!ids(&view).contains("ActivityDefinition/open"));
}

#[test]
fn an_unknown_indicator_counts_as_confidential() {
    for indicator in [
        json!({"text":"Geheim"}),
        json!({"coding":[{"code":"x"}]}),
        json!({"text":"not confidential",
        "coding":[{"code":"1","display":"Confidential"}]}),
    ] {
        let mut product = sample::product();
        product.root["operation"][0]["confidentialityIndicator"] = indicator;
        let view =
            filter(matrix(), Column::IndustryOwner, &facts_of(&product), &product, &targets()).unwrap();
        assert!(view.product.root.get("operation").is_none());
        assert!(view.hidden.contains(&"RegulatedAuthorization/ra-open".parse().unwrap()));
    }
}

#[test]
fn a_hidden_parent_hides_what_hangs_on_it() {
    // A matrix in which packs are closed to the public: what only a pack leads to goes too.
    let text = DEFAULT_MATRIX.replace(
        r#"{ path = "PackagedProductDefinition", public = true"#,
        r#"{ path = "PackagedProductDefinition", public = false"#,
    );
    let matrix = AccessMatrix::parse(&text, "closed packs").unwrap();
    let mut product = sample::product();
    product.parts.iter_mut().filter(|part| part["id"] == "adm").for_each(|part| {
        part.as_object_mut().unwrap().remove("producedFrom");
    });
    let view = filter(&matrix, Column::Public, &facts_of(&product), &product, &targets()).unwrap();
    for gone in [
        "PackagedProductDefinition/pack",
        "ManufacturedItemDefinition/item",
        "Ingredient/active",
        "SubstanceDefinition/examplol",
    ] {
        assert!(view.hidden.contains(&gone.parse().unwrap()), "{gone}");
    }
}

#[test]
fn a_hidden_required_child_takes_its_parent_along() {
    let text = DEFAULT_MATRIX.replace(
        r#"{ path = "Ingredient.substance.code", public = true"#,
        r#"{ path = "Ingredient.substance.code", public = false"#,
    );
    let matrix = AccessMatrix::parse(&text, "no codes").unwrap();
    let product = sample::product();
    let view = filter(&matrix, Column::Public, &facts_of(&product), &product, &targets()).unwrap().product;
    assert!(
        !ids(&view).iter().any(|id| id.starts_with("Ingredient/") || id.starts_with("SubstanceDefinition/"))
    );
}

#[test]
fn old_versions_are_shown_by_todays_policy() {
    let product = sample::product();
    let facts = facts_of(&product);
    let old =
        |column, resource: &Value| filter_resource(matrix(), column, &facts, &product, &targets(), resource);
    // The operation was not yet marked when this version was made.
    let mut version = product.root.clone();
    version["meta"]["versionId"] = json!("1");
    version["operation"][1].as_object_mut().unwrap().remove("confidentialityIndicator");
    assert!(old(Column::IndustryOwner, &version).unwrap().get("operation").is_none());
    assert_eq!(old(Column::Ema, &version).unwrap(), version);
    // What is hidden today is hidden in every version.
    let activity = json!({"resourceType":"ActivityDefinition","id":"closed","status":"draft"});
    assert_eq!(old(Column::IndustryOwner, &activity), None);
    let pending =
        json!({"resourceType":"RegulatedAuthorization","id":"ra-pending","status":{"text":"Valid"}});
    assert_eq!(old(Column::Public, &pending), None);
    // A resource that is gone is for nobody outside.
    let gone = json!({"resourceType":"PackagedProductDefinition","id":"gone","name":"x"});
    assert_eq!(old(Column::Public, &gone), None);
    assert!(old(Column::IndustryOwner, &gone).is_some());
}

#[test]
fn explanations_name_row_and_line() {
    let product = sample::product();
    let viewer = Viewer {
        stakeholder: Stakeholder::Public,
        qualified: false,
        domains: Domains::NONE,
        organisation: None,
    };
    let decisions = explain(matrix(), &viewer, &facts_of(&product), &product, &targets());
    assert_eq!(decisions[0].rule, "G1");
    let find = |path: &str| {
        decisions.iter().find(|decision| decision.path == path).unwrap_or_else(|| panic!("{path}"))
    };
    let version = find("MedicinalProductDefinition/600000000001.version");
    assert_eq!(version.outcome, Outcome::Removed);
    let line: usize = version.rule.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(DEFAULT_MATRIX.lines().nth(line - 1).unwrap().contains("MedicinalProductDefinition.version"));
    assert_eq!(find("MedicinalProductDefinition/600000000001.contact[1]").outcome, Outcome::Removed);
    assert_eq!(
        find("MedicinalProductDefinition/600000000001.masterFile[0].extension[0]").outcome,
        Outcome::Kept
    );
    assert_eq!(find("MedicinalProductDefinition/600000000001.extension[1]").outcome, Outcome::Removed);
    assert_eq!(find("RegulatedAuthorization/ra-pending").outcome, Outcome::Removed);
    assert_eq!(find("Ingredient/excipient").outcome, Outcome::Partly);
    let hidden = Viewer { stakeholder: Stakeholder::Nca, ..viewer };
    let decisions = explain(matrix(), &hidden, &facts_of(&product), &product, &Targets::default());
    assert_eq!(
        (decisions.len(), decisions[0].rule.as_str(), decisions[0].outcome),
        (1, "G3", Outcome::Removed)
    );
}

#[test]
fn sending_a_filtered_view_back_changes_nothing() {
    let product = sample::product();
    let facts = facts_of(&product);
    for column in Column::ALL {
        let view = seen(column).product;
        for sent in view.resources() {
            let stored = product.find(&resource_key(sent).unwrap()).unwrap();
            let merged = merge_hidden(matrix(), column, &facts, &product, &targets(), stored, sent);
            assert_eq!(&merged, stored, "{column}");
        }
    }
}

#[test]
fn what_a_sender_cannot_see_survives_its_changes() {
    let product = sample::product();
    let facts = facts_of(&product);
    let mut sent = seen(Column::IndustryOwner).product.root;
    sent["description"] = json!("new description");
    sent["operation"][0]["effectiveDate"]["start"] = json!("2025-01-01");
    sent["operation"].as_array_mut().unwrap().push(json!({"organization":[{"display":"new site"}]}));
    sent["impurity"] = json!([{"concept":{"text":"forged"}}]);
    sent["contact"] = json!([]);
    let merged =
        merge_hidden(matrix(), Column::IndustryOwner, &facts, &product, &targets(), &product.root, &sent);
    assert_eq!(merged["description"], "new description");
    assert_eq!(merged["impurity"], product.root["impurity"]);
    let operations = merged["operation"].as_array().unwrap();
    assert_eq!(operations.len(), 3);
    assert_eq!(operations[0]["effectiveDate"]["start"], "2025-01-01");
    assert_eq!(operations[0]["confidentialityIndicator"]["text"], "Not confidential");
    assert_eq!(operations[1], product.root["operation"][1]);
    assert_eq!(operations[2]["organization"][0]["display"], "new site");
    assert_eq!(merged["contact"], json!([product.root["contact"][1]]));
    assert!(merged.get("text").is_none());
    assert_eq!(merged["meta"], product.root["meta"]);
}
