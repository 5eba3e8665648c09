//! The request id: taken from the caller when it is decent, made otherwise, echoed on every answer.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    io::Write as _,
    sync::atomic::{AtomicU64, Ordering},
};

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header that carries it, both ways.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that is taken from a caller.
const MAX_LENGTH: usize = 64;

/// The id of one request. A request extension on everything that a listener of ours hands out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The caller's id, if it sent exactly one of letters, digits, `.`, `_`, `-`; else one from `ids`.
    pub(crate) fn take_or_make(headers: &HeaderMap, ids: &IdMaker) -> Self {
        let mut given = headers.get_all(&HEADER).iter();
        match (given.next(), given.next()) {
            (Some(id), None) if is_decent(id.as_bytes()) => Self(id.clone()),
            _ => ids.make(),
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// The id as header value; cloning it copies nothing.
    pub fn header_value(&self) -> HeaderValue {
        self.0.clone()
    }
}

fn is_decent(id: &[u8]) -> bool {
    (1..=MAX_LENGTH).contains(&id.len()) && id.iter().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(b))
}

/// Makes ids that are unique among all processes: a random start, then a counter.
#[derive(Debug)]
pub(crate) struct IdMaker {
    start: u64,
    next: AtomicU64,
}

impl IdMaker {
    pub(crate) fn new() -> Self {
        // RandomState is seeded by the system's generator; ids need to be unique, not secret.
        Self { start: RandomState::new().build_hasher().finish(), next: AtomicU64::new(0) }
    }

    pub(crate) fn make(&self) -> RequestId {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let mut text = [0; 33];
        let mut rest = &mut text[..];
        // Two numbers of sixteen digits and a hyphen always fit.
        let written = write!(rest, "{:016x}-{n:x}", self.start).map(|()| rest.len());
        let value = written.ok().and_then(|left| HeaderValue::from_bytes(&text[..text.len() - left]).ok());
        RequestId(value.unwrap_or(HeaderValue::from_static("-")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(values: &[&str]) -> RequestId {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        RequestId::take_or_make(&headers, &IdMaker::new())
    }

    #[test]
    fn a_decent_id_is_kept_and_any_other_replaced() {
        assert_eq!(taken(&["abc-1.2_Z"]).as_str(), "abc-1.2_Z");
        for wrong in [&["a b"][..], &["a\"b"], &[""], &["a", "b"], &[&"x".repeat(65)], &[]] {
            let made = taken(wrong);
            assert_eq!(made.as_str().len(), 18, "{wrong:?}");
        }
    }

    #[test]
    fn made_ids_differ() {
        let (a, b) = (IdMaker::new(), IdMaker::new());
        let all = [a.make(), a.make(), b.make(), b.make()];
        for (i, x) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|y| x != y));
        }
    }
}
