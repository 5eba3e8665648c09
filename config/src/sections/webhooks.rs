//! `[webhooks]`: telling other systems what happens.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Network, Span};

/// Telling other systems what happens (Standard Webhooks). People set webhooks up in the portal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Webhooks {
    /// Private, loopback or otherwise internal networks that may be called all the same, for example `10.20.0.0/16`.
    /// Default: none, so that nobody can make this server call its neighbours.
    pub allowed_networks: Vec<Network>,
    /// How long one call may take.
    pub timeout: Span,
}

impl Default for Webhooks {
    fn default() -> Self {
        Self { allowed_networks: Vec::new(), timeout: Span::seconds(15) }
    }
}
