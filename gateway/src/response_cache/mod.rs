//! The response cache: answers to reads, kept whole and given again to callers of the same class, as long as they are what
//! the upstream would answer.
//!
//! It stands behind the limits: an answer from here is counted, logged and audited like any other. What an answer hangs on
//! is its [`Key`]. Whether it is still true is asked each time it is given ([`Changes::is_current`]), by what the upstream
//! said of its state when it made it; a change that came while an answer was under way makes it old, however late it is
//! put here. Of many that ask for the same at once, one asks the upstream.

mod kept;
mod key;
mod wish;

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use config::Interaction;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, request::Parts};
use http_body::Body as _;
use http_service::conditional::is_conditional;
use metrics::{Counter, Gauge, counter, gauge};
use moka::{future::Cache, notification::RemovalCause};
use time::OffsetDateTime;

pub(crate) use self::kept::Shown;
use self::{
    kept::{CACHE_STATUS, Gathered, Kept, gather},
    key::Key,
    wish::{Wish, forbids_keeping},
};
use crate::{
    authorize::Permit,
    error::GatewayError,
    settings::ResponseCacheSettings,
    upstream::{Changes, outbound},
};

/// The longest key, in bytes; whoever asks for more is not kept anything for.
const MAX_KEY: usize = 8 * 1024;

/// An upstream's answer, made ours.
pub(crate) struct Fetched {
    pub(crate) response: Response<Body>,
    /// What the upstream says of it, where it may be kept.
    pub(crate) shown: Option<Shown>,
}

/// A request to read.
pub(crate) struct Asked<'r> {
    pub(crate) permit: &'r Permit<'r>,
    pub(crate) parts: &'r Parts,
    /// Whether callers may ask for faults.
    pub(crate) faults: bool,
}

/// How a request was answered, in the words of RFC 9211.
#[derive(Clone, Copy)]
enum How {
    /// From here.
    Hit,
    /// By the upstream, since nothing was here.
    Miss,
    /// The same, and kept.
    Stored,
    /// With the answer to another request that had asked just before.
    Collapsed,
    /// By the upstream, since what was here is too old for the caller.
    Stale,
    /// By the upstream, since what was here is not what the caller assumes.
    Request,
    /// By the upstream: not to be kept.
    Bypass,
}

impl How {
    fn told(self) -> &'static str {
        match self {
            Self::Hit => "pmsgate; hit",
            Self::Miss => "pmsgate; fwd=miss",
            Self::Stored => "pmsgate; fwd=miss; stored",
            Self::Collapsed => "pmsgate; fwd=miss; collapsed",
            Self::Stale => "pmsgate; fwd=stale",
            Self::Request => "pmsgate; fwd=request",
            Self::Bypass => "pmsgate; fwd=bypass",
        }
    }
}

/// The answer is not to be kept; it is the asker's own.
#[derive(Debug)]
struct NotKept;

/// Answers, by what they hang on, bounded by their bytes.
#[derive(Debug)]
pub(crate) struct ResponseCache {
    kept: Cache<Key, Arc<Kept>>,
    max_entry: usize,
    max_age: u64,
    hits: Counter,
    misses: Counter,
    collapsed: Counter,
    bypassed: Counter,
    bytes: Gauge,
}

impl ResponseCache {
    /// An empty cache.
    pub(crate) fn new(settings: &ResponseCacheSettings) -> Self {
        let evicted = counter!("pmsgate_gateway_response_cache_evictions_total");
        let result = |result| counter!("pmsgate_gateway_response_cache_total", "result" => result);
        Self {
            kept: Cache::builder()
                .max_capacity(settings.bytes)
                .weigher(|_: &Key, kept: &Arc<Kept>| kept.weight())
                .eviction_listener(move |_, _, cause| {
                    if cause == RemovalCause::Size {
                        evicted.increment(1);
                    }
                })
                .build(),
            max_entry: usize::try_from(settings.entry_bytes).unwrap_or(usize::MAX),
            max_age: settings.max_age.as_secs(),
            hits: result("hit"),
            misses: result("miss"),
            collapsed: result("collapsed"),
            bypassed: result("bypass"),
            bytes: gauge!("pmsgate_gateway_response_cache_bytes"),
        }
    }

    /// What an upstream says of an answer, noted: whoever hears of a change by its answer finds nothing older here.
    pub(crate) fn note(&self, headers: &HeaderMap, changes: &Changes) -> Option<Shown> {
        let shown = Shown::of(headers)?;
        if changes.note(shown.state) {
            self.empty();
        }
        Some(shown)
    }

    /// Forgets everything. What is put here later is not meant: it proves by itself that it is true.
    pub(crate) fn empty(&self) {
        self.kept.invalidate_all();
    }

    /// Gives back the memory of what was forgotten, also while nobody asks. Ends never.
    pub(crate) async fn tidy(&self) {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.kept.run_pending_tasks().await;
        }
    }

    /// Whether answers to such an operation are kept at all.
    pub(crate) fn is_for(interaction: Interaction) -> bool {
        use Interaction::{Everything, History, Merge, Read, Search, TransactionResponse, Vread};
        match interaction {
            Search | Read | Vread | History | Everything => true,
            Merge | TransactionResponse => false,
        }
    }

    /// Answers from here, or with what `fetch` brings, which is kept if it may be.
    ///
    /// # Errors
    /// Those of `fetch`.
    pub(crate) async fn answer(
        &self,
        asked: &Asked<'_>,
        changes: &Changes,
        now: OffsetDateTime,
        fetch: impl AsyncFn() -> Result<Fetched, GatewayError>,
    ) -> Result<Response<Body>, GatewayError> {
        let wish = Wish::of(&asked.parts.headers);
        let key = Key::of(asked.permit, &asked.parts.headers);
        let key_bytes = key.bytes();
        if !changes.are_heard() || wish == Wish::None || asked.is_peculiar() || key_bytes > MAX_KEY {
            self.bypassed.increment(1);
            return Ok(told(fetch().await?.response, How::Bypass));
        }
        let head = asked.parts.method == Method::HEAD;
        let conditions = asked.conditions();
        let is_good = |kept: &Kept| changes.is_current(kept.state()) && kept.age(now) <= self.max_age;
        let mut how = How::Miss;
        if let Some(kept) = self.kept.get(&key).await {
            if !is_good(&kept) {
                self.kept.invalidate(&key).await;
            } else if !wish.takes(kept.age(now)) {
                how = How::Stale;
            } else if let Some(response) = kept.answer(conditions, head) {
                self.hits.increment(1);
                return Ok(self.aged(response, kept.age(now), How::Hit));
            } else {
                how = How::Request;
            }
        }
        // What brings no whole answer, or must not be answered with an older one, goes its own way.
        if head || conditions.is_some() || matches!(how, How::Stale | How::Request) {
            self.misses.increment(1);
            return Ok(told(fetch().await?.response, how));
        }
        let (mut leads, mut own) = (false, None);
        let flight = async {
            leads = true;
            match fetch().await {
                Ok(fetched) => match self.keep(fetched, key_bytes, changes, now).await {
                    Ok(kept) => return Ok(Arc::new(kept)),
                    Err(answer) => own = Some(answer),
                },
                Err(error) => own = Some(Err(error)),
            }
            Err(NotKept)
        };
        // Whoever asks for the same waits; should this request be given up, the next one asks.
        let flown = Box::pin(self.kept.try_get_with(key, flight)).await;
        if let Some(own) = own {
            self.misses.increment(1);
            return own.map(|response| told(response, How::Miss));
        }
        // What another one brought may be from before a change that this caller knows of.
        if let Ok(kept) = flown
            && (leads || is_good(&kept))
            && let Some(response) = kept.answer(None, head)
        {
            if leads {
                self.misses.increment(1);
                return Ok(told(response, How::Stored));
            }
            self.collapsed.increment(1);
            return Ok(self.aged(response, kept.age(now), How::Collapsed));
        }
        self.misses.increment(1);
        Ok(told(fetch().await?.response, How::Miss))
    }

    /// Reads an answer to its end to keep it; gives it back where it is not to be kept. One that breaks off is refused
    /// while that can still be said.
    async fn keep(
        &self,
        fetched: Fetched,
        key_bytes: usize,
        changes: &Changes,
        now: OffsetDateTime,
    ) -> Result<Kept, Result<Response<Body>, GatewayError>> {
        let Fetched { response, shown: Some(shown) } = fetched else { return Err(Ok(fetched.response)) };
        let least = usize::try_from(response.body().size_hint().lower()).unwrap_or(usize::MAX);
        if response.status() != StatusCode::OK
            || forbids_keeping(response.headers())
            || !changes.is_current(shown.state)
            || least > self.max_entry
        {
            return Err(Ok(response));
        }
        let (head, body) = response.into_parts();
        match gather(body, self.max_entry).await {
            Gathered::Whole(body) => Ok(Kept::new(head, body, shown, now, key_bytes, &self.bytes)),
            Gathered::Long(body) => Err(Ok(Response::from_parts(head, body))),
            Gathered::Broken(error) => {
                tracing::warn!(%error, "an upstream's answer broke off");
                Err(Err(GatewayError::UpstreamBroken))
            }
        }
    }

    fn aged(&self, mut response: Response<Body>, age: u64, how: How) -> Response<Body> {
        let ttl = self.max_age.saturating_sub(age);
        if let Ok(status) = HeaderValue::try_from(format!("{}; ttl={ttl}", how.told())) {
            response.headers_mut().insert(CACHE_STATUS, status);
        }
        response.headers_mut().insert(header::AGE, HeaderValue::from(age));
        response
    }
}

impl Asked<'_> {
    /// The headers of a request that sets conditions. A search by POST cannot (RFC 9110 §13.2.1).
    fn conditions(&self) -> Option<&HeaderMap> {
        let headers = &self.parts.headers;
        (self.permit.form().is_none() && is_conditional(headers)).then_some(headers)
    }

    /// Whether its answer is for nobody else: a fault that was asked for, or headers that the upstream does not hear, so
    /// that it answers another question than the key says.
    fn is_peculiar(&self) -> bool {
        let headers = &self.parts.headers;
        (self.faults && headers.contains_key(outbound::SANDBOX_FAULT)) || outbound::hides_some(headers)
    }
}

fn told(mut response: Response<Body>, how: How) -> Response<Body> {
    response.headers_mut().insert(CACHE_STATUS, HeaderValue::from_static(how.told()));
    response
}
