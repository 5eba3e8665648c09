//! A browser without a script engine: cookies, forms, redirects, and the mail that arrives meanwhile.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};

use authz_domain::{Actor, totp_code};
use authz_server::NewAccount;
use axum::body::Body;
use config::Settings;
use database::testing::TestDatabase;
use http::Request;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Answer, TestAuthz, escaped};

pub(crate) const PASSWORD: &str = "correct Horse 9 staple";

/// The portal with a mail spool, the demo organisations and a network.
pub(crate) struct Portal {
    pub(crate) authz: TestAuthz,
    spool: TempDir,
}

/// Somebody at a browser, at an address of their own.
pub(crate) struct Person<'p> {
    pub(crate) portal: &'p Portal,
    pub(crate) cookie: String,
    pub(crate) address: String,
    pub(crate) page: Answer,
}

impl Portal {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::on(TestDatabase::sqlite().await, change).await
    }

    pub(crate) async fn on(database: TestDatabase, change: impl FnOnce(&mut Settings)) -> Self {
        let spool = tempfile::tempdir().unwrap();
        let folder = spool.path().to_owned();
        let authz = TestAuthz::on(database, |settings| {
            settings.mail.spool_dir = Some(folder);
            change(settings);
        })
        .await;
        let csv = "id,name,country,category,address,parent\n\
            ORG-100000002,Nordlicht,SE,industry,,\n\
            ORG-100000301,Kidney Network,NL,network,Plein 1,\n\
            ORG-100000311,Ziekenhuis,NL,centre,Plein 2,ORG-100000301\n";
        authz.acts().import_organisations(Actor::Operator, "networks.csv", csv).await.unwrap();
        Self { authz, spool }
    }

    pub(crate) fn person(&self) -> Person<'_> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let page =
            Answer { status: http::StatusCode::OK, headers: http::HeaderMap::new(), text: String::new() };
        Person {
            portal: self,
            cookie: String::new(),
            address: format!("192.0.2.{}:{}", n % 250, 1000 + n),
            page,
        }
    }

    /// An account that an operator opened; answers its id.
    pub(crate) async fn account(&self, email: &str, roles: &[(&str, Option<&str>)]) -> String {
        let new = NewAccount {
            email: email.to_owned(),
            first_name: "Ana".to_owned(),
            last_name: "Silva".to_owned(),
            password: Some(PASSWORD.to_owned()),
            roles: roles
                .iter()
                .map(|(role, at)| ((*role).to_owned(), at.map(|id| id.parse().unwrap())))
                .collect(),
        };
        self.authz.acts().open_account(Actor::Operator, new).await.unwrap().id
    }

    /// Somebody with an account, signed in.
    pub(crate) async fn signed_in(&self, email: &str, roles: &[(&str, Option<&str>)]) -> Person<'_> {
        self.account(email, roles).await;
        let mut person = self.person();
        person.sign_in(email, PASSWORD).await;
        person
    }

    /// An agency administrator with a second factor, signed in.
    pub(crate) async fn agency(&self, email: &str) -> Person<'_> {
        let mut person = self.signed_in(email, &[("agency-admin", None)]).await;
        person.enrol_app().await;
        person
    }

    /// Everything that was mailed or texted to somebody, oldest first.
    pub(crate) async fn mails(&self, to: &str) -> Vec<Value> {
        self.authz.authz.deliver_messages().await;
        let mut files: Vec<_> = std::fs::read_dir(self.spool.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|kind| kind == "json"))
            .collect();
        // The clock stands still: files of one moment are told apart by when they were written.
        files.sort_by_key(|path| std::fs::metadata(path).unwrap().modified().unwrap());
        files
            .iter()
            .map(|path| serde_json::from_slice::<Value>(&std::fs::read(path).unwrap()).unwrap())
            .filter(|mail| mail["to"] == to)
            .collect()
    }

    /// The one-time token in the last mail to somebody that has one.
    pub(crate) async fn code(&self, to: &str) -> String {
        let is_code = |word: &&str| {
            word.len() == 9
                && word.as_bytes()[4] == b'-'
                && word.bytes().filter(u8::is_ascii_digit).count() == 8
        };
        let code_of =
            |mail: &Value| mail["text"].as_str().unwrap().split_whitespace().find(is_code).map(str::to_owned);
        self.mails(to).await.iter().rev().find_map(code_of).unwrap_or_else(|| panic!("no code to {to}"))
    }
}

/// The value that follows `before` up to the next quote.
pub(crate) fn after<'t>(text: &'t str, before: &str) -> Option<&'t str> {
    text.split_once(before)?.1.split('"').next()
}

impl Person<'_> {
    pub(crate) fn csrf(&self) -> String {
        after(&self.page.text, "name=\"csrf\" value=\"").unwrap_or_default().to_owned()
    }

    /// The value of a hidden field on the page.
    pub(crate) fn hidden(&self, name: &str) -> String {
        after(&self.page.text, &format!("name=\"{name}\" value=\"")).unwrap_or_default().to_owned()
    }

    pub(crate) async fn send(&mut self, mut request: Request<Body>) -> &Answer {
        if !self.cookie.is_empty() {
            request.headers_mut().insert("cookie", self.cookie.parse().unwrap());
        }
        let answer = self.portal.authz.send_from(&self.address, request).await;
        for value in answer.headers.get_all("set-cookie") {
            let value = value.to_str().unwrap();
            assert!(
                value.contains("; Secure; HttpOnly; SameSite=Lax") && value.contains("; Path=/"),
                "{value}"
            );
            value.split(';').next().unwrap().clone_into(&mut self.cookie);
        }
        self.page = answer;
        &self.page
    }

    pub(crate) async fn get(&mut self, path: &str) -> &Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// Sends a form with the hash of the page, and follows one redirect.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> &Answer {
        self.post_only(path, fields).await;
        if self.page.status == 303 {
            let next = self.page.header("location").to_owned();
            self.get(&next).await;
        }
        &self.page
    }

    pub(crate) async fn post_only(&mut self, path: &str, fields: &[(&str, &str)]) -> &Answer {
        let mut body = format!("csrf={}", self.csrf());
        for (name, value) in fields {
            body.extend(["&", name, "=", &escaped(value)]);
        }
        let request = Request::post(path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(body))
            .unwrap();
        self.send(request).await
    }

    /// Attaches a file with the form of the page.
    pub(crate) async fn upload(&mut self, path: &str, name: &str, content: &[u8]) -> &Answer {
        self.post_with_file(path, &[("do", "attach")], name, content).await
    }

    /// Sends a form with a file, as browsers do, and follows no redirect.
    pub(crate) async fn post_with_file(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
        name: &str,
        content: &[u8],
    ) -> &Answer {
        let mut body = String::new();
        let csrf = self.csrf();
        for (name, value) in [("csrf", csrf.as_str())].iter().chain(fields) {
            write!(body, "--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
                .unwrap();
        }
        write!(
            body,
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: application/pdf\r\n\r\n"
        )
        .unwrap();
        let mut body = body.into_bytes();
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n--b--\r\n");
        let request = Request::post(path)
            .header("content-type", "multipart/form-data; boundary=b")
            .body(Body::from(body))
            .unwrap();
        self.send(request).await
    }

    pub(crate) async fn sign_in(&mut self, name: &str, password: &str) -> &Answer {
        self.get("/portal/sign-in").await;
        self.post("/portal/sign-in", &[("name", name), ("password", password)]).await
    }

    /// Sets up an authenticator app; answers its secret as typed.
    pub(crate) async fn enrol_app(&mut self) -> Vec<u8> {
        self.get("/portal/account/second-factor").await;
        self.post("/portal/account/second-factor", &[("do", "start"), ("current", PASSWORD)]).await;
        let key = self
            .page
            .text
            .split("<dt>Key</dt><dd>")
            .nth(1)
            .unwrap()
            .split('<')
            .next()
            .unwrap()
            .replace(' ', "");
        assert!(self.page.text.contains("<svg class=\"qr\""));
        let secret = from_base32(&key);
        let code = totp_code(&secret, self.portal.authz.clock.now());
        self.post("/portal/account/second-factor", &[("do", "confirm"), ("code", &code)]).await;
        assert!(self.page.text.contains("Your recovery codes"), "{}", self.page.text);
        secret
    }

    /// Registers, confirms and signs in.
    pub(crate) async fn register(&mut self, email: &str) -> &Answer {
        self.begin_registration(email).await;
        self.answer_questions().await;
        let code = self.portal.code(email).await;
        let (r, t) = (self.hidden("r"), self.hidden("t"));
        self.post("/portal/register/confirm", &[("r", &r), ("t", &t), ("code", &code), ("do", "next")]).await;
        assert!(self.page.text.contains("Your account is active"), "{}", self.page.text);
        self.sign_in(email, PASSWORD).await
    }

    pub(crate) async fn begin_registration(&mut self, email: &str) -> &Answer {
        self.get("/portal/register").await;
        let answer = self.challenge();
        let token = self.hidden("challenge_token");
        let fields = registration(email, &answer, &token);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.post("/portal/register", &fields).await
    }

    pub(crate) async fn answer_questions(&mut self) -> &Answer {
        let r = self.hidden("r");
        let fields = [
            ("r", r.as_str()),
            ("q1", "0"),
            ("a1", "Blue School"),
            ("q2", "1"),
            ("a2", "Gent"),
            ("q3", "2"),
            ("a3", "ACME"),
        ];
        self.post("/portal/register/questions", &fields).await
    }

    /// The answer to the question on the page.
    pub(crate) fn challenge(&self) -> String {
        let words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
        let question = self.page.text.split("How much is ").nth(1).unwrap().split('?').next().unwrap();
        let sum: usize =
            question.split(" plus ").map(|word| words.iter().position(|one| *one == word).unwrap()).sum();
        sum.to_string()
    }
}

pub(crate) fn registration(email: &str, challenge: &str, token: &str) -> Vec<(&'static str, String)> {
    vec![
        ("first_name", "Ana".to_owned()),
        ("last_name", "Silva".to_owned()),
        ("email", email.to_owned()),
        ("email_again", email.to_owned()),
        ("password", PASSWORD.to_owned()),
        ("password_again", PASSWORD.to_owned()),
        ("phone", "+31 6 1234 5678".to_owned()),
        ("second_contact", String::new()),
        ("language", "en".to_owned()),
        ("privacy", "yes".to_owned()),
        ("challenge", challenge.to_owned()),
        ("challenge_token", token.to_owned()),
    ]
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
