//! `[backend]`: the product backend.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Merge;

/// The product backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Backend {
    /// Where `serve backend` listens. Loopback only: it answers nobody but gateways.
    pub address: SocketAddr,
    /// Entries on a page when `_count` is not given.
    pub page_size: u32,
    /// Most entries on a page.
    pub max_page_size: u32,
    /// Bytes of prepared answers that are kept.
    pub view_cache_bytes: u64,
    /// Writing products.
    pub merge: Merge,
}

impl Default for Backend {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 8081)),
            page_size: 20,
            max_page_size: 200,
            view_cache_bytes: 16 * 1024 * 1024,
            merge: Merge::default(),
        }
    }
}
