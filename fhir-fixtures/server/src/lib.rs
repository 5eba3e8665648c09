//! The product backend's HTTP: search, read, history, everything, for callers with a signed context.
//!
//! It answers nobody but gateways: every request except `/metadata` must carry a caller context that was signed for
//! exactly that method and target. What the caller may see is decided here, never by the gateway; an unknown product
//! and a hidden one take the same way to the same answer.
//!
//! Reads cost no database access while the feed of changes runs: heads of products are kept in memory as long as the
//! feed vouches for them, and each product's resources are filtered, rendered and written to bytes once for each
//! revision, column, FHIR version, and set of other products that the caller may hear of (none for most).

mod answer;
mod bundle;
mod call;
mod capability;
mod changes;
mod cursor;
mod date;
mod explain;
mod fault;
mod figures;
mod fingerprint;
mod heads;
mod include;
mod interaction;
mod merging;
mod outcome;
mod parameters;
mod router;
mod shape;
mod state;
mod totals;
mod views;

use std::sync::Arc;

use axum::Router;
use caller_context::ContextKey;
use config::ApiProducts;
use database::Database;
use fhir_model::access::AccessMatrix;
use http_service::Clock;

pub use self::{
    cursor::CursorKey,
    explain::{ExplainError, Explained, explain},
    heads::ChangeFeed,
    merging::MergeWorker,
};

/// What the backend is made from.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Page sizes, cache size, limits of merges.
    pub settings: config::Backend,
    /// The API products, their paths and operations.
    pub products: ApiProducts,
    /// The product database, migrated, its index made by `matrix` ([`fhir_store::ensure_current`]).
    pub database: Database,
    /// The access matrix.
    pub matrix: Arc<AccessMatrix>,
    /// Shared with the gateways.
    pub context_key: ContextKey,
    /// For page links; the same on all instances.
    pub cursor_key: CursorKey,
    /// The time.
    pub clock: Clock,
    /// Whether callers may ask for faults to learn from (`X-Sandbox-Fault`).
    pub sandbox: bool,
}

/// The backend: what answers, and what must run beside it.
#[derive(Clone, Debug)]
pub struct Backend {
    /// Answers requests, under the base paths of all products.
    pub router: Router,
    /// Keeps the memory true to the database; to be run once for each `Backend`.
    pub change_feed: ChangeFeed,
    /// Works off the queue of merges; to be run once for each `Backend`.
    pub merge_worker: MergeWorker,
}

/// Puts the backend together. Counters are registered here, so the metrics recorder must stand before.
pub fn build(parts: Parts) -> Backend {
    figures::describe();
    let Parts { settings, products, database, matrix, context_key, cursor_key, clock, sandbox } = parts;
    let heads = Arc::new(heads::Heads::new(database.clone()));
    let state = Arc::new(state::State {
        heads: Arc::clone(&heads),
        views: views::Views::new(database.clone(), matrix, settings.view_cache_bytes),
        totals: totals::Totals::default(),
        database,
        context_key,
        cursor_key,
        started_at: clock.now(),
        clock,
        parameter_texts: products.parameter_texts().clone(),
        sandbox,
        merging: merging::Merging::new(settings.merge.clone()),
        page_size: usize::try_from(settings.page_size).unwrap_or(20),
        max_page_size: usize::try_from(settings.max_page_size).unwrap_or(200),
    });
    let products: Vec<_> = products.iter().cloned().map(Arc::new).collect();
    Backend {
        router: router::router(&state, &products),
        change_feed: ChangeFeed::new(heads),
        merge_worker: MergeWorker::new(state),
    }
}
