//! Asking a foreign server: on our own behalf, within bounds, and passing on nothing of the caller.

use std::cell::Cell;

use bytes::Bytes;
use fhir_model::gather::{Gathering, Question};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header, uri::PathAndQuery};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use http_service::REQUEST_ID_HEADER;
use serde_json::Value;

use super::{
    Foreign, Refused,
    page::{self, Page, Unfilterable},
};
use crate::{
    error::GatewayError,
    routes::Product,
    upstream::{ClusterPools, RequestBody, UpstreamError},
};

/// Questions that are in flight for one request at once.
const AT_ONCE: usize = 8;
/// The type of locations: no part of a product, so that the model does not know it.
pub(super) const LOCATION: &str = "Location";
/// Ids in one question.
const IDS: usize = 50;

/// A foreign server, asked for one request of a caller.
pub(crate) struct Server<'a> {
    pub(crate) product: &'a Product,
    pub(crate) foreign: &'a Foreign,
    pools: &'a ClusterPools,
    request_id: Option<HeaderValue>,
    failed: fn(&UpstreamError, &Product) -> GatewayError,
    /// How often it may still be asked.
    questions: Cell<usize>,
    /// How many bytes may still be read from it.
    bytes: Cell<usize>,
}

impl<'a> Server<'a> {
    /// `failed` says what a failed exchange is to the caller.
    pub(crate) fn new(
        product: &'a Product,
        foreign: &'a Foreign,
        pools: &'a ClusterPools,
        request_id: Option<HeaderValue>,
        failed: fn(&UpstreamError, &Product) -> GatewayError,
    ) -> Self {
        Self {
            questions: Cell::new(foreign.max_questions),
            bytes: Cell::new(foreign.max_answers),
            product,
            foreign,
            pools,
            request_id,
            failed,
        }
    }

    /// A page of a search that the caller asked for: when the server refuses it, the caller is told so.
    pub(crate) async fn page(&self, target: &str, expected: &'static str) -> Result<Page, GatewayError> {
        let body = self.get(target).await.map_err(|error| match error {
            Failure::Refused(status) if is_about_the_question(status) => Refused::Search.into(),
            error => self.told(error),
        })?;
        page::read(&body, expected).map_err(|reason| self.unfilterable(reason))
    }

    /// Where a page's link leads, below the server's base.
    pub(crate) fn next<'p>(&self, page: &'p Page) -> Result<Option<&'p str>, GatewayError> {
        match page.next.as_deref() {
            None => Ok(None),
            Some(link) => {
                let target = self.foreign.follow(link);
                target.map(Some).ok_or_else(|| self.unfilterable(Unfilterable::Link))
            }
        }
    }

    /// Asks until `questions` has no more.
    pub(crate) async fn gather(
        &self,
        gathering: &mut Gathering,
        questions: impl Fn(&mut Gathering) -> Vec<Question>,
    ) -> Result<(), GatewayError> {
        loop {
            let due = questions(gathering);
            if due.is_empty() {
                return Ok(());
            }
            let answers: Vec<Vec<Value>> =
                stream::iter(&due).map(|one| self.all(one)).buffer_unordered(AT_ONCE).try_collect().await?;
            for mut resource in answers.into_iter().flatten() {
                self.foreign.localise(&mut resource);
                gathering.add(resource);
            }
        }
    }

    /// The body of an answer that is not a page.
    pub(crate) async fn document(&self, target: &str) -> Result<Bytes, GatewayError> {
        self.get(target).await.map_err(|error| self.told(error))
    }

    /// Whether half of what the request may cost was spent: time to stop looking further.
    pub(crate) fn is_half_spent(&self) -> bool {
        self.questions.get() * 2 < self.foreign.max_questions
            || self.bytes.get() * 2 < self.foreign.max_answers
    }

    /// Says in the log why nothing is sent.
    pub(crate) fn unfilterable(&self, reason: Unfilterable) -> GatewayError {
        tracing::error!(product = %self.product.id, %reason, "an answer cannot be filtered and is not sent");
        GatewayError::Unfilterable(reason)
    }

    /// What the server tells of locations, by its own ids for them and by those of others. One that has none, or does not
    /// take the question, tells nothing.
    pub(crate) async fn locations(&self, ids: &[&str]) -> Result<Vec<Value>, GatewayError> {
        let mut found = Vec::new();
        if self.foreign.has_locations {
            for parameter in ["identifier", "_id"] {
                for ids in ids.chunks(IDS) {
                    let target = format!("/{LOCATION}?{parameter}={}", ids.join(","));
                    match self.pages(target, LOCATION).await {
                        Err(Failure::Refused(status)) if is_about_the_question(status) => break,
                        answer => found.extend(answer.map_err(|error| self.told(error))?),
                    }
                }
            }
        }
        for location in &mut found {
            self.foreign.localise(location);
        }
        Ok(found)
    }

    /// The answer to one question of our own.
    async fn all(&self, question: &Question) -> Result<Vec<Value>, GatewayError> {
        let target = format!("/{}", question.target());
        self.pages(target, question.resource_type.as_str()).await.map_err(|error| self.told(error))
    }

    /// All pages of a search.
    async fn pages(&self, mut target: String, expected: &'static str) -> Result<Vec<Value>, Failure> {
        let mut found = Vec::new();
        loop {
            let page = page::read(&self.get(&target).await?, expected)?;
            found.extend(page.matches.into_iter().map(|(_, resource)| resource));
            match page.next {
                Some(link) => self.foreign.follow(&link).ok_or(Unfilterable::Link)?.clone_into(&mut target),
                None => return Ok(found),
            }
        }
    }

    /// Asks for what is at `target` below the server's base.
    async fn get(&self, target: &str) -> Result<Bytes, Failure> {
        let left = self.questions.get().checked_sub(1);
        self.questions.set(left.ok_or(Unfilterable::TooMuch(self.foreign.max_questions))?);
        let target: PathAndQuery =
            format!("{}{target}", self.foreign.path).parse().map_err(|_| Unfilterable::Link)?;
        let compose = || self.request(&target);
        let (answer, _) = self
            .pools
            .send(compose(), || Some(compose()))
            .await
            .map_err(|error| Failure::Exchange((self.failed)(&error, self.product)))?;
        let (head, body) = answer.into_parts();
        match head.status {
            StatusCode::OK => {}
            status if status.is_client_error() || status.is_server_error() => {
                return Err(Failure::Refused(status));
            }
            status => return Err(Unfilterable::Status(status.as_u16()).into()),
        }
        check_media(&head.headers)?;
        let limit = self.foreign.max_answer.min(self.bytes.get());
        let whole = Limited::new(body, limit).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() { Unfilterable::TooLarge(limit) } else { Unfilterable::Cut }
        })?;
        let bytes = whole.to_bytes();
        self.bytes.set(self.bytes.get().saturating_sub(bytes.len()));
        Ok(bytes)
    }

    fn request(&self, target: &PathAndQuery) -> Request<RequestBody> {
        let mut request = Request::new(RequestBody::Empty);
        *request.uri_mut() = Uri::from(target.clone());
        let headers = request.headers_mut();
        headers.insert(header::HOST, self.product.upstream_host.clone());
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/fhir+json"));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static("pmsgate"));
        // A server that ignored a parameter would answer more than was asked for, or less.
        headers.insert("prefer", HeaderValue::from_static("handling=strict"));
        if let Some(id) = &self.request_id {
            headers.insert(REQUEST_ID_HEADER, id.clone());
        }
        if let Some((name, value)) = &self.foreign.header {
            headers.insert(name.clone(), value.clone());
        }
        request
    }

    /// What a failure of our own question is to the caller.
    fn told(&self, failure: Failure) -> GatewayError {
        match failure {
            Failure::Exchange(error) => error,
            Failure::Unfilterable(reason) => self.unfilterable(reason),
            Failure::Refused(status) => {
                tracing::error!(product = %self.product.id, status = status.as_u16(), "a foreign server refused a question of the gateway");
                match status {
                    StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => GatewayError::Busy,
                    StatusCode::GATEWAY_TIMEOUT => GatewayError::UpstreamTimeout,
                    _ => GatewayError::UpstreamBroken,
                }
            }
        }
    }
}

/// Why there is no answer.
enum Failure {
    /// The exchange failed.
    Exchange(GatewayError),
    /// The server answered with an error. Its words stay here: they may quote what is hidden.
    Refused(StatusCode),
    /// The answer cannot be filtered.
    Unfilterable(Unfilterable),
}

impl From<Unfilterable> for Failure {
    fn from(reason: Unfilterable) -> Self {
        Self::Unfilterable(reason)
    }
}

/// Whether an error says that the question is wrong, and not that the gateway may not ask, or not now.
const fn is_about_the_question(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400..=499 | 501) && !matches!(status.as_u16(), 401..=403 | 407 | 408 | 429)
}

/// FHIR JSON without a content coding, or nothing.
fn check_media(headers: &HeaderMap) -> Result<(), Unfilterable> {
    if headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return Err(Unfilterable::Coded);
    }
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media.split(';').next().unwrap_or_default().trim();
    let json = ["application/fhir+json", "application/json"];
    if json.iter().any(|known| essence.eq_ignore_ascii_case(known)) {
        Ok(())
    } else {
        Err(Unfilterable::MediaType)
    }
}
