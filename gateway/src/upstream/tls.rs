//! TLS towards an upstream: whom it must be vouched for by, which name it must show, and who we are to it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use http_service::{TlsError, WatchedFiles, certificates, certified, valid_until};
use rustls::{ClientConfig, RootCertStore, client::ResolvesClientCert, sign::SingleCertAndKey};
use rustls_pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt as _;
use time::OffsetDateTime;
use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;

use crate::settings::{Http2, UpstreamSettings};

/// Why an upstream cannot be spoken to as configured.
#[derive(Debug, thiserror::Error)]
pub enum UnfitTls {
    /// A file that cannot be read.
    #[error(transparent)]
    File(#[from] std::io::Error),
    /// Certificates or a key that cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The library refuses.
    #[error("unusable: {0}")]
    Rustls(#[from] rustls::Error),
    /// A name that no certificate can have.
    #[error("server_name {0:?} is no host name and no address")]
    Name(String),
    /// A certificate without a key, or the other way round.
    #[error("certificate_file and key_file belong together")]
    HalfIdentity,
}

/// How one upstream is spoken to by TLS. What its files say can change while it is used: that concerns new connections.
#[derive(Debug)]
pub struct UpstreamTls {
    config: ArcSwap<ClientConfig>,
    /// What it must show instead of the host of its address.
    server_name: Option<ServerName<'static>>,
    has_ca: bool,
    http2: Http2,
}

impl UpstreamTls {
    /// Reads the files.
    ///
    /// # Errors
    /// Files that cannot be read or used; a name that is none.
    pub fn read(settings: &UpstreamSettings) -> Result<Self, UnfitTls> {
        if settings.certificate_file.is_some() != settings.key_file.is_some() {
            return Err(UnfitTls::HalfIdentity);
        }
        let server_name = settings
            .server_name
            .as_ref()
            .map(|name| ServerName::try_from(name.clone()).map_err(|_| UnfitTls::Name(name.clone())));
        let has_ca = settings.ca_file.is_some();
        let contents = WatchedFiles::new(files(settings)).contents()?;
        let config = client_config(has_ca, &contents, settings.http2, None)?;
        Ok(Self {
            config: ArcSwap::from_pointee(config),
            server_name: server_name.transpose()?,
            has_ca,
            http2: settings.http2,
        })
    }

    /// What a new connection is made with.
    pub(super) fn client_config(&self) -> Arc<ClientConfig> {
        self.config.load_full()
    }

    /// What the certificate must be for, where it is not the host of the address.
    pub(super) fn server_name(&self) -> Option<&ServerName<'static>> {
        self.server_name.as_ref()
    }

    /// Takes the files anew whenever they change. What cannot be used is refused, and what was used stays.
    pub async fn follow(
        &self,
        settings: &UpstreamSettings,
        every: Duration,
        hang_ups: Signal,
        stop: CancellationToken,
    ) {
        let files = WatchedFiles::new(files(settings));
        if files.paths().is_empty() {
            return;
        }
        let upstream = &settings.authority;
        files
            .follow(every, hang_ups, stop, |files| match self.replace(files, OffsetDateTime::now_utc()) {
                Ok(()) => tracing::info!(upstream, "certificates towards the upstream read again and used from now on"),
                Err(error) => {
                    tracing::error!(upstream, %error, "certificates towards the upstream read again and refused: those before stay");
                }
            })
            .await;
    }

    fn replace(&self, files: &WatchedFiles, now: OffsetDateTime) -> Result<(), UnfitTls> {
        let config = client_config(self.has_ca, &files.contents()?, self.http2, Some(now))?;
        self.config.store(Arc::new(config));
        Ok(())
    }
}

/// The files, in the order in which [`client_config`] reads them.
fn files(settings: &UpstreamSettings) -> Vec<PathBuf> {
    [&settings.ca_file, &settings.certificate_file, &settings.key_file]
        .into_iter()
        .flatten()
        .cloned()
        .collect()
}

/// `now`: refuses a certificate of ours that is not valid then.
fn client_config(
    has_ca: bool,
    contents: &[Vec<u8>],
    http2: Http2,
    now: Option<OffsetDateTime>,
) -> Result<ClientConfig, UnfitTls> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let (ca, identity) = contents.split_at(usize::from(has_ca));
    let builder = match ca {
        [ca] => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(ca)? {
                roots.add(certificate)?;
            }
            builder.with_root_certificates(roots)
        }
        _ => builder.with_platform_verifier()?,
    };
    let mut config = match identity {
        [chain, key] => {
            let identity = certified(chain, key)?;
            if let Some(now) = now {
                valid_until(identity.end_entity_cert()?, now)?;
            }
            let ours: Arc<dyn ResolvesClientCert> = Arc::new(SingleCertAndKey::from(identity));
            builder.with_client_cert_resolver(ours)
        }
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols = match http2 {
        Http2::Negotiated => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        Http2::PriorKnowledge => vec![b"h2".to_vec()],
        Http2::Never => vec![b"http/1.1".to_vec()],
    };
    Ok(config)
}
