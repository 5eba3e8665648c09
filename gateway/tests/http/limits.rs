//! Limits as callers meet them.

use config::Budget;
use gateway::testing::rules;
use http::StatusCode;

use crate::house::{Answer, House, READ};

#[tokio::test]
async fn every_answer_says_what_is_left_and_one_too_many_is_told_when_to_come_back() {
    let house = House::start_with(|settings| settings.rate_limits.rules = rules(2, Some(100))).await;
    let token = house.token();
    let first = house.ask(READ, &token).await;
    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(first.header("ratelimit-policy"), "\"rate\";q=2;w=60, \"day\";q=100;w=86400");
    assert_eq!(first.header("ratelimit"), "\"rate\";r=1;t=30, \"day\";r=99;t=43200");
    house.ask(READ, &token).await;
    let reached = house.upstream.count();
    let refused = house.ask(READ, &token).await;
    assert_eq!((refused.status, refused.rule().as_str()), (StatusCode::TOO_MANY_REQUESTS, "rate-limit"));
    assert_eq!(refused.json()["issue"][0]["code"], "throttled");
    let seconds: u32 = refused.header("retry-after").parse().unwrap();
    assert!((1..=30).contains(&seconds), "{seconds}");
    assert_eq!(refused.header("ratelimit"), format!("\"rate\";r=0;t={seconds}"));
    assert_eq!(house.upstream.count(), reached, "a refused request goes nowhere");
    // Another client of the same address has a budget of its own.
    let other = house.token_with(|claims| claims.client_id = "client-2".into());
    assert_eq!(house.ask(READ, &other).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_new_token_brings_no_new_budget() {
    let house = House::start_with(|settings| settings.rate_limits.rules = rules(1, None)).await;
    assert_eq!(house.ask(READ, &house.token()).await.status, StatusCode::OK);
    let fresh = house.token_with(|claims| claims.jti = "token-2".into());
    assert_eq!(house.ask(READ, &fresh).await.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn what_is_not_permitted_costs_nothing_of_the_budget() {
    let house = House::start_with(|settings| settings.rate_limits.rules = rules(1, None)).await;
    let token = house.token();
    for _ in 0..3 {
        assert_eq!(house.ask("/pms/api/v3/Nothing", &token).await.status, StatusCode::NOT_FOUND);
        assert_eq!(
            house.ask("/public/v1/MedicinalProductDefinition", &token).await.status,
            StatusCode::UNAUTHORIZED
        );
    }
    assert_eq!(house.ask(READ, &token).await.status, StatusCode::OK);
}

#[tokio::test]
async fn guessing_from_one_address_is_slowed_and_known_tokens_go_on() {
    let house = House::start_with(|settings| {
        settings.rate_limits.rules.limits.address =
            Budget { burst: 3.try_into().unwrap(), per_minute: 1.try_into().unwrap() };
    })
    .await;
    let token = house.token();
    assert_eq!(house.ask(READ, &token).await.status, StatusCode::OK);
    for guess in ["a.b.c", "d.e.f", "g.h.i"] {
        assert_eq!(house.ask(READ, guess).await.status, StatusCode::UNAUTHORIZED);
    }
    let refused = house.ask(READ, "j.k.l").await;
    assert_eq!((refused.status, refused.rule().as_str()), (StatusCode::TOO_MANY_REQUESTS, "address-limit"));
    assert!(refused.json()["issue"][0]["details"]["text"].as_str().unwrap().contains("Fetch a token first"));
    let nothing = house.client.get(house.url(READ)).send().await.unwrap();
    assert_eq!(nothing.status(), StatusCode::TOO_MANY_REQUESTS);
    let unknown = house.token_with(|claims| claims.jti = "token-2".into());
    assert_eq!(house.ask(READ, &unknown).await.status, StatusCode::TOO_MANY_REQUESTS, "not known yet");
    assert_eq!(house.ask(READ, &token).await.status, StatusCode::OK, "known");
}

#[tokio::test]
async fn the_agencys_own_shape_is_spoken_on_request() {
    let house = House::start_with(|settings| {
        settings.rate_limits.rules = rules(1, None);
        settings.apim_errors = true;
    })
    .await;
    let token = house.token();
    house.ask(READ, &token).await;
    let refused = house.ask(READ, &token).await;
    assert_eq!(refused.json()["statusCode"], 429);
    let message = refused.json()["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("Rate limit is exceeded. Try again in "), "{message}");
}

#[tokio::test]
async fn a_fault_that_was_asked_for_has_the_agencys_shape_too() {
    let house = House::start_with(|settings| (settings.apim_errors, settings.sandbox) = (true, true)).await;
    let request = house.get(READ, &house.token()).header("x-sandbox-fault", "429");
    let refused = Answer::of(request.send().await.unwrap()).await;
    assert_eq!((refused.status, refused.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "2"));
    assert_eq!(refused.json()["statusCode"], 429, "{}", refused.text);
    let elsewhere = House::start_with(|settings| settings.apim_errors = true).await;
    let request = elsewhere.get(READ, &elsewhere.token()).header("x-sandbox-fault", "429");
    assert_eq!(
        Answer::of(request.send().await.unwrap()).await.status,
        StatusCode::OK,
        "no sandbox, no faults"
    );
}
