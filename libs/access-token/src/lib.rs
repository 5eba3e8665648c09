//! The contract between authz and gateway: claims, scopes, signing and verification keys, revocations.
//!
//! Pure: no network, no clock (`now` is a parameter). The authorization server signs with a key parsed once and
//! kept; the gateway verifies with public keys parsed once and kept. Both sides know only this crate of each other.

mod algorithm;
mod claims;
mod jwk;
mod revocation;
mod scope;
mod signing;
mod verification;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use claims::{AccessTokenClaims, TOKEN_TYPE};
pub use jwk::{Jwk, JwkSet};
pub use revocation::{FeedLine, Revocation, RevocationSubject};
pub use scope::{
    AdministrationScope, MalformedScope, Permission, Permissions, ResourcePattern, Scope, SystemScope,
};
pub use signing::{KeyError, SigningKey};
pub use verification::{
    Expected, TokenError, TokenHeader, VerificationKey, install_crypto_provider, peek_header, verify,
};
