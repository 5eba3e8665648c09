//! `[client_keys]`: by what clients prove themselves in place of a secret.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Network, Span};

/// By what clients prove themselves in place of a secret: keys, read where clients publish them (`jwks_uri`, always by
/// `https://`), and certificates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClientKeys {
    /// Private, loopback or otherwise internal networks that may be called all the same, for example `10.20.0.0/16`.
    /// Default: none, so that nobody can make this server call its neighbours.
    pub allowed_networks: Vec<Network>,
    /// Certificates in PEM to trust beside the system's, for addresses inside. Default: only the system's.
    pub ca_file: Option<PathBuf>,
    /// How long one reading may take.
    pub timeout: Span,
    /// Certificates in PEM of those who may say whom a client's certificate is for (`tls_client_auth`); read again
    /// when the file changes (`listen.certificate_check`) or at SIGHUP. Default: none, and then there is no such method.
    pub certificate_issuers_file: Option<PathBuf>,
}

impl Default for ClientKeys {
    fn default() -> Self {
        Self {
            allowed_networks: Vec::new(),
            ca_file: None,
            timeout: Span::seconds(5),
            certificate_issuers_file: None,
        }
    }
}
