//! Nothing that was typed into a request is ever lost: whatever button is pressed, on reload, and going back.

use crate::{
    portal_requests::{PDF, to_recap},
    portal_visitor::{PASSWORD, Person, Portal},
};

const WORDS: &str = "Ana runs <the> team.\nAsk her.";

/// What stands in the comment of a recap that is opened anew.
async fn comment(person: &mut Person<'_>, id: &str) -> String {
    let page = person.get(&format!("/portal/requests/{id}/recap")).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let rest = page.text.split("name=\"comment\"").nth(1).unwrap();
    let text = rest.split_once('>').unwrap().1.split("</textarea>").next().unwrap();
    text.replace("&#60;", "<").replace("&#62;", ">").replace("&#10;", "\n")
}

/// Somebody at the recap of a request for two roles, with nothing typed yet.
async fn at_recap(portal: &Portal) -> (Person<'_>, String) {
    portal.account("grace.hall@fable.example", &[("iris-industry-admin", Some("ORG-100000001"))]).await;
    let mut person = portal.signed_in("ana.silva@fable.example", &[]).await;
    let roles = ["eaf-coordinator", "eaf-manager"];
    let id = to_recap(&mut person, "eaf", "ORG-100000001", &roles).await;
    assert!(person.page.text.contains("Recap and submit</h1>"), "{}", person.page.text);
    (person, id)
}

#[tokio::test]
async fn a_comment_survives_every_button_of_the_recap() {
    let portal = Portal::start().await;
    let (mut person, id) = at_recap(&portal).await;
    let recap = format!("/portal/requests/{id}/recap");
    for (n, button) in
        ["remember", "attach", "keep", "back", "remove eaf-manager", "remove-document x", "nonsense"]
            .into_iter()
            .enumerate()
    {
        let words = format!("{WORDS} {n}");
        let name = if button == "attach" { "letter.pdf" } else { "" };
        let content = if button == "attach" { PDF } else { b"" };
        person.post_with_file(&recap, &[("comment", &words), ("do", button)], name, content).await;
        let status = person.page.status.as_u16();
        assert_eq!(status, if button == "remember" { 204 } else { 303 }, "{button}: {}", person.page.text);
        assert_eq!(comment(&mut person, &id).await, words, "{button}");
    }
    assert!(person.page.text.contains("letter.pdf") && !person.page.text.contains("Remove Manager"));

    // A document goes with its own button, and the comment stays.
    let document = person.page.text.split("remove-document ").nth(1).unwrap().split('"').next().unwrap();
    let button = format!("remove-document {document}");
    person.post_with_file(&recap, &[("comment", "kept"), ("do", &button)], "", b"").await;
    assert_eq!(comment(&mut person, &id).await, "kept");
    assert!(!person.page.text.contains("letter.pdf"));
}

#[tokio::test]
async fn what_is_refused_keeps_the_rest_and_a_file_goes_with_any_button() {
    let portal = Portal::with(|settings| settings.portal.document_limit = 100_000).await;
    let (mut person, id) = at_recap(&portal).await;
    let recap = format!("/portal/requests/{id}/recap");
    let large = [b"%PDF-1.7\n".to_vec(), vec![b'x'; 150_000], b"%%EOF".to_vec()].concat();
    for (file, problem) in
        [(&b"no pdf"[..], "not a PDF"), (&large, "1 byte to"), (b"", "Choose a file first")]
    {
        let name = if file.is_empty() { "" } else { "letter.pdf" };
        let page = person.post_with_file(&recap, &[("comment", WORDS), ("do", "attach")], name, file).await;
        assert_eq!(page.status, 422);
        assert!(page.text.contains(problem), "{problem}: {}", page.text);
        assert!(page.text.contains("Ana runs &#60;the&#62; team."), "{}", page.text);
        assert_eq!(comment(&mut person, &id).await, WORDS);
    }
    let long = "x".repeat(2001);
    person.post_with_file(&recap, &[("comment", &long), ("do", "submit")], "", b"").await;
    assert!(person.page.status == 422 && person.page.text.contains(&long), "what is too long is given back");
    assert_eq!(comment(&mut person, &id).await, WORDS, "and does not replace what was kept");

    // A file that was chosen and not attached goes with the submission.
    person.get(&recap).await;
    person.post_with_file(&recap, &[("comment", WORDS), ("do", "submit")], "cv.pdf", PDF).await;
    assert_eq!(person.page.status, 303, "{}", person.page.text);
    person.get(&format!("/portal/requests/{id}")).await;
    assert!(person.page.text.contains("cv.pdf") && person.page.text.contains("Ana runs"));
}

#[tokio::test]
async fn earlier_steps_show_what_was_chosen_and_keep_what_is_ticked_on_the_way_back() {
    let portal = Portal::start().await;
    let (mut person, id) = at_recap(&portal).await;
    let (roles, organisation) =
        (format!("/portal/requests/{id}/roles"), format!("/portal/requests/{id}/organisation"));
    let ticked = |text: &str, role: &str| {
        text.split(&format!("value=\"{role}\"")).nth(1).unwrap().starts_with(" checked")
    };
    for button in ["remember", "back"] {
        person.get(&roles).await;
        person.post_only(&roles, &[("role", "eaf-contributor"), ("do", button)]).await;
        let page = person.get(&roles).await;
        assert!(ticked(&page.text, "eaf-contributor") && !ticked(&page.text, "eaf-manager"), "{button}");
        person.post_only(&roles, &[("role", "eaf-manager"), ("do", "remember")]).await;
    }
    let page = person.get(&organisation).await;
    assert!(page.text.contains("Chosen so far") && page.text.contains("Fable Pharma (ORG-100000001)"));
    let first = page.text.split("href=\"/portal/requests/new?").nth(1).unwrap().split('"').next().unwrap();
    let first = format!("/portal/requests/new?{first}");
    let page = person.get(&first).await;
    assert!(ticked(&page.text, "eaf"), "{}", page.text);
    // The same application again takes the draft up where it was.
    person.post("/portal/requests/new", &[("application", "eaf")]).await;
    assert!(person.page.text.contains("ORG-100000001"), "{}", person.page.text);
    assert!(ticked(&person.get(&roles).await.text, "eaf-manager"));
    // Choosing the same organisation keeps the roles, another one does not fit them.
    person.post(&organisation, &[("organisation", "ORG-100000001")]).await;
    assert!(ticked(&person.page.text, "eaf-manager"));
}

#[tokio::test]
async fn a_ticked_box_beside_the_terms_is_kept_and_accepts_only_by_submitting() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalogue.toml");
    let role = "id = \"spor-industry-super-user\"";
    let text = include_str!("../../../../config/catalogue.toml")
        .replace(role, &format!("{role}\nterms = \"privacy\""));
    std::fs::write(&path, text).unwrap();
    let portal = Portal::with(|settings| settings.data.catalogue = Some(path)).await;
    let mut person = portal.signed_in("ana.silva@fable.example", &[]).await;
    let id = to_recap(&mut person, "spor", "ORG-100000001", &["spor-industry-super-user"]).await;
    let recap = format!("/portal/requests/{id}/recap");
    let fields = [("comment", ""), ("terms", "yes"), ("do", "attach")];
    person.post_with_file(&recap, &fields, "proof.pdf", PDF).await;
    let page = person.get(&recap).await;
    assert!(page.text.contains("name=\"terms\" value=\"yes\" checked"), "{}", page.text);
    person.post_with_file(&recap, &[("comment", ""), ("do", "submit")], "", b"").await;
    assert_eq!(person.page.status, 303, "a page that can be reloaded");
    let page = person.get(&format!("{recap}?refused")).await;
    assert!(page.status == 422 && page.text.contains("Accept the terms"), "{}", page.text);
    person.post_with_file(&recap, &[("comment", ""), ("terms", "yes"), ("do", "submit")], "", b"").await;
    assert_eq!(person.page.status, 303);
}

#[tokio::test]
async fn roles_that_are_refused_are_not_kept() {
    let portal = Portal::start().await;
    let (mut person, id) = at_recap(&portal).await;
    let (roles, recap) = (format!("/portal/requests/{id}/roles"), format!("/portal/requests/{id}/recap"));
    for strange in ["agency-admin", "pui-nca", "pms-industry-api", "nothing"] {
        for button in ["next", "remember"] {
            person.get(&roles).await;
            let fields = [("role", "eaf-manager"), ("role", strange), ("do", button)];
            let page = person.post_only(&roles, &fields).await;
            if button == "next" {
                assert_eq!(page.status, 422, "{strange}: {}", page.text);
                assert!(page.text.contains("There is no such role."), "{strange}: {}", page.text);
            }
            let text = &person.get(&recap).await.text;
            assert!(text.contains("Remove Manager") && !text.contains("The agency<"), "{strange}: {text}");
        }
    }
}

#[tokio::test]
async fn what_stands_in_the_way_of_a_request_stands_above_it() {
    let portal = Portal::start().await;
    let (mut person, id) = at_recap(&portal).await;
    let recap = format!("/portal/requests/{id}/recap");
    let submitted = [("comment", WORDS), ("do", "submit")];
    person.post_with_file(&recap, &submitted, "", b"").await;
    let second = to_recap(&mut person, "eaf", "ORG-100000001", &["eaf-manager"]).await;
    let recap = format!("/portal/requests/{second}/recap");
    assert!(person.page.text.contains("asks for the role Manager already"), "{}", person.page.text);
    let page = person.post(&recap, &submitted).await;
    assert_eq!(page.status, 422, "{}", page.text);
    let (above, form) = page.text.split_once("name=\"comment\"").unwrap();
    assert!(above.contains("This request cannot be submitted so"), "{}", page.text);
    assert!(above.contains("asks for the role Manager already"), "{}", page.text);
    assert!(!page.text.contains("f-comment-error"), "{}", page.text);
    assert!(form.contains("Ana runs"), "what was typed is there: {}", page.text);
}

#[tokio::test]
async fn the_address_of_a_mail_opens_its_page_after_signing_in() {
    let portal = Portal::start().await;
    let (mut person, id) = at_recap(&portal).await;
    let recap = format!("/portal/requests/{id}/recap");
    person.post_with_file(&recap, &[("comment", WORDS), ("do", "submit")], "", b"").await;
    let review = format!("/portal/review/{id}");
    for factor in [false, true] {
        let mut admin = portal.person();
        let way = admin.get(&review).await.header("location").to_owned();
        admin.get(&way).await;
        let to = admin.hidden("to");
        let fields = [("name", "grace.hall@fable.example"), ("password", PASSWORD), ("to", to.as_str())];
        admin.post("/portal/sign-in", &fields).await;
        if factor {
            assert_eq!(admin.hidden("to"), review, "{}", admin.page.text);
            assert!(admin.page.text.contains("Your second factor"), "{}", admin.page.text);
        } else {
            assert!(admin.page.text.contains("Your decision"), "{}", admin.page.text);
            admin.enrol_app().await;
        }
    }
}
