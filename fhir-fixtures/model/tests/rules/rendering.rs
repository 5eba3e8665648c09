//! Rendering in 4.4.0: real products, filtered products, arbitrary trees.

use fhir_model::{
    Product,
    access::{Column, Targets, filter},
    demo,
    facts::facts,
    render, resource_key, schema,
};
use pms_terms::FhirVersion;
use serde_json::{Value, json};

use crate::{sample, shared};

/// Every resource of every real product, and of the sample, as each column sees it in each version; with a name.
fn views(version: FhirVersion) -> Vec<(String, Value)> {
    let matrix = sample::matrix();
    let mut all = Vec::new();
    let mut products: Vec<(String, Product)> = vec![("sample".to_owned(), sample::product())];
    for (file, resources) in shared::files("data/products") {
        let grouped = shared::products(&resources);
        if grouped.is_empty() {
            // A lone part: rendered as it is.
            all.extend(resources.iter().map(|resource| (file.clone(), rendered(version, resource))));
        }
        products.extend(grouped.into_iter().map(|product| (file.clone(), product)));
    }
    for bundle in demo::bundles() {
        let resources: Vec<Value> =
            bundle["entry"].as_array().unwrap().iter().map(|entry| entry["resource"].clone()).collect();
        products.extend(shared::products(&resources).into_iter().map(|product| ("demo".to_owned(), product)));
    }
    for (file, product) in &products {
        let facts = facts(product, &|_| None);
        for column in Column::ALL {
            let Some(view) = filter(matrix, column, &facts, product, &Targets::default()) else { continue };
            let shown = match version {
                FhirVersion::V4_4_0 => render::product_to_4_4_0(&view.product),
                FhirVersion::V5_0_0 => view.product,
            };
            all.extend(shown.resources().map(|resource| (format!("{file} for {column}"), resource.clone())));
        }
    }
    all
}

fn rendered(version: FhirVersion, resource: &Value) -> Value {
    match version {
        FhirVersion::V4_4_0 => render::to_4_4_0(resource, &Product::new(resource.clone(), vec![])),
        FhirVersion::V5_0_0 => resource.clone(),
    }
}

#[test]
fn every_view_of_every_product_is_valid_in_both_versions() {
    for version in [FhirVersion::V4_4_0, FhirVersion::V5_0_0] {
        let views = views(version);
        for (name, resource) in &views {
            let problems = schema::check_in(version, resource);
            assert!(problems.is_empty(), "{name} in {version}: {problems:#?}\n{resource:#}");
        }
        shared::check_with_python(version, &views);
        println!("{} resources checked against {version}", views.len());
    }
}

#[test]
fn forward_links_are_made_from_visible_inverse_links() {
    let all = render::product_to_4_4_0(&sample::seen(Column::Ema).product);
    let link = |id: &str| json!({"reference": id});
    assert_eq!(all.root["pharmaceuticalProduct"], json!([link("AdministrableProductDefinition/adm")]));
    assert_eq!(all.root["packagedMedicinalProduct"], json!([link("PackagedProductDefinition/pack")]));
    let operations = all.root["manufacturingBusinessOperation"].as_array().unwrap();
    assert_eq!(operations[0]["authorization"], link("RegulatedAuthorization/ra-open"));
    assert_eq!(operations[1]["authorization"], link("RegulatedAuthorization/ra-closed"));
    let find = |product: &Product, key: &str| {
        product.resources().find(|r| resource_key(r).unwrap().to_string() == key).cloned().unwrap()
    };
    let item = find(&all, "ManufacturedItemDefinition/item");
    assert_eq!(item["ingredient"].as_array().unwrap().len(), 3);
    let pack = find(&all, "PackagedProductDefinition/pack");
    assert_eq!(pack["marketingAuthorization"], link("RegulatedAuthorization/ra-pending"));

    let public = render::product_to_4_4_0(&sample::seen(Column::Public).product);
    let item = find(&public, "ManufacturedItemDefinition/item");
    assert_eq!(item["ingredient"], json!([link("Ingredient/active"), link("Ingredient/excipient")]));
    assert!(find(&public, "PackagedProductDefinition/pack").get("marketingAuthorization").is_none());
    assert!(public.root.get("manufacturingBusinessOperation").is_none());
    let words: String = public.resources().map(Value::to_string).collect();
    assert!(!words.contains("secret") && !words.contains("closed") && !words.contains("ra-pending"));
}

#[test]
fn clinical_use_is_an_issue_in_4_4_0() {
    let shown = render::product_to_4_4_0(&sample::seen(Column::Ema).product);
    let issue = shown.parts.iter().find(|part| part["id"] == "cu").unwrap();
    assert_eq!(issue["resourceType"], "ClinicalUseIssue");
    assert_eq!(issue["indication"]["diseaseSymptomProcedure"]["text"], "headache");
    let authorisation = shown.parts.iter().find(|part| part["id"] == "ra-valid").unwrap();
    assert_eq!(authorisation["indicationReference"]["reference"], "ClinicalUseIssue/cu");
}

#[test]
fn strengths_of_every_type_have_a_place() {
    let ingredient = json!({"resourceType":"Ingredient","id":"i","status":"active","role":{"text":"Active"},
        "substance":{"code":{"reference":{"reference":"SubstanceDefinition/s"}},"strength":[
            {"presentationRatioRange":{"lowNumerator":{"value":1},"highNumerator":{"value":2},"denominator":{"value":3}},
                "concentrationCodeableConcept":{"text":"as required"}},
            {"presentationQuantity":{"value":5},"textPresentation":"five"}]}});
    let shown = rendered(FhirVersion::V4_4_0, &ingredient);
    assert_eq!(schema::check_in(FhirVersion::V4_4_0, &shown), vec![]);
    let strength = &shown["substance"]["strength"];
    assert_eq!(strength[0]["presentation"], json!({"numerator":{"value":1},"denominator":{"value":3}}));
    assert_eq!(strength[0]["presentationHighLimit"]["numerator"]["value"], 2);
    assert_eq!(strength[0]["concentrationText"], "as required");
    assert_eq!(strength[1]["presentation"]["numerator"]["value"], 5);
    assert_eq!(strength[1]["presentationText"], "five");
    assert_eq!(shown["substance"]["codeReference"]["reference"], "SubstanceDefinition/s");
    assert!(shown.get("status").is_none());
}
