//! What clients sign themselves: a compact JWS (RFC 7515 §7.1), taken apart and not yet believed.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};

use crate::ProofAlgorithm;

/// The longest JWS that is taken apart, in bytes: room for an RSA signature of 4,096 bits and a chain of certificates in
/// the header, which some clients send.
const MAX_LENGTH: usize = 8 * 1024;

/// A compact JWS. Header and payload are decoded; nothing in them is proven until a key verifies it.
#[derive(Clone, Debug)]
pub struct Jws<'t> {
    signed: &'t str,
    signature: &'t str,
    header: Vec<u8>,
    payload: Vec<u8>,
}

/// The one member of a header that is looked at before anything else.
#[derive(Deserialize)]
struct Extensions {
    crit: Option<IgnoredAny>,
}

/// Why a text is no JWS that is looked at. The texts may be shown: they repeat nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedJws {
    /// Longer than is looked at.
    #[error("it is longer than {MAX_LENGTH} bytes")]
    TooLong,
    /// Not three parts of base64url between dots.
    #[error("it has not the form of a signed JWT: three parts of base64url with dots between them")]
    Form,
    /// The header is no JSON object, or lacks something.
    #[error("its header cannot be read")]
    Header,
    /// The header names extensions that must be understood (RFC 7515 §4.1.11); none are.
    #[error("its header names critical extensions ('crit'), of which none is known here")]
    Critical,
    /// The payload is no JSON object, lacks something or has it in another form.
    #[error("its claims cannot be read")]
    Payload,
}

impl<'t> Jws<'t> {
    /// Takes a text apart.
    ///
    /// # Errors
    /// [`MalformedJws::TooLong`], [`MalformedJws::Form`], [`MalformedJws::Critical`].
    pub fn parse(text: &'t str) -> Result<Self, MalformedJws> {
        if text.len() > MAX_LENGTH {
            return Err(MalformedJws::TooLong);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(MalformedJws::Form)?;
        let (header, payload) = signed.split_once('.').ok_or(MalformedJws::Form)?;
        if payload.contains('.') || signature.is_empty() {
            return Err(MalformedJws::Form);
        }
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| MalformedJws::Form);
        let jws = Self { signed, signature, header: decode(header)?, payload: decode(payload)? };
        match jws.header::<Extensions>()?.crit {
            Some(_) => Err(MalformedJws::Critical),
            None => Ok(jws),
        }
    }

    /// The header, read as `T`.
    ///
    /// # Errors
    /// [`MalformedJws::Header`].
    pub fn header<T: DeserializeOwned>(&self) -> Result<T, MalformedJws> {
        serde_json::from_slice(&self.header).map_err(|_| MalformedJws::Header)
    }

    /// The payload, read as `T`.
    ///
    /// # Errors
    /// [`MalformedJws::Payload`].
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, MalformedJws> {
        serde_json::from_slice(&self.payload).map_err(|_| MalformedJws::Payload)
    }

    /// Whether `key` made its signature by `algorithm`.
    pub fn is_signed_by(&self, key: &crate::PublicKey, algorithm: ProofAlgorithm) -> bool {
        key.verifies(algorithm, self.signed.as_bytes(), self.signature)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(header: &str, payload: &str) -> String {
        format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn what_is_no_jws_is_refused_with_its_reason() {
        let good = encoded(r#"{"alg":"ES256"}"#, "{}");
        assert!(Jws::parse(&good).is_ok());
        let refused = |text: &str| Jws::parse(text).unwrap_err();
        for text in ["", "a", "a.b", "..", "a.b.c.d", &format!("{good}.e"), "!.!.!", "e30.e30."] {
            assert_eq!(refused(text), MalformedJws::Form, "{text}");
        }
        assert_eq!(refused(&"a".repeat(MAX_LENGTH + 1)), MalformedJws::TooLong);
        assert_eq!(refused(&encoded("[]x", "{}")), MalformedJws::Header);
        assert_eq!(refused(&encoded(r#"{"alg":"ES256","crit":["b64"]}"#, "{}")), MalformedJws::Critical);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_text_is_taken_apart_or_refused(text in "\\PC{0,80}") {
            let _ = Jws::parse(&text);
        }
    }
}
