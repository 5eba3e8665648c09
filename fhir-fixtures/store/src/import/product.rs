//! Storing one product: new versions of what changed, and the rows derived from it, in the caller's unit of work.

use std::collections::{BTreeMap, BTreeSet};

use database::Db;
use fhir_model::{ResourceKey, ResourceType, access::AccessMatrix, links};
use time::OffsetDateTime;

use super::{batch, incoming::Incoming};
use crate::{
    StoreError, StoredResource,
    compartment::{self, stands_in_several},
    index::{self, RootVersion},
    products,
    resources::{self, Stamps, VersionText, unstamp},
};

/// What storing a product did to each resource sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Stored {
    pub(super) imported: Vec<ResourceKey>,
    pub(super) updated: Vec<ResourceKey>,
    pub(super) unchanged: Vec<ResourceKey>,
    /// Sent with the product, but not linked to it.
    pub(super) unattached: Vec<Incoming>,
    /// Not to be stored so, and why.
    pub(super) refused: Vec<(ResourceKey, String)>,
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
    let mut stored = Stored::default();
    let mut accepted = Vec::with_capacity(incoming.len());
    for one in incoming {
        let before = known.get(&one.key);
        let refusal = match before {
            Some(before) if before.body != one.body => match other_history(&one) {
                Some(reason) => Some(reason),
                None => taken(db, product_id, before, &one).await?,
            },
            _ => None,
        };
        match refusal {
            Some(reason) => stored.refused.push((one.key, reason)),
            None => accepted.push(one),
        }
    }
    let bodies = accepted.iter().map(|one| one.body.clone()).collect();
    let Some(mut product) = compartment::gather(db, product_id, head.is_some(), bodies).await? else {
        return Ok(Stored { unattached: accepted, ..stored });
    };
    let parts: BTreeSet<ResourceKey> = product.resources().filter_map(fhir_model::resource_key).collect();
    let mut next: Vec<VersionText<'_>> = Vec::new();
    let mut stamps = Stamps::default();
    let root_key = ResourceKey::new(ResourceType::MedicinalProductDefinition, product_id);
    let mut root = head
        .as_ref()
        .map(|head| RootVersion { version_id: head.version_id, last_updated: head.last_updated });
    for one in &accepted {
        if !parts.contains(&one.key) {
            stored.unattached.push(one.clone());
        } else if let Some(before) = known.get(&one.key).filter(|before| before.body == one.body) {
            stamps.note(&one.key, before.version_id, before.last_updated);
            stored.unchanged.push(one.key.clone());
        } else {
            let versions = match known.get(&one.key) {
                Some(before) => {
                    let version_id = before.version_id + 1;
                    vec![VersionText { key: &one.key, version_id, last_updated: now, text: &one.text }]
                }
                None => batch::versions_of(one, now),
            };
            if let Some(last) = versions.last() {
                stamps.note(&one.key, last.version_id, last.last_updated);
                if one.key == root_key {
                    root = Some(RootVersion { version_id: last.version_id, last_updated: last.last_updated });
                }
            }
            let done = if known.contains_key(&one.key) { &mut stored.updated } else { &mut stored.imported };
            done.push(one.key.clone());
            next.extend(versions);
        }
    }
    // A root that was stored with other resources before it had a row of its own.
    let root = root.or_else(|| {
        known
            .get(&root_key)
            .map(|root| RootVersion { version_id: root.version_id, last_updated: root.last_updated })
    });
    let Some(root) = root else { return Ok(stored) };
    resources::write_texts(db, &next).await?;
    if !next.is_empty() || parts.iter().any(|part| !members.contains(part)) {
        stamps.apply(&mut product);
        index::write(db, matrix, &product, root, head.as_ref()).await?;
    }
    let changed: Vec<ResourceKey> = stored.imported.iter().chain(&stored.updated).cloned().collect();
    for other in index::products_with(db, &changed).await? {
        if other != product_id {
            index::look_again(db, matrix, &other).await?;
        }
    }
    Ok(stored)
}

/// Why a resource that came with its history cannot follow the one that is stored.
fn other_history(one: &Incoming) -> Option<String> {
    (one.past.is_some() && !stands_in_several(&one.key)).then(|| {
        "is stored with other content, so its versions would not be those of this history: import its current \
         version without the history"
            .to_owned()
    })
}

/// Why a part cannot be stored so: it would be taken from another product, which would lose it in silence.
async fn taken(
    db: &mut Db<'_>,
    product_id: &str,
    before: &StoredResource,
    one: &Incoming,
) -> Result<Option<String>, StoreError> {
    if stands_in_several(&one.key) || one.key.resource_type == ResourceType::MedicinalProductDefinition {
        return Ok(None);
    }
    let kept: BTreeSet<ResourceKey> = links::parents(&one.body).into_iter().collect();
    let lost: Vec<ResourceKey> =
        links::parents(&before.body).into_iter().filter(|parent| !kept.contains(parent)).collect();
    if lost.is_empty() {
        return Ok(None);
    }
    let keys: Vec<ResourceKey> = lost.iter().chain(&kept).chain([&one.key]).cloned().collect();
    let homes = index::homes(db, &keys).await?;
    let stands_in = |key: &ResourceKey, product: &str| {
        homes.get(key).is_some_and(|homes| homes.iter().any(|(home, present)| *present && home == product))
    };
    let loser = homes
        .get(&one.key)
        .into_iter()
        .flatten()
        .filter(|(product, present)| *present && product != product_id)
        .find(|(product, _)| {
            lost.iter().any(|parent| stands_in(parent, product))
                && !kept.iter().any(|parent| stands_in(parent, product))
        });
    Ok(loser.map(|(product, _)| {
        format!(
            "is a part of MedicinalProductDefinition/{product}, and so written it would become one of \
             MedicinalProductDefinition/{product_id} instead: an import moves no part to another product, give this \
             one an id of its own"
        )
    }))
}
