//! `[audit]`: the record of who read what, kept by the gateway.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The record of who read what, kept by the gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// Whether every call of a known client leaves a record: who, what, how much was withheld.
    pub reads: bool,
    /// The folder of the records. Default: `reads` in the data folder.
    pub reads_dir: Option<PathBuf>,
    /// Bytes after which another file is begun.
    pub file_size: u64,
    /// Records that may wait to be written.
    pub queue: usize,
    /// What happens to calls while there is no place for their record.
    pub when_full: WhenFull,
}

/// What happens to calls while there is no place for their record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WhenFull {
    /// They are answered and leave none; how many is counted, in the trail, too.
    Drop,
    /// They are refused with 503: nothing is disclosed without a record.
    Refuse,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            reads: true,
            reads_dir: None,
            file_size: 64 * 1024 * 1024,
            queue: 10_000,
            when_full: WhenFull::Drop,
        }
    }
}
