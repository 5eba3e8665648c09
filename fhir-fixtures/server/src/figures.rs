//! What the figures of the product backend mean, for who reads `/metrics`.

use metrics::{describe_counter, describe_gauge, describe_histogram};

/// Describes each. The process's recorder must be installed before.
pub(crate) fn describe() {
    describe_counter!("pmsgate_backend_requests_total", "Answers of the product backend");
    describe_histogram!("pmsgate_backend_request_seconds", "Time until the head of its answer, in seconds");
    describe_counter!("pmsgate_merges_total", "Merges decided, by outcome");
    describe_gauge!("pmsgate_merge_queue_length", "Merges that wait in the queue");
    describe_gauge!("pmsgate_merge_queue_age_seconds", "For how long the first of them has waited");
    describe_histogram!("pmsgate_merge_wait_seconds", "For how long each merge waited before it was decided");
}
