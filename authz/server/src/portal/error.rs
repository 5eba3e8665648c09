//! What goes wrong in the portal, and the page that says so: the one place where it becomes a status.

use axum::response::{IntoResponse, Response};
use database::DatabaseError;
use http::{HeaderValue, StatusCode, header};
use thiserror::Error;

use crate::use_cases::{Refusal, UseCaseError};

/// Why there is no page.
#[derive(Debug, Error)]
pub(crate) enum PortalError {
    /// Nobody is signed in.
    #[error("nobody is signed in")]
    SignInFirst,
    /// There is no such thing, or it is nobody's business.
    #[error("not found")]
    NotFound,
    /// A form that was not made for this browser now.
    #[error("the form is not of this session")]
    StaleForm,
    /// More bytes than a form has.
    #[error("the form is too large")]
    TooLarge,
    /// Somebody was faster, or the state does not admit it any more.
    #[error("{0}")]
    Conflict(String),
    /// An act failed.
    #[error("an act failed")]
    Act(#[from] UseCaseError),
    /// The database.
    #[error("the database does not answer")]
    Database(#[from] DatabaseError),
}

impl IntoResponse for PortalError {
    fn into_response(self) -> Response {
        let (status, title, text) = match &self {
            Self::SignInFirst => {
                let mut response = StatusCode::SEE_OTHER.into_response();
                response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/portal/sign-in"));
                return response;
            }
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "There is nothing here",
                "The page does not exist, or it is not yours to see.".to_owned(),
            ),
            Self::StaleForm => (
                StatusCode::FORBIDDEN,
                "This form is out of date",
                "It was opened in another session. Go back, reload the page and send it again.".to_owned(),
            ),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "That was too much",
                "What was sent is larger than the form allows.".to_owned(),
            ),
            Self::Conflict(reason) => (StatusCode::CONFLICT, "This was decided meanwhile", reason.clone()),
            Self::Act(UseCaseError::State(transition)) => {
                (StatusCode::CONFLICT, "This was decided meanwhile", format!("{transition}."))
            }
            Self::Act(UseCaseError::OtherMethod(method)) => (
                StatusCode::CONFLICT,
                "This client has no secret",
                format!(
                    "It authenticates by {method}. Register a new key on its page, or revoke the present one first."
                ),
            ),
            Self::Act(error) if let Some(refusal) = error.refusal() => refused(refusal, error),
            Self::Act(UseCaseError::Database(DatabaseError::Unavailable(_)))
            | Self::Database(DatabaseError::Unavailable(_)) => {
                let text = "The database does not answer. Nothing was changed. Please try again in a moment.";
                let mut response = plain_page(StatusCode::SERVICE_UNAVAILABLE, "Not now", text);
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
                return response;
            }
            Self::Act(_) | Self::Database(_) => {
                tracing::error!(error = &self as &dyn std::error::Error, "a page of the portal failed");
                (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "That did not work",
                    "Nothing was changed. Please try again in a moment.".to_owned(),
                )
            }
        };
        plain_page(status, title, &text)
    }
}

/// Status, title and text for what whoever asked can mend.
fn refused(refusal: Refusal, error: &UseCaseError) -> (StatusCode, &'static str, String) {
    match refusal {
        Refusal::Absent => (StatusCode::NOT_FOUND, "There is nothing here", error.sentence()),
        Refusal::Unacceptable => {
            (StatusCode::UNPROCESSABLE_ENTITY, "This cannot be done so", error.sentence())
        }
        Refusal::Conflict => {
            let text = format!("Nothing was changed: {error}.");
            (StatusCode::CONFLICT, "Something stands in the way", text)
        }
    }
}

/// A page without a visitor, for when something is wrong.
fn plain_page(status: StatusCode, title: &str, text: &str) -> Response {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    let (title, text) = (escape(title), escape(text));
    let page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title} – pmsgate</title><link rel=\"stylesheet\" href=\"/assets/portal.css\"></head><body>\
         <header><p class=\"mark\"><a href=\"/portal\">pmsgate</a></p></header>\
         <main id=\"main\"><h1>{title}</h1><p class=\"text\">{text}</p>\
         <p><a href=\"/portal\">To the start page</a></p></main></body></html>"
    );
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, super::page::CSP),
        (header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, page).into_response()
}
