//! Answers: what representation is wanted, conditional reads, headers.

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::Value;
use time::{
    OffsetDateTime, PrimitiveDateTime, format_description::BorrowedFormatItem, macros::format_description,
};

use crate::outcome::Refusal;

/// The media type of FHIR in JSON.
pub(crate) const FHIR_JSON: &str = "application/fhir+json";

/// IMF-fixdate (RFC 9110 §5.6.7).
const HTTP_DATE: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");

/// What tells one state of an answer from another.
#[derive(Clone, Debug)]
pub(crate) struct Validators {
    pub(crate) etag: HeaderValue,
    pub(crate) last_modified: HeaderValue,
    /// In whole seconds, as the header has it.
    modified: OffsetDateTime,
}

impl Validators {
    /// A weak entity tag from a version or revision, and a time.
    pub(crate) fn new(version: impl std::fmt::Display, last_updated: OffsetDateTime) -> Self {
        let modified = last_updated.replace_nanosecond(0).unwrap_or(last_updated);
        Self {
            etag: HeaderValue::try_from(format!("W/\"{version}\""))
                .unwrap_or(HeaderValue::from_static("W/\"0\"")),
            last_modified: modified
                .format(HTTP_DATE)
                .ok()
                .and_then(|date| HeaderValue::try_from(date).ok())
                .unwrap_or(HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT")),
            modified,
        }
    }

    /// Whether the caller has this state already (RFC 9110 §13.1: If-None-Match, else If-Modified-Since).
    fn is_known(&self, headers: &HeaderMap) -> bool {
        if headers.contains_key(header::IF_NONE_MATCH) {
            let own = opaque(self.etag.to_str().unwrap_or_default());
            return headers
                .get_all(header::IF_NONE_MATCH)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .flat_map(|value| value.split(','))
                .any(|tag| tag.trim() == "*" || opaque(tag) == own);
        }
        headers
            .get(header::IF_MODIFIED_SINCE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| PrimitiveDateTime::parse(value.trim(), HTTP_DATE).ok())
            .is_some_and(|since| self.modified <= since.assume_utc())
    }
}

/// An entity tag without its weakness: weak comparison (RFC 9110 §8.8.3.2).
fn opaque(tag: &str) -> &str {
    let tag = tag.trim();
    tag.strip_prefix("W/").unwrap_or(tag)
}

/// Refuses what asks for something else than JSON. `_format` counts before `Accept` (FHIR "http" §content-types).
pub(crate) fn negotiate(format: Option<&str>, headers: &HeaderMap) -> Result<(), Refusal> {
    if let Some(format) = format {
        // A plus sign that was not encoded arrives as a space.
        return match format.split(';').next().unwrap_or_default().trim().replace(' ', "+").as_str() {
            "json" | "application/json" | "text/json" | FHIR_JSON => Ok(()),
            _ => Err(Refusal::NotAcceptable(format.to_owned())),
        };
    }
    let mut refused = None;
    for accept in headers.get_all(header::ACCEPT) {
        let Ok(accept) = accept.to_str() else { continue };
        for range in accept.split(',') {
            let mut parts = range.split(';');
            let media = parts.next().unwrap_or_default().trim();
            let zero = parts.any(|part| {
                part.trim()
                    .strip_prefix("q=")
                    .is_some_and(|q| q.trim().parse::<f32>().is_ok_and(|q| q <= 0.0))
            });
            match media.to_ascii_lowercase().as_str() {
                FHIR_JSON | "*/*" | "application/*" | "application/json" | "text/json" if !zero => {
                    return Ok(());
                }
                "" => {}
                _ => {
                    refused.get_or_insert_with(|| media.to_owned());
                }
            }
        }
    }
    refused.map_or(Ok(()), |media| Err(Refusal::NotAcceptable(media)))
}

/// 200 with a FHIR body, or 304 when the caller has it.
pub(crate) fn ok(
    body: Bytes,
    validators: Option<&Validators>,
    headers: &HeaderMap,
    pretty: bool,
) -> Response {
    let known = validators.is_some_and(|validators| validators.is_known(headers));
    let body = match (known, pretty) {
        (true, _) => Bytes::new(),
        (false, false) => body,
        (false, true) => prettily(body),
    };
    let mut response = Response::new(body.into());
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(FHIR_JSON));
    }
    let answer = response.headers_mut();
    if let Some(validators) = validators {
        answer.insert(header::ETAG, validators.etag.clone());
        answer.insert(header::LAST_MODIFIED, validators.last_modified.clone());
    }
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    answer.insert(header::VARY, HeaderValue::from_static("accept"));
    response
}

fn prettily(body: Bytes) -> Bytes {
    serde_json::from_slice::<Value>(&body)
        .and_then(|tree| serde_json::to_vec_pretty(&tree))
        .map_or(body, Bytes::from)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn headers(name: header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn json_is_served_to_whoever_takes_it() {
        for accept in [
            "application/fhir+json",
            "application/fhir+json; fhirVersion=5.0",
            "*/*",
            "application/fhir+xml, */*;q=0.1",
            "",
        ] {
            assert!(negotiate(None, &headers(header::ACCEPT, accept)).is_ok(), "{accept}");
        }
        assert!(negotiate(None, &HeaderMap::new()).is_ok());
        for accept in ["application/fhir+xml", "text/html", "application/json;q=0"] {
            assert!(negotiate(None, &headers(header::ACCEPT, accept)).is_err(), "{accept}");
        }
        assert!(
            negotiate(Some("application/fhir json"), &headers(header::ACCEPT, "application/fhir+xml"))
                .is_ok()
        );
        assert!(negotiate(Some("xml"), &HeaderMap::new()).is_err());
    }

    #[test]
    fn a_known_state_is_recognised_by_tag_before_time() {
        let validators = Validators::new(7, datetime!(2026-01-15 09:30:00.5 UTC));
        assert_eq!(validators.last_modified, "Thu, 15 Jan 2026 09:30:00 GMT");
        for tag in ["W/\"7\"", "\"7\"", "\"1\", W/\"7\"", "*"] {
            assert!(validators.is_known(&headers(header::IF_NONE_MATCH, tag)), "{tag}");
        }
        assert!(!validators.is_known(&headers(header::IF_NONE_MATCH, "W/\"6\"")));
        assert!(validators.is_known(&headers(header::IF_MODIFIED_SINCE, "Thu, 15 Jan 2026 09:30:00 GMT")));
        assert!(!validators.is_known(&headers(header::IF_MODIFIED_SINCE, "Thu, 15 Jan 2026 09:29:59 GMT")));
        let mut both = headers(header::IF_NONE_MATCH, "W/\"6\"");
        both.insert(header::IF_MODIFIED_SINCE, HeaderValue::from_static("Fri, 16 Jan 2026 09:30:00 GMT"));
        assert!(!validators.is_known(&both));
    }
}
