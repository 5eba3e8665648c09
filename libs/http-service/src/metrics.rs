//! The metrics recorder: one in a process, rendered for Prometheus.

use std::{sync::OnceLock, time::Duration};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

/// Bucket borders of every histogram whose name ends in `_seconds`.
const SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// How often durations are added up: at 30,000 requests a second less than two megabytes wait.
const ADD_UP_EVERY: Duration = Duration::from_secs(1);

/// Renders what was recorded. Clones show the same.
#[derive(Clone)]
pub struct MetricsHandle(PrometheusHandle);

impl std::fmt::Debug for MetricsHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MetricsHandle")
    }
}

impl MetricsHandle {
    /// The Prometheus text form.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Adds up durations until stopped. Each that is recorded is kept until somebody does, or asks for the figures: where
    /// nobody asked, they would fill the memory.
    pub async fn add_up(self, stop: CancellationToken) {
        let mut again = tokio::time::interval(ADD_UP_EVERY);
        while stop.run_until_cancelled(again.tick()).await.is_some() {
            self.0.run_upkeep();
        }
    }
}

/// Installs the process's recorder; a second call answers the first one's handle.
pub fn install_metrics() -> MetricsHandle {
    static HANDLE: OnceLock<MetricsHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let builder = PrometheusBuilder::new();
            let builder = builder
                .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
                .unwrap_or_else(|_| PrometheusBuilder::new());
            let recorder = builder.build_recorder();
            let handle = recorder.handle();
            // Fails only when somebody else installed one, whose figures we then cannot show.
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::error!("another metrics recorder is installed; /metrics stays empty");
            }
            MetricsHandle(handle)
        })
        .clone()
}
