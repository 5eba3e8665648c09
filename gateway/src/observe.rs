//! What operators see: counters and durations per product and operation, registered once so that a request only
//! adds to them.

use std::time::Duration;

use http::StatusCode;
use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};

use crate::{
    audit::Audit,
    keys::Keys,
    rate_limit::{Exceeded, Refused},
    revocation::Revocations,
    routes::{Operation, Product, Routes},
};

/// The classes of status that answers are counted by.
const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// The handles of all metrics that are touched by every request.
#[derive(Debug)]
pub struct Metrics {
    operations: Vec<Red>,
    /// Answers about no operation: open documents, unknown paths.
    other: Red,
    upstream: Vec<Histogram>,
}

/// Rate, errors, duration of one operation.
#[derive(Debug)]
struct Red {
    answers: [Counter; 4],
    duration: Histogram,
}

impl Red {
    fn new(product: &str, operation: &str) -> Self {
        let (product, operation) = (product.to_owned(), operation.to_owned());
        let answers = CLASSES.map(|class| {
            counter!(
                "pmsgate_gateway_requests_total",
                "product" => product.clone(), "operation" => operation.clone(), "status" => class,
            )
        });
        let duration = histogram!("pmsgate_gateway_request_duration_seconds", "product" => product, "operation" => operation);
        Self { answers, duration }
    }

    fn record(&self, status: StatusCode, took: Duration) {
        let class = usize::from(status.as_u16() / 100).clamp(2, 5) - 2;
        self.answers[class].increment(1);
        self.duration.record(took);
    }
}

impl Metrics {
    /// Registers the metrics of a route table. The process's recorder must be installed before.
    pub fn new(routes: &Routes) -> Self {
        describe();
        let mut products: Vec<&Product> = routes.products().iter().collect();
        products.sort_by_key(|product| product.index);
        let operations = products
            .iter()
            .flat_map(|product| {
                product.operations.iter().map(|operation| Red::new(&product.id, &operation.ep))
            })
            .collect();
        let upstream = products
            .iter()
            .map(|product| histogram!("pmsgate_gateway_upstream_duration_seconds", "product" => product.id.clone()))
            .collect();
        // Told from the start, so that a first one is an increase.
        for product in &products {
            for budget in ["rate", "day"] {
                limited(&product.id, budget).increment(0);
            }
        }
        Self { operations, other: Red::new("none", "none"), upstream }
    }

    /// An answer was given.
    pub fn answered(&self, operation: Option<&Operation>, status: StatusCode, took: Duration) {
        operation
            .and_then(|operation| self.operations.get(operation.index))
            .unwrap_or(&self.other)
            .record(status, took);
    }

    /// The head of an upstream's answer came.
    pub fn upstream(&self, product: &Product, took: Duration) {
        if let Some(duration) = self.upstream.get(product.index) {
            duration.record(took);
        }
    }

    /// A call was over one of its limits.
    pub fn limited(&self, product: Option<&Product>, refused: &Refused) {
        let budget = match refused.exceeded {
            Exceeded::Rate => "rate",
            Exceeded::Day => "day",
            Exceeded::Address => "address",
        };
        limited(product.map_or("none", |product| &product.id), budget).increment(1);
    }

    /// A request was refused by a rule, or failed by one.
    pub fn refused(&self, rule: &'static str) {
        // Looked up by name: refusals are not the hot path, and the rules are few.
        counter!("pmsgate_gateway_refusals_total", "rule" => rule).increment(1);
    }
}

fn limited(product: &str, budget: &'static str) -> Counter {
    counter!("pmsgate_gateway_limited_total", "product" => product.to_owned(), "budget" => budget)
}

/// Figures that change without a request, told by a task.
#[derive(Debug)]
pub(crate) struct Figures {
    keys: Gauge,
    keys_read: Gauge,
    silence: Gauge,
    audit_waiting: Gauge,
}

impl Figures {
    pub(crate) fn new() -> Self {
        gauge!("pmsgate_gateway_reload_refused").set(0.0);
        Self {
            keys: gauge!("pmsgate_gateway_signing_keys"),
            keys_read: gauge!("pmsgate_gateway_jwks_age_seconds"),
            silence: gauge!("pmsgate_gateway_revocation_silence_seconds"),
            audit_waiting: gauge!("pmsgate_gateway_audit_waiting"),
        }
    }

    pub(crate) fn tell(&self, keys: &Keys, revocations: Option<&Revocations>, audit: Option<&Audit>) {
        let known = keys.known_since();
        self.keys.set(count(known.len()));
        for (kid, age) in known {
            // By name: keys are few and change seldom.
            gauge!("pmsgate_gateway_signing_key_age_seconds", "kid" => kid).set(age.as_secs_f64());
        }
        if let Some(age) = keys.read_ago() {
            self.keys_read.set(age.as_secs_f64());
        }
        if let Some(silence) = revocations.and_then(Revocations::silence) {
            self.silence.set(silence.as_secs_f64());
        }
        if let Some(audit) = audit {
            self.audit_waiting.set(count(audit.waiting()));
        }
    }
}

/// Data files were read again.
pub(crate) fn reloaded(in_force: bool) {
    let outcome = if in_force { "in force" } else { "refused" };
    counter!("pmsgate_gateway_reloads_total", "outcome" => outcome).increment(1);
    gauge!("pmsgate_gateway_reload_refused").set(if in_force { 0.0 } else { 1.0 });
}

/// A count as gauges have it.
pub(crate) fn count(of: usize) -> f64 {
    f64::from(u32::try_from(of).unwrap_or(u32::MAX))
}

/// The help texts of everything that the gateway counts.
fn describe() {
    describe_counter!("pmsgate_gateway_requests_total", "Answers by product, operation and class of status");
    describe_histogram!(
        "pmsgate_gateway_request_duration_seconds",
        "Until the head of the answer, by operation"
    );
    describe_histogram!(
        "pmsgate_gateway_upstream_duration_seconds",
        "Until the head of the upstream's answer"
    );
    describe_counter!(
        "pmsgate_gateway_upstream_requests_total",
        "Requests sent to an upstream, retries included"
    );
    describe_histogram!(
        "pmsgate_gateway_upstream_answer_seconds",
        "Until the head of an upstream's answer, by upstream"
    );
    describe_gauge!(
        "pmsgate_gateway_upstream_in_flight",
        "Requests that wait for an upstream or read its answer"
    );
    describe_gauge!(
        "pmsgate_gateway_upstream_breaker_open",
        "1 while the circuit breaker lets only probes through"
    );
    describe_gauge!("pmsgate_gateway_upstream_healthy", "0 while an upstream's health check fails");
    describe_counter!("pmsgate_gateway_limited_total", "Calls over a limit, by product and budget");
    describe_gauge!("pmsgate_gateway_signing_keys", "Keys of the issuer that tokens are checked with");
    describe_gauge!(
        "pmsgate_gateway_signing_key_age_seconds",
        "Since this gateway first read a key, by key id"
    );
    describe_gauge!("pmsgate_gateway_jwks_age_seconds", "Since the issuer's keys were last read");
    describe_histogram!(
        "pmsgate_gateway_revocation_lag_seconds",
        "From a revocation's issue until this gateway refuses"
    );
    describe_counter!("pmsgate_gateway_audit_records_total", "Records of who read what");
    describe_counter!(
        "pmsgate_gateway_audit_lost_total",
        "Calls that left no record because too many waited"
    );
    describe_counter!("pmsgate_gateway_audit_failures_total", "Times that the disk did not take records");
    describe_gauge!("pmsgate_gateway_audit_waiting", "Records that wait to be written");
    describe_counter!("pmsgate_gateway_reloads_total", "Data files read again, by outcome");
    describe_gauge!("pmsgate_gateway_reload_refused", "1 while the last data files read again were refused");
    describe_gauge!(
        "pmsgate_gateway_upstream_up",
        "0 while an upstream is left alone because it fails, or its health check does"
    );
    describe_counter!("pmsgate_gateway_upstream_failures_total", "Requests that an upstream did not answer");
    describe_counter!("pmsgate_gateway_refusals_total", "Refusals and failures by rule");
    describe_counter!("pmsgate_gateway_token_cache_total", "Tokens judged, by whether the verdict was known");
    describe_gauge!(
        "pmsgate_gateway_shared_limits_up",
        "0 while the shared store of limits does not answer and every gateway limits by itself"
    );
    describe_counter!("pmsgate_gateway_jwks_failures_total", "Failed reads of the issuer's keys");
    describe_counter!("pmsgate_gateway_revocation_feed_breaks_total", "Breaks of the revocation feed");
    describe_gauge!(
        "pmsgate_gateway_revocation_fresh",
        "1 while the revocation feed is connected and caught up"
    );
    describe_gauge!("pmsgate_gateway_revocation_silence_seconds", "Since the last sign of the feed");
    describe_gauge!("pmsgate_gateway_revocation_entries", "Revocations in force");
    describe_counter!(
        "pmsgate_gateway_response_cache_total",
        "Reads by whether a kept answer served: hit, miss, collapsed (waited for another's miss), bypass"
    );
    describe_counter!(
        "pmsgate_gateway_response_cache_evictions_total",
        "Kept answers that had to make room for others"
    );
    describe_gauge!("pmsgate_gateway_response_cache_bytes", "Bytes of kept answers");
    describe_gauge!(
        "pmsgate_gateway_change_feed_fresh",
        "1 while an upstream's feed of changes is heard; without it no answer of its is kept"
    );
    describe_counter!("pmsgate_gateway_change_feed_breaks_total", "Breaks of a feed of changes");
}
