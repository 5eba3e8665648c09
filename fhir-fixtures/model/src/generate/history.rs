//! Products with a past: what their records said before, as versions in a Bundle of type history.

use serde_json::{Value, json};

use super::dice::Dice;
use crate::demo::expansion;

/// Whether a product has more than one version.
pub(super) fn happens(dice: &mut Dice) -> bool {
    dice.happens(60)
}

/// All versions of the resources of a product, oldest first: its record was provisional and knew less, its
/// authorisation was applied for.
pub(super) fn bundle(id: &str, resources: &[Value], dice: &mut Dice) -> Value {
    let last = 2 + dice.weighted(&[(6, 0), (3, 1), (1, 2)]);
    let years: Vec<u64> = (0..last).map(|version| 2016 + 2 * version + dice.below(2)).collect();
    let mut entries = Vec::new();
    for (version, year) in (1..=last).zip(&years) {
        let at = format!("{year}-{}T09:30:00Z", &dice.date(2000, 2000)[5..]);
        for resource in resources {
            let kind = resource.get("resourceType").and_then(Value::as_str).unwrap_or_default();
            let resource = match (kind, version) {
                ("MedicinalProductDefinition", _) if version < last => {
                    earlier_product(resource.clone(), version)
                }
                ("RegulatedAuthorization", 1) => earlier_authorisation(resource.clone()),
                ("MedicinalProductDefinition", _) | ("RegulatedAuthorization", 2) | (_, 1) => {
                    resource.clone()
                }
                _ => continue,
            };
            entries.push(expansion::entry(stamped(resource, version, &at)));
        }
    }
    json!({"resourceType": "Bundle", "id": id, "type": "history", "entry": entries})
}

fn stamped(mut resource: Value, version: u64, at: &str) -> Value {
    if let Some(Value::Object(meta)) = resource.get_mut("meta") {
        meta.insert("versionId".to_owned(), json!(version.to_string()));
        meta.insert("lastUpdated".to_owned(), json!(at));
    }
    resource
}

fn earlier_product(mut product: Value, version: u64) -> Value {
    let provisional = json!({"coding": [{
        "system": "http://spor.ema.europa.eu/v1/lists/200000005003",
        "code": "200000005005",
        "display": "Provisional",
    }]});
    let Value::Object(members) = &mut product else { return product };
    if members.contains_key("status") && version == 1 {
        members.insert("status".to_owned(), provisional);
    }
    members.shift_remove("description");
    if version == 1 {
        members.shift_remove("indication");
        members.shift_remove("classification");
    }
    members.insert("version".to_owned(), json!(version.to_string()));
    product
}

fn earlier_authorisation(mut authorisation: Value) -> Value {
    let pending = json!({"coding": [{
        "system": "http://spor.ema.europa.eu/v1/lists/100000072049",
        "code": "220000000066",
        "display": "Pending",
    }]});
    let Value::Object(members) = &mut authorisation else { return authorisation };
    members.insert("status".to_owned(), pending);
    members.shift_remove("statusDate");
    authorisation
}
