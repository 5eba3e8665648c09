//! The request id: taken from the caller when it is decent, made otherwise, echoed on every answer.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
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

/// Letters of the random start and the hyphen behind it.
const START: usize = 17;
/// Hexadecimal digits of a counter.
const DIGITS: usize = 16;

/// Makes ids that are unique among all processes: a random start, then a counter.
#[derive(Debug)]
pub(crate) struct IdMaker {
    /// Sixteen digits and a hyphen.
    start: [u8; START],
    next: AtomicU64,
}

impl IdMaker {
    pub(crate) fn new() -> Self {
        // RandomState is seeded by the system's generator; ids need to be unique, not secret.
        let random = RandomState::new().build_hasher().finish();
        let mut start = [b'-'; START];
        start[..DIGITS].copy_from_slice(&hexadecimal(random));
        Self { start, next: AtomicU64::new(0) }
    }

    pub(crate) fn make(&self) -> RequestId {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let digits = hexadecimal(n);
        let zeros = digits.iter().take(DIGITS - 1).take_while(|digit| **digit == b'0').count();
        let mut text = [0; START + DIGITS];
        text[..START].copy_from_slice(&self.start);
        let end = START + DIGITS - zeros;
        text[START..end].copy_from_slice(&digits[zeros..]);
        RequestId(HeaderValue::from_bytes(&text[..end]).unwrap_or(HeaderValue::from_static("-")))
    }
}

/// All digits of a number, the leading zeros too.
fn hexadecimal(number: u64) -> [u8; DIGITS] {
    let digit = |of: u8| b"0123456789abcdef"[usize::from(of)];
    let mut digits = [0; DIGITS];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(number.to_be_bytes()) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 0xf)]);
    }
    digits
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
    fn a_made_id_counts_in_hexadecimal_digits() {
        let ids = IdMaker { start: *b"0123456789abcdef-", next: AtomicU64::new(0) };
        assert_eq!(ids.make().as_str(), "0123456789abcdef-0");
        ids.next.store(0xa0, Ordering::Relaxed);
        assert_eq!(ids.make().as_str(), "0123456789abcdef-a0");
        ids.next.store(u64::MAX, Ordering::Relaxed);
        assert_eq!(ids.make().as_str(), "0123456789abcdef-ffffffffffffffff");
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
