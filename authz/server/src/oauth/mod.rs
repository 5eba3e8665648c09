//! The protocol side: one file an endpoint, and what they share: reading a form, finding and checking credentials,
//! saying what went wrong.

mod authenticate;
pub(crate) mod authorize;
mod client_credentials_flow;
mod error;
pub(crate) mod feed;
mod form;
pub(crate) mod introspect;
pub(crate) mod jwks;
pub(crate) mod metadata;
pub(crate) mod possession;
mod presented_credentials;
mod request;
pub(crate) mod revoke;
pub(crate) mod token;
