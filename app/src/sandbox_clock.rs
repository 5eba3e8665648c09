//! A sandbox's clock in processes without the authorization server: the gateway's or the backend's own.

use std::time::Duration;

use database::Database;
use http_service::Clock;
use tokio_util::sync::CancellationToken;

/// How often it is looked at: a moved clock is in force within a second.
const EVERY: Duration = Duration::from_millis(250);

/// Follows what was set by command, else what is configured, until `stop`.
pub(crate) async fn follow(
    database: Database,
    clock: Clock,
    configured: time::Duration,
    stop: CancellationToken,
) {
    loop {
        match authz_server::sandbox_offset(&database).await {
            Ok(offset) => clock.set_offset(offset.unwrap_or(configured)),
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "the sandbox's clock is not followed"
                );
            }
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
    database.close().await;
}
