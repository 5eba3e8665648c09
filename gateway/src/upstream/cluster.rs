//! The upstreams of a product: which of them is asked, by health, breaker, and requests outstanding.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Request, Response, header};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Changes, Connector, Pool, RequestBody, UpstreamBody, UpstreamError, breaker::Breaker,
    connector::Connection,
};
use crate::{observe::count, settings::Limits};

/// How often the health of an upstream is asked for, where there is another to go to.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// How long such a question waits for its answer.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

/// One upstream, as all workers see it.
#[derive(Debug)]
pub(crate) struct Upstream {
    connector: Arc<Connector>,
    /// Requests that wait for their answer or read it.
    outstanding: Arc<AtomicUsize>,
    breaker: Breaker,
    healthy: AtomicBool,
    up: metrics::Gauge,
    healthy_gauge: metrics::Gauge,
    breaker_open: metrics::Gauge,
    in_flight: metrics::Gauge,
    requests: metrics::Counter,
    failures: metrics::Counter,
    answers: metrics::Histogram,
}

impl Upstream {
    fn new(connector: Connector) -> Self {
        let label = connector.address().authority.to_string();
        let up = metrics::gauge!("pmsgate_gateway_upstream_up", "upstream" => label.clone());
        up.set(1.0);
        Self {
            connector: Arc::new(connector),
            outstanding: Arc::default(),
            breaker: Breaker::new(),
            healthy: AtomicBool::new(true),
            up,
            healthy_gauge: metrics::gauge!("pmsgate_gateway_upstream_healthy", "upstream" => label.clone()),
            breaker_open: metrics::gauge!("pmsgate_gateway_upstream_breaker_open", "upstream" => label.clone()),
            in_flight: metrics::gauge!("pmsgate_gateway_upstream_in_flight", "upstream" => label.clone()),
            requests: metrics::counter!("pmsgate_gateway_upstream_requests_total", "upstream" => label.clone()),
            failures: metrics::counter!("pmsgate_gateway_upstream_failures_total", "upstream" => label.clone()),
            answers: metrics::histogram!("pmsgate_gateway_upstream_answer_seconds", "upstream" => label),
        }
    }

    fn is_fit(&self) -> bool {
        self.healthy.load(Ordering::Relaxed) && self.breaker.is_closed()
    }

    /// Tells how it stands.
    pub(crate) fn tell(&self) {
        self.in_flight.set(count(self.outstanding.load(Ordering::Relaxed)));
        self.breaker_open.set(if self.breaker.is_closed() { 0.0 } else { 1.0 });
        self.healthy_gauge.set(if self.healthy.load(Ordering::Relaxed) { 1.0 } else { 0.0 });
        self.up.set(if self.is_fit() { 1.0 } else { 0.0 });
    }

    fn succeeded(&self) {
        if self.breaker.succeeded() {
            self.up.set(1.0);
            tracing::info!(upstream = %self.connector.address(), "upstream answers again");
        }
    }

    fn failed(&self, error: &UpstreamError) {
        self.failures.increment(1);
        if self.breaker.failed() {
            self.up.set(0.0);
            tracing::error!(upstream = %self.connector.address(), %error, "upstream keeps failing: it is left alone for a while");
        }
    }

    /// Asks it for `path`, as who comes new would: over a connection of its own.
    async fn is_well(&self, path: &str) -> bool {
        let request = Request::get(path)
            .header(header::HOST, self.connector.address().authority.as_str())
            .body(RequestBody::Empty);
        let connection = self.connector.connect(CHECK_TIMEOUT).await.ok();
        match (connection.and_then(Connection::into_channel), request) {
            (Some(mut channel), Ok(request)) => {
                channel.send(request).await.is_ok_and(|answer| !answer.status().is_server_error())
            }
            _ => false,
        }
    }

    /// A health check came back.
    fn checked(&self, healthy: bool) {
        if self.healthy.swap(healthy, Ordering::Relaxed) != healthy {
            self.up.set(if healthy { 1.0 } else { 0.0 });
            tracing::warn!(upstream = %self.connector.address(), healthy, "upstream changed its health");
        }
    }
}

/// One that a reload took away must not be told as down for ever. Should another plan have it again, that one tells.
impl Drop for Upstream {
    fn drop(&mut self) {
        for gauge in [&self.up, &self.healthy_gauge, &self.breaker_open, &self.in_flight] {
            gauge.set(f64::NAN);
        }
    }
}

/// Upstreams that answer alike.
#[derive(Debug)]
pub struct Cluster {
    upstreams: Vec<Upstream>,
    /// Where the next search for the least busy begins, so that equals take turns.
    turn: AtomicUsize,
    /// What is known of the changes of their data.
    pub(crate) changes: Changes,
}

impl Cluster {
    /// A cluster; all of it is fit at first.
    pub fn new(connectors: impl IntoIterator<Item = Connector>) -> Self {
        let upstreams: Vec<_> = connectors.into_iter().map(Upstream::new).collect();
        let changes = Changes::new(upstreams.iter().map(|upstream| &upstream.connector));
        Self { upstreams, turn: AtomicUsize::new(0), changes }
    }

    /// All of them.
    pub(crate) fn upstreams(&self) -> &[Upstream] {
        &self.upstreams
    }

    /// The fit one with the fewest requests outstanding. Where none is fit, one whose breaker lets a probe through:
    /// health checks may be wrong, and then somebody must try. `but`: not this one.
    fn choose(&self, but: Option<usize>) -> Option<usize> {
        let count = self.upstreams.len();
        let start = if count == 1 { 0 } else { self.turn.fetch_add(1, Ordering::Relaxed) % count };
        let others = || (start..start + count).map(|at| at % count).filter(|at| Some(*at) != but);
        // A breaker whose rest is over must see its probe also while others are fit, or it would never close.
        let probe = || {
            others()
                .find(|at| !self.upstreams[*at].breaker.is_closed() && self.upstreams[*at].breaker.admits())
        };
        let least = others()
            .filter(|at| self.upstreams[*at].is_fit())
            .min_by_key(|at| self.upstreams[*at].outstanding.load(Ordering::Relaxed));
        match but {
            None => probe().or(least),
            Some(_) => least,
        }
        .or_else(|| others().find(|at| self.upstreams[*at].breaker.is_closed()))
    }

    /// The shortest rest of all breakers, in whole seconds, at least 1.
    fn rest(&self) -> u32 {
        let shortest = self.upstreams.iter().map(|one| one.breaker.rest()).min().unwrap_or_default();
        u32::try_from(shortest.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1)
    }

    /// Asks every upstream for `path` again and again, where there are several. Ends when stopped.
    pub async fn watch(&self, path: String, stop: &CancellationToken) {
        if self.upstreams.len() < 2 {
            return;
        }
        loop {
            for upstream in &self.upstreams {
                let asked = tokio::time::timeout(CHECK_TIMEOUT, upstream.is_well(&path)).await;
                upstream.checked(asked.unwrap_or(false));
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(CHECK_INTERVAL) => {}
            }
        }
    }
}

/// One worker's connections to a cluster.
#[derive(Debug)]
pub struct ClusterPools {
    cluster: Arc<Cluster>,
    pools: Vec<Pool>,
}

impl ClusterPools {
    /// Without connections yet.
    pub fn new(cluster: &Arc<Cluster>, limits: &Limits) -> Self {
        let pools = cluster
            .upstreams
            .iter()
            .map(|upstream| Pool::new(&upstream.connector, limits, Arc::clone(&upstream.outstanding)))
            .collect();
        Self { cluster: Arc::clone(cluster), pools }
    }

    /// Whether they lead to this very cluster.
    pub fn are_of(&self, cluster: &Arc<Cluster>) -> bool {
        Arc::ptr_eq(&self.cluster, cluster)
    }

    /// Sends a request to one upstream. `again` makes it anew; `None` when it must not be sent twice. One that no
    /// connection could be made for goes to another upstream, once. Beside the answer: how long its head took.
    ///
    /// # Errors
    /// [`UpstreamError`], of the first upstream that was tried.
    pub async fn send(
        &self,
        request: Request<RequestBody>,
        again: impl Fn() -> Option<Request<RequestBody>>,
    ) -> Result<(Response<UpstreamBody>, Duration), UpstreamError> {
        let Some(first) = self.cluster.choose(None) else {
            return Err(UpstreamError::Resting { seconds: self.cluster.rest() });
        };
        let answer = self.ask(first, request, &again).await;
        match answer {
            Err(error @ UpstreamError::Unreachable(_)) => {
                let other = if self.pools.len() > 1 { self.cluster.choose(Some(first)) } else { None };
                match other.and_then(|other| again().map(|request| (other, request))) {
                    Some((other, request)) => self.ask(other, request, &again).await,
                    None => Err(error),
                }
            }
            answer => answer,
        }
    }

    async fn ask(
        &self,
        at: usize,
        request: Request<RequestBody>,
        again: impl Fn() -> Option<Request<RequestBody>>,
    ) -> Result<(Response<UpstreamBody>, Duration), UpstreamError> {
        let upstream = &self.cluster.upstreams[at];
        upstream.requests.increment(1);
        let began = Instant::now();
        match self.pools[at].send(request, again, began).await {
            Ok(answer) => {
                let took = began.elapsed();
                upstream.answers.record(took);
                upstream.succeeded();
                Ok((answer, took))
            }
            Err(error) => {
                if error.is_the_upstreams() {
                    upstream.failed(&error);
                }
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Http2;

    fn cluster(count: u16) -> Cluster {
        Cluster::new((1..=count).map(|port| {
            let address = format!("http://127.0.0.1:{port}").parse().unwrap();
            Connector::new(address, Http2::Never, None)
        }))
    }

    fn open(upstream: &Upstream) {
        while upstream.breaker.is_closed() {
            upstream.failed(&UpstreamError::Timeout);
        }
    }

    #[tokio::test]
    async fn the_one_with_the_fewest_outstanding_is_asked_and_equals_take_turns() {
        let cluster = cluster(3);
        let turns: Vec<_> = (0..6).map(|_| cluster.choose(None).unwrap()).collect();
        assert_eq!(turns, [0, 1, 2, 0, 1, 2]);
        for (at, outstanding) in [(0, 2), (1, 1), (2, 3)] {
            cluster.upstreams[at].outstanding.store(outstanding, Ordering::Relaxed);
        }
        assert!((0..6).all(|_| cluster.choose(None) == Some(1)));
        assert_ne!(cluster.choose(Some(1)), Some(1), "not the one that just failed");
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_breaker_is_passed_by_until_its_probe() {
        let cluster = cluster(2);
        open(&cluster.upstreams[0]);
        assert!((0..6).all(|_| cluster.choose(None) == Some(1)));
        tokio::time::advance(Duration::from_secs(1)).await;
        let chosen: Vec<_> = (0..6).map(|_| cluster.choose(None).unwrap()).collect();
        assert_eq!(chosen.iter().filter(|at| **at == 0).count(), 1, "one probe: {chosen:?}");
        cluster.upstreams[0].succeeded();
        assert!((0..2).any(|_| cluster.choose(None) == Some(0)));
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_rest_nobody_is_asked_and_the_caller_is_told_how_long() {
        let cluster = cluster(2);
        cluster.upstreams.iter().for_each(open);
        assert_eq!((cluster.choose(None), cluster.rest()), (None, 1));
    }

    #[tokio::test]
    async fn where_all_checks_fail_requests_go_on() {
        let cluster = cluster(2);
        cluster.upstreams[0].checked(false);
        assert!((0..4).all(|_| cluster.choose(None) == Some(1)));
        cluster.upstreams[1].checked(false);
        assert!(cluster.choose(None).is_some());
    }
}
