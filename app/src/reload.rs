//! SIGHUP: data files that a running gateway takes anew, after they were checked.

use std::sync::Arc;

use config::{Data, DataFiles};
use gateway::{Gateway, RateLimitRules};
use tokio_util::sync::CancellationToken;

/// Reads the limits again at every SIGHUP, tells the log what changed, and puts them in force. Files with a fault
/// change nothing.
pub(crate) async fn on_hang_up(gateway: Arc<Gateway>, data: Data, stop: CancellationToken) {
    let mut hang_ups = match http_service::hang_ups() {
        Ok(hang_ups) => hang_ups,
        Err(error) => {
            return tracing::error!(%error, "SIGHUP cannot be heard: limits change with a restart only");
        }
    };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            heard = hang_ups.recv() => if heard.is_none() { return },
        }
        match DataFiles::load(&data) {
            Ok(files) => {
                let changes = gateway.reload_limits(&RateLimitRules::new(&files.limits, &files.catalogue));
                tracing::info!(?changes, "data files read again, limits in force");
            }
            Err(error) => tracing::error!(%error, "data files read again and refused: nothing changed"),
        }
    }
}
