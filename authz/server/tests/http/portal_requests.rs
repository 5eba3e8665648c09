//! The stories of the portal, told without a script engine: who gets in, who decides, what is remembered.

use authz_domain::{Actor, totp_code};
use authz_server::{NewAccount, Reviewer, UseCaseError};
use authz_store::{accounts, granted_roles};
use database::testing::TestDatabase;
use time::Duration;

use crate::portal_visitor::{PASSWORD, Person, Portal, after};

pub(crate) const PDF: &[u8] = b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n";

/// Goes through the steps up to the recap; answers the request's id.
pub(crate) async fn to_recap(
    person: &mut Person<'_>,
    application: &str,
    organisation: &str,
    roles: &[&str],
) -> String {
    person.get("/portal/requests/new").await;
    person.post("/portal/requests/new", &[("application", application)]).await;
    let id = after(&person.page.text, "action=\"/portal/requests/")
        .or_else(|| after(&person.page.text, "href=\"/portal/requests/"))
        .unwrap()
        .to_owned();
    let id = person
        .page
        .text
        .match_indices("/portal/requests/")
        .map(|(at, word)| &person.page.text[at + word.len()..])
        .filter_map(|rest| rest.split(['/', '"', '?']).next())
        .find(|word| word.len() == 36)
        .map_or(id, str::to_owned);
    person
        .post(
            &format!("/portal/requests/{id}/organisation"),
            &[("organisation", organisation), ("do", "choose")],
        )
        .await;
    assert!(person.page.text.contains("<h1>Roles</h1>"), "{}", person.page.text);
    let fields: Vec<(&str, &str)> = roles.iter().map(|role| ("role", *role)).collect();
    person.post(&format!("/portal/requests/{id}/roles"), &fields).await;
    id
}

pub(crate) async fn submit<'p>(person: &'p mut Person<'_>, id: &str) -> &'p str {
    person.post(&format!("/portal/requests/{id}/recap"), &[("comment", "please"), ("do", "submit")]).await;
    &person.page.text
}

/// The keys of the requests in a reviewer's inbox.
pub(crate) async fn inbox(reviewer: &mut Person<'_>) -> Vec<String> {
    reviewer.get("/portal/review").await;
    assert_eq!(reviewer.page.status, 200, "{}", reviewer.page.text);
    let links = reviewer.page.text.split("href=\"/portal/review/").skip(1);
    links.filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

async fn approve(reviewer: &mut Person<'_>, id: &str) {
    reviewer.get(&format!("/portal/review/{id}")).await;
    reviewer.post(&format!("/portal/review/{id}"), &[("do", "approve"), ("reason", "")]).await;
    assert!(reviewer.page.text.contains("Approved"), "{}", reviewer.page.text);
}

#[tokio::test]
async fn a_public_user_registers_confirms_and_signs_in() {
    for database in TestDatabase::each().await {
        let portal = Portal::on(database, |_| {}).await;
        let mut person = portal.person();
        let home = person.register("ana.silva@medco.example").await;
        assert!(
            home.text.contains("Hello, Ana") && home.text.contains("You have no roles yet."),
            "{}",
            home.text
        );
        let subjects: Vec<_> = portal
            .mails("ana.silva@medco.example")
            .await
            .iter()
            .map(|mail| mail["subject"].clone())
            .collect();
        assert_eq!(subjects, ["Confirm your e-mail address", "Your account is active"]);
        let user_name = person
            .page
            .text
            .split("Sign out <span class=\"unseen\">")
            .nth(1)
            .unwrap()
            .split('<')
            .next()
            .unwrap()
            .to_owned();
        person.post("/portal/sign-out", &[]).await;
        assert!(!person.page.text.contains("Sign out"));
        assert!(person.sign_in(&user_name, PASSWORD).await.text.contains("Hello, Ana"));
    }
}

#[tokio::test]
async fn what_is_wrong_stands_beside_its_field_and_what_was_typed_is_kept() {
    let portal = Portal::start().await;
    let mut person = portal.person();
    person.get("/portal/register").await;
    let page = person
        .post(
            "/portal/register",
            &[
                ("first_name", "Info"),
                ("last_name", "Silva"),
                ("email", "info@gmail.com"),
                ("password", "short"),
            ],
        )
        .await;
    assert_eq!(page.status, 422);
    for words in [
        "Error: Create an account",
        "href=\"#f-email\"",
        "generic mailbox",
        "real name",
        "value=\"Silva\"",
        "at least 10",
    ] {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    assert!(!page.text.contains("value=\"short\""), "a password came back");
}

#[tokio::test]
async fn the_first_admin_needs_a_letter_and_the_agency_and_approves_colleagues_afterwards() {
    let portal = Portal::start().await;
    let mut agency = portal.agency("grace.hall@agency.example").await;
    let mut admin = portal.signed_in("ana.silva@fable.example", &[]).await;
    let id = to_recap(&mut admin, "iris-plm", "ORG-100000001", &["iris-industry-admin"]).await;
    assert!(submit(&mut admin, &id).await.contains("Attach the document: Letter of affiliation"));
    admin.upload(&format!("/portal/requests/{id}/recap"), "letter.pdf", PDF).await;
    assert_eq!(admin.page.status, 303, "{}", admin.page.text);
    admin.get(&format!("/portal/requests/{id}/recap")).await;
    assert!(admin.page.text.contains("letter.pdf"));
    assert!(submit(&mut admin, &id).await.contains("Request REQ-00000001"), "{}", admin.page.text);
    let told = portal.mails("ana.silva@fable.example").await;
    assert!(told.iter().any(|mail| mail["text"].as_str().unwrap().contains("REQ-00000001")));
    assert_eq!(inbox(&mut agency).await, std::slice::from_ref(&id));
    agency.get(&format!("/portal/review/{id}")).await;
    let document = after(&agency.page.text, "/portal/documents/").unwrap().to_owned();
    agency.get(&format!("/portal/documents/{document}")).await;
    assert_eq!(agency.page.text.as_bytes(), PDF);
    assert!(agency.page.header("content-disposition").starts_with("attachment"));
    approve(&mut agency, &id).await;
    admin.get("/portal").await;
    assert!(admin.page.text.contains("IRIS / PLM Industry Admin"), "{}", admin.page.text);
    let told = portal.mails("ana.silva@fable.example").await;
    assert!(told.iter().any(|mail| mail["subject"].as_str().unwrap().contains("approved")));

    // A colleague asks for a role; the administrator decides, not the agency.
    let mut colleague = portal.signed_in("ben.okoye@fable.example", &[]).await;
    let request = to_recap(&mut colleague, "pui", "ORG-100000001", &["pui-user"]).await;
    submit(&mut colleague, &request).await;
    assert_eq!(inbox(&mut agency).await, Vec::<String>::new());
    assert_eq!(inbox(&mut admin).await, std::slice::from_ref(&request));
    approve(&mut admin, &request).await;
    colleague.get("/portal").await;
    assert!(colleague.page.text.contains("Industry Read/User"));

    // The administrator's own role of the product UI is granted at once.
    let own = to_recap(&mut admin, "pui", "ORG-100000001", &["pui-qualified"]).await;
    assert!(submit(&mut admin, &own).await.contains("approved by the system at once"), "{}", admin.page.text);
}

#[tokio::test]
async fn without_an_administrator_a_role_is_refused_with_what_to_do() {
    let portal = Portal::start().await;
    let mut person = portal.signed_in("ana.silva@fable.example", &[]).await;
    to_recap(&mut person, "spor", "ORG-100000001", &["spor-industry-user"]).await;
    assert_eq!(person.page.status, 422);
    assert!(
        person.page.text.contains("request the super-user role, or wait until one exists"),
        "{}",
        person.page.text
    );
}

#[tokio::test]
async fn a_violation_is_stopped_and_can_be_waived_where_the_rule_allows_it() {
    let portal = Portal::start().await;
    let mut admin =
        portal.signed_in("grace.hall@fable.example", &[("iris-industry-admin", Some("ORG-100000001"))]).await;
    let mut person =
        portal.signed_in("ana.silva@fable.example", &[("pui-user", Some("ORG-100000001"))]).await;
    let id = to_recap(&mut person, "pui", "ORG-100000001", &["pui-qualified"]).await;
    for words in [
        "A rule is broken",
        "Remove Industry Read/Qualified User",
        "Go on with the violation",
        "Cancel the request",
    ] {
        assert!(person.page.text.contains(words), "{words}: {}", person.page.text);
    }
    assert!(submit(&mut person, &id).await.contains("exclude each other"), "it must not pass unsaid");
    person.post(&format!("/portal/requests/{id}/violations"), &[("do", "waive")]).await;
    assert!(person.page.text.contains("You go on with a violation"), "{}", person.page.text);
    assert!(submit(&mut person, &id).await.contains("REQ-"), "{}", person.page.text);
    assert_eq!(inbox(&mut admin).await, std::slice::from_ref(&id));
    assert!(admin.page.text.contains("with a violation"));
    admin.get(&format!("/portal/review/{id}")).await;
    assert!(admin.page.text.contains("Submitted with a violation"));

    // What would be automatic is not, when a rule is to be waived: the agency decides.
    let own = to_recap(&mut admin, "pui", "ORG-100000001", &["pui-user"]).await;
    submit(&mut admin, &own).await;
    let other = to_recap(&mut admin, "pui", "ORG-100000001", &["pui-qualified"]).await;
    admin.post(&format!("/portal/requests/{other}/violations"), &[("do", "waive")]).await;
    assert!(submit(&mut admin, &other).await.contains("Waiting for a decision"), "{}", admin.page.text);

    // Industry and authority is never waived.
    let mut nca = portal.signed_in("ben.okoye@nca.example", &[("pui-nca", Some("ORG-100000101"))]).await;
    let id = to_recap(&mut nca, "pui", "ORG-100000001", &["pui-user"]).await;
    assert!(
        nca.page.text.contains("cannot be waived") && !nca.page.text.contains("Go on with"),
        "{}",
        nca.page.text
    );
    nca.post(&format!("/portal/requests/{id}/violations"), &[("do", "waive")]).await;
    assert!(submit(&mut nca, &id).await.contains("No account holds an industry and an NCA role"));
}

/// The person's roles, as their start page names them.
async fn start_page<'p>(person: &'p mut Person<'_>) -> &'p str {
    person.get("/portal").await;
    &person.page.text
}

#[tokio::test]
async fn roles_that_were_granted_meanwhile_exclude_as_those_that_were_held_before() {
    for database in TestDatabase::each().await {
        let portal = Portal::on(database, |_| {}).await;
        let mut industry = portal
            .signed_in("grace.hall@fable.example", &[("iris-industry-admin", Some("ORG-100000001"))])
            .await;
        let mut authority =
            portal.signed_in("nina.berg@nca.example", &[("iris-nca-admin", Some("ORG-100000101"))]).await;
        let mut person = portal.signed_in("ana.silva@fable.example", &[]).await;
        let user = to_recap(&mut person, "pui", "ORG-100000001", &["pui-user"]).await;
        submit(&mut person, &user).await;
        let qualified = to_recap(&mut person, "pui", "ORG-100000001", &["pui-qualified"]).await;
        submit(&mut person, &qualified).await;
        let nca = to_recap(&mut person, "pui", "ORG-100000101", &["pui-nca"]).await;
        assert!(submit(&mut person, &nca).await.contains("REQ-00000003"), "{}", person.page.text);

        // As each reviewer saw it, nothing stood in the way.
        authority.get(&format!("/portal/review/{nca}")).await;
        approve(&mut industry, &user).await;
        authority.post(&format!("/portal/review/{nca}"), &[("do", "approve"), ("reason", "")]).await;
        assert_eq!(authority.page.status, 409);
        assert!(authority.page.text.contains("No account holds an industry and an NCA role"));
        assert_eq!(inbox(&mut authority).await, std::slice::from_ref(&nca), "it waits still");
        authority.get(&format!("/portal/review/{nca}")).await;
        let page = &authority.page.text;
        assert!(page.contains("This cannot be approved") && !page.contains(">Approve<"), "{page}");
        // A rule that could be waived, which nobody asked for.
        industry.post(&format!("/portal/review/{qualified}"), &[("do", "approve"), ("reason", "")]).await;
        assert_eq!(industry.page.status, 409);
        let home = start_page(&mut person).await;
        assert!(home.contains("Industry Read/User") && !home.contains("NCA"), "{home}");
        // It can be rejected.
        authority
            .post(
                &format!("/portal/review/{nca}"),
                &[("do", "reject"), ("reason", "The other role is held.")],
            )
            .await;
        assert_eq!(inbox(&mut authority).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_role_is_not_asked_for_twice() {
    let portal = Portal::start().await;
    portal.account("grace.hall@fable.example", &[("iris-industry-admin", Some("ORG-100000001"))]).await;
    let mut person = portal.signed_in("ana.silva@fable.example", &[]).await;
    let first = to_recap(&mut person, "pui", "ORG-100000001", &["pui-user"]).await;
    submit(&mut person, &first).await;
    let second = to_recap(&mut person, "pui", "ORG-100000001", &["pui-user"]).await;
    let refused = "REQ-00000001 asks for the role Industry Read/User already";
    assert!(submit(&mut person, &second).await.contains(refused), "{}", person.page.text);
    person.post(&format!("/portal/requests/{first}"), &[("do", "withdraw")]).await;
    person.get("/portal/requests").await;
    assert!(person.page.text.contains("Withdrawn"), "{}", person.page.text);
    assert!(submit(&mut person, &second).await.contains("REQ-00000002"), "{}", person.page.text);
}

#[tokio::test]
async fn an_operator_gives_no_role_where_nobody_could_hold_it() {
    let portal = Portal::start().await;
    let new = NewAccount {
        email: "ana.silva@fable.example".to_owned(),
        first_name: "Ana".to_owned(),
        last_name: "Silva".to_owned(),
        password: None,
        roles: Vec::new(),
    };
    let open = |roles: &[(&str, Option<&str>)]| {
        let roles = roles.iter().map(|(role, at)| ((*role).to_owned(), at.map(|id| id.parse().unwrap())));
        let new = NewAccount { roles: roles.collect(), ..new.clone() };
        async { portal.authz.acts().open_account(Actor::Operator, new).await.unwrap_err().to_string() }
    };
    let both = [("pui-user", Some("ORG-100000001")), ("pui-nca", Some("ORG-100000101"))];
    assert!(open(&both).await.contains("No account holds an industry and an NCA role"));
    for (role, at, said) in [
        ("iris-industry-admin", None, "write iris-industry-admin@ORG-"),
        ("iris-industry-admin", Some("ORG-100000101"), "ORG-100000101 is of category authority"),
        ("iris-industry-admin", Some("ORG-999999998"), "there is no organisation ORG-999999998"),
        ("pms-industry-api", Some("ORG-100000001"), "nobody holds the role"),
        ("agency-admin", Some("ORG-100000001"), "leave @ORG-100000001 out"),
        ("nobody", None, "there is no role nobody"),
    ] {
        let refused = open(&[(role, at)]).await;
        assert!(refused.contains(said), "{refused}");
    }
}

#[tokio::test]
async fn cpms_asks_for_network_centre_second_factor_and_thematic_area() {
    let portal = Portal::start().await;
    let mut coordinator =
        portal.signed_in("grace.hall@kidney.example", &[("cpms-coordinator", Some("ORG-100000301"))]).await;
    coordinator.enrol_app().await;
    let mut person = portal.signed_in("ana.silva@ziekenhuis.example", &[]).await;
    let id = to_recap(&mut person, "cpms", "ORG-100000311", &["cpms-hp"]).await;
    assert!(person.page.text.contains("needs a second factor"), "{}", person.page.text);
    let secret = person.enrol_app().await;
    person.get("/portal/account").await;
    person.post("/portal/account", &[("phone", ""), ("language", "de"), ("do", "next")]).await;
    person.get(&format!("/portal/requests/{id}/organisation")).await;
    assert!(person.page.text.contains("Open Kidney Network"), "{}", person.page.text);
    person.get(&format!("/portal/requests/{id}/organisation?network=ORG-100000301")).await;
    assert!(person.page.text.contains("Open NL"));
    person.get(&format!("/portal/requests/{id}/organisation?network=ORG-100000301&country=NL")).await;
    assert!(person.page.text.contains("Choose ORG-100000311"));
    person.get(&format!("/portal/requests/{id}/roles")).await;
    person.post(&format!("/portal/requests/{id}/roles"), &[("role", "cpms-hp")]).await;
    assert!(submit(&mut person, &id).await.contains("REQ-"), "{}", person.page.text);
    assert_eq!(inbox(&mut coordinator).await, std::slice::from_ref(&id));
    approve(&mut coordinator, &id).await;
    let mails = portal.mails("ana.silva@ziekenhuis.example").await;
    assert!(
        mails.iter().any(|mail| mail["text"].as_str().unwrap().contains("Ihr CPMS-Konto wurde angelegt.")),
        "{mails:?}"
    );

    // The next sign-in asks for the second factor and then for the thematic area, once.
    let clock = &portal.authz.clock;
    clock.advance(Duration::minutes(1));
    let mut again = portal.person();
    again.sign_in("ana.silva@ziekenhuis.example", PASSWORD).await;
    assert!(again.page.text.contains("Your second factor"), "{}", again.page.text);
    let location = again.get("/portal/requests").await.header("location").to_owned();
    assert_eq!(location, "/portal/sign-in?to=%2Fportal%2Frequests");
    again.get("/portal/sign-in/second-factor").await;
    let code = totp_code(&secret, clock.now());
    again.post("/portal/sign-in/second-factor", &[("code", &code), ("do", "next")]).await;
    let to = again.page.header("location").to_owned();
    again.get(&to).await;
    assert!(again.page.text.contains("Thematic area"), "{}", again.page.text);
    let path =
        format!("/portal/preference/{}", after(&again.page.text, "action=\"/portal/preference/").unwrap());
    again.post(&path, &[("choice", "Tubulopathies")]).await;
    assert!(
        again.page.text.contains("Hello, Ana") && again.page.text.contains("Tubulopathies"),
        "{}",
        again.page.text
    );
}

#[tokio::test]
async fn reviewers_reject_with_a_reason_ask_for_documents_revoke_and_stop() {
    let portal = Portal::start().await;
    let mut agency = portal.agency("grace.hall@agency.example").await;
    let at = Some("ORG-100000001");
    let mut admin = portal.signed_in("ana.silva@fable.example", &[("iris-industry-admin", at)]).await;
    let mut person = portal.signed_in("ben.okoye@fable.example", &[]).await;
    let id = to_recap(&mut person, "pui", "ORG-100000001", &["pui-user"]).await;
    submit(&mut person, &id).await;
    let review = format!("/portal/review/{id}");
    admin.get(&review).await;
    admin.post(&review, &[("do", "reject"), ("reason", "")]).await;
    assert_eq!(admin.page.status, 422);
    admin.post(&review, &[("do", "ask"), ("reason", "your contract, please")]).await;
    person.get(&format!("/portal/requests/{id}")).await;
    assert!(
        person.page.text.contains("Waiting for your documents")
            && person.page.text.contains("your contract, please")
    );
    person.upload(&format!("/portal/requests/{id}/documents"), "contract.pdf", PDF).await;
    assert_eq!(person.page.status, 303);
    admin.get(&review).await;
    admin.post(&review, &[("do", "reject"), ("reason", "wrong company")]).await;
    assert!(admin.page.text.contains("Rejected"));
    person.get("/portal/requests").await;
    assert!(person.page.text.contains("wrong company"));

    // The agency revokes the last administrator only after confirming, and is told.
    agency.get("/portal/people?q=ana.silva").await;
    let who = after(&agency.page.text, "/portal/people/").unwrap().to_owned();
    agency.get(&format!("/portal/people/{who}")).await;
    let role = agency.page.text.split("/portal/roles/").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let path = format!("/portal/roles/{role}/revoke");
    agency.get(&path).await;
    assert!(agency.page.text.contains("last administrator"));
    agency.post(&path, &[("reason", "left"), ("do", "revoke")]).await;
    assert_eq!(agency.page.status, 422);
    agency.post(&path, &[("reason", "left"), ("sure", "yes"), ("do", "revoke")]).await;
    assert_eq!(agency.page.status, 200, "{}", agency.page.text);
    admin.get("/portal/review").await;
    assert_eq!(admin.page.status, 404);
    let told = portal.mails("grace.hall@agency.example").await;
    assert!(
        told.iter().any(|mail| mail["subject"].as_str().unwrap().contains("no administrator")),
        "{told:?}"
    );
    agency.get(&format!("/portal/people/{who}")).await;
    agency.post(&format!("/portal/people/{who}"), &[("reason", "left"), ("do", "block")]).await;
    admin.get("/portal").await;
    assert!(!admin.page.text.contains("Hello"));
    assert!(admin.sign_in("ana.silva@fable.example", PASSWORD).await.text.contains("was stopped"));
}

#[tokio::test]
async fn who_takes_somebodys_last_role_away_lands_where_the_people_are() {
    let portal = Portal::start().await;
    let at = Some("ORG-100000001");
    let mut admin = portal.signed_in("ana.silva@fable.example", &[("iris-industry-admin", at)]).await;
    let id = portal.account("ben.okoye@fable.example", &[("pui-user", at)]).await;
    admin.get(&format!("/portal/people/{id}")).await;
    let role = admin.page.text.split("/portal/roles/").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let path = format!("/portal/roles/{role}/revoke");
    admin.get(&path).await;
    let landed = admin.post(&path, &[("reason", "left"), ("do", "revoke")]).await;
    assert_eq!(landed.status, 200, "{}", landed.text);
    assert!(landed.text.contains("<h1>People</h1>") && !landed.text.contains("ben.okoye"), "{}", landed.text);
}

#[tokio::test]
async fn a_request_that_nobody_decides_is_reminded_of_and_expires() {
    let portal = Portal::start().await;
    portal.account("grace.hall@fable.example", &[("iris-industry-admin", Some("ORG-100000001"))]).await;
    let mut person = portal.signed_in("ben.okoye@fable.example", &[]).await;
    let id = to_recap(&mut person, "pui", "ORG-100000001", &["pui-user"]).await;
    submit(&mut person, &id).await;
    let mut reminded = Vec::new();
    for days in [13, 14, 14, 61, 61, 90, 200] {
        let now = portal.authz.clock.now();
        let since = now - crate::harness::START;
        portal.authz.clock.advance(Duration::days(days) - since);
        portal.authz.acts().keep_request_deadlines().await.unwrap();
        let mails = portal.mails("grace.hall@fable.example").await;
        reminded.push(
            mails.iter().filter(|mail| mail["subject"].as_str().unwrap().contains("still waits")).count(),
        );
    }
    assert_eq!(reminded, [0, 1, 1, 2, 2, 2, 2]);
    person.sign_in("ben.okoye@fable.example", PASSWORD).await;
    person.get("/portal/requests").await;
    assert!(person.page.text.contains("Expired"), "{}", person.page.text);
    let told = portal.mails("ben.okoye@fable.example").await;
    assert!(told.iter().any(|mail| mail["text"].as_str().unwrap().contains("nobody decided within 90 days")));
}

#[tokio::test]
async fn passwords_names_and_accounts_are_recovered_by_mail() {
    let portal = Portal::start().await;
    let mut person = portal.person();
    person.register("ana.silva@medco.example").await;
    person.get("/portal/recover/password").await;
    person.post("/portal/recover/password", &[("name", "ana.silva@medco.example")]).await;
    assert!(person.page.text.contains("What was the name of your first school?"));
    let answers =
        [("name", "ana.silva@medco.example"), ("a1", "blue  SCHOOL"), ("a2", "Gent"), ("a3", "acme")];
    person.post("/portal/recover/questions", &answers).await;
    let (code, token) = (portal.code("ana.silva@medco.example").await, person.hidden("t"));
    let fresh = "another Horse 7 battery";
    let fields =
        [("t", token.as_str()), ("code", code.as_str()), ("password", fresh), ("password_again", fresh)];
    person.post("/portal/recover/new-password", &fields).await;
    assert!(person.page.text.contains("Your password is set"), "{}", person.page.text);
    person.get("/portal").await;
    assert!(!person.page.text.contains("Hello"), "sessions must end");
    assert!(person.sign_in("ana.silva@medco.example", PASSWORD).await.text.contains("is wrong"));
    assert!(person.sign_in("ana.silva@medco.example", fresh).await.text.contains("Hello"));

    let mails = portal.mails("ana.silva@medco.example").await.len();
    person.get("/portal/recover/user-name").await;
    person.post("/portal/recover/user-name", &[("email", "Ana.Silva@medco.example")]).await;
    assert_eq!(portal.mails("ana.silva@medco.example").await.len(), mails + 1);

    person.get("/portal/account/deactivate").await;
    person.post("/portal/account/deactivate", &[("current", fresh), ("do", "end")]).await;
    assert!(person.sign_in("ana.silva@medco.example", fresh).await.text.contains("deactivated"));
    person.get("/portal/recover/account").await;
    person.post("/portal/recover/account", &[("name", "ana.silva@medco.example")]).await;
    let (code, token) = (portal.code("ana.silva@medco.example").await, person.hidden("t"));
    person.post("/portal/recover/account/confirm", &[("t", &token), ("code", &code)]).await;
    assert!(person.sign_in("ana.silva@medco.example", fresh).await.text.contains("Hello"));
}

#[tokio::test]
async fn a_code_proves_the_phone_that_it_was_sent_to_and_no_other() {
    let portal = Portal::start().await;
    let mut person = portal.signed_in("ana.silva@medco.example", &[]).await;
    let number = |phone: &'static str| [("phone", phone), ("language", "en"), ("do", "next")];
    person.get("/portal/account").await;
    person.post("/portal/account", &number("+31 6 1234 5678")).await;
    person.get("/portal/account/second-factor").await;
    person.post("/portal/account/second-factor", &[("do", "phone"), ("current", PASSWORD)]).await;
    let (code, token) = (portal.code("+31612345678").await, person.hidden("t"));
    person.get("/portal/account").await;
    person.post("/portal/account", &number("+31 6 9999 9999")).await;
    person.get("/portal/account/second-factor").await;
    let fields = [("do", "confirm-phone"), ("t", token.as_str()), ("code", code.as_str())];
    person.post("/portal/account/second-factor", &fields).await;
    assert!(person.page.text.contains("That is not the code, or it is over"), "{}", person.page.text);
    person.get("/portal/account/second-factor").await;
    assert!(!person.page.text.contains("Make new recovery codes"), "{}", person.page.text);
}

#[tokio::test]
async fn who_lost_a_role_meanwhile_takes_none_away() {
    for database in TestDatabase::each().await {
        let portal = Portal::on(database, |_| {}).await;
        let role = [("iris-industry-admin", Some("ORG-100000001"))];
        let (one, other) =
            (portal.account("a@fable.example", &role).await, portal.account("b@fable.example", &role).await);
        let acts = portal.authz.acts();
        let mut roles = Vec::new();
        for account in [&one, &other] {
            let mut reader = portal.authz.database.database().read().await.unwrap();
            let account_of = accounts::find(&mut reader.db(), account).await.unwrap().unwrap();
            roles.push((
                account_of,
                granted_roles::of_account(&mut reader.db(), account).await.unwrap().remove(0),
            ));
        }
        let held = [roles[0].1.held()];
        // Both looked at the page while both were administrators.
        let reviewer = |n: usize| Reviewer { account: &roles[n].0, held: &held };
        assert!(acts.revoke_role(reviewer(0), &roles[1].1.id, "left").await.unwrap().is_some());
        let late = acts.revoke_role(reviewer(1), &roles[0].1.id, "left").await;
        assert!(matches!(late, Err(UseCaseError::DecidedMeanwhile)), "{late:?}");
        // One's own role is one's to give up.
        assert!(acts.revoke_role(reviewer(0), &roles[0].1.id, "moved on").await.unwrap().is_some());
    }
}

#[tokio::test]
async fn text_messages_and_recovery_codes_prove_who_somebody_is() {
    let portal = Portal::start().await;
    let mut person = portal.signed_in("ana.silva@medco.example", &[]).await;
    person.get("/portal/account").await;
    person.post("/portal/account", &[("phone", "+31 6 1234 5678"), ("language", "en"), ("do", "next")]).await;
    person.get("/portal/account/second-factor").await;
    person.post("/portal/account/second-factor", &[("do", "phone"), ("current", PASSWORD)]).await;
    let (code, token) = (portal.code("+31612345678").await, person.hidden("t"));
    person
        .post("/portal/account/second-factor", &[("do", "confirm-phone"), ("t", &token), ("code", &code)])
        .await;
    assert!(person.page.text.contains("Your recovery codes"), "{}", person.page.text);
    let recovery =
        person.page.text.split("aria-label=\"Text\">").nth(1).unwrap().lines().next().unwrap().to_owned();
    let mut again = portal.person();
    again.sign_in("ana.silva@medco.example", PASSWORD).await;
    again.post("/portal/sign-in/second-factor", &[("do", "text")]).await;
    let (code, token) = (portal.code("+31612345678").await, again.hidden("t"));
    again.post("/portal/sign-in/second-factor", &[("t", &token), ("code", &code), ("do", "next")]).await;
    assert!(again.page.text.contains("Hello"), "{}", again.page.text);
    for (works, n) in [(true, 1), (false, 2)] {
        let mut other = portal.person();
        other.sign_in("ana.silva@medco.example", PASSWORD).await;
        other.post("/portal/sign-in/second-factor", &[("code", &recovery), ("do", "next")]).await;
        assert_eq!(other.page.text.contains("Hello"), works, "{n}: {}", other.page.text);
    }
    person.get("/portal/account/sessions").await;
    assert!(person.page.text.matches("End it").count() >= 2, "{}", person.page.text);
    person.post("/portal/account/sessions", &[("do", "others")]).await;
    assert_eq!(person.page.text.matches("End it").count(), 0);
    assert!(!again.get("/portal").await.text.contains("Hello"));
}

#[tokio::test]
async fn an_application_is_added_by_data_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalogue.toml");
    let text = format!(
        "{}\n[[application]]\nid = \"epi\"\ntitle = \"ePI\"\nsummary = \"Product information.\"\n\n\
         [[access_role]]\nid = \"epi-reader\"\napplication = \"epi\"\ntitle = \"ePI Reader\"\nsummary = \"Reads.\"\n\
         organisation_categories = [\"industry\"]\nterms = \"privacy\"\napproval = {{ automatic = true }}\n",
        include_str!("../../../../config/catalogue.toml")
    );
    std::fs::write(&path, text).unwrap();
    let portal = Portal::with(|settings| settings.data.catalogue = Some(path)).await;
    let mut person = portal.signed_in("ana.silva@fable.example", &[]).await;
    let id = to_recap(&mut person, "epi", "ORG-100000001", &["epi-reader"]).await;
    assert!(submit(&mut person, &id).await.contains("Accept the terms"), "{}", person.page.text);
    person.post(&format!("/portal/requests/{id}/recap"), &[("terms", "yes"), ("do", "submit")]).await;
    assert!(person.page.text.contains("approved by the system at once"), "{}", person.page.text);
}

#[tokio::test]
async fn organisations_are_found_without_signing_in() {
    let portal = Portal::start().await;
    portal.authz.acts().import_organisations(
        Actor::Operator,
        "o.csv",
        "id,name,country,category,locations\nORG-100000009,Zed & Sons,DE,industry,LOC-100000091 LOC-100000092\n",
    ).await.unwrap();
    let mut person = portal.person();
    let page = person.get("/portal/organisations?q=zed&country=").await;
    for words in ["LOC-100000091", "LOC-100000092", "Zed &#38; Sons", "ORG-100000009"] {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    assert!(!person.get("/portal/organisations?q=zed&country=FR").await.text.contains("ORG-100000009"));
    assert!(person.get("/portal/organisations/ORG-100000301").await.text.contains("Ziekenhuis"));
    assert_eq!(person.get("/portal/organisations/ORG-999999999").await.status, 404);
}
