//! `[tokens]`: what the token endpoint hands out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Span;

/// What the token endpoint hands out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tokens {
    /// The issuer of tokens from `/oauth2/token`; tenants' tokens have `{issuer}/{tenant}/v2.0`. Default: the base URL.
    pub issuer: Option<String>,
    /// Tenant segments served at `/{tenant}/oauth2/v2.0/token`; the first is the `tid` of tokens from `/oauth2/token`.
    pub tenants: Vec<String>,
    /// Signature algorithm of new tokens.
    pub algorithm: TokenAlgorithm,
    /// How long a token lives; never past its secret's expiry.
    pub lifetime: Span,
    /// Whether DPoP proofs must hold a nonce of ours, at the token endpoint and at gateways: then none can be made ahead of
    /// time by somebody who has a client's key for a moment. Costs clients one more request every few minutes.
    pub dpop_nonces: bool,
    /// How old a signing key gets before the next one takes over.
    pub key_rotation: Span,
    /// How long the next key is published before it signs. At least twice `key_set_max_age`.
    pub key_lead: Span,
    /// How long verifiers may keep the published key set.
    pub key_set_max_age: Span,
}

/// Signature algorithm of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TokenAlgorithm {
    /// ECDSA P-256.
    #[serde(rename = "ES256")]
    Es256,
    /// RSA PKCS#1 v1.5, 2,048 bits.
    #[serde(rename = "RS256")]
    Rs256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl TokenAlgorithm {
    /// The JOSE name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            issuer: None,
            tenants: vec!["6f0c1d4e-3b52-4c8a-9d27-5e8a1b7c9f30".to_owned()],
            algorithm: TokenAlgorithm::Es256,
            lifetime: Span::seconds(3600),
            dpop_nonces: false,
            key_rotation: Span::days(90),
            key_lead: Span::seconds(3600),
            key_set_max_age: Span::seconds(300),
        }
    }
}
