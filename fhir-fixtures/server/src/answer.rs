//! Answers: which representation is wanted, conditional reads, headers.

use axum::response::Response;
use bytes::Bytes;
use fhir_model::xml;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use http_service::conditional::{self, Judgement, http_date};
use pms_terms::FhirVersion;
use serde_json::Value;
use time::OffsetDateTime;

use crate::{fingerprint::Fingerprint, outcome::Refusal};

/// The media type of FHIR in JSON.
pub(crate) const FHIR_JSON: &str = "application/fhir+json";

/// For gateways, which judge the conditions of requests that they answer themselves.
const CHANGED: HeaderName = HeaderName::from_static(caller_context::CHANGED_HEADER);

/// For gateways, which keep the record of who read what.
const DISCLOSED: HeaderName = HeaderName::from_static(caller_context::DISCLOSURE_HEADER);

/// Names of JSON, in `Accept` and `_format` (FHIR "http", content types).
const JSON: [&str; 4] = [FHIR_JSON, "application/json", "text/json", "application/json+fhir"];

/// Names of XML.
const XML: [&str; 4] = [xml::MEDIA_TYPE, "application/xml", "text/xml", "application/xml+fhir"];

/// The two formats that FHIR is written in here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// As everything is kept.
    #[default]
    Json,
    /// Converted for each answer: few ask for it.
    Xml,
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) format: Format,
    /// For people: with line breaks.
    pub(crate) pretty: bool,
    pub(crate) version: FhirVersion,
}

impl Look {
    /// What a request seems to want, before anything of it was checked: for refusals.
    pub(crate) fn guessed(uri: &Uri, headers: &HeaderMap, version: FhirVersion) -> Self {
        let query = uri.query().unwrap_or_default().as_bytes();
        let value = |name: &str| {
            form_urlencoded::parse(query).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        Self {
            format: negotiate(value("_format").as_deref(), headers).unwrap_or_default(),
            pretty: value("_pretty").as_deref() == Some("true"),
            version,
        }
    }

    /// The media type, and a JSON document in this look. What cannot be written in XML stays JSON: of refusals, which
    /// are all ours, there is none.
    pub(crate) fn write_or_json(self, body: Bytes) -> (&'static str, Bytes) {
        self.write(body.clone()).map_or((FHIR_JSON, body), |written| (self.media_type(), written))
    }

    fn write(self, body: Bytes) -> Result<Bytes, Refusal> {
        match (self.format, self.pretty) {
            (Format::Json, false) => Ok(body),
            (Format::Json, true) => Ok(serde_json::from_slice::<Value>(&body)
                .and_then(|tree| serde_json::to_vec_pretty(&tree))
                .map_or(body, Bytes::from)),
            (Format::Xml, pretty) => {
                let tree: Value = serde_json::from_slice(&body)
                    .map_err(|_| Refusal::NotInXml("it is no JSON tree".to_owned()))?;
                let write = if pretty { xml::write_pretty } else { xml::write };
                write(self.version, &tree).map(Bytes::from).map_err(|error| {
                    tracing::error!(%error, "an answer cannot be written as XML");
                    Refusal::NotInXml(error.to_string())
                })
            }
        }
    }

    const fn media_type(self) -> &'static str {
        match self.format {
            Format::Json => FHIR_JSON,
            Format::Xml => xml::MEDIA_TYPE,
        }
    }
}

/// What tells one state of an answer from another (`docs/decisions/0005-entity-tags.md`).
#[derive(Clone, Debug)]
pub(crate) struct Validators {
    /// The version of the resource, when it is one resource.
    version: Option<i64>,
    /// Of everything that is shown.
    fingerprint: String,
    /// When what is shown was stored: meta.lastUpdated of the resource, or of the youngest one.
    stored: Option<OffsetDateTime>,
    /// When it last changed, which may be later: 4.4.0 shows links that stand in other resources.
    changed: Option<OffsetDateTime>,
}

impl Validators {
    /// For one version of a resource, of which what is shown has this fingerprint. `changed`: when anything last did that
    /// it shows.
    pub(crate) fn of_version(
        version: i64,
        fingerprint: &str,
        stored: OffsetDateTime,
        changed: OffsetDateTime,
    ) -> Self {
        let fingerprint = fingerprint.to_owned();
        let (stored, changed) = (whole_seconds(stored), whole_seconds(changed));
        Self { version: Some(version), fingerprint, stored: Some(stored), changed: Some(changed) }
    }

    /// For a Bundle whose youngest entry was stored then; without a time for those that shrink without a trace.
    pub(crate) fn of_bundle(fingerprint: Fingerprint, youngest: Option<OffsetDateTime>) -> Self {
        let youngest = youngest.map(whole_seconds);
        Self { version: None, fingerprint: fingerprint.finish(), stored: youngest, changed: youngest }
    }

    /// The entity tag. Formats are told apart: neither stands in for the other.
    fn tag(&self, format: Format) -> String {
        let version = self.version.map(|version| format!("{version}.")).unwrap_or_default();
        let format = match format {
            Format::Json => "",
            Format::Xml => ".xml",
        };
        format!("W/\"{version}{}{format}\"", self.fingerprint)
    }

    /// What the conditions of a request come to.
    fn judge(&self, headers: &HeaderMap, format: Format) -> Judgement {
        conditional::Validators { tag: &self.tag(format), changed: self.changed }.judge(headers)
    }

    fn write(&self, headers: &mut HeaderMap, format: Format) {
        if let Ok(tag) = HeaderValue::try_from(self.tag(format)) {
            headers.insert(header::ETAG, tag);
        }
        if let Some(date) = self.stored.and_then(http_date) {
            headers.insert(header::LAST_MODIFIED, date);
        }
        if let Some(changed) = self.changed {
            headers.insert(CHANGED, HeaderValue::from(changed.unix_timestamp()));
        }
    }
}

/// As the header has it.
fn whole_seconds(at: OffsetDateTime) -> OffsetDateTime {
    at.replace_nanosecond(0).unwrap_or(at)
}

/// The format that is wanted. `_format` counts before `Accept` (FHIR "http", content types); of several the one with
/// the greatest weight (RFC 9110 §12.5.1), JSON when they weigh the same. A `fhirVersion` beside it is not looked at:
/// the path says the version.
pub(crate) fn negotiate(format: Option<&str>, headers: &HeaderMap) -> Result<Format, Refusal> {
    if let Some(format) = format {
        // A plus sign that was not encoded arrives as a space.
        let name = format.split(';').next().unwrap_or_default().trim().replace(' ', "+");
        return match name.to_ascii_lowercase().as_str() {
            "json" => Ok(Format::Json),
            "xml" => Ok(Format::Xml),
            name if JSON.contains(&name) => Ok(Format::Json),
            name if XML.contains(&name) => Ok(Format::Xml),
            _ => Err(Refusal::NotAcceptable(format.to_owned())),
        };
    }
    let (mut json, mut xml, mut anything) = (None, None, None);
    let mut refused = None;
    for accept in headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok()) {
        for range in accept.split(',') {
            let mut parts = range.split(';');
            let media = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
            if media.is_empty() {
                continue;
            }
            let weight = weight(parts);
            let place = match media.as_str() {
                media if JSON.contains(&media) => &mut json,
                media if XML.contains(&media) => &mut xml,
                "*/*" | "application/*" => &mut anything,
                _ => {
                    refused.get_or_insert(media);
                    continue;
                }
            };
            *place = Some(place.map_or(weight, |known: f32| known.max(weight)));
            if weight <= 0.0 {
                refused.get_or_insert(format!("{media};q=0"));
            }
        }
    }
    let of = |named: Option<f32>| named.or(anything).unwrap_or(0.0);
    match (refused, of(json), of(xml)) {
        (_, json, xml) if json > 0.0 && json >= xml => Ok(Format::Json),
        (_, _, xml) if xml > 0.0 => Ok(Format::Xml),
        (Some(media), _, _) => Err(Refusal::NotAcceptable(media)),
        (None, _, _) => Ok(Format::Json),
    }
}

/// The weight of a media range: 1 without one, and where it cannot be read.
fn weight<'p>(parameters: impl Iterator<Item = &'p str>) -> f32 {
    let mut weights = parameters.filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse::<f32>().ok())?
    });
    weights.next().filter(|weight| weight.is_finite()).unwrap_or(1.0).clamp(0.0, 1.0)
}

/// 200 with a FHIR body, 304 when the caller has it, or a refusal when it assumes another state.
pub(crate) fn ok(
    body: Bytes,
    validators: Option<&Validators>,
    headers: &HeaderMap,
    look: Look,
) -> Result<Response, Refusal> {
    let judgement = validators.map_or(Judgement::Answer, |state| state.judge(headers, look.format));
    if judgement == Judgement::Failed {
        return Err(Refusal::OtherState);
    }
    let known = judgement == Judgement::NotModified;
    let body = if known { Bytes::new() } else { look.write(body)? };
    let mut response = Response::new(body.into());
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(look.media_type()));
    }
    let answer = response.headers_mut();
    if let Some(validators) = validators {
        validators.write(answer, look.format);
    }
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    answer.insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

/// Tells the gateway what an answer discloses, for its record of who read what. An answer that a caller has already
/// (304) is told likewise.
pub(crate) fn disclosed(mut response: Response, disclosed: HeaderValue) -> Response {
    response.headers_mut().insert(DISCLOSED, disclosed);
    response
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn the_format_is_the_one_that_weighs_most_and_json_in_doubt() {
        for (accept, format) in [
            ("application/fhir+json", Some(Format::Json)),
            ("application/fhir+json; fhirVersion=5.0", Some(Format::Json)),
            ("*/*", Some(Format::Json)),
            ("application/fhir+xml, */*;q=0.1", Some(Format::Xml)),
            ("application/fhir+xml;q=0.5, */*", Some(Format::Json)),
            ("application/fhir+xml, application/fhir+json", Some(Format::Json)),
            (
                "application/fhir+json;q=0.2, APPLICATION/FHIR+XML ; fhirVersion=4.4 ; Q=0.3",
                Some(Format::Xml),
            ),
            ("application/json;q=0, */*", Some(Format::Xml)),
            ("text/html, application/xml;q=0.9", Some(Format::Xml)),
            ("", Some(Format::Json)),
            ("text/html", None),
            ("application/fhir+turtle", None),
            ("application/json;q=0", None),
            ("*/*;q=0", None),
        ] {
            assert_eq!(negotiate(None, &headers(header::ACCEPT, accept)).ok(), format, "{accept}");
        }
        assert_eq!(negotiate(None, &HeaderMap::new()).ok(), Some(Format::Json));
        let turtle = headers(header::ACCEPT, "application/fhir+turtle");
        for (wanted, format) in [
            ("json", Some(Format::Json)),
            ("application/fhir json", Some(Format::Json)),
            ("xml", Some(Format::Xml)),
            ("text/xml", Some(Format::Xml)),
            ("application/fhir+xml;fhirVersion=5.0", Some(Format::Xml)),
            ("ttl", None),
            ("", None),
        ] {
            assert_eq!(negotiate(Some(wanted), &turtle).ok(), format, "{wanted}");
        }
    }

    #[test]
    fn formats_are_states_of_their_own_but_a_version_is_both() {
        let at = datetime!(2026-01-15 09:30:00.5 UTC);
        let validators = Validators::of_version(7, "body", at, at);
        let mut written = HeaderMap::new();
        validators.write(&mut written, Format::Json);
        assert_eq!(written[header::LAST_MODIFIED], "Thu, 15 Jan 2026 09:30:00 GMT");
        assert_eq!(written[CHANGED], at.unix_timestamp().to_string());
        let own = written[header::ETAG].to_str().unwrap().to_owned();
        let judged = |tag: &str, format| validators.judge(&headers(header::IF_NONE_MATCH, tag), format);
        assert_eq!(judged(&own, Format::Json), Judgement::NotModified);
        assert_eq!(judged(&own, Format::Xml), Judgement::Answer);
        assert_eq!(judged("W/\"7\"", Format::Xml), Judgement::NotModified);
        let other = Validators::of_version(7, "shown-otherwise", at, at);
        assert_eq!(other.judge(&headers(header::IF_NONE_MATCH, &own), Format::Json), Judgement::Answer);
    }

    #[test]
    fn what_changed_after_it_was_stored_is_modified() {
        let (stored, changed) = (datetime!(2026-01-15 09:30 UTC), datetime!(2026-01-16 09:30 UTC));
        let validators = Validators::of_version(7, "body", stored, changed);
        let since = |value| validators.judge(&headers(header::IF_MODIFIED_SINCE, value), Format::Json);
        assert_eq!(since("Thu, 15 Jan 2026 09:30:00 GMT"), Judgement::Answer);
        assert_eq!(since("Fri, 16 Jan 2026 09:30:00 GMT"), Judgement::NotModified);
    }
}
