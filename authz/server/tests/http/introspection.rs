//! Introspection (RFC 7662) and revocation (RFC 7009).

use authz_domain::Actor;
use authz_server::IssuedCredentials;
use time::Duration;

use crate::harness::{Answer, DEFAULT_SCOPE, TestAuthz};

async fn ask(authz: &TestAuthz, path: &str, credentials: &IssuedCredentials, token: &str) -> Answer {
    let (id, secret) = (&credentials.client_id, credentials.client_secret.expose());
    authz.post(path, &format!("client_id={id}&client_secret={secret}&token={token}")).await
}

async fn is_active(authz: &TestAuthz, credentials: &IssuedCredentials, token: &str) -> bool {
    let answer = ask(authz, "/oauth2/introspect", credentials, token).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let active = answer.json()["active"].as_bool().unwrap();
    if !active {
        assert_eq!(answer.text, r#"{"active":false}"#);
    }
    active
}

#[tokio::test]
async fn a_client_sees_its_own_tokens_and_no_others() {
    for authz in TestAuthz::each().await {
        let (own, other) = (authz.industry_client().await, authz.industry_client().await);
        let token = authz.token(&own, "system/Ingredient.rs").await.access_token();
        let answer = ask(&authz, "/oauth2/introspect", &own, &token).await.json();
        assert_eq!(answer["active"], true);
        assert_eq!(answer["client_id"], own.client_id.as_str());
        assert_eq!(answer["scope"], "system/Ingredient.rs");
        assert_eq!(answer["token_type"], "Bearer");
        assert_eq!(answer["stakeholder"], "industry");
        assert!(!is_active(&authz, &other, &token).await);
        for garbage in ["x", "a.b.c", "", "eyJhbGciOiJub25lIn0.e30."] {
            if !garbage.is_empty() {
                assert!(!is_active(&authz, &own, garbage).await, "{garbage}");
            }
        }
        let changed = format!("{}A", &token[..token.len() - 1]);
        assert!(!is_active(&authz, &own, &changed).await || changed == token);
        authz.clock.advance(Duration::hours(1));
        assert!(!is_active(&authz, &own, &token).await);
    }
}

#[tokio::test]
async fn a_revoked_token_is_not_active() {
    for authz in TestAuthz::each().await {
        let (own, other) = (authz.industry_client().await, authz.industry_client().await);
        let (one, two) = (
            authz.token(&own, DEFAULT_SCOPE).await.access_token(),
            authz.token(&own, DEFAULT_SCOPE).await.access_token(),
        );
        let foreign = ask(&authz, "/oauth2/revoke", &other, &one).await;
        assert_eq!(foreign.verdict(), (400, "unauthorized_client".to_owned()));
        assert!(is_active(&authz, &own, &one).await);
        for _ in 0..2 {
            let answer = ask(&authz, "/oauth2/revoke", &own, &one).await;
            assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, ""));
        }
        assert!(!is_active(&authz, &own, &one).await);
        assert!(is_active(&authz, &own, &two).await);
        assert_eq!(ask(&authz, "/oauth2/revoke", &own, "unknown").await.status, 200);
    }
}

#[tokio::test]
async fn tokens_follow_their_secret_and_their_client() {
    let authz = TestAuthz::start().await;
    let old = authz.industry_client().await;
    let id = old.client_id.as_str();
    let bought_with_old = authz.token(&old, DEFAULT_SCOPE).await.access_token();
    let new = authz.acts().rotate_secret(Actor::Operator, id, true).await.unwrap();
    let bought_with_new = authz.token(&new, DEFAULT_SCOPE).await.access_token();
    assert!(!is_active(&authz, &new, &bought_with_old).await);
    assert!(is_active(&authz, &new, &bought_with_new).await);
    authz.acts().suspend_client(Actor::Operator, id).await.unwrap();
    assert_eq!(ask(&authz, "/oauth2/introspect", &new, &bought_with_new).await.status, 401);
    authz.acts().resume_client(Actor::Operator, id).await.unwrap();
    assert!(is_active(&authz, &new, &bought_with_new).await);
    assert!(!is_active(&authz, &new, &bought_with_old).await);
}

#[tokio::test]
async fn both_endpoints_want_a_client_and_a_token() {
    let authz = TestAuthz::start().await;
    let own = authz.industry_client().await;
    for path in ["/oauth2/introspect", "/oauth2/revoke"] {
        assert_eq!(authz.post(path, "token=x").await.verdict(), (401, "invalid_client".to_owned()));
        assert_eq!(ask(&authz, path, &own, "").await.verdict(), (400, "invalid_request".to_owned()));
        assert_eq!(authz.get(path).await.status, 405);
    }
}
