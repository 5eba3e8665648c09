//! Merges (`$merge`): deciding and storing one, and the durable queue of those that are answered later.
//!
//! A merge is one unit of work: its versions, the rows derived from them and the record of its outcome are there
//! together or not at all, so a crash neither loses nor doubles one. Whoever applies a merge holds the lock that all
//! writers of products take (`index::lock`); many instances on one database therefore work off one queue without a
//! lease that could run out. To queue a merge is a commit of its own, and its place in the queue is given out in the
//! order of commits: what a client sends one after another is applied one after another, for each product and in all.
//!
//! A merge that could be answered at once is queued, too, while another one of its product waits: nothing overtakes.

mod apply;
mod outcome;
mod queue;
mod reach;
mod rows;
#[cfg(feature = "testing")]
pub mod testing;

use fhir_model::access::Viewer;
use serde_json::Value;
use time::Duration;

pub use self::{
    apply::{check, submit},
    outcome::{AppliedResource, Outcome},
    queue::{QueueStatus, WorkedOff, enqueue, find, purge, queue_status, work_off_next},
};

/// A merge as it is handed in.
#[derive(Clone, Copy, Debug)]
pub struct Submission<'a> {
    /// Under which its outcome can be asked for: hard to guess, never used before.
    pub merge_id: &'a str,
    /// Who hands it in: keys and outcomes are its own.
    pub client_id: &'a str,
    /// On whose behalf.
    pub viewer: &'a Viewer,
    /// The transaction Bundle, in FHIR 5.0.0.
    pub bundle: &'a Value,
    /// What tells this request from others that use its key.
    pub request_digest: &'a str,
    /// Its idempotency key.
    pub idempotency_key: Option<&'a str>,
}

/// How much is kept, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Merges of one client that may wait.
    pub waiting_per_client: i64,
    /// Merges that may wait in all.
    pub waiting: i64,
    /// How long an idempotency key is remembered.
    pub key_lifetime: Duration,
    /// How long the outcome of a queued merge can be asked for after it is done.
    pub outcome_lifetime: Duration,
}

/// What became of a merge that was handed in.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Decided, now or when it was sent before with the same key.
    Done(Outcome),
    /// It waits, or waited, under this id.
    Queued {
        /// The id of its outcome.
        merge_id: String,
        /// It waits no more: the outcome is there.
        is_done: bool,
    },
    /// The key was used for another request.
    KeyReused,
    /// As many merges of this client wait as may.
    ClientQueueFull,
    /// As many merges wait as may.
    QueueFull,
}

/// A merge whose outcome was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The product that it is about.
    pub product_id: String,
    /// What became of it; nothing yet while it waits.
    pub outcome: Option<Outcome>,
}
