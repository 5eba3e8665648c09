//! The operator's listener: metrics and health. Plain HTTP on loopback.

use axum::{
    Json, Router, http::StatusCode, http::header::CONTENT_TYPE, response::IntoResponse, routing::get,
};
use serde_json::{Value, json};

use crate::{Health, MetricsHandle};

/// `/metrics` (Prometheus text), `/health/live`, `/health/ready`.
pub fn admin_router(health: Health, metrics: MetricsHandle) -> Router {
    Router::new()
        .route("/health/live", get(|| async { Json(json!({ "status": "live" })) }))
        .route("/health/ready", get(move || ready(health.clone())))
        .route("/metrics", get(move || render(metrics.clone())))
}

async fn ready(health: Health) -> impl IntoResponse {
    let states = health.states();
    let all = !states.is_empty() && states.iter().all(|(_, state)| state.is_ok());
    let parts: serde_json::Map<String, Value> = states
        .into_iter()
        .map(|(part, state)| {
            (part.to_owned(), Value::from(state.err().unwrap_or_else(|| "ready".to_owned())))
        })
        .collect();
    let (code, status) =
        if all { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready") };
    (code, Json(json!({ "status": status, "parts": parts })))
}

async fn render(metrics: MetricsHandle) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt as _;
    use tower::Service as _;

    use super::*;
    use crate::install_metrics;

    async fn ask(router: &Router, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = router.clone().call(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readiness_names_the_part_that_is_not() {
        let health = Health::default();
        let router = admin_router(health.clone(), install_metrics());
        assert_eq!(ask(&router, "/health/ready").await.0, StatusCode::SERVICE_UNAVAILABLE);
        let (authz, gateway) = (health.register("authz"), health.register("gateway"));
        authz.ready();
        gateway.not_ready("no keys yet");
        let (status, body) = ask(&router, "/health/ready").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body.contains("no keys yet"), "{body}");
        gateway.ready();
        assert_eq!(ask(&router, "/health/ready").await.0, StatusCode::OK);
        assert_eq!(ask(&router, "/health/live").await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn counted_things_are_rendered() {
        let handle = install_metrics();
        metrics::counter!("pmsgate_test_total").increment(2);
        let (_, body) = ask(&admin_router(Health::default(), handle), "/metrics").await;
        assert!(body.contains("pmsgate_test_total 2"), "{body}");
    }
}
