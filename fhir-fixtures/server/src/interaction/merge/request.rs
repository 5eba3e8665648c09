//! Reading a `$merge` request: its key, its body within limits, the Bundle in it.

use aws_lc_rs::digest::{Context, SHA256};
use axum::body::Body;
use bytes::Bytes;
use fhir_model::{json::strict, xml};
use http::{HeaderMap, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use pms_terms::FhirVersion;
use serde_json::Value;

use crate::outcome::Refusal;

/// The longest key that is taken.
const MAX_KEY: usize = 128;

/// The `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header §2.1): a String of RFC 8941 in quotation marks. Many
/// clients leave these out, so the bare text means the same.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut given = headers.get_all("idempotency-key").iter();
    let Some(value) = given.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    let is_key = |text: &str| {
        (1..=MAX_KEY).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\,".contains(&byte))
    };
    if given.next().is_some() || !is_key(bare) {
        return Err(Refusal::MalformedKey);
    }
    Ok(Some(bare.to_owned()))
}

/// The whole body, if it is not too long and of a media type that can be read.
pub(super) async fn body(headers: &HeaderMap, body: Body, most: usize) -> Result<Bytes, Refusal> {
    media_type(headers)?;
    if headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return Err(Refusal::UnsupportedMedia("a content coding".to_owned()));
    }
    let collected = Limited::new(body, most).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() { Refusal::BodyTooLarge(most) } else { Refusal::BrokenBody }
    })?;
    Ok(collected.to_bytes())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Media {
    Json,
    Xml,
}

fn media_type(headers: &HeaderMap) -> Result<Media, Refusal> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/fhir+json" | "application/json" | "text/json" => Ok(Media::Json),
        xml::MEDIA_TYPE | "application/xml" | "text/xml" => Ok(Media::Xml),
        _ => Err(Refusal::UnsupportedMedia(given.chars().take(80).collect())),
    }
}

/// The resource in a body.
pub(super) fn bundle(headers: &HeaderMap, body: &[u8], version: FhirVersion) -> Result<Value, Refusal> {
    match media_type(headers)? {
        Media::Json => strict::parse(body)
            .map_err(|error| Refusal::Unreadable(format!("The body is not JSON that can be read: {error}."))),
        Media::Xml => {
            let text = std::str::from_utf8(body)
                .map_err(|_| Refusal::Unreadable("The body is not UTF-8.".to_owned()))?;
            xml::read(version, text).map_err(|error| {
                Refusal::Unreadable(format!("The body is not FHIR XML that can be read: {error}."))
            })
        }
    }
}

/// What tells requests apart that are sent with one key: the API and the body, byte for byte.
pub(super) fn digest(api: &str, body: &[u8]) -> String {
    let mut context = Context::new(&SHA256);
    context.update(api.as_bytes());
    context.update(b"\n");
    context.update(body);
    let mut text = String::with_capacity(64);
    for byte in context.finish().as_ref() {
        let _ = std::fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn key(values: &[&'static str]) -> Result<Option<String>, Refusal> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("idempotency-key", HeaderValue::from_static(value));
        }
        idempotency_key(&headers)
    }

    #[test]
    fn a_key_is_the_same_with_and_without_quotation_marks() {
        assert_eq!(key(&["\"8e03978e-40d5\""]).unwrap().as_deref(), Some("8e03978e-40d5"));
        assert_eq!(key(&["8e03978e-40d5"]).unwrap().as_deref(), Some("8e03978e-40d5"));
        assert_eq!(key(&[]).unwrap(), None);
        for wrong in [&["\"\""][..], &[""], &["a b"], &["a", "b"], &["\"a"], &["a,b"]] {
            assert!(matches!(key(wrong), Err(Refusal::MalformedKey)), "{wrong:?}");
        }
        let long: &'static str = Box::leak("x".repeat(129).into_boxed_str());
        assert!(key(&[long]).is_err());
    }

    #[test]
    fn requests_with_other_bytes_or_to_another_api_have_another_digest() {
        let one = digest("a", b"{}");
        assert_eq!(one, digest("a", b"{}"));
        assert_eq!(one.len(), 64);
        assert_ne!(one, digest("a", b"{ }"));
        assert_ne!(one, digest("b", b"{}"));
    }
}
