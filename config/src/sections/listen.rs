//! `[listen]`: where the program is reached.

use std::{net::SocketAddr, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ConfigError, Network, Span};

/// Where the program is reached, and under which name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// Public listener. Port 0 takes a free one.
    pub address: SocketAddr,
    /// Operator's listener: metrics and health, plain HTTP. Keep it on loopback.
    pub admin_address: SocketAddr,
    /// The URL by which clients reach the public listener, without a slash at the end. Default:
    /// `https://localhost:PORT`.
    pub base_url: Option<String>,
    /// How TLS is done.
    pub tls: TlsMode,
    /// Certificate chain in PEM, for `tls = "files"`.
    pub certificate_file: Option<PathBuf>,
    /// Private key in PEM, for `tls = "files"`.
    pub key_file: Option<PathBuf>,
    /// How often the files of certificates and keys are looked at for a change, those towards upstreams and of issuers of
    /// clients' certificates too. SIGHUP looks at once.
    pub certificate_check: Span,
    /// Threads that answer requests; 0 means one for each processor.
    pub workers: usize,
    /// How long a connection may take for the TLS handshake and for each request's head.
    pub head_timeout: Span,
    /// How long may be waited for a request's body; a second more for every KiB that came.
    pub body_timeout: Span,
    /// Connections at once; more wait in the system's queue.
    pub max_connections: usize,
    /// How long requests in flight may take after SIGTERM.
    pub drain_timeout: Span,
    /// Proxies in front of this program, as networks: they, and nobody else, are believed when they tell where a request
    /// comes from.
    pub trusted_proxies: Vec<Network>,
    /// How they tell it. The one that is named here is believed and no other, so the proxy must write it itself and let
    /// none pass from outside.
    pub client_address_from: ClientAddressFrom,
    /// From where clients' certificates are taken, for mutual TLS (RFC 8705). `"handshake"` has browsers, too, ask their
    /// people for a certificate where they have one.
    pub client_certificates: ClientCertificates,
    /// The URL under which proxies in front ask for certificates, where they do so under another name than that of
    /// `base_url` to spare browsers the question; without a slash at the end. Metadata of the authorization server name
    /// its endpoints there, too (`mtls_endpoint_aliases`).
    pub mutual_tls_url: Option<String>,
}

impl Listen {
    /// Whether clients can be known by certificates.
    pub fn has_mutual_tls(&self) -> bool {
        self.client_certificates != ClientCertificates::Off
    }

    /// What certificates need.
    pub(crate) fn check_certificates(&self) -> Result<(), ConfigError> {
        let wrong = |key: &str, problem: &str| Err(ConfigError::inconsistent(key, problem));
        match self.client_certificates {
            ClientCertificates::Off if self.mutual_tls_url.is_some() => wrong(
                "listen.mutual_tls_url",
                "there is no mutual TLS: set listen.client_certificates, or remove the key",
            ),
            ClientCertificates::Handshake if self.tls == TlsMode::Off => wrong(
                "listen.client_certificates",
                "\"handshake\" needs TLS here: behind a proxy that does it, use \"header\"",
            ),
            ClientCertificates::Header if self.trusted_proxies.is_empty() => wrong(
                "listen.client_certificates",
                "headers are believed of listen.trusted_proxies only, and there is none",
            ),
            _ => Ok(()),
        }
    }

    /// Whether requests may be taken on `address` as TLS is configured.
    ///
    /// # Errors
    /// Plain HTTP where others could listen in.
    pub fn check_address(&self, address: SocketAddr) -> Result<(), ConfigError> {
        let behind_proxy = self.base_url.as_deref().is_some_and(|url| url.starts_with("https://"));
        if self.tls == TlsMode::Off && !address.ip().is_loopback() && !behind_proxy {
            return Err(ConfigError::inconsistent(
                "listen.tls",
                "plain HTTP is for loopback, or for behind a proxy that does TLS: then set listen.base_url to its https:// URL",
            ));
        }
        Ok(())
    }
}

/// How TLS is done on the public listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    /// A development CA and certificate are made on first start in the data folder.
    Development,
    /// Certificate and key from files.
    Files,
    /// No TLS: only on loopback, or behind a proxy that terminates it.
    Off,
}

/// How proxies in front tell where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAddressFrom {
    /// In the header `X-Forwarded-For`.
    XForwardedFor,
    /// In the header `Forwarded` (RFC 7239).
    Forwarded,
    /// By the PROXY protocol, version 1 or 2, in front of TLS.
    ProxyProtocol,
}

/// From where clients' certificates are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificates {
    /// From nowhere: there is no mutual TLS.
    Off,
    /// From the TLS handshake: the public listener asks for one, and takes callers without.
    Handshake,
    /// From the headers `Client-Cert` and `Client-Cert-Chain` (RFC 9440) of `trusted_proxies`, which must write them
    /// themselves and let none pass from outside.
    Header,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 8443)),
            admin_address: SocketAddr::from(([127, 0, 0, 1], 9443)),
            base_url: None,
            tls: TlsMode::Development,
            certificate_file: None,
            key_file: None,
            certificate_check: Span::seconds(10),
            workers: 0,
            head_timeout: Span::seconds(10),
            body_timeout: Span::seconds(20),
            max_connections: 10_000,
            drain_timeout: Span::seconds(30),
            trusted_proxies: Vec::new(),
            client_address_from: ClientAddressFrom::XForwardedFor,
            client_certificates: ClientCertificates::Off,
            mutual_tls_url: None,
        }
    }
}
