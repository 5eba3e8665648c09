//! `[mail]`: how e-mails leave the house.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Span;

/// How e-mails leave the house: over SMTP when `host` is set, else into a folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mail {
    /// From whom they come.
    pub sender: String,
    /// The SMTP server. Without one, mails are written into `spool_dir`; a sandbox shows them at `/portal/mailbox`.
    pub host: Option<String>,
    /// Its port. Default: 587 for STARTTLS, 465 for TLS, 25 without.
    pub port: Option<u16>,
    /// How the connection is protected.
    pub tls: MailTls,
    /// User name at the server, when it asks for one.
    pub username: Option<String>,
    /// A file with the password.
    pub password_file: Option<PathBuf>,
    /// A file with the certificate (PEM) to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// The folder for mails when there is no server. Default: `mail` in the data folder.
    pub spool_dir: Option<PathBuf>,
    /// How long one conversation with the server may take.
    pub timeout: Span,
}

/// How the connection to the mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// STARTTLS, or no mail (RFC 3207).
    Starttls,
    /// TLS from the first byte (RFC 8314).
    Tls,
    /// None: for a relay on this machine.
    Off,
}

impl Default for Mail {
    fn default() -> Self {
        Self {
            sender: "pmsgate <no-reply@localhost.localdomain>".to_owned(),
            host: None,
            port: None,
            tls: MailTls::Starttls,
            username: None,
            password_file: None,
            ca_file: None,
            spool_dir: None,
            timeout: Span::seconds(30),
        }
    }
}
