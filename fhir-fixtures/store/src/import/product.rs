//! Storing one product: new versions of what changed, and the rows derived from it, in the caller's unit of work.

use std::collections::{BTreeMap, BTreeSet};

use database::Db;
use fhir_model::{ResourceKey, ResourceType, access::AccessMatrix};
use time::OffsetDateTime;

use super::incoming::Incoming;
use crate::{
    StoreError, compartment,
    index::{self, RootVersion},
    products,
    resources::{self, NextVersion, unstamp},
};

/// What storing a product did to each resource sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Stored {
    pub(super) imported: Vec<ResourceKey>,
    pub(super) updated: Vec<ResourceKey>,
    pub(super) unchanged: Vec<ResourceKey>,
    /// Sent with the product, but not linked to it.
    pub(super) unattached: Vec<Incoming>,
}

/// Stores `incoming` as parts of the product `product_id`, whose root is among them or in the store.
pub(super) async fn store(
    db: &mut Db<'_>,
    matrix: &AccessMatrix,
    product_id: &str,
    incoming: Vec<Incoming>,
    now: OffsetDateTime,
) -> Result<Stored, StoreError> {
    let keys: Vec<ResourceKey> = incoming.iter().map(|one| one.key.clone()).collect();
    let head = products::head(db, product_id).await?;
    let mut known = BTreeMap::new();
    for mut resource in resources::current(db, &keys).await? {
        unstamp(&mut resource.body);
        known.insert(resource.key.clone(), resource);
    }
    let same = |one: &Incoming| known.get(&one.key).is_some_and(|stored| stored.body == one.body);
    let members: BTreeSet<ResourceKey> = match &head {
        Some(_) => resources::member_keys(db, product_id).await?,
        None => BTreeSet::new(),
    };
    // The quick way of an import that is done a second time.
    if head.is_some() && incoming.iter().all(|one| same(one) && members.contains(&one.key)) {
        return Ok(Stored { unchanged: keys, ..Stored::default() });
    }
    let bodies = incoming.iter().map(|one| one.body.clone()).collect();
    let Some(product) = compartment::gather(db, product_id, head.is_some(), bodies).await? else {
        return Ok(Stored { unattached: incoming, ..Stored::default() });
    };
    let parts: BTreeSet<ResourceKey> = product.resources().filter_map(fhir_model::resource_key).collect();
    let mut stored = Stored::default();
    let mut next = Vec::new();
    let root_key = ResourceKey::new(ResourceType::MedicinalProductDefinition, product_id);
    let mut root = head
        .as_ref()
        .map(|head| RootVersion { version_id: head.version_id, last_updated: head.last_updated });
    for one in incoming {
        if !parts.contains(&one.key) {
            stored.unattached.push(one);
        } else if same(&one) {
            stored.unchanged.push(one.key);
        } else {
            let version_id = known.get(&one.key).map_or(1, |before| before.version_id + 1);
            if one.key == root_key {
                root = Some(RootVersion { version_id, last_updated: now });
            }
            let done = if version_id == 1 { &mut stored.imported } else { &mut stored.updated };
            done.push(one.key.clone());
            next.push(NextVersion { key: one.key, version_id, body: one.body });
        }
    }
    // A root that was stored with other resources before it had a row of its own.
    let root = root.or_else(|| {
        known
            .get(&root_key)
            .map(|root| RootVersion { version_id: root.version_id, last_updated: root.last_updated })
    });
    let Some(root) = root else { return Ok(stored) };
    resources::write(db, &next, now).await?;
    if !next.is_empty() || parts.iter().any(|part| !members.contains(part)) {
        index::write(db, matrix, &product, root, head.as_ref()).await?;
    }
    let changed: Vec<ResourceKey> = next.into_iter().map(|next| next.key).collect();
    for other in index::products_with(db, &changed).await? {
        if other != product_id {
            index::look_again(db, matrix, &other).await?;
        }
    }
    Ok(stored)
}
