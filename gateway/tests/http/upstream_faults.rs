//! An upstream that is away, slow, overloaded, or answers nonsense.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::response::IntoResponse as _;
use gateway::GatewaySettings;
use http::StatusCode;
use tokio::{io::AsyncWriteExt as _, net::TcpListener, sync::Semaphore};

use crate::{
    house::{Answer, House, MERGE, READ, eventually},
    raw_upstream::{GOOD, Good, head, raw_upstream, towards},
};

#[tokio::test]
async fn connections_are_reused() {
    let good = Good::start().await;
    let house = House::start_with(towards(good.address)).await;
    for _ in 0..20 {
        assert_eq!(house.ask(READ, &house.token()).await.text, "{}");
    }
    assert_eq!((good.connections(), good.requests()), (1, 20));
}

#[tokio::test]
async fn a_read_is_sent_again_when_a_reused_connection_dies() {
    let address = raw_upstream(|number, mut stream| async move {
        // The first connection dies on its second request, without an answer.
        let good = if number == 0 { 1 } else { usize::MAX };
        let mut answered = 0;
        while head(&mut stream).await.is_some() && answered < good {
            stream.write_all(GOOD.as_bytes()).await.unwrap();
            answered += 1;
        }
    })
    .await;
    let house = House::start_with(towards(address)).await;
    for _ in 0..3 {
        assert_eq!(house.ask(READ, &house.token()).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_merge_is_never_sent_twice() {
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    let address = raw_upstream(move |_, mut stream| {
        let counted = Arc::clone(&counted);
        async move {
            while let Some(head) = head(&mut stream).await {
                if head.starts_with("POST") {
                    counted.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                stream.write_all(GOOD.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let house = House::start_with(towards(address)).await;
    assert_eq!(house.ask(READ, &house.token()).await.status, StatusCode::OK);
    let request = house.client.post(house.url(MERGE)).bearer_auth(house.token()).body("{}");
    let answer = Answer::of(request.send().await.unwrap()).await;
    assert_eq!((answer.status, answer.rule().as_str()), (StatusCode::BAD_GATEWAY, "upstream-answer"));
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_upstream_that_is_away_is_a_bad_gateway() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let house = House::start_with(towards(address)).await;
    let answer = house.ask(READ, &house.token()).await;
    assert_eq!((answer.status, answer.rule().as_str()), (StatusCode::BAD_GATEWAY, "upstream-unreachable"));
}

#[tokio::test]
async fn an_upstream_that_is_silent_is_a_timeout() {
    let address =
        raw_upstream(|_, mut stream| async move { while head(&mut stream).await.is_some() {} }).await;
    let house = House::start_with(|settings| {
        towards(address)(settings);
        settings.limits.answer_timeout = Duration::from_millis(50);
    })
    .await;
    let answer = house.ask(READ, &house.token()).await;
    assert_eq!((answer.status, answer.rule().as_str()), (StatusCode::GATEWAY_TIMEOUT, "upstream-timeout"));
}

#[tokio::test]
async fn an_answer_that_never_ends_is_cut() {
    let address = raw_upstream(|_, mut stream| async move {
        while head(&mut stream).await.is_some() {
            let half = GOOD.replace("content-length: 2", "content-length: 9");
            stream.write_all(half.as_bytes()).await.unwrap();
        }
    })
    .await;
    let house = House::start_with(|settings| {
        towards(address)(settings);
        settings.limits.total_timeout = Duration::from_millis(50);
    })
    .await;
    let response = house.get(READ, &house.token()).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.bytes().await.is_err(), "a cut answer must not look whole");
}

#[tokio::test]
async fn more_than_the_upstream_bears_is_told_to_come_back() {
    let gate = Arc::new(Semaphore::new(0));
    let waiting = Arc::new(AtomicUsize::new(0));
    let (held, counted) = (Arc::clone(&gate), Arc::clone(&waiting));
    let address = raw_upstream(move |_, mut stream| {
        let (held, counted) = (Arc::clone(&held), Arc::clone(&counted));
        async move {
            while head(&mut stream).await.is_some() {
                counted.fetch_add(1, Ordering::SeqCst);
                held.acquire().await.unwrap().forget();
                stream.write_all(GOOD.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let house = House::start_with(|settings| {
        towards(address)(settings);
        settings.limits.max_in_flight = 2;
    })
    .await;
    let first: Vec<_> = (0..2).map(|_| tokio::spawn(house.get(READ, &house.token()).send())).collect();
    eventually("two are in flight", || async { waiting.load(Ordering::SeqCst) == 2 }).await;
    let answer = house.ask(READ, &house.token()).await;
    assert_eq!((answer.status, answer.rule().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "upstream-busy"));
    assert_eq!(answer.header("retry-after"), "1");
    gate.add_permits(100);
    for answer in first {
        let answer = Answer::of(answer.await.unwrap().unwrap()).await;
        assert_eq!(answer.status, StatusCode::OK);
    }
    eventually("there is room again", || async {
        house.ask(READ, &house.token()).await.status == StatusCode::OK
    })
    .await;
}

#[tokio::test]
async fn answers_that_cannot_be_passed_on_are_a_bad_gateway() {
    let house = House::start().await;
    let bundle = "/pms/api/v3/MedicinalProductDefinition";
    for (path, status, media_type) in [
        (READ, StatusCode::UNAUTHORIZED, "application/fhir+json"),
        (READ, StatusCode::FOUND, "application/fhir+json"),
        (READ, StatusCode::OK, "text/html"),
        (READ, StatusCode::INTERNAL_SERVER_ERROR, "text/plain"),
        (bundle, StatusCode::OK, "application/fhir+xml"),
    ] {
        house.upstream.answer(move |_| (status, [("content-type", media_type)], "secret").into_response());
        let answer = house.ask(path, &house.token()).await;
        assert_eq!(
            (answer.status, answer.rule().as_str()),
            (StatusCode::BAD_GATEWAY, "upstream-answer"),
            "{status} {media_type}"
        );
        assert!(!answer.text.contains("secret"));
    }
}

#[tokio::test]
async fn nonsense_instead_of_http_is_a_bad_gateway() {
    let address = raw_upstream(|_, mut stream| async move {
        let _ = head(&mut stream).await;
        let _ = stream.write_all(b"SSH-2.0-x\r\n\r\n").await;
    })
    .await;
    let house = House::start_with(towards(address)).await;
    let answer = house.ask(READ, &house.token()).await;
    assert_eq!((answer.status, answer.rule().as_str()), (StatusCode::BAD_GATEWAY, "upstream-answer"));
}

/// A port on which nobody listens.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

fn among(addresses: [SocketAddr; 2]) -> impl FnOnce(&mut GatewaySettings) {
    move |settings| {
        for product in &mut settings.products {
            product.upstreams = addresses.iter().map(|address| format!("http://{address}")).collect();
        }
    }
}

#[tokio::test]
async fn several_upstreams_share_the_work() {
    let (one, two) = (Good::start().await, Good::start().await);
    let house = House::start_with(among([one.address, two.address])).await;
    for _ in 0..20 {
        assert_eq!(house.ask(READ, &house.token()).await.status, StatusCode::OK);
    }
    assert_eq!((one.requests(), two.requests()), (10, 10));
}

#[tokio::test]
async fn what_one_upstream_does_not_take_another_answers() {
    let good = Good::start().await;
    let house = House::start_with(among([nobody().await, good.address])).await;
    for _ in 0..20 {
        assert_eq!(house.ask(READ, &house.token()).await.status, StatusCode::OK);
    }
    assert_eq!(good.requests(), 20);
}

#[tokio::test]
async fn an_upstream_that_keeps_failing_is_left_alone_and_callers_are_told_when_to_come_back() {
    let house = House::start_with(towards(nobody().await)).await;
    let token = house.token();
    for _ in 0..5 {
        let answer = house.ask(READ, &token).await;
        assert_eq!(
            (answer.status, answer.rule().as_str()),
            (StatusCode::BAD_GATEWAY, "upstream-unreachable")
        );
    }
    let answer = house.ask(READ, &token).await;
    assert_eq!(
        (answer.status, answer.rule().as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "upstream-resting")
    );
    assert_eq!(answer.header("retry-after"), "1");
}
