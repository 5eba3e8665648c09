//! Removes what lapsed: sessions, registrations, one-time tokens, used assertions, sent messages.

use std::sync::Arc;

use authz_store::{
    credential_links, one_time_tokens, outbox, registrations, sessions, used_assertions, webhooks,
};
use database::DatabaseError;
use time::Duration;

use crate::state::State;

/// How long lapsed tokens are kept: they count towards the limit of an hour.
const TOKENS_KEPT: Duration = Duration::hours(2);
/// How long the empty rows of sent messages are kept.
const SENT_KEPT: Duration = Duration::days(30);

/// One round.
pub(super) async fn run(state: Arc<State>) {
    if let Err(error) = forget(&state).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "lapsed rows are not removed");
    }
}

async fn forget(state: &State) -> Result<(), DatabaseError> {
    let (now, portal) = (state.clock.now(), &state.settings.portal);
    let mut work = state.database.begin().await?;
    let mut db = work.db();
    sessions::forget_lapsed(&mut db, now - portal.session_idle, now - portal.session_lifetime).await?;
    registrations::forget_lapsed(&mut db, now).await?;
    one_time_tokens::forget_before(&mut db, now - TOKENS_KEPT).await?;
    credential_links::forget_before(&mut db, now).await?;
    used_assertions::forget_dead(&mut db, now).await?;
    outbox::forget_sent(&mut db, now - SENT_KEPT).await?;
    webhooks::forget_delivered(&mut db, now - SENT_KEPT).await?;
    work.commit().await
}
