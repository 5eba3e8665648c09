//! API credentials through the portal: from the terms to the mail, rotation and renewal, who may look after a client.

use access_token::{ProofAlgorithm, testing::ClientSigner};
use authz_domain::Actor;
use authz_server::NewClient;
use config::MailTls;
use database::testing::TestDatabase;
use time::Duration;

use crate::{
    harness::{Answer, START, escaped, new_client},
    portal_mail::{MailServer, password},
    portal_visitor::{PASSWORD, Person, Portal},
};

const ADMIN: [(&str, Option<&str>); 1] = [("iris-industry-admin", Some("ORG-100000001"))];
const NCA_ADMIN: [(&str, Option<&str>); 1] = [("iris-nca-admin", Some("ORG-100000101"))];

/// A fact of a mail's text.
pub(crate) fn fact(text: &str, name: &str) -> String {
    let start = format!("{name}: ");
    let line = text.lines().find_map(|line| line.strip_prefix(&start));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
}

/// Accepts the terms; answers the path of the form.
pub(crate) async fn accept(person: &mut Person<'_>) -> String {
    person.get("/portal/api-access").await;
    person.post_only("/portal/api-access", &[("terms", "yes"), ("do", "next")]).await;
    assert_eq!(person.page.status, 303, "{}", person.page.text);
    let path = person.page.header("location").to_owned();
    person.get(&path).await;
    path
}

/// Asks for access for an organisation, with everything else as usual; answers the page that comes.
pub(crate) async fn ask<'p>(
    person: &'p mut Person<'_>,
    path: &str,
    organisation: &str,
    changes: &[(&'static str, &'static str)],
) -> &'p Answer {
    let mut fields = vec![
        ("application", "IRIS PLM"),
        ("organisation", organisation),
        ("contact", "api.team@medco.example"),
        ("role", "pms-industry-api"),
        ("label", "nightly export"),
        ("domain", "human"),
        ("domain", "veterinary"),
        ("access", "all"),
        ("scope", ""),
    ];
    fields.retain(|(one, _)| !changes.iter().any(|(name, _)| name == one));
    fields.extend(changes);
    person.post(path, &fields).await
}

/// The last mail with credentials to somebody, as client id and secret.
pub(crate) async fn mailed(portal: &Portal, to: &str) -> (String, String) {
    let mails = portal.mails(to).await;
    let texts = mails.iter().rev().map(|mail| mail["text"].as_str().unwrap());
    let text = texts
        .into_iter()
        .find(|text| text.contains("Client Secret: "))
        .unwrap_or_else(|| panic!("{mails:?}"));
    (fact(text, "Client Id"), fact(text, "Client Secret"))
}

pub(crate) async fn token(portal: &Portal, id: &str, secret: &str, scope: &str) -> Answer {
    let body = format!(
        "grant_type=client_credentials&client_id={id}&client_secret={secret}&scope={}",
        escaped(scope)
    );
    portal.authz.post("/oauth2/token", &body).await
}

/// The secret on a page that shows it.
pub(crate) fn secret_on(page: &Answer) -> String {
    let at = page.text.find("pms_").unwrap_or_else(|| panic!("{}", page.text));
    page.text[at..at + 53].to_owned()
}

#[tokio::test]
async fn an_admin_asks_and_the_mail_has_working_credentials_at_once() {
    for database in TestDatabase::each().await {
        let portal = Portal::on(database, |_| {}).await;
        let account = portal.account("ana.silva@medco.example", &ADMIN).await;
        let mut admin = portal.person();
        admin.sign_in("ana.silva@medco.example", PASSWORD).await;
        let page = admin.get("/portal/api-access").await;
        for words in [
            "EMA - API Approve ToC",
            "EMA API Terms and conditions",
            "User agreement",
            "Version 1.0",
            "Cancel",
            "Next",
        ] {
            assert!(page.text.contains(words), "{words}: {}", page.text);
        }
        let refused = admin.post("/portal/api-access", &[("do", "next")]).await;
        assert_eq!(refused.status, 422);
        assert!(refused.text.contains("Check the user agreement to go on."), "{}", refused.text);
        let cancelled = admin.post("/portal/api-access", &[("terms", "yes"), ("do", "cancel")]).await;
        assert!(cancelled.text.contains("<h1>Manage access</h1>"));

        let form = accept(&mut admin).await;
        assert!(admin.page.text.contains("ORG-100000001") && !admin.page.text.contains("ORG-100000002"));
        assert!(admin.page.text.contains("In case you cannot find your organisation in the list"));
        let tracked = ask(&mut admin, &form, "ORG-100000001", &[("qualified", "yes")]).await;
        assert!(
            tracked.text.contains("REQ-00000001") && tracked.text.contains("approved by the system at once")
        );
        assert!(tracked.text.contains("PMS API: PMS Industry API for ORG-100000001"), "{}", tracked.text);

        let mails = portal.mails("api.team@medco.example").await;
        assert_eq!(mails.len(), 1, "{mails:?}");
        let text = mails[0]["text"].as_str().unwrap();
        assert_eq!(fact(text, "Token URL"), "POST https://authz.example/oauth2/token");
        assert_eq!(fact(text, "Scope"), "api://pmsgate/pms/.default");
        assert_eq!(fact(text, "Expiration date"), "2028-03-05T12:34:56Z (03/05/2028 12:34:56)");
        assert!(fact(text, "Base paths").contains("https://authz.example/pms/api/v3"));
        assert!(
            text.contains("curl --cacert ca.pem -X POST")
                && text.contains("Rotate the client secret before the expiration date")
        );
        let (id, secret) = mailed(&portal, "api.team@medco.example").await;
        let granted = token(&portal, &id, &secret, "api://pmsgate/pms/.default").await;
        let claims = portal.authz.verified(&granted.access_token(), "api://pmsgate/pms").await;
        assert!(claims.qualified && claims.roles == ["PMS.Industry.API"]);
        assert_eq!(claims.org_id.unwrap().as_str(), "ORG-100000001");

        let subjects: Vec<String> = portal
            .mails("ana.silva@medco.example")
            .await
            .iter()
            .map(|mail| mail["subject"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(subjects, ["REQ-00000001: approved"]);
        let mut reader = portal.authz.database.database().read().await.unwrap();
        let kept =
            authz_store::access_requests::accepted_terms(&mut reader.db(), &account, "api").await.unwrap();
        assert_eq!(kept, [("1.0".to_owned(), START)]);
    }
}

#[tokio::test]
async fn sending_the_form_twice_makes_one_client_and_the_secret_is_nowhere_in_the_database() {
    let portal = Portal::start().await;
    let mut admin = portal.signed_in("ana.silva@medco.example", &ADMIN).await;
    let form = accept(&mut admin).await;
    let csrf = admin.page.text.clone();
    ask(&mut admin, &form, "ORG-100000001", &[]).await;
    admin.page.text = csrf;
    let again = ask(&mut admin, &form, "ORG-100000001", &[("label", "another name")]).await;
    assert!(again.text.contains("REQ-00000001") && !again.text.contains("REQ-00000002"), "{}", again.text);
    assert_eq!(portal.authz.acts().list_clients().await.unwrap().len(), 1);
    let (id, secret) = mailed(&portal, "api.team@medco.example").await;
    let page = admin.get(&format!("/portal/clients/{id}")).await.text.clone();
    assert!(page.contains(&secret[..8]) && !page.contains(&secret), "a hint and no more");
    let file = portal.authz.database.url().trim_start_matches("sqlite:").trim_start_matches("//").to_owned();
    for path in [file.clone(), format!("{file}-wal")] {
        let bytes = std::fs::read(&path).unwrap_or_default();
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{path} has the secret");
    }
    assert!(std::fs::metadata(&file).is_ok_and(|file| file.len() > 0), "{file} was looked at");
}

#[tokio::test]
async fn what_does_not_fit_is_refused_beside_its_field() {
    let portal = Portal::start().await;
    let mut admin = portal.signed_in("ana.silva@medco.example", &ADMIN).await;
    let form = accept(&mut admin).await;
    let cases: [(&'static str, &'static str, &str); 12] = [
        ("organisation", "ORG-100000002", "You are no Admin of this organisation"),
        ("organisation", "", "Choose your organisation."),
        ("role", "pms-nca-api", "PMS NCA API is not for ORG-100000001: it is of category industry."),
        ("role", "public-pms-api-x", "Choose the API role."),
        ("contact", "info@medco.example", "generic mailbox"),
        ("contact", "ana.silva@gmail.com", "personal mail providers"),
        ("contact", "nobody", "Enter an e-mail address"),
        ("scope", "system/*.zz", "neither api://pmsgate/pms/.default nor a list of SMART scopes"),
        ("access", "scope", "Write the scope, such as"),
        ("access", "", "Choose what the client may do."),
        ("domain", "", "Choose at least one: a client that sees no domain sees nothing."),
        ("application", "another", "Choose the application."),
    ];
    for (field, value, words) in cases {
        let organisation = if field == "organisation" { value } else { "ORG-100000001" };
        let changes = match field {
            "organisation" => vec![],
            "scope" => vec![("access", "scope"), ("scope", value)],
            _ => vec![(field, value)],
        };
        let page = ask(&mut admin, &form, organisation, &changes).await;
        assert_eq!(page.status, 422, "{field} {value}");
        assert!(page.text.contains(words), "{field} {value}: {}", page.text);
        assert!(page.text.contains("value=\"nightly export\""), "what was typed is kept");
    }
    let contradicts = [("access", "read"), ("scope", "system/*.cruds")];
    let page = ask(&mut admin, &form, "ORG-100000001", &contradicts).await;
    assert!(page.status == 422 && page.text.contains("Leave this empty, or choose above"), "{}", page.text);
    // Empty boxes stay empty.
    let page = ask(&mut admin, &form, "ORG-100000001", &[("domain", "")]).await;
    let ticked = |text: &str, value: &str| {
        let input = text.split("<input").find(|input| input.contains(&format!("value=\"{value}\"")));
        input.unwrap_or_else(|| panic!("no {value}: {text}")).split('>').next().unwrap().contains("checked")
    };
    assert!(!ticked(&page.text, "human") && ticked(&page.text, "all"), "{}", page.text);
    assert!(portal.authz.acts().list_clients().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_client_gets_the_domains_and_the_scope_that_were_chosen_and_no_more() {
    for database in TestDatabase::each().await {
        let portal = Portal::on(database, |_| {}).await;
        let mut admin = portal.signed_in("nora.berg@authority.example", &NCA_ADMIN).await;
        let everything = ["human".to_owned(), "veterinary".to_owned()];
        let products = "system/MedicinalProductDefinition.rs";
        let cases = [
            (vec![], &everything[..], "system/*.cruds"),
            (vec![("domain", "veterinary"), ("access", "read")], &everything[1..], "system/*.rs"),
            (vec![("domain", "human")], &everything[..1], "system/*.cruds"),
            (vec![("access", "scope"), ("scope", products)], &everything[..], products),
        ];
        for (number, (mut changes, domains, scope)) in cases.into_iter().enumerate() {
            let form = accept(&mut admin).await;
            changes.push(("role", "pms-nca-api"));
            let page = ask(&mut admin, &form, "ORG-100000101", &changes).await;
            assert!(page.text.contains(&format!("REQ-0000000{}", number + 1)), "{}", page.text);
            let (id, secret) = mailed(&portal, "api.team@medco.example").await;
            let granted = token(&portal, &id, &secret, "api://pmsgate/pms/.default").await;
            let claims = portal.authz.verified(&granted.access_token(), "api://pmsgate/pms").await;
            let held: Vec<String> = claims.domains.iter().map(|one| one.as_str().to_owned()).collect();
            assert_eq!((held.as_slice(), claims.scope.as_str()), (domains, scope));
            let page = admin.get(&format!("/portal/clients/{id}")).await;
            assert!(page.text.contains(&domains.join(", ")) && page.text.contains(scope), "{}", page.text);
        }
    }
}

#[tokio::test]
async fn a_third_secret_asks_before_it_ends_the_oldest_and_says_that_it_did() {
    let portal = Portal::start().await;
    let mut admin = portal.signed_in("ana.silva@medco.example", &ADMIN).await;
    let form = accept(&mut admin).await;
    ask(&mut admin, &form, "ORG-100000001", &[]).await;
    let (id, first) = mailed(&portal, "api.team@medco.example").await;
    let (scope, path) = ("api://pmsgate/pms/.default", format!("/portal/clients/{id}/rotate"));
    // Two work: nothing is asked, nothing ended.
    let page = admin.get(&path).await;
    assert!(!page.text.contains("Two secrets work at present"), "{}", page.text);
    let newest = admin.hidden("newest");
    let second = admin.post_only(&path, &[("newest", &newest), ("to", "page")]).await;
    assert!(!second.text.contains("Ended just now"), "{}", second.text);
    let second = secret_on(second);
    // The third is asked about.
    portal.authz.clock.advance(Duration::minutes(1));
    let page = admin.get(&path).await;
    assert!(page.text.contains(&format!("The older one, {}…, ends at once", &first[..8])), "{}", page.text);
    let newest = admin.hidden("newest");
    let refused = admin.post(&path, &[("newest", &newest), ("to", "mail")]).await;
    assert!(refused.status == 422 && refused.text.contains("Confirm it"), "{}", refused.text);
    assert!(refused.text.contains("value=\"mail\" checked"), "what was chosen is kept: {}", refused.text);
    assert_eq!(token(&portal, &id, &first, scope).await.status, 200);
    let third = admin.post_only(&path, &[("newest", &newest), ("to", "page"), ("sure", "yes")]).await;
    let words = format!("<dt>Ended just now</dt><dd>{}…</dd>", &first[..8]);
    assert!(third.text.replace('\n', "").contains(&words), "{}", third.text);
    let third = secret_on(third);
    assert!(token(&portal, &id, &first, scope).await.description().contains("was replaced and retired"));
    // By the Service-Desk form; the mail says it, too.
    portal.authz.clock.advance(Duration::minutes(1));
    admin.get("/portal/api-services").await;
    let request = admin.hidden("request");
    let fields = [
        ("request", request.as_str()),
        ("role", "renew-pms"),
        ("environment", "Sandbox"),
        ("client", id.as_str()),
    ];
    let refused = admin.post("/portal/api-services", &fields).await;
    assert!(refused.status == 422, "{}", refused.text);
    assert!(refused.text.contains(&format!("Confirm that {}… may end", &second[..8])), "{}", refused.text);
    let tracked = admin.post("/portal/api-services", &[&fields[..], &[("sure", "yes")]].concat()).await;
    assert!(tracked.text.contains("REQ-00000002"), "{}", tracked.text);
    let (_, fourth) = mailed(&portal, "api.team@medco.example").await;
    let mails = portal.mails("api.team@medco.example").await;
    let text = mails.last().unwrap()["text"].as_str().unwrap();
    assert_eq!(fact(text, "Older secret that ended"), format!("{}…", &second[..8]));
    for (secret, status) in [(&second, 401), (&third, 200), (&fourth, 200)] {
        assert_eq!(token(&portal, &id, secret, scope).await.status, status);
    }
    // On the command line, without questions.
    let issued = portal.authz.acts().rotate_secret(Actor::Operator, &id, false).await.unwrap();
    assert_eq!(issued.ended.iter().map(|one| one.hint.as_str()).collect::<Vec<_>>(), [&third[..8]]);
}

#[tokio::test]
async fn an_authority_gets_its_role_and_an_organisation_has_so_many_clients_and_no_more() {
    let portal = Portal::with(|settings| settings.credentials.clients_per_organisation = 2).await;
    let mut admin = portal.signed_in("nora.berg@authority.example", &NCA_ADMIN).await;
    let nca = [("role", "pms-nca-api")];
    for number in 1..=2 {
        let form = accept(&mut admin).await;
        let page = ask(&mut admin, &form, "ORG-100000101", &nca).await;
        assert!(page.text.contains(&format!("REQ-0000000{number}")), "{}", page.text);
    }
    let form = accept(&mut admin).await;
    let refused = ask(&mut admin, &form, "ORG-100000101", &nca).await;
    assert!(refused.text.contains("has 2 clients already"), "{}", refused.text);
    let industry = ask(&mut admin, &form, "ORG-100000101", &[]).await;
    assert!(industry.text.contains("PMS Industry API is not for ORG-100000101"), "{}", industry.text);
    for view in portal.authz.acts().list_clients().await.unwrap() {
        assert_eq!(view.client.role, "pms-nca-api");
    }
}

#[tokio::test]
async fn a_member_who_is_no_admin_is_told_who_the_admins_are() {
    let portal = Portal::start().await;
    portal.signed_in("ana.silva@medco.example", &ADMIN).await;
    let mut member =
        portal.signed_in("ben.okoye@medco.example", &[("pui-user", Some("ORG-100000001"))]).await;
    let page = member.get("/portal/api-access").await;
    assert!(page.text.contains("You are no Admin") && page.text.contains("Its Admins are:"), "{}", page.text);
    assert!(page.text.contains("<li>Ana Silva</li>"), "{}", page.text);
    assert!(!page.text.contains("User agreement"));
    let mut stranger = portal.signed_in("carl.roe@other.example", &[]).await;
    let page = stranger.get("/portal/api-access").await;
    assert!(!page.text.contains("Ana Silva") && page.text.contains("Request Public API access PMS"));
}

#[tokio::test]
async fn public_access_needs_the_terms_only_and_each_account_has_one_client() {
    for database in TestDatabase::each().await {
        let portal = Portal::on(database, |_| {}).await;
        let mut person = portal.signed_in("carl.roe@reader.example", &[]).await;
        person.get("/portal/public-api-access").await;
        let refused = person.post("/portal/public-api-access", &[]).await;
        assert_eq!(refused.status, 422);
        let tracked = person.post("/portal/public-api-access", &[("terms", "yes")]).await;
        assert!(tracked.text.contains("Public PMS API"), "{}", tracked.text);
        let (id, secret) = mailed(&portal, "carl.roe@reader.example").await;
        let granted = token(&portal, &id, &secret, "api://pmsgate/public/.default").await;
        portal.authz.verified(&granted.access_token(), "api://pmsgate/public").await;
        person.get("/portal/public-api-access").await;
        let second = person.post("/portal/public-api-access", &[("terms", "yes")]).await;
        assert!(second.text.contains("You have a public client already"), "{}", second.text);
        // After the client is revoked there may be another one.
        portal.authz.acts().revoke_client(Actor::Operator, &id).await.unwrap();
        let third = person.post("/portal/public-api-access", &[("terms", "yes")]).await;
        assert!(third.text.contains("REQ-00000002"), "{}", third.text);
    }
}

#[tokio::test]
async fn rotation_shows_the_successor_once_and_the_old_one_retires_by_itself() {
    let portal = Portal::start().await;
    let mut admin = portal.signed_in("ana.silva@medco.example", &ADMIN).await;
    let form = accept(&mut admin).await;
    ask(&mut admin, &form, "ORG-100000001", &[]).await;
    let (id, old) = mailed(&portal, "api.team@medco.example").await;
    let (scope, path) = ("api://pmsgate/pms/.default", format!("/portal/clients/{id}"));
    assert_eq!(token(&portal, &id, &old, scope).await.status, 200);
    portal.authz.authz.write_down_uses().await.unwrap();

    let page = admin.get(&format!("{path}/rotate")).await;
    assert!(page.text.contains("works beside it for 30 days"), "{}", page.text);
    let newest = admin.hidden("newest");
    let before = admin.page.text.clone();
    let shown = admin.post_only(&format!("{path}/rotate"), &[("newest", &newest), ("to", "page")]).await;
    assert_eq!((shown.status.as_u16(), shown.header("cache-control")), (200, "no-store"));
    let new = secret_on(shown);
    assert!(shown.text.contains("2028-03-05T12:34:56Z"), "{}", shown.text);
    assert_ne!(new, old);
    // The same form again: nothing is made.
    admin.page.text = before;
    let again = admin.post(&format!("{path}/rotate"), &[("newest", &newest), ("to", "page")]).await;
    assert_eq!(again.status, 409);
    assert!(again.text.contains("a new secret was made meanwhile") && !again.text.contains(&new));
    for secret in [&old, &new] {
        assert_eq!(token(&portal, &id, secret, scope).await.status, 200);
    }
    // The successor is in use: that is told, once.
    portal.authz.authz.write_down_uses().await.unwrap();
    token(&portal, &id, &new, scope).await;
    portal.authz.authz.write_down_uses().await.unwrap();
    let told: Vec<_> = portal
        .mails("api.team@medco.example")
        .await
        .into_iter()
        .filter(|mail| mail["subject"].as_str().unwrap().contains("you may drop the old one"))
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
    let text = told[0]["text"].as_str().unwrap();
    assert_eq!(fact(text, "Old secret"), old[..8]);
    assert_eq!(fact(text, "The old secret ends by itself"), "2026-04-04T12:34:56Z");

    let page = admin.get(&path).await;
    assert!(page.text.contains("retiring") && page.text.contains(&old[..8]) && page.text.contains(&new[..8]));
    portal.authz.clock.advance(Duration::days(30));
    let refused = token(&portal, &id, &old, scope).await;
    assert!(refused.description().contains("was replaced and retired"), "{}", refused.text);
    assert_eq!(token(&portal, &id, &new, scope).await.status, 200);
}

#[tokio::test]
async fn the_service_desk_form_renews_by_mail_at_once_or_after_a_decision() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = include_str!("../../../../config/catalogue.toml");
    let reviewed = folder.path().join("catalogue.toml");
    let (before, after) = catalogue.split_once("id = \"renew-pms\"").unwrap();
    std::fs::write(
        &reviewed,
        format!("{before}id = \"renew-pms\"{}", after.replacen("{ automatic = true }", "{}", 1)),
    )
    .unwrap();
    for decided in [false, true] {
        let reviewed = reviewed.clone();
        let portal = Portal::with(|settings| {
            if decided {
                settings.data.catalogue = Some(reviewed);
            }
        })
        .await;
        let mut admin = portal.signed_in("ana.silva@medco.example", &ADMIN).await;
        let form = accept(&mut admin).await;
        ask(&mut admin, &form, "ORG-100000001", &[]).await;
        let (id, old) = mailed(&portal, "api.team@medco.example").await;
        admin.get("/portal/api-services").await;
        let request = admin.hidden("request");
        let page = admin.page.text.clone();
        let send = |role: &'static str, environment: &'static str| {
            [
                ("request", request.clone()),
                ("role", role.to_owned()),
                ("environment", environment.to_owned()),
                ("client", id.clone()),
            ]
        };
        for (role, environment, words) in [
            ("renew-public-pms", "Sandbox", "renewed with the type PMS"),
            ("renew-pms", "Public sandbox", "of the environment Sandbox"),
        ] {
            let fields = send(role, environment);
            let fields: Vec<(&str, &str)> =
                fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let refused = admin.post("/portal/api-services", &fields).await;
            assert!(refused.status == 422 && refused.text.contains(words), "{}", refused.text);
        }
        for _ in 0..2 {
            let fields = send("renew-pms", "Sandbox");
            let fields: Vec<(&str, &str)> =
                fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            admin.page.text.clone_from(&page);
            let tracked = admin.post("/portal/api-services", &fields).await;
            assert!(tracked.text.contains("REQ-00000002"), "{}", tracked.text);
            assert!(tracked.text.contains("Request SPOR API Services: PMS for ORG-100000001"));
        }
        if decided {
            assert_eq!(mailed(&portal, "api.team@medco.example").await.1, old, "nobody decided yet");
            let mut agency = portal.agency("grace.hall@agency.example").await;
            agency.get("/portal/review").await;
            let key =
                crate::portal_visitor::after(&agency.page.text, "href=\"/portal/review/").unwrap().to_owned();
            let page = agency.get(&format!("/portal/review/{key}")).await;
            assert!(page.text.contains(&id) && page.text.contains("Sandbox"), "which client: {}", page.text);
            agency.post(&format!("/portal/review/{key}"), &[("do", "approve"), ("reason", "")]).await;
            assert!(agency.page.text.contains("Approved"), "{}", agency.page.text);
        }
        let (same, new) = mailed(&portal, "api.team@medco.example").await;
        assert!(same == id && new != old);
        for secret in [&old, &new] {
            assert_eq!(token(&portal, &id, secret, "api://pmsgate/pms/.default").await.status, 200);
        }
        let secrets = portal.authz.acts().show_client(&id).await.unwrap().secrets.len();
        assert_eq!(secrets, 2, "sent twice, made once");
    }
}

#[tokio::test]
async fn renewal_after_the_end_is_refused_only_where_so_configured() {
    for allowed in [true, false] {
        let portal = Portal::with(|settings| settings.credentials.renewal_after_expiry = allowed).await;
        let mut admin = portal.signed_in("ana.silva@medco.example", &ADMIN).await;
        let form = accept(&mut admin).await;
        ask(&mut admin, &form, "ORG-100000001", &[]).await;
        let (id, _) = mailed(&portal, "api.team@medco.example").await;
        portal.authz.clock.advance(Duration::days(731));
        let mut admin = portal.person();
        admin.sign_in("ana.silva@medco.example", PASSWORD).await;
        admin.get("/portal/api-services").await;
        let request = admin.hidden("request");
        let fields = [
            ("request", request.as_str()),
            ("role", "renew-pms"),
            ("environment", "Sandbox"),
            ("client", &id),
        ];
        let page = admin.post("/portal/api-services", &fields).await;
        assert_eq!(page.text.contains("REQ-00000002"), allowed, "{}", page.text);
        assert_eq!(page.text.contains("cannot be renewed here any more"), !allowed, "{}", page.text);
        admin.get(&format!("/portal/clients/{id}/rotate")).await;
        let newest = admin.hidden("newest");
        let page =
            admin.post(&format!("/portal/clients/{id}/rotate"), &[("newest", &newest), ("to", "page")]).await;
        assert_eq!(page.status.as_u16(), if allowed { 200 } else { 409 }, "{}", page.text);
        portal.authz.acts().rotate_secret(Actor::Operator, &id, false).await.unwrap();
    }
}

#[tokio::test]
async fn a_mailed_link_shows_the_secret_once_to_who_presses_the_button() {
    for database in TestDatabase::each().await {
        let portal = Portal::on(database, |settings| {
            settings.credentials.delivery = config::Delivery::OneTimeLink;
        })
        .await;
        let mut admin = portal.signed_in("ana.silva@medco.example", &ADMIN).await;
        let form = accept(&mut admin).await;
        ask(&mut admin, &form, "ORG-100000001", &[]).await;
        let mails = portal.mails("api.team@medco.example").await;
        let text = mails[0]["text"].as_str().unwrap();
        assert!(!text.contains("pms_"), "{text}");
        assert_eq!(fact(text, "Works until"), "2026-03-12T12:34:56Z");
        let id = fact(text, "Client Id");
        let url = text.lines().find(|line| line.contains("/portal/credentials?t=")).unwrap();
        let path = url.strip_prefix("https://authz.example").unwrap().to_owned();
        assert!(portal.authz.acts().show_client(&id).await.unwrap().secrets.is_empty(), "not made yet");

        // Programs that look at links in mails, and people who look twice.
        let mut contact = portal.person();
        for _ in 0..3 {
            let page = contact.get(&path).await;
            assert!(page.status == 200 && page.text.contains("Show the client secret"), "{}", page.text);
            assert!(!page.text.contains("pms_"));
        }
        assert!(portal.authz.acts().show_client(&id).await.unwrap().secrets.is_empty());
        // Without the hash of the page, and guessed.
        let t = contact.hidden("t");
        let bare = portal.authz.post("/portal/credentials", &format!("t={t}")).await;
        assert_eq!(bare.status, 403);
        let guessed = contact.post("/portal/credentials", &[("t", &"0".repeat(64))]).await;
        assert_eq!(guessed.status, 404);
        contact.get(&path).await;
        let shown = contact.post("/portal/credentials", &[("t", &t)]).await;
        let secret = secret_on(shown);
        assert_eq!(shown.header("cache-control"), "no-store");
        assert_eq!(token(&portal, &id, &secret, "api://pmsgate/pms/.default").await.status, 200);
        // Replayed.
        let csrf_page = contact.get("/portal/sign-in").await.text.clone();
        let replayed = contact.post("/portal/credentials", &[("t", &t)]).await;
        assert!(replayed.status == 404 && !replayed.text.contains("pms_"), "{csrf_page}");
        assert_eq!(contact.get(&path).await.status, 404);

        // A renewal's link works for seven days; the newest only.
        let mut links = Vec::new();
        for number in 1..=2 {
            admin.get(&format!("/portal/clients/{id}/rotate")).await;
            let newest = admin.hidden("newest");
            let fields = [("newest", newest.as_str()), ("to", "mail")];
            admin.post(&format!("/portal/clients/{id}/rotate"), &fields).await;
            let mails = portal.mails("api.team@medco.example").await;
            let text = mails[number]["text"].as_str().unwrap();
            let line = text.lines().find(|line| line.contains("/portal/credentials?t=")).unwrap();
            links.push(line.strip_prefix("https://authz.example").unwrap().to_owned());
        }
        let (earlier, latest) = (&links[0], &links[1]);
        assert_eq!(contact.get(earlier).await.status, 404);
        assert_eq!(contact.get(latest).await.status, 200);
        portal.authz.clock.advance(Duration::days(7));
        assert_eq!(contact.get(latest).await.status, 404);
        assert!(portal.authz.clock.now() > START);
    }
}

#[tokio::test]
async fn a_client_s_page_is_for_its_admins_and_its_owner() {
    let portal = Portal::start().await;
    let mut admin = portal.signed_in("ana.silva@medco.example", &ADMIN).await;
    let form = accept(&mut admin).await;
    ask(&mut admin, &form, "ORG-100000001", &[]).await;
    let (id, secret) = mailed(&portal, "api.team@medco.example").await;
    let path = format!("/portal/clients/{id}");
    let page = admin.get(&path).await.text.clone();
    for words in [
        "nightly export",
        "active",
        &id,
        "PMS_CLIENT_SECRET=",
        "client_credentials",
        "import requests",
        "client.rotate",
        "/api/v1/client/secrets",
        "api.team@medco.example",
        "Suspend",
    ] {
        assert!(page.contains(words), "{words}");
    }
    let mut others = vec![
        portal
            .signed_in("dora.lind@nordlicht.example", &[("iris-industry-admin", Some("ORG-100000002"))])
            .await,
        portal.signed_in("ben.okoye@medco.example", &[("pui-qualified", Some("ORG-100000001"))]).await,
        portal.signed_in("nora.berg@authority.example", &NCA_ADMIN).await,
    ];
    for other in &mut others {
        for page in ["", "/rotate", "/keys", "/end"] {
            assert_eq!(other.get(&format!("{path}{page}")).await.status, 404);
        }
        other.get("/portal/access").await;
        for (page, fields) in [
            ("", vec![("label", "x"), ("contact", "a.b@evil.example")]),
            ("/status", vec![("do", "suspend")]),
            ("/rotate", vec![("newest", ""), ("to", "page"), ("immediately", "yes")]),
            ("/keys", vec![("what", "jwks_uri"), ("text", "https://evil.example/jwks")]),
            ("/end", vec![("do", "revoke"), ("secret", "")]),
        ] {
            other.get("/portal/access").await;
            assert_eq!(other.post(&format!("{path}{page}"), &fields).await.status, 404, "{page}");
        }
        other.get("/portal/api-services").await;
        let request = uuid_like();
        let fields = [
            ("request", request.as_str()),
            ("role", "renew-pms"),
            ("environment", "Sandbox"),
            ("client", &id),
        ];
        other.get("/portal/access").await;
        let page = other.post("/portal/api-services", &fields).await;
        assert!(
            !page.text.contains("was submitted") && !page.text.contains("nightly export"),
            "{}",
            page.text
        );
    }
    let mut nobody = portal.person();
    assert_eq!(nobody.get(&path).await.status, 303);
    // A form without its hash, and one of another session.
    let bare = portal.authz.post(&format!("{path}/status"), "do=suspend").await;
    assert_eq!(bare.status, 403);
    let foreign = others[0].csrf();
    admin.get(&path).await;
    let forged = http::Request::post(format!("{path}/status"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(axum::body::Body::from(format!("csrf={foreign}&do=suspend")))
        .unwrap();
    assert_eq!(admin.send(forged).await.status, 403);
    assert_eq!(
        token(&portal, &id, &secret, "api://pmsgate/pms/.default").await.status,
        200,
        "nothing was done"
    );
}

fn uuid_like() -> String {
    "3f0c8a52-6a44-4f6e-9b32-0c8e7a4d1b11".to_owned()
}

#[tokio::test]
async fn an_admin_renames_suspends_resumes_and_revokes() {
    let portal = Portal::start().await;
    let mut admin = portal.signed_in("ana.silva@medco.example", &ADMIN).await;
    let form = accept(&mut admin).await;
    ask(&mut admin, &form, "ORG-100000001", &[]).await;
    let (id, secret) = mailed(&portal, "api.team@medco.example").await;
    let (path, scope) = (format!("/portal/clients/{id}"), "api://pmsgate/pms/.default");
    admin.get(&path).await;
    let wrong = admin.post(&path, &[("label", "x"), ("contact", "info@medco.example")]).await;
    assert!(wrong.status == 422 && wrong.text.contains("generic mailbox"), "{}", wrong.text);
    let saved = admin.post(&path, &[("label", "ERP <link>"), ("contact", "erp.team@medco.example")]).await;
    assert!(
        saved.text.contains("ERP &#60;link&#62;") && saved.text.contains("erp.team@medco.example"),
        "{}",
        saved.text
    );
    let long = "x".repeat(1001);
    let refused = admin.post(&format!("{path}/status"), &[("do", "suspend"), ("reason", &long)]).await;
    assert!(
        refused.status == 422 && refused.text.contains("Use at most 1000 characters"),
        "{}",
        refused.text
    );
    admin.post(&format!("{path}/status"), &[("do", "suspend"), ("reason", "moving <house>")]).await;
    assert!(token(&portal, &id, &secret, scope).await.description().contains("suspended"));
    admin.post(&format!("{path}/status"), &[("do", "next")]).await;
    assert_eq!(token(&portal, &id, &secret, scope).await.status, 200);
    // One secret.
    let secret_id = portal.authz.acts().show_client(&id).await.unwrap().secrets[0].secret.id.to_string();
    let confirm = admin.get(&format!("{path}/end?secret={secret_id}")).await;
    assert!(confirm.text.contains("cannot be taken back"), "{}", confirm.text);
    admin.post(&format!("{path}/end"), &[("secret", &secret_id), ("do", "cancel")]).await;
    assert_eq!(token(&portal, &id, &secret, scope).await.status, 200);
    let fields = [("secret", secret_id.as_str()), ("do", "revoke"), ("reason", "it was in a mail")];
    admin.post(&format!("{path}/end"), &fields).await;
    assert!(token(&portal, &id, &secret, scope).await.description().contains("revoked"));
    // The client.
    admin.get(&format!("{path}/end")).await;
    let gone = admin.post(&format!("{path}/end"), &[("secret", ""), ("do", "revoke")]).await;
    assert!(gone.text.contains("This client was revoked"), "{}", gone.text);
    assert_eq!(admin.get(&format!("{path}/rotate")).await.status, 409);
    // Why is in the trail, for those who said it.
    let mut agency = portal.agency("grace.hall@agency.example").await;
    for (act, why) in [
        ("client.suspended", "reason: moving &#60;house&#62;"),
        ("secret.revoked", "reason: it was in a mail"),
    ] {
        let page = agency.get(&format!("/portal/audit?act={act}")).await;
        assert!(page.text.contains(why), "{act}: {}", page.text);
    }
    assert!(!agency.get("/portal/audit?act=client.revoked").await.text.contains("reason:"));
}

#[tokio::test]
async fn the_mail_goes_over_a_real_conversation_with_both_parts_and_the_outbox_forgets_it() {
    let (folder, file) = password("hush\n");
    let server = MailServer::start(MailTls::Starttls, 0, folder.path()).await;
    let portal = Portal::with(|settings| server.configure(settings, MailTls::Starttls, &file)).await;
    let mut admin = portal.signed_in("ana.silva@medco.example", &ADMIN).await;
    let form = accept(&mut admin).await;
    ask(&mut admin, &form, "ORG-100000001", &[]).await;
    let id = portal.authz.acts().list_clients().await.unwrap()[0].client.id.to_string();
    portal.authz.authz.deliver_messages().await;
    let taken = server.taken();
    let mail = taken.iter().find(|mail| mail.contains("Subject: Your API credentials")).unwrap();
    // Quoted-printable (RFC 2045 §6.7): soft line breaks, and `=3D` for the equals sign.
    let mail = mail.replace("=\r\n", "").replace("=3D", "=");
    assert!(mail.contains("multipart/alternative") && mail.contains("To: api.team@medco.example"), "{mail}");
    let at = mail.find("Client Secret: pms_").unwrap() + "Client Secret: ".len();
    let secret = &mail[at..at + 53];
    assert_eq!(mail.matches(secret).count(), 2, "in the text and in the HTML");
    assert_eq!(token(&portal, &id, secret, "api://pmsgate/pms/.default").await.status, 200);
    let mut work = portal.authz.database.database().begin().await.unwrap();
    let later = portal.authz.clock.now() + Duration::days(1);
    let left = authz_store::outbox::claim_due(&mut work.db(), later, Duration::SECOND).await.unwrap();
    assert_eq!(left, None, "wiped when sent");
}

#[tokio::test]
async fn the_owner_of_a_public_client_rotates_it_and_renews_it_by_the_service_desk_form() {
    let portal = Portal::start().await;
    let mut owner = portal.signed_in("carl.roe@reader.example", &[]).await;
    owner.get("/portal/public-api-access").await;
    owner.post("/portal/public-api-access", &[("terms", "yes")]).await;
    let (id, first) = mailed(&portal, "carl.roe@reader.example").await;
    let (path, scope) = (format!("/portal/clients/{id}/rotate"), "api://pmsgate/public/.default");
    owner.get(&path).await;
    let newest = owner.hidden("newest");
    let second = secret_on(owner.post_only(&path, &[("newest", &newest), ("to", "page")]).await);
    portal.authz.clock.advance(Duration::days(31));
    owner.sign_in("carl.roe@reader.example", PASSWORD).await;
    owner.get("/portal/api-services").await;
    let request = owner.hidden("request");
    let fields = [
        ("request", request.as_str()),
        ("role", "renew-public-pms"),
        ("environment", "Public sandbox"),
        ("client", &id),
    ];
    let tracked = owner.post("/portal/api-services", &fields).await;
    assert!(tracked.text.contains("REQ-00000002") && tracked.text.contains("Public PMS"), "{}", tracked.text);
    let (same, third) = mailed(&portal, "carl.roe@reader.example").await;
    assert_eq!(same, id);
    for (secret, status) in [(first, 401), (second, 200), (third, 200)] {
        assert_eq!(token(&portal, &id, &secret, scope).await.status, status);
    }
    let mut other = portal.signed_in("dora.lind@reader.example", &[]).await;
    assert!(
        other
            .get("/portal/api-services")
            .await
            .text
            .contains("You look after no API client that has a secret.")
    );
}

#[tokio::test]
async fn a_secret_lives_as_long_as_configured_to_the_second() {
    let portal = Portal::with(|settings| settings.credentials.lifetime = config::Lifetime::Days(90)).await;
    let issued = portal.authz.industry_client().await;
    let (id, secret) = (issued.client_id.as_str(), issued.client_secret.expose());
    let scope = "api://pmsgate/pms/.default";
    portal.authz.clock.advance(Duration::days(90) - Duration::SECOND);
    let last = token(&portal, id, secret, scope).await;
    assert_eq!((last.status.as_u16(), last.json()["expires_in"].as_i64()), (200, Some(1)));
    portal.authz.clock.advance(Duration::SECOND);
    let refused = token(&portal, id, secret, scope).await;
    assert!(refused.description().contains("2026-06-03T12:34:56Z"), "{}", refused.text);
    // A stranger learns nothing of it.
    let stranger = token(&portal, id, &format!("{}x", &secret[..52]), scope).await;
    assert!(!stranger.description().contains("expired"), "{}", stranger.text);
}

#[tokio::test]
async fn an_admin_registers_keys_and_what_is_wrong_stands_beside_the_field() {
    let portal = Portal::start().await;
    let mut admin = portal.signed_in("ana.silva@medco.example", &ADMIN).await;
    let form = accept(&mut admin).await;
    ask(&mut admin, &form, "ORG-100000001", &[]).await;
    let (id, secret) = mailed(&portal, "api.team@medco.example").await;
    let path = format!("/portal/clients/{id}/keys");
    let signer = ClientSigner::generate(ProofAlgorithm::Es256);
    let keys = serde_json::to_string(&signer.jwk(Some("portal-key"))).unwrap();
    for (what, text, words) in [
        ("jwks", "{}", "no JWK Set"),
        ("jwks", "[1]", "no JWK Set"),
        ("jwks_uri", "http://client.example/jwks", "https://"),
        ("certificate", "x", "no X.509 certificate"),
        ("", keys.as_str(), "Choose one."),
    ] {
        admin.get(&path).await;
        admin.post_only(&path, &[("what", what), ("text", text)]).await;
        assert!(admin.page.text.contains(words), "{what} {text}: {}", admin.page.text);
    }
    let body = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    assert_eq!(portal.authz.post("/oauth2/token", &body).await.status, 200);
    admin.get(&path).await;
    admin.post_only(&path, &[("what", "jwks"), ("text", &keys)]).await;
    assert_eq!(admin.page.status, 303, "{}", admin.page.text);
    let page = admin.get(&format!("/portal/clients/{id}")).await.text.clone();
    assert!(page.contains("client key portal-key") && page.contains("Authenticates by"), "{page}");
    assert_eq!(portal.authz.post("/oauth2/token", &body).await.status, 401);
    assert!(
        portal
            .authz
            .trail_of(&id)
            .await
            .iter()
            .any(|(act, who)| act == "proof.registered" && who.starts_with("account"))
    );
    // A rotation would lead back to a secret: it says so.
    admin.get(&format!("/portal/clients/{id}/rotate")).await;
    let view = portal.authz.acts().show_client(&id).await.unwrap();
    let newest = view.secrets[0].secret.id.to_string();
    let fields = [("newest", newest.as_str()), ("to", "page")];
    admin.post_only(&format!("/portal/clients/{id}/rotate"), &fields).await;
    assert_eq!(admin.page.status, 409, "{}", admin.page.text);
}

#[tokio::test]
async fn a_role_that_the_form_does_not_offer_is_refused_beside_its_field() {
    let portal = Portal::start().await;
    let mut admin = portal.signed_in("ana.silva@medco.example", &ADMIN).await;
    let form = accept(&mut admin).await;
    for organisation in ["ORG-100000001", ""] {
        for role in ["public-pms-api", "iris-industry-admin", "nothing", ""] {
            let refused = ask(&mut admin, &form, organisation, &[("role", role)]).await;
            assert_eq!(refused.status, 422, "{role} {organisation}: {}", refused.text);
            assert!(refused.text.contains("id=\"f-role-error\""), "{role} {organisation}: {}", refused.text);
            assert!(refused.text.contains("Choose the API role."), "{role} {organisation}: {}", refused.text);
        }
    }
    assert!(ask(&mut admin, &form, "ORG-100000001", &[]).await.text.contains("Track my requests"));
}

#[tokio::test]
async fn a_reason_that_cannot_be_kept_is_refused_beside_its_field() {
    let portal = Portal::start().await;
    let mut admin = portal.signed_in("ana.silva@medco.example", &ADMIN).await;
    let form = accept(&mut admin).await;
    ask(&mut admin, &form, "ORG-100000001", &[]).await;
    let (id, _) = mailed(&portal, "api.team@medco.example").await;
    for (path, fields) in [
        ("status", &[("do", "suspend"), ("reason", "gone\u{1}")][..]),
        ("rotate", &[("to", "page"), ("reason", "gone\u{1}")]),
        ("keys", &[("what", "jwks"), ("text", "{}"), ("reason", "gone\u{1}")]),
        ("end", &[("do", "revoke"), ("reason", "gone\u{1}")]),
    ] {
        admin.get(&format!("/portal/clients/{id}")).await;
        let refused = admin.post_only(&format!("/portal/clients/{id}/{path}"), fields).await;
        assert_eq!(refused.status, 422, "{path}: {}", refused.text);
        assert!(refused.text.contains("id=\"f-reason-error\""), "{path}: {}", refused.text);
    }
}

#[tokio::test]
async fn a_secret_is_mailed_to_a_contact_that_is_named_and_to_nobody_else() {
    let portal = Portal::start().await;
    let mut admin = portal.signed_in("ana.silva@medco.example", &ADMIN).await;
    let made = NewClient { contact: None, ..new_client() };
    let id = portal.authz.acts().create_client(Actor::Operator, made).await.unwrap().client_id.to_string();
    let path = format!("/portal/clients/{id}/rotate");
    admin.get(&path).await;
    let newest = admin.hidden("newest");
    let refused = admin.post(&path, &[("newest", &newest), ("to", "mail")]).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(refused.text.contains("id=\"f-to-error\""), "{}", refused.text);
    assert!(refused.text.contains("no technical contact"), "{}", refused.text);
    admin.get("/portal/api-services").await;
    let request = admin.hidden("request");
    let fields = [
        ("request", request.as_str()),
        ("role", "renew-pms"),
        ("environment", "Sandbox"),
        ("client", id.as_str()),
    ];
    let refused = admin.post("/portal/api-services", &fields).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(refused.text.contains("id=\"f-client-error\""), "{}", refused.text);
    assert_eq!(portal.authz.acts().show_client(&id).await.unwrap().secrets.len(), 1, "nothing was made");
    let mails = portal.mails("ana.silva@medco.example").await;
    assert!(!mails.iter().any(|mail| mail["text"].as_str().unwrap().contains("pms_")), "{mails:?}");
    // With a contact it goes there, and the page says where.
    admin.get(&format!("/portal/clients/{id}")).await;
    let contact = [("label", "x"), ("contact", "api.team@medco.example")];
    admin.post(&format!("/portal/clients/{id}"), &contact).await;
    admin.get("/portal/api-services").await;
    let tracked = admin.post("/portal/api-services", &fields).await;
    assert!(tracked.text.contains("on their way to the technical contact"), "{}", tracked.text);
    assert_eq!(mailed(&portal, "api.team@medco.example").await.0, id);
}

#[tokio::test]
async fn a_client_with_a_key_is_not_offered_where_secrets_are_renewed() {
    let portal = Portal::start().await;
    let mut admin = portal.signed_in("ana.silva@medco.example", &ADMIN).await;
    let form = accept(&mut admin).await;
    ask(&mut admin, &form, "ORG-100000001", &[]).await;
    let (id, _) = mailed(&portal, "api.team@medco.example").await;
    assert!(admin.get("/portal/api-services").await.text.contains(&id));
    let request = admin.hidden("request");
    let jwk = ClientSigner::generate(ProofAlgorithm::Es256).jwk(Some("k1"));
    let jwk = serde_json::to_string(&jwk).unwrap();
    admin.get(&format!("/portal/clients/{id}")).await;
    admin.post(&format!("/portal/clients/{id}/keys"), &[("what", "jwks"), ("text", &jwk)]).await;
    assert!(!admin.get("/portal/api-services").await.text.contains(&id));
    // Who had the form open already.
    admin.get(&format!("/portal/clients/{id}")).await;
    let fields = [
        ("request", request.as_str()),
        ("role", "renew-pms"),
        ("environment", "Sandbox"),
        ("client", id.as_str()),
    ];
    let refused = admin.post("/portal/api-services", &fields).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
}

#[tokio::test]
async fn a_mailed_link_asks_before_it_ends_a_secret_that_is_in_use() {
    let portal = Portal::with(|settings| settings.credentials.delivery = config::Delivery::OneTimeLink).await;
    let mut admin = portal.signed_in("ana.silva@medco.example", &ADMIN).await;
    let first = portal.authz.industry_client().await;
    let (id, scope) = (first.client_id.to_string(), "api://pmsgate/pms/.default");
    let contact = portal.authz.acts().show_client(&id).await.unwrap().client.contact.unwrap();
    let path = format!("/portal/clients/{id}/rotate");
    for to in ["mail", "page"] {
        portal.authz.clock.advance(Duration::minutes(1));
        admin.get(&path).await;
        let newest = admin.hidden("newest");
        admin.post(&path, &[("newest", &newest), ("to", to)]).await;
    }
    let mails = portal.mails(&contact).await;
    let text =
        mails.iter().map(|mail| mail["text"].as_str().unwrap()).find(|text| text.contains("credentials?t="));
    let line = text.unwrap().lines().find(|line| line.contains("/portal/credentials?t=")).unwrap();
    let link = line.strip_prefix("https://authz.example").unwrap();
    portal.authz.clock.advance(Duration::minutes(1));
    let mut person = portal.person();
    let page = person.get(link).await;
    let words = format!("The older one, {}…, ends at once", &first.client_secret.expose()[..8]);
    assert!(page.text.contains(&words), "{}", page.text);
    let t = person.hidden("t");
    let asked = person.post("/portal/credentials", &[("t", &t)]).await;
    assert!(asked.status == 422 && asked.text.contains("Confirm it"), "{}", asked.text);
    assert_eq!(token(&portal, &id, first.client_secret.expose(), scope).await.status, 200);
    let shown = person.post("/portal/credentials", &[("t", &t), ("sure", "yes")]).await;
    let third = secret_on(shown);
    assert_eq!(token(&portal, &id, &third, scope).await.status, 200);
    assert_eq!(token(&portal, &id, first.client_secret.expose(), scope).await.status, 401);
}
