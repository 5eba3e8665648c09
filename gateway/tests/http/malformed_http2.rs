//! Raw sockets of HTTP/2: what breaks its rules, or does nothing but cost, ends in 4xx, a reset stream or a closed
//! connection and never reaches the upstream.

use std::time::Duration;

use http_service::{ClientCertificates, ServeOptions};

use crate::{
    house::{House, MERGE, READ, SEARCH},
    wire::{
        self, PATIENCE,
        frames::{
            self, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM,
            SETTINGS, WINDOW_UPDATE, frame, head,
        },
        tls::Authority,
    },
};

async fn house(tls: Option<&Authority>) -> House {
    let shown = tls.map(|authority| authority.issue("gate", "localhost").shown());
    let hasty = |options: &mut ServeOptions| {
        options.head_timeout = Duration::from_millis(400);
        options.body_timeout = Duration::from_millis(400);
        options.tls = shown.map(|shown| shown.server_config(ClientCertificates::Off).unwrap());
    };
    House::start_listening(|_| {}, hasty).await
}

/// Lines of a good head, then more.
fn lines<'t>(path: &'t str, bearer: &'t str, more: &[(&'t str, &'t str)]) -> Vec<(&'t str, &'t str)> {
    let mut lines =
        vec![(":method", "GET"), (":scheme", "https"), (":authority", "gate.example"), (":path", path)];
    lines.push(("authorization", bearer));
    lines.extend_from_slice(more);
    lines
}

/// Frames on stream 1 that ask with a valid token, and what is wrong with them.
fn malformed(bearer: &str) -> Vec<(&'static str, Vec<u8>)> {
    let ends = END_HEADERS | END_STREAM;
    let ask = |lines: &[(&str, &str)]| frame(HEADERS, ends, 1, &head(lines));
    let with = |more: &[(&str, &str)]| ask(&lines(READ, bearer, more));
    let path = |path: &str| ask(&lines(path, bearer, &[]));
    let pseudo = |these: &[(&str, &str)]| ask(&[these, &[("authorization", bearer)]].concat());
    let post = |length: &str, body: &[u8]| {
        let lines = [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", "gate.example"),
            (":path", MERGE),
            ("authorization", bearer),
            ("content-type", "application/fhir+json"),
            ("content-length", length),
        ];
        [frame(HEADERS, END_HEADERS, 1, &head(&lines)), frame(DATA, END_STREAM, 1, body)].concat()
    };
    let (method, scheme, authority, read) =
        ((":method", "GET"), (":scheme", "https"), (":authority", "gate.example"), (":path", READ));
    let long = "a".repeat(8000);
    let many: Vec<_> = (0..9).map(|_| ("x-a", long.as_str())).collect();
    vec![
        // Headers of a connection, which HTTP/2 has none of (RFC 9113 §8.2.2).
        ("connection", with(&[("connection", "keep-alive")])),
        ("keep-alive", with(&[("keep-alive", "timeout=5")])),
        ("proxy-connection", with(&[("proxy-connection", "close")])),
        ("transfer-encoding", with(&[("transfer-encoding", "chunked")])),
        ("upgrade", with(&[("upgrade", "websocket")])),
        ("te", with(&[("te", "chunked")])),
        // Names and values (§8.2.1).
        ("a capital letter", with(&[("X-A", "b")])),
        ("a blank in a name", with(&[("x a", "b")])),
        ("an empty name", with(&[("", "b")])),
        ("a colon in a name", with(&[("x:a", "b")])),
        ("CR LF in a value", with(&[("x-a", "b\r\nhost: c")])),
        ("LF in a value", with(&[("x-a", "b\nc")])),
        ("NUL in a value", with(&[("x-a", "b\0c")])),
        // Pseudo headers (§8.3).
        ("no method", pseudo(&[scheme, authority, read])),
        ("no path", pseudo(&[method, scheme, authority])),
        ("no scheme", pseudo(&[method, authority, read])),
        ("no authority and no host", pseudo(&[method, scheme, read])),
        ("an empty path", path("")),
        ("a path without a slash", path("pms/api/v3/MedicinalProductDefinition/600000000001")),
        ("a whole address as path", path("https://b/pms/api/v3/MedicinalProductDefinition/600000000001")),
        ("an asterisk as path", path("*")),
        ("a path with a blank", path("/pms/api/v3/MedicinalProductDefinition/1 HTTP/1.1")),
        ("a path with CR LF", path("/pms/api/v3/MedicinalProductDefinition/1\r\nx: y")),
        ("a path with a fragment's end", path("/pms/api/v3/MedicinalProductDefinition/1\0")),
        ("two paths", pseudo(&[method, scheme, authority, read, (":path", "/public/v1")])),
        ("two methods", pseudo(&[method, (":method", "POST"), scheme, authority, read])),
        ("two authorities", pseudo(&[method, scheme, authority, (":authority", "b"), read])),
        ("an unknown pseudo header", pseudo(&[method, scheme, authority, read, (":x", "y")])),
        ("a pseudo header of answers", pseudo(&[method, scheme, authority, read, (":status", "200")])),
        ("a pseudo header behind others", ask(&[method, scheme, authority, ("authorization", bearer), read])),
        ("a method that is none", pseudo(&[(":method", "G T"), scheme, authority, read])),
        ("an authority that is none", pseudo(&[method, scheme, (":authority", "a b"), read])),
        ("an authority with a user", pseudo(&[method, scheme, (":authority", "me@gate.example"), read])),
        ("another host", with(&[("host", "b.example")])),
        ("two hosts", with(&[("host", "gate.example"), ("host", "gate.example")])),
        ("WebSocket", pseudo(&[(":method", "CONNECT"), (":protocol", "websocket"), scheme, authority, read])),
        ("CONNECT", pseudo(&[(":method", "CONNECT"), (":authority", "a:443")])),
        ("CONNECT with a path", pseudo(&[(":method", "CONNECT"), scheme, authority, read])),
        ("TRACE", pseudo(&[(":method", "TRACE"), scheme, authority, read])),
        // Lengths that lie (§8.1.1).
        ("a longer body than it says", post("2", b"{} ")),
        ("a shorter body than it says", post("3", b"{}")),
        ("a body where none is", post("0", b"{}")),
        ("two lengths", with(&[("content-length", "0"), ("content-length", "1")])),
        ("a length that is no number", with(&[("content-length", "-1")])),
        ("a body on GET", {
            let head = head(&lines(READ, bearer, &[("content-length", "2")]));
            [frame(HEADERS, END_HEADERS, 1, &head), frame(DATA, END_STREAM, 1, b"{}")].concat()
        }),
        // Too much (§6.5.2, §10.5.1).
        ("a list of 72,000 bytes", {
            let block = head(&lines(READ, bearer, &many));
            let mut pieces = block.chunks(16_000);
            let first = frame(HEADERS, END_STREAM, 1, pieces.next().unwrap());
            let rest = pieces.map(|piece| frame(CONTINUATION, 0, 1, piece)).collect::<Vec<_>>().concat();
            [first, rest, frame(CONTINUATION, END_HEADERS, 1, &[])].concat()
        }),
        ("a list that grows when it is unpacked", {
            // One entry goes into the dynamic table, and is named 4000 times.
            let mut block = head(&lines(READ, bearer, &[]));
            block.extend_from_slice(&[0x40, 3, b'x', b'-', b'a', 127, 0xa1, 0x1e]);
            block.extend_from_slice(&[b'a'; 4000]);
            block.extend_from_slice(&[0xbe; 4000]);
            frame(HEADERS, ends, 1, &block)
        }),
        ("a block that cannot be unpacked", frame(HEADERS, ends, 1, &[0xff; 40])),
        // Frames out of place (§4.2, §5.1, §6).
        ("a stream of an even number", frame(HEADERS, ends, 2, &head(&lines(READ, bearer, &[])))),
        ("a head on stream 0", frame(HEADERS, ends, 0, &head(&lines(READ, bearer, &[])))),
        ("data without a head", frame(DATA, END_STREAM, 1, b"{}")),
        ("a continuation of nothing", frame(CONTINUATION, END_HEADERS, 1, &head(&lines(READ, bearer, &[])))),
        ("a head that another frame cuts", {
            let block = head(&lines(READ, bearer, &[]));
            [
                frame(HEADERS, END_STREAM, 1, &block[..20]),
                frame(PING, 0, 0, &[0; 8]),
                frame(CONTINUATION, END_HEADERS, 1, &block[20..]),
            ]
            .concat()
        }),
        ("a frame larger than admitted", frame(HEADERS, ends, 1, &vec![0; 20_000])),
        ("a push", frame(5, END_HEADERS, 1, &[&[0, 0, 0, 2], &head(&lines(READ, bearer, &[]))[..]].concat())),
        ("padding longer than the frame", {
            frame(
                HEADERS,
                ends | 8,
                1,
                &[&[255], &head(&[method, scheme, authority, read])[..]].concat()[..100],
            )
        }),
        ("a stream that depends on itself", frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 0])),
        // Windows (§6.9).
        ("a window of nothing more", frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
        ("a window beyond its bound", frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]).repeat(2)),
        ("a first window beyond its bound", frame(SETTINGS, 0, 0, &[0, 4, 0xff, 0xff, 0xff, 0xff])),
        ("a window for a stream that is not", frame(WINDOW_UPDATE, 0, 5, &[0, 0, 0, 1])),
        ("settings of five bytes", frame(SETTINGS, 0, 0, &[0; 5])),
        ("a ping of seven bytes", frame(PING, 0, 0, &[0; 7])),
    ]
}

async fn nothing_malformed_passes(tls: Option<&Authority>) {
    let house = house(tls).await;
    let bearer = format!("Bearer {}", house.token());
    let good = frame(HEADERS, END_HEADERS | END_STREAM, 1, &head(&lines(READ, &bearer, &[])));
    for (asked, (name, bytes)) in malformed(&bearer).into_iter().enumerate() {
        let mut stream = wire::connect(house.address, tls, "h2").await;
        let got = frames::ask(&mut *stream, &bytes, frames::settled).await;
        assert!(!frames::is_ok(&got, 1), "{name}: {got:?}");
        assert_eq!(house.upstream.count(), asked, "{name} reached the upstream");
        let mut stream = wire::connect(house.address, tls, "h2").await;
        let got = frames::ask(&mut *stream, &good, frames::settled).await;
        assert!(frames::is_ok(&got, 1), "after {name}: {got:?}");
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

/// Sends a piece again and again until the other side has closed; how often that went.
async fn flood(house: &House, first: &[u8], piece: impl Fn(u32) -> Vec<u8>) -> u32 {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let stream = wire::connect(house.address, None, "h2").await;
    let (mut reading, mut writing) = tokio::io::split(stream);
    let send = async {
        writing.write_all(&[&frames::preface()[..], first].concat()).await.unwrap();
        for n in 0..1_000_000 {
            if writing.write_all(&piece(n)).await.is_err() {
                return n;
            }
        }
        panic!("a million pieces went");
    };
    let receive = async {
        let mut sink = vec![0; 65_536];
        while matches!(reading.read(&mut sink).await, Ok(1..)) {}
    };
    let both = async { tokio::join!(send, receive).0 };
    tokio::time::timeout(2 * PATIENCE, both).await.expect("the gateway closes the connection")
}

/// The next frames of a flood, by their number.
type Piece = Box<dyn Fn(u32) -> Vec<u8>>;

#[tokio::test]
async fn floods_end_the_connection_and_reach_nobody() {
    let house = house(None).await;
    let bearer = format!("Bearer {}", house.token());
    let search = format!("{SEARCH}?name=a");
    let unfinished = head(&lines(&search, &bearer, &[]));
    let opened = frame(HEADERS, END_STREAM, 1, &unfinished);
    let floods: [(&str, Vec<u8>, Piece); 8] = [
        ("pings", vec![], Box::new(|_| frame(PING, 0, 0, &[0; 8]).repeat(20))),
        ("settings", vec![], Box::new(|_| frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 9]).repeat(20))),
        ("priorities", vec![], Box::new(|_| frame(PRIORITY, 0, 3, &[0; 5]).repeat(20))),
        ("small windows", vec![], Box::new(|_| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]).repeat(20))),
        ("frames of no kind", vec![], Box::new(|_| frame(0xbe, 0, 0, &[0; 3]).repeat(20))),
        ("continuations", opened.clone(), Box::new(|_| frame(CONTINUATION, 0, 1, &[]))),
        (
            "continuations with content",
            opened,
            Box::new(|_| frame(CONTINUATION, 0, 1, &head(&[("x-a", "b")]))),
        ),
        (
            "empty data",
            frame(
                HEADERS,
                END_HEADERS,
                1,
                &head(&[
                    (":method", "POST"),
                    (":scheme", "https"),
                    (":authority", "a"),
                    (":path", MERGE),
                    ("authorization", &bearer),
                ]),
            ),
            Box::new(|_| frame(DATA, 0, 1, &[]).repeat(20)),
        ),
    ];
    for (name, first, piece) in floods {
        let pieces = flood(&house, &first, piece).await;
        assert!(pieces < 100_000, "{name}: {pieces}");
        assert_eq!(house.upstream.count(), 0, "{name} reached the upstream");
    }
    assert_eq!(house.ask(READ, &house.token()).await.status, 200);
}

/// CVE-2023-44487: requests that are taken back at once, in a burst and one by one.
#[tokio::test]
async fn requests_that_are_taken_back_again_and_again_end_the_connection() {
    let house = house(None).await;
    let nobodys = head(&lines(READ, "Bearer nobody", &[]));
    let taken_back = |stream: u32| {
        [
            frame(HEADERS, END_HEADERS | END_STREAM, stream, &nobodys),
            frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]),
        ]
        .concat()
    };
    let burst =
        flood(&house, &[], |n| (0..50).flat_map(|m| taken_back(2 * (50 * n + m) + 1)).collect()).await;
    assert!(burst < 1000, "{burst} bursts");
    let single = flood(&house, &[], |n| taken_back(2 * n + 1)).await;
    assert!(single < 20_000, "{single} requests");
    assert_eq!(house.upstream.count(), 0);
    assert_eq!(house.ask(READ, &house.token()).await.status, 200);
}

#[tokio::test]
async fn a_head_that_is_never_finished_ends_the_connection() {
    let house = house(None).await;
    let bearer = format!("Bearer {}", house.token());
    let block = head(&lines(READ, &bearer, &[]));
    let whole = frame(HEADERS, END_HEADERS | END_STREAM, 1, &block);
    for (name, bytes) in [
        ("no frame that ends it", frame(HEADERS, END_STREAM, 1, &block)),
        ("half a frame", whole[..whole.len() / 2].to_vec()),
    ] {
        let mut stream = wire::connect(house.address, None, "h2").await;
        let got = frames::ask(&mut *stream, &bytes, |_| false).await;
        assert!(!frames::is_ok(&got, 1), "{name}: {got:?}");
    }
    assert_eq!(house.upstream.count(), 0);
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up_and_more_streams_than_admitted_are_refused() {
    let house = house(None).await;
    let bearer = format!("Bearer {}", house.token());
    let post = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "a"),
        (":path", MERGE),
        ("authorization", &bearer),
    ];
    let opened = |stream| frame(HEADERS, END_HEADERS, stream, &head(&post));
    let mut stream = wire::connect(house.address, None, "h2").await;
    let got =
        frames::ask(&mut *stream, &[opened(1), frame(DATA, 0, 1, b"{")].concat(), frames::settled).await;
    assert!(!frames::is_ok(&got, 1), "{got:?}");
    assert!(got.iter().any(|frame| frame.kind == HEADERS && frame.stream == 1), "408: {got:?}");

    // 128 are admitted (§5.1.2).
    let many: Vec<u8> = (0..200).flat_map(|n| opened(2 * n + 1)).collect();
    let mut stream = wire::connect(house.address, None, "h2").await;
    let refused = |frames: &[frames::Read]| {
        frames
            .iter()
            .any(|frame| frame.kind == RST_STREAM && frame.content == [0, 0, 0, 7] || frame.kind == GOAWAY)
    };
    assert!(refused(&frames::ask(&mut *stream, &many, refused).await));
    assert_eq!(house.upstream.count(), 0);
}
