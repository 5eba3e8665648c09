//! Certificates that tests make, and handshakes with them.

use std::{io, path::PathBuf, sync::Arc};

use http_service::Certificate;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ALL_VERSIONS, ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
    pki_types::ServerName,
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

/// An authority of our own, and a folder for its files.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

/// A certificate and its key in files.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
}

impl Identity {
    pub(crate) fn read(&self) -> (Vec<u8>, Vec<u8>) {
        (std::fs::read(&self.chain).unwrap(), std::fs::read(&self.key).unwrap())
    }

    /// As a listener of ours shows it.
    pub(crate) fn shown(&self) -> Arc<Certificate> {
        let (chain, key) = self.read();
        Certificate::new(&chain, &key).unwrap()
    }
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { issuer, folder: tempfile::tempdir().unwrap() };
        std::fs::write(authority.file(), authority.issuer.pem()).unwrap();
        authority
    }

    /// The file with its certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A certificate for a name, in files of that label.
    pub(crate) fn issue(&self, label: &str, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let identity = Identity {
            chain: self.folder.path().join(format!("{label}.pem")),
            key: self.folder.path().join(format!("{label}.key")),
        };
        std::fs::write(&identity.chain, certificate.pem()).unwrap();
        std::fs::write(&identity.key, key.serialize_pem()).unwrap();
        identity
    }

    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        roots
    }

    /// A server of this identity that asks its callers for a certificate of this authority.
    pub(crate) fn mutual(&self, identity: &Identity, alpn: &str) -> TlsAcceptor {
        let verifier = WebPkiClientVerifier::builder(Arc::new(self.roots())).build().unwrap();
        acceptor(identity, &[alpn], ALL_VERSIONS, verifier)
    }

    /// A server of this identity.
    pub(crate) fn server(identity: &Identity, alpn: &str) -> TlsAcceptor {
        Self::server_of(identity, &[alpn], ALL_VERSIONS)
    }

    /// A server of this identity that speaks these protocols over these versions of TLS.
    pub(crate) fn server_of(identity: &Identity, alpn: &[&str], versions: Versions) -> TlsAcceptor {
        acceptor(identity, alpn, versions, WebPkiClientVerifier::no_client_auth())
    }
}

/// Versions of TLS.
pub(crate) type Versions = &'static [&'static SupportedProtocolVersion];

fn acceptor(
    identity: &Identity,
    alpn: &[&str],
    versions: Versions,
    verifier: Arc<dyn ClientCertVerifier>,
) -> TlsAcceptor {
    let (chain, key) = identity.read();
    let certified = http_service::certified(&chain, &key).unwrap();
    let mut config = ServerConfig::builder_with_protocol_versions(versions)
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
    config.alpn_protocols = names(alpn);
    TlsAcceptor::from(Arc::new(config))
}

fn names(alpn: &[&str]) -> Vec<Vec<u8>> {
    alpn.iter().map(|name| name.as_bytes().to_vec()).collect()
}

/// Shakes hands as a client that trusts an authority, and speaks a protocol.
pub(crate) async fn handshake(
    stream: TcpStream,
    authority: &Authority,
    alpn: &str,
) -> io::Result<client::TlsStream<TcpStream>> {
    handshake_of(stream, authority, &[alpn], ALL_VERSIONS).await
}

/// The same as a client that speaks these protocols over these versions of TLS.
pub(crate) async fn handshake_of(
    stream: TcpStream,
    authority: &Authority,
    alpn: &[&str],
    versions: Versions,
) -> io::Result<client::TlsStream<TcpStream>> {
    let mut config = ClientConfig::builder_with_protocol_versions(versions)
        .with_root_certificates(authority.roots())
        .with_no_client_auth();
    config.alpn_protocols = names(alpn);
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// A server's side of a handshake.
pub(crate) async fn accept<S>(acceptor: &TlsAcceptor, stream: S) -> io::Result<server::TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    acceptor.accept(stream).await
}
