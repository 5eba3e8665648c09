//! Every route: the operations of each API product, as the data file lists them, each product's `/metadata`, and the feed
//! of changes for gateways.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::Request,
    response::Response,
    routing::{self, MethodRouter},
};
use bytes::Bytes;
use caller_context::{CallerContext, DataState};
use config::{ApiProduct, Interaction, Operation};
use http::{HeaderName, HeaderValue, StatusCode};
use http_service::AccessNote;
use pms_terms::FhirVersion;
use tokio::time::Instant;

use crate::{
    answer::Look,
    call::{self, Call},
    capability, changes,
    fault::Fault,
    interaction,
    outcome::Refusal,
    state::State,
};

const STATE: HeaderName = HeaderName::from_static(caller_context::STATE_HEADER);

/// An operation of a product, with the counters of its answers.
struct Route {
    product: Arc<ApiProduct>,
    operation: Operation,
    /// Product and operation, for the access log.
    label: String,
    /// By the first digit of the status.
    answers: [metrics::Counter; 6],
    seconds: metrics::Histogram,
}

/// The router of all products.
pub(crate) fn router(state: &Arc<State>, products: &[Arc<ApiProduct>]) -> Router {
    let mut router = Router::new();
    for product in products {
        let (at, of) = (Arc::clone(state), Arc::clone(product));
        let metadata =
            routing::get(move |request: Request| std::future::ready(capability::answer(&at, &of, &request)));
        router = router.route(&format!("{}/metadata", product.base_path), metadata);
        for operation in &product.operations {
            let path = format!("{}{}", product.base_path, operation.path);
            router = router.route(&path, method_router(state, Arc::new(Route::new(product, operation))));
        }
    }
    let at = Arc::clone(state);
    let feed = routing::get(move |request: Request| std::future::ready(changes::answer(&at, &request)));
    router = router.route(caller_context::CHANGES_PATH, feed);
    let (unknown, unsupported) = (Arc::clone(state), Arc::clone(state));
    router
        .fallback(move |request: Request| {
            std::future::ready(refuse(&unknown, &request, &Refusal::NoOperation))
        })
        .method_not_allowed_fallback(move |request: Request| {
            std::future::ready(refuse(&unsupported, &request, &Refusal::MethodNotSupported))
        })
}

impl Route {
    fn new(product: &Arc<ApiProduct>, operation: &Operation) -> Self {
        let answers = ["0xx", "1xx", "2xx", "3xx", "4xx", "5xx"].map(|status| {
            metrics::counter!("pmsgate_backend_requests_total",
                "product" => product.id.clone(), "operation" => operation.ep.clone(), "status" => status)
        });
        let seconds = metrics::histogram!("pmsgate_backend_request_seconds",
            "product" => product.id.clone(), "operation" => operation.ep.clone());
        let label = format!("{} {}", product.id, operation.ep);
        Self { product: Arc::clone(product), operation: operation.clone(), label, answers, seconds }
    }

    fn record(&self, status: StatusCode, elapsed: Duration) {
        if let Some(counter) = self.answers.get(usize::from(status.as_u16() / 100)) {
            counter.increment(1);
        }
        self.seconds.record(elapsed.as_secs_f64());
    }
}

fn method_router(state: &Arc<State>, route: Arc<Route>) -> MethodRouter {
    let state = Arc::clone(state);
    let method = route.operation.method;
    let handler = move |request: Request| {
        let (state, route) = (Arc::clone(&state), Arc::clone(&route));
        async move {
            let started = Instant::now();
            let response = answer(&state, &route, request).await;
            route.record(response.status(), started.elapsed());
            response
        }
    };
    match method {
        config::Method::Get => routing::get(handler),
        config::Method::Post => routing::post(handler),
    }
}

/// Context first: whoever has none learns nothing, not even what is wrong with the rest of the request.
async fn answer(state: &State, route: &Route, request: Request) -> Response {
    let look = Look::guessed(request.uri(), request.headers(), route.product.fhir_version);
    let context = match call::context(state, request.method(), request.uri(), request.headers()) {
        Ok(context) => context,
        Err(refusal) => return refusal.respond("", look),
    };
    let fault = match Fault::asked(state.sandbox, request.headers()) {
        Ok(fault) => fault,
        Err(refusal) => return refusal.respond(&context.request_id, look),
    };
    if let Some(fault) = fault
        && let Some(response) = fault.before(&context.request_id, look).await
    {
        return response;
    }
    let answered = understood(state, route, &context, request).await;
    let refused = answered.as_ref().err().map(Refusal::word);
    let mut response = answered.unwrap_or_else(|refusal| refusal.respond(&context.request_id, look));
    if let Some(fault) = fault {
        response = fault.after(response).await;
        response.headers_mut().remove(STATE);
    }
    response.extensions_mut().insert(AccessNote {
        client_id: Some(context.client_id),
        operation: Some(route.label.clone()),
        refusal: refused,
    });
    response
}

async fn understood(
    state: &State,
    route: &Route,
    context: &CallerContext,
    request: Request,
) -> Result<Response, Refusal> {
    let (head, body) = request.into_parts();
    let operation = &route.operation;
    let (form, body) = if operation.form {
        (call::form(&head.headers, body).await?, Body::empty())
    } else {
        (Bytes::new(), body)
    };
    let before = state.heads.state();
    let call = Call::read(state, &route.product, operation, context, head, &form)?;
    let mut response = interaction::answer(&call, body).await?;
    if let Some(shown) = shown(&call, before)
        && let Ok(shown) = HeaderValue::try_from(shown.to_string())
    {
        response.headers_mut().insert(STATE, shown);
    }
    Ok(response)
}

/// The state that an answer shows. A read is at least as new as what was known before it; what a merge did is known after
/// it. Nothing where the answer is good once.
fn shown(call: &Call<'_>, before: Option<DataState>) -> Option<DataState> {
    match call.operation.interaction {
        Interaction::Merge | Interaction::TransactionResponse => call.state.heads.state(),
        _ => before.filter(|_| !call.hangs_on_time()),
    }
}

fn refuse(state: &State, request: &Request, refusal: &Refusal) -> Response {
    let look = Look::guessed(request.uri(), request.headers(), FhirVersion::V5_0_0);
    match call::context(state, request.method(), request.uri(), request.headers()) {
        Ok(context) => refusal.respond(&context.request_id, look),
        Err(no_context) => no_context.respond("", look),
    }
}
