//! Tells webhooks what happened: puts messages down as the trail grows, and calls until they are taken or given up.

use std::sync::Arc;

use authz_domain::{MessageSecret, next_try};
use authz_store::{webhooks, webhooks::Delivery};
use time::Duration;

use crate::{
    entropy::entropy,
    state::State,
    use_cases::{UseCaseError, UseCases},
    webhook_call::{Caller, Outcome},
};

/// How long a claimed message is nobody else's: longer than any call.
const LEASE: Duration = Duration::minutes(5);
/// Calls at the same time.
const AT_ONCE: usize = 8;

/// One round: until nothing is due.
pub(super) async fn run(state: Arc<State>, caller: Arc<Caller>) {
    let acts = UseCases::of(Arc::clone(&state));
    loop {
        match acts.tell_webhooks().await {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "webhooks are not told");
                break;
            }
        }
    }
    loop {
        // A slow receiver holds up one of the calls, not all.
        let calls = (0..AT_ONCE).map(|_| one(&state, &caller));
        let done = futures_util::future::join_all(calls).await;
        for error in done.iter().filter_map(|one| one.as_ref().err()) {
            tracing::error!(error = error as &dyn std::error::Error, "messages to webhooks are not read");
        }
        if !done.iter().any(|one| matches!(one, Ok(true))) {
            return;
        }
    }
}

/// Makes one call. Whether a message was due.
async fn one(state: &State, caller: &Caller) -> Result<bool, UseCaseError> {
    let now = state.clock.now();
    if !webhooks::is_due(&mut state.database.read().await?.db(), now).await? {
        return Ok(false);
    }
    let mut work = state.database.begin().await?;
    let claimed = webhooks::claim_due(&mut work.db(), now, LEASE).await?;
    work.commit().await?;
    let Some(message) = claimed else { return Ok(false) };
    let outcome = call(state, caller, &message).await?;
    let now = state.clock.now();
    let mut work = state.database.begin().await?;
    let mut db = work.db();
    let outcome_word = match outcome {
        Outcome::Taken => {
            webhooks::mark_delivered(&mut db, &message.id, now).await?;
            "taken"
        }
        Outcome::Gone => {
            webhooks::set_active(&mut db, &message.webhook, false).await?;
            webhooks::mark_failed(&mut db, &message.id, "answered 410: it wants no more", None, now).await?;
            tracing::warn!(webhook = message.webhook, "a webhook wants no more messages and was stopped");
            "gone"
        }
        Outcome::Failed(failure) => {
            let pause = next_try(message.tries, u16::from_be_bytes(entropy()?));
            webhooks::mark_failed(&mut db, &message.id, &failure, pause.map(|pause| now + pause), now)
                .await?;
            let (id, tries) = (&message.id, message.tries);
            tracing::warn!(id, tries, failure, given_up = pause.is_none(), "a webhook was not told");
            "failed"
        }
    };
    work.commit().await?;
    metrics::counter!("pmsgate_webhook_calls_total", "outcome" => outcome_word).increment(1);
    Ok(true)
}

async fn call(state: &State, caller: &Caller, message: &Delivery) -> Result<Outcome, UseCaseError> {
    let found = webhooks::find(&mut state.database.read().await?.db(), &message.webhook).await?;
    let Some(webhook) = found else { return Ok(Outcome::Failed("it is gone".to_owned())) };
    let secret = MessageSecret::from_bytes(&state.keys.open_for(&webhook.id, &webhook.sealed)?);
    Ok(caller.call(&webhook.url, &secret, &message.id, &message.body, state.clock.unmoved()).await)
}
