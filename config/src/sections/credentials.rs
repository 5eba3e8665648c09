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
    /// How a new secret reaches its technical contact by mail.
    pub delivery: Delivery,
    /// How long a mailed link to a new secret works.
    pub link_lifetime: Span,
    /// Whether people may still renew credentials in the portal when the secret has expired. The command line may always.
    pub renewal_after_expiry: bool,
}

/// How a new secret reaches its technical contact by mail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// The secret stands in the mail, as the seeds have it.
    #[default]
    Inline,
    /// The mail has a link; whoever opens it and presses the button is shown the secret, once.
    OneTimeLink,
}

impl Default for Credentials {
    fn default() -> Self {
        Self {
            lifetime: Lifetime::Years(2),
            overlap: Span::days(30),
            clients_per_organisation: 50,
            delivery: Delivery::Inline,
            link_lifetime: Span::days(7),
            renewal_after_expiry: true,
        }
    }
}
