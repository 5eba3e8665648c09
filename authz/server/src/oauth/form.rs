//! `application/x-www-form-urlencoded` bodies, read strictly: what is doubtful is refused, not repaired.

use std::borrow::Cow;

use thiserror::Error;

/// The most parameters in one body.
const MAX_PARAMETERS: usize = 64;

/// The parameters of a body, in order, each name once.
#[derive(Debug)]
pub(crate) struct Form<'b>(Vec<(Cow<'b, str>, Cow<'b, str>)>);

/// Why a body is no form.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum MalformedForm {
    #[error("the body has more than 64 parameters")]
    TooManyParameters,
    /// RFC 6749 §3.2: parameters must not be included more than once.
    #[error("the parameter '{0}' is repeated: send each parameter once")]
    Repeated(String),
    #[error(
        "the body has a broken percent escape: write % as %25, and others as % and two hexadecimal digits"
    )]
    BrokenEscape,
    #[error("the body is not UTF-8")]
    NotUtf8,
    #[error("the body has a NUL character")]
    Nul,
}

impl<'b> Form<'b> {
    /// Reads a body.
    pub(crate) fn parse(body: &'b [u8]) -> Result<Self, MalformedForm> {
        let mut parameters: Vec<(Cow<'b, str>, Cow<'b, str>)> = Vec::with_capacity(8);
        for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            if parameters.len() == MAX_PARAMETERS {
                return Err(MalformedForm::TooManyParameters);
            }
            let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &[][..]),
            };
            let name = decode(name)?;
            let value = decode(value)?;
            if parameters.iter().any(|(other, _)| *other == name) {
                return Err(MalformedForm::Repeated(name.chars().take(40).collect()));
            }
            parameters.push((name, value));
        }
        Ok(Self(parameters))
    }

    /// A parameter's value. One without a value counts as not sent (RFC 6749 §3.2).
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(own, _)| own == name)?;
        (!value.is_empty()).then_some(value.as_ref())
    }
}

/// Decodes one name or value: `+` is a space, `%XX` a byte, the whole UTF-8 without NUL.
pub(crate) fn decode(text: &[u8]) -> Result<Cow<'_, str>, MalformedForm> {
    if !text.iter().any(|byte| matches!(byte, b'%' | b'+' | 0)) {
        return std::str::from_utf8(text).map(Cow::Borrowed).map_err(|_| MalformedForm::NotUtf8);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (high, low) = (rest.next().and_then(hex_digit), rest.next().and_then(hex_digit));
                high.zip(low).map(|(high, low)| high << 4 | low).ok_or(MalformedForm::BrokenEscape)?
            }
            byte => byte,
        });
    }
    if decoded.contains(&0) {
        return Err(MalformedForm::Nul);
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| MalformedForm::NotUtf8)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_form_is_read_as_it_was_written() {
        let form = Form::parse(
            b"grant_type=client_credentials&scope=api%3A%2F%2Fx%2F.default+a&empty=&bare&&x=%C3%A4=b",
        )
        .unwrap();
        assert_eq!(form.get("grant_type"), Some("client_credentials"));
        assert_eq!(form.get("scope"), Some("api://x/.default a"));
        assert_eq!(form.get("empty"), None);
        assert_eq!(form.get("bare"), None);
        assert_eq!(form.get("x"), Some("ä=b"));
        assert_eq!(form.get("missing"), None);
    }

    #[test]
    fn what_is_doubtful_is_refused() {
        let refused = |body: &[u8]| Form::parse(body).unwrap_err();
        assert_eq!(refused(b"a=1&b=2&a=1"), MalformedForm::Repeated("a".to_owned()));
        assert_eq!(refused(b"a=1&%61=1"), MalformedForm::Repeated("a".to_owned()));
        for broken in [&b"a=%"[..], b"a=%2", b"a=%zz", b"%=1", b"a=%+1"] {
            assert_eq!(refused(broken), MalformedForm::BrokenEscape, "{broken:?}");
        }
        assert_eq!(refused(b"a=%ff"), MalformedForm::NotUtf8);
        assert_eq!(refused(b"a=\xff"), MalformedForm::NotUtf8);
        assert_eq!(refused(b"a=%00"), MalformedForm::Nul);
        assert_eq!(refused(b"a=\0"), MalformedForm::Nul);
        let many = (0..65).map(|n| format!("p{n}=1")).collect::<Vec<_>>().join("&");
        assert_eq!(refused(many.as_bytes()), MalformedForm::TooManyParameters);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Form::parse(&body);
        }

        #[test]
        fn any_text_survives_encoding(value in "[^\0]{1,60}") {
            let escaped: Vec<String> = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let body = format!("v={}", escaped.concat());
            let form = Form::parse(body.as_bytes()).unwrap();
            prop_assert_eq!(form.get("v"), Some(value.as_str()));
        }
    }
}
