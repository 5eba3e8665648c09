//! Nonces for DPoP proofs (RFC 9449 §8): told by the server, kept nowhere.

use std::{fmt, sync::Arc};

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use time::OffsetDateTime;

/// How long one nonce is told, in seconds. It is taken for as long again.
const SPAN: i64 = 120;

/// Makes nonces and knows its own again: each is a keyed hash of its time, so that all instances with the same key tell
/// and take the same ones.
#[derive(Clone)]
pub struct DpopNonces(Arc<hmac::Key>);

impl DpopNonces {
    /// With a key that is used for nothing else.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, key)))
    }

    /// The nonce to tell at `now`.
    pub fn current(&self, now: OffsetDateTime) -> String {
        self.of(now.unix_timestamp().div_euclid(SPAN))
    }

    /// Whether `nonce` is the one of `now` or the one before.
    pub fn takes(&self, nonce: &str, now: OffsetDateTime) -> bool {
        let number = now.unix_timestamp().div_euclid(SPAN);
        [number, number - 1]
            .into_iter()
            .any(|number| verify_slices_are_equal(self.of(number).as_bytes(), nonce.as_bytes()).is_ok())
    }

    fn of(&self, number: i64) -> String {
        URL_SAFE_NO_PAD.encode(&hmac::sign(&self.0, &number.to_be_bytes()).as_ref()[..16])
    }
}

impl fmt::Debug for DpopNonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DpopNonces(…)")
    }
}

#[cfg(test)]
mod tests {
    use time::{Duration, macros::datetime};

    use super::*;

    #[test]
    fn a_nonce_is_taken_for_two_to_four_minutes_by_whoever_has_the_key() {
        let now = datetime!(2026-03-05 12:00 UTC);
        let (nonces, same, other) =
            (DpopNonces::new(&[1; 32]), DpopNonces::new(&[1; 32]), DpopNonces::new(&[2; 32]));
        let nonce = nonces.current(now);
        assert!(same.takes(&nonce, now) && same.takes(&nonce, now + Duration::seconds(239)));
        assert!(!same.takes(&nonce, now + Duration::seconds(240)));
        assert!(!other.takes(&nonce, now) && !same.takes("", now));
    }
}
