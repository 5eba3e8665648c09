//! What merges share in one process: which keys are at work, the worker of the queue, and what is told of them.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use config::Merge;
use fhir_store::{
    StoreError,
    merges::{self, Outcome, WorkedOff},
};
use tokio::sync::Notify;

use crate::state::State;

/// How long after a failure the queue is left alone.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

/// Shared by the requests that merge and the worker.
#[derive(Debug)]
pub(crate) struct Merging {
    pub(crate) settings: Merge,
    /// Wakes the worker.
    pub(crate) nudge: Notify,
    at_work: Mutex<HashSet<(String, String)>>,
}

/// A client's key at work, until this is dropped.
#[derive(Debug)]
pub(crate) struct AtWork<'m> {
    merging: &'m Merging,
    entry: (String, String),
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.merging.at_work.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.entry);
    }
}

impl Merging {
    pub(crate) fn new(settings: Merge) -> Self {
        Self { settings, nudge: Notify::new(), at_work: Mutex::default() }
    }

    /// Notes that a request with this key is at work; nothing when one is already. Between processes the database
    /// decides: the later one waits there, and is answered as the earlier was.
    pub(crate) fn begin(&self, client_id: &str, key: &str) -> Option<AtWork<'_>> {
        let entry = (client_id.to_owned(), key.to_owned());
        let is_new = self.at_work.lock().unwrap_or_else(PoisonError::into_inner).insert(entry.clone());
        is_new.then_some(AtWork { merging: self, entry })
    }

    /// How long outcomes are kept.
    pub(crate) fn outcome_lifetime(&self) -> time::Duration {
        self.settings.outcome_lifetime.0.try_into().unwrap_or(time::Duration::days(90))
    }

    /// Counts a decided merge and writes its line: who, which, and by which rule it was refused; never what was in it.
    #[expect(clippy::unused_self, reason = "what is told of merges is theirs to tell")]
    pub(crate) fn note(&self, merge_id: &str, client_id: &str, outcome: &Outcome) {
        let (word, rules) = match outcome {
            Outcome::Applied { .. } => ("applied", String::new()),
            Outcome::Refused { rules, .. } => ("refused", rules.join(" ")),
        };
        metrics::counter!("pmsgate_merges_total", "outcome" => word).increment(1);
        tracing::info!(merge_id, client_id, outcome = word, rules, "merge decided");
    }
}

/// Works off the queue of merges, and forgets outcomes whose time is over. Any number of instances may run one.
#[derive(Clone, Debug)]
pub struct MergeWorker {
    state: Arc<State>,
}

impl MergeWorker {
    pub(crate) fn new(state: Arc<State>) -> Self {
        Self { state }
    }

    /// Works until `stop` comes; the merge at hand is finished first. A failing database is logged once, when it starts
    /// to fail.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut failing = false;
        loop {
            let mut pause = self.state.merging.settings.poll.0;
            let worked = tokio::select! {
                biased;
                () = &mut stop => return,
                () = std::future::ready(()) => self.next().await,
            };
            match worked {
                Ok(true) => continue,
                Ok(false) => failing = false,
                Err(error) => {
                    pause = PAUSE;
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(%error, "the queue of merges cannot be worked off; trying again");
                    }
                }
            }
            tokio::select! {
                () = &mut stop => return,
                () = self.state.merging.nudge.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Works off everything that waits now: for tests, which do not wait. Answers how many merges that were.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn run_once(&self) -> Result<usize, StoreError> {
        let mut done = 0;
        while self.next().await? {
            done += 1;
        }
        Ok(done)
    }

    /// Does the next merge; `false` when none waits.
    async fn next(&self) -> Result<bool, StoreError> {
        let state = &self.state;
        let now = state.clock.now();
        self.measure().await?;
        let lifetime = state.merging.outcome_lifetime();
        let worked = merges::work_off_next(&state.database, state.views.matrix(), lifetime, now).await?;
        let Some(WorkedOff { merge_id, client_id, outcome, waited, fault }) = worked else {
            merges::purge(&state.database, now).await?;
            return Ok(false);
        };
        if let Some(error) = fault {
            tracing::error!(merge_id, error = %crate::outcome::chain(&error), "a merge met a fault and was given up");
        }
        metrics::histogram!("pmsgate_merge_wait_seconds").record(waited.as_seconds_f64().max(0.0));
        state.merging.note(&merge_id, &client_id, &outcome);
        state.heads.follow().await?;
        Ok(true)
    }

    async fn measure(&self) -> Result<(), StoreError> {
        let status = merges::queue_status(&self.state.database).await?;
        let age = status.oldest_accepted_at.map_or(time::Duration::ZERO, |at| self.state.clock.now() - at);
        metrics::gauge!("pmsgate_merge_queue_length").set(u32::try_from(status.length).unwrap_or(u32::MAX));
        metrics::gauge!("pmsgate_merge_queue_age_seconds").set(age.as_seconds_f64().max(0.0));
        Ok(())
    }
}
