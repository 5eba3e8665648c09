//! A merge, and what it would do.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    Product, ResourceKey, ResourceType,
    access::{AccessMatrix, Targets, Viewer},
    facts::ProductFacts,
    links,
};

use super::Rejection;

/// A merge and all that decides about it.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The transaction Bundle, in FHIR 5.0.0.
    pub bundle: &'a Value,
    /// The product as stored, complete, current, with its versions in `meta`.
    pub product: &'a Product,
    /// On whose behalf. The gates have been asked.
    pub viewer: &'a Viewer,
    /// Who may see what.
    pub matrix: &'a AccessMatrix,
    /// The facts of the stored product.
    pub facts: &'a ProductFacts,
    /// Those of the products that the stored one or the Bundle links to that the viewer may learn of.
    pub targets: &'a Targets,
    /// Those of [`super::Outside::resources`] that exist and that the viewer may draw in.
    pub known: &'a BTreeSet<ResourceKey>,
    /// The organisations among those, as they are stored: one that is named by its number is the same.
    pub organisations: &'a [Value],
    /// Resources of the product that belong to another product, too.
    pub shared: &'a BTreeSet<ResourceKey>,
}

/// A new version of an existing resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Index of its entry in the Bundle.
    pub entry: usize,
    /// Its key.
    pub key: ResourceKey,
    /// The version that must still be current when the new one is stored.
    pub expected_version: String,
    /// The whole resource, hidden parts included. Its `meta` is the stored one, with the old version; links to new
    /// resources are still temporary.
    pub body: Value,
}

/// A new resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Creation {
    /// Index of its entry in the Bundle.
    pub entry: usize,
    /// Its temporary name, `urn:uuid:…`.
    pub temporary: String,
    /// Its type.
    pub resource_type: ResourceType,
    /// The whole resource, without id and `meta`; links to new resources are still temporary.
    pub body: Value,
}

/// What a merge does.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The product.
    pub product_id: String,
    /// New versions. When anything changes, the product is among them, if need be with the same content: its version
    /// guards the whole.
    pub changed: Vec<Change>,
    /// New resources.
    pub created: Vec<Creation>,
    /// Entries that say nothing new.
    pub unchanged: Vec<(usize, ResourceKey)>,
    /// What does not stand in the way, but is to be told.
    pub warnings: Vec<Rejection>,
}

/// A resource ready to be stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// Index of its entry in the Bundle.
    pub entry: usize,
    /// Its key, final.
    pub key: ResourceKey,
    /// The version it replaces; none for a new one.
    pub expected_version: Option<String>,
    /// The whole resource with its id and final links.
    pub body: Value,
}

impl Plan {
    /// Nothing would be stored.
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.created.is_empty()
    }

    /// Gives the new resources ids and everything its final links; in the order of the Bundle.
    pub fn resolve(&self, new_id: &mut dyn FnMut(ResourceType) -> String) -> Vec<Resolved> {
        let keys: BTreeMap<&str, ResourceKey> = self
            .created
            .iter()
            .map(|it| (it.temporary.as_str(), ResourceKey::new(it.resource_type, new_id(it.resource_type))))
            .collect();
        let link = |body: &Value| {
            let mut body = body.clone();
            links::map_references(&mut body, &mut |text| keys.get(text).map(ToString::to_string));
            body
        };
        let changed = self.changed.iter().map(|it| Resolved {
            entry: it.entry,
            key: it.key.clone(),
            expected_version: Some(it.expected_version.clone()),
            body: link(&it.body),
        });
        let created = self.created.iter().filter_map(|it| {
            let key = keys.get(it.temporary.as_str())?.clone();
            let mut body = link(&it.body);
            body.as_object_mut()?.shift_insert(1, "id".to_owned(), key.id.clone().into());
            Some(Resolved { entry: it.entry, key, expected_version: None, body })
        });
        let mut all: Vec<Resolved> = changed.chain(created).collect();
        all.sort_by_key(|it| it.entry);
        all
    }
}
