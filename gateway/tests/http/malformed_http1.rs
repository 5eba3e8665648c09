//! Raw sockets of HTTP/1: what is malformed or too much ends in 4xx or a closed connection and never reaches the upstream.

use std::time::Duration;

use http_service::{ClientCertificates, ServeOptions};

use crate::{
    house::{House, MERGE, READ},
    wire::{self, tls::Authority},
};

/// A house whose listener waits for little.
async fn house(tls: Option<&Authority>) -> House {
    let shown = tls.map(|authority| authority.issue("gate", "localhost").shown());
    let hasty = |options: &mut ServeOptions| {
        options.head_timeout = Duration::from_millis(400);
        options.body_timeout = Duration::from_millis(400);
        options.tls = shown.map(|shown| shown.server_config(ClientCertificates::Off).unwrap());
    };
    House::start_listening(|_| {}, hasty).await
}

/// Requests that carry a valid token, and what is wrong with them.
fn malformed(token: &str) -> Vec<(&'static str, Vec<u8>)> {
    let get = |rest: &str| format!("GET {READ} HTTP/1.1\r\nAuthorization: Bearer {token}\r\n{rest}");
    let to =
        |target: &str| format!("GET {target} HTTP/1.1\r\nAuthorization: Bearer {token}\r\nHost: a\r\n\r\n");
    let line = |line: &str| format!("{line}\r\nAuthorization: Bearer {token}\r\nHost: a\r\n\r\n");
    let post = |rest: &str| {
        format!(
            "POST {MERGE} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Type: application/fhir+json\r\n{rest}"
        )
    };
    let chunked = |body: &str| post(&format!("Transfer-Encoding: chunked\r\n\r\n{body}"));
    let hidden = get("Host: a\r\n\r\n");
    let cases = [
        // Two lengths for one body (RFC 9112 §6.3).
        ("length and coding", post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
        (
            "coding and length",
            post(&format!("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{hidden}")),
        ),
        ("two equal lengths", post("Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}")),
        ("two lengths", post(&format!("Content-Length: 2\r\nContent-Length: 200\r\n\r\n{{}}{hidden}"))),
        ("a list of lengths", post("Content-Length: 2, 2\r\n\r\n{}")),
        ("a negative length", post("Content-Length: -2\r\n\r\n{}")),
        ("a signed length", post("Content-Length: +2\r\n\r\n{}")),
        ("a hexadecimal length", post("Content-Length: 0x2\r\n\r\n{}")),
        ("an empty length", post("Content-Length: \r\n\r\n{}")),
        ("a length without end", post("Content-Length: 99999999999999999999\r\n\r\n{}")),
        ("a length with a blank", post("Content-Length: 2 2\r\n\r\n{}")),
        ("another coding", post("Transfer-Encoding: gzip\r\n\r\n{}")),
        ("a coding behind another", post("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")),
        ("a coding before another", post("Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n")),
        ("chunked twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
        ("a coding with a tail", post("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n")),
        ("a coding in quotes", post("Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n")),
        ("a coding behind a vertical tab", post("Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n")),
        (
            "a coding of HTTP/1.0",
            post("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n").replace("HTTP/1.1", "HTTP/1.0"),
        ),
        ("a body on GET", get("Host: a\r\nContent-Length: 3\r\n\r\nabc")),
        ("a chunked body on GET", get("Host: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")),
        // Chunks (RFC 9112 §7.1).
        ("a chunk of no size", chunked("\r\n{}\r\n0\r\n\r\n")),
        ("a chunk of letters", chunked("xyz\r\n{}\r\n0\r\n\r\n")),
        ("a chunk of 0x2", chunked("0x2\r\n{}\r\n0\r\n\r\n")),
        ("a chunk of -2", chunked("-2\r\n{}\r\n0\r\n\r\n")),
        ("a chunk of +2", chunked("+2\r\n{}\r\n0\r\n\r\n")),
        ("a chunk of 2_0", chunked("2_0\r\n{}\r\n0\r\n\r\n")),
        ("a chunk beyond 64 bits", chunked("10000000000000002\r\n{}\r\n0\r\n\r\n")),
        ("a chunk of all 64 bits", chunked("ffffffffffffffff\r\n{}\r\n0\r\n\r\n")),
        ("a chunk longer than its size", chunked(&format!("2\r\n{{}}{hidden}\r\n0\r\n\r\n"))),
        ("a chunk shorter than its size", chunked("5\r\n{}\r\n0\r\n\r\n")),
        ("a chunk without CR behind it", chunked("2\r\n{}\n0\r\n\r\n")),
        ("a chunk size that ends in LF", chunked("2\n{}\r\n0\r\n\r\n")),
        ("a chunk extension that ends in LF", chunked("2;a\n{}\r\n0\r\n\r\n")),
        ("a chunk extension with CR in it", chunked("2;a\rb\r\n{}\r\n0\r\n\r\n")),
        ("a chunk extension with NUL in it", chunked("2;a\0b\r\n{}\r\n0\r\n\r\n")),
        ("a chunk extension that never ends", chunked(&format!("2;{}", "a".repeat(70_000)))),
        ("a last chunk that ends in LF", chunked("2\r\n{}\r\n0\n\r\n")),
        ("trailers that end in LF", chunked("2\r\n{}\r\n0\r\nX: y\n\r\n")),
        // Lines (RFC 9112 §2.2, §5).
        ("lines that end in LF", hidden.replace("\r\n", "\n")),
        ("one line that ends in LF", get("X: y\nHost: a\r\n\r\n")),
        ("an empty line of LF", get("Host: a\r\n\n")),
        ("CR in a line", get("Host: a\r\nX: a\rb\r\n\r\n")),
        ("CR instead of a line's end", get("Host: a\r\nX: a\rContent-Length: 5\r\n\r\n")),
        ("CR CR LF", get("Host: a\r\r\n\r\n")),
        ("NUL in a value", get("Host: a\r\nX: a\0b\r\n\r\n")),
        ("NUL in a name", get("Host: a\r\nX\0Y: a\r\n\r\n")),
        ("DEL in a value", get("Host: a\r\nX: a\x7fb\r\n\r\n")),
        ("a folded line", get("Host: a\r\nX: a\r\n b\r\n\r\n")),
        ("a line folded with a tab", get("Host: a\r\nX: a\r\n\tb\r\n\r\n")),
        ("a first line that is folded", get(" X: a\r\nHost: a\r\n\r\n")),
        ("a blank before the colon", get("Host: a\r\nContent-Length : 5\r\n\r\n")),
        ("a tab before the colon", get("Host: a\r\nTransfer-Encoding\t: chunked\r\n\r\n")),
        ("no colon", get("Host: a\r\nX\r\n\r\n")),
        ("no name", get("Host: a\r\n: x\r\n\r\n")),
        ("a name in brackets", get("Host: a\r\nX[y]: a\r\n\r\n")),
        ("bytes before the line", format!("\0{hidden}")),
        ("a letter beyond ASCII in a name", get("Host: a\r\nX\u{e9}: a\r\n\r\n")),
        // The first line (RFC 9112 §3).
        ("no version", line(&format!("GET {READ}"))),
        ("two blanks", line(&format!("GET  {READ} HTTP/1.1"))),
        ("a tab for a blank", line(&format!("GET\t{READ} HTTP/1.1"))),
        ("a blank behind the version", line(&format!("GET {READ} HTTP/1.1 "))),
        ("a blank in the target", line(&format!("GET {READ} x HTTP/1.1"))),
        ("a blank before the method", line(&format!(" GET {READ} HTTP/1.1"))),
        ("HTTP/1.2", line(&format!("GET {READ} HTTP/1.2"))),
        ("HTTP/0.9", line(&format!("GET {READ} HTTP/0.9"))),
        ("HTTP/2.0", line(&format!("GET {READ} HTTP/2.0"))),
        ("a small version", line(&format!("GET {READ} http/1.1"))),
        ("a method that is none", line(&format!("G(T {READ} HTTP/1.1"))),
        ("a small method", line(&format!("get {READ} HTTP/1.1"))),
        ("a fragment", to(&format!("{READ}#x"))),
        ("a target without a slash", to("pms/api/v3/MedicinalProductDefinition/600000000001")),
        ("an asterisk", to("*")),
        ("a backslash", to("/pms/api/v3\\MedicinalProductDefinition/600000000001")),
        ("NUL in the target", to(&format!("{READ}\0"))),
        // Who is meant (RFC 9112 §3.2).
        ("no host", get("\r\n")),
        ("two hosts", get("Host: a\r\nHost: b\r\n\r\n")),
        ("two equal hosts", get("Host: a\r\nHost: a\r\n\r\n")),
        ("an empty host", get("Host: \r\n\r\n")),
        ("a host with a blank", get("Host: a b\r\n\r\n")),
        ("a host with a path", get("Host: a/b\r\n\r\n")),
        ("a host with a user", get("Host: me@a\r\n\r\n")),
        ("a host with a port of letters", get("Host: a:b\r\n\r\n")),
        ("a list of hosts", get("Host: a, b\r\n\r\n")),
        ("another host in the target", to(&format!("http://b{READ}"))),
        ("a user in the target", to(&format!("http://me@a{READ}"))),
        ("a target of two slashes", to(&format!("//a{READ}"))),
        // Too much.
        ("a first line of 70,000 bytes", to(&format!("{READ}?x={}", "a".repeat(70_000)))),
        ("a first line that never ends", "G".repeat(200_000)),
        ("a line of 70,000 bytes", get(&format!("Host: a\r\nX: {}\r\n\r\n", "a".repeat(70_000)))),
        ("many lines", get(&format!("Host: a\r\n{}\r\n", "X: y\r\n".repeat(101)))),
        (
            "many large lines",
            get(&format!("Host: a\r\n{}\r\n", format!("X: {}\r\n", "a".repeat(1000)).repeat(90))),
        ),
        // Other protocols.
        (
            "WebSocket",
            get(
                "Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
            ),
        ),
        ("CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n".to_owned()),
        ("TRACE", line(&format!("TRACE {READ} HTTP/1.1"))),
        ("an unknown expectation", post("Expect: a-miracle\r\nContent-Length: 2\r\n\r\n{}")),
        ("the PROXY protocol of nobody's", format!("PROXY TCP4 6.6.6.6 10.0.0.1 1 2\r\n{hidden}")),
        ("TLS in TLS, or in none", "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03".to_owned()),
    ];
    cases.into_iter().map(|(name, text)| (name, text.into_bytes())).collect()
}

/// The statuses of all answers in what was read.
fn statuses(answer: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(answer);
    text.match_indices("HTTP/1.1 ")
        .filter_map(|(at, found)| text[at + found.len()..].get(..3)?.parse().ok())
        .collect()
}

async fn nothing_malformed_passes(tls: Option<&Authority>) {
    let house = house(tls).await;
    let token = house.token();
    let good = format!(
        "GET {READ} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    for (asked, (name, bytes)) in malformed(&token).into_iter().enumerate() {
        let mut stream = wire::connect(house.address, tls, "http/1.1").await;
        let answer = wire::exchange(&mut *stream, &bytes).await;
        let refusals = statuses(&answer);
        assert!(
            refusals.len() <= 1
                && refusals.iter().all(|status| (400..500).contains(status) || *status == 505),
            "{name}: {}",
            answer.escape_ascii()
        );
        assert_eq!(house.upstream.count(), asked, "{name} reached the upstream");
        // It is reached by what is well formed, so its silence means something.
        let mut stream = wire::connect(house.address, tls, "http/1.1").await;
        assert_eq!(statuses(&wire::exchange(&mut *stream, good.as_bytes()).await), [200], "after {name}");
        assert_eq!(house.upstream.count(), asked + 1, "after {name}");
    }
}

#[tokio::test]
async fn nothing_malformed_passes_a_plain_listener() {
    nothing_malformed_passes(None).await;
}

#[tokio::test]
async fn nothing_malformed_passes_a_tls_listener() {
    nothing_malformed_passes(Some(&Authority::new())).await;
}

#[tokio::test]
async fn what_comes_too_slowly_is_given_up_and_is_nobody_elses_fault() {
    let house = house(None).await;
    let token = house.token();
    let post = format!("POST {MERGE} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n");
    for (name, bytes, status) in [
        ("nothing", String::new(), None),
        ("half a line", "GET /".to_owned(), None),
        ("half a head", format!("GET {READ} HTTP/1.1\r\nHost: a\r\nX: "), None),
        ("half a body", format!("{post}Content-Length: 100\r\n\r\n{{"), Some(408)),
        ("half a chunk", format!("{post}Transfer-Encoding: chunked\r\n\r\n64\r\n{{"), Some(408)),
        ("half a size", format!("{post}Transfer-Encoding: chunked\r\n\r\n6"), Some(408)),
    ] {
        // More often than an upstream may fail before it is left alone.
        for _ in 0..6 {
            let mut stream = wire::connect(house.address, None, "").await;
            let answer = wire::exchange(&mut *stream, bytes.as_bytes()).await;
            assert_eq!(statuses(&answer).first().copied(), status, "{name}: {}", answer.escape_ascii());
            if status.is_none() {
                break;
            }
        }
    }
    assert_eq!(house.upstream.count(), 0, "no request was whole");
    assert_eq!(house.ask(READ, &token).await.status, 200);
}

#[tokio::test]
async fn of_two_requests_behind_each_other_the_bad_one_is_the_last() {
    let house = house(None).await;
    let token = house.token();
    let good = format!("GET {READ} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n");
    for (name, bad) in [
        ("bare LF", good.replace("\r\n", "\n")),
        ("two hosts", good.replace("Host: a", "Host: a\r\nHost: b")),
    ] {
        let before = house.upstream.count();
        let mut stream = wire::connect(house.address, None, "").await;
        let answer = wire::exchange(&mut *stream, format!("{good}{bad}{good}").as_bytes()).await;
        assert_eq!(statuses(&answer), [200, 400], "{name}: {}", answer.escape_ascii());
        assert_eq!(house.upstream.count(), before + 1, "{name}");
    }
}
