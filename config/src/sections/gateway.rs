//! `[gateway]`: whom the gateway trusts, where it forwards, and its limits.

use std::{collections::BTreeMap, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Span;

/// Whom the gateway trusts, where it forwards, and its limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Gateway {
    /// The authorization server as the gateway reaches it: keys and revocations. Default: the base URL.
    pub authz_url: Option<String>,
    /// The product backend as the gateway reaches it. In `serve all` it is found without this.
    pub backend_url: String,
    /// PEM file of certificate authorities trusted for `authz_url`, besides the public ones. Default: the
    /// development CA, when there is one.
    pub ca_file: Option<PathBuf>,
    /// Tolerated difference between our clock and the issuer's.
    pub clock_skew: Span,
    /// Verified tokens that are remembered until they expire.
    pub token_cache: u64,
    /// How long a fetched key set counts as fresh.
    pub key_set_max_age: Span,
    /// Shortest time between two fetches that unknown key ids cause.
    pub key_set_cool_down: Span,
    /// What happens when the revocation feed is silent for longer than `feed_timeout`.
    pub feed_loss: FeedLoss,
    /// Silence after which the revocation feed counts as lost.
    pub feed_timeout: Span,
    /// Time to connect to an upstream.
    pub connect_timeout: Span,
    /// Time to the first byte of an upstream's answer.
    pub answer_timeout: Span,
    /// Time for an upstream's whole answer.
    pub total_timeout: Span,
    /// Requests in flight to upstreams, for each worker; more are told to come back.
    pub max_in_flight: usize,
    /// Largest request body in bytes.
    pub max_body: u64,
    /// Bytes of answers to reads that are kept and given again to callers of the same class while the backend's data
    /// does not change. 0: none are.
    pub response_cache_bytes: u64,
    /// Bytes of the longest body that is kept.
    pub response_cache_entry_bytes: u64,
    /// After this an answer is asked for again although nothing is known to have changed.
    pub response_cache_max_age: Span,
    /// Valkey or Redis, in which several gateways keep what clients have used up of their limits: `redis://…`, or
    /// `rediss://…` for TLS. Default: every gateway limits by itself.
    pub limits_url: Option<String>,
    /// How long a request waits for it; after that the gateway limits by itself.
    pub limits_timeout: Span,
    /// How upstreams are spoken to, by their host and port: `[gateway.upstreams."fhir.example:8443"]`. An upstream whose
    /// address begins with `https://` needs nothing here when this machine trusts its certificate.
    pub upstreams: BTreeMap<String, Upstream>,
}

/// How one upstream is spoken to. Files are taken anew when they change and at SIGHUP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Upstream {
    /// PEM file of the certificate authorities that may vouch for it, and no others. Default: those that this machine
    /// trusts.
    pub ca_file: Option<PathBuf>,
    /// PEM file of our certificate chain, for an upstream that asks for one (mutual TLS).
    pub certificate_file: Option<PathBuf>,
    /// PEM file of the private key to it.
    pub key_file: Option<PathBuf>,
    /// The name that its certificate must be for. Default: the host of its address.
    pub server_name: Option<String>,
    /// Whether HTTP/2 is spoken to it.
    pub http2: Http2,
}

/// Whether HTTP/2 is spoken to an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Http2 {
    /// Over TLS when the upstream wants it, too (ALPN); without TLS never.
    #[default]
    Negotiated,
    /// Always, also without TLS: it is known that the upstream speaks it.
    PriorKnowledge,
    /// Never.
    Never,
}

/// What a gateway does while it does not know what was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FeedLoss {
    /// Goes on with what it knows, and raises an alarm.
    Open,
    /// Refuses everybody with 503, and raises an alarm.
    Closed,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            authz_url: None,
            backend_url: "http://127.0.0.1:8081".to_owned(),
            ca_file: None,
            clock_skew: Span::seconds(60),
            token_cache: 100_000,
            key_set_max_age: Span::seconds(300),
            key_set_cool_down: Span::seconds(5),
            feed_loss: FeedLoss::Open,
            feed_timeout: Span::seconds(3),
            connect_timeout: Span::seconds(2),
            answer_timeout: Span::seconds(30),
            total_timeout: Span::seconds(60),
            max_in_flight: 1024,
            max_body: 10 * 1024 * 1024,
            response_cache_bytes: 0,
            response_cache_entry_bytes: 256 * 1024,
            response_cache_max_age: Span::seconds(300),
            limits_url: None,
            limits_timeout: Span::millis(50),
            upstreams: BTreeMap::new(),
        }
    }
}
