//! Clients and their secrets.

use access_token::{Algorithm, Scope, SigningKey};
use authz_domain::{
    Client, ClientId, ClientKeys, ClientSecret, ClientStatus, OrganisationCategory, Proof, Secret, SecretId,
    SecretLifetime, SecretPepper,
};
use authz_store::{clients, organisations, secrets, used_assertions};
use database::DatabaseError;
use pms_terms::Domains;
use time::Duration;

use crate::{NOW, on_each, organisation, work};

fn client(number: u8, organisation: Option<&str>) -> Client {
    Client {
        id: ClientId::from_entropy([number; 16]),
        label: "nightly export".to_owned(),
        contact: Some("api-team@example.org".to_owned()),
        role: "pms-industry-api".to_owned(),
        organisation: organisation.map(|id| id.parse().unwrap()),
        owner: None,
        external_key: None,
        qualified: true,
        domains: Domains::HUMAN,
        allowed: Scope::parse("system/*.rs system/MedicinalProductDefinition.cruds").unwrap(),
        dpop_required: false,
        status: ClientStatus::Active,
        created_at: NOW,
    }
}

fn secret(number: u8, client: &Client) -> Secret {
    Secret::issue(
        SecretId::from_entropy([number; 16]),
        client.id.clone(),
        &ClientSecret::from_entropy(&[number; 32]),
        &SecretPepper::new(&[9; 32]),
        SecretLifetime::DEFAULT,
        NOW + Duration::seconds(i64::from(number)),
    )
}

#[tokio::test]
async fn a_client_reads_back_as_it_was_registered() {
    on_each(|database| async move {
        let mut work = work(&database).await;
        let mut db = work.db();
        organisations::upsert(&mut db, &organisation("ORG-100000001", &[]), NOW).await.unwrap();
        let (with, without) = (client(1, Some("ORG-100000001")), client(2, None));
        clients::insert(&mut db, &with).await.unwrap();
        clients::insert(&mut db, &without).await.unwrap();
        let found = clients::find(&mut db, with.id.as_str()).await.unwrap().unwrap();
        assert_eq!(format!("{:?}", found.client), format!("{with:?}"));
        assert_eq!(found.category, Some(OrganisationCategory::Industry));
        assert_eq!(clients::find(&mut db, without.id.as_str()).await.unwrap().unwrap().category, None);
        assert!(clients::find(&mut db, "nobody").await.unwrap().is_none());
        assert_eq!(clients::list(&mut db).await.unwrap().len(), 2);
        assert_eq!(clients::count(&mut db).await.unwrap(), 2);
        let organisation = "ORG-100000001".parse().unwrap();
        assert_eq!(clients::count_of(&mut db, &organisation).await.unwrap(), 1);
        clients::set_status(&mut db, &with.id, ClientStatus::Revoked).await.unwrap();
        assert_eq!(clients::count_of(&mut db, &organisation).await.unwrap(), 0);
        work.commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_client_of_an_unknown_organisation_is_a_conflict() {
    on_each(|database| async move {
        let mut work = work(&database).await;
        let refused = clients::insert(&mut work.db(), &client(1, Some("ORG-100000009"))).await.unwrap_err();
        assert!(matches!(refused, DatabaseError::Conflict { .. }), "{refused:?}");
    })
    .await;
}

#[tokio::test]
async fn the_status_is_written_once_the_client_is_there() {
    on_each(|database| async move {
        let mut work = work(&database).await;
        let client = client(1, None);
        clients::insert(&mut work.db(), &client).await.unwrap();
        assert!(clients::set_status(&mut work.db(), &client.id, ClientStatus::Suspended).await.unwrap());
        let found = clients::find(&mut work.db(), client.id.as_str()).await.unwrap().unwrap();
        assert_eq!(found.client.status, ClientStatus::Suspended);
        let nobody = ClientId::from_entropy([8; 16]);
        assert!(!clients::set_status(&mut work.db(), &nobody, ClientStatus::Active).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn secrets_come_newest_first_with_their_times() {
    on_each(|database| async move {
        let mut work = work(&database).await;
        let mut db = work.db();
        let client = client(1, None);
        clients::insert(&mut db, &client).await.unwrap();
        let (mut old, new) = (secret(1, &client), secret(2, &client));
        secrets::insert(&mut db, &old).await.unwrap();
        secrets::insert(&mut db, &new).await.unwrap();
        old.retires_at = Some(NOW + Duration::days(30));
        assert!(secrets::set_end(&mut db, &old).await.unwrap());
        assert!(!secrets::set_end(&mut db, &secret(7, &client)).await.unwrap());

        let found = secrets::of_client(&mut db, client.id.as_str()).await.unwrap();
        assert_eq!(found.iter().map(|s| &s.id).collect::<Vec<_>>(), [&new.id, &old.id]);
        assert_eq!(found[1].retires_at, old.retires_at);
        assert_eq!(found[0].expires_at, new.expires_at);
        assert!(bool::from(found[0].proof.secret().unwrap().ct_eq(new.proof.secret().unwrap())));
        let newest = secret(3, &client).revoke(NOW + Duration::HOUR).unwrap();
        secrets::insert(&mut db, &newest).await.unwrap();
        let presentable = secrets::presentable(&mut db, client.id.as_str(), 2).await.unwrap();
        assert_eq!(presentable.iter().map(|s| &s.id).collect::<Vec<_>>(), [&new.id, &old.id]);
        assert_eq!(secrets::presentable(&mut db, client.id.as_str(), 8).await.unwrap()[2].id, newest.id);
        assert!(secrets::of_client(&mut db, "nobody").await.unwrap().is_empty());
        let all = secrets::list(&mut db).await.unwrap();
        assert_eq!(all.iter().map(|s| &s.id).collect::<Vec<_>>(), [&newest.id, &new.id, &old.id]);
    })
    .await;
}

#[tokio::test]
async fn an_earlier_use_never_overwrites_a_later_one() {
    on_each(|database| async move {
        let mut work = work(&database).await;
        let mut db = work.db();
        let client = client(1, None);
        let secret = secret(1, &client);
        clients::insert(&mut db, &client).await.unwrap();
        secrets::insert(&mut db, &secret).await.unwrap();
        for (at, first) in [(NOW, true), (NOW + Duration::SECOND, false), (NOW, false)] {
            assert_eq!(secrets::note_used(&mut db, &secret.id, at).await.unwrap(), first);
        }
        let found = secrets::of_client(&mut db, client.id.as_str()).await.unwrap();
        assert_eq!(found[0].last_used_at, Some(NOW + Duration::SECOND));
    })
    .await;
}

#[tokio::test]
async fn expiring_secrets_come_soonest_first_and_no_revoked_one() {
    on_each(|database| async move {
        let mut work = work(&database).await;
        let mut db = work.db();
        let client = client(1, None);
        clients::insert(&mut db, &client).await.unwrap();
        let (one, two, three) =
            (secret(1, &client), secret(2, &client), secret(3, &client).revoke(NOW + Duration::HOUR));
        for secret in [&two, &one, &three.unwrap()] {
            secrets::insert(&mut db, secret).await.unwrap();
        }
        let found = secrets::expiring_before(&mut db, NOW + Duration::days(800)).await.unwrap();
        assert_eq!(found.iter().map(|s| &s.id).collect::<Vec<_>>(), [&one.id, &two.id]);
        assert!(secrets::expiring_before(&mut db, one.expires_at).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_stands_in_place_of_a_secret_reads_back() {
    on_each(|database| async move {
        let mut work = work(&database).await;
        let mut db = work.db();
        let client = client(1, None);
        clients::insert(&mut db, &client).await.unwrap();
        let jwk = SigningKey::generate(Algorithm::Es256).unwrap().public_jwk().clone();
        let keys = ClientKeys::from_value(serde_json::to_value(jwk).unwrap()).unwrap();
        let published = Proof::KeysAt("https://client.example/jwks".to_owned());
        for (number, proof) in (1..).zip([Proof::Keys(keys), published]) {
            let id = SecretId::from_entropy([number; 16]);
            let kept = Secret::register(id, client.id.clone(), proof, SecretLifetime::DEFAULT, NOW);
            secrets::insert(&mut db, &kept).await.unwrap();
            let found = secrets::of_client(&mut db, client.id.as_str()).await.unwrap().remove(0);
            assert_eq!(format!("{found:?}"), format!("{kept:?}"));
            assert_eq!(found.proof.to_stored(), kept.proof.to_stored());
        }
    })
    .await;
}

#[tokio::test]
async fn an_assertion_is_used_once_until_it_is_forgotten() {
    on_each(|database| async move {
        let mut work = work(&database).await;
        let mut db = work.db();
        let until = NOW + Duration::minutes(5);
        assert!(used_assertions::use_once(&mut db, "a", "jti", until).await.unwrap());
        assert!(!used_assertions::use_once(&mut db, "a", "jti", until).await.unwrap());
        assert!(used_assertions::use_once(&mut db, "b", "jti", until).await.unwrap());
        assert_eq!(used_assertions::forget_dead(&mut db, NOW).await.unwrap(), 0);
        assert!(!used_assertions::use_once(&mut db, "a", "jti", until).await.unwrap());
        assert_eq!(used_assertions::forget_dead(&mut db, until).await.unwrap(), 2);
        assert!(used_assertions::use_once(&mut db, "a", "jti", until).await.unwrap());
    })
    .await;
}
