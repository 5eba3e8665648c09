//! Messages over real conversations: an SMTP server without and with TLS, a provider of text messages; what they refuse
//! is tried again ever more rarely and shown to the operator, and nothing of it is logged.

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use config::{MailTls, Settings};
use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use time::Duration;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, rustls};

use crate::portal_visitor::{PASSWORD, Portal};

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A mail server that takes what it is given, after refusing as many as it was told to.
pub(crate) struct MailServer {
    port: u16,
    taken: Arc<Mutex<Vec<String>>>,
    /// Its certificate, when it speaks TLS.
    ca_file: Option<PathBuf>,
}

impl MailServer {
    pub(crate) async fn start(tls: MailTls, refusals: usize, folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&taken);
        let (acceptor, certificate) = acceptor();
        let ca_file = (tls != MailTls::Off).then(|| folder.join("mail-ca.pem"));
        if let Some(path) = &ca_file {
            std::fs::write(path, certificate).unwrap();
        }
        tokio::spawn(async move {
            let mut left = refusals;
            while let Ok((stream, _)) = listener.accept().await {
                serve(stream, tls, &acceptor, &kept, &mut left).await;
            }
        });
        Self { port, taken, ca_file }
    }

    /// Settings that send to it.
    pub(crate) fn configure(&self, settings: &mut Settings, tls: MailTls, password: &Path) {
        settings.mail.host = Some("localhost".to_owned());
        settings.mail.port = Some(self.port);
        settings.mail.tls = tls;
        settings.mail.ca_file.clone_from(&self.ca_file);
        settings.mail.username = Some("pmsgate".to_owned());
        settings.mail.password_file = Some(password.to_owned());
        "Portal <portal@agency.example>".clone_into(&mut settings.mail.sender);
        settings.mail.timeout = config::Span::seconds(5);
    }

    pub(crate) fn taken(&self) -> Vec<String> {
        self.taken.lock().unwrap().clone()
    }
}

/// TLS with a certificate of its own, and the certificate.
pub(crate) fn acceptor() -> (TlsAcceptor, String) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let server = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .unwrap();
    (TlsAcceptor::from(Arc::new(server)), certificate.pem())
}

async fn serve(
    stream: TcpStream,
    tls: MailTls,
    acceptor: &TlsAcceptor,
    taken: &Mutex<Vec<String>>,
    refusals: &mut usize,
) -> Option<()> {
    match tls {
        MailTls::Off => converse(stream, true, true, taken, refusals).await.map(|_| ()),
        MailTls::Tls => {
            let stream = acceptor.accept(stream).await.ok()?;
            converse(stream, true, true, taken, refusals).await.map(|_| ())
        }
        MailTls::Starttls => {
            // In the clear it takes no mail and no password.
            let stream = converse(stream, true, false, taken, refusals).await??;
            let stream = acceptor.accept(stream).await.ok()?;
            converse(stream, false, true, taken, refusals).await.map(|_| ())
        }
    }
}

/// One SMTP conversation (RFC 5321) with AUTH PLAIN (RFC 4954), or up to STARTTLS (RFC 3207): then it gives the stream back.
async fn converse<S: Stream>(
    stream: S,
    greets: bool,
    private: bool,
    taken: &Mutex<Vec<String>>,
    refusals: &mut usize,
) -> Option<Option<S>> {
    let mut stream = BufReader::new(stream);
    if greets {
        stream.write_all(b"220 mail.example\r\n").await.ok()?;
    }
    let (mut mail, mut in_data, mut known) = (String::new(), false, false);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return Some(None);
        }
        if in_data && line != ".\r\n" {
            mail.push_str(&line);
            continue;
        }
        let answer = if in_data {
            in_data = false;
            if *refusals > 0 {
                *refusals -= 1;
                "451 try later\r\n"
            } else {
                taken.lock().unwrap().push(std::mem::take(&mut mail));
                "250 taken\r\n"
            }
        } else {
            match line.get(..4).unwrap_or_default().to_ascii_uppercase().as_str() {
                "EHLO" if private => "250-mail.example\r\n250 AUTH PLAIN\r\n",
                "EHLO" => "250-mail.example\r\n250 STARTTLS\r\n",
                "STAR" if !private => {
                    stream.write_all(b"220 go on\r\n").await.ok()?;
                    return Some(Some(stream.into_inner()));
                }
                // \0pmsgate\0hush
                "AUTH" if private && line.trim_end() == "AUTH PLAIN AHBtc2dhdGUAaHVzaA==" => {
                    known = true;
                    "235 welcome\r\n"
                }
                "AUTH" => "535 who?\r\n",
                "MAIL" if !known => "530 who?\r\n",
                "DATA" => {
                    in_data = true;
                    "354 go on\r\n"
                }
                "QUIT" => {
                    stream.write_all(b"221 bye\r\n").await.ok()?;
                    return Some(None);
                }
                _ => "250 fine\r\n",
            }
        };
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}

/// A folder with the password of the mail server.
pub(crate) fn password(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

/// Somebody asks for their user name, which is mailed.
async fn ask_user_name(portal: &Portal) {
    let mut person = portal.person();
    person.get("/portal/recover/user-name").await;
    person.post("/portal/recover/user-name", &[("email", "ana.silva@medco.example")]).await;
    portal.authz.authz.deliver_messages().await;
}

#[tokio::test]
async fn mail_goes_to_a_server_and_is_tried_again_until_it_takes_it() {
    for tls in [MailTls::Off, MailTls::Starttls, MailTls::Tls] {
        let (folder, password) = password("hush\n");
        let server = MailServer::start(tls, 1, folder.path()).await;
        let portal = Portal::with(|settings| server.configure(settings, tls, &password)).await;
        portal.account("ana.silva@medco.example", &[]).await;
        let mut person = portal.person();
        assert_eq!(person.get("/portal/mailbox").await.status, 404, "there is a server: no mailbox to read");
        ask_user_name(&portal).await;
        assert_eq!(server.taken().len(), 0, "{tls:?}: refused once");
        portal.authz.authz.deliver_messages().await;
        assert_eq!(server.taken().len(), 0, "{tls:?}: not before it is due");
        portal.authz.clock.advance(Duration::minutes(1));
        portal.authz.authz.deliver_messages().await;
        portal.authz.authz.deliver_messages().await;
        let taken = server.taken();
        assert_eq!(taken.len(), 1, "{tls:?}: once");
        for words in [
            "From: Portal <portal@agency.example>",
            "Subject: Your user name",
            "multipart/alternative",
            "Message-ID: <",
        ] {
            assert!(taken[0].contains(words), "{words}: {}", taken[0]);
        }
    }
}

#[tokio::test]
async fn a_server_that_cannot_prove_who_it_is_gets_neither_mail_nor_password() {
    for tls in [MailTls::Starttls, MailTls::Tls] {
        let (folder, password) = password("hush\n");
        let server = MailServer::start(tls, 0, folder.path()).await;
        let portal = Portal::with(|settings| {
            server.configure(settings, tls, &password);
            settings.mail.ca_file = None;
        })
        .await;
        portal.account("ana.silva@medco.example", &[]).await;
        ask_user_name(&portal).await;
        assert_eq!(server.taken().len(), 0, "{tls:?}");
    }
    // A server that offers no STARTTLS gets nothing either.
    let (folder, password) = password("hush\n");
    let server = MailServer::start(MailTls::Off, 0, folder.path()).await;
    let portal = Portal::with(|settings| server.configure(settings, MailTls::Starttls, &password)).await;
    portal.account("ana.silva@medco.example", &[]).await;
    ask_user_name(&portal).await;
    assert_eq!(server.taken().len(), 0);
}

/// A provider of text messages that refuses as often as it was told to, and keeps what it was sent.
async fn provider(refusals: usize) -> (u16, Arc<Mutex<Vec<String>>>) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let taken = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&taken);
    tokio::spawn(async move {
        let mut left = refusals;
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut text = String::new();
            let mut buffer = [0; 4096];
            // The body is JSON and ends with its brace.
            while !text.contains("\r\n\r\n") || !text.ends_with('}') {
                let Ok(read) = stream.read(&mut buffer).await else { break };
                if read == 0 {
                    break;
                }
                text.push_str(&String::from_utf8_lossy(&buffer[..read]));
            }
            kept.lock().unwrap().push(text);
            let status = if left > 0 { "503 Service Unavailable" } else { "202 Accepted" };
            left = left.saturating_sub(1);
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (port, taken)
}

#[tokio::test]
async fn text_messages_go_to_the_provider_and_its_refusals_are_shown_to_the_agency() {
    let (port, taken) = provider(3).await;
    let folder = tempfile::tempdir().unwrap();
    let authorization = folder.path().join("authorization");
    std::fs::write(&authorization, "Bearer hush-hush\n").unwrap();
    let portal = Portal::with(|settings| {
        settings.portal.sms_url = Some(format!("http://127.0.0.1:{port}/send"));
        settings.portal.sms_body = r#"{"recipient":"{phone}","body":"{text}"}"#.to_owned();
        settings.portal.sms_authorization_file = Some(authorization);
    })
    .await;
    let mut agency = portal.agency("grace.hall@agency.example").await;
    let mut person = portal.signed_in("ana.silva@medco.example", &[]).await;
    person.get("/portal/account").await;
    person.post("/portal/account", &[("phone", "+31 6 1234 5678"), ("language", "en"), ("do", "next")]).await;
    person.get("/portal/account/second-factor").await;
    person.post("/portal/account/second-factor", &[("do", "phone"), ("current", PASSWORD)]).await;
    // Tried after 30 s, 60 s, 120 s: each pause twice the one before.
    for (advance, tries) in [(0, 1), (29, 1), (1, 2), (59, 2), (1, 3)] {
        portal.authz.clock.advance(Duration::seconds(advance));
        portal.authz.authz.deliver_messages().await;
        assert_eq!(taken.lock().unwrap().len(), tries, "after {advance} s more");
    }
    let page = agency.get("/portal/messages").await;
    for words in
        ["Not sent yet: 1", "text-message", "the provider of text messages did not take it", "<td>3</td>"]
    {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    assert!(!page.text.contains("31612345678"), "to whom is nobody's business");
    assert_eq!(person.get("/portal/messages").await.status, 404);
    agency.get("/portal/messages").await;
    agency.post("/portal/messages", &[("do", "again")]).await;
    let record = agency.get("/portal/audit?act=messages.retried").await;
    assert!(record.text.contains("waiting: 1") && record.text.contains("Ana Silva"), "{}", record.text);
    portal.authz.authz.deliver_messages().await;
    assert!(agency.get("/portal/messages").await.text.contains("Nothing waits"));
    let all = taken.lock().unwrap().clone();
    assert_eq!(all.len(), 4);
    let last = all.last().unwrap().to_ascii_lowercase();
    assert!(
        last.starts_with("post /send ") && last.contains("authorization: bearer hush-hush\r\n"),
        "{last}"
    );
    assert!(last.contains("content-type: application/json"), "{last}");
    let body: serde_json::Value = serde_json::from_str(last.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(body["recipient"], "+31612345678");
    assert!(body["body"].as_str().unwrap().ends_with("is your code for pmsgate."), "{body}");
}

/// Where a test's log goes.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn what_fails_is_logged_without_secrets_codes_or_people() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let (folder, password) = password("wrong-hush\n");
    let server = MailServer::start(MailTls::Off, 0, folder.path()).await;
    let (port, _taken) = provider(9).await;
    let authorization = folder.path().join("authorization");
    std::fs::write(&authorization, "Bearer hush-hush").unwrap();
    let portal = Portal::with(|settings| {
        server.configure(settings, MailTls::Off, &password);
        settings.portal.sms_url = Some(format!("http://127.0.0.1:{port}/send?key=hush-hush"));
        settings.portal.sms_authorization_file = Some(authorization);
    })
    .await;
    let mut person = portal.signed_in("ana.silva@medco.example", &[]).await;
    ask_user_name(&portal).await;
    person.get("/portal/account").await;
    person.post("/portal/account", &[("phone", "+31 6 1234 5678"), ("language", "en"), ("do", "next")]).await;
    person.get("/portal/account/second-factor").await;
    person.post("/portal/account/second-factor", &[("do", "phone"), ("current", PASSWORD)]).await;
    portal.authz.authz.deliver_messages().await;
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.matches("a message was not sent").count(), 2, "{text}");
    for secret in ["hush", "ana.silva", "31612345678", PASSWORD, "is your code", "d3JvbmctaHVzaA"] {
        assert!(!text.contains(secret), "{secret} is in the log: {text}");
    }
    assert_eq!(server.taken().len(), 0);
}

#[tokio::test]
async fn a_message_is_sealed_while_it_waits_and_wiped_when_sent() {
    let portal = Portal::start().await;
    let mut person = portal.person();
    person.begin_registration("ana.silva@medco.example").await;
    person.answer_questions().await;
    let database = portal.authz.database.database();
    let now = portal.authz.clock.now();
    let mut work = database.begin().await.unwrap();
    let claimed =
        authz_store::outbox::claim_due(&mut work.db(), now, Duration::SECOND).await.unwrap().unwrap();
    work.rollback().await.unwrap();
    assert!(!claimed.sealed.as_deref().unwrap_or_default().contains("medco"), "{claimed:?}");
    let code = portal.code("ana.silva@medco.example").await;
    assert_eq!(code.len(), 9);
    let mut work = database.begin().await.unwrap();
    let left = authz_store::outbox::claim_due(&mut work.db(), now, Duration::SECOND).await.unwrap();
    assert_eq!(left, None);
}

#[tokio::test]
async fn people_read_their_mails_in_the_language_they_chose() {
    let portal = Portal::start().await;
    let email = "ana.silva@medco.example";
    let mut person = portal.person();
    person.get("/portal/register").await;
    let (answer, token) = (person.challenge(), person.hidden("challenge_token"));
    let mut fields = crate::portal_visitor::registration(email, &answer, &token);
    fields.retain(|(name, _)| *name != "language");
    fields.push(("language", "de".to_owned()));
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    person.post("/portal/register", &fields).await;
    person.answer_questions().await;
    let (code, r, t) = (portal.code(email).await, person.hidden("r"), person.hidden("t"));
    person.post("/portal/register/confirm", &[("r", &r), ("t", &t), ("code", &code), ("do", "next")]).await;
    person.sign_in(email, PASSWORD).await;
    person.get("/portal/account").await;
    person.post("/portal/account", &[("language", "fr"), ("phone", "+31612345678"), ("do", "next")]).await;
    person.get("/portal/account/second-factor").await;
    person.post("/portal/account/second-factor", &[("do", "phone"), ("current", PASSWORD)]).await;
    let texts = portal.mails("+31612345678").await;
    assert!(texts[0]["text"].as_str().unwrap().ends_with("est votre code pour pmsgate."), "{texts:?}");
    person.get("/portal/recover/user-name").await;
    person.post("/portal/recover/user-name", &[("email", email)]).await;
    let subjects: Vec<_> = portal.mails(email).await.iter().map(|mail| mail["subject"].clone()).collect();
    assert_eq!(
        subjects,
        ["Bestätigen Sie Ihre E-Mail-Adresse", "Ihr Konto ist eröffnet", "Votre nom d'utilisateur"]
    );
}
