//! Sends what waits in the outbox: at least once, with a stable Message-ID, ever more rarely after failures.

use std::sync::Arc;

use authz_store::{outbox, outbox::OutboxMessage};
use time::Duration;

use crate::{
    mail::{Message, transport::Transport},
    state::State,
    use_cases::UseCaseError,
};

/// How long a claimed message is nobody else's.
const LEASE: Duration = Duration::minutes(2);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::hours(1);

/// Sends until nothing is due.
pub(super) async fn run(state: Arc<State>, transport: Arc<Transport>) {
    loop {
        match one(&state, &transport).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the outbox is not read");
                return;
            }
        }
    }
}

/// Sends one message. Whether there was one.
async fn one(state: &State, transport: &Transport) -> Result<bool, UseCaseError> {
    let now = state.clock.now();
    // Reading is cheap; only when something waits a unit of work is opened.
    if outbox::waiting(&mut state.database.read().await?.db()).await?.0 == 0 {
        metrics::gauge!("pmsgate_outbox_waiting").set(0.0);
        return Ok(false);
    }
    let mut work = state.database.begin().await?;
    let claimed = outbox::claim_due(&mut work.db(), now, LEASE).await?;
    work.commit().await?;
    let Some(claimed) = claimed else { return Ok(false) };
    let outcome = send(state, transport, &claimed).await;
    let mut work = state.database.begin().await?;
    match outcome {
        Ok(()) => {
            outbox::mark_sent(&mut work.db(), &claimed.id, now).await?;
            metrics::counter!("pmsgate_messages_sent_total").increment(1);
        }
        Err(failure) => {
            let doubled = Duration::seconds(15) * (1_i32 << claimed.tries.clamp(0, 12));
            let pause = doubled.min(LONGEST_PAUSE);
            outbox::mark_failed(&mut work.db(), &claimed.id, &failure, now + pause).await?;
            metrics::counter!("pmsgate_messages_failed_total").increment(1);
            tracing::warn!(
                id = claimed.id,
                notice = claimed.notice,
                tries = claimed.tries,
                failure,
                "a message was not sent"
            );
        }
    }
    work.commit().await?;
    Ok(true)
}

/// Opens and sends one. The failure's text holds nothing personal.
async fn send(state: &State, transport: &Transport, claimed: &OutboxMessage) -> Result<(), String> {
    let sealed = claimed.sealed.as_deref().ok_or("the message is empty")?;
    let opened = state.keys.open_for(&claimed.id, sealed).map_err(|error| error.to_string())?;
    let message: Message =
        serde_json::from_slice(&opened).map_err(|_| "the message cannot be read".to_owned())?;
    let now = state.clock.now();
    let sent = match claimed.channel.as_str() {
        "text" => transport.text(&claimed.id, &message, now).await,
        _ => transport.mail(&claimed.id, &message, now).await,
    };
    sent.map_err(|error| {
        tracing::debug!(error = &error as &dyn std::error::Error, "sending failed");
        error.to_string()
    })
}
