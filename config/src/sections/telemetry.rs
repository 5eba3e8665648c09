//! `[telemetry]`: what the program tells about itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the program tells about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// Which records are written: a level (`error`, `warn`, `info`, `debug`, `trace`) or a filter like
    /// `info,gateway=debug`.
    pub log: String,
    /// The form of log records.
    pub log_format: LogFormat,
    /// One line a request (target `access`).
    pub access_log: bool,
}

/// The form of log records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { log: "info".to_owned(), log_format: LogFormat::Text, access_log: false }
    }
}
