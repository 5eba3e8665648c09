//! What requests are answered by: the route table and everything made of it, and the limits on calls. As a whole one plan
//! follows another, while requests that began under the old one end under it.

mod changes;

use std::sync::Arc;

use caller_context::ContextKey;
use http_service::Clock;
use tokio_util::sync::CancellationToken;

use crate::{
    capability::{Documents, Statements},
    observe::Metrics,
    rate_limit::RateLimits,
    response_cache::ResponseCache,
    routes::{RouteTableError, Routes},
    settings::GatewaySettings,
    upstream::{Address, Cluster, UnfitWay, Ways},
};

/// A route table at work.
#[derive(Debug)]
pub struct Plan {
    /// What it was compiled from.
    pub(crate) settings: GatewaySettings,
    pub(crate) routes: Routes,
    pub(crate) statements: Statements,
    pub(crate) documents: Arc<Documents>,
    pub(crate) metrics: Metrics,
    pub(crate) rate_limits: RateLimits,
    /// The upstreams, by [`crate::routes::Product::cluster`].
    pub(crate) clusters: Vec<Arc<Cluster>>,
    /// Kept answers, where any are kept. Those of the plan before are not taken over: routes decide what they say.
    pub(crate) responses: Option<ResponseCache>,
}

impl Plan {
    /// Compiles a plan with these limits. Clusters that `before` has, too, go on as they are: what is known about their
    /// upstreams stays.
    ///
    /// # Errors
    /// A route table that makes no sense.
    pub(crate) fn compile(
        settings: GatewaySettings,
        rate_limits: RateLimits,
        ways: &Ways,
        before: Option<&Self>,
    ) -> Result<Self, RouteTableError> {
        let routes = Routes::compile(&settings)?;
        let cluster = |upstreams: &Vec<Address>| -> Result<_, UnfitWay> {
            if let Some(known) = before.and_then(|plan| plan.cluster_of(upstreams)) {
                return Ok(known);
            }
            let connectors =
                upstreams.iter().map(|one| ways.connector(one)).collect::<Result<Vec<_>, _>>()?;
            Ok(Arc::new(Cluster::new(connectors)))
        };
        Ok(Self {
            clusters: routes.clusters().iter().map(cluster).collect::<Result<_, UnfitWay>>()?,
            statements: Statements::new(&routes, settings.token_endpoint.clone()),
            documents: Documents::new(&settings, &routes),
            metrics: Metrics::new(&routes),
            rate_limits,
            responses: settings.response_cache.as_ref().map(ResponseCache::new),
            routes,
            settings,
        })
    }

    fn cluster_of(&self, upstreams: &[Address]) -> Option<Arc<Cluster>> {
        let at = self.routes.clusters().iter().position(|known| known == upstreams)?;
        Some(Arc::clone(&self.clusters[at]))
    }

    /// What is different in `after`, a line each, for the log.
    pub(crate) fn changes_to(&self, after: &Self) -> Vec<String> {
        let mut changes = changes::between(&self.settings, &after.settings);
        changes.extend(self.rate_limits.changes_to(&after.rate_limits));
        changes
    }

    /// Follows the changes of all upstreams' data, where answers are kept, until stopped. Of foreign servers no answer is.
    pub(crate) async fn follow_changes(&self, us: (&ContextKey, &Clock), stop: &CancellationToken) {
        let Some(responses) = &self.responses else { return stop.cancelled().await };
        let follow = |cluster: &Arc<Cluster>| {
            let cluster = Arc::clone(cluster);
            async move { cluster.changes.follow(us, || responses.empty(), stop).await }
        };
        let ours = |at: &usize| {
            self.routes.products().iter().any(|product| product.cluster == *at && product.foreign.is_none())
        };
        let followed = (0..self.clusters.len()).filter(ours).map(|at| &self.clusters[at]);
        let following = futures_util::future::join_all(followed.map(follow));
        tokio::select! {
            _ = following => stop.cancelled().await,
            () = responses.tidy() => {}
        }
    }

    /// Asks for the health of all upstreams again and again, until stopped.
    pub(crate) async fn watch_health(&self, stop: &CancellationToken) {
        let checks = self.clusters.iter().enumerate().filter_map(|(at, cluster)| {
            let product = self.routes.products().iter().find(|product| product.cluster == at)?;
            Some(cluster.watch(format!("{}/metadata", product.upstream_path()), stop))
        });
        futures_util::future::join_all(checks).await;
        stop.cancelled().await;
    }
}
