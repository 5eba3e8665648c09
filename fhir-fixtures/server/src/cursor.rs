//! Page links: where the next page starts, sealed for one caller and one query.

use std::{
    fmt,
    io::{Read as _, Write as _},
};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};

use crate::outcome::Refusal;

/// Bytes of the seal that are kept.
const TAG: usize = 16;

/// The longest cursor that is looked at.
const MAX_LENGTH: usize = 2048;

/// The longest query that a cursor may carry, in bytes.
const MAX_QUERY: u64 = 64 * 1024;

/// The first byte of a cursor that stands beside its query.
const BESIDE: u8 = 0;

/// The first byte of a cursor that carries its query, because the link would be too long otherwise.
const CARRYING: u8 = 1;

/// The key under which page links are sealed. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct CursorKey(hmac::Key);

/// What a cursor is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Binding {
    /// Who may follow it, and where.
    pub(crate) caller: String,
    /// The query that it continues.
    pub(crate) query: String,
}

/// Where a page starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// The total told on the first page, if it told one.
    pub(crate) total: Option<i64>,
    /// The last entry of the page before, by what the order compares: something that the caller has seen. Empty at
    /// the beginning.
    pub(crate) after: String,
}

impl CursorKey {
    /// A key of 256 random or derived bits.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// A cursor that holds `place`, good only together with `binding`.
    pub(crate) fn seal(&self, place: &Place, binding: &Binding) -> String {
        let mut payload = vec![BESIDE];
        payload.extend_from_slice(place.text().as_bytes());
        self.sealed(&payload, &[&binding.caller, &binding.query])
    }

    /// A cursor that holds `place` and the query itself.
    pub(crate) fn seal_with_query(&self, place: &Place, binding: &Binding) -> String {
        let mut payload = vec![CARRYING];
        let mut deflater = DeflateEncoder::new(&mut payload, Compression::best());
        // Writing into memory does not fail; were it to, the cursor would not open.
        let _ = write!(deflater, "{}\n{}", place.text(), binding.query);
        drop(deflater);
        self.sealed(&payload, &[&binding.caller])
    }

    /// The place in a cursor, if it was made with the same `binding`.
    pub(crate) fn open(&self, cursor: &str, binding: &Binding) -> Result<Place, Refusal> {
        let (tag, payload) = Self::parts(cursor)?;
        if payload.first() == Some(&CARRYING) {
            let (place, query) = self.unpacked(&tag, &payload, &binding.caller)?;
            return if query == binding.query { Ok(place) } else { Err(Refusal::Cursor) };
        }
        self.check(&tag, &payload, &[&binding.caller, &binding.query])?;
        let text = std::str::from_utf8(payload.get(1..).unwrap_or_default()).map_err(|_| Refusal::Cursor)?;
        Place::read(text)
    }

    /// The query in a cursor, if it carries one and was made for this caller.
    pub(crate) fn carried_query(&self, cursor: &str, caller: &str) -> Result<Option<String>, Refusal> {
        let (tag, payload) = Self::parts(cursor)?;
        if payload.first() != Some(&CARRYING) {
            return Ok(None);
        }
        self.unpacked(&tag, &payload, caller).map(|(_, query)| Some(query))
    }

    fn sealed(&self, payload: &[u8], bound_to: &[&str]) -> String {
        let tag = hmac::sign(&self.0, &message(payload, bound_to));
        let mut bytes = tag.as_ref().get(..TAG).unwrap_or_default().to_vec();
        bytes.extend_from_slice(payload);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn parts(cursor: &str) -> Result<(Vec<u8>, Vec<u8>), Refusal> {
        if cursor.len() > MAX_LENGTH {
            return Err(Refusal::Cursor);
        }
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| Refusal::Cursor)?;
        let (tag, payload) = bytes.split_at_checked(TAG).ok_or(Refusal::Cursor)?;
        Ok((tag.to_vec(), payload.to_vec()))
    }

    fn check(&self, tag: &[u8], payload: &[u8], bound_to: &[&str]) -> Result<(), Refusal> {
        let expected = hmac::sign(&self.0, &message(payload, bound_to));
        let expected = expected.as_ref().get(..TAG).unwrap_or_default();
        aws_lc_rs::constant_time::verify_slices_are_equal(expected, tag).map_err(|_| Refusal::Cursor)
    }

    fn unpacked(&self, tag: &[u8], payload: &[u8], caller: &str) -> Result<(Place, String), Refusal> {
        self.check(tag, payload, &[caller])?;
        let packed = payload.get(1..).unwrap_or_default();
        let mut text = String::new();
        DeflateDecoder::new(packed)
            .take(MAX_QUERY + 4096)
            .read_to_string(&mut text)
            .map_err(|_| Refusal::Cursor)?;
        let (place, query) = text.split_once('\n').ok_or(Refusal::Cursor)?;
        Ok((Place::read(place)?, query.to_owned()))
    }
}

impl fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CursorKey(…)")
    }
}

impl Place {
    fn text(&self) -> String {
        let total = self.total.map(|total| total.to_string()).unwrap_or_default();
        format!("{total}|{}", self.after)
    }

    fn read(text: &str) -> Result<Self, Refusal> {
        let (total, after) = text.split_once('|').ok_or(Refusal::Cursor)?;
        let total = (!total.is_empty()).then(|| total.parse()).transpose().map_err(|_| Refusal::Cursor)?;
        Ok(Self { total, after: after.to_owned() })
    }
}

fn message(payload: &[u8], bound_to: &[&str]) -> Vec<u8> {
    let mut message = payload.to_vec();
    for text in bound_to {
        message.push(0);
        message.extend_from_slice(text.as_bytes());
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(caller: &str, query: &str) -> Binding {
        Binding { caller: caller.to_owned(), query: query.to_owned() }
    }

    #[test]
    fn a_cursor_opens_for_its_own_query_only_and_not_when_changed() {
        let key = CursorKey::new(&[7; 32]);
        let mine = binding("me", "name=a");
        let uncounted = Place { total: None, after: "a|b".to_owned() };
        assert_eq!(key.open(&key.seal(&uncounted, &mine), &mine).unwrap(), uncounted);
        let place = Place { total: Some(42), after: "600000000001".to_owned() };
        for cursor in [key.seal(&place, &mine), key.seal_with_query(&place, &mine)] {
            assert_eq!(key.open(&cursor, &mine).unwrap(), place);
            assert!(key.open(&cursor, &binding("you", "name=a")).is_err());
            assert!(key.open(&cursor, &binding("me", "name=b")).is_err());
            assert!(CursorKey::new(&[8; 32]).open(&cursor, &mine).is_err());
            for at in 0..cursor.len() {
                let mut changed = cursor.clone().into_bytes();
                changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
                assert!(key.open(std::str::from_utf8(&changed).unwrap(), &mine).is_err(), "{at}");
            }
        }
        for garbage in ["", "A", "é", &"A".repeat(4000)] {
            assert!(key.open(garbage, &mine).is_err());
            assert!(key.carried_query(garbage, "me").is_err());
        }
    }

    #[test]
    fn a_query_is_carried_for_its_caller_only() {
        let key = CursorKey::new(&[7; 32]);
        let query = (0..200).map(|n| format!("identifier=60000{n:07}")).collect::<Vec<_>>().join("&");
        let mine = binding("me", &query);
        let cursor = key.seal_with_query(&Place::default(), &mine);
        assert!(cursor.len() < query.len() / 3, "{} {}", cursor.len(), query.len());
        assert_eq!(key.carried_query(&cursor, "me").unwrap(), Some(query));
        assert!(key.carried_query(&cursor, "you").is_err());
        assert_eq!(key.carried_query(&key.seal(&Place::default(), &mine), "you").unwrap(), None);
    }
}
