//! The contract between gateway and backend: the signed caller context.
//!
//! The gateway has checked the token and the scopes; the backend decides what the caller may see. Between them goes
//! one header, [`HEADER`]: who asks, for which product, sealed with a key that both hold, valid for half a minute and
//! for exactly one method and target. A backend that receives anything else answers nobody. With its answer it says as
//! of when that is true ([`DataState`]), and what it shows and withholds ([`Disclosure`]).

mod disclosure;
mod state;

use std::fmt;

use aws_lc_rs::{constant_time, hmac};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use pms_terms::{Domains, FhirVersion, OrganisationId, Stakeholder};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use zeroize::Zeroizing;

pub use disclosure::{DISCLOSURE_HEADER, Disclosure};
pub use state::{CHANGED_HEADER, CHANGES_PATH, DataState, NoDataState, STATE_HEADER};

/// The header that carries the context. Gateways drop it from what callers send.
pub const HEADER: &str = "x-pmsgate-caller";

/// The header in which a gateway names the query parameters that it left out because the caller prefers them ignored:
/// a form of names without values. Gateways drop it from what callers send, too; it steers nothing but a message.
pub const IGNORED_HEADER: &str = "x-pmsgate-ignored";

/// How long a context is honoured, in seconds. Covers clock differences between gateway and backend too.
const LIFETIME: i64 = 30;

/// Bytes of most introductions.
const EXPECTED: usize = 320;

/// Bytes of what each request has of its own, in most.
const OWN: usize = 96;

/// Longest header that is looked at.
const MAX_LENGTH: usize = 4096;

/// Who asks, as far as the backend needs to know.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CallerContext {
    /// The client.
    pub client_id: String,
    /// Its organisation; none for public clients.
    #[serde(default)]
    pub organisation: Option<OrganisationId>,
    /// Its stakeholder group.
    pub stakeholder: Stakeholder,
    /// Whether it may see commercially sensitive data of its own organisation.
    pub qualified: bool,
    /// Domains it may see (authorities).
    pub domains: Domains,
    /// The API product asked, for example `pms-read-v3`.
    pub product: String,
    /// The FHIR version to answer in.
    pub fhir_version: FhirVersion,
    /// The request's id, for logs on both sides.
    pub request_id: String,
}

/// The same, borrowed: a gateway signs what it knows without copying it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CallerContextRef<'a> {
    /// See [`CallerContext::client_id`].
    pub client_id: &'a str,
    /// See [`CallerContext::organisation`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organisation: Option<&'a OrganisationId>,
    /// See [`CallerContext::stakeholder`].
    pub stakeholder: Stakeholder,
    /// See [`CallerContext::qualified`].
    pub qualified: bool,
    /// See [`CallerContext::domains`].
    pub domains: Domains,
    /// See [`CallerContext::product`].
    pub product: &'a str,
    /// See [`CallerContext::fhir_version`].
    pub fhir_version: FhirVersion,
    /// See [`CallerContext::request_id`].
    pub request_id: &'a str,
}

impl<'a> From<&'a CallerContext> for CallerContextRef<'a> {
    fn from(context: &'a CallerContext) -> Self {
        Self {
            client_id: &context.client_id,
            organisation: context.organisation.as_ref(),
            stakeholder: context.stakeholder,
            qualified: context.qualified,
            domains: context.domains,
            product: &context.product,
            fhir_version: context.fhir_version,
            request_id: &context.request_id,
        }
    }
}

/// The key that gateway and backend share. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct ContextKey(hmac::Key);

impl ContextKey {
    /// A key of 256 random or derived bits.
    pub fn new(bytes: &Zeroizing<[u8; 32]>) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes.as_slice()))
    }

    /// A key for something else that all gateways with this key share, told apart by `label`. It tells nothing about this
    /// key: no context begins with a NUL.
    pub fn derive(&self, label: &str) -> Zeroizing<[u8; 32]> {
        let tag = hmac::sign(&self.0, &[b"\0", label.as_bytes()].concat());
        let mut key = Zeroizing::new([0; 32]);
        key.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
        key
    }
}

impl fmt::Debug for ContextKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContextKey(…)")
    }
}

#[derive(Deserialize)]
struct Sealed {
    exp: i64,
    context: CallerContext,
}

/// Who asks, for which product: what is the same in all contexts of a caller, written once.
#[derive(Clone, Debug)]
pub struct Introduction(String);

impl Introduction {
    /// All of `context` but the request's id. `None` only when it cannot be written as JSON.
    pub fn new(context: CallerContextRef<'_>) -> Option<Self> {
        let mut payload = Vec::with_capacity(EXPECTED);
        payload.extend(br#"{"context":"#);
        serde_json::to_writer(&mut payload, &CallerContextRef { request_id: "", ..context }).ok()?;
        // The request's id is the last member, and stands behind this with what else is each request's own.
        payload.truncate(payload.strip_suffix(br#"""}"#)?.len());
        // Base64 takes three bytes at a time; blanks mean nothing to JSON.
        payload.resize(payload.len().next_multiple_of(3), b' ');
        Some(Self(URL_SAFE_NO_PAD.encode(payload)))
    }

    /// The header value for one request: `method`, and `target` = path and query as the backend will see them.
    /// `None` only when the request's id cannot be written as JSON.
    pub fn sign(
        &self,
        request_id: &str,
        key: &ContextKey,
        method: &str,
        target: &str,
        now: OffsetDateTime,
    ) -> Option<String> {
        let mut rest = Vec::with_capacity(OWN);
        serde_json::to_writer(&mut rest, request_id).ok()?;
        rest.extend(br#"},"exp":"#);
        rest.extend(itoa::Buffer::new().format(now.unix_timestamp() + LIFETIME).as_bytes());
        rest.push(b'}');
        let mut header = Vec::with_capacity(self.0.len() + 2 * OWN);
        header.extend(self.0.as_bytes());
        encode(&rest, &mut header)?;
        let tag = tag_of(key, &header, method, target);
        header.push(b'.');
        encode(tag.as_ref(), &mut header)?;
        String::from_utf8(header).ok()
    }
}

/// Adds bytes as Base64; `None` only when they are too many to count. Unlike `encode_string`, which goes by way of a buffer
/// for the longest of texts, it writes each letter once.
fn encode(bytes: &[u8], to: &mut Vec<u8>) -> Option<()> {
    let start = to.len();
    to.resize(start + base64::encoded_len(bytes.len(), false)?, 0);
    URL_SAFE_NO_PAD.encode_slice(bytes, &mut to[start..]).ok().map(drop)
}

/// The header value for one request of a caller of whom no more are expected: see [`Introduction::sign`].
pub fn sign<'a>(
    context: impl Into<CallerContextRef<'a>>,
    key: &ContextKey,
    method: &str,
    target: &str,
    now: OffsetDateTime,
) -> Option<String> {
    let context = context.into();
    Introduction::new(context)?.sign(context.request_id, key, method, target, now)
}

/// Reads a header value for the request it came with.
///
/// # Errors
/// [`ContextError`]; the caller learns only that there was no valid context.
pub fn verify(
    header: &str,
    key: &ContextKey,
    method: &str,
    target: &str,
    now: OffsetDateTime,
) -> Result<CallerContext, ContextError> {
    if header.len() > MAX_LENGTH {
        return Err(ContextError::Malformed);
    }
    let (payload, tag) = header.split_once('.').ok_or(ContextError::Malformed)?;
    let tag = URL_SAFE_NO_PAD.decode(tag).map_err(|_| ContextError::Malformed)?;
    constant_time::verify_slices_are_equal(tag_of(key, payload.as_bytes(), method, target).as_ref(), &tag)
        .map_err(|_| ContextError::WrongSignature)?;
    let json = URL_SAFE_NO_PAD.decode(payload).map_err(|_| ContextError::Malformed)?;
    let sealed: Sealed = serde_json::from_slice(&json).map_err(|_| ContextError::Malformed)?;
    let now = now.unix_timestamp();
    if sealed.exp < now || sealed.exp > now + 2 * LIFETIME {
        return Err(ContextError::Expired);
    }
    Ok(sealed.context)
}

/// Over the payload bound to method and target. None of the parts can hold a line feed.
fn tag_of(key: &ContextKey, payload: &[u8], method: &str, target: &str) -> hmac::Tag {
    let mut signing = hmac::Context::with_key(&key.0);
    for (i, part) in [payload, method.as_bytes(), target.as_bytes()].into_iter().enumerate() {
        if i > 0 {
            signing.update(b"\n");
        }
        signing.update(part);
    }
    signing.sign()
}

/// Why a context is not honoured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContextError {
    /// Not of the form that a gateway writes.
    #[error("the caller context is malformed")]
    Malformed,
    /// Signed with another key, or for another request.
    #[error("the caller context was not signed for this request")]
    WrongSignature,
    /// Too old, or from a clock that runs ahead.
    #[error("the caller context is outside its time")]
    Expired,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::Duration;

    use super::*;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn key(byte: u8) -> ContextKey {
        ContextKey::new(&Zeroizing::new([byte; 32]))
    }

    fn context() -> CallerContext {
        CallerContext {
            client_id: "c-1".to_owned(),
            organisation: Some("ORG-100000001".parse().unwrap()),
            stakeholder: Stakeholder::Industry,
            qualified: true,
            domains: Domains::HUMAN,
            product: "pms-read-v3".to_owned(),
            fhir_version: FhirVersion::V4_4_0,
            request_id: "r-1".to_owned(),
        }
    }

    #[test]
    fn a_context_is_honoured_for_its_request_and_no_other() {
        let header = sign(&context(), &key(1), "GET", "/a?b=c", NOW).unwrap();
        assert_eq!(verify(&header, &key(1), "GET", "/a?b=c", NOW), Ok(context()));
        for (method, target) in [("POST", "/a?b=c"), ("GET", "/a?b=d"), ("GET", "/a")] {
            assert_eq!(verify(&header, &key(1), method, target, NOW), Err(ContextError::WrongSignature));
        }
        assert_eq!(verify(&header, &key(2), "GET", "/a?b=c", NOW), Err(ContextError::WrongSignature));
    }

    #[test]
    fn an_introduction_serves_all_requests_of_a_caller() {
        // Of each length, since base64 goes by threes.
        for client_id in ["c", "c-", "c-\"1", "c-12"] {
            let known = CallerContext { client_id: client_id.to_owned(), ..context() };
            let introduction = Introduction::new((&known).into()).unwrap();
            for (request_id, target) in [("r-2", "/a"), ("r\"3", "/b?c")] {
                let header = introduction.sign(request_id, &key(1), "GET", target, NOW).unwrap();
                let told = CallerContext { request_id: request_id.to_owned(), ..known.clone() };
                assert_eq!(verify(&header, &key(1), "GET", target, NOW), Ok(told));
            }
        }
    }

    #[test]
    fn derived_keys_differ_by_label_and_key() {
        let keys = [(1, "a"), (1, "b"), (2, "a")].map(|(byte, label)| key(byte).derive(label).to_vec());
        assert!(keys[0] != keys[1] && keys[0] != keys[2] && keys[1] != keys[2]);
        assert_eq!(keys[0], key(1).derive("a").to_vec());
    }

    #[test]
    fn a_context_lives_half_a_minute() {
        let header = sign(&context(), &key(1), "GET", "/", NOW).unwrap();
        assert!(verify(&header, &key(1), "GET", "/", NOW + Duration::seconds(30)).is_ok());
        assert_eq!(
            verify(&header, &key(1), "GET", "/", NOW + Duration::seconds(31)),
            Err(ContextError::Expired)
        );
        assert_eq!(
            verify(&header, &key(1), "GET", "/", NOW - Duration::seconds(31)),
            Err(ContextError::Expired)
        );
    }

    proptest! {
        #[test]
        fn any_text_is_refused_without_panic(text in "[ -~]{0,200}") {
            prop_assert!(verify(&text, &key(1), "GET", "/", NOW).is_err());
        }
    }
}
