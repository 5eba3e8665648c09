//! Traces (OpenTelemetry): a span for each request and for each question to another server, sent by OTLP/HTTP.
//!
//! Nothing of this runs where no collector is named. Spans wait in a bounded queue and are sent by a thread of their own:
//! a collector that is away costs spans, never requests.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use axum::body::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use opentelemetry::{
    Context, KeyValue,
    propagation::TextMapPropagator as _,
    trace::{SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _},
};
use opentelemetry_http::{HeaderExtractor, HeaderInjector, HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracer, SdkTracerProvider},
};
use tokio::runtime::Handle;

use crate::{AccessNote, RequestId};

/// How long one delivery to the collector may take.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the end of the program waits for the last spans to be delivered.
const LAST_DELIVERY: Duration = Duration::from_secs(5);

/// Where traces go, and how many of them.
#[derive(Clone, Debug)]
pub struct TracesOptions {
    /// The collector's address for traces by OTLP/HTTP: `http://127.0.0.1:4318/v1/traces`.
    pub endpoint: String,
    /// What this process calls itself (`service.name`).
    pub service: String,
    /// The share of traces that begin here and are kept, from 0 to 1. What a declared proxy began is its own to decide.
    pub sample: f64,
}

/// A collector that cannot be spoken to.
#[derive(Debug, thiserror::Error)]
#[error("the collector of traces cannot be spoken to: {0}")]
pub struct TracesError(#[from] opentelemetry_otlp::ExporterBuildError);

/// The way to the collector. Clones share it.
#[derive(Clone, Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Traces {
    /// Begins to deliver, over `client`, on the runtime that this is called in.
    ///
    /// # Errors
    /// An address that is none.
    pub fn start(options: &TracesOptions, client: reqwest::Client) -> Result<Self, TracesError> {
        metrics::describe_counter!(
            "pmsgate_trace_deliveries_total",
            "Deliveries of spans to the collector, by outcome"
        );
        let collector = Collector { client, runtime: Handle::current() };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(collector)
            .with_endpoint(&options.endpoint)
            .with_timeout(DELIVERY_TIMEOUT)
            .build()?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(options.sample))))
            .with_resource(Resource::builder_empty().with_service_name(options.service.clone()).build())
            .build();
        let tracer = provider.tracer("pmsgate");
        Ok(Self { provider, tracer })
    }

    /// Delivers what waits, and ends.
    pub async fn end(self) {
        let ended =
            tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(LAST_DELIVERY)).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::warn!("the last traces were not delivered");
        }
    }

    /// The span of a request that just came. `believed`: it comes from a declared proxy, whose `traceparent` says what
    /// trace it belongs to (W3C Trace Context).
    pub(crate) fn begin<B>(&self, request: &Request<B>, believed: bool, id: &RequestId) -> RequestSpan {
        let parent = if believed {
            TraceContextPropagator::new()
                .extract_with_context(&Context::new(), &HeaderExtractor(request.headers()))
        } else {
            Context::new()
        };
        let span = self
            .tracer
            .span_builder(request.method().to_string())
            .with_kind(SpanKind::Server)
            .with_attributes([
                KeyValue::new("http.request.method", request.method().to_string()),
                KeyValue::new("url.path", request.uri().path().to_owned()),
                KeyValue::new("pmsgate.request_id", id.as_str().to_owned()),
            ])
            .start_with_context(&self.tracer, &parent);
        RequestSpan { tracer: self.tracer.clone(), context: parent.with_span(span) }
    }
}

/// The span of a request: an extension of it, where traces are wanted.
#[derive(Clone, Debug)]
pub struct RequestSpan {
    tracer: SdkTracer,
    context: Context,
}

impl RequestSpan {
    /// The span of a question to another server on behalf of this request.
    pub fn asking(&self, name: &'static str, server: &str) -> QuestionSpan {
        let span = self
            .tracer
            .span_builder(name)
            .with_kind(SpanKind::Client)
            .with_attributes([KeyValue::new("server.address", server.to_owned())])
            .start_with_context(&self.tracer, &self.context);
        QuestionSpan(self.context.with_span(span))
    }

    /// The head of the answer is there.
    pub(crate) fn end(&self, status: StatusCode, note: Option<&AccessNote>) {
        let span = self.context.span();
        for (name, value) in note.into_iter().flat_map(|note| {
            [
                ("pmsgate.operation", note.operation.clone()),
                ("pmsgate.client_id", note.client_id.clone()),
                ("pmsgate.refusal", note.refusal.map(str::to_owned)),
            ]
        }) {
            if let Some(value) = value {
                if name == "pmsgate.operation" {
                    span.update_name(value.clone());
                }
                span.set_attribute(KeyValue::new(name, value));
            }
        }
        close(&span, status);
    }
}

/// The span of a question to another server. Ends with its answer, or when it is dropped.
#[derive(Debug)]
pub struct QuestionSpan(Context);

impl QuestionSpan {
    /// Tells the other server which trace its work belongs to (W3C Trace Context), whatever stood there before.
    pub fn announce(&self, headers: &mut HeaderMap) {
        headers.remove("tracestate");
        TraceContextPropagator::new().inject_context(&self.0, &mut HeaderInjector(headers));
        if headers.get("tracestate").is_some_and(http::HeaderValue::is_empty) {
            headers.remove("tracestate");
        }
    }

    /// The head of its answer is there.
    pub fn answered(self, status: StatusCode) {
        close(&self.0.span(), status);
    }

    /// There is no answer.
    pub fn failed(self, cause: &dyn fmt::Display) {
        self.0.span().set_status(Status::error(cause.to_string()));
    }
}

fn close(span: &opentelemetry::trace::SpanRef<'_>, status: StatusCode) {
    span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
    if status.is_server_error() {
        span.set_status(Status::error(""));
    }
    span.end();
}

/// Our HTTP client for the exporter's thread, which has no runtime of its own.
#[derive(Debug)]
struct Collector {
    client: reqwest::Client,
    runtime: Handle,
}

impl HttpClient for Collector {
    fn send_bytes<'own, 'sending>(
        &'own self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'sending>>
    where
        'own: 'sending,
        Self: 'sending,
    {
        let client = self.client.clone();
        let sending = self.runtime.spawn(async move {
            let mut request = reqwest::Request::try_from(request)?;
            *request.timeout_mut() = Some(DELIVERY_TIMEOUT);
            let answer = client.execute(request).await?.error_for_status()?;
            // What a collector says besides is for people who debug it.
            Ok::<_, HttpError>(Response::builder().status(answer.status()).body(Bytes::new())?)
        });
        Box::pin(async move {
            let outcome = sending.await.map_err(HttpError::from).flatten();
            let word = if outcome.is_ok() { "delivered" } else { "failed" };
            metrics::counter!("pmsgate_trace_deliveries_total", "outcome" => word).increment(1);
            if let Err(error) = &outcome {
                tracing::debug!(%error, "traces were not delivered");
            }
            outcome
        })
    }
}
