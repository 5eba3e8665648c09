//! Small fictional products for what the demo catalogue does not show.

use serde_json::{Value, json};

pub(crate) fn term(list: &str, code: &str) -> Value {
    json!({"coding": [{"system": format!("http://spor.ema.europa.eu/v1/lists/{list}"), "code": code}]})
}

/// A human, current, validly authorised product of `holder`.
pub(crate) fn product(id: &str, name: &str, holder: &str) -> Value {
    with_status(id, name, holder, "100000000012", "100000072099")
}

pub(crate) fn with_status(id: &str, name: &str, holder: &str, domain: &str, authorisation: &str) -> Value {
    bundle(&[
        json!({
            "resourceType": "MedicinalProductDefinition", "id": id,
            "identifier": [
                {"system": "http://ema.europa.eu/fhir/mpId", "value": format!("ES-100099999-{id}")},
                {"system": "https://company.example/product-code", "value": format!("SECRET-{id}")},
            ],
            "domain": term("100000000004", domain),
            "version": "7",
            "status": term("200000005003", "200000005004"),
            "classification": [term("100000093533", "100000095065")],
            "name": [{"productName": name, "part": [{"part": name, "type": term("220000000000", "220000000002")}]}],
        }),
        json!({
            "resourceType": "RegulatedAuthorization", "id": format!("{id}-ra"),
            "identifier": [{"system": "http://ema.europa.eu/fhir/marketingAuthorizationNumber", "value": format!("ES/{id}")}],
            "subject": [{"reference": format!("MedicinalProductDefinition/{id}")}],
            "type": term("220000000060", "220000000061"),
            "status": term("100000072049", authorisation),
            "holder": {"reference": format!("Organization/{holder}")},
        }),
        json!({
            "resourceType": "PackagedProductDefinition", "id": format!("{id}-ppd"),
            "packageFor": [{"reference": format!("MedicinalProductDefinition/{id}")}],
            "packaging": {"packaging": [{"containedItem": [
                {"item": {"reference": {"reference": format!("ManufacturedItemDefinition/{id}-mid")}}},
            ]}]},
        }),
        json!({
            "resourceType": "ManufacturedItemDefinition", "id": format!("{id}-mid"), "status": "active",
            "manufacturedDoseForm": term("200000000004", "100000073664"),
        }),
        json!({
            "resourceType": "Organization", "id": holder, "name": format!("Holder {holder}"),
            "identifier": [{"system": "http://spor.ema.europa.eu/v1/organisations", "value": holder}],
        }),
    ])
}

pub(crate) fn bundle(resources: &[Value]) -> Value {
    let entries: Vec<Value> = resources.iter().map(|resource| json!({"resource": resource})).collect();
    json!({"resourceType": "Bundle", "type": "collection", "entry": entries})
}
