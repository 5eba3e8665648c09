//! HTTP beyond one plain request: waiting for 100, encodings, proxies, certificates that change.

use std::{io::Read as _, sync::Arc};

use http::StatusCode;
use http_service::{ClientCertificates, Proxies, ToldBy};
use serde_json::json;
use time::{OffsetDateTime, macros::datetime};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    house::{House, MERGE, READ, SEARCH, fhir},
    wire::{
        PATIENCE,
        tls::{self, Authority},
    },
};

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Sends a head and reads what comes first.
async fn first(stream: &mut TcpStream, head: &str) -> Vec<u8> {
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut answer)).await.unwrap().unwrap();
    answer.truncate(read);
    answer
}

#[tokio::test]
async fn a_caller_is_told_to_go_on_when_its_body_is_wanted() {
    let house = House::start().await;
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    let head = format!(
        "POST {MERGE} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nContent-Type: application/fhir+json\r\n\
         Content-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n",
        house.token()
    );
    assert_eq!(first(&mut stream, &head).await, CONTINUE);
    let mut answer = String::new();
    stream.write_all(b"{}").await.unwrap();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(house.upstream.last().body, "{}");
    assert!(!house.upstream.last().headers.contains_key("expect"));
}

#[tokio::test]
async fn a_caller_that_is_refused_is_not_told_to_go_on() {
    let house = House::start().await;
    let token = house.token();
    let reader = house.token_with(|claims| claims.scope = "system/*.rs".into());
    for (name, path, authorization, length, status) in [
        ("no token", MERGE, String::new(), 2, "401"),
        ("an unknown token", MERGE, "Authorization: Bearer x\r\n".to_owned(), 2, "401"),
        ("no right", MERGE, format!("Authorization: Bearer {reader}\r\n"), 2, "403"),
        (
            "no such place",
            "/pms/api/v5-alpha/Nothing",
            format!("Authorization: Bearer {token}\r\n"),
            2,
            "404",
        ),
        ("too large", MERGE, format!("Authorization: Bearer {token}\r\n"), 100_000, "413"),
    ] {
        let mut stream = TcpStream::connect(house.address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\n{authorization}Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
        );
        let answer = first(&mut stream, &head).await;
        assert!(
            answer.starts_with(format!("HTTP/1.1 {status}").as_bytes()),
            "{name}: {}",
            answer.escape_ascii()
        );
        let mut rest = Vec::new();
        let read = stream.read_to_end(&mut rest);
        assert!(
            tokio::time::timeout(PATIENCE, read).await.is_ok(),
            "{name}: what it may send now is no request"
        );
    }
    assert_eq!(house.upstream.count(), 0);
}

#[tokio::test]
async fn other_protocols_are_refused_in_words() {
    let house = House::start().await;
    let token = house.token();
    let get = |more: &str| {
        format!(
            "GET {READ} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nConnection: close{more}\r\n\r\n"
        )
    };
    let answer = house.raw(&get(", Upgrade\r\nUpgrade: websocket")).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("WebSocket"), "{answer}");
    let answer = house.raw("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 405") && answer.contains("no proxy"), "{answer}");
    let answer = house.raw(&get("").replace("GET", "TRACE")).await;
    assert!(answer.starts_with("HTTP/1.1 405") && answer.contains("allow: GET"), "{answer}");
    assert!(!answer.contains(&token), "nothing of the request is said");
    assert_eq!(house.upstream.count(), 0);
    // What Java's client offers with its first request is passed over.
    let answer =
        house.raw(&get(", Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn answers_are_compressed_for_who_asks() {
    let house = House::start().await;
    let base = house.upstream.base();
    house.upstream.answer(move |_| {
        let entries: Vec<_> = (0..200).map(|n| json!({"fullUrl": format!("{base}/X/{n}")})).collect();
        fhir(StatusCode::OK, json!({"resourceType": "Bundle", "entry": entries}).to_string())
    });
    let token = house.token();
    let plain = house.ask(&format!("{SEARCH}?name=a"), &token).await;
    assert_eq!(plain.header("vary"), "Authorization, Accept, Accept-Encoding, Prefer");
    for coding in ["gzip", "zstd"] {
        let request = house.get(&format!("{SEARCH}?name=a"), &token).header("accept-encoding", coding);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["content-encoding"], coding);
        assert_eq!(answer.headers()["vary"], "Authorization, Accept, Accept-Encoding, Prefer");
        assert!(answer.headers().contains_key("ratelimit"));
        let bytes = answer.bytes().await.unwrap();
        assert!(bytes.len() < plain.text.len() / 5, "{} of {}", bytes.len(), plain.text.len());
        let mut text = String::new();
        match coding {
            "gzip" => flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap(),
            _ => zstd::stream::read::Decoder::new(&bytes[..]).unwrap().read_to_string(&mut text).unwrap(),
        };
        assert_eq!(text, plain.text);
    }
    assert!(!house.upstream.last().headers.contains_key("accept-encoding"));
}

/// Where the upstream is told that a request came from.
fn told(house: &House) -> String {
    house.upstream.last().headers["x-forwarded-for"].to_str().unwrap().to_owned()
}

async fn behind(told_by: ToldBy, trusted: &str) -> House {
    let proxies = Proxies { trusted: Arc::new([trusted.parse().unwrap()]), told_by };
    House::start_listening(|_| {}, |options| options.proxies = proxies).await
}

#[tokio::test]
async fn only_declared_proxies_say_who_calls_and_only_in_the_declared_way() {
    let both = |house: &House| {
        house
            .get(READ, &house.token())
            .header("forwarded", "for=6.6.6.6, for=198.51.100.1")
            .header("x-forwarded-for", "6.6.6.6, 198.51.100.2")
    };
    for (told_by, trusted, expected) in [
        (ToldBy::Forwarded, "127.0.0.0/8", "198.51.100.1"),
        (ToldBy::XForwardedFor, "127.0.0.0/8", "198.51.100.2"),
        (ToldBy::Forwarded, "10.0.0.0/8", "127.0.0.1"),
        (ToldBy::XForwardedFor, "10.0.0.0/8", "127.0.0.1"),
    ] {
        let house = behind(told_by, trusted).await;
        assert_eq!(both(&house).send().await.unwrap().status(), StatusCode::OK);
        assert_eq!(told(&house), expected, "{told_by:?} from {trusted}");
        assert!(
            house.upstream.last().headers["forwarded"]
                .to_str()
                .unwrap()
                .starts_with(&format!("for={expected};"))
        );
    }
}

#[tokio::test]
async fn the_proxy_protocol_is_read_from_declared_proxies_alone() {
    let house = behind(ToldBy::ProxyProtocol, "127.0.0.0/8").await;
    let get = format!(
        "GET {READ} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nX-Forwarded-For: 6.6.6.6\r\nConnection: close\r\n\r\n",
        house.token()
    );
    let answer = house.raw(&format!("PROXY TCP4 198.51.100.7 10.0.0.1 4711 443\r\n{get}")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(told(&house), "198.51.100.7");
    let answer = house.raw(&get).await;
    assert_eq!(answer, "", "a declared proxy that does not say who calls is not served");
    assert_eq!(house.upstream.count(), 1);

    let house = behind(ToldBy::ProxyProtocol, "10.0.0.0/8").await;
    let answer = house.raw(&format!("PROXY TCP4 198.51.100.7 10.0.0.1 4711 443\r\n{get}")).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(house.upstream.count(), 0);
}

#[tokio::test]
async fn a_certificate_is_replaced_under_connections_that_stand() {
    let (old, new) = (Authority::new(), Authority::new());
    let shown = old.issue("gate", "localhost").shown();
    let config = shown.server_config(ClientCertificates::Off).unwrap();
    let house = House::start_listening(|_| {}, |options| options.tls = Some(config)).await;
    let get = format!("GET {READ} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\r\n", house.token());
    let shake = |authority| {
        let address = house.address;
        async move { tls::handshake(TcpStream::connect(address).await.unwrap(), authority, "http/1.1").await }
    };
    let mut before = shake(&old).await.unwrap();
    let mut answer = vec![0; 4096];
    before.write_all(get.as_bytes()).await.unwrap();
    let read = before.read(&mut answer).await.unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 200"));

    let now = OffsetDateTime::now_utc();
    let (chain, key) = new.issue("next", "localhost").read();
    let (_, others) = new.issue("other", "localhost").read();
    for (name, chain, key, now) in [
        ("another's key", &chain, &others, now),
        ("no certificate", &b"nothing".to_vec(), &key, now),
        ("no key", &chain, &b"nothing".to_vec(), now),
        // rcgen's certificates live to the year 4096.
        ("out of date", &chain, &key, datetime!(9999-01-01 00:00 UTC)),
    ] {
        assert!(shown.replace(chain, key, now).is_err(), "{name}");
        assert!(shake(&old).await.is_ok() && shake(&new).await.is_err(), "{name}: the one before stays");
    }
    shown.replace(&chain, &key, now).unwrap();
    assert!(shake(&new).await.is_ok() && shake(&old).await.is_err());
    before.write_all(get.as_bytes()).await.unwrap();
    let read = before.read(&mut answer).await.unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 200"), "who is connected stays connected");
}
