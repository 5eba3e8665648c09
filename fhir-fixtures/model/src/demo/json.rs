//! Two small tools for JSON trees: leaving out what is absent, and finding references.

use serde_json::Value;

/// `value` without nulls, empty arrays and empty objects, at any depth: FHIR JSON has none of them.
pub(crate) fn without_absent(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .map(|(name, member)| (name, without_absent(member)))
                .filter(|(_, member)| !is_absent(member))
                .collect(),
        ),
        Value::Array(items) => {
            Value::Array(items.into_iter().map(without_absent).filter(|item| !is_absent(item)).collect())
        }
        scalar => scalar,
    }
}

fn is_absent(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// Every literal reference (`Type/id`) in `value`, in order of appearance.
pub(crate) fn references(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, member)| match (name.as_str(), member) {
                ("reference", Value::String(target)) => vec![target.as_str()],
                _ => references(member),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_absent_leaves_no_trace() {
        let tree = json!({"a": null, "b": [{"c": null}, 0], "d": {"e": []}, "f": false});
        assert_eq!(without_absent(tree), json!({"b": [0], "f": false}));
    }

    #[test]
    fn references_are_found_at_any_depth() {
        let tree = json!({
            "holder": {"reference": "Organization/1"},
            "a": [{"item": {"reference": {"reference": "X/2"}}}],
        });
        assert_eq!(references(&tree), ["Organization/1", "X/2"]);
    }
}
