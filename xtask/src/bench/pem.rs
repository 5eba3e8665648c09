//! A published key (JWK) in the form HAProxy reads: SubjectPublicKeyInfo in PEM (RFC 5280 §4.1, RFC 7468).

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;

/// AlgorithmIdentifier of an uncompressed P-256 point (RFC 5480) and everything before the point itself.
const P256_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// AlgorithmIdentifier of rsaEncryption with its NULL (RFC 3279 §2.3.1).
const RSA_ALGORITHM: [u8; 15] =
    [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;

/// The public key in PEM.
pub(super) fn from_jwk(jwk: &Value) -> Result<String> {
    let der = match jwk["kty"].as_str() {
        Some("EC") => {
            let mut der = P256_HEAD.to_vec();
            der.push(0x04);
            der.extend(number(jwk, "x")?);
            der.extend(number(jwk, "y")?);
            der
        }
        Some("RSA") => {
            let numbers = [integer(&number(jwk, "n")?), integer(&number(jwk, "e")?)].concat();
            // No unused bits at the end of the bit string.
            let key = [vec![0], element(SEQUENCE, &numbers)].concat();
            element(SEQUENCE, &[RSA_ALGORITHM.to_vec(), element(BIT_STRING, &key)].concat())
        }
        other => bail!("a key of type {other:?}"),
    };
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    Ok(format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n")))
}

fn number(jwk: &Value, name: &str) -> Result<Vec<u8>> {
    let text = jwk[name].as_str().with_context(|| format!("a key without `{name}`"))?;
    URL_SAFE_NO_PAD.decode(text).with_context(|| format!("`{name}` of a key is not base64url"))
}

/// A positive DER integer: a leading zero keeps the top bit from being read as a sign.
fn integer(magnitude: &[u8]) -> Vec<u8> {
    let mut content = magnitude.to_vec();
    if content.first().is_some_and(|first| first & 0x80 != 0) {
        content.insert(0, 0);
    }
    element(INTEGER, &content)
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut der = vec![tag];
    let length = content.len().to_be_bytes();
    let significant: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
    match significant.as_slice() {
        [] => der.push(0),
        [short] if *short < 0x80 => der.push(*short),
        // The number of length bytes is at most eight.
        long => {
            der.push(0x80 | u8::try_from(long.len()).unwrap_or(8));
            der.extend(long);
        }
    }
    der.extend(content);
    der
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_the_shortest_form() {
        assert_eq!(element(INTEGER, &[]), [2, 0]);
        assert_eq!(element(INTEGER, &[7; 127])[..2], [2, 127]);
        assert_eq!(element(INTEGER, &[7; 128])[..3], [2, 0x81, 128]);
        assert_eq!(element(INTEGER, &[7; 300])[..4], [2, 0x82, 1, 44]);
    }

    #[test]
    fn a_high_number_stays_positive() {
        assert_eq!(integer(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(integer(&[1, 0, 1]), [2, 3, 1, 0, 1]);
    }

    #[test]
    fn a_curve_key_has_91_bytes() {
        let point = URL_SAFE_NO_PAD.encode([7; 32]);
        let pem =
            from_jwk(&serde_json::json!({"kty": "EC", "crv": "P-256", "x": point, "y": point})).unwrap();
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        assert_eq!(STANDARD.decode(body).unwrap().len(), 91);
    }

    #[test]
    fn other_keys_are_refused() {
        assert!(from_jwk(&serde_json::json!({"kty": "oct", "k": "AAAA"})).is_err());
        assert!(from_jwk(&serde_json::json!({"kty": "RSA", "n": "*"})).is_err());
    }
}
