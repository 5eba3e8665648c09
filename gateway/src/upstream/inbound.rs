//! The upstream's answer as the caller gets it: listed headers, our addresses, and nothing that is not FHIR.

use axum::body::Body;
use caller_context::{DISCLOSURE_HEADER, Disclosure};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};

use super::{
    body::{RewrittenBody, UpstreamBody},
    links::{LinkRewriter, rewrite_address},
    outbound::pass,
    xml_links::{self, MAX_BUNDLE},
};
use crate::{error::GatewayError, routes::Product};

/// What the upstream may tell a caller. `Content-Length` is settled apart; `Date` is the listener's.
const PASSED: [&str; 11] = [
    "allow",
    "cache-control",
    "content-disposition",
    "content-language",
    "content-type",
    "etag",
    "expires",
    "last-modified",
    "retry-after",
    "preference-applied",
    "x-progress",
];

/// What the upstream says that its answer shows and withholds.
pub fn disclosure(headers: &HeaderMap) -> Option<Disclosure> {
    Disclosure::parse(headers.get(DISCLOSURE_HEADER)?.to_str().ok()?)
}

/// Turns the upstream's answer into ours. `bundle`: a success is a Bundle and must be rewritten. Waits for the whole
/// body of a Bundle in XML only.
pub async fn response(
    answer: Response<UpstreamBody>,
    product: &Product,
    bundle: bool,
) -> Result<Response<Body>, GatewayError> {
    let (head, body) = answer.into_parts();
    let status = head.status;
    if !may_pass(status) {
        // 401 and 407 are between the backend and us: the caller context was refused. Redirects lead elsewhere.
        tracing::error!(status = status.as_u16(), product = %product.id, "upstream answered what cannot be passed on");
        return Err(GatewayError::UpstreamBroken);
    }
    let media = media_type(&head.headers);
    let ended = http_body::Body::is_end_stream(&body);
    if !ended && media == Media::Other {
        tracing::error!(status = status.as_u16(), product = %product.id, "upstream answered with a body that is not FHIR");
        return Err(GatewayError::UpstreamBroken);
    }
    if head.headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        tracing::error!(product = %product.id, "upstream answered with a content coding that was not asked for");
        return Err(GatewayError::UpstreamBroken);
    }
    let rewritten = bundle && status.is_success();
    let mut response = Response::new(());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(12);
    pass(&head.headers, &PASSED, headers);
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        if let Some(value) = head.headers.get(&name) {
            let ours = value
                .to_str()
                .ok()
                .and_then(|address| rewrite_address(address, &product.upstream_base, &product.public_base))
                .and_then(|address| HeaderValue::from_str(&address).ok());
            headers.insert(name, ours.unwrap_or_else(|| value.clone()));
        }
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        // What one caller sees is not for another (domain facts §6.5): no shared cache may keep it.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    }
    headers.insert(header::VARY, HeaderValue::from_static("Authorization, Accept, Accept-Encoding, Prefer"));
    if !rewritten && let Some(length) = head.headers.get(header::CONTENT_LENGTH) {
        headers.insert(header::CONTENT_LENGTH, length.clone());
    }
    let body = match media {
        Media::Json if rewritten && !ended => {
            let rewriter = LinkRewriter::new(&product.upstream_base, &product.public_base);
            Body::new(RewrittenBody::new(body, rewriter))
        }
        Media::Xml if rewritten && !ended => Body::from(rewritten_xml(body, product).await?),
        _ => Body::new(body),
    };
    Ok(response.map(|()| body))
}

async fn rewritten_xml(body: UpstreamBody, product: &Product) -> Result<Vec<u8>, GatewayError> {
    let broken = |error: &dyn std::fmt::Display| {
        tracing::error!(product = %product.id, %error, "upstream answered with a Bundle whose links cannot be rewritten");
        GatewayError::UpstreamBroken
    };
    let whole = Limited::new(body, MAX_BUNDLE).collect().await.map_err(|error| broken(&error))?;
    xml_links::rewrite(&whole.to_bytes(), &product.upstream_base, &product.public_base)
        .map_err(|error| broken(&error))
}

fn may_pass(status: StatusCode) -> bool {
    status.is_success()
        || status == StatusCode::NOT_MODIFIED
        || ((status.is_client_error() || status.is_server_error())
            && status != StatusCode::UNAUTHORIZED
            && status != StatusCode::PROXY_AUTHENTICATION_REQUIRED)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Media {
    Json,
    Xml,
    Other,
}

fn media_type(headers: &HeaderMap) -> Media {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return Media::Other;
    };
    let essence = value.split(';').next().unwrap_or_default().trim();
    let is = |media_type: &str| essence.eq_ignore_ascii_case(media_type);
    if is("application/fhir+json") || is("application/json") {
        Media::Json
    } else if is("application/fhir+xml") || is("application/xml") {
        Media::Xml
    } else {
        Media::Other
    }
}
