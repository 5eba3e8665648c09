//! What all workers of a gateway share, and what goes on beside requests.

use std::{sync::Arc, time::Duration};

use caller_context::ContextKey;
use http_service::{Clock, PartHealth};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    audit::{Audit, TrailError},
    authenticate::Authenticator,
    enforce::CursorKey,
    keys::Keys,
    observe::{self, Figures},
    plan::Plan,
    possession::Possession,
    rate_limit::RateLimits,
    revocation::Revocations,
    routes::RouteTableError,
    settings::GatewaySettings,
    upstream::{UnfitWay, Ways, outbound::PublicFace},
    worker::GatewayWorker,
};

/// How long the start waits for the revocation feed where it may serve without.
const FEED_GRACE: Duration = Duration::from_secs(2);

/// How often figures are told that change by themselves.
const FIGURES_EVERY: Duration = Duration::from_secs(1);

/// Why a gateway cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum UnfitSettings {
    /// The route table makes no sense.
    #[error(transparent)]
    Routes(#[from] RouteTableError),
    /// The URL of the shared store of limits is none.
    #[error("gateway.limits_url: {0}")]
    LimitsUrl(#[from] redis::RedisError),
    /// An upstream cannot be spoken to as configured.
    #[error("gateway.upstreams: {0}")]
    Upstream(#[from] UnfitWay),
    /// The record of who read what cannot be kept.
    #[error(transparent)]
    Audit(#[from] TrailError),
}

/// What all workers share.
#[derive(Debug)]
pub struct Gateway {
    /// The plan in force; workers look for the next one before each request.
    plans: watch::Sender<Arc<Plan>>,
    pub(crate) authenticator: Authenticator,
    keys: Arc<Keys>,
    revocations: Option<Arc<Revocations>>,
    pub(crate) audit: Option<Audit>,
    pub(crate) face: PublicFace,
    ways: Ways,
    pub(crate) context_key: ContextKey,
    pub(crate) cursors: CursorKey,
    pub(crate) clock: Clock,
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
        let keys =
            Arc::new(Keys::new(settings.jwks_url.clone(), settings.jwks_refresh, settings.jwks_cool_down));
        let ways = Ways::new(&settings.upstreams)?;
        let rate_limits = RateLimits::new(&settings.rate_limits)?;
        let revocations = settings.revocations.clone().map(|feed| Arc::new(Revocations::new(feed)));
        Ok(Arc::new(Self {
            authenticator: Authenticator::new(
                Arc::clone(&keys),
                revocations.clone(),
                settings.issuers.clone(),
                settings.clock_skew,
                settings.token_cache_capacity,
                Possession::new(&settings.public_base_url, settings.dpop_nonces.clone()),
            ),
            audit: settings.audit.as_ref().map(Audit::start).transpose()?,
            face: PublicFace::new(&settings.public_base_url),
            plans: watch::Sender::new(Arc::new(Plan::compile(settings, rate_limits, &ways, None)?)),
            keys,
            revocations,
            cursors: CursorKey::new(&context_key),
            ways,
            context_key,
            clock,
        }))
    }

    /// Puts the products, their documents and the limits on calls of `settings` in force at once, or, where they make no
    /// sense, nothing of them. Everything else stays as it was at the start. Requests that have begun end under the old plan;
    /// unchanged upstreams keep their connections, unchanged limits what clients have used up. Tells the changes, a line
    /// each.
    ///
    /// # Errors
    /// A route table that makes no sense.
    pub fn reload(&self, settings: GatewaySettings) -> Result<Vec<String>, RouteTableError> {
        let before = Arc::clone(&self.plans.borrow());
        let settings = GatewaySettings {
            products: settings.products,
            access_levels: settings.access_levels,
            parameter_texts: settings.parameter_texts,
            rate_limits: settings.rate_limits,
            ..before.settings.clone()
        };
        let rate_limits = before.rate_limits.following(&settings.rate_limits.rules);
        let after = Arc::new(Plan::compile(settings, rate_limits, &self.ways, Some(&before))?);
        let changes = before.changes_to(&after);
        self.plans.send_replace(after);
        Ok(changes)
    }

    /// Tells whether the data files that were read again are in force or were refused.
    pub fn tell_reload(&self, in_force: bool) {
        observe::reloaded(in_force);
    }

    /// A worker with connections of its own. Made on the thread that uses it.
    pub fn worker(self: &Arc<Self>) -> GatewayWorker {
        GatewayWorker::new(Arc::clone(self), self.plans.subscribe())
    }

    /// Everything that goes on beside requests: reading keys, following revocations, telling health. Ends when
    /// stopped. `client` must trust the authorization server's certificate.
    pub async fn run(self: Arc<Self>, client: reqwest::Client, health: PartHealth, stop: CancellationToken) {
        let keys = Arc::clone(&self.keys).follow(client.clone(), stop.clone());
        let revocations = async {
            if let Some(revocations) = &self.revocations {
                revocations.follow(client.clone(), self.clock.clone(), stop.clone()).await;
            }
        };
        let upstreams = self.watch_upstreams(&stop);
        tokio::join!(
            keys,
            revocations,
            upstreams,
            self.tell_health(&health, &stop),
            self.tell_figures(&stop)
        );
        if let Some(audit) = &self.audit {
            audit.flush().await;
        }
    }

    /// Takes the certificates towards upstreams anew when their files change, and at SIGHUP. Ends when stopped.
    pub async fn follow_certificates(self: Arc<Self>, every: Duration, stop: CancellationToken) {
        self.ways.follow(every, &stop).await;
    }

    /// Asks for the health of the plan's upstreams and follows the changes of their data, from the next plan on for that
    /// one's.
    async fn watch_upstreams(&self, stop: &CancellationToken) {
        let mut plans = self.plans.subscribe();
        while !stop.is_cancelled() {
            let plan = Arc::clone(&plans.borrow_and_update());
            tokio::select! {
                () = plan.watch_health(stop) => {}
                () = plan.follow_changes((&self.context_key, &self.clock), stop) => {}
                // Err cannot be: the sender is ours.
                _ = plans.changed() => {}
            }
        }
    }

    /// Keeps the figures that change by themselves: ages, what is in flight.
    async fn tell_figures(&self, stop: &CancellationToken) {
        let figures = Figures::new();
        loop {
            for upstream in self.plans.borrow().clusters.iter().flat_map(|cluster| cluster.upstreams()) {
                upstream.tell();
            }
            figures.tell(&self.keys, self.revocations.as_deref(), self.audit.as_ref());
            let plan = Arc::clone(&self.plans.borrow());
            plan.rate_limits.look().await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(FIGURES_EVERY) => {}
            }
        }
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
