//! Answers written by the gateway itself: format, entity tag, conditions.

use aws_lc_rs::digest;
use axum::body::Body;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use caller_context::Disclosure;
use fhir_model::xml;
use http::{HeaderValue, Method, Response, StatusCode, header, request::Parts};
use http_service::conditional::{Judgement, Validators};
use pms_terms::FhirVersion;
use serde_json::Value;

use super::Refused;
use crate::{error::GatewayError, outcome::wants_xml};

/// Bytes of a fingerprint: enough that two states of one address never meet.
const FINGERPRINT: usize = 9;

/// Answers with a resource as it is to be shown.
///
/// The entity tag is a fingerprint of the very bytes (decision 5): equal exactly when the same is shown, whatever
/// changed behind it. For the same reason there is no `Last-Modified`: the server's would tell of hidden changes.
pub(crate) fn respond(
    resource: &Value,
    parts: &Parts,
    pretty: bool,
    disclosed: Disclosure,
) -> Result<Response<Body>, GatewayError> {
    let xml = wants_xml(&parts.headers, parts.uri.query());
    let text = match (xml, pretty) {
        (false, false) => serde_json::to_string(resource).map_err(|_| GatewayError::UpstreamBroken)?,
        (false, true) => serde_json::to_string_pretty(resource).map_err(|_| GatewayError::UpstreamBroken)?,
        (true, false) => xml::write(FhirVersion::V5_0_0, resource).map_err(|_| Refused::NotAsXml)?,
        (true, true) => xml::write_pretty(FhirVersion::V5_0_0, resource).map_err(|_| Refused::NotAsXml)?,
    };
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    let fingerprint = URL_SAFE_NO_PAD.encode(digest.as_ref().get(..FINGERPRINT).unwrap_or_default());
    let tag = format!("W/\"{fingerprint}\"");
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    // What one caller sees is not for another: no shared cache may keep it.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("Authorization, Accept, Accept-Encoding, Prefer"));
    if let Ok(value) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, value);
    }
    // A search by POST sets no conditions (RFC 9110 §13.2.1).
    let judgement = match parts.method {
        Method::POST => Judgement::Answer,
        _ => Validators { tag: &tag, changed: None }.judge(&parts.headers),
    };
    if judgement == Judgement::Failed {
        return Err(Refused::OtherState.into());
    }
    if judgement == Judgement::NotModified {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        let media_type = if xml { xml::MEDIA_TYPE } else { "application/fhir+json" };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(text.len()));
        if parts.method != Method::HEAD {
            *response.body_mut() = Body::from(text);
        }
    }
    response.extensions_mut().insert(disclosed);
    Ok(response)
}
