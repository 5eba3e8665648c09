//! What went wrong at an OAuth endpoint, and its one way to the wire: RFC 6749 §5.2, with the fields that Entra's
//! clients read (see the domain notes in `docs/`).

use access_token::{DPOP_NONCE_HEADER, DpopRefused};
use authz_domain::{AssertionRefused, AuthenticationMethod, InvalidScope};
use axum::response::{IntoResponse, Response};
use database::DatabaseError;
use http::{HeaderName, HeaderValue, StatusCode, header, request::Parts};
use http_service::{AccessNote, RequestId};
use serde::Serialize;
use thiserror::Error;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description};
use uuid::Uuid;

use super::form::MalformedForm;
use crate::state::State;

/// Every refusal. The texts say what to do; those about a client's own affairs appear only after it has proven to
/// be that client.
#[derive(Debug, Error)]
pub(crate) enum OAuthError {
    #[error("this endpoint takes POST only")]
    MethodNotAllowed,
    #[error("send the parameters in the body, with Content-Type: application/x-www-form-urlencoded in UTF-8")]
    ContentType,
    #[error("the body is larger than 16 KiB")]
    BodyTooLarge,
    #[error("the body did not arrive in 10 seconds")]
    BodyTooSlow,
    #[error("{0}")]
    Form(#[from] MalformedForm),
    #[error("{0}")]
    Malformed(String),
    #[error("send the parameter '{0}' in the body, not in the query")]
    ParameterInQuery(&'static str),
    #[error("the parameter '{0}' is missing")]
    MissingParameter(&'static str),
    #[error("the only grant type here is client_credentials")]
    UnsupportedGrantType,
    #[error(
        "there is more than one set of client credentials: use one of HTTP Basic, client_secret in the body, and \
         client_assertion"
    )]
    SeveralCredentials,
    #[error("client_id in the body differs from the client of the other credentials")]
    MismatchedClientId,
    #[error("client_assertion_type must be urn:ietf:params:oauth:client-assertion-type:jwt-bearer")]
    AssertionType,

    #[error(
        "there are no client credentials: send client_id and client_secret in the body, or HTTP Basic, or \
         client_assertion"
    )]
    NoCredentials,
    #[error(
        "the Authorization header is not HTTP Basic: send client_id and client_secret as Basic or in the body"
    )]
    OtherAuthorization,
    #[error("the Basic credentials cannot be read: they are Base64 of client_id, a colon, client_secret")]
    MalformedBasic,
    #[error("client_id or client_secret is wrong")]
    WrongCredentials,
    #[error("{0}")]
    Assertion(#[from] AssertionRefused),
    #[error("there is no such client, or none of the keys registered for it signed the client assertion")]
    WrongSignature,
    #[error("there is no such client, or it is not registered with the certificate of this connection")]
    WrongCertificate,
    #[error("the certificate of this connection expired at {}: use its successor", instant(*at))]
    CertificateExpired { at: OffsetDateTime },
    #[error("the client assertion was used before: make a new one, with another 'jti', for each request")]
    AssertionUsed,
    #[error("this {} expired at {}: {}", method.noun(), instant(*at), renewal(*method))]
    SecretExpired { method: AuthenticationMethod, at: OffsetDateTime },
    #[error(
        "this {} was replaced and retired at {}: use what was registered for this client since",
        method.noun(),
        instant(*at)
    )]
    SecretRetired { method: AuthenticationMethod, at: OffsetDateTime },
    #[error(
        "this {} was revoked at {}: use what was registered for this client since, or ask an administrator of your \
         organisation for a new one",
        method.noun(),
        instant(*at)
    )]
    SecretRevoked { method: AuthenticationMethod, at: OffsetDateTime },
    #[error(
        "this client is suspended: ask an administrator of your organisation, or the service desk, to resume it"
    )]
    ClientSuspended,
    #[error("this client was revoked: request API access again to get a new one")]
    ClientRevoked,

    #[error("{0}")]
    Dpop(#[from] DpopRefused),
    #[error("{}", DpopRefused::Nonce)]
    DpopNonce { nonce: String },

    #[error("the role of this client is no longer offered here: ask the service desk")]
    RoleGone,
    #[error("{0}")]
    Scope(#[from] InvalidScope),
    #[error("this client's tokens are for {resource}: leave the parameter 'resource' out, or send that")]
    OtherTarget { resource: String },
    #[error("there is no tenant of this name here")]
    UnknownTenant,
    #[error("this token belongs to another client")]
    ForeignToken,
    #[error(
        "there is no sign-in for people here: get tokens from the token endpoint with the client_credentials grant"
    )]
    NoSignIn,
    #[error("too many failed attempts: wait {} s before the next one", seconds(*wait))]
    Throttled { wait: Duration },

    #[error("the server cannot reach its database: try again in a moment")]
    Unavailable(#[source] DatabaseError),
    #[error("the server failed: the request id helps to find out why")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the server failed: the request id helps to find out why")]
    Internal,
}

impl From<DatabaseError> for OAuthError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Unavailable(_) => Self::Unavailable(error),
            other => Self::Failed(Box::new(other)),
        }
    }
}

/// How a credential that has expired is renewed.
const fn renewal(method: AuthenticationMethod) -> &'static str {
    match method {
        AuthenticationMethod::ClientSecret => {
            "renew it with Rotate on the client's page of the portal, or ask an administrator of your organisation to, \
             and use the new one"
        }
        AuthenticationMethod::PrivateKeyJwt
        | AuthenticationMethod::TlsClientAuth
        | AuthenticationMethod::SelfSignedTlsClientAuth => {
            "register a new one on the client's page of the portal, or ask an administrator of your organisation to"
        }
    }
}

fn instant(at: OffsetDateTime) -> String {
    at.replace_nanosecond(0).unwrap_or(at).format(&Rfc3339).unwrap_or_default()
}

/// Whole seconds, rounded up: a client that waits so long has waited long enough.
fn seconds(wait: Duration) -> i64 {
    (wait.whole_seconds() + i64::from(wait.subsec_nanoseconds() > 0)).max(1)
}

/// Status, `error` (RFC 6749 §5.2; RFC 8707 §2 for `invalid_target`), and the number Entra ID gives in such a case.
struct Wire {
    status: StatusCode,
    error: &'static str,
    entra: Option<u32>,
}

impl OAuthError {
    fn wire(&self) -> Wire {
        let wire = |status, error, entra| Wire { status, error, entra };
        let bad = StatusCode::BAD_REQUEST;
        let unauthorized = StatusCode::UNAUTHORIZED;
        match self {
            Self::MethodNotAllowed => wire(StatusCode::METHOD_NOT_ALLOWED, "invalid_request", Some(900_561)),
            Self::ContentType | Self::MissingParameter(_) => wire(bad, "invalid_request", Some(900_144)),
            Self::BodyTooLarge => wire(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", None),
            Self::BodyTooSlow => wire(StatusCode::REQUEST_TIMEOUT, "invalid_request", None),
            Self::Form(_)
            | Self::Malformed(_)
            | Self::ParameterInQuery(_)
            | Self::SeveralCredentials
            | Self::MismatchedClientId
            | Self::AssertionType => wire(bad, "invalid_request", None),
            Self::UnsupportedGrantType => wire(bad, "unsupported_grant_type", Some(70_003)),
            Self::NoCredentials | Self::OtherAuthorization | Self::MalformedBasic => {
                wire(unauthorized, "invalid_client", Some(7_000_218))
            }
            // AADSTS700027, 700021, 700024: the assertion's signature, its claims, its times.
            Self::WrongSignature => wire(unauthorized, "invalid_client", Some(700_027)),
            Self::Assertion(
                AssertionRefused::Expired | AssertionRefused::NotYetValid | AssertionRefused::TooLong(_),
            ) => wire(unauthorized, "invalid_client", Some(700_024)),
            Self::Assertion(_) | Self::AssertionUsed => wire(unauthorized, "invalid_client", Some(700_021)),
            Self::SecretExpired { .. } | Self::CertificateExpired { .. } => {
                wire(unauthorized, "invalid_client", Some(7_000_222))
            }
            Self::WrongCredentials
            | Self::WrongCertificate
            | Self::SecretRetired { .. }
            | Self::SecretRevoked { .. } => wire(unauthorized, "invalid_client", Some(7_000_215)),
            Self::ClientSuspended | Self::ClientRevoked => {
                wire(unauthorized, "invalid_client", Some(7_000_112))
            }
            // RFC 9449 §5, §8.
            Self::Dpop(_) => wire(bad, "invalid_dpop_proof", None),
            Self::DpopNonce { .. } => wire(bad, "use_dpop_nonce", None),
            Self::RoleGone | Self::ForeignToken => wire(bad, "unauthorized_client", None),
            Self::Scope(reason) => wire(
                bad,
                "invalid_scope",
                Some(match reason {
                    InvalidScope::Malformed { .. }
                    | InvalidScope::NotAllowed { .. }
                    | InvalidScope::TooLong => 70_011,
                    InvalidScope::WithoutDefault { .. } => 1_002_012,
                    InvalidScope::OtherResource { .. } => 500_011,
                    InvalidScope::Mixed { .. } => 700_022,
                }),
            ),
            Self::OtherTarget { .. } => wire(bad, "invalid_target", Some(500_011)),
            Self::UnknownTenant => wire(bad, "invalid_request", Some(90_002)),
            Self::NoSignIn => wire(bad, "unsupported_response_type", None),
            Self::Throttled { .. } => {
                wire(StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable", Some(90_055))
            }
            Self::Unavailable(_) => wire(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", None),
            Self::Failed(_) | Self::Internal => wire(StatusCode::INTERNAL_SERVER_ERROR, "server_error", None),
        }
    }

    /// The answer.
    pub(crate) fn into_response(self, context: &ErrorContext) -> Response {
        let Wire { status, error, entra } = self.wire();
        if status.is_server_error() {
            tracing::error!(
                request_id = context.trace_id,
                error = &self as &dyn std::error::Error,
                cause = std::error::Error::source(&self).map(tracing::field::display),
                "an OAuth request failed"
            );
        } else {
            tracing::debug!(request_id = context.trace_id, error, reason = %self, "an OAuth request was refused");
        }
        let entra = entra.filter(|_| context.entra);
        let timestamp = context
            .now
            .format(format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z"))
            .unwrap_or_default();
        let (trace_id, correlation_id) = (context.trace_id.as_str(), context.correlation_id.as_str());
        let mut description = self.to_string();
        if context.mutual_tls && matches!(self, Self::NoCredentials) {
            description.push_str(", or make the connection with the client's certificate");
        }
        if let Some(code) = entra {
            description = format!(
                "AADSTS{code}: {description} Trace ID: {trace_id} Correlation ID: {correlation_id} Timestamp: {timestamp}"
            );
        }
        let body = ErrorBody {
            error,
            error_description: describable(&description),
            error_codes: entra.into_iter().collect(),
            timestamp,
            trace_id,
            correlation_id,
        };
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (status, NO_STORE, body).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, CHALLENGE);
        }
        match self {
            Self::MethodNotAllowed => {
                headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
            }
            Self::DpopNonce { nonce } => {
                if let Ok(nonce) = HeaderValue::from_str(&nonce) {
                    headers.insert(HeaderName::from_static(DPOP_NONCE_HEADER), nonce);
                }
            }
            Self::Throttled { wait } => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds(wait)));
            }
            Self::Unavailable(_) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response.extensions_mut().insert(AccessNote { refusal: Some(error), ..AccessNote::default() });
        response
    }
}

/// RFC 7617 §2: a realm is required; the character set tells that ids and secrets are UTF-8.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"pmsgate\", charset=\"UTF-8\"");

/// The headers of everything that may hold a token or a reason (RFC 6749 §5.1).
pub(crate) const NO_STORE: [(HeaderName, HeaderValue); 4] = [
    (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::PRAGMA, HeaderValue::from_static("no-cache")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
];

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'static str,
    error_description: String,
    error_codes: Vec<u32>,
    timestamp: String,
    trace_id: &'a str,
    correlation_id: &'a str,
}

/// RFC 6749 §5.2 admits printable ASCII without `"` and `\`.
fn describable(text: &str) -> String {
    let mut described = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' => described.push('\''),
            '\\' => described.push('/'),
            '…' => described.push_str("..."),
            ' '..='~' => described.push(character),
            _ => described.push('?'),
        }
    }
    described
}

/// What an error's body tells about the request.
pub(crate) struct ErrorContext {
    now: OffsetDateTime,
    trace_id: String,
    correlation_id: String,
    entra: bool,
    /// Whether clients may be known by certificates here.
    mutual_tls: bool,
}

impl ErrorContext {
    /// Of a request. The correlation id is the caller's `client-request-id`, if it sent a decent one.
    pub(crate) fn new(state: &State, parts: &Parts, now: OffsetDateTime) -> Self {
        let trace_id = match parts.extensions.get::<RequestId>() {
            Some(id) => id.as_str().to_owned(),
            None => Uuid::new_v4().to_string(),
        };
        let in_header = parts.headers.get("client-request-id").and_then(|value| value.to_str().ok());
        let in_query =
            || parts.uri.query()?.split('&').find_map(|pair| pair.strip_prefix("client-request-id="));
        let correlation_id = in_header.or_else(in_query).and_then(|text| Uuid::try_parse(text).ok());
        let correlation_id = correlation_id.unwrap_or_else(Uuid::new_v4).to_string();
        let settings = &state.settings;
        let (entra, mutual_tls) = (settings.entra_errors, settings.mutual_tls.is_some());
        Self { now, trace_id, correlation_id, entra, mutual_tls }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_has_only_characters_of_the_rfc() {
        assert_eq!(describable("say \"a\\b\" … ä\n"), "say 'a/b' ... ??");
    }

    #[test]
    fn a_wait_is_rounded_up() {
        assert_eq!(seconds(Duration::milliseconds(1)), 1);
        assert_eq!(seconds(Duration::milliseconds(1001)), 2);
        assert_eq!(seconds(Duration::ZERO), 1);
    }
}
