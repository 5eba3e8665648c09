//! A sandbox's clock in processes without the authorization server: the gateway's or the backend's own.

use std::time::Duration;

use anyhow::Result;
use database::Database;
use tokio_util::sync::CancellationToken;

use crate::{House, house::Which};

/// How often it is looked at: a moved clock is in force within a second.
const EVERY: Duration = Duration::from_millis(250);

/// Follows what was set by command, else what is configured, until `stop`. While the authorization server's database is
/// not at hand the clock stays as configured.
pub(crate) async fn follow(house: House, stop: CancellationToken) {
    let mut database = None;
    loop {
        if let Err(error) = look(&house, &mut database).await {
            let error: &(dyn std::error::Error + 'static) = error.as_ref();
            tracing::debug!(error, "the sandbox's clock is not followed");
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
    if let Some(database) = database {
        database.close().await;
    }
}

async fn look(house: &House, database: &mut Option<Database>) -> Result<()> {
    if database.is_none() && house.has_database(Which::Authz) {
        *database = Some(house.connect(Which::Authz).await?);
    }
    if let Some(database) = database {
        let configured = time::Duration::seconds(house.settings.sandbox_clock.seconds);
        house.clock.set_offset(authz_server::sandbox_offset(database).await?.unwrap_or(configured));
    }
    Ok(())
}
