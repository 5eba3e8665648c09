//! Pure: the request as the upstream gets it. Headers pass by an allow-list, so what identifies the caller, steers
//! the connection or pretends to come from us never does.

use std::{fmt::Write as _, net::IpAddr};

use bytes::Bytes;
use caller_context::CallerContextRef;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header, uri::PathAndQuery};
use http_service::{QuestionSpan, REQUEST_ID_HEADER};
use pms_terms::{Domains, FhirVersion, Stakeholder};

const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Asks the backend for a fault; passed on in a sandbox only.
pub const SANDBOX_FAULT: HeaderName = HeaderName::from_static("x-sandbox-fault");
const IGNORED: HeaderName = HeaderName::from_static(caller_context::IGNORED_HEADER);
const CALLER: HeaderName = HeaderName::from_static(caller_context::HEADER);

/// Letters of an IPv6 address.
const LONGEST_ADDRESS: usize = 39;

/// What a caller may tell the upstream. Not `Accept-Encoding`: a compressed Bundle could not be rewritten, and
/// between the two of us there is nothing to save.
const PASSED: [&str; 15] = [
    "accept",
    "accept-language",
    "cache-control",
    // Of a body that is sent: who cannot undo a coding has to know of it.
    "content-encoding",
    "content-language",
    "content-type",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-unmodified-since",
    "user-agent",
    "prefer",
    "idempotency-key",
    "traceparent",
    "tracestate",
];

/// The client id in the contexts of what the gateway asks on its own behalf.
const OURSELVES: &str = "pmsgate-gateway";

/// Who asks when the gateway does, on its own behalf: nobody who may see anything.
pub fn ourselves<'a>(
    product: &'a str,
    fhir_version: FhirVersion,
    request_id: &'a str,
) -> CallerContextRef<'a> {
    CallerContextRef {
        client_id: OURSELVES,
        organisation: None,
        stakeholder: Stakeholder::Public,
        qualified: false,
        domains: Domains::NONE,
        product,
        fhir_version,
        request_id,
    }
}

/// How this gateway is called from outside, for the forwarding headers.
#[derive(Clone, Debug)]
pub struct PublicFace {
    /// `http` or `https`.
    pub proto: &'static str,
    /// Host and port of the public base URL.
    pub host: HeaderValue,
    proto_value: HeaderValue,
    /// What follows the caller in `Forwarded`.
    forwarded: String,
}

impl PublicFace {
    /// Read from the public base URL.
    pub fn new(public_base_url: &str) -> Self {
        let (proto, rest) = match public_base_url.strip_prefix("http://") {
            Some(rest) => ("http", rest),
            None => ("https", public_base_url.strip_prefix("https://").unwrap_or(public_base_url)),
        };
        let host_text = rest.split('/').next().unwrap_or_default().to_owned();
        Self {
            proto,
            host: HeaderValue::from_str(&host_text).unwrap_or_else(|_| HeaderValue::from_static("localhost")),
            proto_value: HeaderValue::from_static(proto),
            forwarded: format!(";host=\"{host_text}\";proto={proto}"),
        }
    }
}

/// Everything about a request that the gateway says itself.
#[derive(Debug)]
pub struct Spoken<'a> {
    /// The upstream's `Host`.
    pub host: &'a HeaderValue,
    /// The signed caller context.
    pub context: HeaderValue,
    /// The request id.
    pub request_id: Option<HeaderValue>,
    /// The caller's address, where it is known.
    pub client: Option<IpAddr>,
    /// How this gateway is called.
    pub face: &'a PublicFace,
    /// The fault that the caller of a sandbox asked for.
    pub fault: Option<HeaderValue>,
    /// The names of parameters that were left out at the caller's wish, as a form.
    pub ignored: Option<HeaderValue>,
    /// The span of this question, where there are traces: the upstream's work belongs to it.
    pub span: Option<&'a QuestionSpan>,
}

/// The names of parameters that were left out, for the backend to tell the caller; letters that have no place in a
/// header or a form are shown as question marks.
pub fn ignored(names: &[&str]) -> Option<HeaderValue> {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.:".contains(c) { c } else { '?' };
    let shown: Vec<String> =
        names.iter().take(10).map(|name| name.chars().take(64).map(plain).collect()).collect();
    (!shown.is_empty()).then(|| HeaderValue::try_from(shown.join("&")).ok())?
}

/// The target to ask the upstream for. The common case, nothing decoded and nothing dropped, shares the caller's
/// bytes.
pub fn target(original: &Uri, path: &str, query: Option<&str>) -> Option<PathAndQuery> {
    if original.path() == path && original.query() == query {
        return original.path_and_query().cloned();
    }
    match query {
        Some(query) => format!("{path}?{query}").parse().ok(),
        None => path.parse().ok(),
    }
}

/// The head of the request to the upstream.
pub fn request<B>(
    method: &Method,
    target: PathAndQuery,
    given: &HeaderMap,
    spoken: &Spoken<'_>,
    body: B,
) -> Request<B> {
    let mut request = Request::new(body);
    *request.method_mut() = method.clone();
    *request.uri_mut() = Uri::from(target);
    let headers = request.headers_mut();
    headers.reserve(12);
    headers.insert(header::HOST, spoken.host.clone());
    pass(given, &PASSED, headers);
    headers.insert(CALLER, spoken.context.clone());
    if let Some(id) = &spoken.request_id {
        headers.insert(REQUEST_ID_HEADER, id.clone());
    }
    if let Some(client) = spoken.client {
        // RFC 7239 §6: an IPv6 address is bracketed and quoted.
        let (open, close) = if client.is_ipv4() { ("for=", "") } else { ("for=\"[", "]\"") };
        let mut text = String::with_capacity(LONGEST_ADDRESS + 8 + spoken.face.forwarded.len());
        text.push_str(open);
        write_address(&mut text, client);
        let address = open.len()..text.len();
        text.push_str(close);
        text.push_str(&spoken.face.forwarded);
        // Both headers share one text.
        let text = Bytes::from(text);
        insert(headers, X_FORWARDED_FOR, HeaderValue::from_maybe_shared(text.slice(address)));
        insert(headers, FORWARDED, HeaderValue::from_maybe_shared(text));
    }
    if let Some(span) = spoken.span {
        span.announce(headers);
    }
    if let Some(ignored) = &spoken.ignored {
        headers.insert(IGNORED, ignored.clone());
    }
    if let Some(fault) = &spoken.fault {
        headers.insert(SANDBOX_FAULT, fault.clone());
    }
    headers.insert(X_FORWARDED_HOST, spoken.face.host.clone());
    headers.insert(X_FORWARDED_PROTO, spoken.face.proto_value.clone());
    request
}

/// Writes an address; those of IPv4, which most are, without the general formatting's detours.
fn write_address(text: &mut String, address: IpAddr) {
    let IpAddr::V4(address) = address else {
        let _ = write!(text, "{address}");
        return;
    };
    for (at, octet) in address.octets().into_iter().enumerate() {
        if at > 0 {
            text.push('.');
        }
        text.push_str(itoa::Buffer::new().format(octet));
    }
}

/// Copies the listed headers, without those that `Connection` names as meant for this connection only
/// (RFC 9110 §7.6.1).
pub(super) fn pass(from: &HeaderMap, list: &[&str], to: &mut HeaderMap) {
    let own = names_headers(from);
    // Messages have fewer headers than the lists have names.
    for (name, value) in from {
        if list.contains(&name.as_str()) && !(own && is_named_in_connection(from, name.as_str())) {
            to.append(name, value.clone());
        }
    }
}

/// Whether a caller keeps headers from the upstream that otherwise pass.
pub fn hides_some(given: &HeaderMap) -> bool {
    names_headers(given) && PASSED.iter().any(|name| is_named_in_connection(given, name))
}

/// Whether `Connection` says more than what becomes of the connection.
fn names_headers(headers: &HeaderMap) -> bool {
    let says_more = |value: &HeaderValue| {
        let value = value.as_bytes();
        !value.eq_ignore_ascii_case(b"keep-alive") && !value.eq_ignore_ascii_case(b"close")
    };
    headers.get_all(header::CONNECTION).iter().any(says_more)
}

fn is_named_in_connection(headers: &HeaderMap, name: &str) -> bool {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|option| option.trim().eq_ignore_ascii_case(name))
}

fn insert<E>(headers: &mut HeaderMap, name: HeaderName, value: Result<HeaderValue, E>) {
    if let Ok(value) = value {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(given: &[(&'static str, &'static str)], client: &str) -> HeaderMap {
        let given: HeaderMap = given
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let face = PublicFace::new("https://gate.example:8443/below");
        let spoken = Spoken {
            host: &HeaderValue::from_static("127.0.0.1:8081"),
            context: HeaderValue::from_static("signed"),
            request_id: Some(HeaderValue::from_static("r-1")),
            client: client.parse().ok(),
            face: &face,
            fault: None,
            ignored: None,
            span: None,
        };
        request(&Method::GET, PathAndQuery::from_static("/x?y=1"), &given, &spoken, ()).into_parts().0.headers
    }

    #[test]
    fn only_listed_headers_pass_and_ours_are_ours() {
        let headers = sent(
            &[
                ("host", "gate.example"),
                ("authorization", "Bearer secret"),
                ("cookie", "a=b"),
                ("forwarded", "for=6.6.6.6"),
                ("x-forwarded-for", "6.6.6.6"),
                ("x-real-ip", "6.6.6.6"),
                ("x-pmsgate-caller", "forged"),
                ("x-pmsgate-ignored", "forged"),
                ("x-request-id", "forged"),
                ("ocp-apim-subscription-key", "old"),
                ("accept-encoding", "gzip"),
                ("te", "trailers"),
                ("connection", "close, If-None-Match"),
                ("if-none-match", "W/\"1\""),
                ("if-modified-since", "Mon, 01 Jan 2024 00:00:00 GMT"),
                ("accept", "application/fhir+json"),
            ],
            "192.0.2.7",
        );
        let mut read: Vec<String> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        read.sort();
        insta::assert_snapshot!(read.join("\n"), @r#"
        accept: application/fhir+json
        forwarded: for=192.0.2.7;host="gate.example:8443";proto=https
        host: 127.0.0.1:8081
        if-modified-since: Mon, 01 Jan 2024 00:00:00 GMT
        x-forwarded-for: 192.0.2.7
        x-forwarded-host: gate.example:8443
        x-forwarded-proto: https
        x-pmsgate-caller: signed
        x-request-id: r-1
        "#);
    }

    #[test]
    fn names_that_were_left_out_fit_into_a_header() {
        assert_eq!(ignored(&["colour", "a&b\r\nx: y", "é"]).unwrap(), "colour&a?b??x:?y&?");
        assert_eq!(ignored(&[]), None);
    }

    #[test]
    fn an_ipv6_caller_is_bracketed() {
        let headers = sent(&[], "2001:db8::1");
        assert_eq!(headers["forwarded"], "for=\"[2001:db8::1]\";host=\"gate.example:8443\";proto=https");
    }

    #[test]
    fn the_target_is_the_canonical_path_and_the_admitted_query() {
        let original: Uri = "https://gate.example/a/%24everything?x=1&y=2".parse().unwrap();
        assert_eq!(target(&original, "/a/$everything", Some("x=1")).unwrap(), "/a/$everything?x=1");
        assert_eq!(target(&original, "/a/$everything", None).unwrap(), "/a/$everything");
        let plain: Uri = "/a/b?x=1".parse().unwrap();
        assert_eq!(target(&plain, "/a/b", Some("x=1")).unwrap(), "/a/b?x=1");
    }
}
