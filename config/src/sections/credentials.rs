//! `[credentials]`: the life of a client secret.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Lifetime, Span};

/// The life of a client secret (EU IG PMS Chapter 1 §3.2.1.1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Credentials {
    /// From assignment to expiry. The seeds say two years.
    pub lifetime: Lifetime,
    /// How long an old secret works beside its successor, never past its own expiry.
    pub overlap: Span,
    /// Clients that one organisation may have.
    pub clients_per_organisation: u32,
}

impl Default for Credentials {
    fn default() -> Self {
        Self { lifetime: Lifetime::Years(2), overlap: Span::days(30), clients_per_organisation: 50 }
    }
}
