//! Who may say whom a client's certificate is for (`tls_client_auth`, RFC 8705 §2.1): read at the start, and anew when the
//! file changes.

use std::{fmt, io, path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use http_service::{ClientCertificate, WatchedFiles, hang_ups};
use rustls::{
    RootCertStore,
    server::{VerifierBuilderError, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use rustls_pki_types::UnixTime;
use thiserror::Error;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

type Verifier = Arc<dyn ClientCertVerifier>;

/// The issuers of client certificates that are believed here; where there are none, nobody is.
pub(crate) struct CertificateIssuers {
    file: Option<PathBuf>,
    verifier: ArcSwap<Option<Verifier>>,
}

/// Why the issuers of `client_keys.certificate_issuers_file` cannot be used.
#[derive(Debug, Error)]
pub enum CertificateIssuersError {
    /// The file.
    #[error("client_keys.certificate_issuers_file")]
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
    pub(crate) fn new(file: Option<PathBuf>) -> Result<Self, CertificateIssuersError> {
        let verifier = match &file {
            Some(file) => Some(verifier(&WatchedFiles::new(vec![file.clone()]))?),
            None => None,
        };
        Ok(Self { file, verifier: ArcSwap::from_pointee(verifier) })
    }

    /// Whether one of them issued a certificate for use by clients, and it is valid at `now`. Who has been revoked since is
    /// not asked.
    pub(crate) fn issued(&self, shown: &ClientCertificate, now: OffsetDateTime) -> bool {
        let now = u64::try_from(now.unix_timestamp()).unwrap_or(0);
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
        let verifier = self.verifier.load();
        let verdict = verifier
            .as_ref()
            .as_ref()
            .map(|verifier| verifier.verify_client_cert(shown.own(), shown.others(), now));
        verdict.is_some_and(|verdict| verdict.is_ok())
    }

    /// Reads them anew whenever the file changes, and at SIGHUP. What cannot be used is refused, and who was believed stays.
    pub(crate) async fn follow(&self, every: Duration, stop: CancellationToken) {
        let Some(file) = &self.file else { return };
        let hang_ups = match hang_ups() {
            Ok(hang_ups) => hang_ups,
            Err(error) => {
                tracing::error!(%error, "SIGHUP cannot be heard");
                return;
            }
        };
        let files = WatchedFiles::new(vec![file.clone()]);
        files
            .follow(every, hang_ups, stop, |files| match verifier(files) {
                Ok(verifier) => {
                    self.verifier.store(Arc::new(Some(verifier)));
                    tracing::info!("issuers of client certificates read again and believed from now on");
                }
                Err(error) => tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "issuers of client certificates read again and refused: those before stay"
                ),
            })
            .await;
    }
}

fn verifier(files: &WatchedFiles) -> Result<Verifier, CertificateIssuersError> {
    let mut roots = RootCertStore::empty();
    for pem in files.contents()? {
        for certificate in http_service::certificates(&pem)? {
            roots.add(certificate)?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?)
}

impl fmt::Debug for CertificateIssuers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateIssuers").field("file", &self.file).finish_non_exhaustive()
    }
}
