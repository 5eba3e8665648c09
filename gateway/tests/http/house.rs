//! A gateway between a stub issuer and a stub upstream, each on a port of its own.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use access_token::{
    AccessTokenClaims, Algorithm, FeedLine, Jwk, JwkSet, Revocation, RevocationSubject, SigningKey,
};
use axum::{
    Json, Router,
    body::Body,
    extract::{Query, State},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use caller_context::{CallerContext, ContextKey};
use config::FeedLoss;
use gateway::{Gateway, GatewaySettings, RevocationSettings, testing::settings};
use http::{HeaderMap, Method, StatusCode, Uri};
use http_service::{Clock, Health, RouterHandler, ServeOptions, bind};
use pms_terms::{Domains, OrganisationId, Stakeholder};
use serde_json::Value;
use time::{OffsetDateTime, macros::datetime};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::data::{self, Data};

pub(crate) const NOW: OffsetDateTime = datetime!(2026-06-12 12:00 UTC);
pub(crate) const SEARCH: &str = "/pms/api/v3/MedicinalProductDefinition";
pub(crate) const READ: &str = "/pms/api/v3/MedicinalProductDefinition/600000000001";
pub(crate) const MERGE: &str = "/pms/api/v5-alpha/MedicinalProductDefinition/$merge";
const FEED_KEY: &str = "feed-key";

/// Everything that a test needs; ends with it.
pub(crate) struct House {
    pub(crate) address: SocketAddr,
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) client: reqwest::Client,
    pub(crate) clock: Clock,
    pub(crate) health: Health,
    pub(crate) gateway: Arc<Gateway>,
    /// What the gateway was started with.
    pub(crate) settings: GatewaySettings,
    stop: CancellationToken,
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl House {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts with changed settings and waits until the gateway is ready.
    pub(crate) async fn start_with(change: impl FnOnce(&mut GatewaySettings)) -> Self {
        let house = Self::start_unready(change, |_| {}).await;
        eventually("the gateway is ready", || async { house.health.troubles().is_empty() }).await;
        house
    }

    /// Starts behind a listener of other options.
    pub(crate) async fn start_listening(
        change: impl FnOnce(&mut GatewaySettings),
        listen: impl FnOnce(&mut ServeOptions),
    ) -> Self {
        let mut options = ServeOptions::plain("gateway");
        listen(&mut options);
        let house = Self::start_served(change, |_| {}, options).await;
        eventually("the gateway is ready", || async { house.health.troubles().is_empty() }).await;
        house
    }

    pub(crate) async fn start_unready(
        change: impl FnOnce(&mut GatewaySettings),
        prepare: impl FnOnce(&Issuer),
    ) -> Self {
        Self::start_served(change, prepare, ServeOptions::plain("gateway")).await
    }

    /// Starts behind a listener that serves like this.
    pub(crate) async fn start_served(
        change: impl FnOnce(&mut GatewaySettings),
        prepare: impl FnOnce(&Issuer),
        options: ServeOptions,
    ) -> Self {
        // Err: another test of this process was first.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let stop = CancellationToken::new();
        let clock = Clock::manual(NOW);
        let issuer = Arc::new(Issuer::new());
        prepare(&issuer);
        let issuer_address = serve(issuer.router(), &stop);
        let upstream = Arc::new(Upstream::new(clock.clone()));
        let router = Router::new().route(caller_context::CHANGES_PATH, get(data::feed)).fallback(receive);
        let upstream_address = serve(router.with_state(Arc::clone(&upstream)), &stop);
        *upstream.address.lock().unwrap() = upstream_address.to_string();

        let mut settings = settings(&format!("http://{upstream_address}"));
        settings.jwks_url = format!("http://{issuer_address}/oauth2/jwks");
        settings.revocations = Some(RevocationSettings {
            feed_url: format!("http://{issuer_address}/oauth2/revocations"),
            feed_key: FEED_KEY.into(),
            feed_loss: FeedLoss::Open,
            feed_timeout: Duration::from_millis(500),
        });
        change(&mut settings);
        Self::gateway(settings, &options, issuer, upstream, clock, stop)
    }

    /// Another gateway with the same issuer and the same upstream, ready.
    pub(crate) async fn another(&self, change: impl FnOnce(&mut GatewaySettings)) -> Self {
        let mut settings = self.settings.clone();
        change(&mut settings);
        let (issuer, upstream) = (Arc::clone(&self.issuer), Arc::clone(&self.upstream));
        let options = ServeOptions::plain("another");
        let stop = self.stop.child_token();
        let house = Self::gateway(settings, &options, issuer, upstream, self.clock.clone(), stop);
        eventually("the gateway is ready", || async { house.health.troubles().is_empty() }).await;
        house
    }

    fn gateway(
        settings: GatewaySettings,
        options: &ServeOptions,
        issuer: Arc<Issuer>,
        upstream: Arc<Upstream>,
        clock: Clock,
        stop: CancellationToken,
    ) -> Self {
        let health = Health::default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let gateway = Gateway::new(settings.clone(), context_key(), clock.clone()).unwrap();
        tokio::spawn(Arc::clone(&gateway).follow_certificates(Duration::from_millis(20), stop.clone()));
        tokio::spawn(Arc::clone(&gateway).run(client.clone(), health.register("gateway"), stop.clone()));
        let listening = bind(SocketAddr::from(([127, 0, 0, 1], 0)), 1).unwrap();
        let address = listening.address();
        let served = Arc::clone(&gateway);
        listening.serve(options, move |_| served.worker(), &stop).unwrap();
        Self { address, issuer, upstream, client, clock, health, gateway, settings, stop }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn token(&self) -> String {
        self.token_with(|_| {})
    }

    /// A token of an industry client, changed.
    pub(crate) fn token_with(&self, change: impl FnOnce(&mut AccessTokenClaims)) -> String {
        self.issuer.key.sign(&claims(change)).unwrap()
    }

    pub(crate) fn get(&self, path: &str, token: &str) -> reqwest::RequestBuilder {
        self.client.get(self.url(path)).bearer_auth(token)
    }

    pub(crate) async fn ask(&self, path: &str, token: &str) -> Answer {
        Answer::of(self.get(path, token).send().await.unwrap()).await
    }

    /// Sends raw bytes and reads until the gateway closes.
    pub(crate) async fn raw(&self, request: &str) -> String {
        let exchange = async {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            // A reset instead of an orderly end also ends the answer.
            let _ = stream.read_to_end(&mut answer).await;
            String::from_utf8_lossy(&answer).into_owned()
        };
        tokio::time::timeout(Duration::from_secs(5), exchange)
            .await
            .expect("the gateway closes the connection")
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The rule id of an OperationOutcome.
    pub(crate) fn rule(&self) -> String {
        let outcome = self.json();
        assert_eq!(outcome["resourceType"], "OperationOutcome", "{}", self.text);
        outcome["issue"][0]["details"]["coding"][0]["code"].as_str().unwrap_or_default().to_owned()
    }
}

pub(crate) fn claims(change: impl FnOnce(&mut AccessTokenClaims)) -> AccessTokenClaims {
    let now = NOW.unix_timestamp();
    let mut claims = AccessTokenClaims {
        iss: "https://gate.example:8443".into(),
        sub: "client-1".into(),
        aud: "api://pmsgate/pms".into(),
        exp: now + 3600,
        nbf: now,
        iat: now,
        jti: "token-1".into(),
        client_id: "client-1".into(),
        azp: "client-1".into(),
        scope: "system/*.cruds".into(),
        roles: vec!["PMS.Industry.API".into()],
        org_id: Some("ORG-100000001".parse::<OrganisationId>().unwrap()),
        stakeholder: Stakeholder::Industry,
        qualified: true,
        domains: Domains::NONE,
        tid: "t".into(),
        ver: "2.0".into(),
        secret_id: "secret-1".into(),
        cnf: None,
    };
    change(&mut claims);
    claims
}

pub(crate) fn context_key() -> ContextKey {
    ContextKey::new(&Zeroizing::new([7; 32]))
}

/// Serves a router on a free port of loopback.
pub(crate) fn serve(router: Router, stop: &CancellationToken) -> SocketAddr {
    let listening = bind(SocketAddr::from(([127, 0, 0, 1], 0)), 1).unwrap();
    let address = listening.address();
    listening.serve(&ServeOptions::plain("stub"), move |_| RouterHandler(router.clone()), stop).unwrap();
    address
}

/// Waits for something that happens on other threads, within five seconds.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut check: impl FnMut() -> F) {
    let watching = async {
        while !check().await {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(5), watching).await.is_ok(), "not within 5 s: {what}");
}

/// The stub issuer: a JWK Set and a revocation feed, both of which can fail.
pub(crate) struct Issuer {
    pub(crate) key: SigningKey,
    pub(crate) published: Mutex<Vec<Jwk>>,
    pub(crate) down: AtomicBool,
    pub(crate) jwks_reads: AtomicUsize,
    revocations: Mutex<Vec<Revocation>>,
    /// Bumped by every change; open feeds look again.
    changed: watch::Sender<u64>,
    /// Feeds of an older generation end.
    generation: AtomicUsize,
}

impl Issuer {
    fn new() -> Self {
        let key = SigningKey::generate(Algorithm::Es256).unwrap();
        Self {
            published: Mutex::new(vec![key.public_jwk().clone()]),
            key,
            down: AtomicBool::new(false),
            jwks_reads: AtomicUsize::new(0),
            revocations: Mutex::default(),
            changed: watch::channel(0).0,
            generation: AtomicUsize::new(0),
        }
    }

    fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/oauth2/jwks", get(jwks))
            .route("/oauth2/revocations", get(feed))
            .with_state(Arc::clone(self))
    }

    /// Adds to the feed.
    pub(crate) fn revoke(&self, subject: RevocationSubject, revoked: bool) {
        let mut revocations = self.revocations.lock().unwrap();
        let seq = i64::try_from(revocations.len()).unwrap() + 1;
        revocations.push(Revocation { seq, at: 0, subject, until: NOW.unix_timestamp() + 7200, revoked });
        self.changed.send_modify(|version| *version += 1);
    }

    /// Ends all open feeds; while down, none is opened and no key is given.
    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.changed.send_modify(|version| *version += 1);
    }
}

async fn jwks(State(issuer): State<Arc<Issuer>>) -> Response {
    issuer.jwks_reads.fetch_add(1, Ordering::SeqCst);
    if issuer.down.load(Ordering::SeqCst) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let keys = issuer.published.lock().unwrap().clone();
    Json(JwkSet { keys }).into_response()
}

#[derive(serde::Deserialize)]
struct After {
    after: i64,
}

async fn feed(
    State(issuer): State<Arc<Issuer>>,
    Query(After { after }): Query<After>,
    headers: HeaderMap,
) -> Response {
    if headers[http::header::AUTHORIZATION] != format!("Bearer {FEED_KEY}") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if issuer.down.load(Ordering::SeqCst) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let generation = issuer.generation.load(Ordering::SeqCst);
    let changed = issuer.changed.subscribe();
    let lines = futures_util::stream::unfold(
        (issuer, after, changed, true),
        move |(issuer, sent, mut changed, first)| async move {
            if !first {
                let _ = tokio::time::timeout(Duration::from_millis(50), changed.changed()).await;
            }
            let new: Vec<Revocation> =
                issuer.revocations.lock().unwrap().iter().filter(|entry| entry.seq > sent).cloned().collect();
            // Looked at after the entries: what was revoked after the feed was ended is not told by it.
            if issuer.generation.load(Ordering::SeqCst) != generation {
                return None;
            }
            let sent = new.last().map_or(sent, |entry| entry.seq);
            let mut text = String::new();
            for line in
                new.into_iter().map(FeedLine::Revocation).chain([FeedLine::Heartbeat { heartbeat: sent }])
            {
                text.push_str(&serde_json::to_string(&line).unwrap());
                text.push('\n');
            }
            Some((Ok::<_, std::io::Error>(Bytes::from(text)), (issuer, sent, changed, false)))
        },
    );
    Response::builder().header("content-type", "application/x-ndjson").body(Body::from_stream(lines)).unwrap()
}

/// A request as the upstream got it.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) context: CallerContext,
    pub(crate) body: Bytes,
}

type Answering = Box<dyn Fn(&Received) -> Response + Send + Sync>;

/// The stub upstream: keeps what it received, answers as told.
pub(crate) struct Upstream {
    pub(crate) received: Mutex<Vec<Received>>,
    pub(crate) address: Mutex<String>,
    /// As of when its answers are true.
    pub(crate) data: Data,
    answering: Mutex<Answering>,
    pub(crate) clock: Clock,
}

impl Upstream {
    fn new(clock: Clock) -> Self {
        Self {
            received: Mutex::default(),
            address: Mutex::default(),
            data: Data::default(),
            answering: Mutex::new(Box::new(|_| {
                fhir(StatusCode::OK, r#"{"resourceType":"MedicinalProductDefinition"}"#)
            })),
            clock,
        }
    }

    pub(crate) fn answer(&self, answering: impl Fn(&Received) -> Response + Send + Sync + 'static) {
        *self.answering.lock().unwrap() = Box::new(answering);
    }

    pub(crate) fn last(&self) -> Received {
        self.received.lock().unwrap().last().expect("the upstream was asked").clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.received.lock().unwrap().len()
    }

    /// What its own links begin with.
    pub(crate) fn base(&self) -> String {
        format!("http://{}/pms/api/v3", self.address.lock().unwrap())
    }
}

pub(crate) fn fhir(status: StatusCode, body: impl Into<String>) -> Response {
    (status, [("content-type", "application/fhir+json")], body.into()).into_response()
}

async fn receive(State(upstream): State<Arc<Upstream>>, request: axum::extract::Request) -> Response {
    let (parts, body) = request.into_parts();
    let context = caller_context::verify(
        parts.headers[caller_context::HEADER].to_str().unwrap(),
        &context_key(),
        parts.method.as_str(),
        parts.uri.path_and_query().unwrap().as_str(),
        upstream.clock.now(),
    )
    .expect("the gateway signs what it sends");
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let received = Received { method: parts.method, uri: parts.uri, headers: parts.headers, context, body };
    upstream.received.lock().unwrap().push(received.clone());
    let before = upstream.data.state();
    let answer = (upstream.answering.lock().unwrap())(&received);
    upstream.data.label(&received, before, answer)
}
