//! TLS 1.2 and 1.3 on aws-lc-rs, HTTP/2 and HTTP/1.1 by ALPN, with a certificate that can be replaced while it is shown.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::client_certificate::{AnyCertificate, ClientCertificates};

/// A certificate or key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No certificate in the PEM text, or a broken one.
    #[error("the certificate chain is not readable PEM")]
    Certificate(#[source] rustls_pki_types::pem::Error),
    /// No certificate at all.
    #[error("the certificate file holds no certificate")]
    NoCertificate,
    /// No private key in the PEM text, or a broken one.
    #[error("the private key is not readable PEM")]
    Key(#[source] rustls_pki_types::pem::Error),
    /// Key and certificate do not fit, or the library refuses them.
    #[error("certificate and key cannot be used together")]
    Unusable(#[source] rustls::Error),
    /// The certificate itself cannot be read.
    #[error("the first certificate is no X.509 certificate")]
    NotX509,
    /// Its time is over.
    #[error("the certificate expired at {0}")]
    Expired(OffsetDateTime),
    /// Its time has not come.
    #[error("the certificate is valid from {0} on only")]
    NotYet(OffsetDateTime),
}

/// The certificate that a listener shows, and its key. Replacing it concerns handshakes from then on; connections that
/// stand are not touched.
#[derive(Debug)]
pub struct Certificate {
    shown: ArcSwap<CertifiedKey>,
}

impl Certificate {
    /// From PEM texts: the chain (leaf first) and its private key. Also one whose time is over: who has nothing better
    /// may want to start.
    pub fn new(chain: &[u8], key: &[u8]) -> Result<Arc<Self>, TlsError> {
        Ok(Arc::new(Self { shown: ArcSwap::from_pointee(certified(chain, key)?) }))
    }

    /// Shows another one from now on; says until when that is valid. One that does not work, or not at this time, is
    /// refused, and the one before stays.
    pub fn replace(&self, chain: &[u8], key: &[u8], now: OffsetDateTime) -> Result<OffsetDateTime, TlsError> {
        let new = certified(chain, key)?;
        let leaf = new.end_entity_cert().map_err(TlsError::Unusable)?;
        let until = valid_until(leaf, now)?;
        self.shown.store(Arc::new(new));
        Ok(until)
    }

    /// What a listener needs to show it, and to ask callers for theirs, where they are taken from the handshake.
    pub fn server_config(
        self: &Arc<Self>,
        callers: ClientCertificates,
    ) -> Result<Arc<ServerConfig>, TlsError> {
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Self>::clone(self);
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unusable)?;
        let builder = match callers {
            ClientCertificates::Handshake => {
                builder.with_client_cert_verifier(Arc::new(AnyCertificate(provider)))
            }
            ClientCertificates::Off | ClientCertificates::Header => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(resolver);
        // Without it, whoever a client once connected to could take part in a session of TLS 1.2 as that client (RFC 7627 §1).
        config.require_ems = callers == ClientCertificates::Handshake;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.shown.load_full())
    }
}

/// Reads a chain and its key, which must belong together.
pub fn certified(chain: &[u8], key: &[u8]) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(chain)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(TlsError::Key)?;
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(TlsError::Unusable)
}

/// Reads certificates, at least one.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all =
        CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(TlsError::Certificate)?;
    if all.is_empty() { Err(TlsError::NoCertificate) } else { Ok(all) }
}

/// Until when a certificate is valid that is valid now.
pub fn valid_until(certificate: &[u8], now: OffsetDateTime) -> Result<OffsetDateTime, TlsError> {
    let (_, certificate) = X509Certificate::from_der(certificate).map_err(|_| TlsError::NotX509)?;
    let validity = certificate.validity();
    let (from, until) = (validity.not_before.to_datetime(), validity.not_after.to_datetime());
    if now < from {
        return Err(TlsError::NotYet(from));
    }
    if now > until {
        return Err(TlsError::Expired(until));
    }
    Ok(until)
}
