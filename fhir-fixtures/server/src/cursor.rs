//! Page links: where the next page starts, sealed for one caller and one query.

use std::fmt;

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::outcome::Refusal;

/// Bytes of the seal that are kept.
const TAG: usize = 16;

/// The longest cursor that is looked at.
const MAX_LENGTH: usize = 1024;

/// The key under which page links are sealed. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct CursorKey(hmac::Key);

impl CursorKey {
    /// A key of 256 random or derived bits.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// A cursor that holds `place`, good only together with `binding`.
    pub(crate) fn seal(&self, place: &Place, binding: &[u8]) -> String {
        let total = place.total.map(|total| total.to_string()).unwrap_or_default();
        let payload = format!("{total}|{}", place.after);
        let tag = hmac::sign(&self.0, &message(payload.as_bytes(), binding));
        let mut bytes = tag.as_ref().get(..TAG).unwrap_or_default().to_vec();
        bytes.extend_from_slice(payload.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place in a cursor, if it was made with the same `binding`.
    pub(crate) fn open(&self, cursor: &str, binding: &[u8]) -> Result<Place, Refusal> {
        if cursor.len() > MAX_LENGTH {
            return Err(Refusal::Cursor);
        }
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| Refusal::Cursor)?;
        let (tag, payload) = bytes.split_at_checked(TAG).ok_or(Refusal::Cursor)?;
        let expected = hmac::sign(&self.0, &message(payload, binding));
        aws_lc_rs::constant_time::verify_slices_are_equal(
            expected.as_ref().get(..TAG).unwrap_or_default(),
            tag,
        )
        .map_err(|_| Refusal::Cursor)?;
        let payload = std::str::from_utf8(payload).map_err(|_| Refusal::Cursor)?;
        let (total, after) = payload.split_once('|').ok_or(Refusal::Cursor)?;
        let total = (!total.is_empty()).then(|| total.parse()).transpose().map_err(|_| Refusal::Cursor)?;
        Ok(Place { total, after: after.to_owned() })
    }
}

impl fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CursorKey(…)")
    }
}

/// Where a page starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The total told on the first page, if it told one.
    pub(crate) total: Option<i64>,
    /// The last entry of the page before, by what the order compares: something that the caller has seen.
    pub(crate) after: String,
}

fn message(payload: &[u8], binding: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(payload.len() + binding.len() + 1);
    message.extend_from_slice(payload);
    message.push(0);
    message.extend_from_slice(binding);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_opens_for_its_own_query_only_and_not_when_changed() {
        let key = CursorKey::new(&[7; 32]);
        let uncounted = Place { total: None, after: "a|b".to_owned() };
        assert_eq!(key.open(&key.seal(&uncounted, b"mine"), b"mine").unwrap(), uncounted);
        let place = Place { total: Some(42), after: "600000000001".to_owned() };
        let cursor = key.seal(&place, b"mine");
        assert_eq!(key.open(&cursor, b"mine").unwrap(), place);
        assert!(key.open(&cursor, b"yours").is_err());
        assert!(CursorKey::new(&[8; 32]).open(&cursor, b"mine").is_err());
        for at in 0..cursor.len() {
            let mut changed = cursor.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert!(key.open(std::str::from_utf8(&changed).unwrap(), b"mine").is_err(), "{at}");
        }
        for garbage in ["", "A", "é", &"A".repeat(2000)] {
            assert!(key.open(garbage, b"mine").is_err());
        }
    }
}
