//! What goes wrong at the administration API, as problem details (RFC 9457): the one place where it becomes a status.

use std::borrow::Cow;

use access_token::AdministrationScope;
use axum::response::{IntoResponse, Response};
use database::DatabaseError;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::use_cases::{Refusal, UseCaseError};

/// A refusal. The detail says what to do.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    /// The last part of its type.
    kind: &'static str,
    title: &'static str,
    detail: Cow<'static, str>,
    challenge: Option<HeaderValue>,
}

/// The members of RFC 9457 §3.1.
#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

impl Problem {
    fn new(
        status: StatusCode,
        kind: &'static str,
        title: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, kind, title, detail: detail.into(), challenge: None }
    }

    /// No token, or one that is not good (RFC 6750 §3.1).
    pub(crate) fn unauthorized(detail: impl Into<Cow<'static, str>>, given: bool) -> Self {
        let challenge = if given {
            "Bearer realm=\"pmsgate\", error=\"invalid_token\""
        } else {
            "Bearer realm=\"pmsgate\""
        };
        let title = "A token is needed";
        let problem = Self::new(StatusCode::UNAUTHORIZED, "unauthorized", title, detail);
        Self { challenge: Some(HeaderValue::from_static(challenge)), ..problem }
    }

    /// A token that is good for something else.
    pub(crate) fn insufficient_scope(needed: AdministrationScope) -> Self {
        let needed = needed.as_str();
        let detail = format!("this needs a token with the scope {needed}");
        let challenge = format!("Bearer realm=\"pmsgate\", error=\"insufficient_scope\", scope=\"{needed}\"");
        let problem =
            Self::new(StatusCode::FORBIDDEN, "insufficient-scope", "The token does not reach", detail);
        Self { challenge: HeaderValue::from_str(&challenge).ok(), ..problem }
    }

    /// Beyond what the caller may do.
    pub(crate) fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "This is not yours to do", detail)
    }

    /// Not there, or not for the caller: one answer for both.
    pub(crate) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "There is nothing here",
            "it does not exist, or it is not of your organisation",
        )
    }

    /// A request that cannot be read.
    pub(crate) fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", "The request cannot be read", detail)
    }

    /// A body of another kind.
    pub(crate) fn media_type() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "media-type",
            "The body is of another kind",
            "send JSON, with Content-Type: application/json",
        )
    }

    /// A body that is too large.
    pub(crate) fn too_large() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "The body is too large",
            "a body may have 16 KiB",
        )
    }

    /// What was asked for cannot be.
    pub(crate) fn unacceptable(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unacceptable", "This cannot be done so", detail)
    }

    /// What is there stands in the way.
    pub(crate) fn conflict(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", "Something stands in the way", detail)
    }
}

impl From<UseCaseError> for Problem {
    fn from(error: UseCaseError) -> Self {
        match error.refusal() {
            Some(Refusal::Absent) => Self::not_found(),
            Some(Refusal::Unacceptable) => Self::unacceptable(error.to_string()),
            Some(Refusal::Conflict) => Self::conflict(error.to_string()),
            None if matches!(error, UseCaseError::Database(DatabaseError::Unavailable(_))) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "Not now",
                "the server cannot reach its database: try again in a moment",
            ),
            None => {
                tracing::error!(error = &error as &dyn std::error::Error, "an administration request failed");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "failed",
                    "The server failed",
                    "the request id helps to find out why",
                )
            }
        }
    }
}

impl From<DatabaseError> for Problem {
    fn from(error: DatabaseError) -> Self {
        UseCaseError::from(error).into()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Body {
            r#type: format!("urn:pmsgate:problem:{}", self.kind),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
        };
        let text = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (self.status, text).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(challenge) = self.challenge {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
