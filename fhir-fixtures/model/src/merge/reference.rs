//! Where the links of a sent resource lead, and whether they may.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{ResourceKey, ResourceType, access::Targets, links};

use super::{Rejection, Rule};

/// Deeper links are not followed; the schema refuses such resources.
const MAX_DEPTH: usize = 64;

/// Every text under `reference`, with its place inside the resource (`.operation[0].type.reference.reference`).
pub(super) fn texts(resource: &Value) -> Vec<(String, &str)> {
    let mut found = Vec::new();
    collect(resource, "", 0, &mut found);
    found
}

fn collect<'v>(value: &'v Value, path: &str, depth: usize, found: &mut Vec<(String, &'v str)>) {
    if depth > MAX_DEPTH {
        return;
    }
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == "reference" => {
                        found.push((format!("{path}.reference"), text));
                    }
                    Value::Object(_) | Value::Array(_) => {
                        collect(value, &format!("{path}.{name}"), depth + 1, found);
                    }
                    _ => {}
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, &format!("{path}[{index}]"), depth + 1, found);
            }
        }
        _ => {}
    }
}

/// A place without its indices: `.operation[0].type` is `.operation.type`.
pub(super) fn element(place: &str) -> String {
    let mut inside = false;
    place
        .chars()
        .filter(|character| {
            inside |= *character == '[';
            let keep = !inside;
            inside &= *character != ']';
            keep
        })
        .collect()
}

/// What links may lead to.
pub(super) struct Reach<'a> {
    /// The resources of the product that the caller sees.
    pub(super) members: BTreeSet<ResourceKey>,
    /// Other products that the caller may learn of.
    pub(super) targets: &'a Targets,
    /// Other resources outside that exist and may be drawn in.
    pub(super) known: &'a BTreeSet<ResourceKey>,
    /// The temporary names of the new resources in the Bundle.
    pub(super) temporary: BTreeSet<&'a str>,
}

impl Reach<'_> {
    /// The links that stand in `sent` and not in `seen`, and may not. `seen` is what the caller was shown, `said` what
    /// of `sent` is about elements that it can see: the rest is not taken over anyway.
    pub(super) fn refusals(
        &self,
        place: &str,
        sent: &Value,
        said: &Value,
        seen: Option<&Value>,
    ) -> Vec<Rejection> {
        let links = |value| -> BTreeSet<(String, &str)> {
            texts(value).into_iter().map(|(place, text)| (element(&place), text)).collect()
        };
        let (before, said) = (seen.map(links).unwrap_or_default(), links(said));
        texts(sent)
            .into_iter()
            .filter(|(path, text)| {
                let link = (element(path), *text);
                said.contains(&link) && !before.contains(&link)
            })
            .filter_map(|(path, text)| self.refusal(text).map(|why| (path, why)))
            .map(|(path, why)| Rejection::new(Rule::References, format!("{place}{path}"), why))
            .collect()
    }

    fn refusal(&self, text: &str) -> Option<&'static str> {
        if text.starts_with("urn:") {
            let unknown = "no new resource of this Bundle has this temporary name as its fullUrl";
            return (!self.temporary.contains(text)).then_some(unknown);
        }
        let key = links::parse_reference(text)?;
        // One text for what does not exist, what is another's and what the caller may not see.
        let reached = self.members.contains(&key)
            || match key.resource_type {
                ResourceType::MedicinalProductDefinition => self.targets.visible.contains(&key.id),
                _ => self.known.contains(&key),
            };
        (!reached).then_some(
            "this leads to nothing that belongs to the product; packs, authorisations and activities of other \
             products cannot be drawn in",
        )
    }
}

/// Makes absolute links below `base` relative, as they are stored.
pub(super) fn relative(resource: &mut Value, base: &str) {
    if !base.is_empty() {
        links::map_references(resource, &mut |text| text.strip_prefix(base).map(str::to_owned));
    }
}
