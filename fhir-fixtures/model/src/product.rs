//! The product: one MedicinalProductDefinition and everything linked to it, and the key of a resource.

use std::{fmt, str::FromStr};

use serde_json::Value;

use crate::{ResourceType, schema::is_valid_id};

/// A product and its compartment, complete or as much of it as somebody may see.
#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    /// The MedicinalProductDefinition.
    pub root: Value,
    /// Everything else, each resource once.
    pub parts: Vec<Value>,
}

impl Product {
    /// A product of these resources.
    pub const fn new(root: Value, parts: Vec<Value>) -> Self {
        Self { root, parts }
    }

    /// The id of the root; empty when it has none.
    pub fn id(&self) -> &str {
        self.root.get("id").and_then(Value::as_str).unwrap_or_default()
    }

    /// All resources, the root first.
    pub fn resources(&self) -> impl Iterator<Item = &Value> {
        std::iter::once(&self.root).chain(&self.parts)
    }

    /// The resource with this key. Linear: for many look-ups build a map.
    pub fn find(&self, key: &ResourceKey) -> Option<&Value> {
        self.resources().find(|resource| {
            resource.get("id").and_then(Value::as_str) == Some(&key.id)
                && resource_type(resource) == Some(key.resource_type)
        })
    }
}

/// Type and id of a resource: `PackagedProductDefinition/698972`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceKey {
    /// Its type.
    pub resource_type: ResourceType,
    /// Its logical id.
    pub id: String,
}

impl ResourceKey {
    /// The key of a resource of this type and id.
    pub fn new(resource_type: ResourceType, id: impl Into<String>) -> Self {
        Self { resource_type, id: id.into() }
    }
}

impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.resource_type, self.id)
    }
}

/// A text that is not `Type/id`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a resource type of this server, a slash and an id")]
pub struct UnreadableKey(pub String);

impl FromStr for ResourceKey {
    type Err = UnreadableKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unreadable = || UnreadableKey(text.to_owned());
        let (resource_type, id) = text.split_once('/').ok_or_else(unreadable)?;
        if !is_valid_id(id) {
            return Err(unreadable());
        }
        Ok(Self { resource_type: resource_type.parse().map_err(|_| unreadable())?, id: id.to_owned() })
    }
}

/// The type of a resource, when it is one of ours.
pub fn resource_type(resource: &Value) -> Option<ResourceType> {
    resource.get("resourceType")?.as_str()?.parse().ok()
}

/// The key of a resource that has a type of ours and an id.
pub fn resource_key(resource: &Value) -> Option<ResourceKey> {
    let id = resource.get("id")?.as_str()?;
    Some(ResourceKey { resource_type: resource_type(resource)?, id: id.to_owned() })
}
