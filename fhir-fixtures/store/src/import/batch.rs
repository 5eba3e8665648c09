//! Storing many products at once: what is wholly new is worked out beside the database and written by few statements,
//! what is there already is compared, and only the rest goes one by one.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    num::NonZero,
    sync::Arc,
    thread,
};

use database::Db;
use fhir_model::{Product, ResourceKey, ResourceType, access::AccessMatrix, facts, links};
use pms_terms::OrganisationId;
use serde_json::Value;
use time::OffsetDateTime;

use super::{
    incoming::Incoming,
    prepare::Draft,
    product::{self, Stored},
};
use crate::{
    StoreError,
    compartment::{self, stands_in_several},
    derived::{self, Derived},
    index::{self, NextRows, RootVersion},
    products,
    resources::{self, CurrentText, Stamps, VersionText},
};

/// How often what shared resources refer to is followed.
const ROUNDS: usize = 8;

/// What becomes of a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// All of it is stored exactly so.
    Unchanged,
    /// None of it is stored, but for shared resources that are stored exactly so.
    Fresh,
    /// Anything else.
    Careful,
}

/// Stores products in the unit of work at hand, as if one after the other.
pub(super) async fn store(
    db: &mut Db<'_>,
    matrix: &AccessMatrix,
    mut drafts: Vec<Draft>,
    now: OffsetDateTime,
) -> Result<Vec<(Arc<str>, Stored)>, StoreError> {
    let known = Known::look_up(db, &drafts).await?;
    let mut ways = known.ways(&drafts);
    let shared = settle(db, &drafts, &mut ways).await?;
    let mut outcomes = Vec::with_capacity(drafts.len());
    let mut fresh = Vec::new();
    let mut careful = Vec::new();
    for (draft, way) in drafts.drain(..).zip(ways) {
        match way {
            Way::Unchanged => {
                let unchanged = draft.members.into_iter().map(|one| one.key).collect();
                outcomes.push((draft.file, Stored { unchanged, ..Stored::default() }));
            }
            Way::Fresh => fresh.push(draft),
            Way::Careful => careful.push(draft),
        }
    }
    outcomes.extend(store_fresh(db, matrix, fresh, &known, &shared, now).await?);
    for draft in careful {
        let stored = product::store(db, matrix, &draft.product_id, draft.members, now).await?;
        outcomes.push((draft.file, stored));
    }
    Ok(outcomes)
}

/// What the store knows of the resources in a batch.
struct Known {
    /// The products among those of the batch that are stored, each with its resources.
    products: HashMap<String, BTreeSet<ResourceKey>>,
    resources: HashMap<ResourceKey, CurrentText>,
    /// Of those that are not stored: which a product misses.
    missed: HashSet<ResourceKey>,
}

impl Known {
    async fn look_up(db: &mut Db<'_>, drafts: &[Draft]) -> Result<Self, StoreError> {
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

    fn ways(&self, drafts: &[Draft]) -> Vec<Way> {
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
async fn settle(
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
        .flat_map(|one| references(&one.body))
        .filter(|key| asked.insert(key.clone()))
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
                    .flat_map(|one| references(&one.body))
                    .any(|key| !own.contains(&key) && careful.contains(&key))
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

/// What a resource refers to, other products aside.
fn references(body: &Value) -> impl Iterator<Item = ResourceKey> {
    links::targets(body)
        .into_iter()
        .filter(|key| key.resource_type != ResourceType::MedicinalProductDefinition)
}

async fn store_fresh(
    db: &mut Db<'_>,
    matrix: &AccessMatrix,
    mut drafts: Vec<Draft>,
    known: &Known,
    shared: &HashMap<ResourceKey, Value>,
    now: OffsetDateTime,
) -> Result<Vec<(Arc<str>, Stored)>, StoreError> {
    if drafts.is_empty() {
        return Ok(Vec::new());
    }
    let mut products = on_all_processors(&mut drafts, |draft| assemble(draft, shared));
    let locations: BTreeSet<_> = products.iter().flatten().flat_map(facts::holder_locations).collect();
    let organisations = products::organisations_of(db, &Vec::from_iter(locations)).await?;
    let mut outcomes = Vec::with_capacity(drafts.len());
    let mut versions: Vec<VersionText<'_>> = Vec::new();
    let mut written: HashSet<&ResourceKey> = HashSet::new();
    let mut stamps = Stamps::default();
    for (draft, product) in drafts.iter().zip(&products) {
        let mut stored = Stored::default();
        let parts: HashSet<ResourceKey> =
            product.iter().flat_map(Product::resources).filter_map(fhir_model::resource_key).collect();
        for one in &draft.members {
            if !parts.contains(&one.key) {
                stored.unattached.push(with_body(one));
            } else if let Some(before) = known.resources.get(&one.key) {
                stamps.note(&one.key, before.version_id, before.last_updated);
                stored.unchanged.push(one.key.clone());
            } else if !written.insert(&one.key) {
                stored.unchanged.push(one.key.clone());
            } else {
                versions.extend(versions_of(one, now));
                if let Some(last) = versions.last() {
                    stamps.note(&one.key, last.version_id, last.last_updated);
                }
                stored.imported.push(one.key.clone());
            }
        }
        outcomes.push((Arc::clone(&draft.file), stored));
    }
    let derived = on_all_processors(&mut products, |product| {
        product.as_mut().map(|product| {
            stamps.apply(product);
            derive(matrix, product, &organisations)
        })
    });
    let rows: Vec<NextRows> = drafts
        .iter()
        .zip(derived)
        .filter_map(|(draft, derived)| {
            let root = draft.members.first()?;
            let last_updated = root.past.as_ref().map_or(now, |past| past.last_updated);
            Some(NextRows {
                product_id: draft.product_id.clone(),
                root: RootVersion { version_id: root.version_id().unwrap_or(1), last_updated },
                derived: derived?,
                is_new: true,
            })
        })
        .collect();
    resources::write_texts(db, &versions).await?;
    index::write_all(db, &rows).await?;
    Ok(outcomes)
}

/// The product of a draft with the shared resources that it leads to; takes the bodies of its members.
fn assemble(draft: &mut Draft, shared: &HashMap<ResourceKey, Value>) -> Option<Product> {
    let mut candidates: BTreeMap<ResourceKey, Value> =
        draft.members.iter_mut().map(|one| (one.key.clone(), std::mem::take(&mut one.body))).collect();
    let mut open: Vec<ResourceKey> = candidates.values().flat_map(references).collect();
    while let Some(key) = open.pop() {
        if !candidates.contains_key(&key)
            && let Some(body) = shared.get(&key)
        {
            open.extend(references(body));
            candidates.insert(key, body.clone());
        }
    }
    compartment::assemble(&draft.product_id, candidates)
}

fn derive(
    matrix: &AccessMatrix,
    product: &Product,
    organisations: &BTreeMap<String, OrganisationId>,
) -> Derived {
    derived::derive(matrix, product, &derived::facts_with(product, organisations))
}

/// A member whose body [`assemble`] took.
fn with_body(one: &Incoming) -> Incoming {
    let body = serde_json::from_str(&one.text).unwrap_or_default();
    Incoming { key: one.key.clone(), body, text: one.text.clone(), past: one.past.clone() }
}

/// All versions of a resource that is not stored yet, oldest first.
pub(super) fn versions_of(one: &Incoming, now: OffsetDateTime) -> Vec<VersionText<'_>> {
    let past = one.past.iter().flat_map(|past| &past.versions).map(|(at, text)| (*at, text.as_str()));
    let last = one.past.as_ref().map_or(now, |past| past.last_updated);
    past.chain([(last, one.text.as_str())])
        .zip(1..)
        .map(|((last_updated, text), version_id)| VersionText {
            key: &one.key,
            version_id,
            last_updated,
            text,
        })
        .collect()
}

/// Does something to each item, in parts of equal number side by side; answers in order.
fn on_all_processors<T: Send, R: Send>(items: &mut [T], work: impl Fn(&mut T) -> R + Sync) -> Vec<R> {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let part = items.len().div_ceil(processors).max(1);
    let work = &work;
    thread::scope(|scope| {
        let parts: Vec<_> = items
            .chunks_mut(part)
            .map(|part| scope.spawn(move || part.iter_mut().map(work).collect::<Vec<R>>()))
            .collect();
        parts
            .into_iter()
            .flat_map(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}
