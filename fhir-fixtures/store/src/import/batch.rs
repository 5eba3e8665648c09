//! Storing many products at once: what is wholly new is worked out beside the database, while what came before is
//! written by few statements; what is there already is compared, and only the rest goes one by one.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    num::NonZero,
    sync::Arc,
    thread,
};

use database::Db;
use fhir_model::{Product, ResourceKey, access::AccessMatrix};
use pms_terms::OrganisationId;
use serde_json::Value;
use time::OffsetDateTime;
use tokio::task::spawn_blocking;

use super::{
    incoming::{Incoming, references},
    known::{Known, Way, locations_of, settle},
    prepare::{Draft, finished},
    product::{self, Stored},
};
use crate::{
    StoreError, compartment, derived,
    index::{self, NextRows, RootVersion},
    products,
    resources::{self, Stamps, VersionText},
};

/// How many resources are worked out while those before them are written.
const RESOURCES_PER_PART: usize = 512;

/// Stores products in the unit of work at hand, as if one after the other.
pub(super) async fn store(
    db: &mut Db<'_>,
    matrix: &Arc<AccessMatrix>,
    drafts: Vec<Draft>,
    now: OffsetDateTime,
) -> Result<Vec<(Arc<str>, Stored)>, StoreError> {
    let mut outcomes = Vec::with_capacity(drafts.len());
    let mut before: Option<Ready> = None;
    for drafts in in_parts(drafts) {
        if let Some(ready) = before.take_if(|ready| ready.concerns(&drafts)) {
            outcomes.extend(ready.write(db, matrix, now).await?);
        }
        let part = Part::look_up(db, drafts).await?;
        let matrix_of = Arc::clone(matrix);
        let working = spawn_blocking(move || part.work_out(&matrix_of, now));
        if let Some(ready) = before.take() {
            outcomes.extend(ready.write(db, matrix, now).await?);
        }
        before = finished(working.await);
    }
    if let Some(ready) = before {
        outcomes.extend(ready.write(db, matrix, now).await?);
    }
    Ok(outcomes)
}

/// Products of about as many resources each time.
fn in_parts(drafts: Vec<Draft>) -> Vec<Vec<Draft>> {
    let mut parts: Vec<Vec<Draft>> = Vec::new();
    let mut room = 0;
    for draft in drafts {
        if room == 0 {
            parts.push(Vec::new());
            room = RESOURCES_PER_PART;
        }
        room = room.saturating_sub(draft.members.len());
        if let Some(part) = parts.last_mut() {
            part.push(draft);
        }
    }
    parts
}

/// Products with all that the store knows about them.
struct Part {
    /// What is wholly new.
    fresh: Vec<Draft>,
    /// What goes one by one.
    careful: Vec<Draft>,
    /// Of what is stored already.
    outcomes: Vec<(Arc<str>, Stored)>,
    known: Known,
    /// Resources that stand in several products, of the store and of these drafts.
    shared: HashMap<ResourceKey, Value>,
    /// To which organisations locations belong.
    organisations: BTreeMap<String, OrganisationId>,
}

impl Part {
    async fn look_up(db: &mut Db<'_>, drafts: Vec<Draft>) -> Result<Self, StoreError> {
        let known = Known::look_up(db, &drafts).await?;
        let mut ways = known.ways(&drafts);
        let shared = settle(db, &drafts, &mut ways).await?;
        let (mut fresh, mut careful, mut outcomes) = (Vec::new(), Vec::new(), Vec::new());
        for (draft, way) in drafts.into_iter().zip(ways) {
            match way {
                Way::Unchanged => {
                    let unchanged = draft.members.into_iter().map(|one| one.key).collect();
                    outcomes.push((draft.file, Stored { unchanged, ..Stored::default() }));
                }
                Way::Fresh => fresh.push(draft),
                Way::Careful => careful.push(draft),
            }
        }
        let locations = locations_of(&fresh, &shared);
        let organisations = products::organisations_of(db, &locations).await?;
        Ok(Self { fresh, careful, outcomes, known, shared, organisations })
    }

    /// Works out all rows of what is new.
    fn work_out(self, matrix: &AccessMatrix, now: OffsetDateTime) -> Ready {
        let Self { mut fresh, careful, mut outcomes, known, shared, organisations } = self;
        let mut products = on_all_processors(&mut fresh, |draft| assemble(draft, &shared));
        let mut imported = Vec::new();
        let mut written: HashSet<&ResourceKey> = HashSet::new();
        let mut stamps = Stamps::default();
        for (at, (draft, product)) in fresh.iter().zip(&products).enumerate() {
            let mut stored = Stored::default();
            let parts: HashSet<ResourceKey> =
                product.iter().flat_map(Product::resources).filter_map(fhir_model::resource_key).collect();
            for (n, one) in draft.members.iter().enumerate() {
                if !parts.contains(&one.key) {
                    stored.unattached.push(with_body(one));
                } else if let Some(before) = known.resources.get(&one.key) {
                    stamps.note(&one.key, before.version_id, before.last_updated);
                    stored.unchanged.push(one.key.clone());
                } else if !written.insert(&one.key) {
                    stored.unchanged.push(one.key.clone());
                } else {
                    if let Some(last) = versions_of(one, now).last() {
                        stamps.note(&one.key, last.version_id, last.last_updated);
                    }
                    imported.push((at, n));
                    stored.imported.push(one.key.clone());
                }
            }
            outcomes.push((Arc::clone(&draft.file), stored));
        }
        let derived = on_all_processors(&mut products, |product| {
            product.as_mut().map(|product| {
                stamps.apply(product);
                derived::derive(matrix, product, &derived::facts_with(product, &organisations))
            })
        });
        let rows: Vec<NextRows> = fresh
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
        let missed = rows.iter().flat_map(|row| row.derived.missed());
        let concerned = written.into_iter().cloned().chain(missed).collect();
        Ready { fresh, careful, outcomes, imported, rows, concerned }
    }
}

/// Products about to be written.
struct Ready {
    fresh: Vec<Draft>,
    careful: Vec<Draft>,
    outcomes: Vec<(Arc<str>, Stored)>,
    /// What is to be written of the fresh drafts: which of them, and which of its members.
    imported: Vec<(usize, usize)>,
    rows: Vec<NextRows>,
    /// What the store knows more about when this is written.
    concerned: HashSet<ResourceKey>,
}

impl Ready {
    /// Whether these drafts must not be looked up before this is written.
    fn concerns(&self, drafts: &[Draft]) -> bool {
        !self.careful.is_empty()
            || drafts.iter().flat_map(|draft| &draft.members).any(|one| {
                self.concerned.contains(&one.key)
                    || one.refers_to.iter().any(|key| self.concerned.contains(key))
            })
    }

    async fn write(
        self,
        db: &mut Db<'_>,
        matrix: &AccessMatrix,
        now: OffsetDateTime,
    ) -> Result<Vec<(Arc<str>, Stored)>, StoreError> {
        let members = self.imported.iter().filter_map(|(at, n)| self.fresh.get(*at)?.members.get(*n));
        let versions: Vec<VersionText<'_>> = members.flat_map(|one| versions_of(one, now)).collect();
        resources::write_texts(db, &versions).await?;
        index::write_all(db, &self.rows).await?;
        let mut outcomes = self.outcomes;
        for draft in self.careful {
            let stored = product::store(db, matrix, &draft.product_id, draft.members, now).await?;
            outcomes.push((draft.file, stored));
        }
        Ok(outcomes)
    }
}

/// The product of a draft with the shared resources that it leads to; takes the bodies of its members.
fn assemble(draft: &mut Draft, shared: &HashMap<ResourceKey, Value>) -> Option<Product> {
    let mut open: Vec<ResourceKey> = draft.members.iter().flat_map(|one| one.refers_to.clone()).collect();
    let mut candidates: BTreeMap<ResourceKey, Value> =
        draft.members.iter_mut().map(|one| (one.key.clone(), std::mem::take(&mut one.body))).collect();
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

/// A member whose body [`assemble`] took.
fn with_body(one: &Incoming) -> Incoming {
    Incoming { body: serde_json::from_str(&one.text).unwrap_or_default(), ..one.clone() }
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
