//! Who may say whom a client's certificate is for (`tls_client_auth`, RFC 8705 §2.1).

use std::{fmt, io, path::Path, sync::Arc, time::Duration};

use http_service::ClientCertificate;
use rustls::{
    RootCertStore,
    server::{VerifierBuilderError, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use rustls_pki_types::UnixTime;
use thiserror::Error;
use time::OffsetDateTime;

/// The issuers of client certificates that are believed here; where there are none, nobody is.
pub(crate) struct CertificateIssuers(Option<Arc<dyn ClientCertVerifier>>);

/// Why the issuers of `client_keys.certificate_issuers_file` cannot be used.
#[derive(Debug, Error)]
pub enum CertificateIssuersError {
    /// The file.
    #[error("client_keys.certificate_issuers_file cannot be read")]
    File(#[from] io::Error),
    /// Not PEM.
    #[error("client_keys.certificate_issuers_file")]
    Pem(#[from] http_service::TlsError),
    /// Not the certificate of an issuer.
    #[error("client_keys.certificate_issuers_file holds a certificate that cannot be an issuer's")]
    Certificate(#[from] rustls::Error),
    /// The library makes no verifier of them.
    #[error("client_keys.certificate_issuers_file cannot be used")]
    Verifier(#[from] VerifierBuilderError),
}

impl CertificateIssuers {
    /// Reads them.
    pub(crate) async fn new(file: Option<&Path>) -> Result<Self, CertificateIssuersError> {
        let Some(file) = file else { return Ok(Self(None)) };
        let mut roots = RootCertStore::empty();
        for certificate in http_service::certificates(&tokio::fs::read(file).await?)? {
            roots.add(certificate)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        Ok(Self(Some(WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?)))
    }

    /// Whether one of them issued a certificate for use by clients, and it is valid at `now`. Who has been revoked since is
    /// not asked.
    pub(crate) fn issued(&self, shown: &ClientCertificate, now: OffsetDateTime) -> bool {
        let now = u64::try_from(now.unix_timestamp()).unwrap_or(0);
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
        let verdict =
            self.0.as_ref().map(|verifier| verifier.verify_client_cert(shown.own(), shown.others(), now));
        verdict.is_some_and(|verdict| verdict.is_ok())
    }
}

impl fmt::Debug for CertificateIssuers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CertificateIssuers").field(&self.0.is_some()).finish()
    }
}
