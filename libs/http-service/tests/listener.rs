//! A listener over real sockets: several workers, request ids, limits, draining.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use http::{Request, Response};
use http_service::{Body, Handler, IncomingBody, Listening, RequestId, ServeOptions, Serving, bind};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Notify,
};
use tokio_util::sync::CancellationToken;

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Answers with the request id; waits for a nudge first when asked for `/wait`.
struct Echo {
    arrived: Arc<Notify>,
    go_on: Arc<Notify>,
}

impl Handler for Echo {
    async fn handle(&self, request: Request<IncomingBody>) -> Response<Body> {
        if request.uri().path() == "/wait" {
            self.arrived.notify_one();
            self.go_on.notified().await;
        }
        if request.uri().path() == "/known" {
            // As routers answer HEAD: with the length of a body that is not there.
            let known = Response::builder().status(304).header("content-length", "0");
            return known.body(Body::empty()).unwrap();
        }
        let id = request.extensions().get::<RequestId>().unwrap().as_str().to_owned();
        Response::new(Body::from(id))
    }
}

struct Stage {
    address: SocketAddr,
    arrived: Arc<Notify>,
    go_on: Arc<Notify>,
    stop: CancellationToken,
    serving: Serving,
}

fn stage(workers: usize) -> Stage {
    let listening: Listening = bind(ANY_PORT, workers).unwrap();
    let address = listening.address();
    let (arrived, go_on, stop) = (Arc::new(Notify::new()), Arc::new(Notify::new()), CancellationToken::new());
    let (a, g) = (arrived.clone(), go_on.clone());
    let options = ServeOptions { head_timeout: Duration::from_millis(300), ..ServeOptions::plain("test") };
    let serving =
        listening.serve(&options, move |_| Echo { arrived: a.clone(), go_on: g.clone() }, &stop).unwrap();
    Stage { address, arrived, go_on, stop, serving }
}

async fn exchange(address: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn every_answer_carries_the_request_id() {
    let stage = stage(2);
    for _ in 0..8 {
        let answer = exchange(
            stage.address,
            "GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine\r\nConnection: close\r\n\r\n",
        )
        .await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("x-request-id: mine"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nmine"), "{answer}");
    }
    stage.stop.cancel();
    stage.serving.finished().await;
}

#[tokio::test]
async fn what_is_known_has_no_length() {
    let stage = stage(1);
    for method in ["GET", "HEAD"] {
        let asked = format!("{method} /known HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = exchange(stage.address, &asked).await;
        assert!(answer.starts_with("HTTP/1.1 304") && !answer.contains("content-length"), "{answer}");
    }
    stage.stop.cancel();
    stage.serving.finished().await;
}

#[tokio::test]
async fn a_request_in_flight_is_finished_after_the_stop_signal() {
    let stage = stage(1);
    let asked =
        tokio::spawn(exchange(stage.address, "GET /wait HTTP/1.1\r\nHost: x\r\nX-Request-Id: late\r\n\r\n"));
    stage.arrived.notified().await;
    stage.stop.cancel();
    stage.go_on.notify_one();
    let answer = asked.await.unwrap();
    assert!(answer.ends_with("late"), "{answer}");
    stage.serving.finished().await;
    assert!(TcpStream::connect(stage.address).await.is_err(), "the socket is closed");
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let stage = stage(1);
    // read_to_string returns only because the server closes the connection.
    let answer = exchange(stage.address, "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ").await;
    assert!(!answer.contains("200"), "{answer}");
    stage.stop.cancel();
    stage.serving.finished().await;
}

#[tokio::test]
async fn a_connection_that_says_nothing_or_stops_in_the_preface_is_cut_off() {
    let stage = stage(1);
    for silence in ["", "PRI", "PRI * HTTP/2.0\r\n", "GE"] {
        assert!(!exchange(stage.address, silence).await.contains("200"), "{silence}");
    }
    stage.stop.cancel();
    stage.serving.finished().await;
}

#[tokio::test]
async fn a_port_in_use_is_refused_also_to_another_program_of_ours() {
    let stage = stage(2);
    assert!(bind(stage.address, 2).is_err());
    stage.stop.cancel();
    stage.serving.finished().await;
    assert!(bind(stage.address, 2).is_ok());
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let stage = stage(1);
    let many = "X-A: 1\r\n".repeat(200);
    let answer = exchange(stage.address, &format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    stage.stop.cancel();
    stage.serving.finished().await;
}

#[tokio::test]
async fn a_head_that_cannot_be_read_safely_is_refused_with_words_and_a_request_id() {
    let stage = stage(1);
    for (text, status, words) in [
        ("GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n", "400", "fragment"),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400", "Host"),
        ("GET / HTTP/1.1\r\n\r\n", "400", "Host header is missing"),
        ("GET / HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n", "400", "header line"),
        (
            "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "400",
            "Transfer-Encoding",
        ),
        ("GET / HTTP/3.0\r\nHost: x\r\n\r\n", "505", "version"),
        ("hello\r\n", "400", "request line"),
        ("PMSGATE-REFUSED / HTTP/1.1\r\nHost: x\r\n\r\n", "400", "request line"),
    ] {
        let answer = exchange(stage.address, text).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{text:?}: {answer}");
        assert!(answer.contains("x-request-id: ") && answer.contains("application/problem+json"), "{answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let id = head.split_once("x-request-id: ").unwrap().1.split("\r\n").next().unwrap();
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert!(problem["detail"].as_str().unwrap().contains(words), "{text:?}: {problem}");
        assert_eq!(problem["instance"], format!("urn:pmsgate:request:{id}"));
    }
    stage.stop.cancel();
    stage.serving.finished().await;
}

#[tokio::test]
async fn what_came_before_a_bad_head_is_answered_and_what_comes_behind_it_is_not() {
    let stage = stage(1);
    let text = "GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: first\r\n\r\nGET /a#b HTTP/1.1\r\nHost: x\r\n\r\n\
                GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: third\r\n\r\n";
    let answer = exchange(stage.address, text).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\r\n\r\nfirstHTTP/1.1 400"), "{answer}");
    assert!(!answer.contains("third"), "{answer}");
    stage.stop.cancel();
    stage.serving.finished().await;
}
