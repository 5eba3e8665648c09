//! Sealing private keys before they are stored: AES-256-GCM under a key derived from the master key, bound to the
//! key id, so that a sealed key cannot be put in another's place.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use thiserror::Error;
use zeroize::Zeroizing;

/// The form of sealed text: version, nonce, ciphertext with tag.
const VERSION: &str = "v1.";

/// A key that cannot be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SealError {
    /// The crypto library refused.
    #[error("the private key cannot be sealed")]
    Failed,
    /// Not opened: another master key, another key id, or changed bytes.
    #[error("the sealed private key does not open: it was sealed under another master key, or changed")]
    DoesNotOpen,
}

fn key(seal: &[u8; 32]) -> Result<RandomizedNonceKey, SealError> {
    RandomizedNonceKey::new(&AES_256_GCM, seal).map_err(|_| SealError::Failed)
}

fn bound_to(kid: &str) -> Aad<String> {
    Aad::from(format!("pmsgate signing key {kid}"))
}

/// Seals `private` for storage.
pub(crate) fn seal(seal: &[u8; 32], kid: &str, private: &[u8]) -> Result<String, SealError> {
    let mut sealed = Zeroizing::new(private.to_vec());
    let nonce =
        key(seal)?.seal_in_place_append_tag(bound_to(kid), &mut *sealed).map_err(|_| SealError::Failed)?;
    let mut bytes = nonce.as_ref().to_vec();
    bytes.extend_from_slice(&sealed);
    Ok(format!("{VERSION}{}", STANDARD_NO_PAD.encode(bytes)))
}

/// Opens what [`seal`] made.
pub(crate) fn open(seal: &[u8; 32], kid: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let bytes = sealed.strip_prefix(VERSION).and_then(|text| STANDARD_NO_PAD.decode(text).ok());
    let mut bytes = Zeroizing::new(bytes.ok_or(SealError::DoesNotOpen)?);
    let (nonce, body) = bytes.split_at_mut_checked(NONCE_LEN).ok_or(SealError::DoesNotOpen)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::DoesNotOpen)?;
    let opened = key(seal)?.open_in_place(nonce, bound_to(kid), body).map_err(|_| SealError::DoesNotOpen)?;
    Ok(Zeroizing::new(opened.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_key_opens_under_its_own_master_key_and_id_only() {
        let sealed = seal(&[1; 32], "kid-1", b"private").unwrap();
        assert_eq!(open(&[1; 32], "kid-1", &sealed).unwrap().as_slice(), b"private");
        assert!(!sealed.contains("private"));
        for (key, kid, text) in [
            ([2; 32], "kid-1", sealed.clone()),
            ([1; 32], "kid-2", sealed.clone()),
            ([1; 32], "kid-1", sealed.replace("v1.", "v1.A")),
            ([1; 32], "kid-1", "v1.".to_owned()),
            ([1; 32], "kid-1", String::new()),
        ] {
            assert_eq!(open(&key, kid, &text).unwrap_err(), SealError::DoesNotOpen);
        }
    }

    #[test]
    fn the_same_key_is_sealed_differently_each_time() {
        assert_ne!(seal(&[1; 32], "k", b"private").unwrap(), seal(&[1; 32], "k", b"private").unwrap());
    }
}
