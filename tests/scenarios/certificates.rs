//! The program's own certificate, replaced while it serves: SIGHUP takes it anew, and refuses what cannot be used.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use harness::{Program, Store};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName},
};
use tempfile::TempDir;
use time::OffsetDateTime;

use crate::operating::{eventually, signal};

/// An operator's authority, and the files that the program reads.
struct Operator {
    authority: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

/// A certificate and its key.
struct Issued {
    certificate: CertificateDer<'static>,
    chain: String,
    key: String,
}

impl Operator {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { authority, folder: tempfile::tempdir().unwrap() }
    }

    /// Issues a certificate that is valid for so many days from now; less than none: it has expired.
    fn issue(&self, days: i64) -> Issued {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let now = OffsetDateTime::now_utc();
        params.not_before = now - time::Duration::days(30);
        params.not_after = now + time::Duration::days(days);
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        Issued { chain: certificate.pem(), key: key.serialize_pem(), certificate: certificate.into() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts them into the program's files.
    fn write(&self, chain: &str, key: &str) {
        fs::write(self.file("key.pem"), key).unwrap();
        fs::write(self.file("chain.pem"), chain).unwrap();
    }

    async fn serve(&self) -> Program {
        let (chain, key) = (self.file("chain.pem"), self.file("key.pem"));
        let settings = [
            ("PMSGATE__LISTEN__TLS", "files"),
            ("PMSGATE__LISTEN__CERTIFICATE_FILE", chain.to_str().unwrap()),
            ("PMSGATE__LISTEN__KEY_FILE", key.to_str().unwrap()),
            // Nobody looks at the files by himself while this test runs.
            ("PMSGATE__LISTEN__CERTIFICATE_CHECK", "1h"),
        ];
        Program::serve_with(Store::Sqlite, &settings).await
    }

    fn connect(&self, program: &Program) -> Connection {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).unwrap();
        // Err: another test of this process was first.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let session = ClientConnection::new(Arc::new(config), name).unwrap();
        let port = program.ready.base_url.rsplit(':').next().unwrap();
        let stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut connection = Connection(StreamOwned::new(session, stream));
        connection.ask();
        connection
    }
}

/// A connection that stands.
struct Connection(StreamOwned<ClientConnection, TcpStream>);

impl Connection {
    /// Asks for something, which must be answered.
    fn ask(&mut self) {
        self.0.write_all(b"HEAD /oauth2/jwks HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", answer.escape_ascii());
    }

    /// What was shown to it.
    fn shown(&self) -> &CertificateDer<'static> {
        &self.0.conn.peer_certificates().unwrap()[0]
    }
}

#[tokio::test]
async fn a_hang_up_takes_the_certificate_anew_under_connections_that_stand_and_refuses_a_broken_pair() {
    let operator = Operator::new();
    let (old, new, expired) = (operator.issue(90), operator.issue(90), operator.issue(-1));
    operator.write(&old.chain, &old.key);
    let program = operator.serve().await;
    let mut before = operator.connect(&program);
    assert_eq!(before.shown(), &old.certificate);
    let hang_up = async |told: &str, times: usize| {
        signal("-HUP", program.pid());
        eventually(told, || program.log().matches(told).count() == times).await;
    };

    for (at, (chain, key, reason)) in [
        (&new.chain, &old.key, "certificate and key cannot be used together"),
        (&"nothing".to_owned(), &new.key, "the certificate file holds no certificate"),
        (&new.chain, &"nothing".to_owned(), "the private key is not readable PEM"),
        (&expired.chain, &expired.key, "the certificate expired at"),
    ]
    .into_iter()
    .enumerate()
    {
        operator.write(chain, key);
        hang_up("certificate read again and refused: the one before stays", at + 1).await;
        let log = program.log();
        let line = log.lines().rfind(|line| line.contains("the one before stays")).unwrap();
        assert!(line.contains("ERROR") && line.contains(reason) && line.contains("chain.pem"), "{line}");
        assert_eq!(operator.connect(&program).shown(), &old.certificate, "{reason}");
    }
    fs::remove_file(operator.file("key.pem")).unwrap();
    hang_up("certificate read again and refused: the one before stays", 5).await;
    assert!(program.log().contains("key.pem cannot be read"), "{}", program.log());

    operator.write(&new.chain, &new.key);
    assert_eq!(operator.connect(&program).shown(), &old.certificate, "nobody has asked for it yet");
    hang_up("certificate read again and shown from now on", 1).await;
    assert_eq!(operator.connect(&program).shown(), &new.certificate);
    before.ask();
    assert_eq!(before.shown(), &old.certificate);
    for secret in [&old.key, &new.key] {
        let line = secret.lines().nth(1).unwrap();
        assert!(!program.log().contains(line), "keys are not told");
    }
}
