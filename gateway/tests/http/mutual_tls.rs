//! Tokens that are bound to a certificate (RFC 8705 §3): shown in the handshake, or told by a declared proxy (RFC 9440).

use std::sync::Arc;

use access_token::Confirmation;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::StatusCode;
use http_service::{ClientCertificate, ClientCertificates, Proxies, ServeOptions, ToldBy, certified};
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, HandshakeKind,
    pki_types::ServerName,
    sign::{CertifiedKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::{
    house::{Answer, House, READ},
    wire::tls::{Authority, Versions},
};

const VERSIONS: [Versions; 2] = [&[&TLS12], &[&TLS13]];

/// A certificate that signed itself, with its key.
fn identity() -> CertifiedKey {
    let key = KeyPair::generate().unwrap();
    let made = CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
    certified(made.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap()
}

fn thumbprint(identity: &CertifiedKey) -> String {
    ClientCertificate::new(identity.cert.clone()).unwrap().thumbprint().to_owned()
}

/// As a proxy tells it.
fn told(identity: &CertifiedKey) -> String {
    format!(":{}:", STANDARD.encode(&identity.cert[0]))
}

fn bound_to(house: &House, thumbprint: String) -> String {
    house.token_with(|claims| claims.cnf = Some(Confirmation::Certificate(thumbprint)))
}

/// A gateway that asks for certificates in its handshakes.
async fn asking(authority: &Authority) -> House {
    let callers = ClientCertificates::Handshake;
    let tls = authority.issue("gate", "localhost").shown().server_config(callers).unwrap();
    let listen = |options: &mut ServeOptions| {
        options.tls = Some(tls);
        options.client_certificates = callers;
    };
    House::start_listening(|_| {}, listen).await
}

/// A caller that shows this, or nothing.
fn caller(authority: &Authority, versions: Versions, shows: Option<CertifiedKey>) -> TlsConnector {
    let builder =
        ClientConfig::builder_with_protocol_versions(versions).with_root_certificates(authority.roots());
    let config = match shows {
        // Unlike `with_client_auth_cert`, this does not look whether the key is the certificate's.
        Some(shown) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(shown))),
        None => builder.with_no_client_auth(),
    };
    TlsConnector::from(Arc::new(config))
}

/// The status of a read, and how hands were shaken; none where the connection was refused.
async fn read(house: &House, caller: &TlsConnector, token: &str) -> Option<(String, HandshakeKind)> {
    let stream = TcpStream::connect(house.address).await.unwrap();
    let mut stream = caller.connect(ServerName::try_from("localhost").unwrap(), stream).await.ok()?;
    let get = format!(
        "GET {READ} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(get.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    let status = String::from_utf8_lossy(&answer).split(' ').nth(1)?.to_owned();
    Some((status, stream.get_ref().1.handshake_kind()?))
}

#[tokio::test]
async fn a_bound_token_is_taken_from_connections_of_its_certificate_alone() {
    let authority = Authority::new();
    let house = asking(&authority).await;
    let own = identity();
    let token = bound_to(&house, thumbprint(&own));
    for versions in VERSIONS {
        let holder = caller(&authority, versions, Some(own.clone()));
        let status = |answer: Option<(String, HandshakeKind)>| answer.unwrap().0;
        assert_eq!(status(read(&house, &holder, &token).await), "200");
        // A session that is taken up again shows nothing; what was shown counts on.
        let again = Some(("200".to_owned(), HandshakeKind::Resumed));
        assert_eq!(read(&house, &holder, &token).await, again);
        let bare = caller(&authority, versions, None);
        assert_eq!(status(read(&house, &bare, &token).await), "401", "no certificate");
        let stranger = caller(&authority, versions, Some(identity()));
        assert_eq!(status(read(&house, &stranger, &token).await), "401", "another one");
        for unbound in [&bare, &stranger, &holder] {
            assert_eq!(status(read(&house, unbound, &house.token()).await), "200", "an unbound token");
        }
        let thief = CertifiedKey { cert: own.cert.clone(), ..identity() };
        let thief = caller(&authority, versions, Some(thief));
        assert_eq!(read(&house, &thief, &token).await, None, "the certificate without its key");
        let mut long = own.clone();
        long.cert.extend(vec![own.cert[0].clone(); 6]);
        let long = caller(&authority, versions, Some(long));
        assert_eq!(read(&house, &long, &token).await, None, "a chain without end");
    }
}

async fn behind(trusted: &[&str], from: ClientCertificates) -> House {
    let listen = |options: &mut ServeOptions| {
        options.proxies = Proxies {
            trusted: trusted.iter().map(|one| one.parse().unwrap()).collect(),
            told_by: ToldBy::XForwardedFor,
        };
        options.client_certificates = from;
    };
    House::start_listening(|_| {}, listen).await
}

async fn ask(house: &House, token: &str, told: &[&str]) -> Answer {
    let mut request = house.get(READ, token);
    for told in told {
        request = request.header("client-cert", *told);
    }
    Answer::of(request.send().await.unwrap()).await
}

#[tokio::test]
async fn a_certificate_that_a_declared_proxy_tells_of_is_compared_each_time() {
    let house = behind(&["127.0.0.1/32"], ClientCertificates::Header).await;
    let (own, other) = (identity(), identity());
    let token = bound_to(&house, thumbprint(&own));
    let (own, other) = (told(&own), told(&other));
    assert_eq!(ask(&house, &token, &[&own]).await.status, StatusCode::OK);
    for (what, told) in [
        ("none", &[][..]),
        ("another", &[other.as_str()]),
        ("two", &[own.as_str(), own.as_str()]),
        ("broken", &[":!:"]),
    ] {
        let answer = ask(&house, &token, told).await;
        let refused = (StatusCode::UNAUTHORIZED, "token-certificate".to_owned());
        assert_eq!((answer.status, answer.rule()), refused, "{what}");
        let challenge = answer.header("www-authenticate");
        assert!(
            challenge.starts_with("Bearer ") && challenge.contains(r#"error="invalid_token""#),
            "{challenge}"
        );
    }
    assert_eq!(
        ask(&house, &token, &[&own]).await.status,
        StatusCode::OK,
        "the verdict is kept, not the refusal"
    );
    // The header ends here.
    assert!(!house.upstream.last().headers.contains_key("client-cert"));
    assert_eq!(ask(&house, &house.token(), &[&own]).await.status, StatusCode::OK, "an unbound token");
    let by_dpop = house.client.get(house.url(READ)).header("authorization", format!("DPoP {token}"));
    let answer = Answer::of(by_dpop.header("client-cert", &own).send().await.unwrap()).await;
    assert_eq!(answer.rule(), "token-bound", "it is no DPoP token");
}

#[tokio::test]
async fn nobody_else_is_believed() {
    let own = identity();
    for (what, trusted, from) in [
        ("no proxy is declared", &[][..], ClientCertificates::Header),
        ("another proxy is declared", &["192.0.2.1/32"], ClientCertificates::Header),
        ("the handshake counts", &["127.0.0.1/32"], ClientCertificates::Handshake),
        ("nothing counts", &["127.0.0.1/32"], ClientCertificates::Off),
    ] {
        let house = behind(trusted, from).await;
        let token = bound_to(&house, thumbprint(&own));
        assert_eq!(ask(&house, &token, &[&told(&own)]).await.rule(), "token-certificate", "{what}");
        assert_eq!(house.upstream.count(), 0);
        assert_eq!(ask(&house, &house.token(), &[&told(&own)]).await.status, StatusCode::OK, "{what}");
        assert!(!house.upstream.last().headers.contains_key("client-cert"), "{what}");
    }
}
