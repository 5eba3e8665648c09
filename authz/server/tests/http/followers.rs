//! Two instances on one database: what one changes, the other knows.

use authz_domain::Actor;
use authz_server::Authz;
use axum::body::Body;
use http_body_util::BodyExt as _;
use time::Duration;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::harness::{DEFAULT_SCOPE, TestAuthz, form_request, new_client, token_body};

pub(crate) async fn status(authz: &Authz, body: &str) -> u16 {
    let request = form_request("/oauth2/token", body);
    authz.router().oneshot(request).await.unwrap().status().as_u16()
}

pub(crate) async fn second(first: &TestAuthz) -> Authz {
    Authz::start(
        first.settings.clone(),
        first.keys.clone(),
        first.database.database().clone(),
        first.clock.clone(),
        CancellationToken::new(),
    )
    .await
    .unwrap()
}

#[tokio::test]
async fn a_change_on_one_instance_reaches_the_other() {
    for first in TestAuthz::each().await {
        let second = second(&first).await;
        let credentials = first.industry_client().await;
        let body = token_body(&credentials, DEFAULT_SCOPE);
        assert_eq!(status(&second, &body).await, 200, "a new client works at once everywhere");
        first.acts().suspend_client(Actor::Operator, credentials.client_id.as_str()).await.unwrap();
        second.catch_up().await.unwrap();
        assert_eq!(status(&second, &body).await, 401);
        first.acts().resume_client(Actor::Operator, credentials.client_id.as_str()).await.unwrap();
        second.catch_up().await.unwrap();
        assert_eq!(status(&second, &body).await, 200);
    }
}

#[tokio::test]
async fn a_new_secret_works_before_the_change_was_followed() {
    let first = TestAuthz::start().await;
    let second = second(&first).await;
    let credentials = first.industry_client().await;
    assert_eq!(status(&second, &token_body(&credentials, DEFAULT_SCOPE)).await, 200);
    let new =
        first.acts().rotate_secret(Actor::Operator, credentials.client_id.as_str(), false).await.unwrap();
    assert_eq!(status(&second, &token_body(&new, DEFAULT_SCOPE)).await, 200);
}

#[tokio::test]
async fn both_instances_publish_and_use_the_same_keys() {
    for first in TestAuthz::each().await {
        let second = second(&first).await;
        let keys = async |authz: &Authz| {
            let request = http::Request::get("/oauth2/jwks").body(Body::empty()).unwrap();
            let body = authz.router().oneshot(request).await.unwrap().into_body();
            body.collect().await.unwrap().to_bytes()
        };
        assert_eq!(keys(&first.authz).await, keys(&second).await);
        second.use_cases().rotate_signing_keys(Actor::Operator, true).await.unwrap();
        first.authz.catch_up().await.unwrap();
        assert_eq!(keys(&first.authz).await, keys(&second).await);
    }
}

#[tokio::test]
async fn instances_that_start_together_make_one_set_of_keys() {
    for fresh in database::testing::TestDatabase::each().await {
        let first = TestAuthz::on(fresh, |_| {}).await;
        let (a, b) = tokio::join!(second(&first), second(&first));
        a.use_cases().create_client(Actor::Operator, new_client()).await.unwrap();
        assert_eq!(b.use_cases().list_signing_keys().await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn another_master_key_is_refused_with_a_hint() {
    let first = TestAuthz::start().await;
    let other = authz_server::AuthzKeys::derive(&config::MasterKey::from_bytes([8; 32]));
    let refused = Authz::start(
        first.settings.clone(),
        other,
        first.database.database().clone(),
        first.clock.clone(),
        CancellationToken::new(),
    )
    .await
    .unwrap_err();
    assert!(refused.to_string().contains("master key"), "{refused}");
}

#[tokio::test]
async fn an_instance_that_slept_through_changes_reads_everything_anew() {
    for first in TestAuthz::each().await {
        let second = second(&first).await;
        let credentials = first.industry_client().await;
        let body = token_body(&credentials, DEFAULT_SCOPE);
        assert_eq!(status(&second, &body).await, 200);
        first.acts().suspend_client(Actor::Operator, credentials.client_id.as_str()).await.unwrap();
        let mut work = authz_store::begin(first.database.database()).await.unwrap();
        authz_store::changes::forget_before(&mut work.db(), first.clock.now() + Duration::SECOND)
            .await
            .unwrap();
        work.commit().await.unwrap();
        first.clock.advance(Duration::hours(2));
        second.catch_up().await.unwrap();
        assert_eq!(status(&second, &body).await, 401);
    }
}

#[tokio::test]
async fn a_lost_database_is_reported_and_silences_the_feed() {
    let authz = TestAuthz::start().await;
    let health = http_service::Health::default();
    let part = health.register("authz");
    part.ready();
    authz.authz.report_to(part);
    let tasks = tokio_util::task::TaskTracker::new();
    authz.authz.spawn_tasks(&tasks);
    authz.database.database().close().await;
    while health.troubles().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(health.troubles()[0].1, "the database does not answer");
    assert!(authz.authz.catch_up().await.is_err());
    authz.stop.cancel();
    tasks.close();
    tasks.wait().await;
}
