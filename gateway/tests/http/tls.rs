//! Which TLS is spoken, and what within it: by the listener, and towards upstreams.

use std::{io, sync::mpsc};

use gateway::{Http2, UpstreamSettings};
use http::{Request, StatusCode};
use http_service::ClientCertificates;
use rustls::{
    AlertDescription, Error, ProtocolVersion,
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    house::{House, READ},
    raw_upstream::raw_upstream,
    upstream_protocols::{asked, secured, spoken, trusting, unreachable},
    wire::{
        PATIENCE,
        tls::{Authority, Versions, handshake_of},
    },
};

const VERSIONS: [(Versions, ProtocolVersion); 3] = [
    (&[&TLS12], ProtocolVersion::TLSv1_2),
    (&[&TLS13], ProtocolVersion::TLSv1_3),
    (&[&TLS12, &TLS13], ProtocolVersion::TLSv1_3),
];
/// An alert record: fatal, `protocol_version` (RFC 8446 §6.2), without its record's version.
const PROTOCOL_VERSION: [u8; 2] = [2, 70];

/// A gateway that shows a certificate of an authority.
async fn house(authority: &Authority) -> House {
    let config = authority.issue("gate", "localhost").shown().server_config(ClientCertificates::Off).unwrap();
    House::start_listening(|_| {}, |options| options.tls = Some(config)).await
}

#[tokio::test]
async fn the_listener_speaks_tls_1_2_and_1_3_and_what_is_negotiated_within() {
    let authority = Authority::new();
    let house = house(&authority).await;
    let token = house.token();
    for (versions, version) in VERSIONS {
        for (alpn, chosen) in [
            (&["h2"][..], Some("h2")),
            (&["http/1.1"], Some("http/1.1")),
            (&["http/1.1", "h2"], Some("h2")),
            (&["unknown", "http/1.1"], Some("http/1.1")),
            (&[], None),
        ] {
            let stream = TcpStream::connect(house.address).await.unwrap();
            let mut stream = handshake_of(stream, &authority, alpn, versions).await.unwrap();
            let (_, session) = stream.get_ref();
            let negotiated = (session.protocol_version(), session.alpn_protocol());
            assert_eq!(negotiated, (Some(version), chosen.map(str::as_bytes)), "{versions:?} {alpn:?}");
            if chosen == Some("h2") {
                let (client, connection) = h2::client::handshake(stream).await.unwrap();
                tokio::spawn(connection);
                let url = format!("https://localhost{READ}");
                let request = Request::get(url).header("authorization", format!("Bearer {token}"));
                let mut client = client.ready().await.unwrap();
                let (answer, _) = client.send_request(request.body(()).unwrap(), true).unwrap();
                assert_eq!(answer.await.unwrap().status(), StatusCode::OK);
            } else {
                let get = format!(
                    "GET {READ} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
                );
                stream.write_all(get.as_bytes()).await.unwrap();
                let mut answer = Vec::new();
                stream.read_to_end(&mut answer).await.unwrap();
                assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", answer.escape_ascii());
            }
        }
        let stream = TcpStream::connect(house.address).await.unwrap();
        let refused = handshake_of(stream, &authority, &["spdy/3"], versions).await.unwrap_err();
        assert_eq!(alert(&refused), Some(AlertDescription::NoApplicationProtocol), "{refused}");
    }
}

#[tokio::test]
async fn the_listener_refuses_what_is_older_than_tls_1_2() {
    let authority = Authority::new();
    let house = house(&authority).await;
    for (name, version) in [("SSL 3.0", 0x0300), ("TLS 1.0", 0x0301), ("TLS 1.1", 0x0302)] {
        let mut stream = TcpStream::connect(house.address).await.unwrap();
        stream.write_all(&client_hello(version)).await.unwrap();
        let mut answer = Vec::new();
        tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
        // A record of the type 21, two bytes long, and nothing else.
        assert_eq!(
            (answer[0], &answer[3..5], &answer[5..]),
            (21, &[0, 2][..], &PROTOCOL_VERSION[..]),
            "{name}"
        );
    }
    // The same hello is taken where it says 1.2: what was refused is the version.
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    stream.write_all(&client_hello(0x0303)).await.unwrap();
    let mut answer = [0; 6];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!((answer[0], answer[5]), (22, 2), "a handshake record with a ServerHello");
}

#[tokio::test]
async fn upstreams_are_spoken_to_over_tls_1_2_and_1_3_in_what_they_choose() {
    let authority = Authority::new();
    let identity = authority.issue("server", "localhost");
    for (versions, _) in VERSIONS {
        for (offered, spoken_to_in, served) in [
            (&["h2"][..], "h2", true),
            (&["h2", "http/1.1"], "h2", true),
            (&["http/1.1"], "http/1.1", true),
            (&[], "http/1.1", true),
            (&["spdy/3"], "http/1.1", false),
        ] {
            let acceptor = Authority::server_of(&identity, offered, versions);
            let address = secured(acceptor, spoken_to_in).await;
            let house = House::start_with(spoken(address, "https", trusting(authority.file()))).await;
            let expected = if served { (StatusCode::OK, String::new()) } else { unreachable() };
            assert_eq!(asked(&house).await, expected, "{versions:?} {offered:?}");
        }
    }
}

#[tokio::test]
async fn an_upstream_that_speaks_tls_1_1_is_refused_and_never_offered_it() {
    let authority = Authority::new();
    for (http2, alpn) in [
        (Http2::Negotiated, &b"\0\x0c\x02h2\x08http/1.1"[..]),
        (Http2::PriorKnowledge, b"\0\x03\x02h2"),
        (Http2::Never, b"\0\x09\x08http/1.1"),
    ] {
        let (heard, hello) = mpsc::channel();
        let address = raw_upstream(move |_, mut stream| {
            let heard = heard.clone();
            async move {
                let hello = record(&mut stream).await;
                stream.write_all(&server_hello_of_tls_1_1()).await.unwrap();
                heard.send((hello, record(&mut stream).await)).unwrap();
            }
        })
        .await;
        let way = UpstreamSettings { http2, ..trusting(authority.file()) };
        let house = House::start_with(spoken(address, "https", way)).await;
        assert_eq!(asked(&house).await, unreachable());
        let (hello, last) = hello.recv_timeout(PATIENCE).unwrap();
        let versions = extension(&hello, 43).expect("supported_versions");
        let versions: Vec<_> =
            versions[1..].chunks(2).map(|two| u16::from_be_bytes([two[0], two[1]])).collect();
        assert!(versions.iter().all(|version| [0x0303, 0x0304].contains(version)), "{versions:x?}");
        assert_eq!(versions.len(), 2);
        assert_eq!(extension(&hello, 16), Some(alpn));
        assert_eq!(last, PROTOCOL_VERSION, "the alert");
    }
}

/// What the other side said is wrong.
fn alert(error: &io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref()? {
        Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

/// A ClientHello as clients of that version and of 1.2 send it (RFC 5246 §7.4.1.2), without `supported_versions`.
fn client_hello(version: u16) -> Vec<u8> {
    let extensions = [
        // server_name: localhost.
        &[0, 0, 0, 14, 0, 12, 0, 0, 9][..],
        b"localhost",
        // supported_groups: secp256r1; ec_point_formats: uncompressed.
        &[0, 10, 0, 4, 0, 2, 0, 23],
        &[0, 11, 0, 2, 1, 0],
        // signature_algorithms: ecdsa_secp256r1_sha256.
        &[0, 13, 0, 4, 0, 2, 4, 3],
    ]
    .concat();
    // TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 for 1.2, and its like with CBC for what is older; no compression.
    let suites = [0, 4, 0xc0, 0x2b, 0xc0, 0x09, 1, 0];
    hello(1, version, &[&suites[..], &length(&extensions)[1..], &extensions].concat())
}

/// What a server answers that speaks nothing newer than TLS 1.1 (RFC 4346 §7.4.1.3).
fn server_hello_of_tls_1_1() -> Vec<u8> {
    hello(2, 0x0302, &[0xc0, 0x09, 0])
}

/// A record with a hello of this kind: version, random, no session, the rest.
fn hello(kind: u8, version: u16, rest: &[u8]) -> Vec<u8> {
    let body = [&version.to_be_bytes()[..], &[7; 32], &[0], rest].concat();
    let message = [&[kind][..], &length(&body), &body].concat();
    let record = if version == 0x0300 { version } else { 0x0301 };
    [&[22][..], &record.to_be_bytes(), &length(&message)[1..], &message].concat()
}

/// A length in three bytes.
fn length(bytes: &[u8]) -> [u8; 3] {
    let [_, a, b, c] = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    [a, b, c]
}

/// What is in the next record.
async fn record(stream: &mut TcpStream) -> Vec<u8> {
    let mut head = [0; 5];
    stream.read_exact(&mut head).await.unwrap();
    let mut content = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
    stream.read_exact(&mut content).await.unwrap();
    content
}

/// An extension of a ClientHello.
fn extension(hello: &[u8], wanted: u16) -> Option<&[u8]> {
    let two = |at: usize| usize::from(u16::from_be_bytes([hello[at], hello[at + 1]]));
    // Behind type, length, version and random: session, cipher suites, compression.
    let mut at = 4 + 2 + 32;
    at += 1 + usize::from(hello[at]);
    at += 2 + two(at);
    at += 1 + usize::from(hello[at]);
    at += 2;
    while at < hello.len() {
        let end = at + 4 + two(at + 2);
        if two(at) == usize::from(wanted) {
            return Some(&hello[at + 4..end]);
        }
        at = end;
    }
    None
}
