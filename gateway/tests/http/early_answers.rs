//! Callers that are answered while they still send: they come to read why.

use std::future::poll_fn;

use bytes::Bytes;
use h2::{Reason, SendStream, client::ResponseFuture};
use http::{Request, StatusCode};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{
    house::{Answer, House, MERGE},
    wire::PATIENCE,
};

/// What is read of a body that nobody wants, and more.
const MIB: usize = 1024 * 1024;

/// The tokens of two refusals: at once, and for the size that is told.
fn tokens(house: &House) -> [(String, StatusCode, &'static str); 2] {
    [
        ("x".to_owned(), StatusCode::UNAUTHORIZED, "token-malformed"),
        (house.token(), StatusCode::PAYLOAD_TOO_LARGE, "body-too-large"),
    ]
}

#[tokio::test]
async fn over_http1_a_caller_that_sends_all_before_it_reads_is_told() {
    let house = House::start().await;
    // More than fits into the sockets' buffers.
    for length in [3 * MIB, 7 * MIB] {
        for (token, status, _) in tokens(&house) {
            let head = format!(
                "POST {MERGE} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            let (mut reading, mut writing) = TcpStream::connect(house.address).await.unwrap().into_split();
            let sending = async {
                writing.write_all(head.as_bytes()).await?;
                // Of seven the last are not wanted any more.
                writing.write_all(&vec![b' '; length.min(4 * MIB)]).await
            };
            timeout(PATIENCE, sending).await.unwrap().unwrap();
            let mut answer = Vec::new();
            timeout(PATIENCE, reading.read_to_end(&mut answer)).await.unwrap().unwrap();
            let begins = format!("HTTP/1.1 {}", status.as_str());
            assert!(answer.starts_with(begins.as_bytes()), "{length}: {}", answer.escape_ascii());
            assert!(answer.ends_with(b"}"), "{length}: {}", answer.escape_ascii());
        }
    }
    assert_eq!(house.upstream.count(), 0);
}

#[tokio::test]
async fn over_http2_a_caller_that_sends_all_before_it_reads_is_told() {
    let house = House::start().await;
    for (token, status, rule) in tokens(&house) {
        let length = (3 * MIB).to_string();
        let (answer, mut sending) = upload(&house, &token, &[("content-length", &length)]).await;
        timeout(PATIENCE, send(&mut sending, 3 * MIB, true)).await.unwrap().unwrap();
        assert_eq!(refusal(answer).await, (status, rule.to_owned()));
    }
    assert_eq!(house.upstream.count(), 0);
}

#[tokio::test]
async fn over_http2_a_caller_that_sends_without_end_is_told_first_and_stopped_then() {
    let house = House::start().await;
    let length = (50 * MIB).to_string();
    let told = [("content-length", length.as_str())];
    // Where the length is not told, too much is seen only on its way to the upstream.
    for (headers, sent_before) in [(&told[..], 0), (&[], MIB)] {
        for (token, status, rule) in tokens(&house) {
            let (answer, mut sending) = upload(&house, &token, headers).await;
            let exchange = async {
                send(&mut sending, sent_before, false).await.unwrap();
                let refusal = refusal(answer).await;
                let stopped = std::pin::pin!(poll_fn(|context| sending.poll_reset(context)));
                assert!(futures_util::poll!(stopped).is_pending(), "not in one breath with the answer");
                (refusal, send(&mut sending, 50 * MIB, true).await)
            };
            let (refusal, sent) = timeout(PATIENCE, exchange).await.unwrap();
            assert_eq!(refusal, (status, rule.to_owned()));
            assert_eq!(sent, Err(Reason::NO_ERROR));
        }
    }
    assert_eq!(house.upstream.count(), 0);
}

#[tokio::test]
async fn over_http2_hyper_reads_the_answer() {
    let house = House::start().await;
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    for length in [100_000, 900_000, 3 * MIB, 20 * MIB] {
        let request = client.post(house.url(MERGE)).bearer_auth("x").body(vec![b' '; length]);
        let answer = timeout(PATIENCE, request.send()).await.unwrap().unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(Answer::of(answer).await.rule(), "token-malformed", "{length}");
    }
    assert_eq!(house.upstream.count(), 0);
}

#[tokio::test]
async fn over_http2_a_caller_that_expects_to_be_told_is_refused_at_once_and_else_served_when_it_goes_on() {
    let house = House::start().await;
    let length = (3 * MIB).to_string();
    let expecting = [("expect", "100-continue"), ("content-length", length.as_str())];
    for (token, status, rule) in tokens(&house) {
        let (answer, _sending) = upload(&house, &token, &expecting).await;
        assert_eq!(refusal(answer).await, (status, rule.to_owned()), "nothing was sent");
    }
    assert_eq!(house.upstream.count(), 0);
    let (answer, mut sending) = upload(&house, &house.token(), &expecting[..1]).await;
    sending.send_data(Bytes::from_static(b"{}"), true).unwrap();
    assert_eq!(timeout(PATIENCE, answer).await.unwrap().unwrap().status(), StatusCode::OK);
    assert_eq!(house.upstream.last().body, "{}");
    assert!(!house.upstream.last().headers.contains_key("expect"));
}

/// Begins an upload over a connection of its own, with more headers.
async fn upload(house: &House, token: &str, headers: &[(&str, &str)]) -> (ResponseFuture, SendStream<Bytes>) {
    let stream = TcpStream::connect(house.address).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::post(house.url(MERGE)).header("authorization", format!("Bearer {token}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    client.ready().await.unwrap().send_request(request.body(()).unwrap(), false).unwrap()
}

/// Sends so many bytes, and the end, as fast as there is room; the reason of a reset in between.
async fn send(stream: &mut SendStream<Bytes>, length: usize, ends: bool) -> Result<(), Reason> {
    let mut left = length;
    while left > 0 {
        stream.reserve_capacity(left.min(MIB));
        let room = match poll_fn(|context| stream.poll_capacity(context)).await {
            Some(Ok(room)) => room.min(left),
            Some(Err(error)) => return Err(error.reason().unwrap()),
            None => return Err(poll_fn(|context| stream.poll_reset(context)).await.unwrap()),
        };
        stream.send_data(Bytes::from(vec![b' '; room]), ends && left == room).unwrap();
        left -= room;
    }
    Ok(())
}

/// The whole answer: its status, and the rule that it names.
async fn refusal(answer: ResponseFuture) -> (StatusCode, String) {
    let (head, mut body) = timeout(PATIENCE, answer).await.unwrap().unwrap().into_parts();
    let mut bytes = Vec::new();
    while let Some(chunk) = body.data().await {
        bytes.extend_from_slice(&chunk.unwrap());
    }
    let outcome: Value = serde_json::from_slice(&bytes).unwrap();
    let rule = outcome["issue"][0]["details"]["coding"][0]["code"].as_str().unwrap();
    (head.status, rule.to_owned())
}
