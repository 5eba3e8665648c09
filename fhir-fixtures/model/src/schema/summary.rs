//! `_summary=true`: a resource without the elements that the specification keeps out of summaries, at every depth.

use pms_terms::FhirVersion;
use serde_json::{Map, Value};

use super::{Content, Listing, Node};

/// Kept in every resource whatever the listing says of it (FHIR search, summary): what it is and what changes its
/// meaning.
const ALWAYS: [&str; 5] = ["resourceType", "id", "meta", "implicitRules", "modifierExtension"];

/// Leaves in a resource what belongs to its summary, and what must be there. Types that are not ours stay as they are.
pub fn keep_summary(version: FhirVersion, resource: &mut Value) {
    let listing = Listing::of(version);
    let name = resource.get("resourceType").and_then(Value::as_str).unwrap_or_default();
    if let Some(node) = listing.resource_node(name)
        && let Some(fields) = resource.as_object_mut()
    {
        keep(listing, node, fields);
    }
}

fn keep(listing: &Listing, node: &Node, fields: &mut Map<String, Value>) {
    fields.retain(|name, value| {
        // `_name` holds the extensions of the primitive `name`, and may be all there is of it.
        let own = name.strip_prefix('_').unwrap_or(name);
        if ALWAYS.contains(&own) {
            return true;
        }
        let Some((element, kind)) = node.property(own) else { return false };
        if !element.summary && !element.required {
            return false;
        }
        let Content::Node(_) = kind.content else { return true };
        let Some(inner) = listing.node_of(&kind.content) else { return true };
        let whole = element.required.then(|| value.clone());
        let empty = if let Value::Array(items) = value {
            for item in items.iter_mut() {
                keep_in(listing, inner, item);
            }
            items.retain(|item| !is_empty(item));
            items.is_empty()
        } else {
            keep_in(listing, inner, value);
            is_empty(value)
        };
        // Nothing of it belongs to the summary: it goes, unless it must be there.
        match whole {
            Some(whole) if empty => *value = whole,
            _ if empty => return false,
            _ => {}
        }
        true
    });
}

fn keep_in(listing: &Listing, node: &Node, value: &mut Value) {
    if let Value::Object(fields) = value {
        keep(listing, node, fields);
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn summaries_leave_out_what_is_long_at_every_depth() {
        let mut resource = json!({
            "resourceType": "CapabilityStatement", "id": "1", "meta": {"versionId": "2"}, "status": "active",
            "text": {"status": "generated", "div": "<div/>"},
            "_status": {"id": "s"},
            "kind": "instance",
            "rest": [
                {"mode": "server", "documentation": "long", "resource": [
                    {"type": "Organization", "interaction": [{"code": "read"}], "versioning": "versioned"},
                ]},
            ],
        });
        keep_summary(FhirVersion::V5_0_0, &mut resource);
        assert_eq!(
            resource,
            json!({
                "resourceType": "CapabilityStatement", "id": "1", "meta": {"versionId": "2"}, "status": "active",
                "_status": {"id": "s"},
                "kind": "instance",
                "rest": [{"mode": "server", "resource": [{"type": "Organization"}]}],
            })
        );
    }

    #[test]
    fn what_must_be_there_stays_even_if_nothing_of_it_is_summary() {
        let mut resource = json!({
            "resourceType": "CapabilityStatement", "id": "1", "messaging": [{"documentation": "long"}],
            "rest": [{"mode": "server", "operation": [{"name": "x", "documentation": "long"}]}],
        });
        keep_summary(FhirVersion::V5_0_0, &mut resource);
        assert_eq!(resource["rest"], json!([{"mode": "server", "operation": [{"name": "x"}]}]));
        assert!(resource.get("messaging").is_none(), "{resource}");
        let mut other = json!({"resourceType": "Patient", "name": [{"text": "x"}]});
        keep_summary(FhirVersion::V5_0_0, &mut other);
        assert_eq!(other["name"][0]["text"], "x");
    }
}
