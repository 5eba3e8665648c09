//! Fingerprints of what is shown: equal when the same was shown, and saying nothing else about it.

use aws_lc_rs::digest::{Context, SHA256};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// Bytes of the digest that are kept: enough that two states of one address never meet.
const LENGTH: usize = 9;

/// A fingerprint being taken.
#[derive(Clone)]
pub(crate) struct Fingerprint(Context);

impl Default for Fingerprint {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl Fingerprint {
    /// With these bytes, told apart from those before and after them.
    pub(crate) fn with(mut self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.0.update(&(bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self
    }

    /// Letters, digits, `-` and `_`.
    pub(crate) fn finish(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.finish().as_ref().get(..LENGTH).unwrap_or_default())
    }
}

/// The fingerprint of one text.
pub(crate) fn of(bytes: impl AsRef<[u8]>) -> String {
    Fingerprint::default().with(bytes).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart() {
        let of = |parts: &[&str]| parts.iter().fold(Fingerprint::default(), Fingerprint::with).finish();
        assert_eq!(of(&["ab", "c"]), of(&["ab", "c"]));
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["ab"]), of(&["ab", ""]));
        assert_eq!(super::of("ab").len(), 12);
    }
}
