//! Import of products from files: Bundles, single resources, NDJSON; with a report and a reason for each refusal.
//!
//! A product goes into one transaction with its versions, members, owners and search values; several products may
//! share one. So whatever happens, each resource is there with everything that belongs to it, or not there. Doing an
//! import again goes on where it was broken off: what is stored already is compared and counted as unchanged.

mod files;
mod homeless;
mod incoming;
mod loose;
mod product;
mod report;

use std::{
    collections::{BTreeSet, HashMap, HashSet, hash_map::DefaultHasher},
    hash::Hasher as _,
    path::PathBuf,
};

use database::{Database, UnitOfWork};
use fhir_model::{ResourceKey, access::AccessMatrix, links};
use serde_json::Value;
use time::OffsetDateTime;

pub use self::report::{Note, Progress, Refused, Report};
use self::{
    files::{Documents, Rereader, Source},
    incoming::{Incoming, Sorted},
    loose::{Entry, Loose},
};
use crate::{StoreError, index};

/// How many resources one transaction takes, roughly: a product is never split.
const RESOURCES_PER_TRANSACTION: usize = 256;

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
    let bytes_total = sources.iter().map(|source| source.bytes).sum();
    let mut bytes_done = 0;
    let mut loose = Loose::default();
    for (n, source) in sources.iter().enumerate() {
        let mut seen = HashMap::new();
        let mut documents = match Documents::open(source).await {
            Ok(documents) => documents,
            Err(reason) => {
                import.refuse(&source.name, "", reason);
                continue;
            }
        };
        loop {
            let document = match documents.next().await {
                Ok(Some(document)) => document,
                Ok(None) => break,
                Err(reason) => {
                    import.refuse(&source.name, "", reason);
                    break;
                }
            };
            let place = document.span.place();
            match document.parsed {
                Err(reason) => import.refuse(&source.name, &place, reason),
                Ok(document_body) => {
                    let bundle = incoming::is_bundle(&document_body);
                    let sorted = incoming::sort(&source.name, &place, document_body);
                    if bundle {
                        bytes_done += document.span.bytes;
                        import.whole(&source.name, sorted).await?;
                        progress(import.progress(&source.name, bytes_done, bytes_total));
                    } else {
                        import.note_loose(&mut loose, (n, source), document.span, sorted, &mut seen);
                    }
                }
            }
        }
    }
    for set in loose.into_sets() {
        let Some(first) = set.first() else { continue };
        let name = sources.get(first.source).map_or("", |source| &source.name);
        bytes_done += set.iter().map(|entry| entry.span.bytes).sum::<u64>();
        import.set(&sources, &set).await?;
        progress(import.progress(name, bytes_done, bytes_total));
    }
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
    index::ensure_current(database, matrix).await?;
    let mut import = Import::new(database, matrix, now);
    for document in documents {
        import.whole(name, incoming::sort(name, "", document)).await?;
    }
    import.finish().await
}

/// An import under way.
struct Import<'a> {
    database: &'a Database,
    matrix: &'a AccessMatrix,
    now: &'a (dyn Fn() -> OffsetDateTime + Send + Sync),
    report: Report,
    work: Option<UnitOfWork>,
    in_work: usize,
    /// Fingerprints of the keys already counted, so that what stands in many Bundles counts once.
    counted: HashSet<u64>,
    /// Without a product so far: tried once more against everything that the import stored.
    orphans: Vec<Orphans>,
}

/// Resources of one file that are linked to each other and to no product of the file.
struct Orphans {
    file: String,
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
            matrix,
            now,
            report: Report::default(),
            work: None,
            in_work: 0,
            counted: HashSet::new(),
            orphans: Vec::new(),
        }
    }

    fn refuse(&mut self, file: &str, resource: &str, reason: impl Into<String>) {
        let refused = Refused { file: file.to_owned(), resource: resource.to_owned(), reason: reason.into() };
        self.report.refused.push(refused);
    }

    fn progress<'p>(&self, file: &'p str, bytes_done: u64, bytes_total: u64) -> Progress<'p> {
        Progress {
            file,
            bytes_done,
            bytes_total,
            resources: self.report.imported + self.report.updated + self.report.unchanged,
            refused: self.report.refused.len() as u64,
        }
    }

    /// Takes over what sorting found out.
    fn take(&mut self, sorted: Sorted) -> Vec<Incoming> {
        self.report.refused.extend(sorted.refused);
        self.report.notes.extend(sorted.notes);
        sorted.accepted
    }

    /// Notes a resource that stands alone; the same key twice in one file is refused unless it is the same resource.
    /// `seen` holds the fingerprints of the file's resources so far.
    fn note_loose(
        &mut self,
        loose: &mut Loose,
        (at, source): (usize, &Source),
        span: files::Span,
        sorted: Sorted,
        seen: &mut HashMap<ResourceKey, u64>,
    ) {
        for resource in self.take(sorted) {
            let print = fingerprint(&resource.body.to_string());
            match seen.insert(resource.key.clone(), print) {
                None => loose.note(at, span, &resource),
                Some(before) if before == print => {}
                Some(before) => {
                    seen.insert(resource.key.clone(), before);
                    let reason = format!(
                        "comes again at line {} with different content: the first is kept, remove one of them",
                        span.line
                    );
                    self.refuse(&source.name, &resource.key.to_string(), reason);
                }
            }
        }
    }

    /// Stores the products of one document.
    async fn whole(&mut self, file: &str, sorted: Sorted) -> Result<(), StoreError> {
        let accepted = self.take(sorted);
        self.group(file, accepted).await
    }

    /// Reads a set of entries again and stores it.
    async fn set(&mut self, sources: &[Source], set: &[Entry]) -> Result<(), StoreError> {
        let mut resources = Vec::with_capacity(set.len());
        let file = set.first().and_then(|first| sources.get(first.source)).map_or("", |source| &source.name);
        for run in set.chunk_by(|a, b| a.source == b.source) {
            let Some(source) = run.first().and_then(|entry| sources.get(entry.source)) else { continue };
            let bodies = match Rereader::open(source).await {
                Ok(reader) => reader.read(run.iter().map(|entry| entry.span).collect()).await,
                Err(reason) => vec![Err(reason); run.len()],
            };
            for (entry, body) in run.iter().zip(bodies) {
                match body {
                    // Its refusals and notes are in the report since the first reading.
                    Ok(body) => {
                        resources.extend(incoming::sort(&source.name, &entry.span.place(), body).accepted);
                    }
                    Err(reason) => self.refuse(&source.name, &entry.key.to_string(), reason),
                }
            }
        }
        if loose::has_root(set) {
            self.group(file, resources).await
        } else {
            self.orphans.push(Orphans { file: file.to_owned(), resources });
            Ok(())
        }
    }

    /// Sorts resources into products and stores these; what belongs to none waits for the end.
    async fn group(&mut self, file: &str, resources: Vec<Incoming>) -> Result<(), StoreError> {
        let bodies: Vec<Value> = resources.iter().map(|one| one.body.clone()).collect();
        let grouped = links::group(&bodies);
        for group in &grouped.products {
            let members: Vec<Incoming> = std::iter::once(&group.root)
                .chain(&group.parts)
                .filter_map(|index| resources.get(*index).cloned())
                .collect();
            let Some(product_id) = members.first().map(|root| root.key.id.clone()) else { continue };
            let left = self.store(&product_id, members).await?;
            self.adopt(file, left);
        }
        let loose = grouped.loose.iter().filter_map(|index| resources.get(*index).cloned()).collect();
        self.adopt(file, loose);
        Ok(())
    }

    fn adopt(&mut self, file: &str, resources: Vec<Incoming>) {
        if !resources.is_empty() {
            self.orphans.push(Orphans { file: file.to_owned(), resources });
        }
    }

    /// Stores one product in the transaction at hand; answers what turned out not to belong to it.
    async fn store(
        &mut self,
        product_id: &str,
        incoming: Vec<Incoming>,
    ) -> Result<Vec<Incoming>, StoreError> {
        if self.in_work >= RESOURCES_PER_TRANSACTION {
            self.commit().await?;
        }
        self.in_work += incoming.len();
        let mut work = if let Some(work) = self.work.take() {
            work
        } else {
            let mut work = self.database.begin().await?;
            index::lock(&mut work.db()).await?;
            work
        };
        let stored = product::store(&mut work.db(), self.matrix, product_id, incoming, (self.now)()).await?;
        self.work = Some(work);
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
        Ok(stored.unattached)
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        self.in_work = 0;
        if let Some(work) = self.work.take() {
            work.commit().await?;
        }
        Ok(())
    }

    /// Tries the orphans against the store, then ends.
    async fn finish(mut self) -> Result<Report, StoreError> {
        let mut waiting = std::mem::take(&mut self.orphans);
        loop {
            let before: usize = waiting.iter().map(|orphans| orphans.resources.len()).sum();
            let mut left = Vec::new();
            for orphans in waiting {
                let Orphans { file, resources } = orphans;
                let resources = self.settle(resources).await?;
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
        self.commit().await?;
        Ok(self.report)
    }

    /// Stores orphans with the products that are waiting for them; answers those that still have none.
    async fn settle(&mut self, resources: Vec<Incoming>) -> Result<Vec<Incoming>, StoreError> {
        let mut anchors: BTreeSet<ResourceKey> = resources.iter().map(|one| one.key.clone()).collect();
        anchors.extend(resources.iter().flat_map(|one| links::parents(&one.body)));
        let anchors: Vec<ResourceKey> = anchors.into_iter().collect();
        self.commit().await?;
        let products = {
            let mut reader = self.database.read().await?;
            index::products_with(&mut reader.db(), &anchors).await?
        };
        let mut left = resources;
        for product_id in products {
            if left.is_empty() {
                break;
            }
            left = self.store(&product_id, left).await?;
        }
        Ok(left)
    }
}

fn fingerprint(what: &impl std::hash::Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}
