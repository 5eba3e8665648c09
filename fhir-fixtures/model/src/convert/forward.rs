//! The forward links of 4.4.0, turned round into the upward links of 5.0.0.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use crate::{ResourceKey, ResourceType, links, resource_key};

use super::Note;

/// Which element of which type points down to members, in 4.4.0.
const DOWNWARD: &[(ResourceType, &str)] = &[
    (ResourceType::MedicinalProductDefinition, "MedicinalProductDefinition.pharmaceuticalProduct"),
    (ResourceType::MedicinalProductDefinition, "MedicinalProductDefinition.packagedMedicinalProduct"),
    (ResourceType::MedicinalProductDefinition, "MedicinalProductDefinition.ingredient"),
    (ResourceType::AdministrableProductDefinition, "AdministrableProductDefinition.ingredient"),
    (ResourceType::ManufacturedItemDefinition, "ManufacturedItemDefinition.ingredient"),
    (ResourceType::PackagedProductDefinition, "PackagedProductDefinition.marketingAuthorization"),
];

/// For each target of a forward link, the texts of the links that it must have upward.
pub(super) struct Forward {
    parents: BTreeMap<ResourceKey, Vec<String>>,
    /// Which resource and element each link came from, for the report.
    sources: BTreeMap<ResourceKey, Vec<(String, String)>>,
    used: HashSet<ResourceKey>,
    notes: Vec<Note>,
}

impl Forward {
    pub(super) fn new(resources: &[Value]) -> Self {
        let mut forward = Self {
            parents: BTreeMap::new(),
            sources: BTreeMap::new(),
            used: HashSet::new(),
            notes: Vec::new(),
        };
        for resource in resources {
            let Some(own) = resource_key(resource) else { continue };
            for link in links::references(resource) {
                if DOWNWARD.contains(&(own.resource_type, link.element.as_str())) {
                    forward.add(&own, link.path, link.key, own.to_string());
                }
            }
            forward.add_operations(&own, resource);
        }
        forward
    }

    /// An authorisation of an operation is about the operation's activity.
    fn add_operations(&mut self, own: &ResourceKey, resource: &Value) {
        let operations = resource.get("manufacturingBusinessOperation").and_then(Value::as_array);
        for (index, operation) in operations.into_iter().flatten().enumerate() {
            let path =
                format!("MedicinalProductDefinition.manufacturingBusinessOperation[{index}].authorization");
            let Some(authorisation) = operation.get("authorization") else { continue };
            let target =
                authorisation.get("reference").and_then(Value::as_str).and_then(links::parse_reference);
            let activity =
                operation.get("type").and_then(|kind| kind.get("reference")?.get("reference")?.as_str());
            match (target, activity) {
                (Some(target), Some(activity)) => self.add(own, path, target, activity.to_owned()),
                _ => self.notes.push(Note {
                    resource: own.to_string(),
                    path,
                    message: "an authorisation of an operation without an activity to hang it on; left out"
                        .to_owned(),
                }),
            }
        }
    }

    fn add(&mut self, own: &ResourceKey, path: String, target: ResourceKey, text: String) {
        self.sources.entry(target.clone()).or_default().push((own.to_string(), path));
        self.parents.entry(target).or_default().push(text);
    }

    /// The references that a resource must have upward.
    pub(super) fn parents_of(&mut self, resource: &Value) -> Vec<String> {
        let Some(key) = resource_key(resource) else { return Vec::new() };
        let parents = self.parents.get(&key).cloned().unwrap_or_default();
        self.used.insert(key);
        parents
    }

    /// Links to resources that were not among those converted.
    pub(super) fn lost(self) -> Vec<Note> {
        let mut notes = self.notes;
        for (target, sources) in self.sources {
            if self.used.contains(&target) {
                continue;
            }
            notes.extend(sources.into_iter().map(|(resource, path)| Note {
                resource,
                path,
                message: format!(
                    "{target} is not in the file, and 5.0.0 has this link on its side; left out"
                ),
            }));
        }
        notes
    }
}
