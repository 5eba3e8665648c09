//! The whole story of API credentials, in a browser: an account, a request, the mail, a token, a product; the role of an
//! administrator, credentials of an organisation, what only it sees; rotation, the end of the old secret, the reminder,
//! the end of the new one, renewal. Nothing of it in the log.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use harness::{ApiClient, Browser, Driver, Program, Store};
use http::StatusCode;
use serde_json::Value;

use crate::{
    clock_travel::mails,
    portal_in_a_browser::{enrol, letter, open_mail, registered, sign_in, signed_in, wizard},
};

const READER: &str = "carl.roe@reader.example";
const ADMIN: &str = "ana.silva@aurelia.example";
const PUBLIC_PRODUCT: &str = "/public/v1/MedicinalProductDefinition/600000900001";
const PRODUCT: &str = "/pms/api/v3/MedicinalProductDefinition/600000900001";
/// Its authorisation is pending: only its own organisation and authorities see it.
const PENDING: &str = "/pms/api/v3/MedicinalProductDefinition/600000900020";

/// What the mail with credentials says.
struct Mailed {
    id: String,
    secret: String,
    scope: String,
}

impl Mailed {
    /// Reads it in the development mailbox.
    async fn read(browser: &Browser, subject: &str) -> Self {
        open_mail(browser, subject).await;
        let text = browser.text().await;
        let fact = |name: &str| {
            let start = format!("{name}: ");
            let line = text.lines().find_map(|line| line.trim().strip_prefix(&start));
            line.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
        };
        Self { id: fact("Client Id"), secret: fact("Client Secret"), scope: fact("Scope") }
    }

    /// What the token endpoint answers to one of the client's secrets.
    async fn ask(&self, api: &ApiClient, secret: &str) -> (u16, String) {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", self.id.as_str()),
            ("client_secret", secret),
            ("scope", self.scope.as_str()),
        ];
        let answer = api.ask_token(&form).await;
        (answer.status.as_u16(), answer.text())
    }

    /// A token for one of its secrets opens a product.
    async fn opens(&self, api: &ApiClient, secret: &str, product: &str) {
        let token = api.token_for(&self.id, secret, &self.scope).await;
        let answer = api.get(product, &token).await;
        assert_eq!(answer.status, StatusCode::OK, "{product}: {}", answer.text());
    }

    /// A secret ends within a second or so; what the refusal says.
    async fn ends(&self, api: &ApiClient, secret: &str) -> String {
        let begun = Instant::now();
        loop {
            let (status, text) = self.ask(api, secret).await;
            if status == 401 {
                return text;
            }
            assert!(begun.elapsed() < Duration::from_secs(3), "{status}: {text}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The secrets in the mails to the Admin, oldest first.
fn mailed_secrets(program: &Program) -> Vec<String> {
    let all = mails(program, ADMIN);
    let lines = all.iter().filter_map(|mail| mail["text"].as_str()).flat_map(str::lines);
    lines.filter_map(|line| line.strip_prefix("Client Secret: ")).map(str::to_owned).collect()
}

/// The text of the snippet of the page that has these words.
async fn snippet(browser: &Browser, words: &str) -> String {
    browser.text_of(&format!("pre[aria-label='{words}']")).await.trim().to_owned()
}

/// Runs the script of the client's page as cron does. Whether it did its work.
fn run_script(script: &str, folder: &Path, ca_file: &Path) -> bool {
    let (path, secret) = (folder.join("rotate.sh"), folder.join("client_secret"));
    std::fs::write(&path, script).unwrap();
    let mut command = Command::new("sh");
    let output = command.arg(path).arg(secret).env("CURL_CA_BUNDLE", ca_file).output().unwrap();
    println!("{}", String::from_utf8_lossy(&output.stderr));
    output.status.success()
}

/// No page is wider than a phone or a large screen.
async fn fit(browser: &Browser, pages: &[&str]) {
    for page in pages {
        browser.open(page).await;
        for width in [360, 1600] {
            browser.resize(width, 900).await;
            assert!(!browser.overflows().await, "{page} is wider than {width}");
        }
        browser.resize(1100, 1200).await;
    }
}

/// The page of an Admin after the clock moved: the session is over, and begun again.
async fn come_back(admin: &Browser, path: &str) {
    sign_in(admin, ADMIN).await;
    admin.open(path).await;
}

/// A reader of public data: an account, the terms, the mail, a token, a product.
async fn public_user(driver: &Driver, program: &Program) -> String {
    let (reader, api) = (registered(driver, program, READER).await, program.api());
    reader.follow("Manage access").await;
    reader.follow("Request Public API access PMS").await;
    reader.press("Next").await;
    reader.says("Check the user agreement to go on.").await;
    reader.tick("User agreement").await;
    reader.press("Next").await;
    reader.says("approved by the system at once").await;
    let mailed = Mailed::read(&reader, "Your API credentials: Public PMS API").await;
    mailed.opens(&api, &mailed.secret, PUBLIC_PRODUCT).await;
    let token = api.token_for(&mailed.id, &mailed.secret, &mailed.scope).await;
    assert_eq!(api.get(PRODUCT, &token).await.status, StatusCode::UNAUTHORIZED);
    reader.close().await;
    mailed.secret
}

/// Somebody who becomes the first Admin of an organisation: asks in the wizard, and a reviewer of the agency approves.
async fn first_admin(driver: &Driver, program: &Program) -> Browser {
    let admin = registered(driver, program, ADMIN).await;
    wizard(&admin, "IRIS / PLM", "ORG-100000001", &["IRIS / PLM Industry Admin"]).await;
    admin.attach(&letter(program)).await;
    admin.press("Submit request").await;
    let submitted = admin.text().await;
    let name = submitted.split_whitespace().find(|word| word.starts_with("REQ-")).unwrap().to_owned();
    let agency = signed_in(driver, program, "grace.hall@agency.example", &["agency-admin"]).await;
    enrol(&agency).await;
    agency.open("/portal/review").await;
    agency.follow(&name).await;
    agency.press("Approve").await;
    agency.says("Approved").await;
    agency.close().await;
    admin
}

/// The form for credentials of the organisation; the mail with them.
async fn credentials(admin: &Browser) -> Mailed {
    admin.open("/portal/access").await;
    admin.screenshot("manage-access").await;
    admin.follow("Request API access").await;
    admin.screenshot("api-terms").await;
    admin.tick("User agreement").await;
    admin.press("Next").await;
    admin.fill("contact", "info@aurelia.example").await;
    admin.press("Submit").await;
    admin.says("generic mailbox").await;
    admin.fill("contact", ADMIN).await;
    admin.fill("label", "ERP link").await;
    admin.tick("Qualified").await;
    admin.tick("Veterinary").await;
    admin.screenshot("api-form").await;
    admin.press("Submit").await;
    admin.says("PMS API: PMS Industry API for ORG-100000001").await;
    let mailed = Mailed::read(admin, "Your API credentials: PMS Industry API").await;
    admin.screenshot("credentials-mail").await;
    mailed
}

#[tokio::test]
async fn from_an_account_to_the_product_and_from_the_first_secret_to_its_renewal() {
    let Some(driver) = Driver::start() else { return };
    let settings = [("PMSGATE__TELEMETRY__LOG", "debug"), ("PMSGATE__TELEMETRY__ACCESS_LOG", "true")];
    let program = Program::serve_with(Store::Sqlite, &settings).await;
    let api = program.api();
    let mut secrets = vec![public_user(&driver, &program).await];

    // For an organisation: its own pending product is visible, to a stranger it is not there.
    let admin = first_admin(&driver, &program).await;
    let client = credentials(&admin).await;
    let old = client.secret.clone();
    client.opens(&api, &old, PENDING).await;
    let stranger = api.token(&program.industry("ORG-100000002", &[])).await;
    assert_eq!(api.get(PRODUCT, &stranger).await.status, StatusCode::OK);
    assert_eq!(api.get(PENDING, &stranger).await.status, StatusCode::NOT_FOUND);

    let path = format!("/portal/clients/{}", client.id);
    let (rotate, end) = (format!("{path}/rotate"), format!("{path}/end"));
    let lists = ["/portal/access", "/portal/clients", "/portal/api-services", "/portal/api-access"];
    fit(&admin, &[&lists[..], &[&path, &rotate, &end]].concat()).await;
    admin.open(&path).await;
    admin.says("active").await;
    admin.screenshot("client").await;
    let script = snippet(&admin, "Shell script").await;

    // Rotation: both work, the successor's first use is told, the old one retires by itself.
    admin.follow("Rotate").await;
    admin.press("Make a new secret").await;
    admin.says("This is shown once").await;
    let new = snippet(&admin, "Client Secret").await;
    assert_eq!(new.len(), 53);
    for secret in [&old, &new] {
        client.opens(&api, secret, PRODUCT).await;
    }
    open_mail(&admin, "The new client secret is in use: you may drop the old one").await;
    // Suspended: refused at the gateway within a second; and it goes on.
    let token = api.token_for(&client.id, &new, &client.scope).await;
    admin.open(&path).await;
    for (button, status) in [("Suspend", StatusCode::UNAUTHORIZED), ("Resume", StatusCode::OK)] {
        admin.press(button).await;
        let from = Instant::now();
        while api.get(PRODUCT, &token).await.status != status {
            assert!(from.elapsed() < Duration::from_secs(1), "{button} is not in force after a second");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    program.result(&["clock", "set", "+31d"]);
    let refused = client.ends(&api, &old).await;
    assert!(refused.contains("was replaced and retired"), "{refused}");
    client.opens(&api, &new, PRODUCT).await;

    // The machine rotates by itself, with the script of the page. With a secret that is over it changes nothing.
    let (folder, ca_file) = (program.data_dir(), program.ready.ca_file.clone().unwrap());
    std::fs::write(folder.join("client_secret"), &old).unwrap();
    assert!(!run_script(&script, &folder, &ca_file));
    assert_eq!(std::fs::read_to_string(folder.join("client_secret")).unwrap(), old);
    std::fs::write(folder.join("client_secret"), &new).unwrap();
    assert!(run_script(&script, &folder, &ca_file));
    let machine = std::fs::read_to_string(folder.join("client_secret")).unwrap();
    for secret in [&new, &machine] {
        client.opens(&api, secret, PRODUCT).await;
    }

    // The Service Desk renews by mail. Two work at present, so it asks before the older one ends.
    come_back(&admin, &format!("/portal/api-services?client={}", client.id)).await;
    admin.press("Submit").await;
    admin.says("may end: at most two secrets work").await;
    admin.screenshot("api-services").await;
    admin.tick("The older of the client's two secrets may end at once").await;
    admin.press("Submit").await;
    admin.says("Request SPOR API Services: PMS for ORG-100000001").await;
    admin.screenshot("api-requests").await;
    let refused = client.ends(&api, &new).await;
    assert!(refused.contains("was replaced and retired"), "{refused}");
    open_mail(&admin, "Your API credentials: PMS Industry API").await;
    let desk = mailed_secrets(&program).last().unwrap().clone();
    for secret in [&machine, &desk] {
        client.opens(&api, secret, PRODUCT).await;
    }

    // Two years later: the reminder, then the end.
    program.result(&["clock", "set", "+760d"]);
    let begun = Instant::now();
    let subject = loop {
        let all = mails(&program, ADMIN);
        let mut subjects = all.iter().filter_map(|mail| mail["subject"].as_str());
        if let Some(subject) = subjects.find(|one| one.starts_with("API secret of ERP link expires")) {
            break subject.to_owned();
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "no reminder among {all:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    open_mail(&admin, &subject).await;
    admin.says(&client.id).await;
    admin.says("/api/v1/client/secrets").await;
    admin.screenshot("expiry-reminder").await;
    client.opens(&api, &desk, PRODUCT).await;
    program.result(&["clock", "set", "+762d"]);
    let refused = client.ends(&api, &desk).await;
    assert!(refused.contains("expired") && refused.contains("renew"), "{refused}");

    // Renewal.
    come_back(&admin, "/portal/expiring").await;
    admin.says("ERP link").await;
    admin.says("expired").await;
    admin.screenshot("expiring").await;
    admin.open("/portal/notifications").await;
    admin.press("Make a calendar address").await;
    admin.says("calendar.ics?key=").await;
    admin.open(&rotate).await;
    admin.press("Make a new secret").await;
    let renewed = snippet(&admin, "Client Secret").await;
    client.opens(&api, &renewed, PENDING).await;
    admin.close().await;

    assert_eq!(program.result(&["audit", "verify"])["broken"], Value::Null);
    let log = program.log();
    assert!(log.contains("/portal/clients/"), "requests are logged here");
    secrets.extend([old, new, machine, desk, renewed]);
    for secret in secrets {
        assert!(!log.contains(&secret[4..]), "the log has a secret");
    }
}
