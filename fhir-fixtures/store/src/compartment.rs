//! Which resources belong to a product: its stored members, what was sent now, and what these refer to in the store.

use std::collections::{BTreeMap, BTreeSet};

use database::{Db, on_db};
use fhir_model::{Product, ResourceKey, ResourceType, links};
use serde_json::Value;
use sqlx::AssertSqlSafe;

use crate::{
    StoreError, resources,
    statement::{Statement, bound},
};

/// How often the circle is widened: real products need one or two rounds.
const ROUNDS: usize = 8;

/// Whether a resource stands in several products as a matter of course, so that it makes none of them.
pub(crate) fn stands_in_several(key: &ResourceKey) -> bool {
    links::is_shared(key.resource_type) || key.resource_type == ResourceType::DocumentReference
}

/// The product as it would be with `incoming` put over what is stored; nothing without its root.
pub(crate) async fn gather(
    db: &mut Db<'_>,
    product_id: &str,
    is_stored: bool,
    incoming: Vec<Value>,
) -> Result<Option<Product>, StoreError> {
    let mut candidates = BTreeMap::new();
    if is_stored {
        for member in resources::members(db, product_id).await? {
            candidates.insert(member.key, member.body);
        }
    }
    for resource in incoming {
        if let Some(key) = fhir_model::resource_key(&resource) {
            candidates.insert(key, resource);
        }
    }
    let mut asked = BTreeSet::new();
    for _ in 0..ROUNDS {
        let Some(product) = group(product_id, &candidates) else { return Ok(None) };
        let wanted: Vec<ResourceKey> = product
            .resources()
            .flat_map(links::targets)
            .filter(|key| key.resource_type != ResourceType::MedicinalProductDefinition)
            .filter(|key| !candidates.contains_key(key) && asked.insert(key.clone()))
            .collect();
        let found = resources::current(db, &wanted).await?;
        if found.is_empty() {
            return Ok(Some(product));
        }
        // What points up to a found resource (an ingredient to its item) stands with it in its other products.
        let own: Vec<ResourceKey> = found
            .iter()
            .map(|one| &one.key)
            .filter(|key| !links::is_shared(key.resource_type))
            .cloned()
            .collect();
        for resource in found {
            candidates.insert(resource.key, resource.body);
        }
        let mut beside = neighbours(db, &own).await?;
        beside.retain(|key| !candidates.contains_key(key) && asked.insert(key.clone()));
        for resource in resources::current(db, &beside).await? {
            candidates.insert(resource.key, resource.body);
        }
    }
    Ok(group(product_id, &candidates))
}

fn group(product_id: &str, candidates: &BTreeMap<ResourceKey, Value>) -> Option<Product> {
    let slice: Vec<Value> = candidates.values().cloned().collect();
    let grouped = links::group(&slice);
    let group = grouped.products.iter().find(|group| {
        slice.get(group.root).and_then(|root| root.get("id")).and_then(Value::as_str) == Some(product_id)
    })?;
    let root = slice.get(group.root)?.clone();
    let parts = group.parts.iter().filter_map(|part| slice.get(*part).cloned()).collect();
    Some(Product::new(root, parts))
}

/// The product among `candidates`, each of which is a resource of its own.
pub(crate) fn assemble(product_id: &str, candidates: BTreeMap<ResourceKey, Value>) -> Option<Product> {
    let mut slice: Vec<Value> = candidates.into_values().collect();
    let grouped = links::group(&slice);
    let group = grouped.products.into_iter().find(|group| {
        slice.get(group.root).and_then(|root| root.get("id")).and_then(Value::as_str) == Some(product_id)
    })?;
    let root = slice.get_mut(group.root)?.take();
    let parts = group.parts.iter().filter_map(|part| Some(slice.get_mut(*part)?.take())).collect();
    Some(Product::new(root, parts))
}

/// The other members of the products that `keys` are members of.
async fn neighbours(db: &mut Db<'_>, keys: &[ResourceKey]) -> Result<Vec<ResourceKey>, StoreError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut statement = Statement::new(
        "SELECT DISTINCT b.resource_type, b.resource_id FROM product_members a
         JOIN product_members b ON b.product_id = a.product_id
         WHERE b.present AND (a.resource_type, a.resource_id) IN (VALUES ",
    );
    statement.keys(keys).push(")");
    let rows = on_db!(db, conn => bound!(
        sqlx::query_as::<_, (String, String)>(AssertSqlSafe(statement.sql.clone())), statement
    ).fetch_all(conn).await)?;
    let mut beside = Vec::with_capacity(rows.len());
    for (resource_type, id) in rows {
        let key = resources::stored_key(&resource_type, id)?;
        if key.resource_type != ResourceType::MedicinalProductDefinition {
            beside.push(key);
        }
    }
    Ok(beside)
}
