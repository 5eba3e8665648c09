//! TLS 1.2 and 1.3 on aws-lc-rs, HTTP/2 and HTTP/1.1 by ALPN.

use std::sync::Arc;

use rustls::{ServerConfig, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

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
}

/// A server configuration from PEM texts: the chain (leaf first) and its private key.
pub fn server_config(chain: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(TlsError::Certificate)?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(TlsError::Key)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(TlsError::Unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
