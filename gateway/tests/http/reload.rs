//! Another route table, put in force while the gateway works.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::Router;
use config::Interaction;
use gateway::testing::rules;
use http::StatusCode;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;

use crate::{
    house::{House, READ, SEARCH, eventually, fhir, serve},
    raw_upstream::{Good, towards},
};

#[tokio::test]
async fn a_route_comes_and_goes_without_a_restart() {
    let house = House::start().await;
    let token = house.token();
    let mut settings = house.settings.clone();
    let operations = &mut settings.products[0].product.operations;
    operations.retain(|operation| operation.interaction != Interaction::Search);
    let changes = house.gateway.reload(settings).unwrap();
    assert_eq!(
        changes,
        [
            "- route pms-read-v3 EP301 GET /pms/api/v3/MedicinalProductDefinition",
            "- route pms-read-v3 EP301-form POST /pms/api/v3/MedicinalProductDefinition/_search",
        ]
    );
    assert_eq!(house.ask(SEARCH, &token).await.status, StatusCode::NOT_FOUND);
    assert_eq!(house.ask(READ, &token).await.status, StatusCode::OK);
    house.gateway.reload(house.settings.clone()).unwrap();
    assert_eq!(house.ask(SEARCH, &token).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_role_that_is_taken_away_is_gone_for_tokens_that_are_known() {
    let house = House::start().await;
    let token = house.token();
    assert_eq!(house.ask(READ, &token).await.status, StatusCode::OK);
    let mut settings = house.settings.clone();
    settings.products[0].token_roles.retain(|role| role != "PMS.Industry.API");
    assert_eq!(house.gateway.reload(settings).unwrap(), ["~ product pms-read-v3: roles"]);
    assert_eq!(house.ask(READ, &token).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_table_that_makes_no_sense_changes_nothing() {
    let house = House::start().await;
    let token = house.token();
    let mut settings = house.settings.clone();
    settings.rate_limits.rules = rules(1, None);
    settings.products[1].product.operations.clear();
    settings.products[0].product.operations[0].scope = "everything".into();
    let error = house.gateway.reload(settings).unwrap_err().to_string();
    assert!(error.contains("EP301") && error.contains("everything"), "{error}");
    for _ in 0..3 {
        assert_eq!(house.ask(SEARCH, &token).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn routes_and_limits_change_at_once_and_who_began_before_ends_under_both() {
    let house = House::start_with(|settings| settings.rate_limits.rules = rules(100, None)).await;
    let token = house.token();
    let head = format!(
        "POST {SEARCH}/_search HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 6\r\nExpect: 100-continue\r\n\r\n"
    );
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut told = [0; 25];
    stream.read_exact(&mut told).await.unwrap();
    assert_eq!(told, *b"HTTP/1.1 100 Continue\r\n\r\n", "it has begun, and is not counted yet");

    let mut settings = house.settings.clone();
    let operations = &mut settings.products[0].product.operations;
    operations.retain(|operation| operation.interaction != Interaction::Search);
    settings.rate_limits.rules = rules(7, None);
    assert_eq!(
        house.gateway.reload(settings).unwrap(),
        [
            "- route pms-read-v3 EP301 GET /pms/api/v3/MedicinalProductDefinition",
            "- route pms-read-v3 EP301-form POST /pms/api/v3/MedicinalProductDefinition/_search",
            "- limit */*/100/100/0",
            "+ limit */*/7/7/0",
            "~ limit address: 100/100 became 7/7",
        ]
    );
    assert_eq!(house.ask(SEARCH, &token).await.status, StatusCode::NOT_FOUND);
    let answer = house.ask(READ, &token).await;
    assert_eq!((answer.status, answer.header("ratelimit-policy")), (StatusCode::OK, "\"rate\";q=7;w=60"));
    stream.write_all(b"name=a").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("ratelimit-policy: \"rate\";q=100;w=60\r\n"), "{answer}");
    assert!(answer.contains("ratelimit: \"rate\";r=99;"), "{answer}");
}

#[tokio::test]
async fn connections_to_upstreams_that_stay_are_kept() {
    let good = Good::start().await;
    let house = House::start_with(towards(good.address)).await;
    for _ in 0..3 {
        assert_eq!(house.ask(READ, &house.token()).await.text, "{}");
        let mut settings = house.settings.clone();
        settings.products[0].product.operations.pop();
        house.gateway.reload(settings).unwrap();
    }
    assert_eq!(good.connections(), 1);
}

#[tokio::test]
async fn what_is_in_flight_ends_at_the_upstream_where_it_began() {
    let house = Arc::new(House::start().await);
    let (asked, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let slow = Router::new().fallback({
        let (asked, go) = (Arc::clone(&asked), Arc::clone(&go));
        move || async move {
            asked.fetch_add(1, Ordering::SeqCst);
            go.acquire().await.unwrap().forget();
            fhir(StatusCode::OK, "\"old\"")
        }
    });
    let slow: SocketAddr = serve(slow, &CancellationToken::new());
    let towards_slow = |upstream: String| {
        let mut settings = house.settings.clone();
        settings.products[0].upstreams = vec![upstream];
        house.gateway.reload(settings).unwrap()
    };
    towards_slow(format!("http://{slow}"));
    let old = tokio::spawn({
        let house = Arc::clone(&house);
        async move { house.ask(READ, &house.token()).await }
    });
    eventually("the old upstream is asked", || async { asked.load(Ordering::SeqCst) == 1 }).await;
    let changes = towards_slow(house.settings.products[0].upstreams[0].clone());
    assert_eq!(
        changes,
        [
            format!("+ upstream pms-read-v3 {}", house.settings.products[0].upstreams[0]),
            format!("- upstream pms-read-v3 http://{slow}"),
        ]
    );
    assert!(house.ask(READ, &house.token()).await.text.contains("MedicinalProductDefinition"));
    go.add_permits(1);
    assert_eq!(old.await.unwrap().text, "\"old\"");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}
