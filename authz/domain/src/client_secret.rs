//! A client secret's text, shown once, and what is kept of it: a keyed hash and a hint.

use std::fmt;

use aws_lc_rs::hmac;
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

/// What every secret of ours begins with, so that scanners can recognise one in a repository or a log.
pub const PREFIX: &str = "pms_";
/// Characters after the prefix that carry the 256 random bits: 62^43 > 2^256.
const RANDOM_LENGTH: usize = 43;
/// Characters of the check: 62^6 > 2^32.
const CHECK_LENGTH: usize = 6;
/// The length of a whole secret in characters.
pub const LENGTH: usize = PREFIX.len() + RANDOM_LENGTH + CHECK_LENGTH;
/// How much of a secret its hint shows: the prefix and four characters, which leaves 232 unknown bits.
const HINT_LENGTH: usize = PREFIX.len() + 4;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A client secret in the clear: it exists between its making and its one showing. `Debug` shows nothing.
#[derive(Clone)]
pub struct ClientSecret(Zeroizing<String>);

impl ClientSecret {
    /// A new secret from 32 bytes of the operating system's generator.
    pub fn from_entropy(entropy: &[u8; 32]) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(LENGTH));
        text.push_str(PREFIX);
        push_base62(&mut text, entropy, RANDOM_LENGTH);
        let check = crc32fast::hash(text.as_bytes());
        push_base62(&mut text, &check.to_be_bytes(), CHECK_LENGTH);
        Self(text)
    }

    /// The text, for the one showing. Never log it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The first characters, which name the secret in lists.
    pub fn hint(&self) -> String {
        self.0[..HINT_LENGTH].to_owned()
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(…)")
    }
}

/// Whether `text` has the form of a secret of ours: prefix, length, alphabet and check all fit. For scanners and
/// for telling a mistyped secret from a wrong one; never a proof.
pub fn is_recognised(text: &str) -> bool {
    let Some(body) = text.strip_prefix(PREFIX) else { return false };
    if text.len() != LENGTH || !body.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return false;
    }
    let (secret, check) = text.split_at(LENGTH - CHECK_LENGTH);
    let mut expected = String::with_capacity(CHECK_LENGTH);
    push_base62(&mut expected, &crc32fast::hash(secret.as_bytes()).to_be_bytes(), CHECK_LENGTH);
    expected == check
}

/// Appends a big-endian number in base 62, most significant digit first, padded to `length`.
fn push_base62(text: &mut String, number: &[u8], length: usize) {
    let mut rest = Zeroizing::new(number.to_vec());
    let mut digits = Zeroizing::new(vec![0_u8; length]);
    for digit in digits.iter_mut().rev() {
        let mut remainder = 0_u32;
        for byte in rest.iter_mut() {
            let value = (remainder << 8) | u32::from(*byte);
            // value < 62 · 256, so the quotient fits a byte.
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            remainder = value % 62;
        }
        *digit = BASE62[remainder as usize % 62];
    }
    text.extend(digits.iter().map(|digit| char::from(*digit)));
}

/// HMAC-SHA-256 of a secret under the pepper. Equality is constant time only through [`SecretHash::ct_eq`].
#[derive(Clone, Copy)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// Of given bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// From what the database kept.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// For the database.
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Compares in time that does not depend on the contents.
    pub fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

/// The key under which secrets are hashed; derived from the master key, never stored.
///
/// The secrets have full entropy, so a slow hash would protect nothing and cost every token; the key makes a
/// stolen database useless for checking guesses.
#[derive(Clone)]
pub struct SecretPepper(hmac::Key);

impl SecretPepper {
    /// A pepper from 32 derived bytes.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The hash of a presented or new secret. Any text is hashed: what is no secret of ours matches none.
    pub fn hash(&self, secret: &str) -> SecretHash {
        let tag = hmac::sign(&self.0, secret.as_bytes());
        let mut bytes = [0; 32];
        bytes.copy_from_slice(tag.as_ref());
        SecretHash(bytes)
    }
}

impl fmt::Debug for SecretPepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretPepper(…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_secret_has_the_documented_form() {
        let secret = ClientSecret::from_entropy(&[0; 32]);
        assert!(secret.expose().starts_with("pms_0000000000000000000000000000000000000000000"));
        assert_eq!(secret.expose().len(), 53);
        assert_eq!(secret.hint(), "pms_0000");
        let largest = ClientSecret::from_entropy(&[0xff; 32]);
        assert_eq!(largest.expose().len(), 53);
        assert!(is_recognised(largest.expose()));
    }

    #[test]
    fn debug_shows_nothing() {
        let secret = ClientSecret::from_entropy(&[1; 32]);
        assert_eq!(format!("{secret:?}"), "ClientSecret(…)");
        assert_eq!(format!("{:?}", SecretPepper::new(&[1; 32]).hash("x")), "SecretHash(…)");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn every_secret_is_recognised_and_no_changed_one(entropy: [u8; 32], at in 0_usize..LENGTH, to in "[0-9A-Za-z]") {
            let secret = ClientSecret::from_entropy(&entropy);
            prop_assert!(is_recognised(secret.expose()));
            let mut changed = secret.expose().to_owned();
            changed.replace_range(at..=at, &to);
            prop_assert_eq!(is_recognised(&changed), changed == secret.expose());
        }

        #[test]
        fn different_entropy_gives_different_secrets(one: [u8; 32], other: [u8; 32]) {
            let (a, b) = (ClientSecret::from_entropy(&one), ClientSecret::from_entropy(&other));
            prop_assert_eq!(one == other, a.expose() == b.expose());
        }

        #[test]
        fn a_hash_matches_its_own_secret_under_its_own_pepper_only(entropy: [u8; 32], key: [u8; 32], guess in ".{0,80}") {
            let secret = ClientSecret::from_entropy(&entropy);
            let pepper = SecretPepper::new(&key);
            let kept = SecretHash::from_hex(&pepper.hash(secret.expose()).to_hex()).unwrap();
            prop_assert!(bool::from(kept.ct_eq(&pepper.hash(secret.expose()))));
            prop_assert_eq!(bool::from(kept.ct_eq(&pepper.hash(&guess))), guess == secret.expose());
            let mut other = key;
            other[0] ^= 1;
            prop_assert!(!bool::from(kept.ct_eq(&SecretPepper::new(&other).hash(secret.expose()))));
        }

        #[test]
        fn recognising_never_panics(text in "\\PC{0,60}") {
            is_recognised(&text);
        }
    }
}
