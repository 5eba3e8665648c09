//! A running authorization server for one test, and the words to talk to it.

use std::{fmt::Write as _, net::SocketAddr};

use access_token::{AccessTokenClaims, Expected, JwkSet, VerificationKey, peek_header, verify};
use authz_domain::Actor;
use authz_server::{Authz, AuthzKeys, AuthzSettings, IssuedCredentials, NewClient, UseCases};
use authz_store::audit_events;
use axum::{Router, body::Body};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use config::{DataFiles, MasterKey, Settings};
use database::testing::TestDatabase;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use http_service::{Clock, Peer};
use pms_terms::Domains;
use serde_json::Value;
use time::{Duration, OffsetDateTime, macros::datetime};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

pub(crate) const START: OffsetDateTime = datetime!(2026-03-05 12:34:56 UTC);
pub(crate) const BASE: &str = "https://authz.example";
pub(crate) const TENANT: &str = "6f0c1d4e-3b52-4c8a-9d27-5e8a1b7c9f30";
pub(crate) const DEFAULT_SCOPE: &str = "api://pmsgate/pms/.default";

/// A server with the demo organisations.
pub(crate) struct TestAuthz {
    pub(crate) authz: Authz,
    pub(crate) router: Router,
    pub(crate) clock: Clock,
    pub(crate) settings: AuthzSettings,
    pub(crate) keys: AuthzKeys,
    pub(crate) master_key: MasterKey,
    pub(crate) database: TestDatabase,
    pub(crate) stop: CancellationToken,
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Status and `error`, for tables.
    pub(crate) fn verdict(&self) -> (u16, String) {
        (self.status.as_u16(), self.json()["error"].as_str().unwrap_or_default().to_owned())
    }

    pub(crate) fn description(&self) -> String {
        self.json()["error_description"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn access_token(&self) -> String {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()["access_token"].as_str().unwrap().to_owned()
    }
}

impl TestAuthz {
    /// On SQLite, with default settings.
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// On SQLite, with changed settings.
    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::on(TestDatabase::sqlite().await, change).await
    }

    /// On each kind of database.
    pub(crate) async fn each() -> Vec<Self> {
        let mut all = Vec::new();
        for database in TestDatabase::each().await {
            all.push(Self::on(database, |_| {}).await);
        }
        all
    }

    /// On a given database, with three organisations.
    pub(crate) async fn on(database: TestDatabase, change: impl FnOnce(&mut Settings)) -> Self {
        let started = Box::pin(Self::empty_on(database, change)).await;
        let csv = "id,name,country,category\n\
            ORG-100000001,Fable Pharma,NL,industry\n\
            ORG-100000101,Medicines Authority of Examplia,SE,authority\n\
            ORG-100000201,Agency of Examples,NL,agency\n";
        started.acts().import_organisations(Actor::Operator, "organisations.csv", csv).await.unwrap();
        started
    }

    /// On SQLite, with nothing in it.
    pub(crate) async fn bare() -> Self {
        Box::pin(Self::empty_on(TestDatabase::sqlite().await, |_| {})).await
    }

    async fn empty_on(database: TestDatabase, change: impl FnOnce(&mut Settings)) -> Self {
        // As the program does: what calls webhooks needs it.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut configured = Settings::default();
        change(&mut configured);
        let files = DataFiles::load(&configured.data).unwrap();
        let settings = AuthzSettings::from_config(&configured, &files, BASE).unwrap();
        let master_key = MasterKey::from_bytes([7; 32]);
        let keys = AuthzKeys::derive(&master_key);
        let clock = Clock::manual(START);
        let stop = CancellationToken::new();
        let authz = Authz::start(
            settings.clone(),
            keys.clone(),
            database.database().clone(),
            clock.clone(),
            stop.clone(),
        )
        .await
        .unwrap();
        Self { router: authz.router(), authz, clock, settings, keys, master_key, database, stop }
    }

    pub(crate) fn acts(&self) -> UseCases {
        self.authz.use_cases()
    }

    /// The acts as another process has them: on the same database, without the server.
    pub(crate) fn other_process(&self) -> UseCases {
        UseCases::new(
            self.settings.clone(),
            self.keys.clone(),
            self.database.database().clone(),
            self.clock.clone(),
        )
    }

    pub(crate) async fn industry_client(&self) -> IssuedCredentials {
        self.acts().create_client(Actor::Operator, new_client()).await.unwrap()
    }

    /// What the audit trail says was done to something: act, and who did it.
    pub(crate) async fn trail_of(&self, subject: &str) -> Vec<(String, String)> {
        let mut reader = self.database.database().read().await.unwrap();
        let records = audit_events::after(&mut reader.db(), 0, 10_000).await.unwrap();
        let records = records.into_iter().map(|one| one.record).filter(|one| one.subject == subject);
        records
            .map(|one| {
                (
                    one.act,
                    format!("{} {}", one.actor_kind, one.actor_id.unwrap_or_default()).trim().to_owned(),
                )
            })
            .collect()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        self.send_from("192.0.2.1:1000", request).await
    }

    pub(crate) async fn send_from(&self, address: &str, mut request: Request<Body>) -> Answer {
        let address: SocketAddr = address.parse().unwrap();
        request.extensions_mut().insert(Peer { address, tls: true });
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.send(form_request(path, body)).await
    }

    /// A token request with the credentials in the body.
    pub(crate) async fn token(&self, credentials: &IssuedCredentials, scope: &str) -> Answer {
        self.post("/oauth2/token", &token_body(credentials, scope)).await
    }

    /// Checks a token as a gateway does: with the published keys.
    pub(crate) async fn verified(&self, token: &str, audience: &str) -> AccessTokenClaims {
        let set: JwkSet = serde_json::from_str(&self.get("/oauth2/jwks").await.text).unwrap();
        let kid = peek_header(token).unwrap().kid;
        let jwk = set.keys.iter().find(|jwk| jwk.kid.as_deref() == Some(&kid)).unwrap();
        let key = VerificationKey::from_jwk(jwk).unwrap();
        let issuers = self.settings.issuers();
        let expected = Expected { issuers: &issuers, audience: Some(audience), leeway: Duration::ZERO };
        verify(token, &key, &expected, self.clock.now()).unwrap()
    }
}

pub(crate) fn new_client() -> NewClient {
    NewClient {
        organisation: Some("ORG-100000001".parse().unwrap()),
        owner: None,
        external_key: None,
        role: "pms-industry-api".to_owned(),
        label: "nightly export".to_owned(),
        contact: Some("api-team@example.org".to_owned()),
        qualified: false,
        domains: Domains::BOTH,
        scope: None,
    }
}

pub(crate) fn form_request(path: &str, body: &str) -> Request<Body> {
    Request::post(path)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(body.to_owned()))
        .unwrap()
}

pub(crate) fn token_body(credentials: &IssuedCredentials, scope: &str) -> String {
    format!(
        "grant_type=client_credentials&client_id={}&client_secret={}&scope={}",
        credentials.client_id,
        credentials.client_secret.expose(),
        escaped(scope)
    )
}

pub(crate) fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

/// Percent-encodes everything but letters and digits.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            escaped.push(char::from(byte));
        } else {
            write!(escaped, "%{byte:02X}").unwrap();
        }
    }
    escaped
}
