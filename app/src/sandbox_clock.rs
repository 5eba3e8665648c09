//! A sandbox's clock in processes without the authorization server: they ask it how far its clock is moved.

use std::time::Duration;

use anyhow::{Context as _, Result};
use http_service::Clock;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

/// How often it is asked: a moved clock is in force within a second.
const EVERY: Duration = Duration::from_millis(250);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// What `/sandbox/clock` answers, of which only this matters.
#[derive(Deserialize)]
struct Answer {
    offset_seconds: i64,
}

/// Follows the clock that `url` tells, until `stop`. While nobody answers the clock stays where it is; that is said once,
/// because what is moved meanwhile is not in force here.
pub(crate) async fn follow(clock: Clock, url: String, client: reqwest::Client, stop: CancellationToken) {
    let mut follows = true;
    loop {
        match ask(&client, &url).await {
            Ok(offset) => {
                clock.set_offset(offset);
                if !follows {
                    tracing::info!(url, "the sandbox's clock is followed again");
                }
                follows = true;
            }
            Err(error) => {
                if follows {
                    let error: &(dyn std::error::Error + 'static) = error.as_ref();
                    tracing::warn!(
                        url,
                        error,
                        "the sandbox's clock is not followed: `clock set` has no effect here until the authorization \
                         server answers; is gateway.authz_url right?"
                    );
                }
                follows = false;
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn ask(client: &reqwest::Client, url: &str) -> Result<time::Duration> {
    let answer = client.get(url).timeout(PATIENCE).send().await?.error_for_status()?;
    let answer: Answer =
        serde_json::from_slice(&answer.bytes().await?).context("no answer of an authorization server")?;
    Ok(time::Duration::seconds(answer.offset_seconds))
}
