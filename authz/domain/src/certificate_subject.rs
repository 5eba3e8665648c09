//! Whom a client's certificate must be for (RFC 8705 §2.1.2): its subject's distinguished name, or one of its alternative
//! names.

use std::{fmt, iter::Peekable, net::IpAddr, slice::Iter, str::FromStr};

use thiserror::Error;
use x509_parser::{
    certificate::X509Certificate,
    extensions::GeneralName,
    objects::{oid_registry, oid2abbrev},
};

/// The longest name, in bytes.
const MAX_LENGTH: usize = 500;
/// What stands for itself in a distinguished name only behind a backslash (RFC 4514 §2.4).
const SPECIAL: &[u8] = b"\"+,;<>\\";

/// A subject, as it is registered: `dn:`, `dns:`, `uri:`, `ip:` or `email:`, and the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateSubject {
    /// The whole distinguished name: types and values in the order of RFC 4514 §2.1, the most particular first.
    Name(Vec<(String, String)>),
    /// A DNS name.
    Dns(String),
    /// A URI.
    Uri(String),
    /// An address.
    Ip(IpAddr),
    /// An e-mail address.
    Email(String),
}

/// A text that is no such subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "this is no subject of a certificate: write dns:erp.example.org, uri:…, ip:…, email:…, or the whole distinguished \
     name as `openssl x509 -noout -subject -nameopt RFC2253` does: dn:CN=erp,O=Example,C=NL"
)]
pub struct MalformedSubject;

impl FromStr for CertificateSubject {
    type Err = MalformedSubject;

    fn from_str(text: &str) -> Result<Self, MalformedSubject> {
        let (kind, name) = text.trim_start().split_once(':').ok_or(MalformedSubject)?;
        // A blank at the end of a distinguished name may be its own.
        let name = if kind == "dn" { name } else { name.trim() };
        if name.is_empty() || name.len() > MAX_LENGTH || name.chars().any(char::is_control) {
            return Err(MalformedSubject);
        }
        match kind {
            "dn" => distinguished_name(name).map(Self::Name).ok_or(MalformedSubject),
            "dns" => Ok(Self::Dns(name.to_ascii_lowercase())),
            "uri" => Ok(Self::Uri(name.to_owned())),
            "ip" => name.parse().map(Self::Ip).map_err(|_| MalformedSubject),
            "email" => Ok(Self::Email(name.to_owned())),
            _ => Err(MalformedSubject),
        }
    }
}

impl fmt::Display for CertificateSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(parts) => {
                f.write_str("dn:")?;
                for (at, (kind, value)) in parts.iter().enumerate() {
                    let comma = if at == 0 { "" } else { "," };
                    write!(f, "{comma}{kind}={}", escaped(value))?;
                }
                Ok(())
            }
            Self::Dns(name) => write!(f, "dns:{name}"),
            Self::Uri(name) => write!(f, "uri:{name}"),
            Self::Ip(address) => write!(f, "ip:{address}"),
            Self::Email(name) => write!(f, "email:{name}"),
        }
    }
}

impl CertificateSubject {
    /// Whether a certificate is for it.
    pub(crate) fn is_that_of(&self, certificate: &X509Certificate<'_>) -> bool {
        if let Self::Name(wanted) = self {
            return name_of(certificate).is_some_and(|own| own == *wanted);
        }
        let Ok(Some(names)) = certificate.subject_alternative_name() else { return false };
        names.value.general_names.iter().any(|name| match (self, name) {
            (Self::Dns(wanted), GeneralName::DNSName(own)) => own.eq_ignore_ascii_case(wanted),
            (Self::Uri(wanted), GeneralName::URI(own))
            | (Self::Email(wanted), GeneralName::RFC822Name(own)) => own == wanted,
            (Self::Ip(wanted), GeneralName::IPAddress(own)) => match wanted {
                IpAddr::V4(address) => *own == address.octets(),
                IpAddr::V6(address) => *own == address.octets(),
            },
            _ => false,
        })
    }
}

/// A certificate's distinguished name, the most particular part first; none where a part has two attributes at once, or a
/// type or text that is not known here.
fn name_of(certificate: &X509Certificate<'_>) -> Option<Vec<(String, String)>> {
    let mut parts = Vec::new();
    for part in certificate.subject().iter_rdn() {
        let mut attributes = part.iter();
        let attribute = attributes.next()?;
        if attributes.next().is_some() {
            return None;
        }
        let kind = oid2abbrev(attribute.attr_type(), oid_registry()).ok()?.to_ascii_uppercase();
        parts.push((kind, attribute.as_str().ok()?.to_owned()));
    }
    parts.reverse();
    (!parts.is_empty()).then_some(parts)
}

/// RFC 4514 §3, as far as certificates of clients need it: `TYPE=value`, commas between them, no `+` and no `#`.
fn distinguished_name(text: &str) -> Option<Vec<(String, String)>> {
    let mut bytes = text.as_bytes().iter().peekable();
    let mut parts = Vec::new();
    loop {
        let kind: Vec<u8> = std::iter::from_fn(|| bytes.next_if(|byte| **byte != b'=')).copied().collect();
        let kind = String::from_utf8(kind).ok()?.trim().to_ascii_uppercase();
        bytes.next()?;
        if kind.is_empty() || !kind.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let (value, more) = value(&mut bytes)?;
        parts.push((kind, value));
        if !more {
            return Some(parts);
        }
    }
}

/// A value to its end, which is a comma where more follows. Blanks around it are none of its own, unless escaped.
fn value(bytes: &mut Peekable<Iter<'_, u8>>) -> Option<(String, bool)> {
    while bytes.next_if_eq(&&b' ').is_some() {}
    if bytes.peek() == Some(&&b'#') {
        return None;
    }
    let mut value = Vec::new();
    // How much of it is certainly its own.
    let mut own = 0;
    let more = loop {
        match bytes.next() {
            None => break false,
            Some(b',') => break true,
            Some(b'\\') => {
                value.push(escape(bytes)?);
                own = value.len();
            }
            Some(special) if SPECIAL.contains(special) => return None,
            Some(byte) => {
                value.push(*byte);
                if *byte != b' ' {
                    own = value.len();
                }
            }
        }
    };
    value.truncate(own);
    let value = String::from_utf8(value).ok()?;
    (!value.is_empty()).then_some((value, more))
}

/// What a backslash announces (RFC 4514 §3, `pair`): a byte in hexadecimal, or a character that means itself.
fn escape(bytes: &mut Peekable<Iter<'_, u8>>) -> Option<u8> {
    let first = *bytes.next()?;
    if SPECIAL.contains(&first) || b" #=".contains(&first) {
        return Some(first);
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(first)? * 16 + digit(*bytes.next()?)?)
}

/// A value as [`value`] reads it again.
fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for (at, letter) in value.char_indices() {
        let is_outside = at == 0 || at + letter.len_utf8() == value.len();
        let special = u8::try_from(letter).is_ok_and(|byte| SPECIAL.contains(&byte));
        if special || (is_outside && letter == ' ') || (at == 0 && letter == '#') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};

    use super::*;
    use crate::Certificate;

    fn certificate() -> Certificate {
        let names = vec!["Erp.example.org".to_owned(), "192.0.2.7".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        let mut name = DistinguishedName::new();
        name.push(DnType::CountryName, "NL");
        name.push(DnType::OrganizationName, "Fable, Phärma");
        name.push(DnType::CommonName, "erp");
        params.distinguished_name = name;
        params.subject_alt_names.push(SanType::URI("urn:erp:1".try_into().unwrap()));
        params.subject_alt_names.push(SanType::Rfc822Name("erp@example.org".try_into().unwrap()));
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Certificate::parse(made.der()).unwrap()
    }

    #[test]
    fn a_certificate_is_for_its_whole_name_and_each_alternative_one() {
        let certificate = certificate();
        for (subject, is_for) in [
            (r"dn:CN=erp,O=Fable\, Phärma,C=NL", true),
            (r"dn:CN=erp,O=Fable\2C Ph\C3\A4rma,C=NL", true),
            (r"dn:cn = erp , o=Fable\, Phärma, C=NL ", true),
            (r"dn:C=NL,O=Fable\, Phärma,CN=erp", false),
            (r"dn:CN=erp\ ,O=Fable\, Phärma,C=NL", false),
            ("dn:CN=erp", false),
            (r"dn:CN=ERP,O=Fable\, Phärma,C=NL", false),
            ("dns:erp.example.org", true),
            ("dns:example.org", false),
            ("uri:urn:erp:1", true),
            ("uri:urn:erp:2", false),
            ("ip:192.0.2.7", true),
            ("ip:192.0.2.8", false),
            ("email:erp@example.org", true),
            ("email:erp@example.com", false),
            ("dns:erp@example.org", false),
        ] {
            let subject: CertificateSubject = subject.parse().unwrap();
            assert_eq!(certificate.is_for(&subject), is_for, "{subject}");
            assert_eq!(subject.to_string().parse(), Ok(subject));
        }
    }

    #[test]
    fn what_is_no_subject_is_refused() {
        for text in [
            "",
            "erp",
            "dns:",
            "dn:erp",
            "dn:=x",
            "dn:CN=",
            "dn:CN= ",
            "dn:CN=a+O=b",
            "dn:CN=a,",
            "dn:CN=a;O=b",
            "dn:CN=#0401",
            r"dn:CN=a\",
            r"dn:CN=\x",
            r"dn:CN=\C3",
            "dn:2.5.4.3=a",
            "ip:here",
            "san:x",
            "dns:a\nb",
        ] {
            assert_eq!(text.parse::<CertificateSubject>(), Err(MalformedSubject), "{text:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_subject_is_written_as_it_is_read(text in "((dn:CN=)|(dns|uri|email):)[ -~]{0,40}") {
            if let Ok(subject) = text.parse::<CertificateSubject>() {
                prop_assert_eq!(subject.to_string().parse(), Ok(subject));
            }
        }

        #[test]
        fn any_value_can_be_registered(value in "[ -~ä]{1,20}") {
            let subject = CertificateSubject::Name(vec![("CN".to_owned(), value)]);
            prop_assert_eq!(subject.to_string().parse(), Ok(subject));
        }
    }
}
