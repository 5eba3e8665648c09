//! The answers to a merge: what was done, or what would be.

use serde_json::{Value, json};

use crate::ResourceKey;

use super::Plan;

/// One entry, done.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// Index of the entry in the request.
    pub entry: usize,
    /// The resource.
    pub key: ResourceKey,
    /// It is new.
    pub created: bool,
    /// Its version now.
    pub version_id: String,
    /// When that was stored, an instant of FHIR.
    pub last_modified: String,
    /// The resource as the caller may see it.
    pub resource: Option<Value>,
}

/// The `transaction-response` Bundle, in the order of the request. What is `told` of it ([`super::told`]) stands in the
/// outcome of the first entry. `base` is the address of the service, without a slash at its end.
pub fn response(base: &str, done: &[Done], told: Option<&Value>) -> Value {
    let mut sorted: Vec<&Done> = done.iter().collect();
    sorted.sort_by_key(|done| done.entry);
    let entries: Vec<Value> = sorted
        .into_iter()
        .enumerate()
        .map(|(position, done)| {
            let mut entry = json!({"fullUrl": format!("{base}/{}", done.key)});
            if let Some(resource) = &done.resource {
                entry["resource"] = resource.clone();
            }
            entry["response"] = json!({
                "status": if done.created { "201 Created" } else { "200 OK" },
                "location": format!("{base}/{}/_history/{}", done.key, done.version_id),
                "etag": format!("W/\"{}\"", done.version_id),
                "lastModified": done.last_modified,
            });
            if let (0, Some(told)) = (position, told) {
                entry["response"]["outcome"] = told.clone();
            }
            entry
        })
        .collect();
    json!({"resourceType": "Bundle", "type": "transaction-response", "entry": entries})
}

/// The answer to `_validate-only`: an OperationOutcome that says what the merge would do.
pub fn validated(plan: &Plan) -> Value {
    let mut acts: Vec<(usize, String)> = Vec::new();
    for change in &plan.changed {
        let text = format!("{} would get a new version after {}", change.key, change.expected_version);
        acts.push((change.entry, text));
    }
    for creation in &plan.created {
        acts.push((creation.entry, format!("a {} would be created", creation.resource_type)));
    }
    for (entry, key) in &plan.unchanged {
        acts.push((*entry, format!("{key} would stay as it is")));
    }
    acts.sort();
    let mut issues: Vec<Value> = acts
        .into_iter()
        .map(|(entry, text)| {
            json!({
                "severity": "information",
                "code": "informational",
                "details": {"text": text},
                "expression": [format!("Bundle.entry[{entry}]")],
            })
        })
        .collect();
    issues.extend(plan.warnings.iter().map(|warning| warning.issue("warning")));
    json!({"resourceType": "OperationOutcome", "issue": issues})
}
