//! The contract between authz and gateway: claims, scopes, signing and verification keys, what clients sign to prove
//! themselves, revocations.
//!
//! Pure: no network, no clock (`now` is a parameter). The authorization server signs with a key parsed once and
//! kept; the gateway verifies with public keys parsed once and kept. Both sides know only this crate of each other.

mod algorithm;
mod claims;
mod confirmation;
mod dpop;
mod jwk;
mod jws;
mod nonce;
mod public_key;
mod replay;
mod revocation;
mod scope;
mod signing;
#[cfg(feature = "testing")]
pub mod testing;
mod verification;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use claims::{AccessTokenClaims, TOKEN_TYPE};
pub use confirmation::{Confirmation, authentication_methods};
pub use dpop::{
    DPOP_AGE, DPOP_AHEAD, DPOP_HEADER, DPOP_NONCE_HEADER, DpopProof, DpopRefused, DpopRequest, token_hash,
};
pub use jwk::{Jwk, JwkSet};
pub use jws::{Jws, MalformedJws};
pub use nonce::DpopNonces;
pub use public_key::{ProofAlgorithm, PublicKey, UnfitKey};
pub use replay::SeenProofs;
pub use revocation::{FeedLine, Revocation, RevocationSubject};
pub use scope::{
    AdministrationScope, MalformedScope, Permission, Permissions, ResourcePattern, Scope, SystemScope,
};
pub use signing::{KeyError, SigningKey};
pub use verification::{
    Expected, TokenError, TokenHeader, VerificationKey, install_crypto_provider, peek_header, verify,
};
