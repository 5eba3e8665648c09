//! The inverse links of a product, turned round: who points to a resource.

use std::collections::HashMap;

use serde_json::Value;

use crate::{Product, ResourceKey, ResourceType, links, resource_type, tree::reference};

/// For each resource the members that point up to it.
pub(super) struct Index {
    by_parent: HashMap<ResourceKey, Vec<(ResourceType, String)>>,
}

impl Index {
    pub(super) fn new(product: &Product) -> Self {
        let mut by_parent: HashMap<ResourceKey, Vec<(ResourceType, String)>> = HashMap::new();
        for resource in product.resources() {
            let (Some(kind), Some(id)) =
                (resource_type(resource), resource.get("id").and_then(Value::as_str))
            else {
                continue;
            };
            for parent in links::parents(resource) {
                by_parent.entry(parent).or_default().push((kind, id.to_owned()));
            }
        }
        Self { by_parent }
    }

    /// References to the members of a type that point to this resource, in the order of the product.
    pub(super) fn forward(
        &self,
        parent_type: ResourceType,
        parent_id: &str,
        child: ResourceType,
    ) -> Vec<Value> {
        let key = ResourceKey::new(parent_type, parent_id);
        let children = self.by_parent.get(&key).map(Vec::as_slice).unwrap_or_default();
        children
            .iter()
            .filter(|(kind, _)| *kind == child)
            .map(|(kind, id)| reference(kind.as_str(), id))
            .collect()
    }
}
