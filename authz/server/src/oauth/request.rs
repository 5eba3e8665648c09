//! What every form endpoint asks of a request before it reads parameters: method, query, content type, size.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, header, request::Parts};
use http_body::Body as _;
use http_service::Peer;

use super::{error::OAuthError, form};

/// The largest body in bytes.
const MAX_BODY: usize = 16 * 1024;
/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// Parameters that belong in the body: in a query they end up in logs and histories (RFC 6749 §2.3.1, §3.2).
const BODY_ONLY: [&str; 15] = [
    "access_token",
    "assertion",
    "client_assertion",
    "client_assertion_type",
    "client_id",
    "client_secret",
    "code",
    "grant_type",
    "password",
    "refresh_token",
    "resource",
    "scope",
    "token",
    "token_type_hint",
    "username",
];

/// Checks head and size, and reads the body.
pub(crate) async fn read_body(parts: &Parts, body: Body) -> Result<Bytes, OAuthError> {
    if parts.method != Method::POST {
        return Err(OAuthError::MethodNotAllowed);
    }
    if let Some(query) = parts.uri.query() {
        check_query(query)?;
    }
    check_content_type(&parts.headers)?;
    if parts.headers.contains_key(header::CONTENT_ENCODING) {
        return Err(OAuthError::Malformed(
            "the body must not be compressed: leave Content-Encoding out".to_owned(),
        ));
    }
    let expected = body.size_hint().lower();
    if expected > MAX_BODY as u64 {
        return Err(OAuthError::BodyTooLarge);
    }
    match tokio::time::timeout(PATIENCE, axum::body::to_bytes(body, MAX_BODY + 1)).await {
        Ok(Ok(bytes)) if bytes.len() <= MAX_BODY => Ok(bytes),
        Ok(Err(error)) if !is_limit(&error) => {
            Err(OAuthError::Malformed("the body did not arrive whole: send it again".to_owned()))
        }
        // The limit is one more than is allowed.
        Ok(Ok(_) | Err(_)) => Err(OAuthError::BodyTooLarge),
        Err(_) => Err(OAuthError::BodyTooSlow),
    }
}

/// Whether a body was longer than was read, and not broken off.
fn is_limit(error: &axum::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

fn check_query(query: &str) -> Result<(), OAuthError> {
    for pair in query.split('&') {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        // A name that does not decode is none of OAuth's.
        let Ok(name) = form::decode(name.as_bytes()) else { continue };
        if let Some(found) = BODY_ONLY.iter().find(|own| **own == name) {
            return Err(OAuthError::ParameterInQuery(found));
        }
    }
    Ok(())
}

fn check_content_type(headers: &HeaderMap) -> Result<(), OAuthError> {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(OAuthError::ContentType) };
    let value = value.to_str().map_err(|_| OAuthError::ContentType)?;
    let mut pieces = value.split(';').map(str::trim);
    let essence = pieces.next().unwrap_or_default();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(OAuthError::ContentType);
    }
    let charset = pieces.find_map(|piece| {
        let (name, value) = piece.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    });
    match charset {
        Some(charset) if !charset.eq_ignore_ascii_case("utf-8") => Err(OAuthError::ContentType),
        _ => Ok(()),
    }
}

/// The address of whoever asks.
pub(crate) fn address(parts: &Parts) -> IpAddr {
    parts.extensions.get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.address.ip())
}
