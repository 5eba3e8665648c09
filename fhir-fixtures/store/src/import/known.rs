//! What the store knows of products on their way in: which of them are new, stored already, or to be looked at closely.

use std::collections::{BTreeSet, HashMap, HashSet};

use database::Db;
use fhir_model::{ResourceKey, ResourceType, facts};
use pms_terms::LocationId;
use serde_json::Value;

use super::{
    incoming::{Incoming, references},
    prepare::Draft,
};
use crate::{
    StoreError,
    compartment::stands_in_several,
    index, products,
    resources::{self, CurrentText},
};

/// How often what shared resources refer to is followed.
const ROUNDS: usize = 8;

/// What becomes of a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// All of it is stored exactly so.
    Unchanged,
    /// None of it is stored, but for shared resources that are stored exactly so.
    Fresh,
    /// Anything else.
    Careful,
}

/// What the store knows of the resources in a batch.
pub(super) struct Known {
    /// The products among those of the batch that are stored, each with its resources.
    products: HashMap<String, BTreeSet<ResourceKey>>,
    pub(super) resources: HashMap<ResourceKey, CurrentText>,
    /// Of those that are not stored: which a product misses.
    missed: HashSet<ResourceKey>,
}

impl Known {
    pub(super) async fn look_up(db: &mut Db<'_>, drafts: &[Draft]) -> Result<Self, StoreError> {
        let ids: Vec<&str> = drafts.iter().map(|draft| draft.product_id.as_str()).collect();
        let mut products: HashMap<String, BTreeSet<ResourceKey>> = HashMap::new();
        for head in products::heads(db, &ids).await? {
            let members = resources::member_keys(db, &head.product_id).await?;
            products.insert(head.product_id, members);
        }
        let keys: BTreeSet<ResourceKey> =
            drafts.iter().flat_map(|draft| &draft.members).map(|one| one.key.clone()).collect();
        let all: Vec<ResourceKey> = keys.iter().cloned().collect();
        let resources = resources::current_texts(db, &all).await?;
        let new: Vec<ResourceKey> = keys.into_iter().filter(|key| !resources.contains_key(key)).collect();
        let missed = index::homes(db, &new).await?.into_keys().collect();
        Ok(Self { products, resources, missed })
    }

    fn same(&self, one: &Incoming) -> bool {
        self.resources.get(&one.key).is_some_and(|stored| {
            one.version_id().is_none_or(|sent| stands_in_several(&one.key) || sent == stored.version_id)
                && is_same(&stored.text, one)
        })
    }

    pub(super) fn ways(&self, drafts: &[Draft]) -> Vec<Way> {
        let mut claimed: HashMap<&ResourceKey, &str> = HashMap::new();
        drafts
            .iter()
            .map(|draft| {
                let clashes = draft.members.iter().any(|one| {
                    claimed
                        .get(&one.key)
                        .is_some_and(|text| !stands_in_several(&one.key) || *text != one.text)
                });
                for one in &draft.members {
                    claimed.entry(&one.key).or_insert(&one.text);
                }
                if clashes { Way::Careful } else { self.way(draft) }
            })
            .collect()
    }

    fn way(&self, draft: &Draft) -> Way {
        if let Some(members) = self.products.get(&draft.product_id) {
            let all = draft.members.iter().all(|one| self.same(one) && members.contains(&one.key));
            return if all { Way::Unchanged } else { Way::Careful };
        }
        let is_new = |one: &Incoming| {
            if self.resources.contains_key(&one.key) {
                stands_in_several(&one.key) && self.same(one)
            } else {
                !self.missed.contains(&one.key)
            }
        };
        if draft.members.iter().all(is_new) { Way::Fresh } else { Way::Careful }
    }
}

/// Whether a stored text means the same as a resource sent: most are equal to the byte, others in another order.
fn is_same(stored: &str, one: &Incoming) -> bool {
    stored == one.text || serde_json::from_str::<Value>(stored).is_ok_and(|stored| stored == one.body)
}

/// Finds the shared resources that fresh drafts refer to and do not bring; what a fresh draft cannot be stored
/// without being looked at closely makes it a careful one.
pub(super) async fn settle(
    db: &mut Db<'_>,
    drafts: &[Draft],
    ways: &mut [Way],
) -> Result<HashMap<ResourceKey, Value>, StoreError> {
    let mut shared: HashMap<ResourceKey, Value> = HashMap::new();
    let mut careful: HashSet<ResourceKey> = HashSet::new();
    let mut asked: HashSet<ResourceKey> = HashSet::new();
    for (draft, way) in drafts.iter().zip(ways.iter()) {
        for one in &draft.members {
            asked.insert(one.key.clone());
            if *way == Way::Careful || !stands_in_several(&one.key) {
                careful.insert(one.key.clone());
            } else {
                shared.insert(one.key.clone(), one.body.clone());
            }
        }
    }
    let mut wanted: Vec<ResourceKey> = drafts
        .iter()
        .zip(ways.iter())
        .filter(|(_, way)| **way == Way::Fresh)
        .flat_map(|(draft, _)| &draft.members)
        .flat_map(|one| &one.refers_to)
        .filter(|key| asked.insert((*key).clone()))
        .cloned()
        .collect();
    for _ in 0..ROUNDS {
        let found = resources::current(db, &wanted).await?;
        wanted = Vec::new();
        for one in found {
            if stands_in_several(&one.key) {
                wanted.extend(references(&one.body).filter(|key| asked.insert(key.clone())));
                shared.insert(one.key, one.body);
            } else {
                careful.insert(one.key);
            }
        }
        if wanted.is_empty() {
            break;
        }
    }
    // A draft that hangs on a careful one is one itself, and so on.
    loop {
        let mut turned = Vec::new();
        for (n, draft) in drafts.iter().enumerate() {
            let own: HashSet<&ResourceKey> = draft.members.iter().map(|one| &one.key).collect();
            let hangs = || {
                draft
                    .members
                    .iter()
                    .flat_map(|one| &one.refers_to)
                    .any(|key| !own.contains(key) && careful.contains(key))
            };
            if ways.get(n) == Some(&Way::Fresh) && hangs() {
                turned.push(n);
                careful.extend(own.into_iter().cloned());
            }
        }
        if turned.is_empty() {
            return Ok(shared);
        }
        for n in turned {
            if let Some(way) = ways.get_mut(n) {
                *way = Way::Careful;
            }
        }
    }
}

/// The locations that holders in these drafts may be.
pub(super) fn locations_of(drafts: &[Draft], shared: &HashMap<ResourceKey, Value>) -> Vec<LocationId> {
    let mut found = BTreeSet::new();
    for draft in drafts {
        let organisation = |key: &ResourceKey| {
            let own = draft.members.iter().find(|one| one.key == *key).map(|one| &one.body);
            own.or_else(|| shared.get(key))
        };
        for one in &draft.members {
            if one.key.resource_type == ResourceType::RegulatedAuthorization {
                found.extend(facts::locations_named(&one.body, &organisation));
            }
        }
    }
    found.into_iter().collect()
}
