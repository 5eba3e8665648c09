//! Import of products from files: Bundles, single resources, NDJSON; with a report and a reason for each refusal.
//!
//! A product goes into one transaction with its versions, members, owners and search values; several products may
//! share one. So whatever happens, each resource is there with everything that belongs to it, or not there. Doing an
//! import again goes on where it was broken off: what is stored already is compared and counted as unchanged.

mod batch;
mod files;
mod history;
mod homeless;
mod incoming;
mod known;
mod loose;
mod prepare;
mod product;
mod report;

use std::{
    collections::{BTreeSet, HashMap, HashSet, hash_map::DefaultHasher},
    hash::Hasher as _,
    path::PathBuf,
    sync::Arc,
};

use database::Database;
use fhir_model::{ResourceKey, access::AccessMatrix, links};
use serde_json::Value;
use time::OffsetDateTime;

pub use self::report::{Note, Progress, Refused, Report};
use self::{
    files::{Documents, Rereader, Source, Span},
    incoming::Incoming,
    loose::{Entry, Loose},
    prepare::{Draft, Pipeline, Prepared},
    product::Stored,
};
use crate::{StoreError, index};

/// How many resources one transaction takes, roughly: a product is never split. It keeps other writers waiting for
/// about half a second.
const RESOURCES_PER_TRANSACTION: usize = 2048;

/// How much of a file is prepared at once.
const BYTES_PER_JOB: u64 = 512 << 10;

/// How many documents are made at once, and how many sets of resources put together.
const PRODUCTS_PER_JOB: usize = 32;

/// Imports files. Unreadable, unusable and unattached resources are refused one by one in the report; only a failing
/// database ends the import, with everything up to there stored. `now` gives the time of each product's versions;
/// `progress` is called after each piece of work.
pub async fn files(
    database: &Database,
    matrix: &AccessMatrix,
    paths: &[PathBuf],
    now: &(dyn Fn() -> OffsetDateTime + Send + Sync),
    progress: &mut (dyn FnMut(Progress<'_>) + Send),
) -> Result<Report, StoreError> {
    index::ensure_current(database, matrix).await?;
    let mut import = Import::new(database, matrix, now);
    let mut sources = Vec::new();
    for path in paths {
        match files::source(path).await {
            Ok(source) => sources.push(source),
            Err(reason) => import.refuse(&path.display().to_string(), "", reason),
        }
    }
    import.bytes_total = sources.iter().map(|source| source.bytes).sum();
    let mut loose = Loose::default();
    for (at, source) in sources.iter().enumerate() {
        let file: Arc<str> = source.name.as_str().into();
        let mut seen = HashMap::new();
        let mut documents = match Documents::open(source).await {
            Ok(documents) => documents,
            Err(reason) => {
                import.refuse(&source.name, "", reason);
                continue;
            }
        };
        let mut pipeline = Pipeline::default();
        let mut ended = false;
        while !ended {
            let mut next = Vec::new();
            let mut bytes = 0;
            while !ended && bytes < BYTES_PER_JOB {
                match documents.next().await {
                    Ok(Some(document)) => {
                        bytes += document.span.bytes;
                        next.push(document);
                    }
                    Ok(None) => ended = true,
                    Err(reason) => {
                        import.refuse(&source.name, "", reason);
                        ended = true;
                    }
                }
            }
            let name = Arc::clone(&file);
            if let Some(prepared) = pipeline.push(move || prepare::documents(&name, next)).await {
                import.read(&mut loose, at, prepared, &mut seen, progress).await?;
            }
        }
        while let Some(prepared) = pipeline.next().await {
            import.read(&mut loose, at, prepared, &mut seen, progress).await?;
        }
    }
    import.put_together(&sources, loose, progress).await?;
    let bytes_total = import.bytes_total;
    let report = import.finish().await?;
    progress(Progress {
        file: "",
        bytes_done: bytes_total,
        bytes_total,
        resources: report.imported + report.updated + report.unchanged,
        refused: report.refused.len() as u64,
    });
    Ok(report)
}

/// Imports Bundles or resources that are in memory, as if each were a file called `name`.
pub async fn documents(
    database: &Database,
    matrix: &AccessMatrix,
    name: &str,
    documents: impl IntoIterator<Item = Value>,
    now: &(dyn Fn() -> OffsetDateTime + Send + Sync),
) -> Result<Report, StoreError> {
    let makers = documents.into_iter().map(|document| move || document);
    made(database, matrix, name, makers, now, &mut |_| ()).await
}

/// Imports Bundles or resources that are made when their turn comes, as if each were a file called `name`: few of them
/// are in memory at a time. `progress` is told how many were worked through.
pub async fn made<F: FnOnce() -> Value + Send + 'static>(
    database: &Database,
    matrix: &AccessMatrix,
    name: &str,
    makers: impl IntoIterator<Item = F>,
    now: &(dyn Fn() -> OffsetDateTime + Send + Sync),
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<Report, StoreError> {
    index::ensure_current(database, matrix).await?;
    let mut import = Import::new(database, matrix, now);
    let file: Arc<str> = name.into();
    let mut progress = |at: Progress<'_>| progress(at.bytes_done);
    let mut pipeline = Pipeline::default();
    let mut makers = makers.into_iter();
    loop {
        let next: Vec<F> = makers.by_ref().take(PRODUCTS_PER_JOB).collect();
        if next.is_empty() {
            break;
        }
        let name = Arc::clone(&file);
        if let Some(prepared) = pipeline.push(move || prepare::made(&name, next)).await {
            import.take(prepared, &mut progress).await?;
        }
    }
    while let Some(prepared) = pipeline.next().await {
        import.take(prepared, &mut progress).await?;
    }
    import.finish().await
}

/// An import under way.
struct Import<'a> {
    database: &'a Database,
    matrix: Arc<AccessMatrix>,
    now: &'a (dyn Fn() -> OffsetDateTime + Send + Sync),
    report: Report,
    bytes_done: u64,
    bytes_total: u64,
    /// To be stored next, and how many resources that are.
    waiting: Vec<Draft>,
    waiting_resources: usize,
    /// Fingerprints of the keys already counted, so that what stands in many Bundles counts once.
    counted: HashSet<u64>,
    /// Without a product so far: tried once more against everything that the import stored.
    orphans: Vec<Orphans>,
}

/// Resources of one file that are linked to each other and to no product of the file.
struct Orphans {
    file: Arc<str>,
    resources: Vec<Incoming>,
}

impl<'a> Import<'a> {
    fn new(
        database: &'a Database,
        matrix: &'a AccessMatrix,
        now: &'a (dyn Fn() -> OffsetDateTime + Send + Sync),
    ) -> Self {
        Self {
            database,
            matrix: Arc::new(matrix.clone()),
            now,
            report: Report::default(),
            bytes_done: 0,
            bytes_total: 0,
            waiting: Vec::new(),
            waiting_resources: 0,
            counted: HashSet::new(),
            orphans: Vec::new(),
        }
    }

    fn refuse(&mut self, file: &str, resource: &str, reason: impl Into<String>) {
        let refused = Refused { file: file.to_owned(), resource: resource.to_owned(), reason: reason.into() };
        self.report.refused.push(refused);
    }

    fn progress<'p>(&self, file: &'p str) -> Progress<'p> {
        Progress {
            file,
            bytes_done: self.bytes_done,
            bytes_total: self.bytes_total,
            resources: self.report.imported + self.report.updated + self.report.unchanged,
            refused: self.report.refused.len() as u64,
        }
    }

    /// Takes over documents read for the first time. The same key twice in one file is refused unless it is the same
    /// resource; `seen` holds the fingerprints of the file's resources so far.
    async fn read(
        &mut self,
        loose: &mut Loose,
        source: usize,
        mut prepared: Prepared,
        seen: &mut HashMap<ResourceKey, u64>,
        progress: &mut (dyn FnMut(Progress<'_>) + Send),
    ) -> Result<(), StoreError> {
        for (span, resources) in std::mem::take(&mut prepared.alone) {
            for resource in resources {
                let print = fingerprint(&resource.text);
                match seen.insert(resource.key.clone(), print) {
                    None => loose.note(source, span, &resource),
                    Some(before) if before == print => {}
                    Some(before) => {
                        seen.insert(resource.key.clone(), before);
                        let reason = format!(
                            "comes again at line {} with different content: the first is kept, remove one of them",
                            span.line
                        );
                        self.refuse(&prepared.file, &resource.key.to_string(), reason);
                    }
                }
            }
        }
        self.take(prepared, progress).await
    }

    /// Takes over what was prepared, product by product.
    async fn take(
        &mut self,
        prepared: Prepared,
        progress: &mut (dyn FnMut(Progress<'_>) + Send),
    ) -> Result<(), StoreError> {
        let Prepared { file, bytes, refused, notes, drafts, homeless, alone: _ } = prepared;
        self.report.refused.extend(refused);
        self.report.notes.extend(notes);
        self.adopt(&file, homeless);
        for draft in drafts {
            self.waiting_resources += draft.members.len();
            self.waiting.push(draft);
            if self.waiting_resources >= RESOURCES_PER_TRANSACTION {
                self.flush().await?;
            }
            progress(self.progress(&file));
        }
        self.bytes_done += bytes;
        progress(self.progress(&file));
        Ok(())
    }

    /// Reads what stands alone a second time, by product, and stores it.
    async fn put_together(
        &mut self,
        sources: &[Source],
        loose: Loose,
        progress: &mut (dyn FnMut(Progress<'_>) + Send),
    ) -> Result<(), StoreError> {
        let sets = loose.into_sets();
        if sets.is_empty() {
            return Ok(());
        }
        let readers: Arc<Vec<Result<Rereader, String>>> =
            Arc::new(sources.iter().map(Rereader::open).collect());
        let names: Vec<Arc<str>> = sources.iter().map(|source| source.name.as_str().into()).collect();
        let mut pipeline = Pipeline::default();
        for set in sets {
            let Some(file) = set.first().and_then(|first| names.get(first.source)).map(Arc::clone) else {
                continue;
            };
            let readers = Arc::clone(&readers);
            let job = move || prepare::again(&file, read_again(&readers, &set), loose::has_root(&set));
            if let Some(prepared) = pipeline.push(job).await {
                self.take(prepared, progress).await?;
            }
        }
        while let Some(prepared) = pipeline.next().await {
            self.take(prepared, progress).await?;
        }
        Ok(())
    }

    fn adopt(&mut self, file: &Arc<str>, resources: Vec<Incoming>) {
        if !resources.is_empty() {
            self.orphans.push(Orphans { file: Arc::clone(file), resources });
        }
    }

    /// Stores the products that wait, in one transaction.
    async fn flush(&mut self) -> Result<(), StoreError> {
        self.waiting_resources = 0;
        let drafts = std::mem::take(&mut self.waiting);
        if drafts.is_empty() {
            return Ok(());
        }
        let mut work = self.database.begin().await?;
        index::lock(&mut work.db()).await?;
        let outcomes = batch::store(&mut work.db(), &self.matrix, drafts, (self.now)()).await?;
        work.commit().await?;
        for (file, stored) in outcomes {
            let left = self.count(&file, stored);
            self.adopt(&file, left);
        }
        Ok(())
    }

    /// Counts what was stored; answers what turned out not to belong to its product.
    fn count(&mut self, file: &str, stored: Stored) -> Vec<Incoming> {
        self.report.imported += stored.imported.len() as u64;
        self.report.updated += stored.updated.len() as u64;
        for key in stored.imported.iter().chain(&stored.updated) {
            self.counted.insert(fingerprint(key));
        }
        for key in &stored.unchanged {
            if self.counted.insert(fingerprint(key)) {
                self.report.unchanged += 1;
            }
        }
        for (key, reason) in stored.refused {
            self.refuse(file, &key.to_string(), reason);
        }
        stored.unattached
    }

    /// Stores what waits, tries the orphans against the store, then ends.
    async fn finish(mut self) -> Result<Report, StoreError> {
        self.flush().await?;
        let mut waiting = std::mem::take(&mut self.orphans);
        loop {
            let before: usize = waiting.iter().map(|orphans| orphans.resources.len()).sum();
            let mut left = Vec::new();
            for Orphans { file, resources } in waiting {
                let resources = self.settle(&file, resources).await?;
                if !resources.is_empty() {
                    left.push(Orphans { file, resources });
                }
            }
            let after: usize = left.iter().map(|orphans| orphans.resources.len()).sum();
            waiting = left;
            if after == 0 || after == before {
                break;
            }
        }
        for Orphans { file, resources } in waiting {
            for resource in resources {
                let reason = homeless::reason(&resource, &self.report.refused);
                self.refuse(&file, &resource.key.to_string(), reason);
            }
        }
        Ok(self.report)
    }

    /// Stores orphans with the products that are waiting for them; answers those that still have none.
    async fn settle(&mut self, file: &str, resources: Vec<Incoming>) -> Result<Vec<Incoming>, StoreError> {
        let mut anchors: BTreeSet<ResourceKey> = resources.iter().map(|one| one.key.clone()).collect();
        anchors.extend(resources.iter().flat_map(|one| links::parents(&one.body)));
        let anchors: Vec<ResourceKey> = anchors.into_iter().collect();
        let mut work = self.database.begin().await?;
        index::lock(&mut work.db()).await?;
        let mut left = resources;
        for product_id in index::products_with(&mut work.db(), &anchors).await? {
            if left.is_empty() {
                break;
            }
            let stored =
                product::store(&mut work.db(), &self.matrix, &product_id, left, (self.now)()).await?;
            left = self.count(file, stored);
        }
        work.commit().await?;
        Ok(left)
    }
}

/// The resources of a set, each from its file.
fn read_again(
    readers: &[Result<Rereader, String>],
    set: &[Entry],
) -> Vec<(Span, String, Result<Value, String>)> {
    set.iter()
        .map(|entry| {
            let body = match readers.get(entry.source) {
                Some(Ok(reader)) => reader.read(entry.span),
                Some(Err(reason)) => Err(reason.clone()),
                None => Err("cannot be read a second time".to_owned()),
            };
            (entry.span, entry.key.to_string(), body)
        })
        .collect()
}

fn fingerprint(what: &(impl std::hash::Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}
