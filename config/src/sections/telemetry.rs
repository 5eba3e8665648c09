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
    /// The collector's address for traces (OpenTelemetry, OTLP/HTTP): `http://127.0.0.1:4318/v1/traces`. Default: there
    /// are no traces.
    pub traces_url: Option<String>,
    /// The share of traces that begin here and are kept, from 0 to 1; what a trusted proxy began is its own to decide.
    pub traces_sample: f64,
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
        Self {
            log: "info".to_owned(),
            log_format: LogFormat::Text,
            access_log: false,
            traces_url: None,
            traces_sample: 1.0,
        }
    }
}
