//! What the catalogue promises: enough products, every element of the access matrix, valid FHIR, stable bytes.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use super::*;

/// Every element path of the access matrix that a 5.0.0 product can have; paths that the matrix narrows (a kind of
/// identifier, of document, of ingredient) are in [`KINDS`].
const PATHS: &[&str] = &[
    "MedicinalProductDefinition.id",
    "MedicinalProductDefinition.meta.versionId",
    "MedicinalProductDefinition.meta.lastUpdated",
    "MedicinalProductDefinition.text",
    "MedicinalProductDefinition.extension",
    "MedicinalProductDefinition.identifier",
    "MedicinalProductDefinition.type",
    "MedicinalProductDefinition.domain",
    "MedicinalProductDefinition.name.productName",
    "MedicinalProductDefinition.name.type",
    "MedicinalProductDefinition.name.part.part",
    "MedicinalProductDefinition.name.part.type",
    "MedicinalProductDefinition.name.usage.country",
    "MedicinalProductDefinition.name.usage.jurisdiction",
    "MedicinalProductDefinition.name.usage.language",
    "MedicinalProductDefinition.version",
    "MedicinalProductDefinition.status",
    "MedicinalProductDefinition.statusDate",
    "MedicinalProductDefinition.description",
    "MedicinalProductDefinition.combinedPharmaceuticalDoseForm",
    "MedicinalProductDefinition.route",
    "MedicinalProductDefinition.indication",
    "MedicinalProductDefinition.legalStatusOfSupply",
    "MedicinalProductDefinition.additionalMonitoringIndicator",
    "MedicinalProductDefinition.specialMeasures",
    "MedicinalProductDefinition.pediatricUseIndicator",
    "MedicinalProductDefinition.classification",
    "MedicinalProductDefinition.characteristic.type",
    "MedicinalProductDefinition.characteristic.valueCodeableConcept",
    "MedicinalProductDefinition.characteristic.valueBoolean",
    "MedicinalProductDefinition.characteristic.valueQuantity",
    "MedicinalProductDefinition.marketingStatus.country",
    "MedicinalProductDefinition.marketingStatus.status",
    "MedicinalProductDefinition.marketingStatus.dateRange",
    "MedicinalProductDefinition.marketingStatus.restoreDate",
    "MedicinalProductDefinition.attachedDocument",
    "MedicinalProductDefinition.masterFile",
    "MedicinalProductDefinition.masterFile.extension",
    "MedicinalProductDefinition.contact.type",
    "MedicinalProductDefinition.contact.contact",
    "MedicinalProductDefinition.clinicalTrial",
    "MedicinalProductDefinition.crossReference.product",
    "MedicinalProductDefinition.crossReference.type",
    "MedicinalProductDefinition.operation.type",
    "MedicinalProductDefinition.operation.effectiveDate",
    "MedicinalProductDefinition.operation.organization",
    "MedicinalProductDefinition.operation.confidentialityIndicator",
    "MedicinalProductDefinition.comprisedOf",
    "MedicinalProductDefinition.impurity",
    "MedicinalProductDefinition.code",
    "RegulatedAuthorization.identifier",
    "RegulatedAuthorization.subject",
    "RegulatedAuthorization.type",
    "RegulatedAuthorization.description",
    "RegulatedAuthorization.region",
    "RegulatedAuthorization.status",
    "RegulatedAuthorization.statusDate",
    "RegulatedAuthorization.validityPeriod",
    "RegulatedAuthorization.indication",
    "RegulatedAuthorization.intendedUse",
    "RegulatedAuthorization.basis",
    "RegulatedAuthorization.holder",
    "RegulatedAuthorization.regulator",
    "RegulatedAuthorization.attachedDocument",
    "RegulatedAuthorization.case.identifier",
    "RegulatedAuthorization.case.type",
    "RegulatedAuthorization.case.status",
    "RegulatedAuthorization.case.datePeriod",
    "RegulatedAuthorization.case.application.identifier",
    "RegulatedAuthorization.case.application.dateDateTime",
    "PackagedProductDefinition.identifier",
    "PackagedProductDefinition.name",
    "PackagedProductDefinition.type",
    "PackagedProductDefinition.description",
    "PackagedProductDefinition.containedItemQuantity",
    "PackagedProductDefinition.packageFor",
    "PackagedProductDefinition.status",
    "PackagedProductDefinition.statusDate",
    "PackagedProductDefinition.legalStatusOfSupply.code",
    "PackagedProductDefinition.legalStatusOfSupply.jurisdiction",
    "PackagedProductDefinition.marketingStatus.status",
    "PackagedProductDefinition.marketingStatus.dateRange",
    "PackagedProductDefinition.copackagedIndicator",
    "PackagedProductDefinition.manufacturer",
    "PackagedProductDefinition.contained",
    "PackagedProductDefinition.packaging.identifier",
    "PackagedProductDefinition.packaging.type",
    "PackagedProductDefinition.packaging.quantity",
    "PackagedProductDefinition.packaging.material",
    "PackagedProductDefinition.packaging.manufacturer",
    "PackagedProductDefinition.packaging.property",
    "PackagedProductDefinition.packaging.shelfLifeStorage.periodString",
    "PackagedProductDefinition.packaging.containedItem.item",
    "PackagedProductDefinition.packaging.packaging.alternateMaterial",
    "PackagedProductDefinition.packaging.packaging.componentPart",
    "PackagedProductDefinition.packaging.packaging.containedItem.amount",
    "PackagedProductDefinition.packaging.packaging.manufacturer",
    "PackagedProductDefinition.packaging.packaging.shelfLifeStorage.periodDuration",
    "PackagedProductDefinition.packaging.packaging.shelfLifeStorage.specialPrecautionsForStorage",
    "PackagedProductDefinition.packaging.packaging.packaging.type",
    "PackagedProductDefinition.characteristic",
    "AdministrableProductDefinition.formOf",
    "AdministrableProductDefinition.administrableDoseForm",
    "AdministrableProductDefinition.unitOfPresentation",
    "AdministrableProductDefinition.producedFrom",
    "AdministrableProductDefinition.description",
    "AdministrableProductDefinition.property",
    "AdministrableProductDefinition.routeOfAdministration.code",
    "AdministrableProductDefinition.routeOfAdministration.firstDose",
    "AdministrableProductDefinition.routeOfAdministration.maxSingleDose",
    "AdministrableProductDefinition.routeOfAdministration.maxDosePerDay",
    "AdministrableProductDefinition.routeOfAdministration.maxDosePerTreatmentPeriod",
    "AdministrableProductDefinition.routeOfAdministration.maxTreatmentPeriod",
    "AdministrableProductDefinition.routeOfAdministration.targetSpecies.code",
    "AdministrableProductDefinition.routeOfAdministration.targetSpecies.withdrawalPeriod.tissue",
    "AdministrableProductDefinition.routeOfAdministration.targetSpecies.withdrawalPeriod.value",
    "AdministrableProductDefinition.routeOfAdministration.targetSpecies.withdrawalPeriod.supportingInformation",
    "ManufacturedItemDefinition.manufacturedDoseForm",
    "ManufacturedItemDefinition.unitOfPresentation",
    "ManufacturedItemDefinition.name",
    "ManufacturedItemDefinition.property",
    "ManufacturedItemDefinition.marketingStatus",
    "ManufacturedItemDefinition.manufacturer",
    "ManufacturedItemDefinition.component.type",
    "ManufacturedItemDefinition.component.function",
    "ManufacturedItemDefinition.component.amount",
    "ManufacturedItemDefinition.component.constituent.hasIngredient",
    "Ingredient.meta.security",
    "Ingredient.for",
    "Ingredient.role",
    "Ingredient.function",
    "Ingredient.group",
    "Ingredient.allergenicIndicator",
    "Ingredient.comment",
    "Ingredient.manufacturer.manufacturer",
    "Ingredient.substance.code",
    "Ingredient.substance.strength.presentationRatio",
    "Ingredient.substance.strength.presentationRatioRange",
    "Ingredient.substance.strength.textPresentation",
    "Ingredient.substance.strength.concentrationRatio",
    "Ingredient.substance.strength.textConcentration",
    "Ingredient.substance.strength.basis",
    "Ingredient.substance.strength.country",
    "Ingredient.substance.strength.referenceStrength.substance",
    "Ingredient.substance.strength.referenceStrength.strengthRatio",
    "SubstanceDefinition.identifier",
    "SubstanceDefinition.name",
    "SubstanceDefinition.code",
    "SubstanceDefinition.structure",
    "SubstanceDefinition.molecularWeight",
    "SubstanceDefinition.manufacturer",
    "SubstanceDefinition.supplier",
    "SubstanceDefinition.property",
    "SubstanceDefinition.relationship",
    "SubstanceDefinition.sourceMaterial",
    "ClinicalUseDefinition.indication.diseaseSymptomProcedure",
    "ClinicalUseDefinition.contraindication.diseaseSymptomProcedure",
    "ClinicalUseDefinition.contraindication.otherTherapy",
    "ClinicalUseDefinition.interaction",
    "ClinicalUseDefinition.undesirableEffect",
    "ClinicalUseDefinition.warning",
    "Organization.identifier",
    "Organization.name",
    "Organization.contact.name",
    "Organization.contact.telecom",
    "Organization.contact.address.country",
    "Organization.contact.address.line",
    "Organization.qualification",
    "PractitionerRole.practitioner",
    "PractitionerRole.contact",
    "Practitioner.name",
    "DocumentReference.type",
    "DocumentReference.identifier",
    "DocumentReference.content.attachment",
    "ActivityDefinition.code",
    "ActivityDefinition.effectivePeriod",
    "ActivityDefinition.participant.typeReference",
];

/// Where the matrix looks at a kind: a path, and a word that must occur below it.
const KINDS: &[(&str, &str)] = &[
    ("MedicinalProductDefinition.identifier", "http://ema.europa.eu/fhir/mpId"),
    ("MedicinalProductDefinition.identifier", "http://ema.europa.eu/fhir/pmsId"),
    ("MedicinalProductDefinition.identifier", "http://ema.europa.eu/fhir/eurdId"),
    ("MedicinalProductDefinition.identifier", "PRD9900001"),
    ("MedicinalProductDefinition.identifier", "https://demo.pmsgate.example/company-product-code"),
    ("MedicinalProductDefinition.extension", "http://ema.europa.eu/fhir/extension/authorisedDoseForm"),
    ("MedicinalProductDefinition.extension", "https://demo.pmsgate.example/fhir/extension/internal-remark"),
    ("MedicinalProductDefinition.domain", "http://ema.europa.eu/fhir/extension/codeSystemName"),
    ("MedicinalProductDefinition.classification", "http://www.whocc.no/atc"),
    ("MedicinalProductDefinition.classification", "http://www.whocc.no/atcvet"),
    ("MedicinalProductDefinition.classification", "Orphan designation"),
    ("MedicinalProductDefinition.classification", "Legal basis: full application"),
    ("MedicinalProductDefinition.contact", "100000155057"),
    ("MedicinalProductDefinition.contact", "Pharmacovigilance enquiry"),
    ("MedicinalProductDefinition.operation.confidentialityIndicator", "Confidential"),
    ("MedicinalProductDefinition.operation.confidentialityIndicator", "Not confidential"),
    ("MedicinalProductDefinition.operation.type", "Batch release"),
    ("RegulatedAuthorization.identifier", "http://ema.europa.eu/fhir/marketingAuthorizationNumber"),
    ("RegulatedAuthorization.identifier", "http://ema.europa.eu/fhir/manufacturingAuthorizationNumber"),
    ("RegulatedAuthorization.identifier", "EU/2/31/9201"),
    ("RegulatedAuthorization.case.identifier", "EMEA/H/C/990001"),
    ("RegulatedAuthorization.case.identifier", "EMEA/V/C/992010"),
    ("RegulatedAuthorization.case.type", "National procedure"),
    ("RegulatedAuthorization.case.type", "Mutual recognition procedure"),
    ("RegulatedAuthorization.case.type", "Decentralised procedure"),
    ("RegulatedAuthorization.holder.identifier", "LOC-100000021"),
    ("PackagedProductDefinition.identifier", "http://ema.europa.eu/fhir/pcId"),
    ("PackagedProductDefinition.identifier", "http://ema.europa.eu/fhir/marketingAuthorizationNumber"),
    ("PackagedProductDefinition.identifier", "https://www.gs1.org/gtin"),
    ("PackagedProductDefinition.identifier", "https://demo.pmsgate.example/national-trade-number"),
    ("DocumentReference.type", "100000155532"),
    ("DocumentReference.type", "Package leaflet"),
    ("DocumentReference.type", "Labelling"),
    ("DocumentReference.type", "Risk management plan"),
    ("DocumentReference.identifier", "EMA/H/PMF/900001/31"),
    ("DocumentReference.identifier", "MFL90001"),
    ("Ingredient.role", "Active"),
    ("Ingredient.role", "Excipient"),
    ("Ingredient.role", "Adjuvant"),
    ("Ingredient.role", "Solvent"),
    ("Ingredient.role", "Coating"),
];

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

#[test]
fn the_readme_tells_of_every_product() {
    let readme = include_str!("../../../data/README.md");
    for bundle in bundles() {
        let id = bundle["entry"][0]["resource"]["id"].as_str().unwrap().to_owned();
        assert!(readme.contains(&format!("| {id} |")), "{id}");
    }
}

/// `config/demo-organisations.csv` and the organisations of the catalogue name the same organisations.
#[test]
fn the_demo_organisations_are_those_of_the_catalogue() {
    let listed: BTreeMap<&str, Vec<&str>> = include_str!("../../../../config/demo-organisations.csv")
        .lines()
        .skip(1)
        .map(|line| line.split(',').collect::<Vec<_>>())
        .map(|columns| (columns[0], columns))
        .collect();
    let systems = ["https://spor.ema.europa.eu/v1/organisations", "https://spor.ema.europa.eu/v1/locations"];
    for resource in bundles().iter().flat_map(resources).filter(|it| it["resourceType"] == "Organization") {
        let ids = systems.map(|system| {
            at(resource, "Organization.identifier")
                .into_iter()
                .find(|id| id["system"] == system)
                .map(|id| id["value"].as_str().unwrap().to_owned())
        });
        match ids {
            [Some(org), None] => assert_eq!(listed[org.as_str()][1], resource["name"]),
            [Some(org), Some(location)] => {
                assert!(listed[org.as_str()][4].split(' ').any(|it| it == location), "{location}")
            }
            [None, Some(_)] => {}
            [None, None] => panic!("{} has no id", key(resource)),
        }
    }
}
