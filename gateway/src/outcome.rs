//! Every refusal, mapped to the wire at this one edge: status, OperationOutcome (JSON or XML), challenge.

use std::{borrow::Cow, fmt::Write as _};

use access_token::{DPOP_NONCE_HEADER, ProofAlgorithm};
use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use crate::{
    authenticate::Unauthenticated,
    authorize::Denial,
    enforce,
    error::GatewayError,
    fhir_request::RequestRefusal,
    framing::FramingFault,
    rate_limit::{Exceeded, Refused},
    routes::{Operation, Product},
};

/// The code system of the rule ids in `issue.details`.
const RULE_SYSTEM: &str = "urn:pmsgate:gateway-rule";

/// What is known about a request when it is refused.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// Its id.
    pub request_id: &'a str,
    /// The product it is for, where the path says so.
    pub product: Option<&'a Product>,
    /// The operation, where it is known.
    pub operation: Option<&'a Operation>,
    /// It asked for XML.
    pub xml: bool,
    /// It was a HEAD request: head only.
    pub head: bool,
    /// 401, 404 and 429 look like the agency's API management layer.
    pub apim: bool,
}

const BEARER: &str = "Bearer";
const DPOP: &str = "DPoP";
/// The other way to send a token, without the particulars that the first challenge has.
const DPOP_OFFER: HeaderValue = HeaderValue::from_static("DPoP algs=\"ES256 ES384 RS256 RS384 PS256\"");

/// A refusal in the words of FHIR and HTTP.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    /// IssueType (FHIR `issue-type`; only codes that 4.4.0 and 5.0.0 share).
    code: &'static str,
    /// Our stable id of the rule.
    rule: &'static str,
    /// The document that holds the rule.
    reference: &'static str,
    /// Plain words, one or two sentences.
    text: String,
    /// The same for API management's shape.
    apim: Option<Cow<'static, str>>,
    /// The `error` of the challenge; a challenge without it is sent with every other 401.
    challenge: Option<&'static str>,
    /// The scheme of the challenge.
    scheme: &'static str,
    /// A nonce for the next DPoP proof.
    nonce: Option<String>,
    /// The scope that would have helped.
    scope: Option<String>,
    retry_after: Option<u32>,
    allow: Option<String>,
    /// The connection cannot be trusted any longer.
    close: bool,
}

impl Refusal {
    fn new(
        status: StatusCode,
        code: &'static str,
        rule: &'static str,
        reference: &'static str,
        text: String,
    ) -> Self {
        Self {
            status,
            code,
            rule,
            reference,
            text,
            apim: None,
            challenge: None,
            scheme: BEARER,
            nonce: None,
            scope: None,
            retry_after: None,
            allow: None,
            close: false,
        }
    }
}

/// Answers a refusal; also its rule id, for metrics and logs.
pub fn respond(error: &GatewayError, circumstances: &Circumstances<'_>) -> (Response<Body>, &'static str) {
    let refusal = refusal(error, circumstances.operation);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = refusal.status;
    let headers = response.headers_mut();
    let (media_type, document) = document(&refusal, circumstances);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if refusal.status == StatusCode::UNAUTHORIZED || refusal.challenge.is_some() {
        insert(headers, header::WWW_AUTHENTICATE, &challenge(&refusal, circumstances));
        if refusal.challenge.is_none() {
            // RFC 9449 §7.1: who sent nothing may choose.
            headers.append(header::WWW_AUTHENTICATE, DPOP_OFFER);
        }
    }
    if let Some(nonce) = &refusal.nonce {
        insert(headers, HeaderName::from_static(DPOP_NONCE_HEADER), nonce);
    }
    if let Some(seconds) = refusal.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(allow) = &refusal.allow {
        insert(headers, header::ALLOW, allow);
    }
    if refusal.close {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if circumstances.head {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(document.len()));
    } else {
        *response.body_mut() = Body::from(document);
    }
    (response, refusal.rule)
}

/// The OperationOutcome of a refusal as documents show it.
pub fn example(error: &GatewayError) -> serde_json::Value {
    let refusal = refusal(error, None);
    let diagnostics = diagnostics(&refusal, "5f0c1f8e2a7b4d36-2a");
    serde_json::from_str(&json(&refusal, &diagnostics)).unwrap_or_default()
}

fn refusal(error: &GatewayError, operation: Option<&Operation>) -> Refusal {
    match error {
        GatewayError::Request(refused) => request_refusal(refused),
        GatewayError::Framing(fault @ FramingFault::Upgrade) => Refusal {
            close: true,
            ..Refusal::new(
                StatusCode::BAD_REQUEST,
                "not-supported",
                "no-upgrade",
                "RFC 9110 section 7.8",
                format!("{}.", capitalised(&fault.to_string())),
            )
        },
        GatewayError::Framing(fault @ FramingFault::Expectation) => Refusal {
            close: true,
            ..Refusal::new(
                StatusCode::EXPECTATION_FAILED,
                "not-supported",
                "expectation",
                "RFC 9110 section 10.1.1",
                format!("{}.", capitalised(&fault.to_string())),
            )
        },
        GatewayError::Framing(fault) => Refusal {
            close: true,
            ..Refusal::new(
                StatusCode::BAD_REQUEST,
                "structure",
                "http-framing",
                "RFC 9112 sections 3.2 and 6",
                format!("The request cannot be read safely: {fault}."),
            )
        },
        GatewayError::BodyTooLarge { limit } => Refusal {
            close: true,
            ..Refusal::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-long",
                "body-too-large",
                "RFC 9110 section 15.5.14",
                format!("The body is larger than {limit} bytes."),
            )
        },
        GatewayError::BodyBroken => Refusal {
            close: true,
            ..Refusal::new(
                StatusCode::BAD_REQUEST,
                "incomplete",
                "body-broken",
                "RFC 9112 section 8",
                "The body did not arrive whole: it ended early, or a chunk of it is malformed. Send it again.".to_owned(),
            )
        },
        GatewayError::BodySlow => Refusal {
            close: true,
            ..Refusal::new(
                StatusCode::REQUEST_TIMEOUT,
                "timeout",
                "body-too-slow",
                "RFC 9110 section 15.5.9",
                "The body came too slowly, and was given up. Send it again, in one go.".to_owned(),
            )
        },
        GatewayError::Unauthenticated(refused) => unauthenticated(refused),
        GatewayError::Denied(denial) => denied(denial, operation),
        GatewayError::LimitExceeded(refused) => limit_exceeded(refused),
        GatewayError::KeysUnavailable => unavailable(
            "issuer-keys-unavailable",
            "The keys of the token issuer could not be read yet, so tokens cannot be checked. Try again shortly.",
        ),
        GatewayError::RevocationsStale => unavailable(
            "revocations-stale",
            "It is not known at the moment which tokens were revoked, and this gateway is configured to refuse then. Try again shortly.",
        ),
        GatewayError::AuditFull => unavailable(
            "audit-full",
            "The record of who reads what cannot be written at the moment, and this gateway is configured to refuse then. Try again shortly.",
        ),
        GatewayError::Busy => unavailable(
            "upstream-busy",
            "As many requests as the product backend bears are in progress. Try again shortly.",
        ),
        GatewayError::UpstreamResting { seconds } => Refusal {
            retry_after: Some(*seconds),
            ..unavailable(
                "upstream-resting",
                "The product backend failed again and again and is left alone for a moment. Try again later.",
            )
        },
        GatewayError::UpstreamUnreachable => Refusal::new(
            StatusCode::BAD_GATEWAY,
            "transient",
            "upstream-unreachable",
            "RFC 9110 section 15.6.3",
            "The product backend cannot be reached. Try again later.".to_owned(),
        ),
        GatewayError::UpstreamBroken => Refusal::new(
            StatusCode::BAD_GATEWAY,
            "exception",
            "upstream-answer",
            "RFC 9110 section 15.6.3",
            "The product backend gave an answer that cannot be passed on.".to_owned(),
        ),
        GatewayError::Refused(refused) => refused_by_levels(refused),
        GatewayError::Unfilterable(_) => Refusal::new(
            StatusCode::BAD_GATEWAY,
            "exception",
            "answer-unfilterable",
            "EU IG PMS chapter 5, access levels",
            "The FHIR server behind this API gave an answer that cannot be checked against the access levels, so nothing of it is sent.".to_owned(),
        ),
        GatewayError::UpstreamTimeout => Refusal::new(
            StatusCode::GATEWAY_TIMEOUT,
            "timeout",
            "upstream-timeout",
            "RFC 9110 section 15.6.5",
            "The product backend did not answer in time. Try again later, or ask for less.".to_owned(),
        ),
    }
}

fn limit_exceeded(refused: &Refused) -> Refusal {
    let seconds = refused.retry_after;
    let soon = format!("Rate limit is exceeded. Try again in {seconds} seconds.");
    let (rule, text, apim) = match refused.exceeded {
        Exceeded::Rate => ("rate-limit", "This client calls more often than it may.", soon),
        Exceeded::Day => (
            "daily-quota",
            "This client has used up its requests for today (UTC).",
            format!(
                "Out of call volume quota. Quota will be replenished in {:02}:{:02}:{:02}.",
                seconds / 3600,
                seconds / 60 % 60,
                seconds % 60
            ),
        ),
        Exceeded::Address => (
            "address-limit",
            "Too many requests from this address had no valid token. Fetch a token first, and keep it for its lifetime.",
            soon,
        ),
    };
    Refusal {
        retry_after: Some(seconds),
        apim: Some(apim.into()),
        ..Refusal::new(
            StatusCode::TOO_MANY_REQUESTS,
            "throttled",
            rule,
            "RFC 6585 section 4",
            format!("{text} Try again in {seconds} seconds."),
        )
    }
}

fn unavailable(rule: &'static str, text: &str) -> Refusal {
    Refusal {
        retry_after: Some(1),
        ..Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "transient",
            rule,
            "RFC 9110 section 15.6.4",
            text.to_owned(),
        )
    }
}

fn request_refusal(refused: &RequestRefusal) -> Refusal {
    let sentence = format!("{}.", capitalised(&refused.to_string()));
    let bad = |code, rule, reference| {
        Refusal::new(StatusCode::BAD_REQUEST, code, rule, reference, sentence.clone())
    };
    match refused {
        RequestRefusal::TooLong { .. } => Refusal {
            status: StatusCode::URI_TOO_LONG,
            ..bad("too-long", "address-too-long", "RFC 9110 section 15.5.15")
        },
        RequestRefusal::Path(_) => bad("invalid", "path-ambiguous", "RFC 3986 section 6.2.2"),
        RequestRefusal::Query(_) => bad("invalid", "query-malformed", "RFC 3986 section 2.1"),
        RequestRefusal::Form(_) => bad("invalid", "form-malformed", "FHIR http, search by POST"),
        RequestRefusal::Format(_) => Refusal {
            status: StatusCode::NOT_ACCEPTABLE,
            ..bad("not-supported", "not-acceptable", "FHIR http, content types")
        },
        RequestRefusal::NotAForm => Refusal {
            status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ..bad("not-supported", "form-media-type", "FHIR http, search by POST")
        },
        RequestRefusal::FormTooSlow => Refusal {
            status: StatusCode::REQUEST_TIMEOUT,
            close: true,
            ..bad("timeout", "form-too-slow", "RFC 9110 section 15.5.9")
        },
        RequestRefusal::TooManyParameters { .. } => {
            bad("too-costly", "too-many-parameters", "EMA/531749/2021, search")
        }
        RequestRefusal::Repeated(_) => bad("invalid", "parameter-repeated", "FHIR search, result parameters"),
        RequestRefusal::TokenInQuery => Refusal {
            challenge: Some("invalid_request"),
            ..bad("security", "token-in-address", "RFC 6750 section 2.3; RFC 9700 section 4.3.2")
        },
        RequestRefusal::MalformedId(_) => bad("value", "id-malformed", "FHIR datatypes, id"),
        RequestRefusal::NotFound => Refusal {
            status: StatusCode::NOT_FOUND,
            apim: Some("Unable to match incoming request to an operation.".into()),
            ..bad("not-found", "no-such-operation", "EU IG PMS chapter 1 section 4; the product's /metadata")
        },
        RequestRefusal::MethodNotAllowed { allow } => Refusal {
            status: StatusCode::METHOD_NOT_ALLOWED,
            allow: Some(allow.clone()),
            ..bad("not-supported", "method-not-allowed", "RFC 9110 section 15.5.6")
        },
    }
}

fn unauthenticated(refused: &Unauthenticated) -> Refusal {
    let text = format!("{}.", capitalised(&refused.to_string()));
    let presented = |code, rule, apim| Refusal {
        apim: Some(Cow::Borrowed(apim)),
        challenge: Some("invalid_token"),
        ..Refusal::new(StatusCode::UNAUTHORIZED, code, rule, "RFC 6750 section 3.1", text.clone())
    };
    match refused {
        Unauthenticated::NoToken => Refusal {
            apim: Some("JWT not present.".into()),
            ..Refusal::new(StatusCode::UNAUTHORIZED, "login", "token-missing", "RFC 6750 section 3", text)
        },
        Unauthenticated::SeveralHeaders | Unauthenticated::NotABearerToken => Refusal {
            challenge: Some("invalid_request"),
            ..Refusal::new(
                StatusCode::BAD_REQUEST,
                "security",
                "authorization-malformed",
                "RFC 6750 section 2.1",
                text,
            )
        },
        Unauthenticated::Refused(error) => {
            let (code, rule, apim) = crate::authenticate::kind(error);
            presented(code, rule, apim)
        }
        // RFC 9449 §7.2: whoever sent it as Bearer learns the scheme that it wants.
        Unauthenticated::Bound | Unauthenticated::NotBound => Refusal {
            scheme: DPOP,
            reference: "RFC 9449 section 7",
            ..presented("security", "token-bound", "Access denied due to invalid JWT.")
        },
        Unauthenticated::OtherCertificate => Refusal {
            reference: "RFC 8705 section 3",
            ..presented("security", "token-certificate", "Access denied due to invalid JWT.")
        },
        Unauthenticated::Proof(_) => Refusal {
            scheme: DPOP,
            challenge: Some("invalid_dpop_proof"),
            reference: "RFC 9449 section 4.3",
            ..presented("security", "proof-invalid", "Access denied due to invalid JWT.")
        },
        Unauthenticated::Nonce(nonce) => Refusal {
            scheme: DPOP,
            challenge: Some("use_dpop_nonce"),
            nonce: Some(nonce.clone()),
            reference: "RFC 9449 section 9",
            ..presented("security", "proof-nonce", "Access denied due to invalid JWT.")
        },
        Unauthenticated::Revoked => {
            presented("security", "token-revoked", "Access denied due to invalid JWT.")
        }
    }
}

fn denied(denial: &Denial, operation: Option<&Operation>) -> Refusal {
    let text = format!("{}.", capitalised(&denial.to_string()));
    let forbidden =
        |rule, reference| Refusal::new(StatusCode::FORBIDDEN, "forbidden", rule, reference, text.clone());
    match denial {
        Denial::Role { .. } => Refusal {
            challenge: Some("insufficient_scope"),
            ..forbidden("role-missing", "EU IG PMS chapter 1 section 4")
        },
        Denial::Scope { .. } => Refusal {
            challenge: Some("insufficient_scope"),
            scope: operation.map(|operation| operation.scope_text.clone()),
            ..forbidden("scope-missing", "RFC 6750 section 3.1; SMART App Launch 2.0, scopes")
        },
        Denial::ParameterOfOthers { .. } => {
            forbidden("parameter-not-admitted", "EU IG PMS chapter 5, access levels; the product's /metadata")
        }
        Denial::UnknownParameter { .. } | Denial::UnknownSortKey { .. } => Refusal::new(
            StatusCode::BAD_REQUEST,
            "not-supported",
            "parameter-unknown",
            "FHIR search, handling errors; the product's /metadata",
            text,
        ),
    }
}

fn refused_by_levels(refused: &enforce::Refused) -> Refusal {
    use enforce::{CursorRefusal, Refused};
    const LEVELS: &str = "EU IG PMS chapter 5, access levels; the product's /metadata";
    let text = format!("{}.", capitalised(&refused.to_string()));
    match refused {
        Refused::NotFound => {
            Refusal::new(StatusCode::NOT_FOUND, "not-found", "no-such-resource", "FHIR http, read", text)
        }
        Refused::HiddenParameter { .. } => {
            Refusal::new(StatusCode::FORBIDDEN, "forbidden", "parameter-not-admitted", LEVELS, text)
        }
        Refused::PartlyHiddenParameter { .. } => {
            Refusal::new(StatusCode::FORBIDDEN, "forbidden", "parameter-partly-hidden", LEVELS, text)
        }
        Refused::Value { .. } => {
            Refusal::new(StatusCode::BAD_REQUEST, "value", "parameter-value", "FHIR search", text)
        }
        Refused::Cursor(CursorRefusal::NotYours) => {
            Refusal::new(StatusCode::BAD_REQUEST, "value", "page-link", "FHIR search, paging", text)
        }
        Refused::Cursor(CursorRefusal::Lapsed) => {
            Refusal::new(StatusCode::BAD_REQUEST, "expired", "page-link-lapsed", "FHIR search, paging", text)
        }
        Refused::Search => {
            Refusal::new(StatusCode::BAD_REQUEST, "invalid", "search-not-taken", "FHIR search", text)
        }
        Refused::OtherState => Refusal::new(
            StatusCode::PRECONDITION_FAILED,
            "conflict",
            "precondition",
            "RFC 9110, section 13.1.1",
            text,
        ),
        Refused::NotAsXml => {
            Refusal::new(StatusCode::NOT_ACCEPTABLE, "not-supported", "not-as-xml", "FHIR xml", text)
        }
    }
}

/// RFC 6750 §3, RFC 9449 §7.1, RFC 9728 §5.1. `error` stands only where a token was presented.
fn challenge(refusal: &Refusal, circumstances: &Circumstances<'_>) -> String {
    let mut challenge = String::with_capacity(256);
    challenge.push_str(refusal.scheme);
    challenge.push_str(" realm=\"");
    challenge.push_str(circumstances.product.map_or("pmsgate", |product| &product.id));
    challenge.push('"');
    let mut add = |name: &str, value: &str| {
        // A quoted-string without escapes: RFC 6750 §3 admits neither `"` nor `\` nor characters outside ASCII.
        let value: String = value
            .chars()
            .map(|c| if (' '..='~').contains(&c) && c != '"' && c != '\\' { c } else { '\'' })
            .collect();
        let _ = write!(challenge, ", {name}=\"{value}\"");
    };
    if let Some(error) = refusal.challenge {
        add("error", error);
        add("error_description", refusal.text.trim_end_matches('.'));
    }
    match (&refusal.scope, circumstances.operation) {
        (Some(scope), _) => add("scope", scope),
        (None, Some(operation)) if refusal.status == StatusCode::UNAUTHORIZED => {
            add("scope", &operation.scope_text);
        }
        _ => {}
    }
    if let Some(product) = circumstances.product {
        add("resource_metadata", &product.resource_metadata);
    }
    if refusal.scheme == DPOP {
        add("algs", &ProofAlgorithm::NAMES.join(" "));
    }
    challenge
}

fn document(refusal: &Refusal, circumstances: &Circumstances<'_>) -> (&'static str, String) {
    if circumstances.apim
        && let Some(message) = &refusal.apim
    {
        let body = serde_json::json!({"statusCode": refusal.status.as_u16(), "message": message});
        return ("application/json", body.to_string());
    }
    let diagnostics = diagnostics(refusal, circumstances.request_id);
    if circumstances.xml {
        ("application/fhir+xml", xml(refusal, &diagnostics))
    } else {
        ("application/fhir+json", json(refusal, &diagnostics))
    }
}

fn diagnostics(refusal: &Refusal, request_id: &str) -> String {
    format!("Request {request_id}. Rule: {}.", refusal.reference)
}

fn json(refusal: &Refusal, diagnostics: &str) -> String {
    #[derive(Serialize)]
    struct Outcome<'a> {
        #[serde(rename = "resourceType")]
        resource_type: &'a str,
        issue: [Issue<'a>; 1],
    }
    #[derive(Serialize)]
    struct Issue<'a> {
        severity: &'a str,
        code: &'a str,
        details: Details<'a>,
        diagnostics: &'a str,
    }
    #[derive(Serialize)]
    struct Details<'a> {
        coding: [Coding<'a>; 1],
        text: &'a str,
    }
    #[derive(Serialize)]
    struct Coding<'a> {
        system: &'a str,
        code: &'a str,
    }
    let outcome = Outcome {
        resource_type: "OperationOutcome",
        issue: [Issue {
            severity: "error",
            code: refusal.code,
            details: Details {
                coding: [Coding { system: RULE_SYSTEM, code: refusal.rule }],
                text: &refusal.text,
            },
            diagnostics,
        }],
    };
    serde_json::to_string(&outcome).unwrap_or_default()
}

fn xml(refusal: &Refusal, diagnostics: &str) -> String {
    format!(
        concat!(
            r#"<?xml version="1.0" encoding="UTF-8"?>"#,
            r#"<OperationOutcome xmlns="http://hl7.org/fhir"><issue><severity value="error"/><code value="{code}"/>"#,
            r#"<details><coding><system value="{system}"/><code value="{rule}"/></coding><text value="{text}"/></details>"#,
            r#"<diagnostics value="{diagnostics}"/></issue></OperationOutcome>"#
        ),
        code = refusal.code,
        system = RULE_SYSTEM,
        rule = refusal.rule,
        text = attribute(&refusal.text),
        diagnostics = attribute(diagnostics),
    )
}

/// The value of an XML attribute (XML 1.0 §2.3, §2.2: control characters do not exist in XML).
pub(crate) fn attribute(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\t' | '\n' | '\r' => escaped.push(' '),
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// What was asked for where neither JSON nor XML would do. Nothing asked for is anything.
pub fn unserved_format(headers: &HeaderMap, raw_query: Option<&str>) -> Option<String> {
    let format = raw_query.and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("_format=")));
    if let Some(format) = format {
        return (!format.contains("xml") && !format.contains("json"))
            .then(|| format.chars().take(64).collect());
    }
    let mut refused = None;
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    for range in
        accepted.flat_map(|accept| accept.split(',')).map(str::trim).filter(|range| !range.is_empty())
    {
        let media = range.split(';').next().unwrap_or_default().trim();
        if media.contains("json") || media.ends_with("xml") || matches!(media, "*/*" | "application/*") {
            return None;
        }
        refused.get_or_insert(media);
    }
    refused.map(|media| media.chars().take(64).collect())
}

/// Whether XML is asked for: `_format` wins over `Accept` (FHIR "http", content types).
pub fn wants_xml(headers: &HeaderMap, raw_query: Option<&str>) -> bool {
    let format = raw_query.and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("_format=")));
    if let Some(format) = format {
        return format.contains("xml") && !format.contains("json");
    }
    // The better of XML and JSON by weight; JSON when they are equal (our default), or when neither is named.
    let (mut xml, mut json) = (0.0_f32, 0.0_f32);
    for accept in headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()) {
        for range in accept.split(',') {
            let mut parts = range.split(';');
            let media = parts.next().unwrap_or_default().trim();
            let weight = parts
                .find_map(|part| part.trim().strip_prefix("q=")?.parse::<f32>().ok())
                .unwrap_or(1.0)
                .clamp(0.0, 1.0);
            if media.contains("json") || matches!(media, "*/*" | "application/*") {
                json = json.max(weight);
            } else if media.ends_with("xml") && !media.contains("html") {
                xml = xml.max(weight);
            }
        }
    }
    xml > json
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn capitalised(clause: &str) -> String {
    let mut characters = clause.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

#[cfg(test)]
mod tests {
    use access_token::TokenError;
    use proptest::prelude::*;

    use super::*;
    use crate::{framing::FramingFault, routes::testing::routes};

    fn answer(error: &GatewayError, xml: bool, apim: bool) -> (StatusCode, HeaderMap, String) {
        let routes = routes();
        let product = routes.products().iter().find(|p| p.id == "pms-read-v3").unwrap();
        let circumstances = Circumstances {
            request_id: "r-1",
            product: Some(product),
            operation: Some(&product.operations[0]),
            xml,
            head: false,
            apim,
        };
        let refusal = refusal(error, circumstances.operation);
        let (_, document) = document(&refusal, &circumstances);
        let (response, _) = respond(error, &circumstances);
        (response.status(), response.headers().clone(), document)
    }

    #[test]
    fn a_missing_token_is_challenged_without_an_error() {
        let (status, headers, body) =
            answer(&GatewayError::Unauthenticated(Unauthenticated::NoToken), false, false);
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        insta::assert_snapshot!(headers[header::WWW_AUTHENTICATE].to_str().unwrap(), @r#"Bearer realm="pms-read-v3", scope="system/MedicinalProductDefinition.s", resource_metadata="https://gate.example:8443/.well-known/oauth-protected-resource/pms/api/v3""#);
        insta::assert_snapshot!(body, @r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"login","details":{"coding":[{"system":"urn:pmsgate:gateway-rule","code":"token-missing"}],"text":"No access token was sent: put one into the header `Authorization: Bearer TOKEN`."},"diagnostics":"Request r-1. Rule: RFC 6750 section 3."}]}"#);
    }

    #[test]
    fn a_presented_token_is_challenged_with_the_error() {
        let error = GatewayError::Unauthenticated(Unauthenticated::Refused(TokenError::Expired { at: 0 }));
        let (status, headers, body) = answer(&error, false, false);
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        insta::assert_snapshot!(headers[header::WWW_AUTHENTICATE].to_str().unwrap(), @r#"Bearer realm="pms-read-v3", error="invalid_token", error_description="The token expired at 1970-01-01T00:00:00Z", scope="system/MedicinalProductDefinition.s", resource_metadata="https://gate.example:8443/.well-known/oauth-protected-resource/pms/api/v3""#);
        assert!(body.contains(r#""code":"expired""#), "{body}");
    }

    #[test]
    fn a_missing_scope_is_named() {
        let error =
            GatewayError::Denied(Denial::Scope { needed: "system/MedicinalProductDefinition.s".into() });
        let (status, headers, _) = answer(&error, false, false);
        assert_eq!(status, StatusCode::FORBIDDEN);
        let challenge = headers[header::WWW_AUTHENTICATE].to_str().unwrap();
        assert!(challenge.contains(r#"error="insufficient_scope""#), "{challenge}");
        assert!(challenge.contains(r#"scope="system/MedicinalProductDefinition.s""#), "{challenge}");
    }

    #[test]
    fn a_framing_fault_closes_the_connection() {
        let (status, headers, _) = answer(&GatewayError::Framing(FramingFault::NoHost), false, false);
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(headers[header::CONNECTION], "close");
    }

    #[test]
    fn the_compatible_shape_is_api_management_s() {
        let (_, headers, body) = answer(&GatewayError::Request(RequestRefusal::NotFound), true, true);
        assert_eq!(headers[header::CONTENT_TYPE], "application/json");
        assert_eq!(
            body,
            r#"{"statusCode":404,"message":"Unable to match incoming request to an operation."}"#
        );
    }

    #[test]
    fn xml_is_written_where_it_is_asked_for() {
        let error = GatewayError::Denied(Denial::UnknownParameter { name: "a<\"b".into() });
        let (_, headers, body) = answer(&error, true, false);
        assert_eq!(headers[header::CONTENT_TYPE], "application/fhir+xml");
        assert!(body.contains("&lt;") && !body.contains("a<"), "{body}");
    }

    #[test]
    fn a_format_that_nobody_serves_is_told_from_none_asked_for() {
        let asked = |accept: &'static str, query| {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            unserved_format(&headers, query)
        };
        for accept in ["", "*/*", "text/html, application/xhtml+xml", "text/turtle, application/fhir+json"] {
            assert_eq!(asked(accept, None), None, "{accept}");
        }
        assert_eq!(asked("text/turtle;q=1, text/html", None).as_deref(), Some("text/turtle"));
        assert_eq!(asked("application/json", Some("a=b&_format=ttl")).as_deref(), Some("ttl"));
        assert_eq!(asked("text/turtle", Some("_format=application/fhir%2Bxml")), None);
    }

    #[test]
    fn the_wish_for_xml_is_read_from_format_and_accept() {
        let with =
            |accept: &'static str| HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
        assert!(wants_xml(&with("application/fhir+xml"), None));
        assert!(!wants_xml(&with("application/fhir+xml;q=0.5, application/fhir+json"), None));
        assert!(!wants_xml(&with("*/*"), None));
        assert!(!wants_xml(&with("text/html,application/xhtml+xml,*/*;q=0.8"), None));
        assert!(wants_xml(&with("application/fhir+json"), Some("name=a&_format=application%2Ffhir%2Bxml")));
        assert!(!wants_xml(&with("application/fhir+xml"), Some("_format=json")));
        assert!(!wants_xml(&HeaderMap::new(), None));
    }

    proptest! {
        #[test]
        fn attributes_hold_any_text(text in any::<String>()) {
            let escaped = attribute(&text);
            prop_assert!(!escaped.contains(['<', '>', '"', '\'']) && !escaped.chars().any(|c| c < ' '));
        }
    }
}
