//! The part of an import that needs no database, on threads of its own: parsing, checking, sorting into products.

use std::{collections::VecDeque, num::NonZero, sync::Arc, thread::available_parallelism};

use fhir_model::links;
use serde_json::Value;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};

use super::{
    files::{Document, Span},
    incoming::{self, Incoming, Sorted},
    report::{Note, Refused},
};

/// A product on its way in: its MedicinalProductDefinition first, then what came with it.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) file: Arc<str>,
    pub(super) product_id: String,
    pub(super) members: Vec<Incoming>,
}

/// What was made of some documents.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    pub(super) file: Arc<str>,
    /// Bytes of the documents that are done with.
    pub(super) bytes: u64,
    pub(super) refused: Vec<Refused>,
    pub(super) notes: Vec<Note>,
    pub(super) drafts: Vec<Draft>,
    /// Linked to no product that came with them.
    pub(super) homeless: Vec<Incoming>,
    /// Resources that stand alone in their line or file, to be put together when all are known.
    pub(super) alone: Vec<(Span, Vec<Incoming>)>,
}

impl Prepared {
    fn new(file: &Arc<str>) -> Self {
        Self { file: Arc::clone(file), ..Self::default() }
    }

    /// Takes over a document that stands for itself: a Bundle.
    fn whole(&mut self, sorted: Sorted) {
        self.refused.extend(sorted.refused);
        self.notes.extend(sorted.notes);
        self.products(sorted.accepted);
    }

    /// Sorts resources into products.
    fn products(&mut self, resources: Vec<Incoming>) {
        let (mut bodies, mut rest) = (Vec::new(), Vec::new());
        for mut one in resources {
            bodies.push(std::mem::take(&mut one.body));
            rest.push(one);
        }
        let grouped = links::group(&bodies);
        for (one, body) in rest.iter_mut().zip(bodies) {
            one.body = body;
        }
        // How many products want each: the last takes it, the others a copy.
        let mut wanted = vec![0_usize; rest.len()];
        for index in
            grouped.products.iter().flat_map(|group| std::iter::once(&group.root).chain(&group.parts))
        {
            if let Some(wanted) = wanted.get_mut(*index) {
                *wanted += 1;
            }
        }
        let mut rest: Vec<Option<Incoming>> = rest.into_iter().map(Some).collect();
        for group in &grouped.products {
            let mut members = Vec::with_capacity(group.parts.len() + 1);
            for index in std::iter::once(&group.root).chain(&group.parts) {
                let (Some(wanted), Some(slot)) = (wanted.get_mut(*index), rest.get_mut(*index)) else {
                    continue;
                };
                *wanted -= 1;
                members.extend(if *wanted == 0 { slot.take() } else { slot.clone() });
            }
            if let Some(root) = members.first() {
                let product_id = root.key.id.clone();
                self.drafts.push(Draft { file: Arc::clone(&self.file), product_id, members });
            }
        }
        self.homeless.extend(grouped.loose.iter().filter_map(|index| rest.get_mut(*index)?.take()));
    }
}

/// Documents of a file.
pub(super) fn documents(file: &Arc<str>, documents: Vec<Document>) -> Prepared {
    let mut prepared = Prepared::new(file);
    for document in documents {
        let place = document.span.place();
        match document.parse() {
            Err(reason) => {
                prepared.bytes += document.span.bytes;
                prepared.refused.push(Refused { file: file.to_string(), resource: place, reason });
            }
            Ok(body) if incoming::is_bundle(&body) => {
                prepared.bytes += document.span.bytes;
                prepared.whole(incoming::sort(file, &place, body));
            }
            Ok(body) => {
                let sorted = incoming::sort(file, &place, body);
                prepared.refused.extend(sorted.refused);
                prepared.notes.extend(sorted.notes);
                prepared.alone.push((document.span, sorted.accepted));
            }
        }
    }
    prepared
}

/// Documents that are made when they are asked for.
pub(super) fn made<F: FnOnce() -> Value>(file: &Arc<str>, makers: Vec<F>) -> Prepared {
    let mut prepared = Prepared::new(file);
    for make in makers {
        prepared.bytes += 1;
        prepared.whole(incoming::sort(file, "", make()));
    }
    prepared
}

/// Resources that belong together, read a second time: what there was to say about them was said at the first.
pub(super) fn again(
    file: &Arc<str>,
    read: Vec<(Span, String, Result<Value, String>)>,
    is_product: bool,
) -> Prepared {
    let mut prepared = Prepared::new(file);
    let mut resources = Vec::new();
    for (span, resource, body) in read {
        prepared.bytes += span.bytes;
        match body {
            Ok(body) => resources.extend(incoming::sort(file, &span.place(), body).accepted),
            Err(reason) => prepared.refused.push(Refused { file: file.to_string(), resource, reason }),
        }
    }
    if is_product {
        prepared.products(resources);
    } else {
        prepared.homeless = resources;
    }
    prepared
}

/// Preparations under way, in order, as many as keep the processors busy and no more.
#[derive(Debug, Default)]
pub(super) struct Pipeline {
    under_way: VecDeque<JoinHandle<Prepared>>,
}

impl Pipeline {
    /// Starts one more; answers the oldest when there are enough.
    pub(super) async fn push(&mut self, job: impl FnOnce() -> Prepared + Send + 'static) -> Option<Prepared> {
        self.under_way.push_back(spawn_blocking(job));
        if self.under_way.len() > 2 * available_parallelism().map_or(1, NonZero::get) {
            self.next().await
        } else {
            None
        }
    }

    /// The oldest, waited for; nothing when none is under way.
    pub(super) async fn next(&mut self) -> Option<Prepared> {
        finished(self.under_way.pop_front()?.await)
    }
}

/// What a thread made. Nothing only when the runtime ends, and with it whoever waits.
pub(super) fn finished<T>(made: Result<T, JoinError>) -> Option<T> {
    match made.map_err(JoinError::try_into_panic) {
        Ok(made) => Some(made),
        // A defect of ours goes on being one.
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(_)) => None,
    }
}
