//! The thread that chains and writes: it takes what waits in one go, and tries again until the disk takes it.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use time::OffsetDateTime;
use tokio::sync::{mpsc, oneshot};

use super::{
    Message,
    record::{Entry, ReadRecord},
    trail::{Trail, TrailError, at},
};

/// Records written in one go.
const BATCH: usize = 512;
/// How often the end of the chain is noted, and what was written brought to the disk, while records come.
const NOTE_EVERY: Duration = Duration::from_millis(200);
/// How long records gather before more are taken. To wake this thread costs a request more than all else about its
/// record, and a note costs as much as a hundred records: a gateway that is busy pays neither for each.
const GATHER: Duration = Duration::from_millis(10);
/// A shorter queue could fill up meanwhile, and is looked at all the time.
const LONG_QUEUE: usize = 8 * BATCH;
/// The wait after the disk refused.
const PAUSE: Duration = Duration::from_secs(1);

/// Starts the thread. It ends when the queue's other side is gone and everything is written.
pub(super) fn spawn(
    trail: Trail,
    waiting: mpsc::Receiver<Message>,
    lost: Arc<AtomicU64>,
) -> Result<(), TrailError> {
    let writer = Writer {
        trail,
        lost,
        noted: Instant::now(),
        written: metrics::counter!("pmsgate_gateway_audit_records_total"),
        failures: metrics::counter!("pmsgate_gateway_audit_failures_total"),
    };
    let named = thread::Builder::new().name("audit".to_owned());
    let started: io::Result<_> = named.spawn(move || writer.run(waiting));
    started.map(drop).map_err(at(std::path::Path::new("its thread")))
}

struct Writer {
    trail: Trail,
    lost: Arc<AtomicU64>,
    noted: Instant,
    written: metrics::Counter,
    failures: metrics::Counter,
}

impl Writer {
    fn run(mut self, mut waiting: mpsc::Receiver<Message>) {
        let mut messages = Vec::with_capacity(BATCH);
        let gathers = waiting.max_capacity() >= LONG_QUEUE;
        while waiting.blocking_recv_many(&mut messages, BATCH) > 0 {
            // Until nothing came for a while.
            while !messages.is_empty() {
                let pause = gathers && messages.len() < BATCH;
                self.take(&mut messages);
                if self.noted.elapsed() >= NOTE_EVERY {
                    self.note();
                }
                if pause {
                    thread::sleep(GATHER);
                }
                messages.extend(std::iter::from_fn(|| waiting.try_recv().ok()).take(BATCH));
            }
            self.note();
        }
    }

    /// Writes what was told; answers those who wait for it when it is on the disk.
    fn take(&mut self, messages: &mut Vec<Message>) {
        let (mut entries, mut flushed) = (Vec::with_capacity(messages.len() + 1), Vec::new());
        for message in messages.drain(..) {
            match message {
                Message::Call(call) => {
                    entries.extend(ReadRecord::of(&call).map(|read| (call.at, Entry::Read(Box::new(read)))));
                }
                Message::Flush(told) => flushed.push(told),
            }
        }
        self.write(entries);
        if !flushed.is_empty() {
            self.note();
            flushed.into_iter().map(|told: oneshot::Sender<()>| told.send(())).for_each(drop);
        }
    }

    fn note(&mut self) {
        self.persist("noted", Trail::note);
        self.noted = Instant::now();
    }

    /// Writes records, and before them how many were lost since the last ones.
    fn write(&mut self, mut entries: Vec<(OffsetDateTime, Entry)>) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if let Some(at) = entries.first().map(|(at, _)| *at).filter(|_| lost > 0) {
            tracing::error!(lost, "calls left no audit record: the queue was full");
            entries.insert(0, (at, Entry::Lost(lost)));
        } else {
            self.lost.fetch_add(lost, Ordering::Relaxed);
        }
        if entries.is_empty() {
            return;
        }
        self.persist("appended", |trail| trail.append(&entries));
        self.written.increment(entries.len() as u64);
    }

    /// Tries until it is done: what waits meanwhile fills the queue, and the gateway does as configured then.
    fn persist(&mut self, what: &'static str, mut act: impl FnMut(&mut Trail) -> Result<(), TrailError>) {
        let mut tries = 0_u32;
        while let Err(error) = act(&mut self.trail) {
            self.failures.increment(1);
            if tries.is_multiple_of(60) {
                tracing::error!(%error, what, "the audit trail cannot be written; trying again every second");
            }
            tries += 1;
            thread::sleep(PAUSE);
        }
    }
}
