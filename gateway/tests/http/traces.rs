//! Traces as a collector gets them: a stub that speaks OTLP/HTTP.

use std::sync::{Arc, Mutex};

use axum::Router;
use bytes::Bytes;
use http::StatusCode;
use http_service::{Proxies, ServeOptions, ToldBy, Traces, TracesOptions};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind, status::StatusCode as SpanStatus},
};
use prost::Message as _;
use tokio_util::sync::CancellationToken;

use crate::house::{House, READ, eventually, fhir, serve};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Spans with the name of the service that sent them.
type Spans = Arc<Mutex<Vec<(String, Span)>>>;

fn collector() -> (String, Spans) {
    let spans = Spans::default();
    let kept = Arc::clone(&spans);
    let router = Router::new().route(
        "/v1/traces",
        axum::routing::post(move |body: Bytes| async move {
            let export = ExportTraceServiceRequest::decode(body).unwrap();
            for resource in export.resource_spans {
                let service = text(&resource.resource.unwrap().attributes, "service.name");
                for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                    kept.lock().unwrap().push((service.clone(), span));
                }
            }
        }),
    );
    (format!("http://{}/v1/traces", serve(router, &CancellationToken::new())), spans)
}

fn text(attributes: &[KeyValue], name: &str) -> String {
    let value = attributes.iter().find(|one| one.key == name).and_then(|one| one.value.clone()?.value);
    match value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        _ => String::new(),
    }
}

fn traces(endpoint: String, sample: f64) -> Traces {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    Traces::start(&TracesOptions { endpoint, service: "pmsgate-gateway".into(), sample }, client).unwrap()
}

async fn house(traces: &Traces, believed: bool) -> House {
    let trusted = if believed { vec!["127.0.0.0/8".parse().unwrap()] } else { vec![] };
    let proxies = Proxies { trusted: trusted.into(), told_by: ToldBy::XForwardedFor };
    let options = ServeOptions { traces: Some(traces.clone()), proxies, ..ServeOptions::plain("gateway") };
    let house = House::start_served(|_| {}, |_| {}, options).await;
    eventually("the gateway is ready", || async { house.health.troubles().is_empty() }).await;
    house
}

#[tokio::test]
async fn a_request_and_the_question_to_the_backend_are_one_trace() {
    let (endpoint, spans) = collector();
    let traces = traces(endpoint, 1.0);
    let house = house(&traces, false).await;
    let request = house.get(&format!("{READ}?_format=json"), &house.token());
    let answer = request.header("traceparent", PARENT).header("tracestate", "a=b").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    house.upstream.answer(|_| fhir(StatusCode::INTERNAL_SERVER_ERROR, "{}"));
    house.ask(READ, &house.token()).await;
    let told = house.upstream.received.lock().unwrap()[0].headers.clone();
    traces.end().await;

    let spans = spans.lock().unwrap().clone();
    assert_eq!(spans.len(), 4, "{spans:?}");
    assert!(spans.iter().all(|(service, _)| service == "pmsgate-gateway"));
    let of_kind = |kind: SpanKind| -> Vec<&Span> {
        let mut found: Vec<&Span> =
            spans.iter().map(|(_, span)| span).filter(|span| span.kind == kind as i32).collect();
        found.sort_by_key(|span| span.start_time_unix_nano);
        found
    };
    let (served, asked) = (of_kind(SpanKind::Server), of_kind(SpanKind::Client));
    let (first, question) = (served[0], asked[0]);
    assert_eq!(first.name, "pms-read-v3 EP303");
    assert_eq!(text(&first.attributes, "http.response.status_code"), "200");
    assert_eq!(text(&first.attributes, "pmsgate.client_id"), "client-1");
    assert_eq!(text(&first.attributes, "url.path"), READ, "no query");
    assert_eq!(question.trace_id, first.trace_id);
    assert_eq!(question.parent_span_id, first.span_id);
    // A stranger's word about traces is not taken, and not passed on either.
    assert!(first.parent_span_id.is_empty());
    let parent = format!("00-{}-{}-01", hex(&question.trace_id), hex(&question.span_id));
    assert_eq!(told["traceparent"], parent.as_str());
    assert!(!told.contains_key("tracestate"));
    assert_eq!(served[1].status.as_ref().unwrap().code, SpanStatus::Error as i32);
}

#[tokio::test]
async fn a_declared_proxy_s_trace_goes_on() {
    let (endpoint, spans) = collector();
    // Nothing begins here, but what a proxy began is kept.
    let traces = traces(endpoint, 0.0);
    let house = house(&traces, true).await;
    house.ask(READ, &house.token()).await;
    let request = house.get(READ, &house.token()).header("traceparent", PARENT).header("tracestate", "a=b");
    request.send().await.unwrap();
    let told = house.upstream.last().headers;
    traces.end().await;
    let spans = spans.lock().unwrap().clone();
    assert_eq!(spans.len(), 2, "{spans:?}");
    assert!(spans.iter().all(|(_, span)| hex(&span.trace_id) == "0af7651916cd43dd8448eb211c80319c"));
    let served = spans.iter().find(|(_, span)| span.kind == SpanKind::Server as i32).unwrap();
    assert_eq!(hex(&served.1.parent_span_id), "b7ad6b7169203331");
    assert!(told["traceparent"].to_str().unwrap().starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
    assert_eq!(told["tracestate"], "a=b");
}

#[tokio::test]
async fn a_collector_that_is_away_costs_no_request() {
    let traces = traces("http://127.0.0.1:9/v1/traces".into(), 1.0);
    let house = house(&traces, false).await;
    for _ in 0..20 {
        assert_eq!(house.ask(READ, &house.token()).await.status, StatusCode::OK);
    }
    traces.end().await;
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
