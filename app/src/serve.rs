//! Starting parts of the house: the one file that knows every room.

use std::{
    fs::File,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use access_token::DpopNonces;
use anyhow::{Context as _, Result, bail};
use authz_server::{Authz, DemoCredentials};
use caller_context::ContextKey;
use config::{ClientAddressFrom, Listen, Purpose, Telemetry, TlsMode};
use database::Database;
use fhir_server::{CursorKey, Parts};
use gateway::{Addresses, Gateway, GatewayWorker};
use http::{Request, Response};
use http_service::{
    Body, ClientCertificates, Handler, Health, IncomingBody, Listening, Proxies, RouterHandler, ServeOptions,
    Serving, ToldBy, Traces, TracesOptions, admin_router, bind, install_metrics,
};
use ipnet::IpNet;
use serde::Serialize;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    House,
    certificate::ShownCertificate,
    cli::{Part, Serve},
    demo,
    development_ca::{self, DevelopmentTls},
    reload::{self, GatewaySource},
    sandbox_clock,
};

/// Parts at work.
#[derive(Debug)]
pub struct Running {
    /// What the ready file says.
    pub ready: Ready,
    /// Three commands for a newcomer, in a sandbox.
    pub first_call: Option<[String; 3]>,
    /// Things made on this start, for the operator to know.
    pub made: Vec<PathBuf>,
    health: Health,
    traces: Option<Traces>,
    /// Ends the public listener.
    close: CancellationToken,
    public: Option<Serving>,
    /// Ends everything else.
    stop: CancellationToken,
    serving: Vec<Serving>,
    tasks: TaskTracker,
    databases: Vec<Database>,
    /// Held while the server runs.
    _address_files: Option<File>,
}

/// The ready file of the contract.
#[derive(Clone, Debug, Serialize)]
pub struct Ready {
    /// By which clients reach the public listener.
    pub base_url: String,
    /// The operator's listener.
    pub admin_url: String,
    /// The development CA, when there is one.
    pub ca_file: Option<PathBuf>,
    /// The portal, when this process serves it.
    pub portal_url: Option<String>,
    /// The token endpoint, when this process serves it.
    pub token_url: Option<String>,
    /// Credentials that work, in a sandbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub demo: Option<ReadyDemo>,
}

/// Credentials in the ready file.
#[derive(Clone, Serialize)]
pub struct ReadyDemo {
    client_id: String,
    client_secret: String,
    scope: String,
}

impl std::fmt::Debug for ReadyDemo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadyDemo").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

impl Running {
    /// Takes no more requests, finishes those in flight, and ends. What requests in flight may still need (backend,
    /// keys, revocations) ends after them; until then the operator's listener says that nobody should come any more.
    pub async fn stop(self) {
        self.health.register("listener").not_ready("stopping: requests in flight are finished");
        self.close.cancel();
        if let Some(public) = self.public {
            public.finished().await;
        }
        self.stop.cancel();
        for serving in self.serving {
            serving.finished().await;
        }
        self.tasks.close();
        self.tasks.wait().await;
        for database in self.databases {
            // SQLite then takes its write-ahead log into the database file, which is whole by itself.
            database.close().await;
        }
        if let Some(traces) = self.traces {
            traces.end().await;
        }
    }
}

/// Starts the parts that `options` name and waits until each of them answers.
///
/// # Errors
/// A wrong configuration, an address in use, a database that does not answer.
pub async fn start(house: &House, options: &Serve) -> Result<Running> {
    // From here on a hang-up is not the end.
    let hang_ups = http_service::hang_ups().context("SIGHUP cannot be heard")?;
    let mut builder = Builder::new(house, options)?;
    match options.part {
        Part::All => {
            builder.start_backend(None).await?;
            builder.start_authz().await?;
            builder.start_gateway()?;
        }
        Part::Authz => builder.start_authz().await?,
        Part::Gateway => {
            builder.follow_clock()?;
            builder.start_gateway()?;
        }
        Part::Backend => {
            builder.follow_clock()?;
            builder.start_backend(options.listen).await?;
        }
    }
    let gateway = builder.gateway.clone().zip(builder.gateway_source.take());
    builder.tasks.spawn(reload::on_hang_up(hang_ups, gateway, builder.stop.clone()));
    builder.finish(options).await
}

struct Builder<'h> {
    house: &'h House,
    part: Part,
    public: Option<Listening>,
    admin: Listening,
    base_url: String,
    certificate: Option<ShownCertificate>,
    ca_file: Option<PathBuf>,
    made: Vec<PathBuf>,
    health: Health,
    traces: Option<Traces>,
    close: CancellationToken,
    stop: CancellationToken,
    serving: Vec<Serving>,
    tasks: TaskTracker,
    databases: Vec<Database>,
    authz: Option<Authz>,
    gateway: Option<Arc<Gateway>>,
    gateway_source: Option<GatewaySource>,
    demo: Option<DemoCredentials>,
    /// Where the gateway finds the authorization server and the backend of this process.
    authz_url: Option<String>,
    backend_url: Option<String>,
}

impl<'h> Builder<'h> {
    fn new(house: &'h House, options: &Serve) -> Result<Self> {
        // Before any part registers its figures.
        install_metrics();
        let listen = &house.settings.listen;
        let address = options.listen.unwrap_or(listen.address);
        let public = match options.part {
            Part::Backend => None,
            _ => Some(bind_on(address, listen.workers)?),
        };
        let admin = bind_on(options.admin_listen.unwrap_or(listen.admin_address), 1)?;
        let port = public.as_ref().map_or(address.port(), |public| public.address().port());
        let base_url = house.base_url(port);
        if let Some(public) = &public {
            listen.check_address(public.address())?;
        }
        let mut builder = Self {
            house,
            part: options.part,
            public,
            admin,
            base_url,
            certificate: None,
            ca_file: None,
            made: house.made_master_key.iter().cloned().collect(),
            health: Health::default(),
            traces: start_traces(&house.settings.telemetry, options.part)?,
            close: CancellationToken::new(),
            stop: CancellationToken::new(),
            serving: Vec::new(),
            tasks: TaskTracker::new(),
            databases: Vec::new(),
            authz: None,
            gateway: None,
            gateway_source: None,
            demo: None,
            authz_url: None,
            backend_url: None,
        };
        if builder.public.is_some() {
            builder.read_certificate()?;
        }
        Ok(builder)
    }

    fn read_certificate(&mut self) -> Result<()> {
        let listen = &self.house.settings.listen;
        self.certificate = match (listen.tls, &listen.certificate_file, &listen.key_file) {
            (TlsMode::Files, Some(chain), Some(key)) => {
                Some(ShownCertificate::read(chain.clone(), key.clone())?)
            }
            (TlsMode::Development, ..) => {
                let host = self.base_url.split("://").nth(1).unwrap_or_default();
                let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
                let DevelopmentTls { ca_file, chain_file, key_file, made } =
                    development_ca::load_or_create(&self.house.data_dir, host, self.house.clock.unmoved())?;
                if made {
                    self.made.push(ca_file.clone());
                }
                self.ca_file = Some(ca_file);
                Some(ShownCertificate::read(chain_file, key_file)?)
            }
            _ => None,
        };
        Ok(())
    }

    /// The product backend: plain HTTP on loopback. In `serve all` on a free port.
    async fn start_backend(&mut self, asked: Option<SocketAddr>) -> Result<()> {
        let house = self.house;
        let health = self.health.register("backend");
        let database = house.products_database().await?;
        self.databases.push(database.clone());
        if house.settings.is_sandbox() {
            demo::seed_products(house, &database).await.context("the demo products")?;
        }
        let address = match self.part {
            Part::All => SocketAddr::from(([127, 0, 0, 1], 0)),
            _ => asked.unwrap_or(house.settings.backend.address),
        };
        if !address.ip().is_loopback() {
            bail!("the backend listens on loopback only, not on {address}: it answers nobody but gateways");
        }
        let parts = Parts {
            settings: house.settings.backend.clone(),
            products: house.products().clone(),
            database,
            matrix: house.matrix.clone(),
            context_key: ContextKey::new(&house.master_key.derive(Purpose::CallerContext)),
            cursor_key: CursorKey::new(&house.master_key.derive(Purpose::PageCursor)),
            clock: house.clock.clone(),
            sandbox: house.settings.is_sandbox(),
        };
        let backend = fhir_server::build(parts);
        let stop = self.stop.clone();
        self.tasks.spawn(async move { backend.merge_worker.run(stop.cancelled_owned()).await });
        let workers = if self.part == Part::All { 1 } else { house.settings.listen.workers };
        let listening = bind_on(address, workers)?;
        self.backend_url = Some(format!("http://{}", listening.address()));
        let router = backend.router;
        // Nobody but gateways comes here, and they say who calls and in which trace.
        let trusted = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)].map(IpNet::from);
        let options = ServeOptions {
            proxies: Proxies { trusted: trusted.into(), told_by: ToldBy::XForwardedFor },
            access_log: house.settings.telemetry.access_log && self.part == Part::Backend,
            traces: self.traces.clone(),
            ..ServeOptions::plain("backend")
        };
        self.serving.push(listening.serve(&options, move |_| RouterHandler(router.clone()), &self.stop)?);
        // Ready once it has read the feed, and while it can.
        let stop = self.stop.clone();
        self.tasks.spawn(async move { backend.change_feed.run(health, stop.cancelled_owned()).await });
        Ok(())
    }

    /// The authorization server. In `serve all` it answers on a loopback listener of its own, too, which the gateway
    /// asks for keys and revocations: no name, certificate or load balancer stands between them.
    async fn start_authz(&mut self) -> Result<()> {
        let house = self.house;
        if house.mails_reach_nobody() {
            tracing::warn!(
                "there is no mail server (mail.host): mails are written into a folder, in clear, and reach nobody"
            );
        }
        let health = self.health.register("authz");
        let database = house.authz_database().await?;
        self.databases.push(database.clone());
        let settings = house.authz_settings(&self.base_url)?;
        let authz =
            Authz::start(settings, house.authz_keys(), database, house.clock.clone(), self.stop.clone())
                .await?;
        if house.settings.is_sandbox() {
            self.demo = demo::seed_authz(&authz.use_cases()).await.context("the demo client")?;
        }
        authz
            .use_cases()
            .note_configuration(&house.settings.sections()?)
            .await
            .context("the configuration cannot be noted")?;
        authz.report_to(health.clone());
        authz.spawn_tasks(&self.tasks);
        if self.part == Part::All {
            let listening = bind_on(SocketAddr::from(([127, 0, 0, 1], 0)), 1)?;
            self.authz_url = Some(format!("http://{}", listening.address()));
            let router = authz.router();
            let options = ServeOptions::plain("authz-internal");
            self.serving.push(listening.serve(
                &options,
                move |_| RouterHandler(router.clone()),
                &self.stop,
            )?);
        }
        self.authz = Some(authz);
        health.ready();
        Ok(())
    }

    /// In a sandbox: follows the clock of the authorization server, in a process without it.
    fn follow_clock(&mut self) -> Result<()> {
        let settings = &self.house.settings;
        if !settings.is_sandbox() {
            return Ok(());
        }
        let development = settings.listen.tls == TlsMode::Development;
        if development && self.ca_file.is_none() && settings.gateway.ca_file.is_none() {
            // A backend serves no TLS, but knows the server beside by the CA of its folder.
            self.read_certificate()?;
        }
        let authz_url = settings.gateway.authz_url.clone().unwrap_or_else(|| self.house.known_base_url());
        let (clock, client, stop) = (self.house.clock.clone(), self.authz_client()?, self.stop.clone());
        self.tasks.spawn(sandbox_clock::follow(clock, format!("{authz_url}/sandbox/clock"), client, stop));
        Ok(())
    }

    fn start_gateway(&mut self) -> Result<()> {
        let house = self.house;
        let section = &house.settings.gateway;
        let addresses = Addresses {
            public_base_url: self.base_url.clone(),
            authz_url: section
                .authz_url
                .clone()
                .or_else(|| self.authz_url.clone())
                .unwrap_or_else(|| self.base_url.clone()),
            backend_url: self.backend_url.clone().unwrap_or_else(|| section.backend_url.clone()),
        };
        let feed_key = hex::encode(house.master_key.derive(Purpose::RevocationFeed).as_slice());
        let source = GatewaySource {
            settings: house.settings.clone(),
            addresses,
            feed_key,
            audit: house.read_trail(),
            dpop_nonces: house
                .settings
                .tokens
                .dpop_nonces
                .then(|| DpopNonces::new(&house.master_key.derive(Purpose::DpopNonce))),
        };
        let context_key = ContextKey::new(&house.master_key.derive(Purpose::CallerContext));
        let gateway = Gateway::new(source.with(&house.files), context_key, house.clock.clone())?;
        let health = self.health.register("gateway");
        let client = self.authz_client()?;
        self.tasks.spawn(gateway.clone().run(client, health, self.stop.clone()));
        let every = house.settings.listen.certificate_check.0;
        self.tasks.spawn(gateway.clone().follow_certificates(every, self.stop.clone()));
        self.gateway = Some(gateway);
        self.gateway_source = Some(source);
        Ok(())
    }

    /// What the gateway asks the authorization server with.
    fn authz_client(&self) -> Result<reqwest::Client> {
        let mut client = reqwest::Client::builder().no_proxy().connect_timeout(Duration::from_secs(2));
        if let Some(path) = self.house.settings.gateway.ca_file.as_ref().or(self.ca_file.as_ref()) {
            let pem = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
            let certificate = reqwest::Certificate::from_pem(&pem)
                .with_context(|| format!("{} holds no certificate in PEM", path.display()))?;
            client = client.tls_certs_merge([certificate]);
        }
        client.build().context("the HTTP client towards the authorization server")
    }

    /// Opens the listeners and waits until every part is ready.
    async fn finish(mut self, options: &Serve) -> Result<Running> {
        let listen = &self.house.settings.listen;
        let mut public_serving = None;
        if let Some(public) = self.public.take() {
            let callers = client_certificates(listen);
            let serve_options = ServeOptions {
                name: "public",
                tls: self.certificate.as_ref().map(|shown| shown.server_config(callers)).transpose()?,
                head_timeout: listen.head_timeout.0,
                body_timeout: listen.body_timeout.0,
                proxies: proxies(listen),
                client_certificates: callers,
                max_connections: listen.max_connections,
                drain_timeout: listen.drain_timeout.0,
                access_log: self.house.settings.telemetry.access_log,
                traces: self.traces.clone(),
            };
            let (gateway, router) = (self.gateway.clone(), self.authz.as_ref().map(Authz::router));
            let serving = match (gateway, router) {
                (Some(gateway), Some(router)) => public.serve(
                    &serve_options,
                    move |_| FrontDoor { gateway: gateway.worker(), rest: RouterHandler(router.clone()) },
                    &self.close,
                )?,
                (Some(gateway), None) => {
                    public.serve(&serve_options, move |_| gateway.worker(), &self.close)?
                }
                (None, Some(router)) => {
                    public.serve(&serve_options, move |_| RouterHandler(router.clone()), &self.close)?
                }
                (None, None) => bail!("nothing to serve"),
            };
            public_serving = Some(serving);
            if let Some(certificate) = self.certificate.take() {
                let hang_ups = http_service::hang_ups().context("SIGHUP cannot be heard")?;
                let every = listen.certificate_check.0;
                self.tasks.spawn(certificate.follow(every, hang_ups, self.stop.clone()));
            }
        }
        let admin_url = format!("http://{}", self.admin.address());
        let metrics = install_metrics();
        self.tasks.spawn(metrics.clone().add_up(self.stop.clone()));
        let admin = admin_router(self.health.clone(), metrics);
        self.serving.push(self.admin.serve(
            &ServeOptions::plain("admin"),
            move |_| RouterHandler(admin.clone()),
            &self.stop,
        )?);
        while !self.health.troubles().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let serves_authz = self.authz.is_some();
        let base_url = match (&self.backend_url, options.part) {
            (Some(url), Part::Backend) => url.clone(),
            _ => self.base_url,
        };
        let first_call = match (&self.demo, options.part) {
            (Some(demo), Part::All) => Some(demo::first_call(&base_url, self.ca_file.as_deref(), demo)),
            _ => None,
        };
        let address_files = if serves_authz { self.house.take_address_files()? } else { None };
        if address_files.is_some() {
            development_ca::write_private(&self.house.base_url_file(), base_url.as_bytes())?;
            if let Some(lines) = &first_call {
                demo::write_first_call(&self.house.data_dir, lines)?;
            }
        } else if serves_authz {
            tracing::warn!(
                "another server runs on this data folder: its address stays the one that commands and first-call.sh know"
            );
        }
        let ready = Ready {
            admin_url,
            ca_file: self.ca_file,
            portal_url: serves_authz.then(|| format!("{base_url}/")),
            token_url: serves_authz.then(|| format!("{base_url}/oauth2/token")),
            demo: self.demo.map(|demo| ReadyDemo {
                client_id: demo.client_id.to_string(),
                client_secret: demo.client_secret.expose().to_owned(),
                scope: demo.scope,
            }),
            base_url,
        };
        if let Some(path) = &options.ready_file {
            development_ca::write_private(path, &serde_json::to_vec_pretty(&ready)?)?;
        }
        Ok(Running {
            ready,
            first_call,
            made: self.made,
            health: self.health,
            traces: self.traces,
            close: self.close,
            public: public_serving,
            stop: self.stop,
            serving: self.serving,
            tasks: self.tasks,
            databases: self.databases,
            _address_files: address_files,
        })
    }
}

/// The public listener of `serve all`: the gateway's paths to the gateway, the rest to the authorization server.
struct FrontDoor {
    gateway: GatewayWorker,
    rest: RouterHandler,
}

impl Handler for FrontDoor {
    async fn handle(&self, request: Request<IncomingBody>) -> Response<Body> {
        if self.gateway.owns(request.uri().path()) {
            self.gateway.handle(request).await
        } else {
            self.rest.handle(request).await
        }
    }
}

/// The way to the collector of traces, where one is named.
fn start_traces(settings: &Telemetry, part: Part) -> Result<Option<Traces>> {
    let Some(endpoint) = settings.traces_url.clone() else { return Ok(None) };
    let service = match part {
        Part::All => "pmsgate",
        Part::Authz => "pmsgate-authz",
        Part::Gateway => "pmsgate-gateway",
        Part::Backend => "pmsgate-backend",
    };
    let client = reqwest::Client::builder().no_proxy().connect_timeout(Duration::from_secs(2)).build()?;
    let options = TracesOptions { endpoint, service: service.to_owned(), sample: settings.traces_sample };
    Ok(Some(Traces::start(&options, client).context("telemetry.traces_url")?))
}

/// The proxies in front of the public listener.
fn proxies(listen: &Listen) -> Proxies {
    Proxies {
        trusted: listen.trusted_proxies.iter().map(|network| (*network).into()).collect(),
        told_by: match listen.client_address_from {
            ClientAddressFrom::XForwardedFor => ToldBy::XForwardedFor,
            ClientAddressFrom::Forwarded => ToldBy::Forwarded,
            ClientAddressFrom::ProxyProtocol => ToldBy::ProxyProtocol,
        },
    }
}

/// From where callers' certificates are taken, in the listener's words.
fn client_certificates(listen: &Listen) -> ClientCertificates {
    match listen.client_certificates {
        config::ClientCertificates::Off => ClientCertificates::Off,
        config::ClientCertificates::Handshake => ClientCertificates::Handshake,
        config::ClientCertificates::Header => ClientCertificates::Header,
    }
}

fn bind_on(address: SocketAddr, workers: usize) -> Result<Listening> {
    bind(address, workers).with_context(|| {
        format!("cannot listen on {address}; another program may use it: stop that, or choose another with --listen or --admin-listen")
    })
}
