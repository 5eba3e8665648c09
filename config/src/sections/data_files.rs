//! `[data]`: files that replace the data compiled in.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Files that replace the data compiled in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Data {
    /// The API products and their operations.
    pub products: Option<PathBuf>,
    /// The roles and what they give.
    pub catalogue: Option<PathBuf>,
    /// How often clients may call.
    pub limits: Option<PathBuf>,
    /// The access-level matrix.
    pub access_levels: Option<PathBuf>,
}
