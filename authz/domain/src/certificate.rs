//! X.509 certificates that clients register: for their public key (RFC 7523), or for mutual TLS (RFC 8705).

use access_token::{Jwk, UnfitKey};
use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use thiserror::Error;
use time::OffsetDateTime;
use x509_parser::{
    pem::parse_x509_pem,
    prelude::{FromDer as _, X509Certificate},
    public_key::PublicKey as SubjectKey,
    x509::X509Version,
};

use crate::{CertificateSubject, ClientKeys, KeysRefused};

/// The largest certificate that is looked at, in bytes.
const MAX_LENGTH: usize = 16 * 1024;

/// A certificate, read. Whoever signed it and how long it says to be valid is not judged here.
#[derive(Clone, Debug)]
pub struct Certificate {
    der: Vec<u8>,
}

/// Why a certificate is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CertificateRefused {
    /// Not one.
    #[error("this is no X.509 certificate: send one, in PEM (-----BEGIN CERTIFICATE-----) or DER")]
    Unreadable,
    /// The secret half of a key.
    #[error(
        "this is a private key: it is no secret any more. Make a new one, and register only its certificate"
    )]
    PrivateKey,
    /// Of the first version, which TLS libraries do not take.
    #[error("this certificate is of an old version of X.509, which TLS does not take: make one of version 3")]
    Version,
    /// Its time is over.
    #[error("this certificate has expired: register one that is valid")]
    Expired,
    /// Its key cannot be used.
    #[error("the certificate's key cannot be used: {0}")]
    Key(#[from] UnfitKey),
}

impl Certificate {
    /// Reads the first certificate of a PEM text, or one in DER.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, CertificateRefused> {
        if bytes.len() > MAX_LENGTH {
            return Err(CertificateRefused::Unreadable);
        }
        let is_pem = bytes.windows(11).any(|window| window == b"-----BEGIN ");
        let der = if is_pem {
            let (_, pem) = parse_x509_pem(bytes).map_err(|_| CertificateRefused::Unreadable)?;
            if pem.label.ends_with("PRIVATE KEY") {
                return Err(CertificateRefused::PrivateKey);
            }
            pem.contents
        } else {
            bytes.to_vec()
        };
        match X509Certificate::from_der(&der) {
            Ok(([], _)) => Ok(Self { der }),
            _ => Err(CertificateRefused::Unreadable),
        }
    }

    /// Its SHA-256 thumbprint (RFC 8705 §3.1, `x5t#S256`), base64url.
    pub fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, &self.der))
    }

    /// Whether a client that shows it can prove itself by it.
    ///
    /// # Errors
    /// When TLS does not take it, or its time is over.
    pub fn check_fit(&self, now: OffsetDateTime) -> Result<(), CertificateRefused> {
        if self.read(|certificate| certificate.version()) != Some(X509Version::V3) {
            Err(CertificateRefused::Version)
        } else if self.valid_until() <= now {
            Err(CertificateRefused::Expired)
        } else {
            Ok(())
        }
    }

    /// Until when it says to be valid.
    pub fn valid_until(&self) -> OffsetDateTime {
        self.read(|certificate| certificate.validity().not_after.to_datetime())
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// Whether it is for this subject: by its whole distinguished name, or one of its alternative names.
    pub fn is_for(&self, subject: &CertificateSubject) -> bool {
        self.read(|certificate| subject.is_that_of(certificate)).unwrap_or(false)
    }

    /// What is in it. It was read before, so there is something.
    fn read<T>(&self, look: impl FnOnce(&X509Certificate<'_>) -> T) -> Option<T> {
        X509Certificate::from_der(&self.der).ok().map(|(_, certificate)| look(&certificate))
    }

    /// Its public key as a set of one JWK, under the names by which clients refer to it: `kid` and `x5t#S256` its SHA-256
    /// thumbprint, `x5t` its SHA-1 thumbprint, as MSAL has it.
    ///
    /// # Errors
    /// [`CertificateRefused::Key`].
    pub fn keys(&self) -> Result<ClientKeys, CertificateRefused> {
        let (_, parsed) = X509Certificate::from_der(&self.der).map_err(|_| CertificateRefused::Unreadable)?;
        let encode = |bytes: &[u8]| Some(URL_SAFE_NO_PAD.encode(bytes));
        let without_zeros = |bytes: &[u8]| {
            let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
            encode(&bytes[start..])
        };
        let names = Jwk {
            key_use: Some("sig".to_owned()),
            kid: Some(self.thumbprint()),
            x5t: encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &self.der).as_ref()),
            x5t_s256: Some(self.thumbprint()),
            ..Jwk::default()
        };
        let jwk = match parsed.public_key().parsed().map_err(|_| UnfitKey::Kind)? {
            SubjectKey::RSA(key) => Jwk {
                kty: "RSA".to_owned(),
                n: without_zeros(key.modulus),
                e: without_zeros(key.exponent),
                ..names
            },
            SubjectKey::EC(point) => {
                // SEC 1 §2.3.3: 0x04, then x and y.
                let Some((4, coordinates)) = point.data().split_first().map(|(first, rest)| (*first, rest))
                else {
                    return Err(UnfitKey::Point.into());
                };
                let (curve, width) = match coordinates.len() {
                    64 => ("P-256", 32),
                    96 => ("P-384", 48),
                    _ => return Err(UnfitKey::Kind.into()),
                };
                let (x, y) = coordinates.split_at(width);
                Jwk { kty: "EC".to_owned(), crv: Some(curve.to_owned()), x: encode(x), y: encode(y), ..names }
            }
            _ => return Err(UnfitKey::Kind.into()),
        };
        let value = serde_json::to_value(jwk).map_err(|_| CertificateRefused::Unreadable)?;
        ClientKeys::from_value(value).map_err(|refused| match refused {
            KeysRefused::Unfit(_, unfit) => CertificateRefused::Key(unfit),
            _ => CertificateRefused::Unreadable,
        })
    }
}

#[cfg(test)]
mod tests {
    use access_token::ProofAlgorithm;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384};
    use time::macros::datetime;

    use super::*;
    use crate::KeyNamed;

    #[test]
    fn the_key_of_a_certificate_goes_by_its_thumbprints() {
        for (pair, algorithm) in [
            (KeyPair::generate().unwrap(), ProofAlgorithm::Es256),
            (KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap(), ProofAlgorithm::Es384),
        ] {
            let made = CertificateParams::new(vec!["client.example".to_owned()])
                .unwrap()
                .self_signed(&pair)
                .unwrap();
            let from_pem = Certificate::parse(made.pem().as_bytes()).unwrap();
            let from_der = Certificate::parse(made.der()).unwrap();
            assert_eq!(from_pem.thumbprint(), from_der.thumbprint());
            let keys = from_pem.keys().unwrap();
            let named = |kid: &str| KeyNamed { kid: Some(kid.to_owned()), ..KeyNamed::default() };
            assert_eq!(keys.candidates(&named(&from_pem.thumbprint()), algorithm).count(), 1);
            assert_eq!(keys.candidates(&named("other"), algorithm).count(), 0);
        }
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let private = KeyPair::generate().unwrap().serialize_pem();
        assert_eq!(Certificate::parse(private.as_bytes()).unwrap_err(), CertificateRefused::PrivateKey);
        let nothing =
            format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode("x"));
        for other in [&b""[..], b"certificate", nothing.as_bytes(), &vec![0x30; 20_000]] {
            assert_eq!(Certificate::parse(other).unwrap_err(), CertificateRefused::Unreadable);
        }
    }

    #[test]
    fn a_certificate_says_until_when_it_is_valid() {
        let end = datetime!(2027-03-05 12:00 UTC);
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.not_after = end;
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let certificate = Certificate::parse(made.der()).unwrap();
        assert_eq!(certificate.valid_until(), end);
        assert_eq!(certificate.check_fit(datetime!(2027-03-05 11:59 UTC)), Ok(()));
        assert_eq!(certificate.check_fit(end), Err(CertificateRefused::Expired));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Certificate::parse(&bytes);
        }
    }
}
