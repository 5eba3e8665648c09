//! The revocation feed: what is in force, then changes as they happen, for those who hold the feed key.

use std::time::Duration;

use access_token::{FeedLine, Revocation, RevocationSubject};
use authz_domain::Actor;
use axum::body::{Body, BodyDataStream};
use config::Purpose;
use futures_util::StreamExt as _;
use http::{Request, StatusCode};
use tower::ServiceExt as _;

use crate::harness::{DEFAULT_SCOPE, START, TestAuthz};

/// An open feed.
struct Feed {
    stream: BodyDataStream,
    lines: Vec<String>,
}

impl Feed {
    async fn open(authz: &TestAuthz, after: i64) -> Self {
        let key = hex::encode(authz.master_key.derive(Purpose::RevocationFeed).as_slice());
        let request = Request::get(format!("/oauth2/revocations?after={after}"))
            .header("authorization", format!("Bearer {key}"))
            .body(Body::empty())
            .unwrap();
        let response = authz.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "application/x-ndjson");
        Self { stream: response.into_body().into_data_stream(), lines: Vec::new() }
    }

    async fn line(&mut self) -> Option<FeedLine> {
        while self.lines.is_empty() {
            let chunk =
                tokio::time::timeout(Duration::from_secs(10), self.stream.next()).await.unwrap()?.unwrap();
            self.lines.extend(String::from_utf8(chunk.to_vec()).unwrap().lines().map(str::to_owned));
        }
        Some(serde_json::from_str(&self.lines.remove(0)).unwrap())
    }

    /// Entries up to the next heartbeat, and its position.
    async fn batch(&mut self) -> (Vec<Revocation>, i64) {
        let mut entries = Vec::new();
        loop {
            match self.line().await.unwrap() {
                FeedLine::Revocation(entry) => entries.push(entry),
                FeedLine::Heartbeat { heartbeat } => return (entries, heartbeat),
            }
        }
    }

    /// The next entries, however many heartbeats pass before.
    async fn entries(&mut self) -> Vec<Revocation> {
        loop {
            let (entries, _) = self.batch().await;
            if !entries.is_empty() {
                return entries;
            }
        }
    }
}

#[tokio::test]
async fn changes_arrive_as_they_happen() {
    for authz in TestAuthz::each().await {
        let credentials = authz.industry_client().await;
        let id = credentials.client_id.to_string();
        let mut feed = Feed::open(&authz, 0).await;
        assert_eq!(feed.batch().await.0, []);

        authz.acts().suspend_client(Actor::Operator, &id).await.unwrap();
        let entries = feed.entries().await;
        assert_eq!(entries[0].subject, RevocationSubject::Client(id.clone()));
        assert!(entries[0].revoked);
        assert!(entries[0].until >= START.unix_timestamp() + 3600);

        authz.acts().resume_client(Actor::Operator, &id).await.unwrap();
        let lifted = feed.entries().await;
        assert!(!lifted[0].revoked && lifted[0].seq > entries[0].seq);

        authz.acts().rotate_secret(Actor::Operator, &id, true).await.unwrap();
        let secret = feed.entries().await;
        assert_eq!(secret[0].subject, RevocationSubject::Secret(credentials.secret_id.to_string()));
    }
}

#[tokio::test]
async fn another_process_is_followed() {
    for authz in TestAuthz::each().await {
        let credentials = authz.industry_client().await;
        authz.token(&credentials, DEFAULT_SCOPE).await.access_token();
        let tasks = tokio_util::task::TaskTracker::new();
        authz.authz.spawn_tasks(&tasks);
        let mut feed = Feed::open(&authz, 0).await;
        feed.batch().await;
        authz.other_process().revoke_client(Actor::Operator, credentials.client_id.as_str()).await.unwrap();
        assert_eq!(feed.entries().await.len(), 1);
        assert_eq!(authz.token(&credentials, DEFAULT_SCOPE).await.status, 401);
        authz.stop.cancel();
        tasks.close();
        tasks.wait().await;
    }
}

#[tokio::test]
async fn a_follower_that_comes_back_gets_what_it_missed() {
    let authz = TestAuthz::start().await;
    let (one, two) = (authz.industry_client().await, authz.industry_client().await);
    authz.acts().suspend_client(Actor::Operator, one.client_id.as_str()).await.unwrap();
    let (entries, position) = Feed::open(&authz, 0).await.batch().await;
    assert_eq!((entries.len(), entries[0].seq), (1, position));
    assert_eq!(Feed::open(&authz, position).await.batch().await, (vec![], position));
    authz.acts().suspend_client(Actor::Operator, two.client_id.as_str()).await.unwrap();
    let (missed, later) = Feed::open(&authz, position).await.batch().await;
    assert_eq!(missed[0].subject, RevocationSubject::Client(two.client_id.to_string()));
    assert!(later > position);
    let (all, _) = Feed::open(&authz, later + 1000).await.batch().await;
    assert_eq!(all.len(), 2, "a number of another database starts from the beginning");
    authz.clock.advance(time::Duration::hours(2));
    assert_eq!(Feed::open(&authz, 0).await.batch().await.0, [], "what is dead is not told");
}

#[tokio::test]
async fn the_feed_ends_when_the_server_stops() {
    let authz = TestAuthz::start().await;
    let mut feed = Feed::open(&authz, 0).await;
    feed.batch().await;
    authz.stop.cancel();
    assert!(feed.line().await.is_none());
}

#[tokio::test]
async fn only_holders_of_the_feed_key_are_served() {
    let authz = TestAuthz::start().await;
    let credentials = authz.industry_client().await;
    let token = authz.token(&credentials, DEFAULT_SCOPE).await.access_token();
    for authorization in
        ["Bearer x".to_owned(), format!("Bearer {token}"), "Bearer".to_owned(), "Basic eDp5".to_owned()]
    {
        let request = Request::get("/oauth2/revocations").header("authorization", authorization);
        let answer = authz.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 401);
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
    }
    assert_eq!(authz.get("/oauth2/revocations").await.status, 401);
}
