//! The inverse links of a product, turned round: who points to a resource.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{ResourceKey, ResourceType, json::Json, links, resource_key};

use super::product;

/// For each resource the members that point up to it, in the order of the product; all as `Type/id`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Links(BTreeMap<String, Vec<String>>);

impl Links {
    /// All of a product's resources, complete or as somebody sees them.
    pub(super) fn among(resources: &[&Value]) -> Self {
        Self::of(resources.iter().copied(), |_, _| true)
    }

    /// Those that [`super::root_to_4_4_0`] shows in the root of what is left of a product, as long as nothing is contained in it.
    pub(crate) fn of_root(root: &Value, parts: &[&Value]) -> Self {
        let activities: BTreeSet<ResourceKey> = product::activities(&Json::from(root)).collect();
        let root = resource_key(root);
        Self::of(parts.iter().copied(), |parent, child| match child {
            ResourceType::RegulatedAuthorization => activities.contains(parent),
            child => {
                root.as_ref() == Some(parent) && product::FORWARD_LINKS.iter().any(|(_, kind)| *kind == child)
            }
        })
    }

    fn of<'v>(
        resources: impl IntoIterator<Item = &'v Value>,
        wanted: impl Fn(&ResourceKey, ResourceType) -> bool,
    ) -> Self {
        let mut by_parent: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for resource in resources {
            let parents = links::parents(resource);
            if parents.is_empty() {
                continue;
            }
            let Some(own) = resource_key(resource) else { continue };
            for parent in parents {
                if wanted(&parent, own.resource_type) {
                    by_parent.entry(parent.to_string()).or_default().push(own.to_string());
                }
            }
        }
        Self(by_parent)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// References to the members of a type that point to this resource, in the order of the product.
    pub(super) fn forward<'t>(
        &self,
        parent_type: ResourceType,
        parent_id: &str,
        child: ResourceType,
    ) -> Vec<Json<'t>> {
        let children = self.0.get(&format!("{parent_type}/{parent_id}"));
        let is_child = |name: &&String| name.split_once('/').is_some_and(|(kind, _)| kind == child.as_str());
        let link = |name: &String| Json::object([("reference", Json::text(name.clone()))]);
        children.into_iter().flatten().filter(is_child).map(link).collect()
    }
}
