//! What the catalogue promises: enough products, all elements of the access matrix, valid FHIR, stable bytes.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use super::*;

mod paths;
mod readme;

use paths::{KINDS, PATHS};

fn resources(bundle: &Value) -> impl Iterator<Item = &Value> {
    bundle["entry"].as_array().unwrap().iter().map(|entry| &entry["resource"])
}

fn key(resource: &Value) -> String {
    format!("{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap())
}

/// The values at `path` in `resource`, looking into lists.
fn at<'v>(resource: &'v Value, path: &str) -> Vec<&'v Value> {
    let mut values = vec![resource];
    for name in path.split('.').skip(1) {
        values = values
            .into_iter()
            .filter_map(|value| value.get(name))
            .flat_map(|value| value.as_array().map_or_else(|| vec![value], |items| items.iter().collect()))
            .collect();
    }
    values
}

fn everywhere<'v>(bundles: &'v [Value], path: &str) -> Vec<&'v Value> {
    let resource_type = path.split('.').next();
    bundles
        .iter()
        .flat_map(resources)
        .filter(|resource| resource["resourceType"].as_str() == resource_type)
        .flat_map(|resource| at(resource, path))
        .collect()
}

fn codes<'v>(bundles: &'v [Value], path: &str) -> BTreeSet<&'v str> {
    everywhere(bundles, &format!("{path}.coding.code")).into_iter().filter_map(Value::as_str).collect()
}

#[test]
fn the_catalogue_expands_to_at_least_48_products() {
    match try_bundles() {
        Ok(bundles) => assert!(bundles.len() >= 48, "{} products", bundles.len()),
        Err(error) => panic!(
            "{error}: {}",
            std::error::Error::source(&error).map_or(String::new(), ToString::to_string)
        ),
    }
}

#[test]
fn every_element_of_the_access_matrix_occurs() {
    let bundles = bundles();
    let missing: Vec<_> = PATHS.iter().filter(|path| everywhere(&bundles, path).is_empty()).collect();
    assert!(missing.is_empty(), "no product has {missing:#?}");
    let missing: Vec<_> = KINDS
        .iter()
        .filter(|(path, word)| {
            let quoted = format!("\"{word}\"");
            !everywhere(&bundles, path).iter().any(|value| value.to_string().contains(&quoted))
        })
        .collect();
    assert!(missing.is_empty(), "no product has {missing:#?}");
}

#[test]
fn every_status_and_domain_occurs() {
    let bundles = bundles();
    let authorised = codes(&bundles, "RegulatedAuthorization.status");
    for code in [
        "100000072099",
        "200000017708",
        "200000017707",
        "100000072100",
        "100000072112",
        "100000072113",
        "100000072121",
        "100000072122",
        "100000072123",
        "200000010409",
        "220000000066",
        "220000000067",
        "200000026056",
        "200000029967",
    ] {
        assert!(authorised.contains(code), "no authorisation has status {code}");
    }
    let recorded = codes(&bundles, "MedicinalProductDefinition.status");
    assert_eq!(recorded.len(), 4, "{recorded:?}");
    let domains = codes(&bundles, "MedicinalProductDefinition.domain");
    assert_eq!(domains.len(), 3, "{domains:?}");
    let without_domain =
        bundles.iter().filter(|bundle| bundle["entry"][0]["resource"].get("domain").is_none());
    assert_eq!(without_domain.count(), 1);
}

#[test]
fn a_resource_that_is_in_several_bundles_is_the_same_in_each() {
    let bundles = bundles();
    let mut seen: BTreeMap<String, &Value> = BTreeMap::new();
    for resource in bundles.iter().flat_map(resources) {
        if let Some(other) = seen.insert(key(resource), resource) {
            assert_eq!(other, resource, "{}", key(resource));
        }
    }
    let numbers: BTreeSet<_> = bundles
        .iter()
        .map(|bundle| bundle["entry"][0]["resource"]["id"].as_str().unwrap().split_at(9).1)
        .collect();
    assert_eq!(numbers.len(), bundles.len(), "the last three digits of a product's id are its own");
}

#[test]
fn every_reference_leads_somewhere() {
    let bundles = bundles();
    let products: BTreeSet<String> =
        bundles.iter().map(|bundle| key(&bundle["entry"][0]["resource"])).collect();
    for bundle in &bundles {
        let here: BTreeSet<String> = resources(bundle).map(key).collect();
        for resource in resources(bundle) {
            for reference in json::references(resource) {
                let found =
                    here.contains(reference) || products.contains(reference) || reference == "#importer";
                assert!(found, "{} refers to {reference}", key(resource));
            }
        }
        for entry in bundle["entry"].as_array().unwrap() {
            assert_eq!(entry["fullUrl"].as_str().unwrap(), format!("{BASE}/{}", key(&entry["resource"])));
        }
    }
}

#[test]
fn the_bytes_do_not_vary() {
    assert_eq!(serde_json::to_vec(&bundles()).unwrap(), serde_json::to_vec(&bundles()).unwrap());
}

#[test]
fn the_schema_finds_nothing_wrong() {
    for bundle in bundles() {
        for resource in resources(&bundle) {
            let problems: Vec<String> =
                crate::schema::check(resource).iter().map(ToString::to_string).collect();
            assert!(problems.is_empty(), "{}: {problems:#?}", key(resource));
        }
    }
}

/// Runs the structural checker that lies beside the checkout; without it, says so and is content.
#[test]
fn the_structural_checker_finds_neither_errors_nor_warnings() {
    let checker = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/tools/check_fhir.py");
    if !checker.is_file() {
        println!("not checked: there is no {}", checker.display());
        return;
    }
    let entries: Vec<Value> = bundles().into_iter().map(|bundle| json!({ "resource": bundle })).collect();
    let all = json!({"resourceType": "Bundle", "type": "collection", "entry": entries});
    let mut child = Command::new("python3")
        .arg(checker)
        .args(["5.0.0", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&serde_json::to_vec(&all).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    let found = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && found.is_empty(), "{said}\n{found}");
}

/// `config/demo-organisations.csv`: the columns of each organisation, by its id.
fn listed_organisations() -> BTreeMap<&'static str, Vec<&'static str>> {
    include_str!("../../../../config/demo-organisations.csv")
        .lines()
        .skip(1)
        .map(|line| line.split(',').collect::<Vec<_>>())
        .map(|columns| (columns[0], columns))
        .collect()
}

#[test]
fn the_demo_organisations_are_those_of_the_catalogue() {
    let listed = listed_organisations();
    let systems = ["https://spor.ema.europa.eu/v1/organisations", "https://spor.ema.europa.eu/v1/locations"];
    for resource in bundles().iter().flat_map(resources).filter(|it| it["resourceType"] == "Organization") {
        let ids = systems.map(|system| {
            let identifiers = at(resource, "Organization.identifier");
            identifiers.into_iter().find(|id| id["system"] == system).and_then(|id| id["value"].as_str())
        });
        match ids {
            [Some(org), None] => assert_eq!(listed[org][1], resource["name"]),
            [Some(org), Some(location)] => {
                assert!(listed[org][6].split(' ').any(|it| it == location), "{org} has no {location}");
            }
            [None, Some(_)] => {}
            [None, None] => panic!("{} has no id", key(resource)),
        }
    }
}
