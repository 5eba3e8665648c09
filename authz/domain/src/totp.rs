//! Codes of an authenticator app (TOTP, RFC 6238) and recovery codes, as rules over bytes.
//!
//! On aws-lc-rs, the house's one crypto library: the algorithm is one HMAC and a remainder, so that a crate for it would
//! bring more code than it saves.

use std::fmt::Write as _;

use aws_lc_rs::hmac;
use subtle::ConstantTimeEq as _;
use time::OffsetDateTime;

/// Seconds of one code (RFC 6238 §4.1).
const STEP: i64 = 30;
/// Codes before and after the present one that are taken, for clocks that differ (RFC 6238 §5.2).
const SKEW: i64 = 1;
/// Bytes of a secret: what SHA-1 takes whole (RFC 4226 §4).
pub const TOTP_SECRET_LENGTH: usize = 20;
/// The alphabet of RFC 4648 §6.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The code of one step: six digits.
fn code_at(secret: &[u8], step: i64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let bytes = tag.as_ref();
    let offset = usize::from(bytes[bytes.len() - 1] & 0x0f);
    let number =
        u32::from_be_bytes([bytes[offset] & 0x7f, bytes[offset + 1], bytes[offset + 2], bytes[offset + 3]]);
    format!("{:06}", number % 1_000_000)
}

/// The code that an app shows at `now`.
pub fn totp_code(secret: &[u8], now: OffsetDateTime) -> String {
    code_at(secret, now.unix_timestamp() / STEP)
}

/// The step that `code` is right for at `now`, when it is later than `last_step`: a code works once (RFC 6238 §5.2).
pub fn verify_totp(secret: &[u8], code: &str, now: OffsetDateTime, last_step: i64) -> Option<i64> {
    let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    let present = now.unix_timestamp() / STEP;
    let mut found = None;
    for step in (present - SKEW)..=(present + SKEW) {
        if bool::from(code_at(secret, step).as_bytes().ct_eq(code.as_bytes())) && step > last_step {
            found = Some(step);
        }
    }
    found
}

/// A secret as an app takes it when it is typed: Base32 without padding.
pub fn base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut held, mut bits) = (0_u32, 0);
    for byte in bytes {
        held = (held << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(BASE32[usize::try_from((held >> bits) & 31).unwrap_or(0)]));
        }
    }
    if bits > 0 {
        text.push(char::from(BASE32[usize::try_from((held << (5 - bits)) & 31).unwrap_or(0)]));
    }
    text
}

/// The address in a QR code (Key URI format of authenticator apps).
pub fn otpauth_uri(issuer: &str, account: &str, secret: &[u8]) -> String {
    let (issuer, account) = (percent(issuer), percent(account));
    format!(
        "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}&algorithm=SHA1&digits=6&period=30",
        base32(secret)
    )
}

fn percent(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// A recovery code of 10 bytes of entropy: 80 bits, so that a keyed hash is enough to store it.
pub fn recovery_code(entropy: [u8; 10]) -> String {
    let text = base32(&entropy).to_lowercase();
    format!("{}-{}-{}-{}", &text[..4], &text[4..8], &text[8..12], &text[12..])
}

/// A recovery code as compared: without separators and case.
pub fn normal_recovery_code(typed: &str) -> String {
    typed.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238 appendix B, SHA-1, cut to six digits.
    const SECRET: &[u8] = b"12345678901234567890";

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(seconds).unwrap()
    }

    #[test]
    fn the_codes_are_those_of_rfc_6238() {
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(totp_code(SECRET, at(seconds)), code);
            assert!(verify_totp(SECRET, code, at(seconds), 0).is_some());
        }
    }

    #[test]
    fn a_code_works_once_and_for_a_minute_and_a_half() {
        let now = at(1_111_111_109);
        let code = totp_code(SECRET, now);
        let step = verify_totp(SECRET, &code, now, 0).unwrap();
        assert_eq!(verify_totp(SECRET, &code, now, step), None);
        assert!(verify_totp(SECRET, &code, now + time::Duration::seconds(30), 0).is_some());
        assert_eq!(verify_totp(SECRET, &code, now + time::Duration::seconds(61), 0), None);
        assert_eq!(verify_totp(SECRET, "", now, 0), None);
    }

    #[test]
    fn base32_is_that_of_rfc_4648() {
        for (bytes, text) in [("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foobar", "MZXW6YTBOI")] {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
        assert_eq!(normal_recovery_code(" AB-cd 12 "), "abcd12");
        assert_eq!(recovery_code([0; 10]), "aaaa-aaaa-aaaa-aaaa");
    }
}
