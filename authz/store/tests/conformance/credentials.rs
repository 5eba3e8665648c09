//! Requests for credentials, who clients belong to, and mailed links.

use access_token::Scope;
use authz_domain::{
    AccessRequest, Account, AccountStatus, Client, ClientId, ClientSecret, ClientStatus, RequestState,
    Secret, SecretId, SecretLifetime, SecretPepper,
};
use authz_store::{
    access_requests, accounts,
    api_access::{self, ApiAccess},
    clients::{self, After},
    credential_links::{self, CredentialLink},
    organisations, secrets,
};
use database::Db;
use pms_terms::Domains;
use time::Duration;

use crate::{NOW, on_each, organisation, work};

const ORGANISATION: &str = "ORG-100000001";

fn client(number: u8, organisation: Option<&str>, owner: Option<&str>, key: Option<&str>) -> Client {
    Client {
        id: ClientId::from_entropy([number; 16]),
        label: "nightly export".to_owned(),
        contact: Some("api-team@example.org".to_owned()),
        role: "pms-industry-api".to_owned(),
        organisation: organisation.map(|id| id.parse().unwrap()),
        owner: owner.map(str::to_owned),
        external_key: key.map(str::to_owned),
        qualified: false,
        domains: Domains::BOTH,
        allowed: Scope::parse("system/*.rs clients.read").unwrap(),
        dpop_required: false,
        status: ClientStatus::Active,
        created_at: NOW + Duration::seconds(i64::from(number / 2)),
    }
}

async fn with_people(db: &mut Db<'_>) {
    organisations::upsert(db, &organisation(ORGANISATION, &[]), NOW).await.unwrap();
    let account = Account {
        id: "account-1".to_owned(),
        user_name: "n00001".to_owned(),
        email: "ana.silva@fable.example".parse().unwrap(),
        first_name: "Ana".to_owned(),
        last_name: "Silva".to_owned(),
        phone: None,
        phone_confirmed: false,
        second_contact: None,
        language: "en".to_owned(),
        notifications: true,
        status: AccountStatus::Active,
        totp_enrolled: false,
        created_at: NOW,
    };
    accounts::insert(db, &account, "hash").await.unwrap();
}

#[tokio::test]
async fn clients_are_found_by_who_they_belong_to_and_page_by_page() {
    on_each(|database| async move {
        let mut work = work(&database).await;
        let mut db = work.db();
        with_people(&mut db).await;
        let place = ORGANISATION.parse().unwrap();
        let all = [
            client(1, Some(ORGANISATION), None, Some("erp")),
            client(2, Some(ORGANISATION), None, None),
            client(3, None, Some("account-1"), Some("erp")),
            client(4, Some(ORGANISATION), None, None),
        ];
        for one in &all {
            clients::insert(&mut db, one).await.unwrap();
        }
        let ids = |found: Vec<clients::RegisteredClient>| -> Vec<ClientId> {
            found.into_iter().map(|one| one.client.id).collect()
        };
        let theirs = [&all[0], &all[1], &all[3]].map(|one| one.id.clone());
        assert_eq!(ids(clients::of_organisation(&mut db, &place).await.unwrap()), theirs);
        assert_eq!(ids(clients::of_owner(&mut db, "account-1").await.unwrap()), [all[2].id.clone()]);
        assert!(clients::of_owner(&mut db, "account-2").await.unwrap().is_empty());
        let by_key = clients::find_by_key(&mut db, Some(&place), "erp").await.unwrap().unwrap();
        assert_eq!(format!("{:?}", by_key.client), format!("{:?}", all[0]));
        assert_eq!(clients::find_by_key(&mut db, None, "erp").await.unwrap().unwrap().client.id, all[2].id);
        assert!(clients::find_by_key(&mut db, None, "other").await.unwrap().is_none());

        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = clients::page(&mut db, None, after.as_ref(), 1).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(After { created_at: last.client.created_at, id: last.client.id.to_string() });
            seen.extend(ids(page));
        }
        assert_eq!(seen, all.clone().map(|one| one.id));
        assert_eq!(ids(clients::page(&mut db, Some(&place), None, 10).await.unwrap()), theirs);

        assert!(clients::set_particulars(&mut db, &all[0].id, "new", None).await.unwrap());
        let changed = clients::find(&mut db, all[0].id.as_str()).await.unwrap().unwrap().client;
        assert_eq!((changed.label.as_str(), changed.contact), ("new", None));
        // A revoked client gives its key and its owner free.
        for (number, one) in [(5, &all[0]), (6, &all[2])] {
            clients::set_status(&mut db, &one.id, ClientStatus::Revoked).await.unwrap();
            let again = Client { id: ClientId::from_entropy([number; 16]), ..one.clone() };
            clients::insert(&mut db, &again).await.unwrap();
        }
        work.commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_key_and_a_public_client_are_there_once() {
    on_each(|database| async move {
        for (first, second) in [
            (client(1, Some(ORGANISATION), None, Some("k")), client(2, Some(ORGANISATION), None, Some("k"))),
            (client(1, None, None, Some("k")), client(2, None, None, Some("k"))),
            (client(1, None, Some("account-1"), None), client(2, None, Some("account-1"), None)),
        ] {
            let mut work = work(&database).await;
            let mut db = work.db();
            with_people(&mut db).await;
            clients::insert(&mut db, &first).await.unwrap();
            let refused = clients::insert(&mut db, &second).await.unwrap_err();
            assert!(matches!(refused, database::DatabaseError::Conflict { .. }), "{refused:?}");
            work.rollback().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_request_keeps_its_particulars_and_the_terms_that_were_accepted_for_it() {
    on_each(|database| async move {
        let mut work = work(&database).await;
        let mut db = work.db();
        with_people(&mut db).await;
        let client = client(1, Some(ORGANISATION), None, None);
        clients::insert(&mut db, &client).await.unwrap();
        for number in 1..=3 {
            let request = AccessRequest {
                id: format!("r-{number}"),
                number: Some(number),
                account: "account-1".to_owned(),
                application: "pms-api".to_owned(),
                organisation: (number != 2).then(|| ORGANISATION.parse().unwrap()),
                deciding_organisation: None,
                roles: vec!["pms-industry-api".to_owned()],
                language: None,
                comment: String::new(),
                state: RequestState::Submitted,
                by_agency: false,
                waiver_asked: false,
                terms_ticked: true,
                created_at: NOW,
                submitted_at: Some(NOW),
                decided_at: None,
                decided_by: None,
                reason: String::new(),
                reminders: 0,
            };
            access_requests::insert(&mut db, &request).await.unwrap();
        }
        let mut access = ApiAccess {
            request: "r-1".to_owned(),
            contact: "api-team@example.org".to_owned(),
            label: "nightly export".to_owned(),
            qualified: true,
            domains: Domains::VETERINARY,
            scope: Some("system/*.rs".to_owned()),
            environment: None,
            client: None,
        };
        api_access::insert(&mut db, &access).await.unwrap();
        assert_eq!(api_access::find(&mut db, "r-1").await.unwrap(), Some(access.clone()));
        api_access::set_client(&mut db, "r-1", client.id.as_str()).await.unwrap();
        access.client = Some(client.id.to_string());
        assert_eq!(api_access::find(&mut db, "r-1").await.unwrap(), Some(access));
        assert_eq!(api_access::find(&mut db, "r-2").await.unwrap(), None);

        access_requests::accept_terms(&mut db, "account-1", "api", "1.0", Some("r-1"), NOW).await.unwrap();
        for (account, version, request, accepted) in [
            ("account-1", "1.0", "r-1", true),
            ("account-2", "1.0", "r-1", false),
            ("account-1", "1.1", "r-1", false),
            ("account-1", "1.0", "r-2", false),
        ] {
            let found = access_requests::terms_accepted_for(&mut db, account, "api", version, request).await;
            assert_eq!(found.unwrap(), accepted, "{account} {version} {request}");
        }

        let place = ORGANISATION.parse().unwrap();
        let numbers =
            |found: Vec<AccessRequest>| -> Vec<i64> { found.iter().filter_map(|one| one.number).collect() };
        assert_eq!(numbers(access_requests::page(&mut db, None, 0, 2).await.unwrap()), [1, 2]);
        assert_eq!(numbers(access_requests::page(&mut db, None, 2, 2).await.unwrap()), [3]);
        assert_eq!(numbers(access_requests::page(&mut db, Some(&place), 0, 9).await.unwrap()), [1, 3]);
        assert_eq!(access_requests::find_by_number(&mut db, 2).await.unwrap().unwrap().id, "r-2");
        assert!(access_requests::find_by_number(&mut db, 4).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_link_works_once_until_its_time_is_over_and_the_newest_only() {
    on_each(|database| async move {
        let mut work = work(&database).await;
        let mut db = work.db();
        let client = client(1, None, None, None);
        clients::insert(&mut db, &client).await.unwrap();
        let link = |hash: &str| CredentialLink {
            token_hash: hash.to_owned(),
            client: client.id.to_string(),
            created_at: NOW,
            expires_at: NOW + Duration::days(7),
            used: false,
        };
        credential_links::insert(&mut db, &link("a")).await.unwrap();
        assert_eq!(credential_links::find(&mut db, "a").await.unwrap(), Some(link("a")));
        credential_links::insert(&mut db, &link("b")).await.unwrap();
        assert!(credential_links::find(&mut db, "a").await.unwrap().unwrap().used);
        assert!(!credential_links::use_up(&mut db, "a", NOW).await.unwrap());
        assert!(!credential_links::use_up(&mut db, "b", NOW + Duration::days(7)).await.unwrap());
        assert!(credential_links::use_up(&mut db, "b", NOW).await.unwrap());
        assert!(!credential_links::use_up(&mut db, "b", NOW).await.unwrap(), "once");
        assert!(!credential_links::use_up(&mut db, "c", NOW).await.unwrap());
        credential_links::forget_before(&mut db, NOW + Duration::days(7)).await.unwrap();
        assert_eq!(credential_links::find(&mut db, "b").await.unwrap(), None);

        let pepper = SecretPepper::new(&[9; 32]);
        let text = ClientSecret::from_entropy(&[1; 32]);
        let id = SecretId::from_entropy([1; 16]);
        let secret =
            Secret::issue(id.clone(), client.id.clone(), &text, &pepper, SecretLifetime::DEFAULT, NOW);
        secrets::insert(&mut db, &secret).await.unwrap();
        assert_eq!(secrets::client_of(&mut db, &id).await.unwrap(), Some(client.id.clone()));
        assert_eq!(secrets::client_of(&mut db, &SecretId::from_entropy([2; 16])).await.unwrap(), None);
    })
    .await;
}
