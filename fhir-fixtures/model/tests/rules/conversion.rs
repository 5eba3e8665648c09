//! From 4.4.0 to 5.0.0 and round trips between the two.

use fhir_model::{Product, access::Column, convert, links, render, resource_key, schema};
use pms_terms::FhirVersion;
use serde_json::{Value, json};

use crate::{sample, shared};

#[test]
fn real_4_4_0_examples_become_valid_5_0_0() {
    for (file, resources) in shared::files("data/products/fhir-4.4.0") {
        assert_eq!(convert::version_of_all(&resources), FhirVersion::V4_4_0, "{file}");
        let converted = convert::from_4_4_0(&resources);
        assert_eq!(converted.refused, vec![], "{file}");
        let named: Vec<(String, Value)> =
            converted.resources.iter().map(|each| (file.clone(), each.clone())).collect();
        shared::check_with_python(FhirVersion::V5_0_0, &named);
    }
    for (file, resources) in shared::files("data/products") {
        assert_eq!(convert::version_of_all(&resources), FhirVersion::V5_0_0, "{file}");
    }
}

/// Removes what 4.4.0 has no place for, so that the rest can be compared.
fn without_5_0_0_only(resource: &mut Value) {
    let only: &[&str] = match resource["resourceType"].as_str().unwrap() {
        "MedicinalProductDefinition" => {
            &["route", "comprisedOf", "impurity", "code", "packagedMedicinalProduct", "ingredient"]
        }
        "RegulatedAuthorization" => &["attachedDocument"],
        "PackagedProductDefinition" => &["type", "attachedDocument"],
        "AdministrableProductDefinition" => &["status", "ingredient", "description"],
        "ManufacturedItemDefinition" => &["status", "ingredient", "name", "marketingStatus", "component"],
        "Ingredient" => &["status", "group"],
        "Organization" => &["description", "qualification"],
        "SubstanceDefinition" => &["property", "grade", "characterization", "sourceMaterial"],
        "DocumentReference" => &["version", "modality", "bodySite"],
        _ => &[],
    };
    let fields = resource.as_object_mut().unwrap();
    for name in only {
        fields.remove(*name);
    }
    strip(resource);
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            // A choice in 4.4.0 keeps the concept, or else the reference.
            if fields.contains_key("concept") {
                fields.remove("reference");
            }
            // One manufacturer role has no place.
            if fields.contains_key("manufacturer") && fields.len() == 2 {
                fields.remove("role");
            }
            // A concept in a pack keeps its wording.
            if let Some(Value::Object(concept)) =
                fields.get_mut("item").and_then(|item| item.get_mut("concept"))
            {
                let display = concept.get("coding").map(|codings| codings[0]["display"].clone());
                let text = concept.get("text").cloned().or(display);
                *concept = text.into_iter().map(|text| ("text".to_owned(), text)).collect();
            }
            // A characteristic keeps its type.
            if fields.contains_key("type") {
                fields.remove("valueBoolean");
            }
            // The order of upward links is that of the forward ones.
            for name in ["for", "subject"] {
                if let Some(links) = fields.get_mut(name).and_then(Value::as_array_mut) {
                    links.sort_by_key(Value::to_string);
                }
            }
            fields.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

fn round_trip(name: &str, product: &Product) {
    let rendered = render::product_to_4_4_0(product);
    let there: Vec<Value> = rendered.resources().cloned().collect();
    let back = convert::from_4_4_0(&there);
    assert_eq!(back.refused, vec![], "{name}");
    assert_eq!(back.notes, vec![], "{name}");
    for (before, after) in product.resources().zip(&back.resources) {
        let (mut before, mut after) = (before.clone(), after.clone());
        without_5_0_0_only(&mut before);
        without_5_0_0_only(&mut after);
        let names = before.as_object().unwrap().keys().chain(after.as_object().unwrap().keys());
        for element in names {
            assert_eq!(
                before.get(element),
                after.get(element),
                "{name} {} {element}",
                resource_key(&before).unwrap()
            );
        }
    }
}

#[test]
fn real_products_survive_the_round_trip() {
    for (file, resources) in shared::files("data/products") {
        if !file.starts_with("unicom") {
            continue;
        }
        for product in shared::products(&resources) {
            round_trip(&file, &product);
        }
    }
}

#[test]
fn the_sample_survives_the_round_trip() {
    let mut product = sample::seen(Column::Ema).product;
    // Two subjects and an indication with both halves are more than 4.4.0 can say; one is kept.
    for part in &mut product.parts {
        if part["resourceType"] == "RegulatedAuthorization" && part.get("indication").is_some() {
            part["indication"][0].as_object_mut().unwrap().remove("concept");
        }
    }
    round_trip("sample", &product);
}

#[test]
fn what_has_no_home_is_told_and_the_rest_kept() {
    let resources = [
        json!({"resourceType":"RegulatedAuthorization","id":"ra","subject":{"reference":"MedicinalProductDefinition/1"},
            "relatedDate":[{"dateDateTime":"2020","type":{"text":"first"}}],
            "jurisdictionalAuthorization":[{"reference":"RegulatedAuthorization/2"}]}),
        json!({"resourceType":"PackagedProductDefinition","id":"p","batchIdentifier":[{"outerPackaging":{"value":"1"}}],
            "marketingAuthorization":{"reference":"RegulatedAuthorization/ra"},
            "package":[{"containedItem":[{"item":[{"reference":"ManufacturedItemDefinition/a"},
                {"reference":"ManufacturedItemDefinition/b"}],"amountInteger":3}]},{"quantity":1}]}),
        json!({"resourceType":"Ingredient","id":"i","role":{"text":"active"},"specifiedSubstance":[{
            "codeCodeableConcept":{"text":"s"},"group":{"text":"1"},"confidentiality":{"text":"Confidential"},
            "strength":[{"presentation":{"numerator":{"value":1}},"presentationHighLimit":{"numerator":{"value":2}}}]}]}),
        json!({"resourceType":"Ingredient","id":"empty","role":{"text":"active"}}),
        json!({"resourceType":"MedicinalProductDefinition","id":"1","name":[{"productName":"x"}],
            "ingredient":[{"reference":"Ingredient/i"},{"reference":"Ingredient/elsewhere"}]}),
    ];
    let converted = convert::from_4_4_0(&resources);
    let paths: Vec<&str> = converted.notes.iter().map(|note| note.path.as_str()).collect();
    for path in [
        "RegulatedAuthorization.relatedDate",
        "RegulatedAuthorization.jurisdictionalAuthorization",
        "PackagedProductDefinition.batchIdentifier",
        "PackagedProductDefinition.package",
        "Ingredient.specifiedSubstance",
        "MedicinalProductDefinition.ingredient[1]",
    ] {
        assert!(paths.contains(&path), "{path} not in {paths:?}");
    }
    assert_eq!(converted.refused.len(), 1);
    assert_eq!(converted.refused[0].resource, "Ingredient/empty");
    let [authorisation, pack, ingredient, _] = converted.resources.as_slice() else {
        panic!("{converted:?}")
    };
    assert_eq!(links::parents(authorisation).len(), 2);
    let items = pack["packaging"]["packaging"][0]["containedItem"].as_array().unwrap();
    assert_eq!((items.len(), &items[1]["amount"]["value"]), (2, &json!(3)));
    assert_eq!(ingredient["for"][0]["reference"], "MedicinalProductDefinition/1");
    assert_eq!(ingredient["substance"]["strength"][0]["presentationRatioRange"]["highNumerator"]["value"], 2);
    assert!(ingredient["extension"][0]["url"].as_str().unwrap().ends_with("confidentiality"));
    assert_eq!(schema::check(ingredient), vec![]);
}

#[test]
fn types_of_neither_version_are_refused() {
    let converted = convert::from_4_4_0(&[json!({"resourceType":"Patient","id":"1"}), json!(1)]);
    assert_eq!((converted.resources.len(), converted.refused.len()), (0, 2));
}
