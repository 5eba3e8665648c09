//! Revocation: in force also for cached tokens, over broken feeds, and without a feed as configured.

use access_token::RevocationSubject;
use config::FeedLoss;
use http::StatusCode;

use crate::house::{House, READ, eventually};

#[tokio::test]
async fn a_revoked_client_secret_or_token_is_refused_though_cached() {
    let house = House::start().await;
    for subject in [
        RevocationSubject::Client("client-1".into()),
        RevocationSubject::Secret("secret-1".into()),
        RevocationSubject::Token("token-1".into()),
    ] {
        let token = house.token();
        assert_eq!(house.ask(READ, &token).await.status, StatusCode::OK);
        house.issuer.revoke(subject.clone(), true);
        eventually("the token is refused", || async {
            let answer = house.ask(READ, &token).await;
            answer.status == StatusCode::UNAUTHORIZED && answer.rule() == "token-revoked"
        })
        .await;
        house.issuer.revoke(subject, false);
        eventually("the token is good again", || async {
            house.ask(READ, &token).await.status == StatusCode::OK
        })
        .await;
    }
}

#[tokio::test]
async fn what_happened_during_a_break_is_caught_up() {
    let house = House::start().await;
    let token = house.token();
    house.issuer.revoke(RevocationSubject::Client("someone-else".into()), true);
    house.issuer.set_down(true);
    house.issuer.revoke(RevocationSubject::Client("client-1".into()), true);
    assert_eq!(house.ask(READ, &token).await.status, StatusCode::OK, "open: served by what is known");
    house.issuer.set_down(false);
    eventually("the token is refused", || async {
        house.ask(READ, &token).await.status == StatusCode::UNAUTHORIZED
    })
    .await;
}

#[tokio::test]
async fn closed_means_that_nobody_is_served_without_a_feed() {
    let house = House::start_with(|settings| {
        settings.revocations.as_mut().unwrap().feed_loss = FeedLoss::Closed;
    })
    .await;
    let token = house.token();
    assert_eq!(house.ask(READ, &token).await.status, StatusCode::OK);
    house.issuer.set_down(true);
    eventually("everybody is refused", || async {
        let answer = house.ask(READ, &token).await;
        answer.status == StatusCode::SERVICE_UNAVAILABLE && answer.rule() == "revocations-stale"
    })
    .await;
    eventually("health says so", || async { !house.health.troubles().is_empty() }).await;
    house.issuer.set_down(false);
    eventually("service goes on", || async { house.ask(READ, &token).await.status == StatusCode::OK }).await;
}
