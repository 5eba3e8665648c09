//! Every refusal of this server, and the OperationOutcome that each becomes: the one edge between errors and HTTP.

use axum::response::Response;
use bytes::Bytes;
use fhir_store::StoreError;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::answer::{FHIR_JSON, Look};

/// The code system of the rule ids in `issue.details`.
const RULE_SYSTEM: &str = "urn:pmsgate:backend-rule";

/// Why a request is not answered as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// No caller context, or not one for this request.
    #[error("there is no valid caller context")]
    NoContext,
    /// Nothing there, or nothing that this caller may know of: the two must not differ.
    #[error("there is no such resource, or it is not visible to the caller")]
    NotFound,
    /// The path names no operation.
    #[error("the path names no operation of this API")]
    NoOperation,
    /// The path does, for another method.
    #[error("the method is not supported here")]
    MethodNotSupported,
    /// Parameters that the operation does not take.
    #[error("unsupported parameters: {}", .0.join(", "))]
    UnsupportedParameters(Vec<String>),
    /// A parameter about elements that the caller's group does not see.
    #[error("parameter {0} is not open to the caller's group")]
    ParameterOfOthers(String),
    /// A parameter with a value that it cannot have.
    #[error("parameter {parameter}: {problem}")]
    Parameter {
        /// Its name.
        parameter: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// More of something than this server takes.
    #[error("{0}")]
    TooMuch(&'static str),
    /// A page link that was changed, made for somebody else, or for another query.
    #[error("the page link is not valid for this request")]
    Cursor,
    /// A form longer than is read.
    #[error("the form is longer than {0} bytes")]
    TooLong(usize),
    /// A body that is no form where one is due.
    #[error("the body is no form")]
    NotAForm,
    /// An answer that XML cannot hold.
    #[error("the answer cannot be written as XML: {0}")]
    NotInXml(String),
    /// A state that is not the one which the request assumes (`If-Match`, `If-Unmodified-Since`).
    #[error("the state is not the one that the request assumes")]
    OtherState,
    /// A representation that this server does not write.
    #[error("{0:?} is not served")]
    NotAcceptable(String),
    /// A merge that breaks rules.
    #[error("the merge breaks {rules}")]
    Merge {
        /// As [`fhir_model::merge::status`] says.
        status: StatusCode,
        /// The OperationOutcome with an issue for each broken rule.
        outcome: Value,
        /// Their names.
        rules: String,
    },
    /// A body that is no FHIR resource.
    #[error("{0}")]
    Unreadable(String),
    /// A body that ended before its time.
    #[error("the body did not arrive whole")]
    BrokenBody,
    /// A body of more bytes than are read.
    #[error("the body has more than {0} bytes")]
    BodyTooLarge(usize),
    /// A body in a format that is not read.
    #[error("a body of type {0:?} is not read")]
    UnsupportedMedia(String),
    /// An idempotency key that is none, or more than one.
    #[error("the Idempotency-Key is malformed")]
    MalformedKey,
    /// The key was used for another request.
    #[error("the Idempotency-Key was used for another request")]
    KeyReused,
    /// A request with this key is at work.
    #[error("a request with this Idempotency-Key is at work")]
    KeyAtWork,
    /// As many merges of the client wait as may.
    #[error("too many merges of the client wait")]
    ClientQueueFull,
    /// As many merges wait as may.
    #[error("too many merges wait")]
    QueueFull,
    /// The store failed.
    #[error("the product store failed")]
    Store(#[from] StoreError),
    /// Another request for the same thing failed, and this one had waited for it.
    #[error("preparing the answer failed: {0}")]
    Preparation(String),
}

/// What goes onto the wire for a refusal.
struct Wire {
    status: StatusCode,
    /// IssueType.
    code: &'static str,
    text: String,
    /// The parameter or header at fault.
    expression: Option<String>,
}

impl Refusal {
    /// The refusal in one word, for the access log. What is hidden and what is absent are one word there, too: a log
    /// is read by more people than may know of a product.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::NoContext => "no-context",
            Self::NotFound => "not-found",
            Self::NoOperation => "no-operation",
            Self::MethodNotSupported => "method",
            Self::UnsupportedParameters(_) | Self::ParameterOfOthers(_) | Self::Parameter { .. } => {
                "parameter"
            }
            Self::TooMuch(_) | Self::TooLong(_) => "too-much",
            Self::NotAForm | Self::UnsupportedMedia(_) => "media-type",
            Self::Cursor => "cursor",
            Self::NotAcceptable(_) | Self::NotInXml(_) => "not-acceptable",
            Self::OtherState => "precondition",
            Self::Merge { .. } => "merge-rule",
            Self::Unreadable(_) | Self::BrokenBody => "body",
            Self::BodyTooLarge(_) => "too-large",
            Self::MalformedKey | Self::KeyReused | Self::KeyAtWork => "idempotency-key",
            Self::ClientQueueFull | Self::QueueFull => "queue-full",
            Self::Store(_) | Self::Preparation(_) => "store",
        }
    }

    fn wire(&self) -> Wire {
        let wire = |status, code, text: String| Wire { status, code, text, expression: None };
        match self {
            Self::NoContext => wire(
                StatusCode::UNAUTHORIZED,
                "login",
                "This server answers gateways only: the request carries no valid caller context.".to_owned(),
            ),
            Self::NotFound => wire(
                StatusCode::NOT_FOUND,
                "not-found",
                "There is no such resource, or it is not visible to you.".to_owned(),
            ),
            Self::NoOperation => {
                wire(StatusCode::NOT_FOUND, "not-found", "This API has no operation with that path.".to_owned())
            }
            Self::MethodNotSupported => wire(
                StatusCode::METHOD_NOT_ALLOWED,
                "not-supported",
                "This path does not support that method.".to_owned(),
            ),
            Self::UnsupportedParameters(names) => Wire {
                status: StatusCode::BAD_REQUEST,
                code: "not-supported",
                text: format!(
                    "Not supported here: {}. Leave it out, or send `Prefer: handling=lenient` to have it ignored.",
                    names.join(", ")
                ),
                expression: names.first().map(|name| format!("http.{name}")),
            },
            Self::ParameterOfOthers(name) => Wire {
                status: StatusCode::FORBIDDEN,
                code: "forbidden",
                text: format!("The parameter {name} is not open to callers of your group."),
                expression: Some(format!("http.{name}")),
            },
            Self::Parameter { parameter, problem } => Wire {
                status: StatusCode::BAD_REQUEST,
                code: "value",
                text: format!("{parameter}: {problem}"),
                expression: Some(format!("http.{parameter}")),
            },
            Self::TooMuch(what) => wire(StatusCode::BAD_REQUEST, "too-costly", (*what).to_owned()),
            Self::Cursor => Wire {
                status: StatusCode::BAD_REQUEST,
                code: "value",
                text: "This page link is not valid: follow links as they were given, with the same client, or search \
                       anew."
                    .to_owned(),
                expression: Some("http._cursor".to_owned()),
            },
            Self::TooLong(limit) => wire(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-long",
                format!("The form is longer than {limit} bytes: ask for less at a time."),
            ),
            Self::NotAForm => wire(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not-supported",
                "Send the parameters as a form: Content-Type application/x-www-form-urlencoded.".to_owned(),
            ),
            Self::OtherState => wire(
                StatusCode::PRECONDITION_FAILED,
                "conflict",
                "The state is not the one that If-Match or If-Unmodified-Since names: read it without the condition."
                    .to_owned(),
            ),
            Self::NotInXml(reason) => wire(
                StatusCode::NOT_ACCEPTABLE,
                "not-supported",
                format!("This answer cannot be written as XML ({reason}): ask for {FHIR_JSON}."),
            ),
            Self::NotAcceptable(wanted) => wire(
                StatusCode::NOT_ACCEPTABLE,
                "not-supported",
                format!(
                    "{wanted:?} is not served: ask for {FHIR_JSON} or {} (header Accept, or parameter _format with \
                     json or xml).",
                    fhir_model::xml::MEDIA_TYPE
                ),
            ),
            Self::Merge { status, rules, .. } => wire(*status, "business-rule", rules.clone()),
            Self::Unreadable(what) => wire(StatusCode::BAD_REQUEST, "structure", what.clone()),
            Self::BrokenBody => wire(
                StatusCode::BAD_REQUEST,
                "incomplete",
                "The body did not arrive whole. Nothing was done; send it again.".to_owned(),
            ),
            Self::BodyTooLarge(limit) => wire(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-long",
                format!("The body has more than {limit} bytes: send only the product and what changes."),
            ),
            Self::UnsupportedMedia(given) => wire(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not-supported",
                format!(
                    "A body of {given:?} is not read: send {FHIR_JSON} or {} without a content coding.",
                    fhir_model::xml::MEDIA_TYPE
                ),
            ),
            Self::MalformedKey => Wire {
                status: StatusCode::BAD_REQUEST,
                code: "value",
                text: "The Idempotency-Key is one text of 1 to 128 printable characters, best a UUID, in quotation marks."
                    .to_owned(),
                expression: Some("http.Idempotency-Key".to_owned()),
            },
            Self::KeyReused => Wire {
                status: StatusCode::UNPROCESSABLE_ENTITY,
                code: "conflict",
                text: "This Idempotency-Key was used for another request. Take a new key for each request; the same key \
                       is for sending the same body again."
                    .to_owned(),
                expression: Some("http.Idempotency-Key".to_owned()),
            },
            Self::KeyAtWork => Wire {
                status: StatusCode::CONFLICT,
                code: "conflict",
                text: "A request with this Idempotency-Key is at work. Wait for its answer, or send it again a little \
                       later."
                    .to_owned(),
                expression: Some("http.Idempotency-Key".to_owned()),
            },
            Self::ClientQueueFull => wire(
                StatusCode::TOO_MANY_REQUESTS,
                "throttled",
                "As many of your merges wait as may at a time. Nothing was taken of this one; send it again when the \
                 outcome of one of them is there."
                    .to_owned(),
            ),
            Self::QueueFull => wire(
                StatusCode::SERVICE_UNAVAILABLE,
                "transient",
                "The queue of merges is full. Nothing was taken of this one; send it again later.".to_owned(),
            ),
            Self::Store(_) | Self::Preparation(_) => wire(
                StatusCode::SERVICE_UNAVAILABLE,
                "transient",
                "The product store does not answer. Try again later.".to_owned(),
            ),
        }
    }

    /// The document that holds the rule: what to read when the text is not enough.
    const fn reference(&self) -> &'static str {
        match self {
            Self::NoContext => "gateways only",
            Self::NotFound => "FHIR http, read; access levels",
            Self::NoOperation | Self::MethodNotSupported => "the product's /metadata",
            Self::UnsupportedParameters(_) => "FHIR search, handling errors; the product's /metadata",
            Self::ParameterOfOthers(_) => "EU IG PMS chapter 5, access levels; the product's /metadata",
            Self::Parameter { .. } => "FHIR search; the product's /metadata",
            Self::TooMuch(_) | Self::TooLong(_) => "ePI API specification 1.2, limits",
            Self::NotAForm => "FHIR http, search by POST",
            Self::Cursor => "FHIR http, paging",
            Self::NotAcceptable(_) | Self::NotInXml(_) => "FHIR http, content types",
            Self::OtherState => "RFC 9110, section 13.1",
            Self::Merge { .. } => "docs/merge-examples/README.md",
            Self::Unreadable(_) | Self::BrokenBody | Self::BodyTooLarge(_) | Self::UnsupportedMedia(_) => {
                "FHIR http, transaction"
            }
            Self::MalformedKey | Self::KeyReused | Self::KeyAtWork => {
                "draft-ietf-httpapi-idempotency-key-header, section 2"
            }
            Self::ClientQueueFull | Self::QueueFull => "FHIR http, asynchronous request pattern",
            Self::Store(_) | Self::Preparation(_) => "FHIR http, status codes",
        }
    }

    /// The answer; `request_id` is quoted so that it can be found in the logs.
    pub(crate) fn respond(&self, request_id: &str, look: Look) -> Response {
        if let Self::Store(_) | Self::Preparation(_) = self {
            tracing::error!(request_id, error = %chain(self), "request failed");
        }
        let wire = self.wire();
        let body = if let Self::Merge { outcome, .. } = self {
            // It names its rules itself, and what to read for each.
            naming_request(outcome.clone(), request_id)
        } else {
            let expression = wire.expression.as_deref();
            let mut body = outcome("error", wire.code, &wire.text, expression, Some(request_id));
            let issue = &mut body["issue"][0];
            issue["details"]["coding"] = json!([{"system": RULE_SYSTEM, "code": self.word()}]);
            let request = issue["diagnostics"].as_str().map(|text| format!("{text} ")).unwrap_or_default();
            issue["diagnostics"] = format!("{request}Rule: {}.", self.reference()).into();
            body
        };
        let (media_type, body) = look.write_or_json(Bytes::from(body.to_string()));
        let mut response = Response::new(body.into());
        *response.status_mut() = wire.status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if matches!(wire.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }
}

/// An OperationOutcome that quotes the request, in its first issue.
fn naming_request(mut outcome: Value, request_id: &str) -> Value {
    if let Some(diagnostics) = outcome.pointer_mut("/issue/0/diagnostics").filter(|_| !request_id.is_empty())
    {
        let rest = diagnostics.as_str().unwrap_or_default();
        *diagnostics = format!("Request {request_id}. {rest}").into();
    }
    outcome
}

/// An OperationOutcome with one issue.
pub(crate) fn outcome(
    severity: &str,
    code: &str,
    text: &str,
    expression: Option<&str>,
    request_id: Option<&str>,
) -> Value {
    let mut issue = json!({"severity": severity, "code": code, "details": {"text": text}});
    if let Some(request_id) = request_id.filter(|id| !id.is_empty()) {
        issue["diagnostics"] = format!("Request {request_id}.").into();
    }
    if let Some(expression) = expression {
        issue["expression"] = json!([expression]);
    }
    json!({"resourceType": "OperationOutcome", "issue": [issue]})
}

/// An error and all its sources, for the log.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
