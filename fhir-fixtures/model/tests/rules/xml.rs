//! XML of the demo products and of the shared files, in both versions, through JSON and back.

use fhir_model::{demo, render, xml};
use pms_terms::FhirVersion;
use serde_json::{Value, json};

use crate::shared;

fn survives(version: FhirVersion, what: &str, resource: &Value) {
    let text = xml::write(version, resource).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(xml::read(version, &text).as_ref(), Ok(resource), "{what}");
    let pretty = xml::write_pretty(version, resource).unwrap();
    assert_eq!(xml::read(version, &pretty).as_ref(), Ok(resource), "{what}");
}

#[test]
fn demo_products_survive_xml_in_both_versions() {
    for bundle in demo::bundles() {
        survives(FhirVersion::V5_0_0, "demo", &bundle);
        let resources: Vec<Value> =
            bundle["entry"].as_array().unwrap().iter().map(|entry| entry["resource"].clone()).collect();
        for product in shared::products(&resources) {
            let rendered = render::product_to_4_4_0(&product);
            let entries: Vec<Value> =
                rendered.resources().map(|each| json!({"fullUrl": "urn:x", "resource": each})).collect();
            let bundle = json!({"resourceType": "Bundle", "type": "searchset", "total": 1, "entry": entries});
            survives(FhirVersion::V4_4_0, product.id(), &bundle);
        }
    }
}

#[test]
fn shared_files_survive_xml() {
    for (folder, version) in
        [("data/products", FhirVersion::V5_0_0), ("data/products/fhir-4.4.0", FhirVersion::V4_4_0)]
    {
        for (file, resources) in shared::files(folder) {
            for resource in &resources {
                survives(version, &file, resource);
            }
        }
    }
}
