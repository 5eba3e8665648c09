//! The life of a request, in order, on one screen.

use std::{net::IpAddr, rc::Rc, sync::Arc, time::Instant};

use axum::body::Body;
use bytes::Bytes;
use caller_context::{Disclosure, Introduction};
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts, uri::PathAndQuery};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use http_service::{AccessNote, BodyFault, NoteWanted, Peer, RequestId, RequestSpan};
use time::OffsetDateTime;

use crate::{
    at_hand::AtHand,
    audit::{Call, NoPlace, Place, Subject},
    authorize::{Permit, authorize, prefers_lenient},
    caller::Caller,
    capability::{MAX_STATEMENT, Sheet, Statement},
    compress,
    enforce::{Enforcer, Foreign, Server},
    error::GatewayError,
    fhir_request::{self, FhirRequest, MAX_FORM, RequestRefusal, Target},
    framing,
    outcome::{self, Circumstances},
    plan::Plan,
    rate_limit::{Admission, Exceeded, Refused},
    response_cache::{Asked, Fetched, ResponseCache},
    routes::{Document, Operation, Product},
    state::Gateway,
    upstream::{
        Cluster, ClusterPools, RequestBody, UpstreamBody, UpstreamError,
        body::BoxError,
        inbound,
        outbound::{self, Spoken},
    },
};

/// Where a worker answers requests: the plan in force, and connections of its own to the plan's clusters.
#[derive(Debug)]
pub(crate) struct Desk {
    gateway: Arc<Gateway>,
    plan: Arc<Plan>,
    pools: Vec<Rc<ClusterPools>>,
    at_hand: AtHand,
}

/// What became known about a request while it was answered.
#[derive(Debug, Default)]
struct Seen<'t> {
    product: Option<&'t Product>,
    operation: Option<&'t Operation>,
    caller: Option<Arc<Caller>>,
    admission: Option<Admission>,
    /// A place for the record of this call, where there are records.
    place: Option<Place<'t>>,
    subject: Subject,
}

impl Desk {
    /// A desk for `plan`. Clusters that `before` has, too, keep their connections.
    pub(crate) fn new(gateway: Arc<Gateway>, plan: Arc<Plan>, before: Option<&Self>) -> Self {
        let pools = |cluster: &Arc<Cluster>| {
            let known = before.and_then(|desk| desk.pools.iter().find(|pools| pools.are_of(cluster)));
            known.cloned().unwrap_or_else(|| Rc::new(ClusterPools::new(cluster, &plan.settings.limits)))
        };
        let at_hand = gateway.authenticator.at_hand();
        Self { pools: plan.clusters.iter().map(pools).collect(), gateway, plan, at_hand }
    }

    /// The next plan's desk.
    pub(crate) fn moved_to(&self, plan: Arc<Plan>) -> Self {
        Self::new(Arc::clone(&self.gateway), plan, Some(self))
    }

    /// Whether a raw path is the gateway's to answer, were it only with a refusal.
    pub(crate) fn owns(&self, path: &str) -> bool {
        self.plan.routes.owns(path)
    }

    /// Answers a request: with the upstream's answer, or with a refusal.
    pub(crate) async fn handle<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let began = Instant::now();
        let (parts, body) = request.into_parts();
        let mut seen = Seen::default();
        let (mut response, refusal) = match self.answer(&parts, body, &mut seen).await {
            Ok(response) => (response, None),
            Err(error) => self.refuse(&error, &parts, &seen),
        };
        if let Some(admission) = &seen.admission {
            admission.tell(response.headers_mut());
        }
        self.plan.metrics.answered(seen.operation, response.status(), began.elapsed());
        self.note(&mut seen, &parts, &response, refusal);
        if parts.extensions.get::<NoteWanted>().is_some() {
            response.extensions_mut().insert(AccessNote {
                client_id: seen.caller.map(|caller| caller.client_id.to_string()),
                operation: seen.operation.map(|operation| operation.label.clone()),
                refusal,
            });
        }
        compress::answer(&parts.headers, parts.method == Method::HEAD, response)
    }

    /// The order of work. What a plain read does not do is in boxes: hyper moves the whole of this future several times for
    /// each request, with the room for everything that it might wait for.
    async fn answer<'s, B>(
        &'s self,
        parts: &Parts,
        body: B,
        seen: &mut Seen<'s>,
    ) -> Result<Response<Body>, GatewayError>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let gateway = &*self.gateway;
        let now = gateway.clock.now();
        framing::check(parts, framing::has_body(parts.version, &body))?;
        let target =
            fhir_request::read(&self.plan.routes, &parts.method, parts.uri.path(), parts.uri.query())?;
        let request = match target {
            Target::Document { product, document } => {
                seen.product = Some(product);
                return Box::pin(self.document(product, document, parts, now)).await;
            }
            Target::Operation(request) => request,
        };
        (seen.product, seen.operation) = (Some(request.product), Some(request.operation));
        let caller = self.caller(parts, request.product, now).await?;
        let caller = &**seen.caller.insert(caller);
        if let Some(audit) = &gateway.audit {
            seen.place = audit.place().map_err(|NoPlace| GatewayError::AuditFull)?;
        }
        let form;
        let (request, body) = if request.operation.form {
            let limit = self.plan.settings.limits.total_timeout;
            form = tokio::time::timeout(limit, Box::pin(read_form(parts, body)))
                .await
                .map_err(|_| RequestRefusal::FormTooSlow)??;
            (request.with_form(&form)?, None)
        } else {
            (request, Some(body))
        };
        if seen.place.is_some() {
            seen.subject = Subject::of(&request);
        }
        let permit = authorize(caller, &request, prefers_lenient(&parts.headers))?;
        let admitted = self.plan.rate_limits.admit(caller, request.product, now).await;
        seen.admission = Some(admitted.map_err(GatewayError::LimitExceeded)?);
        if self.plan.settings.sandbox && self.plan.settings.apim_errors && asks_to_be_throttled(parts) {
            // The backend would refuse as asked, but the agency's gateway does it itself, in a form of its own.
            let refused = Refused { policy: None, exceeded: Exceeded::Rate, retry_after: 2 };
            return Err(GatewayError::LimitExceeded(refused));
        }
        if let Some(foreign) = &request.product.foreign {
            return Box::pin(self.filtered(foreign, &permit, parts, now)).await;
        }
        let responses = self.plan.responses.as_ref();
        match responses.filter(|_| ResponseCache::is_for(request.operation.interaction)) {
            None => Ok(self.fetch(&permit, parts, body, now).await?.response),
            Some(responses) => {
                let asked = Asked { permit: &permit, parts, faults: self.plan.settings.sandbox };
                let changes = &self.plan.clusters[request.product.cluster].changes;
                let fetch = async || self.fetch(&permit, parts, None::<B>, now).await;
                responses.answer(&asked, changes, now, fetch).await
            }
        }
    }

    /// Asks an upstream for what was permitted, and makes its answer ours.
    async fn fetch<B>(
        &self,
        permit: &Permit<'_>,
        parts: &Parts,
        body: Option<B>,
        now: OffsetDateTime,
    ) -> Result<Fetched, GatewayError>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let answer = self.forward(permit, parts, body, now).await?;
        let (product, operation) = (permit.request().product, permit.request().operation);
        let changes = &self.plan.clusters[product.cluster].changes;
        let shown = self.plan.responses.as_ref().and_then(|kept| kept.note(answer.headers(), changes));
        let disclosed = self.gateway.audit.as_ref().and_then(|_| inbound::disclosure(answer.headers()));
        let bundle = operation.interaction.answers_bundle();
        let mut response = inbound::response(answer, product, bundle).await?;
        if let Some(disclosed) = disclosed {
            response.extensions_mut().insert(disclosed);
        }
        Ok(Fetched { response, shown })
    }

    /// Gathers what was permitted from a foreign server, and shows of it what the caller may see.
    async fn filtered(
        &self,
        foreign: &Foreign,
        permit: &Permit<'_>,
        parts: &Parts,
        now: OffsetDateTime,
    ) -> Result<Response<Body>, GatewayError> {
        let product = permit.request().product;
        let server = self.server(product, foreign, parts);
        let enforcer = Enforcer::new(server, &self.gateway.cursors, permit, parts, now);
        let began = Instant::now();
        let limit = self.plan.settings.limits.total_timeout;
        let answer = tokio::time::timeout(limit, enforcer.answer()).await;
        self.plan.metrics.upstream(product, began.elapsed());
        answer.unwrap_or(Err(GatewayError::UpstreamTimeout))
    }

    /// The server of a product that the gateway filters, asked for this request.
    fn server<'a>(&'a self, product: &'a Product, foreign: &'a Foreign, parts: &Parts) -> Server<'a> {
        let request_id = parts.extensions.get::<RequestId>().map(RequestId::header_value);
        Server::new(product, foreign, &self.pools[product.cluster], request_id, upstream_failed)
    }

    /// Leaves a record of who read what, but of calls over their limit: those are counted.
    fn note(
        &self,
        seen: &mut Seen<'_>,
        parts: &Parts,
        response: &Response<Body>,
        refusal: Option<&'static str>,
    ) {
        if let (Some(place), Some(caller), Some(product), Some(operation)) =
            (seen.place.take(), &seen.caller, seen.product, seen.operation)
            && response.status() != StatusCode::TOO_MANY_REQUESTS
        {
            place.fill(Call {
                at: self.gateway.clock.now(),
                caller: Arc::clone(caller),
                plan: Arc::clone(&self.plan),
                product: product.index,
                operation: operation.index,
                request_id: parts.extensions.get().cloned(),
                origin: address(parts),
                subject: std::mem::take(&mut seen.subject),
                status: response.status(),
                refusal,
                disclosed: response.extensions().get::<Disclosure>().cloned(),
            });
        }
    }

    /// Who calls. An address that got too much wrong is not judged for a while, unless its token is known.
    async fn caller(
        &self,
        parts: &Parts,
        product: &Product,
        now: OffsetDateTime,
    ) -> Result<Arc<Caller>, GatewayError> {
        let limits = &self.plan.rate_limits;
        let address = address(parts);
        let may_try = || match address {
            Some(address) => limits.may_try(address).map_err(GatewayError::LimitExceeded),
            None => Ok(()),
        };
        let answer = self.gateway.authenticator.caller(parts, product, now, &self.at_hand, may_try).await;
        if let (Err(GatewayError::Unauthenticated(_)), Some(address)) = (&answer, address) {
            limits.failed(address);
        }
        answer
    }

    /// Sends on what was permitted; of a form, what was judged instead of the body.
    async fn forward<B>(
        &self,
        permit: &Permit<'_>,
        parts: &Parts,
        body: Option<B>,
        now: OffsetDateTime,
    ) -> Result<Response<UpstreamBody>, GatewayError>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let request: &FhirRequest<'_, '_> = permit.request();
        let target = outbound::target(&parts.uri, &request.path, permit.query())
            .ok_or(GatewayError::UpstreamBroken)?;
        let introduction =
            permit.caller().introduction(request.product).ok_or(GatewayError::UpstreamBroken)?;
        let mut spoken = self.spoken(request.product, &introduction, &parts.method, &target, parts, now)?;
        spoken.ignored = outbound::ignored(permit.ignored());
        let limit = self.plan.settings.limits.max_body;
        let form = permit.form().map(|form| Bytes::copy_from_slice(form.as_bytes()));
        // A search by POST changes nothing either.
        let idempotent = parts.method == Method::GET || parts.method == Method::HEAD || form.is_some();
        let unchanged = || form.clone().map_or(RequestBody::Empty, |form| RequestBody::Form(Some(form)));
        let body = match body {
            Some(body) if !idempotent => RequestBody::capped(body, limit),
            _ => Ok(unchanged()),
        }
        .map_err(|_| GatewayError::BodyTooLarge { limit })?;
        let span = parts.extensions.get::<RequestSpan>().map(|span| {
            span.asking("ask the backend", request.product.upstream_host.to_str().unwrap_or_default())
        });
        spoken.span = span.as_ref();
        let compose = |body| outbound::request(&parts.method, target.clone(), &parts.headers, &spoken, body);
        let answer = self.pools[request.product.cluster]
            .send(compose(body), || idempotent.then(|| compose(unchanged())))
            .await;
        if let Some(span) = span {
            match &answer {
                Ok((answer, _)) => span.answered(answer.status()),
                Err(error) => span.failed(error),
            }
        }
        let (answer, took) = answer.map_err(|error| upstream_failed(&error, request.product))?;
        self.plan.metrics.upstream(request.product, took);
        Ok(answer)
    }

    /// An open document: written at start, or the upstream's CapabilityStatement made ours.
    async fn document(
        &self,
        product: &Product,
        document: Document,
        parts: &Parts,
        now: OffsetDateTime,
    ) -> Result<Response<Body>, GatewayError> {
        let sheet = match (document, self.plan.documents.find(product, document)) {
            (Document::Metadata, _) | (_, None) => {
                if let Some(format) = outcome::unserved_format(&parts.headers, parts.uri.query()) {
                    return Err(RequestRefusal::Format(format).into());
                }
                let statement = self.statement(product, parts, now).await?;
                statement.sheet(outcome::wants_xml(&parts.headers, parts.uri.query()))
            }
            (_, Some(sheet)) => sheet,
        };
        let Sheet { media_type, bytes, policy } = sheet;
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(policy) = policy {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
            headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        }
        let vary = if document == Document::Metadata { "Accept, Accept-Encoding" } else { "Accept-Encoding" };
        headers.insert(header::VARY, HeaderValue::from_static(vary));
        if parts.method != Method::HEAD {
            *response.body_mut() = Body::from(bytes);
        }
        Ok(response)
    }

    /// The CapabilityStatement: the one kept while it is fresh, or while there is no better.
    async fn statement(
        &self,
        product: &Product,
        parts: &Parts,
        now: OffsetDateTime,
    ) -> Result<Statement, GatewayError> {
        let kept = self.plan.statements.find(product);
        if let Some((statement, true)) = kept {
            return Ok(statement);
        }
        match self.ask_statement(product, parts, now).await {
            Ok(statement) => Ok(statement),
            Err(error) => kept.map(|(statement, _)| statement).ok_or(error),
        }
    }

    /// Asks the upstream for its CapabilityStatement, on our own behalf: nothing of the caller's goes along.
    async fn ask_statement(
        &self,
        product: &Product,
        parts: &Parts,
        now: OffsetDateTime,
    ) -> Result<Statement, GatewayError> {
        let keep = |body: &Bytes| {
            self.plan.statements.keep(product, body).map_err(|error| {
                tracing::error!(product = %product.id, %error, "upstream's metadata is unusable");
                GatewayError::UpstreamBroken
            })
        };
        if let Some(foreign) = &product.foreign {
            return keep(&self.server(product, foreign, parts).document("/metadata").await?);
        }
        let target: PathAndQuery =
            format!("{}/metadata", product.base_path).parse().map_err(|_| GatewayError::UpstreamBroken)?;
        let ourselves = outbound::ourselves(&product.id, product.fhir_version, "");
        let introduction = Introduction::new(ourselves).ok_or(GatewayError::UpstreamBroken)?;
        let mut spoken = self.spoken(product, &introduction, &Method::GET, &target, parts, now)?;
        (spoken.client, spoken.fault) = (None, None);
        let given =
            http::HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("application/fhir+json"))]);
        let compose = || outbound::request(&Method::GET, target.clone(), &given, &spoken, RequestBody::Empty);
        let (answer, _) = self.pools[product.cluster]
            .send(compose(), || Some(compose()))
            .await
            .map_err(|error| upstream_failed(&error, product))?;
        if !answer.status().is_success() {
            tracing::error!(product = %product.id, status = answer.status().as_u16(), "upstream has no metadata");
            return Err(GatewayError::UpstreamBroken);
        }
        let body = Limited::new(answer.into_body(), MAX_STATEMENT)
            .collect()
            .await
            .map_err(|_| GatewayError::UpstreamBroken)?
            .to_bytes();
        keep(&body)
    }

    fn spoken<'a>(
        &'a self,
        product: &'a Product,
        introduction: &Introduction,
        method: &Method,
        target: &PathAndQuery,
        parts: &'a Parts,
        now: OffsetDateTime,
    ) -> Result<Spoken<'a>, GatewayError> {
        let key = &self.gateway.context_key;
        let signed = introduction
            .sign(request_id(parts), key, method.as_str(), target.as_str(), now)
            .and_then(|signed| HeaderValue::try_from(signed).ok())
            .ok_or(GatewayError::UpstreamBroken)?;
        Ok(Spoken {
            host: &product.upstream_host,
            context: signed,
            request_id: parts.extensions.get::<RequestId>().map(RequestId::header_value),
            client: address(parts),
            face: &self.gateway.face,
            fault: self
                .plan
                .settings
                .sandbox
                .then(|| parts.headers.get(outbound::SANDBOX_FAULT).cloned())
                .flatten(),
            ignored: None,
            span: None,
        })
    }

    fn refuse(
        &self,
        error: &GatewayError,
        parts: &Parts,
        seen: &Seen<'_>,
    ) -> (Response<Body>, Option<&'static str>) {
        let circumstances = Circumstances {
            request_id: request_id(parts),
            product: seen.product,
            operation: seen.operation,
            xml: outcome::wants_xml(&parts.headers, parts.uri.query()),
            head: parts.method == Method::HEAD,
            apim: self.plan.settings.apim_errors,
        };
        let (mut response, rule) = outcome::respond(error, &circumstances);
        if let GatewayError::LimitExceeded(refused) = error {
            refused.tell(response.headers_mut());
            self.plan.metrics.limited(seen.product, refused);
        }
        self.plan.metrics.refused(rule);
        (response, Some(rule))
    }
}

/// The form of a search by POST, whole: its parameters are judged before it is sent on.
async fn read_form<B>(parts: &Parts, body: B) -> Result<String, GatewayError>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let limit = MAX_FORM as u64;
    let too_large = GatewayError::BodyTooLarge { limit };
    let whole = Limited::new(body, MAX_FORM).collect().await.map_err(|error| {
        // A caller that goes away in the middle is not there to be told.
        match error.downcast_ref() {
            Some(BodyFault::TooSlow) => RequestRefusal::FormTooSlow.into(),
            _ if error.is::<LengthLimitError>() => too_large,
            _ => RequestRefusal::NotAForm.into(),
        }
    })?;
    let bytes = whole.to_bytes();
    if parts.headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return Err(RequestRefusal::NotAForm.into());
    }
    let media =
        parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    if !bytes.is_empty() && !media.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(RequestRefusal::NotAForm.into());
    }
    String::from_utf8(bytes.into()).map_err(|_| RequestRefusal::NotAForm.into())
}

fn asks_to_be_throttled(parts: &Parts) -> bool {
    parts.headers.get(outbound::SANDBOX_FAULT).is_some_and(|fault| fault == "429")
}

fn address(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<Peer>().map(|peer| peer.address.ip())
}

fn request_id(parts: &Parts) -> &str {
    parts.extensions.get::<RequestId>().map_or("-", RequestId::as_str)
}

fn upstream_failed(error: &UpstreamError, product: &Product) -> GatewayError {
    let failed = match error {
        UpstreamError::Resting { seconds } => return GatewayError::UpstreamResting { seconds: *seconds },
        UpstreamError::Busy => GatewayError::Busy,
        UpstreamError::BodyTooLarge(limit) => GatewayError::BodyTooLarge { limit: *limit },
        UpstreamError::BodyBroken => GatewayError::BodyBroken,
        UpstreamError::BodySlow => GatewayError::BodySlow,
        UpstreamError::Timeout => GatewayError::UpstreamTimeout,
        UpstreamError::Unreachable(_) => GatewayError::UpstreamUnreachable,
        UpstreamError::Broken(_) => GatewayError::UpstreamBroken,
    };
    if !matches!(
        failed,
        GatewayError::BodyTooLarge { .. } | GatewayError::BodyBroken | GatewayError::BodySlow
    ) {
        let cause = std::error::Error::source(error);
        tracing::warn!(product = %product.id, %error, cause, "upstream failed");
    }
    failed
}
