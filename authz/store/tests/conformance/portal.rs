//! People, their roles and requests, and the messages to them.

use authz_domain::{
    AccessRequest, Account, AccountStatus, Organisation, OrganisationCategory, RequestAct, RequestState,
};
use authz_store::{
    access_requests, accounts,
    documents::{self, Document},
    granted_roles::{self, GrantedRole},
    one_time_tokens::{self, OneTimeToken},
    organisations::{self, OrganisationQuery},
    outbox::{self, OutboxMessage},
    registrations::{self, StoredRegistration},
    sessions::{self, Session},
};
use database::Database;
use time::Duration;

use crate::{NOW, on_each, organisation, work};

fn account(n: usize) -> Account {
    Account {
        id: format!("account-{n}"),
        user_name: format!("n0000{n}"),
        email: format!("Ana.Silva{n}@fable.example").parse().unwrap(),
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
    }
}

async fn with_accounts(database: &Database, count: usize) {
    let mut work = work(database).await;
    for n in 0..count {
        accounts::insert(&mut work.db(), &account(n), "hash").await.unwrap();
    }
    work.commit().await.unwrap();
}

#[tokio::test]
async fn an_address_has_one_account_whatever_its_case() {
    on_each(|database| async move {
        with_accounts(&database, 2).await;
        let mut again = account(7);
        again.email = "ANA.SILVA0@FABLE.EXAMPLE".parse().unwrap();
        let mut unit = work(&database).await;
        let refused = accounts::insert(&mut unit.db(), &again, "hash").await.unwrap_err();
        assert!(refused.is_conflict_on("email_key"), "{refused:?}");
        unit.rollback().await.unwrap();
        let mut reader = database.read().await.unwrap();
        let mut db = reader.db();
        let found = accounts::find_by_name(&mut db, " ana.silva0@FABLE.example").await.unwrap().unwrap();
        assert_eq!(found, account(0));
        assert_eq!(accounts::find_by_name(&mut db, "N00001").await.unwrap().unwrap().id, "account-1");
        assert_eq!(accounts::find(&mut db, "gone").await.unwrap(), None);
        assert_eq!(accounts::search(&mut db, "ana.", 1).await.unwrap().len(), 1);
        assert_eq!(accounts::search(&mut db, "an", 9).await.unwrap().len(), 0);
        assert_eq!(accounts::search(&mut db, "ana%", 9).await.unwrap().len(), 0);
        assert_eq!(accounts::search(&mut db, "N00001", 9).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_proves_who_somebody_is_can_be_changed() {
    on_each(|database| async move {
        with_accounts(&database, 1).await;
        let id = "account-0";
        let mut unit = work(&database).await;
        let mut db = unit.db();
        accounts::set_password(&mut db, id, "other").await.unwrap();
        accounts::set_totp(&mut db, id, Some("sealed"), true).await.unwrap();
        assert!(accounts::use_totp_step(&mut db, id, 5).await.unwrap());
        assert!(!accounts::use_totp_step(&mut db, id, 5).await.unwrap());
        let secrets = accounts::secrets(&mut db, id).await.unwrap().unwrap();
        assert_eq!((secrets.password_hash.as_str(), secrets.totp_last_step), ("other", 5));
        assert_eq!(secrets.totp_secret.as_deref(), Some("sealed"));
        accounts::set_recovery_codes(&mut db, id, &["a".to_owned(), "b".to_owned()]).await.unwrap();
        assert!(accounts::use_recovery_code(&mut db, id, "a", NOW).await.unwrap());
        assert!(!accounts::use_recovery_code(&mut db, id, "a", NOW).await.unwrap());
        assert_eq!(accounts::recovery_codes_left(&mut db, id).await.unwrap(), 1);
        let answers = vec![("one?".to_owned(), "h1".to_owned()), ("two?".to_owned(), "h2".to_owned())];
        accounts::set_answers(&mut db, id, &answers).await.unwrap();
        assert_eq!(accounts::answers(&mut db, id).await.unwrap(), answers);
        accounts::set_status(&mut db, id, AccountStatus::Blocked).await.unwrap();
        let mut changed = accounts::find(&mut db, id).await.unwrap().unwrap();
        assert!(changed.totp_enrolled && changed.status == AccountStatus::Blocked);
        changed.phone = Some("+31612345678".parse().unwrap());
        changed.phone_confirmed = true;
        accounts::set_preferences(&mut db, &changed).await.unwrap();
        assert_eq!(accounts::find(&mut db, id).await.unwrap().unwrap(), changed);
        unit.commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn registrations_and_tokens_lapse() {
    on_each(|database| async move {
        let later = NOW + Duration::minutes(5);
        let mut unit = work(&database).await;
        let mut db = unit.db();
        let kept = StoredRegistration {
            id: "r".to_owned(),
            email: "a@x.example".to_owned(),
            sealed: "s".to_owned(),
        };
        registrations::upsert(&mut db, &kept, later).await.unwrap();
        registrations::upsert(&mut db, &kept, later).await.unwrap();
        assert_eq!(registrations::find(&mut db, "r", NOW).await.unwrap(), Some(kept));
        assert_eq!(registrations::find(&mut db, "r", later).await.unwrap(), None);
        registrations::forget_lapsed(&mut db, later).await.unwrap();
        assert_eq!(registrations::find(&mut db, "r", NOW).await.unwrap(), None);
        registrations::delete(&mut db, "r").await.unwrap();
        let token = |id: &str| OneTimeToken {
            id: id.to_owned(),
            purpose: "confirm".to_owned(),
            subject: Some("r".to_owned()),
            counted_for: "an address".to_owned(),
            code_hash: "h".to_owned(),
            created_at: NOW,
            expires_at: later,
            tries: 0,
            used: false,
        };
        one_time_tokens::insert(&mut db, &token("t")).await.unwrap();
        one_time_tokens::count_try(&mut db, "t").await.unwrap();
        assert_eq!(one_time_tokens::find(&mut db, "t").await.unwrap().unwrap().tries, 1);
        assert!(one_time_tokens::use_up(&mut db, "t", NOW).await.unwrap());
        assert!(!one_time_tokens::use_up(&mut db, "t", NOW).await.unwrap());
        one_time_tokens::insert(&mut db, &token("u")).await.unwrap();
        one_time_tokens::end_earlier(&mut db, "r", "confirm", NOW).await.unwrap();
        assert!(one_time_tokens::find(&mut db, "u").await.unwrap().unwrap().used);
        let since = NOW - Duration::HOUR;
        assert_eq!(one_time_tokens::sent_since(&mut db, "an address", "confirm", since).await.unwrap(), 2);
        assert_eq!(one_time_tokens::sent_since(&mut db, "r", "confirm", since).await.unwrap(), 0);
        one_time_tokens::forget_before(&mut db, later).await.unwrap();
        assert_eq!(one_time_tokens::find(&mut db, "t").await.unwrap(), None);
        unit.commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn sessions_begin_and_end() {
    on_each(|database| async move {
        with_accounts(&database, 1).await;
        let session = |n: u8| Session {
            id_hash: format!("hash-{n}"),
            public_id: format!("public-{n}"),
            account: "account-0".to_owned(),
            pending: false,
            second_factor: true,
            address: "192.0.2.1".to_owned(),
            agent: "test".to_owned(),
            created_at: NOW,
            seen_at: NOW,
        };
        let mut unit = work(&database).await;
        let mut db = unit.db();
        for n in 0..4 {
            sessions::insert(&mut db, &session(n)).await.unwrap();
        }
        assert_eq!(sessions::find(&mut db, "hash-1").await.unwrap(), Some(session(1)));
        assert!(!sessions::end_one(&mut db, "another", "public-1").await.unwrap());
        assert!(sessions::end_one(&mut db, "account-0", "public-1").await.unwrap());
        sessions::end(&mut db, "hash-2").await.unwrap();
        sessions::touch(&mut db, "hash-0", NOW + Duration::HOUR).await.unwrap();
        assert_eq!(sessions::of_account(&mut db, "account-0").await.unwrap()[0].id_hash, "hash-0");
        sessions::end_others(&mut db, "account-0", "hash-0").await.unwrap();
        assert_eq!(sessions::of_account(&mut db, "account-0").await.unwrap().len(), 1);
        sessions::forget_lapsed(&mut db, NOW + Duration::HOUR * 2, NOW).await.unwrap();
        assert_eq!(sessions::find(&mut db, "hash-0").await.unwrap(), None);
        unit.commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_role_is_held_once_and_ended_once() {
    on_each(|database| async move {
        with_accounts(&database, 2).await;
        let fable = organisation("ORG-100000001", &[]);
        let role = |id: &str, account: &str| GrantedRole {
            id: id.to_owned(),
            account: account.to_owned(),
            role: "admin".to_owned(),
            organisation: Some(fable.id.clone()),
            language: None,
            preference: None,
            request: None,
            granted_at: NOW,
            granted_by: None,
        };
        let mut unit = work(&database).await;
        let mut db = unit.db();
        organisations::upsert(&mut db, &fable, NOW).await.unwrap();
        assert!(granted_roles::grant(&mut db, &role("g", "account-0")).await.unwrap());
        assert!(!granted_roles::grant(&mut db, &role("h", "account-0")).await.unwrap());
        assert!(granted_roles::grant(&mut db, &role("i", "account-1")).await.unwrap());
        assert_eq!(granted_roles::find(&mut db, "g").await.unwrap(), Some(role("g", "account-0")));
        granted_roles::set_preference(&mut db, "g", "Other").await.unwrap();
        let held = granted_roles::of_account(&mut db, "account-0").await.unwrap();
        assert_eq!(held[0].preference.as_deref(), Some("Other"));
        assert_eq!(granted_roles::of_organisation(&mut db, &fable.id).await.unwrap().len(), 2);
        let others =
            granted_roles::count_others(&mut db, "admin", Some(&fable.id), "account-0").await.unwrap();
        assert_eq!(others, 1);
        assert_eq!(accounts::of_organisation(&mut db, fable.id.as_str(), 9).await.unwrap().len(), 2);
        let holders = accounts::holders(&mut db, &["admin"], Some(fable.id.as_str()), 9).await.unwrap();
        assert_eq!(holders.len(), 2);
        assert_eq!(accounts::holders(&mut db, &["user"], None, 9).await.unwrap(), []);
        assert!(granted_roles::revoke(&mut db, "g", Some("account-1"), "left", NOW).await.unwrap());
        assert!(!granted_roles::revoke(&mut db, "g", Some("account-1"), "left", NOW).await.unwrap());
        assert!(granted_roles::grant(&mut db, &role("j", "account-0")).await.unwrap());
        unit.commit().await.unwrap();
    })
    .await;
}

fn draft() -> AccessRequest {
    AccessRequest {
        id: "request-1".to_owned(),
        number: None,
        account: "account-0".to_owned(),
        application: "iris-plm".to_owned(),
        organisation: None,
        deciding_organisation: None,
        roles: vec!["admin".to_owned(), "user".to_owned()],
        language: None,
        comment: "please".to_owned(),
        state: RequestState::Draft,
        by_agency: false,
        waiver_asked: false,
        terms_ticked: false,
        created_at: NOW,
        submitted_at: None,
        decided_at: None,
        decided_by: None,
        reason: String::new(),
        reminders: 0,
    }
}

#[tokio::test]
async fn a_request_moves_on_once() {
    on_each(|database| async move {
        with_accounts(&database, 1).await;
        let fable = organisation("ORG-100000001", &[]);
        let mut unit = work(&database).await;
        let mut db = unit.db();
        organisations::upsert(&mut db, &fable, NOW).await.unwrap();
        access_requests::insert(&mut db, &draft()).await.unwrap();
        assert_eq!(access_requests::find(&mut db, "request-1").await.unwrap(), Some(draft()));
        let mut request = draft();
        request.number = Some(access_requests::next_number(&mut db).await.unwrap());
        request.organisation = Some(fable.id.clone());
        request.deciding_organisation = Some(fable.id.clone());
        request.roles = vec!["admin".to_owned()];
        request.terms_ticked = true;
        request.state = request.state.after(RequestAct::Submit).unwrap();
        request.submitted_at = Some(NOW);
        assert!(access_requests::update(&mut db, &request, RequestState::Draft).await.unwrap());
        assert!(!access_requests::update(&mut db, &request, RequestState::Draft).await.unwrap());
        assert_eq!(access_requests::of_account(&mut db, "account-0", 9).await.unwrap(), [request.clone()]);
        assert_eq!(access_requests::open_for_agency(&mut db, 9).await.unwrap(), []);
        let open = access_requests::open_for_organisation(&mut db, &fable.id, 9).await.unwrap();
        assert_eq!(open, [request.clone()]);
        access_requests::turn_over_to_agency(&mut db, &fable.id, "user").await.unwrap();
        assert_eq!(
            access_requests::open_for_agency(&mut db, 9).await.unwrap(),
            [],
            "it is not for this role"
        );
        access_requests::turn_over_to_agency(&mut db, &fable.id, "admin").await.unwrap();
        assert_eq!(access_requests::open_for_agency(&mut db, 9).await.unwrap().len(), 1);
        assert_eq!(access_requests::open_since(&mut db, NOW, 9).await.unwrap().len(), 1);
        assert_eq!(access_requests::open_since(&mut db, NOW - Duration::DAY, 9).await.unwrap(), []);
        access_requests::accept_terms(&mut db, "account-0", "privacy", "1.0", None, NOW).await.unwrap();
        let accepted = access_requests::accepted_terms(&mut db, "account-0", "privacy").await.unwrap();
        assert_eq!(accepted, [("1.0".to_owned(), NOW)]);
        let document = Document {
            id: "d".to_owned(),
            request: "request-1".to_owned(),
            file_name: "letter.pdf".to_owned(),
            bytes: 3,
            sha256: "x".to_owned(),
            uploaded_at: NOW,
        };
        let pieces = ["b".to_owned(), "a".to_owned()];
        documents::insert(&mut db, &document, &pieces).await.unwrap();
        assert_eq!(documents::pieces(&mut db, "d").await.unwrap(), pieces);
        assert_eq!(documents::find(&mut db, "d").await.unwrap(), Some(document.clone()));
        let mut other = draft();
        other.id = "request-2".to_owned();
        access_requests::insert(&mut db, &other).await.unwrap();
        documents::move_to(&mut db, "request-1", "request-2").await.unwrap();
        assert_eq!(documents::of_request(&mut db, "request-1").await.unwrap(), []);
        assert!(!documents::delete(&mut db, "request-1", "d").await.unwrap());
        assert!(documents::delete(&mut db, "request-2", "d").await.unwrap());
        unit.commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_message_is_claimed_by_one_and_wiped_when_sent() {
    on_each(|database| async move {
        let message = OutboxMessage {
            id: "m".to_owned(),
            channel: "mail".to_owned(),
            notice: "confirm".to_owned(),
            sealed: Some("sealed".to_owned()),
            created_at: NOW,
            tries: 0,
        };
        let lease = Duration::minutes(1);
        let mut unit = work(&database).await;
        let mut db = unit.db();
        outbox::enqueue(&mut db, &message).await.unwrap();
        assert_eq!(outbox::waiting(&mut db).await.unwrap(), (1, Some(NOW)));
        let claimed = outbox::claim_due(&mut db, NOW, lease).await.unwrap().unwrap();
        assert_eq!((claimed.sealed.as_deref(), claimed.tries), (Some("sealed"), 1));
        assert_eq!(outbox::claim_due(&mut db, NOW, lease).await.unwrap(), None);
        assert!(outbox::claim_due(&mut db, NOW + lease, lease).await.unwrap().is_some());
        outbox::mark_failed(&mut db, "m", "no answer", NOW + Duration::HOUR).await.unwrap();
        assert_eq!(outbox::claim_due(&mut db, NOW + lease * 3, lease).await.unwrap(), None);
        let shown = outbox::waiting_list(&mut db, 9).await.unwrap().remove(0);
        assert_eq!((shown.notice.as_str(), shown.failure.as_str()), ("confirm", "no answer"));
        assert_eq!((shown.tries, shown.due_at), (2, NOW + Duration::HOUR));
        outbox::make_due(&mut db, NOW + lease * 3).await.unwrap();
        assert!(outbox::claim_due(&mut db, NOW + lease * 3, lease).await.unwrap().is_some());
        outbox::mark_sent(&mut db, "m", NOW).await.unwrap();
        assert_eq!(outbox::waiting(&mut db).await.unwrap(), (0, None));
        outbox::forget_sent(&mut db, NOW + Duration::DAY).await.unwrap();
        unit.commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn organisations_are_found_by_any_of_their_parts() {
    on_each(|database| async move {
        let network: Organisation = Organisation::new(
            "ORG-100000300".parse().unwrap(),
            "Kidney_Net",
            "NL",
            OrganisationCategory::Network,
            vec![],
        )
        .unwrap();
        let centre = Organisation::new(
            "ORG-100000301".parse().unwrap(),
            "Ziekenhuis Élan",
            "BE",
            OrganisationCategory::Centre,
            vec![],
        )
        .unwrap()
        .placed("Plein 1, Gent", Some(network.id.clone()))
        .unwrap();
        let mut unit = work(&database).await;
        let mut db = unit.db();
        for one in [&network, &centre, &organisation("ORG-100000001", &["LOC-100000007"])] {
            organisations::upsert(&mut db, one, NOW).await.unwrap();
        }
        let found = async |db: &mut database::Db<'_>, query: OrganisationQuery<'_>| {
            let found = organisations::search(db, &query, 9).await.unwrap();
            found.into_iter().map(|one| one.id.to_string()).collect::<Vec<_>>()
        };
        let text = |text| OrganisationQuery { text, ..OrganisationQuery::default() };
        assert_eq!(found(&mut db, text("fable")).await, ["ORG-100000001"]);
        assert_eq!(found(&mut db, text("ÉLAN")).await, ["ORG-100000301"]);
        assert_eq!(found(&mut db, text("loc-100000007")).await, ["ORG-100000001"]);
        assert_eq!(found(&mut db, text("ORG-1000003")).await, ["ORG-100000300", "ORG-100000301"]);
        assert_eq!(found(&mut db, text("y_n")).await, ["ORG-100000300"]);
        assert_eq!(found(&mut db, text("%")).await, Vec::<String>::new());
        let centres = OrganisationQuery {
            country: "be",
            categories: &[OrganisationCategory::Centre],
            parent: Some(&network.id),
            ..OrganisationQuery::default()
        };
        assert_eq!(found(&mut db, centres).await, ["ORG-100000301"]);
        assert_eq!(organisations::countries(&mut db, Some(&network.id)).await.unwrap(), ["BE"]);
        assert_eq!(organisations::countries(&mut db, None).await.unwrap(), ["BE", "NL"]);
        assert_eq!(organisations::find(&mut db, &centre.id).await.unwrap(), Some(centre));
        unit.commit().await.unwrap();
    })
    .await;
}
