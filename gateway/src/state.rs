//! What all workers of a gateway share, and what goes on beside requests.

use std::{sync::Arc, time::Duration};

use caller_context::ContextKey;
use http_service::{Clock, PartHealth};
use tokio_util::sync::CancellationToken;

use crate::{
    authenticate::Authenticator,
    capability::{Documents, Statements},
    keys::Keys,
    observe::Metrics,
    pipeline::GatewayWorker,
    rate_limit::RateLimits,
    revocation::Revocations,
    routes::{RouteTableError, Routes},
    settings::{GatewaySettings, RateLimitRules},
    upstream::{Cluster, outbound::PublicFace},
};

/// How long the start waits for the revocation feed where it may serve without.
const FEED_GRACE: Duration = Duration::from_secs(2);

/// Why a gateway cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum UnfitSettings {
    /// The route table makes no sense.
    #[error(transparent)]
    Routes(#[from] RouteTableError),
    /// The URL of the shared store of limits is none.
    #[error("gateway.limits_url: {0}")]
    LimitsUrl(#[from] redis::RedisError),
}

/// What all workers share.
#[derive(Debug)]
pub struct Gateway {
    pub(crate) routes: Routes,
    pub(crate) authenticator: Authenticator,
    keys: Arc<Keys>,
    revocations: Option<Arc<Revocations>>,
    pub(crate) statements: Statements,
    pub(crate) documents: Arc<Documents>,
    pub(crate) metrics: Metrics,
    /// The upstreams, by [`crate::routes::Product::cluster`].
    pub(crate) clusters: Vec<Arc<Cluster>>,
    pub(crate) rate_limits: RateLimits,
    pub(crate) face: PublicFace,
    pub(crate) context_key: ContextKey,
    pub(crate) clock: Clock,
    pub(crate) settings: GatewaySettings,
}

impl Gateway {
    /// Puts the shared parts together. `context_key` seals what the backend is told about callers. The process's
    /// metrics recorder must be installed before, for the handles are registered here.
    ///
    /// # Errors
    /// A route table that makes no sense, or a store of limits that cannot be reached by its URL.
    pub fn new(
        settings: GatewaySettings,
        context_key: ContextKey,
        clock: Clock,
    ) -> Result<Arc<Self>, UnfitSettings> {
        let routes = Routes::compile(&settings)?;
        let keys =
            Arc::new(Keys::new(settings.jwks_url.clone(), settings.jwks_refresh, settings.jwks_cool_down));
        let revocations = settings.revocations.clone().map(|feed| Arc::new(Revocations::new(feed)));
        Ok(Arc::new(Self {
            authenticator: Authenticator::new(
                Arc::clone(&keys),
                revocations.clone(),
                settings.issuers.clone(),
                settings.clock_skew,
                settings.token_cache_capacity,
            ),
            statements: Statements::new(&routes, settings.token_endpoint.clone()),
            documents: Documents::new(&settings, &routes),
            metrics: Metrics::new(&routes),
            clusters: routes.clusters().iter().map(|one| Arc::new(Cluster::new(one))).collect(),
            rate_limits: RateLimits::new(&settings.rate_limits)?,
            face: PublicFace::new(&settings.public_base_url),
            routes,
            keys,
            revocations,
            context_key,
            clock,
            settings,
        }))
    }

    /// Puts other limits in force; what did not change keeps what clients have used up. Tells the changes, a line each.
    pub fn reload_limits(&self, rules: &RateLimitRules) -> Vec<String> {
        self.rate_limits.reload(rules)
    }

    /// A worker with connections of its own. Made on the thread that uses it.
    pub fn worker(self: &Arc<Self>) -> GatewayWorker {
        GatewayWorker::new(Arc::clone(self))
    }

    /// Whether a raw path is the gateway's to answer, were it only with a refusal.
    pub fn owns(&self, path: &str) -> bool {
        self.routes.owns(path)
    }

    /// Everything that goes on beside requests: reading keys, following revocations, telling health. Ends when
    /// stopped. `client` must trust the authorization server's certificate.
    pub async fn run(self: Arc<Self>, client: reqwest::Client, health: PartHealth, stop: CancellationToken) {
        let keys = Arc::clone(&self.keys).follow(client.clone(), stop.clone());
        let revocations = async {
            if let Some(revocations) = &self.revocations {
                Arc::clone(revocations).follow(client.clone(), self.clock.clone(), stop.clone()).await;
            }
        };
        let checks = self.clusters.iter().enumerate().filter_map(|(at, cluster)| {
            let product = self.routes.products().iter().find(|product| product.cluster == at)?;
            Some(cluster.watch(format!("{}/metadata", product.base_path), &stop))
        });
        let checks = futures_util::future::join_all(checks);
        tokio::join!(keys, revocations, checks, self.tell_health(&health, &stop));
    }

    /// Ready when keys are known and the feed is caught up; where the feed may be lost, its absence delays the
    /// start only.
    async fn tell_health(&self, health: &PartHealth, stop: &CancellationToken) {
        let began = tokio::time::Instant::now();
        let mut was = None;
        loop {
            let trouble = if self.keys.is_read() {
                self.revocations.as_ref().and_then(|feed| {
                    let waiting = !feed.is_fresh() && (!feed.may_serve() || began.elapsed() < FEED_GRACE);
                    waiting.then_some("the revocation feed is not connected")
                })
            } else {
                Some("the issuer's keys are not read yet")
            };
            if was != Some(trouble) {
                match trouble {
                    None => health.ready(),
                    Some(reason) => health.not_ready(reason),
                }
                was = Some(trouble);
            }
            let pause = if trouble.is_none() { 250 } else { 10 };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(Duration::from_millis(pause)) => {}
            }
        }
    }
}
