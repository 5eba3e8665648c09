//! The product that specimens are put into.

use serde_json::{Value, json};

use crate::{catalogue::term, harness::OWNER};

/// The resource that specimens of a type are put into.
pub(super) fn holder<'p>(parts: &'p mut [Value], path: &str) -> &'p mut Value {
    let type_name = path.split('.').next().unwrap();
    let wanted = if type_name == "Manufacturing" { "RegulatedAuthorization" } else { type_name };
    let manufacturing = type_name == "Manufacturing";
    parts
        .iter_mut()
        .filter(|part| part["resourceType"] == wanted)
        .find(|part| {
            manufacturing == (part["subject"][0]["reference"].as_str().unwrap_or_default().starts_with("Act"))
        })
        .unwrap_or_else(|| panic!("no {type_name}"))
}

/// Follows a resource's new id.
pub(super) fn rename(parts: &mut [Value], old: &str, new: &str) {
    for part in parts {
        fhir_model::links::map_references(part, &mut |text| (text == old).then(|| new.to_owned()));
    }
}

/// A human, current, validly authorised product of [`OWNER`] with one resource of every type, every one of them led to
/// by an element that everybody sees, where there is one.
pub(super) fn skeleton(id: &str) -> Vec<Value> {
    let key = |kind: &str, suffix: &str| format!("{kind}/{id}-{suffix}");
    let product = format!("MedicinalProductDefinition/{id}");
    let authorisation = |suffix: &str| {
        json!({"resourceType": "RegulatedAuthorization", "id": format!("{id}-{suffix}"),
            "subject": [{"reference": product}], "type": term("220000000060", "220000000061"),
            "status": term("100000072049", "100000072099"), "holder": {"reference": key("Organization", "org")}})
    };
    vec![
        json!({"resourceType": "MedicinalProductDefinition", "id": id,
            "domain": term("100000000004", "100000000012"), "status": term("200000005003", "200000005004"),
            "name": [{"productName": "Specimen"}],
            "attachedDocument": [{"reference": key("DocumentReference", "doc")}, {"reference": key("DocumentReference", "report")}],
            "contact": [{"type": {"coding": [{"code": "200000017719"}]}, "contact": {"reference": key("Organization", "org")}},
                {"type": {"coding": [{"code": "100000155057"}]}, "contact": {"reference": key("PractitionerRole", "role")}}],
            "operation": [{"type": {"reference": {"reference": key("ActivityDefinition", "act")}}}]}),
        authorisation("ra"),
        authorisation("spare"),
        json!({"resourceType": "RegulatedAuthorization", "id": format!("{id}-ma"),
            "subject": [{"reference": key("ActivityDefinition", "act")}]}),
        json!({"resourceType": "PackagedProductDefinition", "id": format!("{id}-ppd"),
            "packageFor": [{"reference": product}],
            "packaging": {"containedItem": [{"item": {"reference": {"reference": key("ManufacturedItemDefinition", "mid")}}}]}}),
        json!({"resourceType": "AdministrableProductDefinition", "id": format!("{id}-apd"), "status": "active",
            "formOf": [{"reference": product}], "routeOfAdministration": [{"code": {"text": "Oral"}}]}),
        json!({"resourceType": "ManufacturedItemDefinition", "id": format!("{id}-mid"), "status": "active",
            "manufacturedDoseForm": {"text": "Tablet"}}),
        json!({"resourceType": "Ingredient", "id": format!("{id}-in"), "status": "active",
            "for": [{"reference": product}], "role": {"text": "Adjuvant"},
            "substance": {"code": {"reference": {"reference": key("SubstanceDefinition", "sub")}}}}),
        json!({"resourceType": "SubstanceDefinition", "id": format!("{id}-sub")}),
        json!({"resourceType": "ClinicalUseDefinition", "id": format!("{id}-cud"), "type": "indication",
            "subject": [{"reference": product}]}),
        json!({"resourceType": "Organization", "id": format!("{id}-org"), "name": "Holder", "identifier": [
            {"system": "https://spor.ema.europa.eu/v1/organisations", "value": OWNER}]}),
        json!({"resourceType": "PractitionerRole", "id": format!("{id}-role"),
            "practitioner": {"reference": key("Practitioner", "who")}}),
        json!({"resourceType": "Practitioner", "id": format!("{id}-who")}),
        json!({"resourceType": "DocumentReference", "id": format!("{id}-doc"), "status": "current",
            "type": term("100000155531", "100000155532"), "content": [{"attachment": {"title": "SmPC"}}]}),
        json!({"resourceType": "DocumentReference", "id": format!("{id}-report"), "status": "current",
            "type": {"text": "Report"}, "content": [{"attachment": {"title": "Report"}}]}),
        json!({"resourceType": "ActivityDefinition", "id": format!("{id}-act"), "status": "active"}),
    ]
}
