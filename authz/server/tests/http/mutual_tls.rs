//! Clients that prove themselves by the certificate of their connection (RFC 8705): what is accepted, and every way to be
//! refused.

use std::{path::PathBuf, time::Instant};

use access_token::Confirmation;
use authz_domain::Actor;
use authz_server::{NewClient, NewProof};
use axum::body::Body;
use config::{ClientCertificates, Settings, Span};
use database::testing::TestDatabase;
use http::Request;
use http_service::ClientCertificate;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use serde_json::json;
use tempfile::TempDir;
use time::{Duration, OffsetDateTime, macros::datetime};
use tokio_util::task::TaskTracker;

use crate::{
    harness::{Answer, DEFAULT_SCOPE, START, TestAuthz, escaped, form_request, new_client, token_body},
    portal_visitor::Portal,
};

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn issuer() -> Issuer {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "client issuer");
    valid(&mut params, START + Duration::days(3650));
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn valid(params: &mut CertificateParams, until: OffsetDateTime) {
    (params.not_before, params.not_after) = (START - Duration::days(1), until);
}

/// A certificate for `name`, by an issuer or by itself, as PEM and as the listener hands it on.
fn certificate(name: &str, issuer: Option<&Issuer>, until: OffsetDateTime) -> (String, ClientCertificate) {
    let pair = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    valid(&mut params, until);
    let made = match issuer {
        Some(issuer) => params.signed_by(&pair, issuer).unwrap(),
        None => params.self_signed(&pair).unwrap(),
    };
    (made.pem(), ClientCertificate::new(vec![made.der().clone()]).unwrap())
}

const LONG: Duration = Duration::days(900);

struct Stage {
    authz: TestAuthz,
    issuer: Issuer,
    folder: TempDir,
}

impl Stage {
    async fn set() -> Self {
        let issuer = issuer();
        let folder = tempfile::tempdir().unwrap();
        let file: PathBuf = folder.path().join("issuers.pem");
        std::fs::write(&file, issuer.pem()).unwrap();
        let authz = Box::pin(TestAuthz::on(TestDatabase::sqlite().await, |settings| {
            settings.listen.client_certificates = ClientCertificates::Handshake;
            settings.listen.certificate_check = Span(std::time::Duration::from_millis(20));
            settings.client_keys.certificate_issuers_file = Some(file);
        }))
        .await;
        Self { authz, issuer, folder }
    }

    async fn client(&self, proof: NewProof) -> String {
        let made = self.authz.acts().create_client_with(Actor::Operator, new_client(), proof).await.unwrap();
        made.client_id.to_string()
    }

    async fn ask(&self, client: &str, shown: Option<&ClientCertificate>) -> Answer {
        let body =
            format!("grant_type=client_credentials&client_id={client}&scope={}", escaped(DEFAULT_SCOPE));
        self.send(form_request("/oauth2/token", &body), shown).await
    }

    async fn send(&self, mut request: Request<Body>, shown: Option<&ClientCertificate>) -> Answer {
        if let Some(shown) = shown {
            request.extensions_mut().insert(shown.clone());
        }
        self.authz.send(request).await
    }
}

fn refused() -> (u16, String) {
    (401, "invalid_client".to_owned())
}

#[tokio::test]
async fn a_registered_certificate_gives_a_token_that_is_bound_to_it() {
    let stage = Stage::set().await;
    let (pem, shown) = certificate("erp.example.org", None, START + LONG);
    let client = stage.client(NewProof::Certificate(pem.into_bytes())).await;
    let answer = stage.ask(&client, Some(&shown)).await;
    assert_eq!(answer.json()["token_type"], "Bearer", "{}", answer.text);
    let claims = stage.authz.verified(&answer.access_token(), "api://pmsgate/pms").await;
    assert_eq!(claims.cnf, Some(Confirmation::Certificate(shown.thumbprint().to_owned())));
    let view = stage.authz.acts().show_client(&client).await.unwrap();
    assert_eq!(view.method().unwrap().as_str(), "self_signed_tls_client_auth");

    let (_, same_name) = certificate("erp.example.org", None, START + LONG);
    let (_, issued) = certificate("erp.example.org", Some(&stage.issuer), START + LONG);
    for (what, shown, words) in [
        ("none", None, "or make the connection with the client's certificate"),
        ("another of the same name", Some(&same_name), "not registered with the certificate"),
        ("one of the issuer", Some(&issued), "not registered with the certificate"),
    ] {
        let answer = stage.ask(&client, shown).await;
        assert_eq!(answer.verdict(), refused(), "{what}");
        assert!(answer.description().contains(words), "{what}: {}", answer.text);
    }
    assert_eq!(stage.ask("nobody", Some(&shown)).await.verdict(), refused());
}

#[tokio::test]
async fn a_subject_needs_a_certificate_of_a_known_issuer_that_is_valid_now() {
    let stage = Stage::set().await;
    let client = stage.client(NewProof::Subject("dns:erp.example.org".to_owned())).await;
    let (_, good) = certificate("erp.example.org", Some(&stage.issuer), START + Duration::days(30));
    let answer = stage.ask(&client, Some(&good)).await;
    let claims = stage.authz.verified(&answer.access_token(), "api://pmsgate/pms").await;
    assert_eq!(claims.cnf, Some(Confirmation::Certificate(good.thumbprint().to_owned())));
    let (_, self_made) = certificate("erp.example.org", None, START + LONG);
    let (_, stranger) = certificate("erp.example.org", Some(&issuer()), START + LONG);
    let (_, other_name) = certificate("other.example.org", Some(&stage.issuer), START + LONG);
    let (_, expired) = certificate("erp.example.org", Some(&stage.issuer), START - Duration::hours(1));
    for (what, shown, words) in [
        ("signed by itself", &self_made, "not registered with the certificate"),
        ("of another issuer", &stranger, "not registered with the certificate"),
        ("for another name", &other_name, "not registered with the certificate"),
        ("expired", &expired, "the certificate of this connection expired at 2026-03-05T11:34:56Z"),
    ] {
        let answer = stage.ask(&client, Some(shown)).await;
        assert_eq!(answer.verdict(), refused(), "{what}");
        assert!(answer.description().contains(words), "{what}: {}", answer.text);
    }
    stage.authz.clock.advance(Duration::days(30) - Duration::minutes(10));
    let last = stage.ask(&client, Some(&good)).await;
    assert_eq!(last.json()["expires_in"], 600, "a token never outlives its certificate: {}", last.text);
    stage.authz.clock.advance(Duration::days(1));
    assert_eq!(stage.ask(&client, Some(&good)).await.verdict(), refused(), "its time is over");
    // The next certificate of the same name needs no registration.
    let (_, next) = certificate("erp.example.org", Some(&stage.issuer), START + LONG);
    assert_eq!(stage.ask(&client, Some(&next)).await.status, 200);
}

#[tokio::test]
async fn issuers_are_taken_anew_while_the_server_runs() {
    let stage = Stage::set().await;
    stage.authz.authz.spawn_tasks(&TaskTracker::new());
    let client = stage.client(NewProof::Subject("dns:erp.example.org".to_owned())).await;
    let next = issuer();
    let (_, of_next) = certificate("erp.example.org", Some(&next), START + LONG);
    let (_, of_first) = certificate("erp.example.org", Some(&stage.issuer), START + LONG);
    let works = async |shown| stage.ask(&client, Some(shown)).await.status == 200;
    let file = stage.folder.path().join("issuers.pem");
    let begun = Instant::now();
    // What cannot be used is passed over, however often it is looked at.
    std::fs::write(&file, "nothing").unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert!(works(&of_first).await);
    std::fs::write(&file, next.pem()).unwrap();
    while !works(&of_next).await {
        assert!(begun.elapsed().as_secs() < 20);
        // Strangers are slowed down, by the clock.
        stage.authz.clock.advance(Duration::MINUTE);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(!works(&of_first).await, "who is not in it any more is not believed");
    stage.authz.stop.cancel();
}

#[tokio::test]
async fn a_certificate_ends_by_itself_and_its_successor_works_beside_it() {
    let stage = Stage::set().await;
    let (pem, shown) = certificate("erp.example.org", None, START + Duration::days(60));
    let client = stage.client(NewProof::Certificate(pem.into_bytes())).await;
    let secrets = async || stage.authz.acts().show_client(&client).await.unwrap().secrets;
    assert_eq!(
        secrets().await[0].secret.expires_at,
        START + Duration::days(60),
        "what lists and reminders say"
    );
    let (pem, next) = certificate("erp.example.org", None, START + LONG);
    let proof = NewProof::Certificate(pem.into_bytes());
    stage.authz.acts().register_proof(Actor::Operator, &client, proof, false).await.unwrap();
    assert_eq!(
        secrets().await[0].secret.expires_at,
        datetime!(2028-03-05 12:34:56 UTC),
        "two years, as a secret"
    );
    let works = async |shown| stage.ask(&client, Some(shown)).await.status == 200;
    assert!(works(&shown).await && works(&next).await);
    stage.authz.clock.advance(Duration::days(30));
    assert!(!works(&shown).await && works(&next).await, "the overlap is over");
    let expired = NewProof::Certificate(certificate("a", None, START).0.into_bytes());
    let refused =
        stage.authz.acts().register_proof(Actor::Operator, &client, expired, false).await.unwrap_err();
    assert!(refused.to_string().contains("has expired"), "{refused}");
    // Revoked, it takes its tokens along, as a secret does.
    let id = secrets().await[0].secret.id.to_string();
    stage.authz.acts().revoke_secret(Actor::Operator, &client, &id).await.unwrap();
    let answer = stage.ask(&client, Some(&next)).await;
    assert!(answer.description().contains("client certificate was revoked at"), "{}", answer.text);
}

#[tokio::test]
async fn an_admin_and_a_machine_register_certificates_and_a_mail_tells_their_end() {
    let asked = |settings: &mut Settings| settings.listen.client_certificates = ClientCertificates::Handshake;
    let portal = Portal::with(asked).await;
    let administers = [("iris-industry-admin", Some("ORG-100000001"))];
    let mut admin = portal.signed_in("ana.silva@medco.example", &administers).await;
    let id = portal.authz.industry_client().await.client_id.to_string();
    let path = format!("/portal/clients/{id}/keys");
    let page = admin.get(&path).await.text.clone();
    assert!(page.contains("tls_certificate") && !page.contains("tls_subject"), "what is offered: {page}");
    let (pem, _) = certificate("erp.example.org", None, START + Duration::days(60));
    for (what, text, words) in [
        ("tls_certificate", "x", "no X.509 certificate"),
        ("tls_subject", "dns:erp.example.org", "client_keys.certificate_issuers_file"),
    ] {
        admin.get(&path).await;
        admin.post_only(&path, &[("what", what), ("text", text)]).await;
        assert!(admin.page.text.contains(words), "{what}: {}", admin.page.text);
    }
    admin.get(&path).await;
    admin.post_only(&path, &[("what", "tls_certificate"), ("text", &pem)]).await;
    assert_eq!(admin.page.status, 303, "{}", admin.page.text);
    let page = admin.get(&format!("/portal/clients/{id}")).await.text.clone();
    assert!(page.contains("client certificate"), "{page}");

    portal.authz.clock.advance(Duration::days(30));
    assert_eq!(portal.authz.acts().remind_of_expiry().await.unwrap(), 1);
    let mails = portal.mails("api-team@example.org").await;
    let text = mails.last().unwrap()["text"].as_str().unwrap();
    for said in ["(self_signed_tls_client_auth)", "2026-05-04T12:34:56Z", &path] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(!text.contains("CLIENT_SECRET"), "{text}");

    let operator =
        NewClient { organisation: None, role: "operator".to_owned(), contact: None, ..new_client() };
    let operator = portal.authz.acts().create_client(Actor::Operator, operator).await.unwrap();
    let token = portal.authz.token(&operator, "clients.write").await.access_token();
    let (pem, _) = certificate("erp.example.org", None, START + LONG);
    for (wanted, status) in [
        (json!({ "tls_certificate": pem }), 201),
        (json!({ "tls_certificate": pem, "tls_subject": "dns:erp.example.org" }), 400),
        (json!({ "tls_subject": "dns:erp.example.org" }), 422),
    ] {
        let request = Request::post(format!("/api/v1/clients/{id}/keys"))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json");
        let answer = portal.authz.send(request.body(Body::from(wanted.to_string())).unwrap()).await;
        assert_eq!(answer.status, status, "{wanted}: {}", answer.text);
        if status == 201 {
            assert_eq!(answer.json()["method"], "self_signed_tls_client_auth");
        }
    }
}

#[tokio::test]
async fn a_client_of_one_method_cannot_use_another() {
    let stage = Stage::set().await;
    let credentials = stage.authz.industry_client().await;
    let id = credentials.client_id.as_str();
    let (pem, shown) = certificate("erp.example.org", None, START + LONG);
    assert_eq!(stage.ask(id, Some(&shown)).await.verdict(), refused(), "a client with a secret");
    // A certificate that comes along with a secret is none of its business.
    let with_secret = form_request("/oauth2/token", &token_body(&credentials, DEFAULT_SCOPE));
    let answer = stage.send(with_secret, Some(&shown)).await;
    assert_eq!(stage.authz.verified(&answer.access_token(), "api://pmsgate/pms").await.cnf, None);
    let proof = NewProof::Certificate(pem.into_bytes());
    stage.authz.acts().register_proof(Actor::Operator, id, proof, false).await.unwrap();
    let refused_secret = stage.authz.token(&credentials, DEFAULT_SCOPE).await;
    assert_eq!(refused_secret.verdict(), refused());
    assert_eq!(stage.ask(id, Some(&shown)).await.status, 200);
    stage.authz.clock.advance(Duration::days(731));
    let expired = stage.ask(id, Some(&shown)).await;
    assert!(expired.description().contains("client certificate expired at"), "{}", expired.text);
}

#[tokio::test]
async fn the_administration_api_wants_the_certificate_of_a_bound_token() {
    let stage = Stage::set().await;
    let (pem, shown) = certificate("erp.example.org", None, START + LONG);
    let client = stage.client(NewProof::Certificate(pem.into_bytes())).await;
    let body = format!("grant_type=client_credentials&client_id={client}&scope=client.rotate");
    let token = stage.send(form_request("/oauth2/token", &body), Some(&shown)).await.access_token();
    let call = async |shown: Option<&ClientCertificate>| {
        let request =
            Request::post("/api/v1/client/secrets").header("authorization", format!("Bearer {token}"));
        stage.send(request.body(Body::empty()).unwrap(), shown).await.status.as_u16()
    };
    let (_, other) = certificate("erp.example.org", None, START + LONG);
    assert_eq!((call(None).await, call(Some(&other)).await), (401, 401));
    assert_eq!(call(Some(&shown)).await, 409, "known, and told that a rotation is no way back to a secret");
}

#[tokio::test]
async fn metadata_name_what_the_configuration_has() {
    let methods = async |authz: &TestAuthz| {
        let document = authz.get("/.well-known/oauth-authorization-server").await.json();
        (
            document["token_endpoint_auth_methods_supported"].clone(),
            document["tls_client_certificate_bound_access_tokens"].clone(),
        )
    };
    let stage = Stage::set().await;
    let all = json!([
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
        "tls_client_auth",
        "self_signed_tls_client_auth"
    ]);
    assert_eq!(methods(&stage.authz).await, (all, json!(true)));
    let plain = TestAuthz::start().await;
    assert_eq!(
        methods(&plain).await,
        (json!(["client_secret_basic", "client_secret_post", "private_key_jwt"]), json!(false))
    );
    // RFC 8705 §5: only where certificates are asked for under another name.
    let aliases =
        async |authz: &TestAuthz, path: &str| authz.get(path).await.json()["mtls_endpoint_aliases"].clone();
    assert_eq!(aliases(&stage.authz, "/.well-known/oauth-authorization-server").await, json!(null));
    let apart = TestAuthz::with(|settings| {
        settings.listen.client_certificates = ClientCertificates::Handshake;
        settings.listen.mutual_tls_url = Some("https://mtls.example".to_owned());
    })
    .await;
    let named = aliases(&apart, "/.well-known/oauth-authorization-server").await;
    assert_eq!(named["token_endpoint"], "https://mtls.example/oauth2/token");
    assert_eq!(named["revocation_endpoint"], "https://mtls.example/oauth2/revoke");
    let tenant = apart.settings.tenants[0].clone();
    let named = aliases(&apart, &format!("/{tenant}/v2.0/.well-known/openid-configuration")).await;
    assert_eq!(named["token_endpoint"], format!("https://mtls.example/{tenant}/oauth2/v2.0/token"));
    let (pem, _) = certificate("erp.example.org", None, START + LONG);
    for proof in [NewProof::Certificate(pem.into_bytes()), NewProof::Subject("dns:a".to_owned())] {
        let refused =
            plain.acts().create_client_with(Actor::Operator, new_client(), proof).await.unwrap_err();
        assert!(refused.to_string().contains("listen.client_certificates"), "{refused}");
    }
    let wrong = NewProof::Subject("erp".to_owned());
    let refused =
        stage.authz.acts().create_client_with(Actor::Operator, new_client(), wrong).await.unwrap_err();
    assert!(refused.to_string().contains("dns:"), "{refused}");
}
