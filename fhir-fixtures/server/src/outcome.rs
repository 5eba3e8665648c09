//! Every refusal of this server, and the OperationOutcome that each becomes: the one edge between errors and HTTP.

use axum::response::Response;
use bytes::Bytes;
use fhir_store::StoreError;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::answer::FHIR_JSON;

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
    /// A representation that this server does not write.
    #[error("{0:?} is not served")]
    NotAcceptable(String),
    /// Something that arrives with a later release.
    #[error("{0}")]
    NotSupported(&'static str),
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
            Self::TooMuch(_) => "too-much",
            Self::Cursor => "cursor",
            Self::NotAcceptable(_) => "not-acceptable",
            Self::NotSupported(_) => "not-supported",
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
            Self::NotAcceptable(wanted) => wire(
                StatusCode::NOT_ACCEPTABLE,
                "not-supported",
                format!("{wanted:?} is not served: ask for {FHIR_JSON} (header Accept, or parameter _format=json)."),
            ),
            Self::NotSupported(what) => wire(StatusCode::NOT_IMPLEMENTED, "not-supported", (*what).to_owned()),
            Self::Store(_) | Self::Preparation(_) => wire(
                StatusCode::SERVICE_UNAVAILABLE,
                "transient",
                "The product store does not answer. Try again later.".to_owned(),
            ),
        }
    }

    /// The answer; `request_id` is quoted so that it can be found in the logs.
    pub(crate) fn respond(&self, request_id: &str) -> Response {
        if let Self::Store(_) | Self::Preparation(_) = self {
            tracing::error!(request_id, error = %chain(self), "request failed");
        }
        let wire = self.wire();
        let body =
            outcome("error", wire.code, &wire.text, wire.expression.as_deref(), Some(request_id)).to_string();
        let mut response = Response::new(Bytes::from(body).into());
        *response.status_mut() = wire.status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(FHIR_JSON));
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if wire.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }
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
        issue["diagnostics"] = Value::String(format!("request {request_id}"));
    }
    if let Some(expression) = expression {
        issue["expression"] = json!([expression]);
    }
    json!({"resourceType": "OperationOutcome", "issue": [issue]})
}

/// An error and all its sources, for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
