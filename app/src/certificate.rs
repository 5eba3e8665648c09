//! The certificate of the public listener: read at the start, and anew when its files change or SIGHUP asks for it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use http_service::{Certificate, ClientCertificates, WatchedFiles};
use time::OffsetDateTime;
use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;

/// The certificate that is shown, and the files it comes from.
pub(crate) struct ShownCertificate {
    shown: Arc<Certificate>,
    files: WatchedFiles,
}

impl ShownCertificate {
    /// Reads a chain and its key.
    pub(crate) fn read(chain: PathBuf, key: PathBuf) -> Result<Self> {
        let name = chain.display().to_string();
        let files = WatchedFiles::new(vec![chain, key]);
        let [chain, key] = &*files.contents()? else { unreachable!("two files were asked for") };
        let shown = Certificate::new(chain, key).context(name)?;
        Ok(Self { shown, files })
    }

    /// What the listener needs.
    pub(crate) fn server_config(&self, callers: ClientCertificates) -> Result<Arc<rustls::ServerConfig>> {
        Ok(self.shown.server_config(callers)?)
    }

    /// Shows what is in the files whenever that changed. What cannot be used is refused, and what was shown stays.
    pub(crate) async fn follow(self, every: Duration, hang_ups: Signal, stop: CancellationToken) {
        let Self { shown, files } = self;
        files.follow(every, hang_ups, stop, |files| tell(files, replace(&shown, files))).await;
    }
}

fn replace(shown: &Certificate, files: &WatchedFiles) -> Result<OffsetDateTime> {
    let [chain, key] = &*files.contents()? else { unreachable!("two files were asked for") };
    // The system's time and not the house's: a sandbox may be ahead, but no client of it is.
    Ok(shown.replace(chain, key, OffsetDateTime::now_utc())?)
}

fn tell(files: &WatchedFiles, outcome: Result<OffsetDateTime>) {
    let file = files.paths().first().map(|path| path.display().to_string());
    match outcome {
        Ok(until) => {
            tracing::info!(file, valid_until = %until, "certificate read again and shown from now on");
        }
        Err(error) => {
            tracing::error!(file, error = %format!("{error:#}"), "certificate read again and refused: the one before stays");
        }
    }
}
