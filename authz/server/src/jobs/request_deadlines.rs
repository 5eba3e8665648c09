//! Reminds reviewers of requests that wait, and ends those that waited too long.

use crate::use_cases::UseCases;

/// One round.
pub(super) async fn run(acts: UseCases) {
    if let Err(error) = acts.keep_request_deadlines().await {
        tracing::error!(error = &error as &dyn std::error::Error, "deadlines of requests are not kept");
    }
}
