//! What was revoked: follows the authorization server's feed, answers in constant time, knows when it is stale.
//!
//! The feed begins with everything in force after a position, goes on with changes as they happen and beats at least
//! once a second. Silence means a broken connection: it is opened again with the last position known, so that
//! nothing that happened in between is missed.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use access_token::{AccessTokenClaims, FeedLine, Revocation, RevocationSubject};
use config::FeedLoss;
use futures_util::StreamExt as _;
use http_service::Clock;
use time::OffsetDateTime;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::settings::RevocationSettings;

/// The longest line of the feed, in bytes.
const MAX_LINE: usize = 4 * 1024;
/// How long opening the feed may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The first wait before the feed is opened again; doubled up to [`MAX_BACK_OFF`].
const FIRST_BACK_OFF: Duration = Duration::from_millis(50);
/// The longest wait before the feed is opened again: well below the second that a revocation may take.
const MAX_BACK_OFF: Duration = Duration::from_millis(500);
/// How often a feed that stays away is complained about.
const WARN_EVERY: Duration = Duration::from_secs(60);
/// How often what is over is forgotten.
const PURGE_EVERY: Duration = Duration::from_secs(60);

/// How the tokens of a caller stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing was revoked.
    Good,
    /// The client, the secret or the token was.
    Revoked,
    /// The feed is silent, and requests are to be refused then.
    Unknown,
}

/// The revocations in force.
#[derive(Debug)]
pub struct Revocations {
    settings: RevocationSettings,
    table: RwLock<Table>,
    /// The feed is connected, caught up and beating.
    fresh: AtomicBool,
    /// The last position applied.
    position: AtomicI64,
    lag: metrics::Gauge,
    fresh_gauge: metrics::Gauge,
    entries: metrics::Gauge,
}

/// Subject → when the entry may be forgotten (seconds since the epoch).
#[derive(Debug, Default)]
struct Table {
    clients: HashMap<String, i64>,
    secrets: HashMap<String, i64>,
    tokens: HashMap<String, i64>,
}

impl Table {
    fn apply(&mut self, revocation: Revocation) {
        let (subjects, id) = match revocation.subject {
            RevocationSubject::Client(id) => (&mut self.clients, id),
            RevocationSubject::Secret(id) => (&mut self.secrets, id),
            RevocationSubject::Token(id) => (&mut self.tokens, id),
        };
        if revocation.revoked {
            subjects.insert(id, revocation.until);
        } else {
            subjects.remove(&id);
        }
    }

    fn purge(&mut self, now: i64) {
        for subjects in [&mut self.clients, &mut self.secrets, &mut self.tokens] {
            subjects.retain(|_, until| *until > now);
        }
    }

    fn len(&self) -> usize {
        self.clients.len() + self.secrets.len() + self.tokens.len()
    }

    fn holds(&self, claims: &AccessTokenClaims, now: i64) -> bool {
        let hit =
            |subjects: &HashMap<String, i64>, id: &str| subjects.get(id).is_some_and(|until| *until > now);
        hit(&self.clients, &claims.client_id)
            || hit(&self.secrets, &claims.secret_id)
            || hit(&self.tokens, &claims.jti)
    }
}

impl Revocations {
    /// Nothing is known before [`Revocations::follow`] runs.
    pub fn new(settings: RevocationSettings) -> Self {
        Self {
            settings,
            table: RwLock::default(),
            fresh: AtomicBool::new(false),
            position: AtomicI64::new(0),
            lag: metrics::gauge!("pmsgate_gateway_revocation_silence_seconds"),
            fresh_gauge: metrics::gauge!("pmsgate_gateway_revocation_fresh"),
            entries: metrics::gauge!("pmsgate_gateway_revocation_entries"),
        }
    }

    /// Whether the feed is connected, caught up and beating.
    pub fn is_fresh(&self) -> bool {
        self.fresh.load(Ordering::Acquire)
    }

    /// Whether a gateway with this feed may take requests.
    pub fn may_serve(&self) -> bool {
        self.is_fresh() || self.settings.feed_loss == FeedLoss::Open
    }

    /// How a token stands. What is known to be revoked is refused also while the feed is silent.
    pub fn standing(&self, claims: &AccessTokenClaims, now: OffsetDateTime) -> Standing {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        if table.len() > 0 && table.holds(claims, now.unix_timestamp()) {
            Standing::Revoked
        } else if self.may_serve() {
            Standing::Good
        } else {
            Standing::Unknown
        }
    }

    /// Follows the feed until stopped.
    pub async fn follow(self: Arc<Self>, client: reqwest::Client, clock: Clock, stop: CancellationToken) {
        let mut back_off = FIRST_BACK_OFF;
        let mut warned: Option<Instant> = None;
        loop {
            let began = Instant::now();
            let ended = tokio::select! {
                () = stop.cancelled() => return,
                ended = self.listen(&client, &clock) => ended,
            };
            let was_fresh = self.set_fresh(false);
            metrics::counter!("pmsgate_gateway_revocation_feed_breaks_total").increment(1);
            // Said when it breaks or does not open, and then no more often than once in a while.
            let due = warned.is_none_or(|at| at.elapsed() >= WARN_EVERY);
            if was_fresh || (due && back_off == MAX_BACK_OFF) {
                warned = Some(Instant::now());
                tracing::warn!(
                    error = %ended,
                    position = self.position.load(Ordering::Relaxed),
                    refusing = self.settings.feed_loss == FeedLoss::Closed,
                    "revocation feed broken; opening it again"
                );
            } else {
                tracing::debug!(error = %ended, "revocation feed not open");
            }
            back_off = if was_fresh { FIRST_BACK_OFF } else { (back_off * 2).min(MAX_BACK_OFF) };
            self.lag.set(began.elapsed().as_secs_f64());
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(back_off) => {}
            }
        }
    }

    /// Reads one connection to its end, which is always an error.
    async fn listen(&self, client: &reqwest::Client, clock: &Clock) -> FeedError {
        let after = self.position.load(Ordering::Acquire);
        let request = client
            .get(format!("{}?after={after}", self.settings.feed_url))
            .header(http::header::ACCEPT, "application/x-ndjson")
            .bearer_auth(&self.settings.feed_key)
            .send();
        let response = match timeout(CONNECT_TIMEOUT, request).await {
            Err(_) => return FeedError::Silent,
            Ok(Err(error)) => return FeedError::Http(error),
            Ok(Ok(response)) if response.status() != http::StatusCode::OK => {
                return FeedError::Status(response.status().as_u16());
            }
            Ok(Ok(response)) => response,
        };
        let mut chunks = response.bytes_stream();
        let mut lines = Lines::default();
        // From the beginning, the feed is the whole truth: what we knew and it does not say is over.
        let mut catch_up = (after == 0).then(Table::default);
        let mut heard = Instant::now();
        let mut purged = Instant::now();
        loop {
            let chunk = match timeout(self.settings.feed_timeout, chunks.next()).await {
                Err(_) => return FeedError::Silent,
                Ok(None) => return FeedError::Ended,
                Ok(Some(Err(error))) => return FeedError::Http(error),
                Ok(Some(Ok(chunk))) => chunk,
            };
            self.lag.set(heard.elapsed().as_secs_f64());
            heard = Instant::now();
            for line in match lines.push(&chunk) {
                Ok(complete) => complete,
                Err(error) => return error,
            } {
                match line {
                    FeedLine::Revocation(revocation) => {
                        let position = revocation.seq;
                        if let Some(table) = &mut catch_up {
                            // Half a beginning is worth nothing: the position stays until all is there.
                            table.apply(revocation);
                        } else {
                            self.write(|table| table.apply(revocation));
                            self.position.fetch_max(position, Ordering::AcqRel);
                        }
                    }
                    FeedLine::Heartbeat { heartbeat } => {
                        if heartbeat < self.position.load(Ordering::Acquire) {
                            // The server's history is shorter than ours: another database. Begin anew.
                            self.position.store(0, Ordering::Release);
                            return FeedError::HistoryChanged;
                        }
                        if let Some(whole) = catch_up.take() {
                            self.write(|table| *table = whole);
                        }
                        self.position.fetch_max(heartbeat, Ordering::AcqRel);
                        self.set_fresh(true);
                    }
                }
            }
            if purged.elapsed() >= PURGE_EVERY {
                purged = Instant::now();
                let now = clock.now().unix_timestamp();
                self.write(|table| table.purge(now));
            }
        }
    }

    fn write(&self, change: impl FnOnce(&mut Table)) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut table);
        #[expect(clippy::cast_precision_loss, reason = "a gauge; exact below 2^52 entries")]
        self.entries.set(table.len() as f64);
    }

    fn set_fresh(&self, fresh: bool) -> bool {
        let was = self.fresh.swap(fresh, Ordering::AcqRel);
        if was != fresh {
            self.fresh_gauge.set(f64::from(u8::from(fresh)));
            if fresh {
                tracing::info!(position = self.position.load(Ordering::Relaxed), "revocation feed caught up");
            }
        }
        was
    }
}

/// Cuts a stream of chunks into lines.
#[derive(Debug, Default)]
struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    fn push(&mut self, chunk: &[u8]) -> Result<Vec<FeedLine>, FeedError> {
        self.rest.extend_from_slice(chunk);
        let mut read = Vec::new();
        let mut start = 0;
        while let Some(length) = self.rest[start..].iter().position(|byte| *byte == b'\n') {
            let line = self.rest[start..start + length].trim_ascii();
            start += length + 1;
            if !line.is_empty() {
                read.push(serde_json::from_slice(line).map_err(|_| FeedError::Malformed)?);
            }
        }
        self.rest.drain(..start);
        if self.rest.len() > MAX_LINE { Err(FeedError::Malformed) } else { Ok(read) }
    }
}

#[derive(Debug, thiserror::Error)]
enum FeedError {
    #[error("{0}")]
    Http(reqwest::Error),
    #[error("status {0}")]
    Status(u16),
    #[error("nothing was heard within the time allowed")]
    Silent,
    #[error("the feed ended")]
    Ended,
    #[error("a line that is no feed line")]
    Malformed,
    #[error("the server's feed is behind the position known here; reading it anew")]
    HistoryChanged,
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn revocation(seq: i64, subject: RevocationSubject, until: i64, revoked: bool) -> Revocation {
        Revocation { seq, subject, until, revoked }
    }

    #[test]
    fn what_is_over_or_lifted_is_forgotten() {
        let mut table = Table::default();
        table.apply(revocation(1, RevocationSubject::Client("c".into()), 100, true));
        table.apply(revocation(2, RevocationSubject::Secret("s".into()), 200, true));
        table.apply(revocation(3, RevocationSubject::Token("t".into()), 300, true));
        table.apply(revocation(4, RevocationSubject::Secret("s".into()), 200, false));
        assert_eq!(table.len(), 2);
        table.purge(100);
        assert_eq!(table.tokens.keys().collect::<HashSet<_>>(), HashSet::from([&"t".to_owned()]));
        assert_eq!(table.len(), 1);
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_where_chunks_end(cuts in prop::collection::vec(0usize..200, 0..8)) {
            let text = b"{\"heartbeat\":3}\n\n{\"seq\":4,\"subject\":{\"kind\":\"client\",\"id\":\"c\"},\"until\":9,\"revoked\":true}\r\n{\"heartbeat\":4}\n";
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.sort_unstable();
            let mut lines = Lines::default();
            let mut read = Vec::new();
            let mut start = 0;
            for cut in cuts.into_iter().chain([text.len()]) {
                read.extend(lines.push(&text[start..cut]).unwrap());
                start = cut;
            }
            prop_assert_eq!(read.len(), 3);
        }

        #[test]
        fn any_bytes_are_lines_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Lines::default().push(&bytes);
        }
    }
}
