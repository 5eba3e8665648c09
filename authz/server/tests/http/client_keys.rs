//! Clients that publish their keys themselves (`jwks_uri`): when their address is read, and what it may not be.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use access_token::{ProofAlgorithm, testing::ClientSigner};
use authz_domain::Actor;
use authz_server::NewProof;
use database::testing::TestDatabase;
use serde_json::json;
use tempfile::TempDir;
use time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::{
    harness::{Answer, TestAuthz, new_client},
    portal_mail::acceptor,
    private_key_jwt::{Signing, body, key_set},
};

/// A client's own web server.
struct Publisher {
    port: u16,
    /// What it answers, whole.
    answer: Arc<Mutex<Vec<u8>>>,
    asked: Arc<AtomicUsize>,
    certificate: String,
}

impl Publisher {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (acceptor, certificate) = acceptor();
        let (answer, asked) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let (shown, counted) = (Arc::clone(&answer), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut head = [0; 2048];
                let _ = stream.read(&mut head).await;
                counted.fetch_add(1, Ordering::SeqCst);
                let answer = shown.lock().unwrap().clone();
                let _ = stream.write_all(&answer).await;
                let _ = stream.shutdown().await;
            }
        });
        Self { port, answer, asked, certificate }
    }

    fn answers(&self, status: &str, more: &str, body: &[u8]) {
        let head =
            format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{more}\r\n", body.len());
        *self.answer.lock().unwrap() = [head.as_bytes(), body].concat();
    }

    fn publishes(&self, keys: &[(&ClientSigner, &str)]) {
        let keys: Vec<_> = keys.iter().map(|(signer, kid)| signer.jwk(Some(kid))).collect();
        self.answers("200 OK", "", &key_set(&keys));
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn address(&self) -> String {
        format!("https://localhost:{}/jwks.json", self.port)
    }
}

struct Stage {
    authz: TestAuthz,
    publisher: Publisher,
    client: Signing,
    _folder: TempDir,
}

impl Stage {
    async fn set() -> Self {
        let publisher = Publisher::start().await;
        let folder = tempfile::tempdir().unwrap();
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, &publisher.certificate).unwrap();
        let authz = TestAuthz::on(TestDatabase::sqlite().await, |settings| {
            settings.client_keys.allowed_networks =
                vec!["127.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()];
            settings.client_keys.ca_file = Some(ca_file);
        })
        .await;
        let proof = NewProof::KeysAt(publisher.address());
        let made = authz.acts().create_client_with(Actor::Operator, new_client(), proof).await.unwrap();
        let client = Signing { id: made.client_id, signer: ClientSigner::generate(ProofAlgorithm::Es256) };
        Self { authz, publisher, client, _folder: folder }
    }

    async fn ask_with(&self, signer: &ClientSigner, kid: &str, jti: &str) -> Answer {
        let assertion = signer.sign(json!({ "kid": kid }), &self.client.claims(&self.authz, jti));
        self.authz.post("/oauth2/token", &body(&assertion)).await
    }

    async fn ask(&self, jti: &str) -> Answer {
        self.ask_with(&self.client.signer, "k1", jti).await
    }
}

#[tokio::test]
async fn published_keys_are_read_once_and_kept() {
    let stage = Stage::set().await;
    stage.publisher.publishes(&[(&stage.client.signer, "k1")]);
    for jti in ["1", "2", "3"] {
        let answer = stage.ask(jti).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    assert_eq!(stage.publisher.asked(), 1);
    stage.authz.clock.advance(Duration::minutes(10));
    assert_eq!(stage.ask("4").await.status, 200);
    assert_eq!(stage.publisher.asked(), 2, "fresh for ten minutes");
}

#[tokio::test]
async fn an_unknown_key_is_looked_for_once_in_a_while() {
    let stage = Stage::set().await;
    stage.publisher.publishes(&[(&stage.client.signer, "k1")]);
    assert_eq!(stage.ask("1").await.status, 200);
    let new = ClientSigner::generate(ProofAlgorithm::Rs256);
    stage.publisher.publishes(&[(&stage.client.signer, "k1"), (&new, "k2")]);
    assert_eq!(stage.ask_with(&new, "k2", "2").await.status, 401, "it was read a moment ago");
    assert_eq!(stage.publisher.asked(), 1);
    stage.authz.clock.advance(Duration::seconds(31));
    let answer = stage.ask_with(&new, "k2", "3").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(stage.publisher.asked(), 2);
    assert_eq!(stage.ask_with(&new, "k3", "4").await.status, 401);
    assert_eq!(stage.publisher.asked(), 2, "a stranger's signatures make nobody ask");
}

#[tokio::test]
async fn a_withdrawn_key_is_forgotten_and_a_dead_address_is_borne_for_an_hour() {
    let stage = Stage::set().await;
    stage.publisher.publishes(&[(&stage.client.signer, "k1")]);
    assert_eq!(stage.ask("1").await.status, 200);
    stage.publisher.answers("503 Service Unavailable", "", b"");
    stage.authz.clock.advance(Duration::minutes(50));
    assert_eq!(stage.ask("2").await.status, 200, "the known key goes on");
    stage.authz.clock.advance(Duration::minutes(11));
    assert_eq!(stage.ask("3").await.status, 401, "but not for ever");
    stage.publisher.publishes(&[(&stage.client.signer, "k1")]);
    stage.authz.clock.advance(Duration::minutes(1));
    assert_eq!(stage.ask("4").await.status, 200);
    let other = ClientSigner::generate(ProofAlgorithm::Es256);
    stage.publisher.publishes(&[(&other, "k2")]);
    stage.authz.clock.advance(Duration::minutes(11));
    assert_eq!(stage.ask("5").await.status, 401, "withdrawn");
}

#[tokio::test]
async fn answers_that_are_no_key_set_give_no_token() {
    let stage = Stage::set().await;
    let good = key_set(&[stage.client.signer.jwk(Some("k1"))]);
    let padded = [good.clone(), vec![b' '; 65 * 1024]].concat();
    let elsewhere = format!("location: {}\r\n", stage.publisher.address());
    for (what, status, more, answer) in [
        ("a redirection", "302 Found", elsewhere.as_str(), &good[..]),
        ("an error", "404 Not Found", "", &good),
        ("too much", "200 OK", "", &padded),
        ("no JSON", "200 OK", "", b"<html>"),
        ("no keys", "200 OK", "", br#"{"keys":[]}"#),
        ("a shared secret", "200 OK", "", br#"{"keys":[{"kty":"oct","k":"AAAA","kid":"k1"}]}"#),
    ] {
        stage.publisher.answers(status, more, answer);
        stage.authz.clock.advance(Duration::hours(2));
        let refused = stage.ask(what).await;
        assert_eq!(refused.verdict(), (401, "invalid_client".to_owned()), "{what}");
    }
    stage.publisher.answers("200 OK", "", &good);
    stage.authz.clock.advance(Duration::hours(2));
    assert_eq!(stage.ask("good").await.status, 200);
}

#[tokio::test]
async fn a_name_that_leads_inside_is_not_asked() {
    let publisher = Publisher::start().await;
    let authz = TestAuthz::start().await;
    let signer = ClientSigner::generate(ProofAlgorithm::Es256);
    publisher.publishes(&[(&signer, "k1")]);
    let proof = NewProof::KeysAt(publisher.address());
    let made = authz.acts().create_client_with(Actor::Operator, new_client(), proof).await.unwrap();
    let client = Signing { id: made.client_id, signer };
    let answer = authz.post("/oauth2/token", &body(&client.assertion(&authz, "1"))).await;
    assert_eq!(answer.status, 401);
    assert_eq!(publisher.asked(), 0);
}
