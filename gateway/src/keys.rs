//! The issuers' public keys: read from their JWK Set, kept while the issuer is down, read again for an unknown `kid`.
//!
//! One task reads; callers on any worker only ask it to. A storm of tokens with unknown key ids costs one read, and
//! the next one not before the cool-down is over.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use access_token::{JwkSet, VerificationKey};
use arc_swap::ArcSwapOption;
use futures_util::StreamExt as _;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

/// The largest JWK Set that is read, in bytes.
const MAX_JWKS: usize = 256 * 1024;
/// How long one read may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(3);
/// The first wait after a failed read; doubled up to [`MAX_BACK_OFF`].
const FIRST_BACK_OFF: Duration = Duration::from_millis(50);
/// The longest wait after a failed read.
const MAX_BACK_OFF: Duration = Duration::from_secs(5);
/// How often an issuer that stays away is complained about.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// The keys that tokens are checked with.
#[derive(Debug)]
pub struct Keys {
    jwks_url: String,
    refresh: Duration,
    cool_down: Duration,
    /// Few, so that comparing is quicker than hashing.
    current: ArcSwapOption<BTreeMap<String, Arc<VerificationKey>>>,
    /// When the set was last read, and each of its keys first.
    read_at: Mutex<(Option<Instant>, HashMap<String, Instant>)>,
    progress: Mutex<Progress>,
    wanted: Notify,
    /// Counts finished reads.
    finished: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Progress {
    /// A read was asked for or begun, and is not finished.
    running: bool,
    /// An unknown `kid` asked for it.
    asked: bool,
    /// When the last read that an unknown `kid` asked for ended.
    ended: Option<Instant>,
}

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoKey {
    /// The issuer publishes no key with this id.
    Unknown,
    /// The issuer's keys were never read.
    NeverRead,
}

impl Keys {
    /// Nothing is read before [`Keys::follow`] runs.
    pub fn new(jwks_url: String, refresh: Duration, cool_down: Duration) -> Self {
        Self {
            jwks_url,
            refresh,
            cool_down,
            current: ArcSwapOption::empty(),
            read_at: Mutex::default(),
            // The first read is under way as soon as the task runs.
            progress: Mutex::new(Progress { running: true, ..Progress::default() }),
            wanted: Notify::new(),
            finished: watch::channel(0).0,
        }
    }

    /// Whether the issuer still publishes a key with this id, as far as is known.
    pub fn publishes(&self, kid: &str) -> bool {
        self.current.load().as_ref().is_some_and(|keys| keys.contains_key(kid))
    }

    /// Whether any key set was read.
    pub fn is_read(&self) -> bool {
        self.current.load().is_some()
    }

    /// How long ago the set was last read.
    pub fn read_ago(&self) -> Option<Duration> {
        self.read_at.lock().unwrap_or_else(PoisonError::into_inner).0.map(|at| at.elapsed())
    }

    /// The ids of the keys in use, and since when each is known here.
    pub fn known_since(&self) -> Vec<(String, Duration)> {
        let read_at = self.read_at.lock().unwrap_or_else(PoisonError::into_inner);
        read_at.1.iter().map(|(kid, at)| (kid.clone(), at.elapsed())).collect()
    }

    fn note_read(&self, keys: &BTreeMap<String, Arc<VerificationKey>>) {
        let now = Instant::now();
        let mut read_at = self.read_at.lock().unwrap_or_else(PoisonError::into_inner);
        read_at.0 = Some(now);
        read_at.1.retain(|kid, _| keys.contains_key(kid));
        for kid in keys.keys() {
            read_at.1.entry(kid.clone()).or_insert(now);
        }
    }

    /// The key with this id; an unknown one is looked for at the issuer, unless that was done just now.
    pub async fn find(&self, kid: &str) -> Result<Arc<VerificationKey>, NoKey> {
        if let Some(key) = self.known(kid) {
            return Ok(key);
        }
        let mut finished = self.finished.subscribe();
        let wait = {
            let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
            if progress.running {
                true
            } else if progress.ended.is_some_and(|ended| ended.elapsed() < self.cool_down) {
                false
            } else {
                (progress.running, progress.asked) = (true, true);
                self.wanted.notify_one();
                true
            }
        };
        if wait {
            // A reader that does not come back is the issuer being down: what is known decides.
            let _ = timeout(FETCH_TIMEOUT, finished.changed()).await;
        }
        self.known(kid).ok_or(if self.is_read() { NoKey::Unknown } else { NoKey::NeverRead })
    }

    fn known(&self, kid: &str) -> Option<Arc<VerificationKey>> {
        self.current.load().as_ref()?.get(kid).cloned()
    }

    /// Reads the keys now, again every so often, and when asked to, until stopped.
    pub async fn follow(self: Arc<Self>, client: reqwest::Client, stop: CancellationToken) {
        let mut back_off = FIRST_BACK_OFF;
        let mut warned: Option<Instant> = None;
        loop {
            self.progress.lock().unwrap_or_else(PoisonError::into_inner).running = true;
            let read = tokio::select! {
                () = stop.cancelled() => return,
                read = timeout(FETCH_TIMEOUT, self.read(&client)) => read.unwrap_or(Err(FetchError::Slow)),
            };
            let pause = match read {
                Ok(keys) => {
                    back_off = FIRST_BACK_OFF;
                    warned = None;
                    tracing::debug!(keys = keys.len(), "issuer keys read");
                    self.note_read(&keys);
                    self.current.store(Some(Arc::new(keys)));
                    self.refresh
                }
                Err(error) => {
                    metrics::counter!("pmsgate_gateway_jwks_failures_total").increment(1);
                    // Said when it begins to matter, and then no more often than once in a while.
                    let due = warned.is_none_or(|at| at.elapsed() >= WARN_EVERY);
                    if due && (self.is_read() || back_off >= MAX_BACK_OFF) {
                        warned = Some(Instant::now());
                        tracing::warn!(%error, "issuer keys not read; known keys stay in use");
                    } else {
                        tracing::debug!(%error, "issuer keys not read");
                    }
                    let pause = back_off;
                    back_off = (back_off * 2).min(MAX_BACK_OFF);
                    pause
                }
            };
            {
                let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
                progress.running = false;
                if std::mem::take(&mut progress.asked) {
                    progress.ended = Some(Instant::now());
                }
            }
            self.finished.send_modify(|count| *count += 1);
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.wanted.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn read(
        &self,
        client: &reqwest::Client,
    ) -> Result<BTreeMap<String, Arc<VerificationKey>>, FetchError> {
        let response = client.get(&self.jwks_url).header("accept", "application/json").send().await?;
        if response.status() != http::StatusCode::OK {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        let mut body = Vec::new();
        let mut stream = response.bytes_stream();
        while let Some(chunk) = stream.next().await {
            body.extend_from_slice(&chunk?);
            if body.len() > MAX_JWKS {
                return Err(FetchError::TooLarge);
            }
        }
        let set: JwkSet = serde_json::from_slice(&body).map_err(|_| FetchError::Malformed)?;
        let keys: BTreeMap<_, _> = set
            .keys
            .iter()
            .filter_map(VerificationKey::from_jwk)
            .map(|key| (key.kid().to_owned(), Arc::new(key)))
            .collect();
        if keys.is_empty() { Err(FetchError::Empty) } else { Ok(keys) }
    }
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("no answer from the issuer: {0}")]
    Http(#[from] reqwest::Error),
    #[error("no answer within the time allowed")]
    Slow,
    #[error("status {0}")]
    Status(u16),
    #[error("larger than {MAX_JWKS} bytes")]
    TooLarge,
    #[error("not a JWK Set")]
    Malformed,
    #[error("no usable key in the set")]
    Empty,
}
