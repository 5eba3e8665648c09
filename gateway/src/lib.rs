//! The FHIR gateway: understands a request, authenticates and authorises it, forwards it sealed, rewrites the answer.
//!
//! [`pipeline`] shows the order of work; [`plan`] holds what it goes by and is replaced as a whole. What decides is pure ([`fhir_request`], [`authorize`], [`framing`]); what
//! waits is apart ([`keys`], [`revocation`], [`rate_limit`], [`upstream`]); every refusal becomes an OperationOutcome at one edge
//! ([`outcome`]). The gateway knows the authorization server by its published keys and its revocation feed only,
//! and the backend by HTTP only; it has no database.
//!
//! To add an operation: an entry in `config/products.toml`. To add a rule: a variant in the error of the step that
//! knows it; the compiler then asks for its words in [`outcome`].

mod at_hand;
pub mod audit;
pub mod authenticate;
pub mod authorize;
pub mod caller;
pub mod capability;
pub mod compress;
pub mod enforce;
pub mod error;
pub mod explain;
mod feed;
pub mod fhir_request;
pub mod framing;
pub mod keys;
pub mod observe;
pub mod openapi;
pub mod outcome;
pub mod pipeline;
pub mod plan;
mod possession;
pub mod rate_limit;
mod response_cache;
pub mod revocation;
pub mod routes;
pub mod settings;
pub mod state;
pub mod swagger;
pub mod upstream;
pub mod worker;

#[doc(hidden)]
pub mod testing;

pub use explain::{Asker, Explained, explain};
pub use routes::RouteTableError;
pub use settings::{
    Addresses, AuditSettings, GatewaySettings, Http2, Limits, ProductSettings, RateLimitRules,
    RateLimitSettings, ResponseCacheSettings, RevocationSettings, SharedStoreSettings, UpstreamSettings,
};
pub use state::{Gateway, UnfitSettings};
pub use worker::GatewayWorker;
