//! Who may decide, as one table: every role of the catalogue as a request, every role as a reviewer's, in every
//! organisation. And what happens when the last of those who decide leaves.

use authz_domain::{
    AccessRequest, HeldRole, Organisation,
    OrganisationCategory::{Agency, Authority, Centre, Industry, Network},
    RequestState,
};

use crate::{
    harness::{START, TestAuthz},
    portal_requests::{inbox, submit, to_recap},
    portal_visitor::{PASSWORD, Person, Portal, after},
};

/// Where the deciding role must be held.
#[derive(Clone, Copy, PartialEq)]
enum Held {
    /// In the organisation of the request.
    There,
    /// In the network of that organisation.
    InTheNetwork,
}

/// Each role, who decides on it and where; the agency while there is nobody, or never. Written down from the
/// specification, not from the catalogue.
const DECIDERS: [(&str, &[&str], Held, bool); 16] = [
    ("iris-industry-admin", &["iris-industry-admin"], Held::There, true),
    ("iris-nca-admin", &["iris-nca-admin"], Held::There, true),
    ("pui-user", &["iris-industry-admin"], Held::There, false),
    ("pui-qualified", &["iris-industry-admin"], Held::There, false),
    ("pui-nca", &["iris-nca-admin"], Held::There, false),
    ("eaf-contributor", &["iris-industry-admin"], Held::There, false),
    ("eaf-coordinator", &["iris-industry-admin"], Held::There, false),
    ("eaf-manager", &["iris-industry-admin"], Held::There, false),
    ("spor-industry-user", &["spor-industry-super-user"], Held::There, false),
    ("spor-industry-super-user", &["spor-industry-super-user"], Held::There, true),
    ("spor-nca-user", &["spor-nca-super-user"], Held::There, false),
    ("spor-nca-translator", &["spor-nca-super-user"], Held::There, false),
    ("spor-nca-super-user", &["spor-nca-super-user"], Held::There, true),
    ("cpms-hp", &["cpms-coordinator"], Held::InTheNetwork, true),
    ("cpms-coordinator", &["cpms-coordinator"], Held::There, true),
    ("agency-admin", &[], Held::There, true),
];

fn request(
    role: &str,
    organisation: &Organisation,
    deciding: Option<&Organisation>,
    agency: bool,
) -> AccessRequest {
    AccessRequest {
        id: "key".to_owned(),
        number: Some(1),
        account: "requester".to_owned(),
        application: String::new(),
        organisation: Some(organisation.id.clone()),
        deciding_organisation: deciding.map(|one| one.id.clone()),
        roles: vec![role.to_owned()],
        language: None,
        comment: String::new(),
        state: RequestState::Submitted,
        by_agency: agency,
        waiver_asked: false,
        terms_ticked: false,
        created_at: START,
        submitted_at: Some(START),
        decided_at: None,
        decided_by: None,
        reason: String::new(),
        reminders: 0,
    }
}

#[tokio::test]
async fn who_may_decide_is_the_table_of_the_specification() {
    let authz = TestAuthz::bare().await;
    let catalogue = &authz.settings.portal.catalogue;
    let organisation = |id: &str, category, parent: Option<&str>| {
        Organisation::new(id.parse().unwrap(), "X", "NL", category, Vec::new())
            .and_then(|one| one.placed("", parent.map(|id| id.parse().unwrap())))
            .unwrap()
    };
    let places = [
        organisation("ORG-100000001", Industry, None),
        organisation("ORG-100000002", Industry, None),
        organisation("ORG-100000101", Authority, None),
        organisation("ORG-100000201", Agency, None),
        organisation("ORG-100000301", Network, None),
        organisation("ORG-100000311", Centre, Some("ORG-100000301")),
        organisation("ORG-100000302", Network, None),
        organisation("ORG-100000312", Centre, Some("ORG-100000302")),
    ];
    // What is about credentials of clients needs nobody's decision and is no role that somebody holds.
    let asked: Vec<_> = catalogue.roles.iter().filter(|role| !role.is_about_credentials()).collect();
    let mut looked_at = 0;
    for role in &asked {
        let row = DECIDERS.iter().find(|(id, ..)| *id == role.id);
        let (_, deciders, held_where, agency) = row.unwrap_or_else(|| panic!("no row for {}", role.id));
        for place in places.iter().filter(|place| role.categories.contains(&place.category)) {
            let deciding = match held_where {
                Held::There => Some(place),
                Held::InTheNetwork => places.iter().find(|one| place.parent.as_ref() == Some(&one.id)),
            };
            // The route while nobody is there, and while somebody is.
            let alone = format!("{:?}", role.route(false, false));
            assert_eq!(alone.starts_with("Refused"), !agency, "{}: {alone}", role.id);
            if !deciders.is_empty() {
                assert_eq!(format!("{:?}", role.route(true, false)), "Organisation", "{}", role.id);
            }
            for by_agency in [false, true] {
                let request = request(&role.id, place, deciding, by_agency);
                for reviewers in &catalogue.roles {
                    for held_at in places.iter().map(Some).chain([None]) {
                        let held = [HeldRole {
                            role: reviewers.id.clone(),
                            organisation: held_at.map(|one| one.id.clone()),
                        }];
                        let expected = (reviewers.id == "agency-admin" && by_agency)
                            || (deciders.contains(&reviewers.id.as_str())
                                && held_at.is_some()
                                && held_at == deciding);
                        let found = request.may_be_decided_by(catalogue, "reviewer", &held);
                        let at = held_at.map(|one| one.id.as_str());
                        assert_eq!(
                            found, expected,
                            "{} of {at:?} on {} for {} (agency: {by_agency})",
                            reviewers.id, role.id, place.id
                        );
                        assert!(
                            !request.may_be_decided_by(catalogue, "requester", &held),
                            "nobody decides for themself"
                        );
                        looked_at += 1;
                    }
                }
            }
        }
    }
    assert!(looked_at > 5_000, "{looked_at}");
}

const AT: Option<&str> = Some("ORG-100000001");

/// A colleague's request that waits for the administrators of ORG-100000001.
async fn waiting(portal: &Portal, email: &str) -> String {
    let mut colleague = portal.signed_in(email, &[]).await;
    let id = to_recap(&mut colleague, "pui", "ORG-100000001", &["pui-user"]).await;
    assert!(submit(&mut colleague, &id).await.contains("REQ-"), "{}", colleague.page.text);
    id
}

async fn told(portal: &Portal, email: &str) -> usize {
    let mails = portal.mails(email).await;
    mails.iter().filter(|mail| mail["subject"].as_str().unwrap().contains("no administrator")).count()
}

#[tokio::test]
async fn the_last_administrator_who_ends_the_account_confirms_and_the_agency_takes_over() {
    let portal = Portal::start().await;
    let mut agency = portal.agency("grace.hall@agency.example").await;
    let mut first = portal.signed_in("ana.silva@fable.example", &[("iris-industry-admin", AT)]).await;
    let mut second = portal.signed_in("eve.fox@fable.example", &[("iris-industry-admin", AT)]).await;
    let id = waiting(&portal, "ben.okoye@fable.example").await;
    // Not the last one: no question, nothing handed over.
    first.get("/portal/account/deactivate").await;
    assert!(!first.page.text.contains("last administrator"));
    first.post("/portal/account/deactivate", &[("current", PASSWORD)]).await;
    assert_eq!(inbox(&mut agency).await, Vec::<String>::new());
    assert_eq!(told(&portal, "grace.hall@agency.example").await, 0);
    // The last one is asked to confirm.
    second.get("/portal/account/deactivate").await;
    assert!(second.page.text.contains("last administrator"), "{}", second.page.text);
    second.post("/portal/account/deactivate", &[("current", PASSWORD)]).await;
    assert_eq!(second.page.status, 422);
    second.post("/portal/account/deactivate", &[("current", PASSWORD), ("sure", "yes")]).await;
    assert_eq!(inbox(&mut agency).await, [id]);
    assert_eq!(told(&portal, "grace.hall@agency.example").await, 1);
}

/// Opens the page of somebody as the agency does; answers their id.
async fn person_page(agency: &mut Person<'_>, email: &str) -> String {
    agency.get(&format!("/portal/people?q={email}")).await;
    let id = after(&agency.page.text, "/portal/people/").unwrap().to_owned();
    agency.get(&format!("/portal/people/{id}")).await;
    id
}

#[tokio::test]
async fn stopping_the_last_administrator_asks_and_hands_over_and_can_be_undone() {
    let portal = Portal::start().await;
    let mut agency = portal.agency("grace.hall@agency.example").await;
    portal
        .account("ana.silva@fable.example", &[("iris-industry-admin", AT), ("spor-industry-super-user", AT)])
        .await;
    portal.account("eve.fox@fable.example", &[("spor-industry-super-user", AT)]).await;
    let id = waiting(&portal, "ben.okoye@fable.example").await;
    let mut other = portal.signed_in("joe.low@fable.example", &[]).await;
    let kept = to_recap(&mut other, "spor", "ORG-100000001", &["spor-industry-user"]).await;
    submit(&mut other, &kept).await;
    let who = person_page(&mut agency, "ana.silva").await;
    let path = format!("/portal/people/{who}");
    agency.post(&path, &[("reason", "left us"), ("do", "block")]).await;
    assert!(agency.page.status == 422 && agency.page.text.contains("left us"), "{}", agency.page.text);
    agency.post(&path, &[("reason", "left us"), ("sure", "yes"), ("do", "block")]).await;
    assert!(agency.page.text.contains("Let this user in again"), "{}", agency.page.text);
    // What a super user who is still there decides is not handed over.
    assert_eq!(inbox(&mut agency).await, [id]);
    assert_eq!(told(&portal, "grace.hall@agency.example").await, 1);
    let mut stopped = portal.person();
    stopped.sign_in("ana.silva@fable.example", PASSWORD).await;
    assert!(stopped.page.text.contains("was stopped"));
    agency.get(&path).await;
    agency.post(&path, &[("reason", "came back"), ("do", "unblock")]).await;
    assert!(agency.page.text.contains("Deactivate this user"), "{}", agency.page.text);
    assert!(stopped.sign_in("ana.silva@fable.example", PASSWORD).await.text.contains("Hello"));
    let mails = portal.mails("ana.silva@fable.example").await;
    assert!(mails.iter().any(|mail| mail["text"].as_str().unwrap().contains("came back")));
}

/// The rows of the permission matrix (seed 000, "user roles vs. functionality") that are about people and places: who
/// signs in, looks, downloads, and authorises users.
#[tokio::test]
async fn each_kind_of_user_may_do_what_the_permission_matrix_says() {
    let portal = Portal::start().await;
    let nca = Some("ORG-100000101");
    for (kind, roles, downloads, authorises) in [
        ("guest", None, false, false),
        ("unaffiliated", Some(vec![]), true, false),
        ("industry user", Some(vec![("spor-industry-user", AT)]), true, false),
        ("industry super user", Some(vec![("spor-industry-super-user", AT)]), true, true),
        ("nca user", Some(vec![("spor-nca-user", nca)]), true, false),
        ("nca translator", Some(vec![("spor-nca-translator", nca)]), true, false),
        ("nca super user", Some(vec![("spor-nca-super-user", nca)]), true, true),
    ] {
        let email = format!("{}.person@fable.example", kind.replace(' ', "-"));
        let mut person = match &roles {
            None => portal.person(),
            Some(roles) => portal.signed_in(&email, roles).await,
        };
        let page = person.get("/portal/organisations?q=fable&country=").await;
        assert!(page.status == 200 && page.text.contains("ORG-100000001"), "{kind} views and searches");
        assert_eq!(page.text.contains("Download as CSV"), downloads, "{kind}");
        let file = person.get("/portal/organisations/download?q=fable&country=").await;
        assert_eq!(
            file.status == 200 && file.text.contains("ORG-100000001,Fable Pharma,NL,industry"),
            downloads,
            "{kind}"
        );
        let review = person.get("/portal/review").await.status.as_u16();
        assert_eq!(review == 200, authorises, "{kind}: {review}");
    }
}
