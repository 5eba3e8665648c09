//! Heads of products in memory, and the feed of changes that keeps them true.
//!
//! A head that is kept answers for at most [`TRUSTED`] after the feed was last read; should the feed fail, every head
//! is read from the database again. What is absent is kept as absent, so that a hidden product and an unknown id take
//! the same way.
//!
//! Gateways that keep answers are told of every reading of the feed ([`Heads::readings`]); what an answer shows is at
//! least as new as the state before it was worked out ([`Heads::state`]).

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use caller_context::DataState;
use database::Database;
use fhir_model::access::Targets;
use fhir_store::{Audience, ProductHead, StoreError};
use http_service::PartHealth;
use moka::sync::Cache;
use tokio::{sync::watch, time::Instant};
use uuid::Uuid;

/// How many heads are kept.
const KEPT: u64 = 20_000;

/// How often the feed is read.
const INTERVAL: Duration = Duration::from_millis(250);

/// How long after a reading of the feed heads are taken from memory.
const TRUSTED: Duration = Duration::from_millis(900);

/// Changes read at once.
const BATCH: i64 = 1000;

/// Heads of products, from memory where that is known to be true.
#[derive(Debug)]
pub(crate) struct Heads {
    database: Database,
    kept: Cache<String, Option<Arc<ProductHead>>>,
    /// This run of the program.
    instance: u64,
    started: Instant,
    /// Milliseconds after `started` until which memory is trusted; 0 before the first reading.
    trusted_until: AtomicU64,
    /// The last change seen; negative before the first reading.
    seen: AtomicI64,
    /// Grows with every change seen, so that a head read meanwhile is not kept. Locked while that is decided, and while
    /// changes are taken in: no head from before a change is ever kept after it.
    generation: RwLock<u64>,
    /// What the feed said when it was last read; none before, and when nobody reads it any more.
    readings: watch::Sender<Option<DataState>>,
}

impl Heads {
    pub(crate) fn new(database: Database) -> Self {
        Self {
            database,
            kept: Cache::new(KEPT),
            instance: Uuid::new_v4().as_u64_pair().1,
            started: Instant::now(),
            trusted_until: AtomicU64::new(0),
            seen: AtomicI64::new(-1),
            generation: RwLock::default(),
            readings: watch::Sender::new(None),
        }
    }

    /// The head of a product, if there is such a product.
    pub(crate) async fn find(&self, product_id: &str) -> Result<Option<Arc<ProductHead>>, StoreError> {
        let trusted = self.milliseconds() < self.trusted_until.load(Ordering::Acquire);
        if trusted && let Some(head) = self.kept.get(product_id) {
            return Ok(head);
        }
        let generation = self.generation();
        let head = fhir_store::find_head(&self.database, product_id).await?.map(Arc::new);
        if trusted {
            self.keep(generation, [(product_id.to_owned(), head.clone())]);
        }
        Ok(head)
    }

    /// Those of the products `ids` that `audience` may know of. A hidden one and an unknown id take the same way.
    pub(crate) async fn known_to<'i>(
        &self,
        audience: &Audience,
        ids: impl IntoIterator<Item = &'i str>,
    ) -> Result<Targets, StoreError> {
        let mut targets = Targets::default();
        let mut note = |head: &ProductHead| {
            if head.seen_by(audience).is_some() {
                targets.visible.insert(head.product_id.clone());
            }
        };
        let trusted = self.milliseconds() < self.trusted_until.load(Ordering::Acquire);
        let mut unknown = BTreeSet::new();
        for id in ids {
            match self.kept.get(id).filter(|_| trusted) {
                Some(head) => head.iter().for_each(|head| note(head)),
                None => {
                    unknown.insert(id);
                }
            }
        }
        if unknown.is_empty() {
            return Ok(targets);
        }
        let generation = self.generation();
        let unknown = Vec::from_iter(unknown);
        let found = fhir_store::find_heads(&self.database, &unknown).await?;
        found.iter().for_each(note);
        if trusted {
            let mut found: HashMap<_, _> =
                found.into_iter().map(|head| (head.product_id.clone(), Arc::new(head))).collect();
            self.keep(generation, unknown.into_iter().map(|id| (id.to_owned(), found.remove(id))));
        }
        Ok(targets)
    }

    fn generation(&self) -> u64 {
        *self.generation.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what was read since `generation`, unless a change came in between: it may have been of one of these.
    fn keep(&self, generation: u64, heads: impl IntoIterator<Item = (String, Option<Arc<ProductHead>>)>) {
        let now = self.generation.read().unwrap_or_else(PoisonError::into_inner);
        if *now == generation {
            heads.into_iter().for_each(|(id, head)| self.kept.insert(id, head));
        }
    }

    /// The latest change, if memory is trusted now: what was found while it stays the same is still true.
    pub(crate) fn latest_change(&self) -> Option<i64> {
        let trusted = self.milliseconds() < self.trusted_until.load(Ordering::Acquire);
        trusted.then(|| self.seen.load(Ordering::Acquire))
    }

    /// The state that whatever is found from now on is at least as new as, if memory is trusted now.
    pub(crate) fn state(&self) -> Option<DataState> {
        self.latest_change().map(|change| DataState { instance: self.instance, change })
    }

    /// Tells of every reading of the feed; ends when nobody reads it any more.
    pub(crate) fn readings(&self) -> watch::Receiver<Option<DataState>> {
        self.readings.subscribe()
    }

    /// Reads the feed once.
    pub(crate) async fn follow(&self) -> Result<(), StoreError> {
        let started = self.milliseconds();
        let mut seen = self.seen.load(Ordering::Acquire);
        if seen < 0 {
            seen = fhir_store::latest_change(&self.database).await?;
        }
        loop {
            let changes = fhir_store::changes_after(&self.database, seen, BATCH).await?;
            if let Some(last) = changes.last() {
                seen = last.change_seq;
                let mut generation = self.generation.write().unwrap_or_else(PoisonError::into_inner);
                *generation += 1;
                for change in &changes {
                    self.kept.invalidate(&change.product_id);
                }
            }
            if i64::try_from(changes.len()).unwrap_or(BATCH) < BATCH {
                break;
            }
        }
        // Several may read at once, after a merge; the one that is done last need not have seen most.
        self.seen.fetch_max(seen, Ordering::AcqRel);
        let trusted = u64::try_from(TRUSTED.as_millis()).unwrap_or_default();
        self.trusted_until.fetch_max(started + trusted, Ordering::AcqRel);
        let change = self.seen.load(Ordering::Acquire);
        self.readings.send_replace(Some(DataState { instance: self.instance, change }));
        Ok(())
    }

    fn milliseconds(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Keeps the backend's memory true to the database. Without it running, every request asks the database.
#[derive(Clone, Debug)]
pub struct ChangeFeed {
    heads: Arc<Heads>,
}

impl ChangeFeed {
    pub(crate) fn new(heads: Arc<Heads>) -> Self {
        Self { heads }
    }

    /// Follows the changes until `stop` comes, and says whether the database answers. One that fails is logged once, when it
    /// starts to fail.
    pub async fn run(self, health: PartHealth, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut answers = None;
        loop {
            let read = self.heads.follow().await;
            if answers.replace(read.is_ok()) != Some(read.is_ok()) {
                match read {
                    Ok(()) => health.ready(),
                    Err(error) => {
                        tracing::warn!(%error, "the feed of product changes cannot be read; asking the database each time");
                        health.not_ready("the product store does not answer");
                    }
                }
            }
            tokio::select! {
                () = &mut stop => break,
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
        self.heads.readings.send_replace(None);
    }

    /// Reads the feed once: for tests, which do not wait.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn follow_once(&self) -> Result<(), StoreError> {
        self.heads.follow().await
    }
}
