//! `[backend.merge]`: what is answered at once, what waits, and how long outcomes are kept.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Span;

/// Writing products (`$merge`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Merge {
    /// Most entries of a merge that is answered at once; one with more waits in the queue.
    pub prompt_entries: usize,
    /// Most bytes of a merge that is answered at once.
    pub prompt_bytes: usize,
    /// Most bytes of a merge that is taken at all.
    pub max_bytes: usize,
    /// Merges of one client that may wait; more are answered with 429.
    pub waiting_per_client: u32,
    /// Merges that may wait in all; more are answered with 503.
    pub waiting: u32,
    /// How long the outcome of a merge that waited can be asked for.
    pub outcome_lifetime: Span,
    /// How long an `Idempotency-Key` is remembered.
    pub key_lifetime: Span,
    /// How often the queue is looked into for merges that another instance put there.
    pub poll: Span,
}

impl Default for Merge {
    fn default() -> Self {
        Self {
            prompt_entries: 50,
            prompt_bytes: 512 * 1024,
            max_bytes: 10 * 1024 * 1024,
            waiting_per_client: 100,
            waiting: 10_000,
            outcome_lifetime: Span::days(90),
            key_lifetime: Span::days(1),
            poll: Span::millis(500),
        }
    }
}
