//! `[database]`: where things are stored.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where things are stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseSection {
    /// `sqlite://PATH` or `postgres://USER:PASSWORD@HOST/NAME`. Default: `authz.db` and `products.db` in the data
    /// folder. With SQLite the products go into `products.db` beside the named file; with PostgreSQL both share the
    /// database.
    pub url: Option<String>,
    /// Connections: readers on SQLite, the whole pool on PostgreSQL.
    pub connections: u32,
}

impl Default for DatabaseSection {
    fn default() -> Self {
        Self { url: None, connections: 4 }
    }
}
