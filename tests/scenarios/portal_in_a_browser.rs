//! The five stories of the portal in a real browser, with axe-core looking at every page on the way.

use std::path::PathBuf;

use aws_lc_rs::hmac;
use harness::{Browser, Driver, Program};
use time::OffsetDateTime;

pub(crate) const PASSWORD: &str = "correct Horse 9 staple";
/// What a registration says when the browser has done its work.
const SHOWN: &str = "Your browser has shown that you are no robot.";

/// An account that an operator opened, signed in.
pub(crate) async fn signed_in(driver: &Driver, program: &Program, email: &str, roles: &[&str]) -> Browser {
    let password = program.data_dir().join("password");
    std::fs::write(&password, PASSWORD).unwrap();
    let password = password.to_str().unwrap();
    let mut arguments =
        vec!["account", "create", "--email", email, "--first-name", "Ana", "--last-name", "Silva"];
    arguments.extend(["--password-file", password]);
    for role in roles {
        arguments.extend(["--role", role]);
    }
    program.result(&arguments);
    let browser = driver.browser(&program.ready.base_url).await;
    sign_in(&browser, email).await;
    browser
}

pub(crate) async fn sign_in(browser: &Browser, email: &str) {
    browser.open("/portal/sign-in").await;
    browser.fill("name", email).await;
    browser.fill("password", PASSWORD).await;
    browser.press("Sign in").await;
}

/// Types what a registration asks for.
async fn fill_registration(browser: &Browser, email: &str) {
    for (name, value) in [
        ("first_name", "Ana"),
        ("last_name", "Silva"),
        ("email", email),
        ("email_again", email),
        ("password", PASSWORD),
        ("password_again", PASSWORD),
        ("phone", "+31 6 1234 5678"),
    ] {
        browser.fill(name, value).await;
    }
    browser.tick("I have read and understood the privacy statement").await;
}

/// From the authentication questions to the first page of who is signed in.
async fn finish_registration(browser: &Browser, email: &str) {
    browser.says("Authentication questions").await;
    for (name, value) in [("a1", "Blue School"), ("a2", "Gent"), ("a3", "ACME")] {
        browser.fill(name, value).await;
    }
    browser.press("Save and go on").await;
    browser.says("One-time token").await;
    open_mail(browser, "Confirm your e-mail address").await;
    browser.screenshot("mail").await;
    browser.follow("Open the link of this mail").await;
    browser.press("Confirm").await;
    browser.says("Your account is active").await;
    sign_in(browser, email).await;
    browser.says("Hello, Ana").await;
}

/// Somebody who opens an account with the portal's pages alone, and signs in.
pub(crate) async fn registered(driver: &Driver, program: &Program, email: &str) -> Browser {
    let browser = driver.browser(&program.ready.base_url).await;
    browser.open("/portal/register").await;
    fill_registration(&browser, email).await;
    browser.waits_for(SHOWN).await;
    browser.press("Next").await;
    finish_registration(&browser, email).await;
    browser
}

/// Sets an authenticator app up; answers its secret.
pub(crate) async fn enrol(browser: &Browser) -> Vec<u8> {
    browser.open("/portal/account/second-factor").await;
    browser.fill("current", PASSWORD).await;
    browser.press("Set up an authenticator app").await;
    browser.screenshot("second-factor").await;
    let key: String = browser.text_of(".facts dd").await.split_whitespace().collect();
    let secret = from_base32(&key);
    browser.fill("code", &totp(&secret, 0)).await;
    browser.press("Finish").await;
    browser.says("Your recovery codes").await;
    secret
}

fn from_base32(text: &str) -> Vec<u8> {
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u32, 0);
    for character in text.bytes() {
        let value = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|one| *one == character).unwrap();
        held = (held << 5) | u32::try_from(value).unwrap();
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from((held >> bits) & 0xff).unwrap());
        }
    }
    bytes
}

/// The app's code (RFC 6238), `ahead` steps from now.
fn totp(secret: &[u8], ahead: i64) -> String {
    let step = OffsetDateTime::now_utc().unix_timestamp() / 30 + ahead;
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret), &step.to_be_bytes());
    let at = usize::from(tag.as_ref()[19] & 15);
    let number = u32::from_be_bytes(tag.as_ref()[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// Waits until the development mailbox has a mail with this subject, and opens it.
pub(crate) async fn open_mail(browser: &Browser, subject: &str) {
    for _ in 0..100 {
        browser.open("/portal/mailbox").await;
        if browser.text().await.contains(subject) {
            browser.follow(subject).await;
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("no mail {subject:?}: {}", browser.text().await);
}

pub(crate) fn letter(program: &Program) -> PathBuf {
    let path = program.data_dir().join("letter-of-affiliation.pdf");
    std::fs::write(&path, b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n")
        .unwrap();
    path
}

/// From the application to the recap.
pub(crate) async fn wizard(browser: &Browser, application: &str, organisation: &str, roles: &[&str]) {
    browser.open("/portal/requests/new").await;
    browser.tick(application).await;
    browser.press("Next: organisation").await;
    browser.fill("q", organisation).await;
    browser.press("Search").await;
    browser.press(&format!("Choose {organisation}")).await;
    for role in roles {
        browser.tick(role).await;
    }
    browser.press("Next: recap").await;
}

#[tokio::test]
async fn a_public_user_registers_confirms_and_signs_in() {
    let Some(driver) = Driver::start() else { return };
    let program = Program::serve().await;
    let browser = driver.browser(&program.ready.base_url).await;
    browser.open("/").await;
    browser.open("/portal").await;
    browser.screenshot("welcome").await;
    browser.follow("Create an account").await;
    browser.waits_for(SHOWN).await;
    browser.press("Next").await;
    browser.says("Please correct").await;
    browser.waits_for(SHOWN).await;
    browser.screenshot("register-errors").await;
    fill_registration(&browser, "ana.silva@medco.example").await;
    // The browser did the work: there is no question to answer.
    assert!(!browser.text().await.contains("How much is"));
    browser.screenshot("register").await;
    browser.press("Next").await;
    finish_registration(&browser, "ana.silva@medco.example").await;
    for path in [
        "/portal/account",
        "/portal/account/password",
        "/portal/account/questions",
        "/portal/account/sessions",
        "/portal/account/deactivate",
        "/portal/privacy",
        "/portal/recover",
        "/portal/recover/password",
        "/portal/recover/user-name",
        "/portal/recover/account",
        "/portal/requests",
        "/portal/organisations?q=pharma&country=",
        "/portal/organisations/ORG-100000301",
        "/portal/requests/none",
    ] {
        browser.open(path).await;
        for width in [360, 1600] {
            browser.resize(width, 900).await;
            assert!(!browser.overflows().await, "{path} is wider than {width}");
        }
        browser.resize(1100, 1200).await;
    }
    browser.open("/portal/organisations?q=pharma&country=").await;
    browser.screenshot("organisations").await;
    browser.close().await;
    // Contrast is looked at in the dark as well.
    let dark = driver.dark_browser(&program.ready.base_url).await;
    for path in
        ["/", "/portal", "/portal/register", "/portal/organisations?q=pharma&country=", "/portal/mailbox"]
    {
        dark.open(path).await;
    }
    dark.open("/portal/register").await;
    dark.waits_for(SHOWN).await;
    dark.press("Next").await;
    dark.screenshot("register-dark").await;
    dark.close().await;
}

#[tokio::test]
async fn the_first_admin_is_approved_by_the_agency_and_approves_a_colleague_whose_violation_is_waived() {
    let Some(driver) = Driver::start() else { return };
    let program = Program::serve().await;
    let agency = signed_in(&driver, &program, "grace.hall@agency.example", &["agency-admin"]).await;
    agency.says("A role of yours is not in effect yet").await;
    enrol(&agency).await;

    // The first administrator, with a letter.
    let admin = signed_in(&driver, &program, "ana.silva@aurelia.example", &[]).await;
    wizard(&admin, "IRIS / PLM", "ORG-100000001", &["IRIS / PLM Industry Admin"]).await;
    admin.press("Submit request").await;
    admin.says("Attach the document: Letter of affiliation").await;
    // What was typed is there after a reload, after attaching, and after going back.
    admin.fill("comment", "I run the regulatory team.").await;
    admin.waits_for_attribute("form[data-kept]", "data-kept", "yes").await;
    admin.reload().await;
    assert_eq!(admin.value("comment").await, "I run the regulatory team.");
    admin.fill("comment", "I run the regulatory team, and more.").await;
    admin.attach(&letter(&program)).await;
    admin.press("Attach").await;
    admin.says("letter-of-affiliation.pdf").await;
    assert_eq!(admin.value("comment").await, "I run the regulatory team, and more.");
    admin.press("Back").await;
    admin.press("Next: recap").await;
    assert_eq!(admin.value("comment").await, "I run the regulatory team, and more.");
    admin.screenshot("recap").await;
    admin.press("Submit request").await;
    admin.says("REQ-00000001").await;
    admin.back().await;
    admin.press("Submit request").await;
    admin.says("Waiting for a decision").await;
    agency.open("/portal/review").await;
    agency.screenshot("inbox").await;
    agency.follow("REQ-00000001").await;
    agency.says("letter-of-affiliation.pdf").await;
    agency.screenshot("review").await;
    agency.press("Approve").await;
    agency.says("Approved").await;
    admin.open("/portal").await;
    admin.says("IRIS / PLM Industry Admin").await;
    open_mail(&admin, "REQ-00000001: approved").await;

    // A colleague, approved by the administrator.
    let colleague = signed_in(&driver, &program, "ben.okoye@aurelia.example", &[]).await;
    wizard(&colleague, "PMS Product UI", "ORG-100000001", &["Industry Read/User"]).await;
    colleague.press("Submit request").await;
    colleague.says("REQ-00000002").await;
    admin.open("/portal/review").await;
    admin.follow("REQ-00000002").await;
    admin.press("Approve").await;
    colleague.open("/portal").await;
    colleague.says("Industry Read/User").await;

    // A violation: stopped, taken back, then waived.
    wizard(&colleague, "PMS Product UI", "ORG-100000001", &["Industry Read/Qualified User"]).await;
    colleague.says("These roles exclude each other").await;
    colleague.screenshot("violation").await;
    colleague.press("Remove Industry Read/Qualified User").await;
    colleague.says("Roles").await;
    colleague.tick("Industry Read/Qualified User").await;
    colleague.press("Next: recap").await;
    colleague.press("Go on with the violation").await;
    colleague.says("the reviewer sees it").await;
    colleague.press("Submit request").await;
    admin.open("/portal/review").await;
    admin.says("with a violation").await;
    admin.follow("REQ-00000003").await;
    admin.fill("reason", "One of the two is enough.").await;
    admin.press("Reject").await;
    admin.says("Rejected").await;
    colleague.open("/portal/requests").await;
    colleague.says("One of the two is enough.").await;
    colleague.screenshot("tracking").await;
    admin.open("/portal/people").await;
    admin.screenshot("people").await;
    admin.follow("Ana Silva").await;
    admin.open("/portal/account/deactivate").await;
    admin.says("This is the last administrator").await;
    agency.open("/portal/messages").await;
    agency.says("Nothing waits").await;
    agency.open("/portal/people?q=ana.silva").await;
    agency.follow("Ana Silva").await;
    agency.says("This is the last administrator").await;
    agency.follow("Revoke IRIS / PLM Industry Admin").await;
    agency.screenshot("revoke").await;
    for browser in [agency, admin, colleague] {
        browser.close().await;
    }
}

#[tokio::test]
async fn a_health_professional_gets_into_cpms_with_a_second_factor() {
    let Some(driver) = Driver::start() else { return };
    let program = Program::serve().await;
    let coordinator =
        signed_in(&driver, &program, "grace.hall@kidney.example", &["cpms-coordinator@ORG-100000301"]).await;
    enrol(&coordinator).await;
    let person = signed_in(&driver, &program, "ana.silva@ziekenhuis.example", &[]).await;
    let secret = enrol(&person).await;
    person.open("/portal/requests/new").await;
    person.tick("CPMS").await;
    person.press("Next: organisation").await;
    person.follow("Open ERN-Demo Kidney Network").await;
    person.follow("Open NL").await;
    person.screenshot("cpms-centre").await;
    person.press("Choose ORG-100000311").await;
    person.tick("HP (health professional)").await;
    person.press("Next: recap").await;
    person.press("Submit request").await;
    person.says("REQ-00000001").await;
    coordinator.open("/portal/review").await;
    coordinator.follow("REQ-00000001").await;
    coordinator.press("Approve").await;
    open_mail(&person, "REQ-00000001: approved").await;
    person.says("Your CPMS account was created").await;
    person.close().await;
    let again = driver.browser(&program.ready.base_url).await;
    sign_in(&again, "ana.silva@ziekenhuis.example").await;
    again.says("Your second factor").await;
    // The code of this half minute was used for setting up; the next one is taken as well.
    again.fill("code", &totp(&secret, 1)).await;
    again.press("Sign in").await;
    again.says("Thematic area").await;
    again.tick("Tubulopathies").await;
    again.press("Save").await;
    again.says("Hello, Ana").await;
    again.says("Tubulopathies").await;
    again.screenshot("dashboard").await;
    again.close().await;
    coordinator.close().await;
}

/// The sum that a registration without scripts asks for.
async fn answer_question(browser: &Browser) {
    let words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    let text = browser.text_of("label[for=f-challenge]").await;
    let question = text.split("How much is ").nth(1).unwrap().split('?').next().unwrap().to_owned();
    let sum: usize =
        question.split(" plus ").map(|word| words.iter().position(|one| *one == word).unwrap()).sum();
    browser.fill("challenge", &sum.to_string()).await;
}

#[tokio::test]
async fn everything_works_in_a_browser_without_scripts() {
    let Some(driver) = Driver::start() else { return };
    let program = Program::serve().await;
    let email = "ana.silva@aurelia.example";
    let browser = driver.scriptless_browser(&program.ready.base_url).await;
    browser.open("/portal/register").await;
    fill_registration(&browser, email).await;
    answer_question(&browser).await;
    browser.press("Next").await;
    finish_registration(&browser, email).await;
    wizard(&browser, "IRIS / PLM", "ORG-100000001", &["IRIS / PLM Industry Admin"]).await;
    browser.fill("comment", "I run the regulatory team.").await;
    browser.attach(&letter(&program)).await;
    browser.press("Attach").await;
    assert_eq!(browser.value("comment").await, "I run the regulatory team.");
    browser.press("Remove letter-of-affiliation.pdf").await;
    assert_eq!(browser.value("comment").await, "I run the regulatory team.");
    browser.attach(&letter(&program)).await;
    browser.press("Submit request").await;
    browser.says("REQ-00000001").await;
    browser.close().await;
}

#[tokio::test]
async fn a_document_that_is_too_large_is_refused_beside_its_field_and_what_was_typed_stays() {
    let Some(driver) = Driver::start() else { return };
    let program = Program::serve().await;
    let person = signed_in(&driver, &program, "ana.silva@aurelia.example", &[]).await;
    wizard(&person, "IRIS / PLM", "ORG-100000001", &["IRIS / PLM Industry Admin"]).await;
    for (number, megabytes) in [11, 60].into_iter().enumerate() {
        let path = program.data_dir().join("large.pdf");
        std::fs::write(&path, [b"%PDF-1.7\n", vec![b' '; megabytes << 20].as_slice()].concat()).unwrap();
        for button in ["Attach", "Submit request"] {
            let comment = format!("The scan has {megabytes} MB, {button} {number}.");
            person.fill("comment", &comment).await;
            person.attach(&path).await;
            person.press(button).await;
            let error = person.text_of("#f-file-error").await;
            assert!(error.contains("1 byte to 10 MB"), "{error}");
            assert_eq!(person.value("comment").await, comment);
            person.says("Nothing is attached.").await;
        }
        person.screenshot("document-too-large").await;
    }
    // And it goes on from there.
    person.attach(&letter(&program)).await;
    person.press("Submit request").await;
    person.says("REQ-00000001").await;
    person.close().await;
}
