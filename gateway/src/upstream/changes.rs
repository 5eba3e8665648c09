//! What is known of the changes of a cluster's data: whether an answer that an upstream once gave is still the one that
//! it would give.
//!
//! Every upstream of a cluster shows the same data. Each is listened to on its feed of changes, and whatever it says of
//! its state with an answer counts as well: who is told that a merge was done finds nothing older here from then on. An
//! upstream that is not heard for a moment is not believed, and nothing that it said before. It is listened to in the way
//! in which requests are sent to it, over a connection of its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use caller_context::{CHANGES_PATH, ContextKey, DataState, HEADER};
use futures_util::{StreamExt as _, TryStreamExt as _};
use http::{Request, header};
use http_body_util::BodyDataStream;
use http_service::Clock;
use pms_terms::FhirVersion;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Connector, RequestBody, outbound};
use crate::feed::{self, FeedError, Listener, Opened};

/// How long an upstream is believed after it was heard. It is heard several times in a second; nothing that changed
/// longer ago than this is missed.
const BELIEVED: Duration = Duration::from_millis(900);

/// How long a connection to an upstream may take to stand.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// What is known of a cluster's changes.
#[derive(Debug)]
pub struct Changes {
    started: Instant,
    /// The latest change that anybody told of.
    latest: AtomicI64,
    sources: Vec<Source>,
}

/// One upstream as a source of news.
#[derive(Debug)]
struct Source {
    connector: Arc<Connector>,
    /// The run of its program that was heard last.
    instance: AtomicU64,
    /// Milliseconds after the start until which it is believed.
    believed_until: AtomicU64,
}

impl Changes {
    /// Nothing is known before [`Changes::follow`] runs.
    pub fn new<'a>(connectors: impl Iterator<Item = &'a Arc<Connector>>) -> Self {
        let source = |connector: &Arc<Connector>| Source {
            connector: Arc::clone(connector),
            instance: AtomicU64::new(0),
            believed_until: AtomicU64::new(0),
        };
        Self { started: Instant::now(), latest: AtomicI64::new(0), sources: connectors.map(source).collect() }
    }

    /// Whether an answer of this state is what would be answered now: its upstream still runs as it did then, and
    /// nobody knows of a later change. No is also said in doubt.
    pub fn is_current(&self, state: DataState) -> bool {
        let now = self.milliseconds();
        let from = |source: &Source| source.instance.load(Ordering::Acquire) == state.instance;
        state.change >= self.latest.load(Ordering::Acquire)
            && self.sources.iter().any(|source| source.is_believed(now) && from(source))
    }

    /// Whether anybody is heard.
    pub fn are_heard(&self) -> bool {
        let now = self.milliseconds();
        self.sources.iter().any(|source| source.is_believed(now))
    }

    /// Notes the state that came with an answer. Whether it is news that something changed.
    pub fn note(&self, state: DataState) -> bool {
        self.latest.fetch_max(state.change, Ordering::AcqRel) < state.change
    }

    /// Follows the feeds of all upstreams until stopped; `changed` is called whenever something did.
    pub async fn follow(
        &self,
        (key, clock): (&ContextKey, &Clock),
        changed: impl Fn() + Sync,
        stop: &CancellationToken,
    ) {
        let ears: Vec<_> =
            self.sources.iter().map(|source| Ear::new(self, source, key, clock, &changed)).collect();
        futures_util::future::join_all(ears.iter().map(|ear| feed::follow(ear, stop))).await;
    }

    /// Takes in what a source says on its feed. Whether it is news that something changed.
    fn hear(&self, source: &Source, state: DataState) -> bool {
        let another = source.instance.load(Ordering::Acquire) != state.instance;
        if another {
            // Nothing that it said before is believed under its new name.
            source.believed_until.store(0, Ordering::Release);
            source.instance.store(state.instance, Ordering::Release);
            if !self.are_heard() {
                // Its history may be shorter than what is known: a database that was put back.
                self.latest.store(state.change, Ordering::Release);
            }
        }
        let later = self.note(state);
        let believed = u64::try_from(BELIEVED.as_millis()).unwrap_or_default();
        source.believed_until.store(self.milliseconds() + believed, Ordering::Release);
        another || later
    }

    fn milliseconds(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Source {
    fn is_believed(&self, now: u64) -> bool {
        self.believed_until.load(Ordering::Acquire) > now
    }
}

/// What listens to one upstream.
struct Ear<'e, F> {
    changes: &'e Changes,
    source: &'e Source,
    key: &'e ContextKey,
    clock: &'e Clock,
    changed: &'e F,
    fresh: metrics::Gauge,
    breaks: metrics::Counter,
}

impl<'e, F> Ear<'e, F> {
    fn new(
        changes: &'e Changes,
        source: &'e Source,
        key: &'e ContextKey,
        clock: &'e Clock,
        changed: &'e F,
    ) -> Self {
        let upstream = source.connector.address().authority.to_string();
        let fresh = metrics::gauge!("pmsgate_gateway_change_feed_fresh", "upstream" => upstream.clone());
        fresh.set(0.0);
        let breaks = metrics::counter!("pmsgate_gateway_change_feed_breaks_total", "upstream" => upstream);
        Self { changes, source, key, clock, changed, fresh, breaks }
    }
}

impl<F: Fn() + Sync> Listener for Ear<'_, F> {
    /// Whether a line came.
    type Hearing = bool;

    async fn open(&self) -> Result<Opened, FeedError> {
        let context = outbound::ourselves("", FhirVersion::V5_0_0, "changes");
        let signed = caller_context::sign(context, self.key, "GET", CHANGES_PATH, self.clock.now());
        let connector = &self.source.connector;
        let request = Request::get(CHANGES_PATH)
            .header(header::HOST, connector.address().authority.as_str())
            .header(HEADER, signed.unwrap_or_default())
            .body(RequestBody::Empty)
            .map_err(FeedError::http)?;
        let connection = connector.connect(CONNECT_TIMEOUT).await.map_err(FeedError::http)?;
        // An upstream that admits no stream is not there.
        let mut channel = connection.into_channel().ok_or(FeedError::Ended)?;
        let answer = channel.send(request).await.map_err(|failed| FeedError::http(failed.into_error()))?;
        FeedError::unless_ok(answer.status())?;
        let chunks = BodyDataStream::new(answer.into_body()).map_err(FeedError::http);
        // The connection lives as long as the channel.
        Ok(Box::pin(chunks.inspect(move |_| _ = &channel)))
    }

    fn patience(&self) -> Duration {
        BELIEVED
    }

    fn begin(&self) -> bool {
        false
    }

    fn sign(&self) {}

    fn hear(&self, heard: &mut bool, line: &[u8]) -> Result<(), FeedError> {
        let text = std::str::from_utf8(line).map_err(|_| FeedError::Malformed)?;
        let state = text.parse().map_err(|_| FeedError::Malformed)?;
        if self.changes.hear(self.source, state) {
            (self.changed)();
        }
        if !std::mem::replace(heard, true) {
            self.fresh.set(1.0);
        }
        Ok(())
    }

    fn lose(&self) -> bool {
        self.breaks.increment(1);
        self.fresh.set(0.0);
        self.source.believed_until.swap(0, Ordering::AcqRel) > 0
    }

    fn complain(&self, error: &FeedError) {
        tracing::warn!(
            upstream = %self.source.connector.address(), %error,
            "feed of changes broken; until it is open again no answer is kept"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Http2;

    fn state(instance: u64, change: i64) -> DataState {
        DataState { instance, change }
    }

    fn changes(upstreams: u16) -> Changes {
        let connector = |port| {
            let address = format!("http://127.0.0.1:{port}").parse().unwrap();
            Arc::new(Connector::new(address, Http2::Never, None))
        };
        let connectors: Vec<_> = (1..=upstreams).map(connector).collect();
        Changes::new(connectors.iter())
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_current_until_a_later_change_or_silence() {
        let changes = changes(1);
        assert!(!changes.is_current(state(7, 1)) && !changes.are_heard(), "nothing was heard yet");
        assert!(changes.hear(&changes.sources[0], state(7, 1)));
        assert!(!changes.hear(&changes.sources[0], state(7, 1)), "a sign of life");
        assert!(changes.is_current(state(7, 1)) && changes.is_current(state(7, 2)));
        assert!(!changes.is_current(state(7, 0)), "older than what is known");
        assert!(!changes.is_current(state(8, 1)), "of another run");
        assert!(changes.note(state(7, 2)), "what an answer says counts at once");
        assert!(!changes.note(state(7, 1)));
        assert!(!changes.is_current(state(7, 1)) && changes.is_current(state(7, 2)));
        tokio::time::advance(BELIEVED).await;
        assert!(!changes.is_current(state(7, 2)) && !changes.are_heard());
    }

    #[tokio::test(start_paused = true)]
    async fn another_run_of_the_program_ends_what_the_one_before_said() {
        let changes = changes(1);
        changes.hear(&changes.sources[0], state(7, 9));
        // Another policy, or a database put back to an earlier state.
        assert!(changes.hear(&changes.sources[0], state(8, 3)));
        assert!(!changes.is_current(state(7, 9)) && changes.is_current(state(8, 3)));
    }

    #[tokio::test(start_paused = true)]
    async fn all_upstreams_show_the_same_data() {
        let changes = changes(2);
        changes.hear(&changes.sources[0], state(7, 4));
        changes.hear(&changes.sources[1], state(8, 4));
        assert!(changes.is_current(state(7, 4)) && changes.is_current(state(8, 4)));
        changes.hear(&changes.sources[1], state(8, 5));
        assert!(!changes.is_current(state(7, 4)), "the other one knows more");
        tokio::time::advance(BELIEVED / 2).await;
        changes.hear(&changes.sources[0], state(7, 5));
        tokio::time::advance(BELIEVED / 2).await;
        assert!(changes.is_current(state(7, 5)) && !changes.is_current(state(8, 5)), "the second is silent");
        // What a silent one merged counts, and that one begins again does not make it forgotten.
        assert!(changes.note(state(8, 6)));
        changes.hear(&changes.sources[1], state(9, 5));
        assert!(!changes.is_current(state(7, 5)) && !changes.is_current(state(9, 5)));
    }
}
