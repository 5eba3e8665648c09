//! Clients over their life: created, suspended, resumed, rotated, revoked, and who is told what.

use authz_domain::{Actor, SecretState};
use authz_server::{NewClient, UseCaseError};
use time::Duration;

use crate::harness::{DEFAULT_SCOPE, TestAuthz, new_client};

#[tokio::test]
async fn a_suspended_client_gets_nothing_until_it_is_resumed() {
    for authz in TestAuthz::each().await {
        let credentials = authz.industry_client().await;
        let id = credentials.client_id.as_str();
        authz.token(&credentials, DEFAULT_SCOPE).await.access_token();
        authz.acts().suspend_client(Actor::Operator, id).await.unwrap();
        let answer = authz.token(&credentials, DEFAULT_SCOPE).await;
        assert_eq!(answer.verdict(), (401, "invalid_client".to_owned()));
        assert!(answer.description().contains("suspended"), "{}", answer.text);
        let again = authz.acts().suspend_client(Actor::Operator, id).await.unwrap_err();
        assert_eq!(again.to_string(), "the client is suspended and cannot be suspended");
        authz.acts().resume_client(Actor::Operator, id).await.unwrap();
        authz.token(&credentials, DEFAULT_SCOPE).await.access_token();
        authz.acts().revoke_client(Actor::Operator, id).await.unwrap();
        let answer = authz.token(&credentials, DEFAULT_SCOPE).await;
        assert!(answer.description().contains("revoked"), "{}", answer.text);
        assert!(authz.acts().resume_client(Actor::Operator, id).await.is_err());
        assert!(authz.acts().rotate_secret(Actor::Operator, id, false).await.is_err());
    }
}

#[tokio::test]
async fn old_and_new_secret_work_during_the_overlap() {
    for authz in TestAuthz::each().await {
        let old = authz.industry_client().await;
        let id = old.client_id.as_str();
        authz.clock.advance(Duration::days(10));
        let new = authz.acts().rotate_secret(Actor::Operator, id, false).await.unwrap();
        assert_eq!(new.client_id, old.client_id);
        assert_ne!(new.client_secret.expose(), old.client_secret.expose());
        authz.token(&old, DEFAULT_SCOPE).await.access_token();
        authz.token(&new, DEFAULT_SCOPE).await.access_token();
        authz.clock.advance(Duration::days(30));
        let answer = authz.token(&old, DEFAULT_SCOPE).await;
        assert!(answer.description().contains("retired at 2026-04-14T12:34:56Z"), "{}", answer.text);
        authz.token(&new, DEFAULT_SCOPE).await.access_token();
        let states: Vec<_> =
            authz.acts().show_client(id).await.unwrap().secrets.into_iter().map(|view| view.state).collect();
        assert_eq!(states, [SecretState::Live, SecretState::Retired]);
    }
}

#[tokio::test]
async fn a_hundred_rotations_never_refuse_the_newest_secret() {
    let authz = TestAuthz::start().await;
    let mut newest = authz.industry_client().await;
    for _ in 0..100 {
        newest = authz.acts().rotate_secret(Actor::Operator, newest.client_id.as_str(), false).await.unwrap();
        authz.token(&newest, DEFAULT_SCOPE).await.access_token();
    }
    let view = authz.acts().show_client(newest.client_id.as_str()).await.unwrap();
    assert_eq!(view.secrets.len(), 101);
    assert_eq!(view.secrets.iter().filter(|secret| secret.state == SecretState::Live).count(), 2);
    assert_eq!(view.secrets[0].secret.id, newest.secret_id);
}

#[tokio::test]
async fn an_immediate_rotation_ends_the_old_secret() {
    let authz = TestAuthz::start().await;
    let old = authz.industry_client().await;
    let new = authz.acts().rotate_secret(Actor::Operator, old.client_id.as_str(), true).await.unwrap();
    let answer = authz.token(&old, DEFAULT_SCOPE).await;
    assert_eq!(answer.verdict(), (401, "invalid_client".to_owned()));
    assert!(answer.description().contains("revoked"), "{}", answer.text);
    authz.token(&new, DEFAULT_SCOPE).await.access_token();
}

#[tokio::test]
async fn one_secret_can_be_revoked() {
    let authz = TestAuthz::start().await;
    let old = authz.industry_client().await;
    let id = old.client_id.as_str();
    let new = authz.acts().rotate_secret(Actor::Operator, id, false).await.unwrap();
    authz.acts().revoke_secret(Actor::Operator, id, new.secret_id.as_str()).await.unwrap();
    assert_eq!(authz.token(&new, DEFAULT_SCOPE).await.status, 401);
    authz.token(&old, DEFAULT_SCOPE).await.access_token();
    assert!(authz.acts().revoke_secret(Actor::Operator, id, "nothing").await.is_err());
}

#[tokio::test]
async fn who_may_not_hold_a_role_is_told_why() {
    let authz = TestAuthz::with(|settings| settings.credentials.clients_per_organisation = 1).await;
    let refused = async |new: NewClient| {
        authz.acts().create_client(Actor::Operator, new).await.unwrap_err().to_string()
    };
    let with = |organisation: &str, role: &str| NewClient {
        organisation: Some(organisation.parse().unwrap()),
        role: role.to_owned(),
        ..new_client()
    };
    assert!(refused(with("ORG-100000001", "pms-nca-api")).await.contains("authority or agency"));
    assert!(refused(with("ORG-100000101", "pms-industry-api")).await.contains("category industry"));
    assert!(refused(with("ORG-999999999", "pms-industry-api")).await.contains("import it first"));
    assert!(
        refused(with("ORG-100000001", "pms-editor"))
            .await
            .contains("pms-industry-api, pms-nca-api, public-pms-api")
    );
    assert!(refused(with("ORG-100000001", "public-pms-api")).await.contains("leave it out"));
    assert!(
        refused(NewClient { organisation: None, ..new_client() }).await.contains("needs an organisation")
    );
    assert!(
        refused(NewClient {
            organisation: None,
            role: "public-pms-api".to_owned(),
            contact: None,
            ..new_client()
        })
        .await
        .contains("contact")
    );
    assert!(
        refused(NewClient { scope: Some("system/x.rs".to_owned()), ..new_client() })
            .await
            .contains("system/*.cruds")
    );
    assert!(
        refused(NewClient { contact: Some("nobody".to_owned()), ..new_client() }).await.contains("e-mail")
    );
    authz.industry_client().await;
    assert!(refused(new_client()).await.contains("1 clients already"));
    assert!(matches!(
        authz.acts().suspend_client(Actor::Operator, "nobody").await,
        Err(UseCaseError::NoSuchClient(_))
    ));
}

#[tokio::test]
async fn what_expires_soon_is_listed_with_its_successor() {
    let authz = TestAuthz::start().await;
    let old = authz.industry_client().await;
    let acts = authz.acts();
    assert!(acts.expiring_secrets(Duration::days(90)).await.unwrap().is_empty());
    authz.clock.advance(Duration::days(700));
    let expiring = acts.expiring_secrets(Duration::days(90)).await.unwrap();
    assert_eq!(expiring.len(), 1);
    assert_eq!(
        (&expiring[0].secret.id, expiring[0].days_left, expiring[0].successor),
        (&old.secret_id, 31, false)
    );
    acts.rotate_secret(Actor::Operator, old.client_id.as_str(), false).await.unwrap();
    assert!(acts.expiring_secrets(Duration::days(90)).await.unwrap()[0].successor);
}

#[tokio::test]
async fn a_secret_that_retires_ends_then_and_not_when_it_would_have_expired() {
    let authz = TestAuthz::start().await;
    let old = authz.industry_client().await;
    let acts = authz.acts();
    acts.rotate_secret(Actor::Operator, old.client_id.as_str(), false).await.unwrap();
    let expiring = acts.expiring_secrets(Duration::days(90)).await.unwrap();
    let told: Vec<_> = expiring.iter().map(|one| (&one.secret.id, one.days_left, one.successor)).collect();
    assert_eq!(told, [(&old.secret_id, 30, true)]);
    assert!(acts.expiring_secrets(Duration::days(29)).await.unwrap().is_empty());
    let months = authz_server::by_month(authz.clock.now(), &expiring);
    assert!(months.iter().all(|(_, count)| *count == 0), "who has a successor needs nothing: {months:?}");
}

#[tokio::test]
async fn the_demo_is_seeded_once_and_its_credentials_can_be_told_again() {
    let file = "id,name,category,country,locations\n\
        ORG-100000001,Fable Pharma,industry,NL,LOC-100000001\nORG-100000101,Fable Authority,authority,SE,\n";
    let fresh = TestAuthz::bare().await;
    assert!(fresh.acts().seed_demo("demo.csv", file).await.unwrap());
    assert!(!fresh.acts().seed_demo("demo.csv", file).await.unwrap());
    let demo = fresh.other_process().demo_credentials().await.unwrap().unwrap();
    let body = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}&scope={}",
        demo.client_id,
        demo.client_secret.expose(),
        demo.scope
    );
    fresh.post("/oauth2/token", &body).await.access_token();
    let organisations = fresh.acts().list_organisations().await.unwrap();
    let ids: Vec<_> = organisations.iter().map(|organisation| organisation.id.as_str()).collect();
    assert_eq!(ids, ["ORG-100000001", "ORG-100000101"]);
    fresh.acts().rotate_secret(Actor::Operator, demo.client_id.as_str(), true).await.unwrap();
    assert!(fresh.acts().demo_credentials().await.unwrap().is_none());
}
