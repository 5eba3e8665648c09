//! SIGHUP: data files that a running gateway takes anew, after they were checked. (Certificates: `certificate`.)

use std::sync::Arc;

use access_token::DpopNonces;
use anyhow::Result;
use config::{DataFiles, Settings};
use gateway::{Addresses, AuditSettings, Gateway, GatewaySettings};
use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;

/// What a gateway's settings are made of but for the data files.
pub(crate) struct GatewaySource {
    pub(crate) settings: Settings,
    pub(crate) addresses: Addresses,
    pub(crate) feed_key: String,
    /// Where the record of who read what is kept, if it is.
    pub(crate) audit: Option<AuditSettings>,
    /// What makes the nonces that DPoP proofs must hold, if they must.
    pub(crate) dpop_nonces: Option<DpopNonces>,
}

impl GatewaySource {
    /// The settings with these data files.
    pub(crate) fn with(&self, files: &DataFiles) -> GatewaySettings {
        let settings = GatewaySettings::new(&self.settings, files, &self.addresses, self.feed_key.clone());
        GatewaySettings { audit: self.audit.clone(), dpop_nonces: self.dpop_nonces.clone(), ..settings }
    }
}

/// Has the gateway take the data files anew at every SIGHUP. Without a gateway in this process the signal is said to
/// have done nothing: it must not end a server.
pub(crate) async fn on_hang_up(
    mut hang_ups: Signal,
    gateway: Option<(Arc<Gateway>, GatewaySource)>,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            heard = hang_ups.recv() => if heard.is_none() { return },
        }
        if let Some((gateway, source)) = &gateway {
            let outcome = reload(gateway, source);
            gateway.tell_reload(outcome.is_ok());
            tell(outcome);
        } else {
            tracing::info!(
                "SIGHUP: of its files, this part reads certificates again and others at the start only"
            );
        }
    }
}

/// Reads the data files and puts them in force, all or none. Tells the changes, a line each.
fn reload(gateway: &Gateway, source: &GatewaySource) -> Result<Vec<String>> {
    let files = DataFiles::load(&source.settings.data)?;
    Ok(gateway.reload(source.with(&files))?)
}

fn tell(outcome: Result<Vec<String>>) {
    match outcome {
        Ok(changes) if changes.is_empty() => tracing::info!("data files read again: nothing changed"),
        Ok(changes) => {
            for change in &changes {
                tracing::info!(%change, "data files read again");
            }
            tracing::info!(changes = changes.len(), "data files read again and in force");
        }
        Err(error) => {
            tracing::error!(error = %format!("{error:#}"), "data files read again and refused: nothing changed");
        }
    }
}
