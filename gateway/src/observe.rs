//! What operators see: counters and durations per product and operation, registered once so that a request only
//! adds to them.

use std::time::Duration;

use http::StatusCode;
use metrics::{Counter, Histogram, counter, describe_counter, describe_gauge, describe_histogram, histogram};

use crate::routes::{Operation, Product, Routes};

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

    /// A request was refused by a rule, or failed by one.
    pub fn refused(&self, rule: &'static str) {
        // Looked up by name: refusals are not the hot path, and the rules are few.
        counter!("pmsgate_gateway_refusals_total", "rule" => rule).increment(1);
    }
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
    describe_gauge!(
        "pmsgate_gateway_revocation_silence_seconds",
        "Between the last two signs of the feed, or since the last one while it is broken"
    );
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
