//! What was revoked: follows the authorization server's feed, answers in constant time, knows when it is stale.
//!
//! The feed begins with everything in force after a position, goes on with changes as they happen and beats at least
//! once a second. Silence means a broken connection: it is opened again with the last position known, so that
//! nothing that happened in between is missed.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use access_token::{FeedLine, Revocation, RevocationSubject};
use config::FeedLoss;
use futures_util::TryStreamExt as _;
use http_service::Clock;
use time::OffsetDateTime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    caller::Caller,
    feed::{self, FeedError, Listener, Opened},
    settings::RevocationSettings,
};

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
    /// Counts changes of the table.
    edition: AtomicU64,
    /// The feed is connected, caught up and beating.
    fresh: AtomicBool,
    /// The last position applied.
    position: AtomicI64,
    /// When the feed was last heard.
    heard: Mutex<Option<Instant>>,
    lag: metrics::Histogram,
    fresh_gauge: metrics::Gauge,
    entries: metrics::Gauge,
    breaks: metrics::Counter,
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

    /// Until when what a token names is revoked; none where nothing of it is named here.
    fn until(&self, caller: &Caller) -> Option<i64> {
        [
            self.clients.get(&*caller.client_id),
            self.secrets.get(&*caller.secret_id),
            self.tokens.get(&*caller.token_id),
        ]
        .into_iter()
        .flatten()
        .max()
        .copied()
    }
}

impl Revocations {
    /// Nothing is known before [`Revocations::follow`] runs.
    pub fn new(settings: RevocationSettings) -> Self {
        Self {
            settings,
            table: RwLock::default(),
            edition: AtomicU64::new(1),
            fresh: AtomicBool::new(false),
            position: AtomicI64::new(0),
            heard: Mutex::default(),
            lag: metrics::histogram!("pmsgate_gateway_revocation_lag_seconds"),
            fresh_gauge: metrics::gauge!("pmsgate_gateway_revocation_fresh"),
            entries: metrics::gauge!("pmsgate_gateway_revocation_entries"),
            breaks: metrics::counter!("pmsgate_gateway_revocation_feed_breaks_total"),
        }
    }

    /// Whether the feed is connected, caught up and beating.
    pub fn is_fresh(&self) -> bool {
        self.fresh.load(Ordering::Acquire)
    }

    /// How long ago the feed was last heard.
    pub fn silence(&self) -> Option<Duration> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).map(|at| at.elapsed())
    }

    /// Whether a gateway with this feed may take requests.
    pub fn may_serve(&self) -> bool {
        self.is_fresh() || self.settings.feed_loss == FeedLoss::Open
    }

    /// How a token stands. What is known to be revoked is refused also while the feed is silent.
    pub fn standing(&self, caller: &Caller, now: OffsetDateTime) -> Standing {
        if self.is_revoked(caller, now.unix_timestamp()) {
            Standing::Revoked
        } else if self.may_serve() {
            Standing::Good
        } else {
            Standing::Unknown
        }
    }

    /// Whom no edition named since it last asked need not look again.
    fn is_revoked(&self, caller: &Caller, now: i64) -> bool {
        // Read before the table, which is then of this edition or a later one.
        let edition = self.edition.load(Ordering::Acquire);
        if caller.cleared.load(Ordering::Relaxed) == edition {
            return false;
        }
        let until = self.table.read().unwrap_or_else(PoisonError::into_inner).until(caller);
        if until.is_none() {
            caller.cleared.store(edition, Ordering::Relaxed);
        }
        until.is_some_and(|until| until > now)
    }

    /// Follows the feed until stopped.
    pub async fn follow(&self, client: reqwest::Client, clock: Clock, stop: CancellationToken) {
        feed::follow(&Follower { revocations: self, client, clock: &clock }, &stop).await;
    }

    fn write(&self, change: impl FnOnce(&mut Table)) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut table);
        self.edition.fetch_add(1, Ordering::Release);
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

/// Seconds since a moment in microseconds since the epoch; none before it.
fn seconds_since(micros: i64, now: OffsetDateTime) -> f64 {
    let passed = now.unix_timestamp_nanos() / 1000 - i128::from(micros);
    Duration::from_micros(u64::try_from(passed).unwrap_or(0)).as_secs_f64()
}

/// What listens to the feed.
struct Follower<'f> {
    revocations: &'f Revocations,
    client: reqwest::Client,
    clock: &'f Clock,
}

/// One connection to the feed.
struct Hearing {
    /// From the beginning, the feed is the whole truth: what we knew and it does not say is over.
    catch_up: Option<Table>,
    purged: Instant,
}

impl Listener for Follower<'_> {
    type Hearing = Hearing;

    async fn open(&self) -> Result<Opened, FeedError> {
        let Revocations { settings, position, .. } = self.revocations;
        let request = self
            .client
            .get(format!("{}?after={}", settings.feed_url, position.load(Ordering::Acquire)))
            .header(http::header::ACCEPT, "application/x-ndjson")
            .bearer_auth(&settings.feed_key);
        let answer = request.send().await.map_err(FeedError::http)?;
        FeedError::unless_ok(answer.status())?;
        Ok(Box::pin(answer.bytes_stream().map_err(FeedError::http)))
    }

    fn patience(&self) -> Duration {
        self.revocations.settings.feed_timeout
    }

    fn begin(&self) -> Hearing {
        let from_the_beginning = self.revocations.position.load(Ordering::Acquire) == 0;
        Hearing { catch_up: from_the_beginning.then(Table::default), purged: Instant::now() }
    }

    fn sign(&self) {
        *self.revocations.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn hear(&self, hearing: &mut Hearing, line: &[u8]) -> Result<(), FeedError> {
        let known = self.revocations;
        match serde_json::from_slice(line).map_err(|_| FeedError::Malformed)? {
            FeedLine::Revocation(revocation) => {
                let position = revocation.seq;
                if let Some(table) = &mut hearing.catch_up {
                    // Half a beginning is worth nothing: the position stays until all is there.
                    table.apply(revocation);
                } else {
                    let issued = revocation.at;
                    known.write(|table| table.apply(revocation));
                    if issued > 0 {
                        known.lag.record(seconds_since(issued, self.clock.now()));
                    }
                    known.position.fetch_max(position, Ordering::AcqRel);
                }
            }
            FeedLine::Heartbeat { heartbeat } => {
                if heartbeat < known.position.load(Ordering::Acquire) {
                    // The server's history is shorter than ours: another database. Begin anew.
                    known.position.store(0, Ordering::Release);
                    return Err(FeedError::HistoryChanged);
                }
                if let Some(whole) = hearing.catch_up.take() {
                    known.write(|table| *table = whole);
                }
                known.position.fetch_max(heartbeat, Ordering::AcqRel);
                known.set_fresh(true);
            }
        }
        if hearing.purged.elapsed() >= PURGE_EVERY {
            hearing.purged = Instant::now();
            let now = self.clock.now().unix_timestamp();
            known.write(|table| table.purge(now));
        }
        Ok(())
    }

    fn lose(&self) -> bool {
        self.revocations.breaks.increment(1);
        self.revocations.set_fresh(false)
    }

    fn complain(&self, error: &FeedError) {
        tracing::warn!(
            %error,
            position = self.revocations.position.load(Ordering::Relaxed),
            refusing = self.revocations.settings.feed_loss == FeedLoss::Closed,
            "revocation feed broken; opening it again"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::testing;

    fn revocation(seq: i64, subject: RevocationSubject, until: i64, revoked: bool) -> Revocation {
        Revocation { seq, at: 0, subject, until, revoked }
    }

    #[test]
    fn a_caller_that_was_cleared_is_judged_anew_after_each_change() {
        let revocations = Revocations::new(RevocationSettings {
            feed_url: String::new(),
            feed_key: String::new(),
            feed_loss: FeedLoss::Open,
            feed_timeout: Duration::from_secs(1),
        });
        let caller = testing::caller(|claims| (claims.client_id, claims.jti) = ("c".into(), "t".into()));
        let at = |second| OffsetDateTime::from_unix_timestamp(second).unwrap();
        let change = |subject, until, revoked| {
            revocations.write(|table| table.apply(revocation(1, subject, until, revoked)));
        };
        let standing = |second| {
            let first = revocations.standing(&caller, at(second));
            assert_eq!(revocations.standing(&caller, at(second)), first, "asked again");
            first
        };
        assert_eq!(standing(50), Standing::Good);
        change(RevocationSubject::Client("another".into()), 100, true);
        assert_eq!(standing(50), Standing::Good);
        change(RevocationSubject::Token("t".into()), 100, true);
        assert_eq!(standing(50), Standing::Revoked);
        assert_eq!(standing(100), Standing::Good, "it is over");
        assert_eq!(standing(99), Standing::Revoked, "a clock was moved back");
        change(RevocationSubject::Client("c".into()), 200, true);
        assert_eq!(standing(100), Standing::Revoked);
        change(RevocationSubject::Client("c".into()), 200, false);
        assert_eq!(standing(100), Standing::Good);
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
}
