//! What every request shares.

use std::sync::Arc;

use caller_context::ContextKey;
use config::ParameterTexts;
use database::Database;
use http_service::Clock;
use time::OffsetDateTime;

use crate::{cursor::CursorKey, heads::Heads, merging::Merging, totals::Totals, views::Views};

/// Shared by all requests of all products.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) database: Database,
    pub(crate) heads: Arc<Heads>,
    pub(crate) views: Views,
    pub(crate) totals: Totals,
    pub(crate) context_key: ContextKey,
    pub(crate) cursor_key: CursorKey,
    pub(crate) clock: Clock,
    /// What merges share.
    pub(crate) merging: Merging,
    /// What the CapabilityStatement says about search parameters.
    pub(crate) parameter_texts: ParameterTexts,
    /// Whether callers may ask for faults.
    pub(crate) sandbox: bool,
    /// Entries on a page when `_count` is not given.
    pub(crate) page_size: usize,
    /// Most entries on a page.
    pub(crate) max_page_size: usize,
    /// When this server was put together.
    pub(crate) started_at: OffsetDateTime,
}
