//! Reminders, calendars, webhooks, a sandbox's clock.

use access_token::Scope;
use authz_domain::{
    Client, ClientId, ClientSecret, ClientStatus, ReminderStep, Secret, SecretId, SecretLifetime,
    SecretPepper,
};
use authz_store::{
    calendar_feeds, clients, expiry_reminders, noted_configuration, organisations, outbox,
    outbox::OutboxMessage,
    sandbox_clock, secrets, webhooks,
    webhooks::{Delivery, Webhook},
};
use database::{Database, Db};
use pms_terms::Domains;
use time::Duration;

use crate::{NOW, on_each, organisation, work};

async fn secret(db: &mut Db<'_>) -> Secret {
    let client = Client {
        id: ClientId::from_entropy([1; 16]),
        label: String::new(),
        contact: None,
        role: "pms-industry-api".to_owned(),
        organisation: None,
        owner: None,
        external_key: None,
        qualified: false,
        domains: Domains::BOTH,
        allowed: Scope::parse("system/*.rs").unwrap(),
        dpop_required: false,
        status: ClientStatus::Active,
        created_at: NOW,
    };
    clients::insert(db, &client).await.unwrap();
    let (id, text) = (SecretId::from_entropy([2; 16]), ClientSecret::from_entropy(&[2; 32]));
    let secret =
        Secret::issue(id, client.id, &text, &SecretPepper::new(&[0; 32]), SecretLifetime::DEFAULT, NOW);
    secrets::insert(db, &secret).await.unwrap();
    secret
}

#[tokio::test]
async fn of_many_servers_one_sends_a_reminder() {
    on_each(|database| async move {
        let mut unit = work(&database).await;
        let secret = secret(&mut unit.db()).await;
        unit.commit().await.unwrap();
        let step: ReminderStep = "30d".parse().unwrap();
        let note = |_| {
            let (database, id) = (database.clone(), secret.id.clone());
            tokio::spawn(async move {
                let mut work = database.begin().await.unwrap();
                let first = expiry_reminders::note(&mut work.db(), &id, step, NOW).await.unwrap();
                work.commit().await.unwrap();
                first
            })
        };
        let all: Vec<_> = (0..8).map(note).collect();
        let mut first = 0;
        for one in all {
            first += usize::from(one.await.unwrap());
        }
        assert_eq!(first, 1);
        let mut unit = work(&database).await;
        let mut db = unit.db();
        assert!(
            expiry_reminders::note(&mut db, &secret.id, ReminderStep::ENDED, NOW + Duration::HOUR)
                .await
                .unwrap()
        );
        let sent = [step, ReminderStep::ENDED];
        assert_eq!(expiry_reminders::of_secret(&mut db, &secret.id).await.unwrap(), sent);
        assert_eq!(expiry_reminders::list(&mut db).await.unwrap()[secret.id.as_str()], sent);
    })
    .await;
}

#[tokio::test]
async fn a_calendar_has_one_address_at_a_time() {
    on_each(|database| async move {
        let mut work = work(&database).await;
        let mut db = work.db();
        let id = "ORG-100000001".parse().unwrap();
        organisations::upsert(&mut db, &organisation("ORG-100000001", &[]), NOW).await.unwrap();
        assert_eq!(calendar_feeds::made_at(&mut db, &id).await.unwrap(), None);
        calendar_feeds::set(&mut db, &id, "one", "a-1", NOW).await.unwrap();
        calendar_feeds::set(&mut db, &id, "two", "a-1", NOW).await.unwrap();
        assert_eq!(calendar_feeds::find(&mut db, "one").await.unwrap(), None);
        assert_eq!(calendar_feeds::find(&mut db, "two").await.unwrap(), Some(id.clone()));
        assert_eq!(calendar_feeds::made_at(&mut db, &id).await.unwrap(), Some(NOW));
        assert!(calendar_feeds::remove(&mut db, &id).await.unwrap());
        assert!(!calendar_feeds::remove(&mut db, &id).await.unwrap());
        assert_eq!(calendar_feeds::find(&mut db, "two").await.unwrap(), None);
    })
    .await;
}

fn webhook(id: &str) -> Webhook {
    Webhook {
        id: id.to_owned(),
        organisation: None,
        url: "https://hooks.example/".to_owned(),
        events: vec!["client.revoked".to_owned()],
        sealed: "v1.x".to_owned(),
        active: true,
        created_at: NOW,
        after_number: 3,
    }
}

fn delivery(id: &str, webhook: &str, number: i64) -> Delivery {
    Delivery {
        id: id.to_owned(),
        webhook: webhook.to_owned(),
        number,
        event: "client.revoked".to_owned(),
        body: "{}".to_owned(),
        created_at: NOW,
        due_at: NOW,
        tries: 0,
        delivered_at: None,
        dead_at: None,
        failure: None,
    }
}

async fn claim(database: &Database, at: Duration) -> Option<Delivery> {
    let mut work = database.begin().await.unwrap();
    let claimed = webhooks::claim_due(&mut work.db(), NOW + at, Duration::MINUTE).await.unwrap();
    work.commit().await.unwrap();
    claimed
}

#[tokio::test]
async fn a_message_is_put_down_once_claimed_by_one_and_tried_again() {
    on_each(|database| async move {
        let mut unit = work(&database).await;
        let mut db = unit.db();
        webhooks::insert(&mut db, &webhook("w-1")).await.unwrap();
        assert_eq!(webhooks::find(&mut db, "w-1").await.unwrap(), Some(webhook("w-1")));
        for id in ["m-1", "m-again"] {
            webhooks::enqueue(&mut db, &delivery(id, "w-1", 4)).await.unwrap();
        }
        unit.commit().await.unwrap();
        assert!(webhooks::is_due(&mut database.read().await.unwrap().db(), NOW).await.unwrap());
        let claims: Vec<_> = (0..6)
            .map(|_| {
                let database = database.clone();
                tokio::spawn(async move { claim(&database, Duration::ZERO).await })
            })
            .collect();
        let mut claimed = Vec::new();
        for one in claims {
            claimed.extend(one.await.unwrap());
        }
        assert_eq!(claimed.len(), 1);
        assert_eq!((claimed[0].id.as_str(), claimed[0].tries), ("m-1", 1));
        // Its claimer died: after the lease it is anybody's.
        assert_eq!(claim(&database, Duration::MINUTE).await.unwrap().tries, 2);
        let mut unit = work(&database).await;
        let due = NOW + Duration::HOUR;
        webhooks::mark_failed(&mut unit.db(), "m-1", "answered 500", Some(due), NOW).await.unwrap();
        unit.commit().await.unwrap();
        assert_eq!(claim(&database, Duration::minutes(59)).await, None);
        assert_eq!(claim(&database, Duration::HOUR).await.unwrap().tries, 3);
        let mut unit = work(&database).await;
        webhooks::mark_failed(&mut unit.db(), "m-1", "answered 500", None, NOW).await.unwrap();
        unit.commit().await.unwrap();
        assert_eq!(claim(&database, Duration::days(9)).await, None, "given up");
        let mut unit = work(&database).await;
        let mut db = unit.db();
        assert_eq!(webhooks::count(&mut db).await.unwrap(), (0, 1));
        let dead = &webhooks::deliveries(&mut db, "w-1", 10).await.unwrap()[0];
        assert_eq!((dead.dead_at, dead.failure.as_deref()), (Some(NOW), Some("answered 500")));
        assert!(!webhooks::send_again(&mut db, "w-2", "m-1", NOW).await.unwrap(), "of another webhook");
        assert!(webhooks::send_again(&mut db, "w-1", "m-1", NOW).await.unwrap());
        assert!(!webhooks::send_again(&mut db, "w-1", "m-1", NOW).await.unwrap(), "it waits already");
        webhooks::set_active(&mut db, "w-1", false).await.unwrap();
        unit.commit().await.unwrap();
        assert_eq!(claim(&database, Duration::HOUR).await, None, "a stopped webhook is not called");
        let mut unit = work(&database).await;
        let mut db = unit.db();
        webhooks::set_active(&mut db, "w-1", true).await.unwrap();
        webhooks::mark_delivered(&mut db, "m-1", NOW).await.unwrap();
        assert_eq!(webhooks::count(&mut db).await.unwrap(), (0, 0));
        webhooks::forget_delivered(&mut db, NOW + Duration::SECOND).await.unwrap();
        assert!(webhooks::deliveries(&mut db, "w-1", 10).await.unwrap().is_empty());
        assert_eq!(webhooks::list(&mut db).await.unwrap().len(), 1);
        webhooks::remove(&mut db, "w-1").await.unwrap();
        assert_eq!(webhooks::find(&mut db, "w-1").await.unwrap(), None);
        assert_eq!(webhooks::position(&mut db).await.unwrap(), 0);
        webhooks::set_position(&mut db, 7).await.unwrap();
        assert_eq!(webhooks::position(&mut db).await.unwrap(), 7);
    })
    .await;
}

#[tokio::test]
async fn a_clock_that_goes_back_lets_nothing_wait_for_years() {
    on_each(|database| async move {
        let mut unit = work(&database).await;
        let mut db = unit.db();
        assert_eq!(sandbox_clock::offset(&mut db).await.unwrap(), None);
        for days in [729, 731] {
            sandbox_clock::set(&mut db, Some(Duration::days(days))).await.unwrap();
            assert_eq!(sandbox_clock::offset(&mut db).await.unwrap(), Some(Duration::days(days)));
        }
        let later = NOW + Duration::days(731);
        let message = OutboxMessage {
            id: "o-1".to_owned(),
            channel: "mail".to_owned(),
            notice: "x".to_owned(),
            sealed: None,
            created_at: later,
            tries: 0,
        };
        outbox::enqueue(&mut db, &message).await.unwrap();
        webhooks::insert(&mut db, &webhook("w-1")).await.unwrap();
        webhooks::enqueue(&mut db, &Delivery { due_at: later, ..delivery("m-1", "w-1", 4) }).await.unwrap();
        sandbox_clock::set(&mut db, None).await.unwrap();
        assert_eq!(sandbox_clock::offset(&mut db).await.unwrap(), None);
        assert!(outbox::claim_due(&mut db, NOW, Duration::MINUTE).await.unwrap().is_none());
        sandbox_clock::release_messages(&mut db, NOW).await.unwrap();
        assert!(outbox::claim_due(&mut db, NOW, Duration::MINUTE).await.unwrap().is_some());
        assert!(webhooks::claim_due(&mut db, NOW, Duration::MINUTE).await.unwrap().is_some());
    })
    .await;
}

#[tokio::test]
async fn a_configuration_is_noted_section_by_section() {
    on_each(|database| async move {
        let mut work = work(&database).await;
        let mut db = work.db();
        for (section, hash) in [("mail", "1"), ("portal", "1"), ("mail", "2")] {
            noted_configuration::set(&mut db, section, hash).await.unwrap();
        }
        let noted = noted_configuration::list(&mut db).await.unwrap();
        assert_eq!(
            noted.into_iter().collect::<Vec<_>>(),
            [("mail".to_owned(), "2".to_owned()), ("portal".to_owned(), "1".to_owned())]
        );
    })
    .await;
}
