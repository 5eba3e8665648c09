//! What the server does by itself: sends messages, calls webhooks, reminds of what ends, expires requests, forgets what
//! lapsed.
//!
//! Every job takes no input, is idempotent, and runs on a timer and when nudged.

mod call_webhooks;
mod deliver_messages;
mod forget_lapsed;
mod request_deadlines;
mod watch_expiry;

use std::{sync::Arc, time::Duration};

use http_service::periodically;
use tokio_util::task::TaskTracker;

use crate::{mail::transport::Transport, state::State, use_cases::UseCases, webhook_call::Caller};

/// How often the outbox is looked at without being nudged: other processes put messages in, too.
const DELIVER_EVERY: Duration = Duration::from_millis(500);
/// How often deadlines are looked at.
const DEADLINES_EVERY: Duration = Duration::from_mins(10);
/// How often webhooks are looked after without being nudged.
const WEBHOOKS_EVERY: Duration = Duration::from_secs(1);
/// How often secrets that end are looked for, and figures told.
const WATCH_EVERY: Duration = Duration::from_secs(30);
/// How often lapsed rows are removed.
const FORGET_EVERY: Duration = Duration::from_mins(30);

/// One round of sending, for who cannot wait.
pub(crate) async fn deliver_now(state: &Arc<State>) {
    let portal = &state.settings.portal;
    match Transport::new(&portal.mail, &portal.text_messages) {
        Ok(transport) => deliver_messages::run(Arc::clone(state), Arc::new(transport)).await,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "no mail can be sent: see [mail]");
        }
    }
}

/// One round of calling webhooks, for who cannot wait.
pub(crate) async fn call_webhooks_now(state: &Arc<State>) {
    match Caller::new(&state.settings.webhooks) {
        Ok(caller) => call_webhooks::run(Arc::clone(state), Arc::new(caller)).await,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "no webhook can be called");
        }
    }
}

/// Starts them all.
pub(crate) fn spawn(state: &Arc<State>, tasks: &TaskTracker) {
    let portal = &state.settings.portal;
    match Transport::new(&portal.mail, &portal.text_messages) {
        Ok(transport) => {
            let (state, transport) = (Arc::clone(state), Arc::new(transport));
            tasks.spawn(async move {
                periodically(DELIVER_EVERY, &state.portal.deliver, &state.stop, || {
                    deliver_messages::run(Arc::clone(&state), Arc::clone(&transport))
                })
                .await;
            });
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "no mail can be sent: see [mail]");
        }
    }
    let deadlines = Arc::clone(state);
    tasks.spawn(async move {
        let nudge = tokio::sync::Notify::new();
        periodically(DEADLINES_EVERY, &nudge, &deadlines.stop, || {
            request_deadlines::run(UseCases::of(Arc::clone(&deadlines)))
        })
        .await;
    });
    match Caller::new(&state.settings.webhooks) {
        Ok(caller) => {
            let (state, caller) = (Arc::clone(state), Arc::new(caller));
            tasks.spawn(async move {
                periodically(WEBHOOKS_EVERY, &state.nudges.webhooks, &state.stop, || {
                    call_webhooks::run(Arc::clone(&state), Arc::clone(&caller))
                })
                .await;
            });
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "no webhook can be called");
        }
    }
    let (watching, shown) = (Arc::clone(state), Arc::new(watch_expiry::Shown::default()));
    tasks.spawn(async move {
        periodically(WATCH_EVERY, &watching.nudges.expiry, &watching.stop, || {
            watch_expiry::run(Arc::clone(&watching), Arc::clone(&shown))
        })
        .await;
    });
    let forgetting = Arc::clone(state);
    tasks.spawn(async move {
        let nudge = tokio::sync::Notify::new();
        periodically(FORGET_EVERY, &nudge, &forgetting.stop, || forget_lapsed::run(Arc::clone(&forgetting)))
            .await;
    });
}
