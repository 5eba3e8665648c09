//! Mail over a real conversation with a server: authentication, delivery, a refusal and the next try.

use std::sync::{Arc, Mutex};

use time::Duration;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::portal_visitor::Portal;

/// A mail server that takes what it is given, after refusing as many as it was told to.
struct MailServer {
    port: u16,
    taken: Arc<Mutex<Vec<String>>>,
}

impl MailServer {
    async fn start(refusals: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&taken);
        tokio::spawn(async move {
            let mut left = refusals;
            while let Ok((stream, _)) = listener.accept().await {
                converse(stream, &kept, &mut left).await;
            }
        });
        Self { port, taken }
    }
}

/// One SMTP conversation (RFC 5321), with AUTH PLAIN (RFC 4954).
async fn converse(stream: TcpStream, taken: &Mutex<Vec<String>>, refusals: &mut usize) -> Option<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 mail.example\r\n").await.ok()?;
    let (mut mail, mut in_data, mut known) = (String::new(), false, false);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return Some(());
        }
        let answer = if in_data {
            if line == ".\r\n" {
                in_data = false;
                if *refusals > 0 {
                    *refusals -= 1;
                    "451 try later\r\n"
                } else {
                    taken.lock().unwrap().push(std::mem::take(&mut mail));
                    "250 taken\r\n"
                }
            } else {
                mail.push_str(&line);
                continue;
            }
        } else {
            match line.get(..4).unwrap_or_default().to_ascii_uppercase().as_str() {
                "EHLO" => "250-mail.example\r\n250 AUTH PLAIN\r\n",
                // \0pmsgate\0hush
                "AUTH" if line.trim_end() == "AUTH PLAIN AHBtc2dhdGUAaHVzaA==" => {
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
                    return Some(());
                }
                _ => "250 fine\r\n",
            }
        };
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}

#[tokio::test]
async fn mail_goes_to_a_server_and_is_tried_again_until_it_takes_it() {
    let server = MailServer::start(1).await;
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "hush\n").unwrap();
    let portal = Portal::with(|settings| {
        settings.mail.host = Some("127.0.0.1".to_owned());
        settings.mail.port = Some(server.port);
        settings.mail.tls = config::MailTls::Off;
        settings.mail.username = Some("pmsgate".to_owned());
        settings.mail.password_file = Some(password);
        settings.mail.sender = "Portal <portal@agency.example>".to_owned();
    })
    .await;
    portal.account("ana.silva@medco.example", &[]).await;
    let mut person = portal.person();
    assert_eq!(person.get("/portal/mailbox").await.status, 404, "there is a server: no mailbox to read");
    person.get("/portal/recover/user-name").await;
    person.post("/portal/recover/user-name", &[("email", "ana.silva@medco.example")]).await;
    portal.authz.authz.deliver_messages().await;
    assert_eq!(server.taken.lock().unwrap().len(), 0, "refused once");
    portal.authz.authz.deliver_messages().await;
    assert_eq!(server.taken.lock().unwrap().len(), 0, "not before it is due");
    portal.authz.clock.advance(Duration::minutes(1));
    portal.authz.authz.deliver_messages().await;
    portal.authz.authz.deliver_messages().await;
    let taken = server.taken.lock().unwrap().clone();
    assert_eq!(taken.len(), 1, "once");
    for words in [
        "From: Portal <portal@agency.example>",
        "Subject: Your user name",
        "multipart/alternative",
        "Message-ID: <",
    ] {
        assert!(taken[0].contains(words), "{words}: {}", taken[0]);
    }
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
