//! Who read what, and how much was withheld: a record for each call of a known caller, chained by keyed hashes.
//!
//! A request leaves what its record is made of in a bounded queue; a thread of its own ([`writer`]) chains records and
//! appends them to files ([`trail`]). A place in the queue is taken before the backend is asked, so that where every call
//! must leave a record nothing is disclosed without one. [`walk`] finds what was changed, removed or moved afterwards;
//! [`audit_event()`] writes a record as FHIR.

mod audit_event;
mod record;
mod trail;
mod walk;
mod writer;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use audit_chain::ChainKey;
use caller_context::Disclosure;
use http::StatusCode;
use http_service::RequestId;
use time::OffsetDateTime;
use tokio::sync::{mpsc, oneshot};

pub use self::{
    audit_event::audit_event,
    record::{Entry, Line, ReadRecord},
    trail::TrailError,
    walk::{Verdict, folders, lines, verify},
};
use crate::{
    caller::Caller,
    fhir_request::FhirRequest,
    plan::Plan,
    routes::{Operation, Product},
    settings::AuditSettings,
};

/// A call of a known caller, as far as the request knows it. Shares what can be shared: it is made on the hot path.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) at: OffsetDateTime,
    pub(crate) caller: Arc<Caller>,
    /// The plan that the places of product and operation are in.
    pub(crate) plan: Arc<Plan>,
    pub(crate) product: usize,
    pub(crate) operation: usize,
    pub(crate) request_id: Option<RequestId>,
    pub(crate) origin: Option<IpAddr>,
    pub(crate) subject: Subject,
    pub(crate) status: StatusCode,
    pub(crate) refusal: Option<&'static str>,
    pub(crate) disclosed: Option<Disclosure>,
}

/// What a call is about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Subject {
    /// The id in the path.
    pub(crate) id: Option<String>,
    /// The version in the path.
    pub(crate) version: Option<String>,
    /// The names of the parameters; values may be about people.
    pub(crate) parameters: Vec<String>,
}

impl Subject {
    pub(crate) fn of(request: &FhirRequest<'_, '_>) -> Self {
        Self {
            id: request.id().map(str::to_owned),
            version: request.version_id().map(str::to_owned),
            parameters: request.parameters.iter().map(|one| one.name.chars().take(64).collect()).collect(),
        }
    }
}

impl Call {
    fn operation(&self) -> Option<(&Product, &Operation)> {
        let product = self.plan.routes.products().iter().find(|product| product.index == self.product)?;
        let operation = product.operations.iter().find(|operation| operation.index == self.operation)?;
        Some((product, operation))
    }
}

/// What waits for the writer.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is the rule, and a box would be an allocation a request"
)]
enum Message {
    Call(Call),
    /// Everything before it is to be on the disk when this is answered.
    Flush(oneshot::Sender<()>),
}

/// The trail of a running gateway.
#[derive(Debug)]
pub struct Audit {
    queue: mpsc::Sender<Message>,
    refuses: bool,
    /// Calls that found no place and are not told of yet.
    lost: Arc<AtomicU64>,
    lost_total: metrics::Counter,
}

/// A place in the queue, taken before anything is disclosed.
#[derive(Debug)]
pub(crate) struct Place<'a>(mpsc::Permit<'a, Message>);

/// There is no place left, and calls without a record are refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoPlace;

impl Place<'_> {
    pub(crate) fn fill(self, call: Call) {
        self.0.send(Message::Call(call));
    }
}

impl Audit {
    /// Opens the trail, goes on where it ended, and starts its thread.
    ///
    /// # Errors
    /// A folder that cannot be written to.
    pub(crate) fn start(settings: &AuditSettings) -> Result<Self, TrailError> {
        let key = ChainKey::new(&settings.key);
        let trail = trail::Trail::open(&settings.folder, key, settings.file_size)?;
        let (queue, waiting) = mpsc::channel(settings.queue.max(1));
        let lost = Arc::new(AtomicU64::new(0));
        writer::spawn(trail, waiting, Arc::clone(&lost))?;
        Ok(Self {
            queue,
            refuses: settings.refuses_when_full,
            lost,
            lost_total: metrics::counter!("pmsgate_gateway_audit_lost_total"),
        })
    }

    /// A place for one record; none where the queue is full and calls go on without.
    pub(crate) fn place(&self) -> Result<Option<Place<'_>>, NoPlace> {
        match self.queue.try_reserve() {
            Ok(permit) => Ok(Some(Place(permit))),
            Err(_) if self.refuses => Err(NoPlace),
            Err(_) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                self.lost_total.increment(1);
                Ok(None)
            }
        }
    }

    /// How many records wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Waits until everything before is on the disk.
    pub(crate) async fn flush(&self) {
        let (told, done) = oneshot::channel();
        if self.queue.send(Message::Flush(told)).await.is_ok() {
            // Err: the writer is gone, and with it what could be waited for.
            let _ = done.await;
        }
    }
}
