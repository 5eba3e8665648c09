//! Places of pages: the server's own link, sealed, so that a caller neither reads nor changes it.
//!
//! AES-256-GCM under a key of its own; the seal covers who may follow the link and on which route. What is sealed can
//! tell of hidden products (a server's link may name an id), so it is encrypted and not only signed.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use caller_context::ContextKey;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::admissible::Check;
use crate::{caller::Caller, routes::Product};

/// How long a page link can be followed, in seconds.
const LIFETIME: i64 = 3600;
/// The longest cursor that is made or looked at: with the address before it, it fits into
/// [`MAX_TARGET_LENGTH`](crate::fhir_request::MAX_TARGET_LENGTH).
const MAX_LENGTH: usize = 1800;

/// The key under which places are sealed. `Debug` shows nothing of it.
#[derive(Clone)]
pub(crate) struct CursorKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CursorKey(…)")
    }
}

/// Where a page starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The server's page, below its base.
    pub(crate) target: String,
    /// Matches at its beginning that were looked at before.
    pub(crate) skip: usize,
    /// Entries on a page.
    pub(crate) count: usize,
    /// What must be found in what is shown.
    pub(crate) checks: Vec<Check>,
}

/// A place and when it lapses.
#[derive(Serialize, Deserialize)]
struct Sealed<P> {
    until: i64,
    place: P,
}

/// Why a page link cannot be followed. Texts are shown to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CursorRefusal {
    /// Changed, made up, of another caller, or for another route: one answer.
    #[error("the page link is not one that this caller was given here: start the search again")]
    NotYours,
    /// Too old.
    #[error("the page link has lapsed: start the search again")]
    Lapsed,
}

impl CursorKey {
    /// The key that belongs to a context key: all gateways of a house have the same.
    pub(crate) fn new(key: &ContextKey) -> Self {
        Self(key.derive("page cursors of foreign servers v1"))
    }

    /// A cursor for this caller and product. `None` when it would be too long for an address.
    pub(crate) fn seal(
        &self,
        place: &Place,
        caller: &Caller,
        product: &Product,
        now: OffsetDateTime,
    ) -> Option<String> {
        let mut bytes = serde_json::to_vec(&Sealed { until: now.unix_timestamp() + LIFETIME, place }).ok()?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, self.0.as_slice()).ok()?;
        let nonce = key.seal_in_place_append_tag(bound_to(caller, product), &mut bytes).ok()?;
        let cursor = URL_SAFE_NO_PAD.encode([nonce.as_ref().as_slice(), &bytes].concat());
        (cursor.len() <= MAX_LENGTH).then_some(cursor)
    }

    /// The place in a cursor that this caller was given for this product.
    pub(crate) fn open(
        &self,
        cursor: &str,
        caller: &Caller,
        product: &Product,
        now: OffsetDateTime,
    ) -> Result<Place, CursorRefusal> {
        let sealed = (cursor.len() <= MAX_LENGTH)
            .then(|| self.unsealed(cursor, caller, product))
            .flatten()
            .ok_or(CursorRefusal::NotYours)?;
        if sealed.until < now.unix_timestamp() {
            return Err(CursorRefusal::Lapsed);
        }
        Ok(sealed.place)
    }

    fn unsealed(&self, cursor: &str, caller: &Caller, product: &Product) -> Option<Sealed<Place>> {
        let mut bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (nonce, body) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, self.0.as_slice()).ok()?;
        let opened = key.open_in_place(nonce, bound_to(caller, product), body).ok()?;
        serde_json::from_slice(opened).ok()
    }
}

/// Who may follow the link, as whom, and where.
fn bound_to(caller: &Caller, product: &Product) -> Aad<String> {
    let grant = &caller.grant;
    let organisation = caller.organisation.as_ref().map_or("", |id| id.as_str());
    Aad::from(format!(
        "{}\n{}\n{}\n{organisation}\n{}\n{:?}",
        product.id, caller.client_id, grant.stakeholder, grant.qualified, grant.domains
    ))
}

#[cfg(test)]
mod tests {
    use time::{Duration, macros::datetime};

    use super::*;
    use crate::{
        routes::{Routes, testing::routes},
        testing::caller,
    };

    const NOW: OffsetDateTime = datetime!(2026-06-12 12:00 UTC);

    fn key(byte: u8) -> CursorKey {
        CursorKey::new(&ContextKey::new(&Zeroizing::new([byte; 32])))
    }

    fn place(target: &str) -> Place {
        Place { target: target.to_owned(), skip: 3, count: 20, checks: vec![] }
    }

    fn product(routes: &Routes, at: usize) -> &Product {
        &routes.products()[at]
    }

    #[test]
    fn a_cursor_opens_for_its_caller_on_its_route_in_its_time() {
        let routes = routes();
        let mine = caller(|_| {});
        let cursor = key(1).seal(&place("/X?page=2"), &mine, product(&routes, 0), NOW).unwrap();
        assert_eq!(key(1).open(&cursor, &mine, product(&routes, 0), NOW), Ok(place("/X?page=2")));
        let text = String::from_utf8_lossy(&URL_SAFE_NO_PAD.decode(&cursor).unwrap()).into_owned();
        assert!(!text.contains("page"), "it is encrypted");
        let again = key(1).seal(&place("/X?page=2"), &mine, product(&routes, 0), NOW).unwrap();
        assert_ne!(cursor, again, "equal places are not told by equal cursors");

        let hour = Duration::seconds(LIFETIME);
        assert!(key(1).open(&cursor, &mine, product(&routes, 0), NOW + hour).is_ok());
        let late = key(1).open(&cursor, &mine, product(&routes, 0), NOW + hour + Duration::seconds(1));
        assert_eq!(late, Err(CursorRefusal::Lapsed));

        let refused = |key: &CursorKey, cursor: &str, caller: &Caller, at| {
            assert_eq!(key.open(cursor, caller, product(&routes, at), NOW), Err(CursorRefusal::NotYours));
        };
        refused(&key(2), &cursor, &mine, 0);
        refused(&key(1), &cursor, &mine, 1);
        refused(&key(1), &cursor, &caller(|claims| claims.client_id = "other".into()), 0);
        refused(&key(1), &cursor, &caller(|claims| claims.qualified = true), 0);
        refused(&key(1), &cursor, &caller(|claims| claims.org_id = "ORG-100000002".parse().ok()), 0);
        for at in 0..cursor.len() {
            let mut changed = cursor.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            // The last letter may hold bits that mean nothing; then it does not decode.
            refused(&key(1), &String::from_utf8(changed).unwrap(), &mine, 0);
        }
        refused(&key(1), &cursor[..cursor.len() - 4], &mine, 0);
        refused(&key(1), "", &mine, 0);
        refused(&key(1), &"A".repeat(5000), &mine, 0);
    }

    #[test]
    fn a_place_too_long_for_an_address_has_no_cursor() {
        let routes = routes();
        let long = place(&"x".repeat(2000));
        assert_eq!(key(1).seal(&long, &caller(|_| {}), product(&routes, 0), NOW), None);
    }
}
