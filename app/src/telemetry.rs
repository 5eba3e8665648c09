//! Log records: to standard error, as text or JSON.

use std::io::IsTerminal as _;

use anyhow::{Result, anyhow};
use config::{LogFormat, Telemetry};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// Which records are written.
pub(crate) fn filter(settings: &Telemetry) -> Result<EnvFilter> {
    EnvFilter::builder().parse(&settings.log).map_err(|error| {
        anyhow!(config::ConfigError::Inconsistent {
            key: "telemetry.log".to_owned(),
            problem: error.to_string()
        })
    })
}

/// Installs the process's log writer. A second call (tests in one process) changes nothing.
pub(crate) fn install(settings: &Telemetry) -> Result<()> {
    let filter = filter(settings)?;
    let registry = tracing_subscriber::registry().with(filter);
    let installed = match settings.log_format {
        LogFormat::Text => registry
            .with(fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal()))
            .try_init(),
        LogFormat::Json => registry.with(fmt::layer().json().with_writer(std::io::stderr)).try_init(),
    };
    // Err: somebody installed one before us, who then writes what we say.
    drop(installed);
    Ok(())
}
