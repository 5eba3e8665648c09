//! The certificate that a caller shows in the TLS handshake (RFC 8705), or that a declared proxy tells of (RFC 9440).
//!
//! Any certificate is taken whose key the caller has: whose it is and what it opens is for those to say who know clients.

use std::{fmt, sync::Arc};

use aws_lc_rs::{constant_time, digest};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http::{HeaderMap, request::Parts};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, UnixTime};

/// The field in which a proxy tells the certificate (RFC 9440 §2.2).
const CLIENT_CERT: &str = "client-cert";
/// The field in which it tells those that signed it (§2.3).
const CLIENT_CERT_CHAIN: &str = "client-cert-chain";
/// The most certificates beside the caller's own.
const MAX_OTHERS: usize = 5;
/// The largest certificate, in bytes.
const MAX_LENGTH: usize = 16 * 1024;

/// From where callers' certificates are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    /// From nowhere: nobody is asked, and no header is believed.
    #[default]
    Off,
    /// From the handshake: callers are asked for one, and may have none.
    Handshake,
    /// From declared proxies, in the header fields of RFC 9440.
    Header,
}

/// A caller's certificate, of which the caller has the key. `Debug` names it by its thumbprint alone.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientCertificate(Arc<Shown>);

#[derive(PartialEq, Eq)]
struct Shown {
    thumbprint: String,
    /// The caller's own first.
    chain: Vec<CertificateDer<'static>>,
}

/// That a request comes from a proxy that is to be believed when it tells a certificate. A request extension.
#[derive(Clone, Copy)]
pub(crate) struct TellsCertificate;

impl ClientCertificate {
    /// Of a chain in DER, the caller's own first; none of an empty one.
    pub fn new(chain: Vec<CertificateDer<'static>>) -> Option<Self> {
        let thumbprint = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, chain.first()?));
        Some(Self(Arc::new(Shown { thumbprint, chain })))
    }

    /// That of a request's sender. What a proxy tells is read here, so that it costs only those who want to know; where
    /// it cannot be read there is none.
    pub fn of(parts: &Parts) -> Option<Self> {
        let shown = parts.extensions.get::<Self>().cloned();
        shown.or_else(|| parts.extensions.get::<TellsCertificate>().and_then(|_| told(&parts.headers)))
    }

    /// SHA-256 of the certificate, base64url (RFC 8705 §3.1, `x5t#S256`).
    pub fn thumbprint(&self) -> &str {
        &self.0.thumbprint
    }

    /// Whether it is the one of this thumbprint; in constant time.
    pub fn is(&self, thumbprint: &str) -> bool {
        constant_time::verify_slices_are_equal(self.0.thumbprint.as_bytes(), thumbprint.as_bytes()).is_ok()
    }

    /// The certificate in DER.
    pub fn own(&self) -> &CertificateDer<'static> {
        &self.0.chain[0]
    }

    /// What the caller sent to show who signed it.
    pub fn others(&self) -> &[CertificateDer<'static>] {
        &self.0.chain[1..]
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientCertificate").field(&self.0.thumbprint).finish()
    }
}

/// What a proxy tells: one certificate, and those that signed it, if any.
fn told(headers: &HeaderMap) -> Option<ClientCertificate> {
    let mut own = headers.get_all(CLIENT_CERT).iter();
    let (Some(first), None) = (own.next(), own.next()) else { return None };
    let mut chain = vec![byte_sequence(first.to_str().ok()?)?];
    for line in headers.get_all(CLIENT_CERT_CHAIN) {
        for item in line.to_str().ok()?.split(',') {
            if chain.len() > MAX_OTHERS {
                return None;
            }
            chain.push(byte_sequence(item)?);
        }
    }
    ClientCertificate::new(chain)
}

/// A Byte Sequence (RFC 8941 §3.3.5): Base64 between colons.
fn byte_sequence(item: &str) -> Option<CertificateDer<'static>> {
    let encoded = item.trim_matches([' ', '\t']).strip_prefix(':')?.strip_suffix(':')?;
    if encoded.len() > MAX_LENGTH {
        return None;
    }
    STANDARD.decode(encoded).ok().filter(|bytes| !bytes.is_empty()).map(CertificateDer::from)
}

/// Takes any certificate of decent size whose key the caller has, and callers without one.
#[derive(Debug)]
pub(crate) struct AnyCertificate(pub(crate) Arc<CryptoProvider>);

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// None: certificates that signed themselves are welcome, too.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let too_large = |one: &CertificateDer<'_>| one.len() > MAX_LENGTH;
        if others.len() > MAX_OTHERS || too_large(own) || others.iter().any(too_large) {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue, Request};
    use proptest::prelude::*;

    use super::*;

    fn parts(lines: &[(&'static str, &str)]) -> Parts {
        let (mut parts, ()) = Request::new(()).into_parts();
        for (name, value) in lines {
            parts.headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        parts
    }

    fn told(lines: &[(&'static str, &str)]) -> Option<ClientCertificate> {
        let mut parts = parts(lines);
        assert_eq!(ClientCertificate::of(&parts), None, "nobody is believed by himself");
        parts.extensions.insert(TellsCertificate);
        ClientCertificate::of(&parts)
    }

    #[test]
    fn a_proxy_tells_the_certificate_and_its_chain() {
        let alone = told(&[("client-cert", ":AQID:")]).unwrap();
        assert_eq!((alone.own().as_ref(), alone.others().len()), (&[1, 2, 3][..], 0));
        // SHA-256 of 01 02 03.
        assert_eq!(alone.thumbprint(), "A5BYxvLAy0ksUzsKTRTvd8wPeKvMztUofYShogEc-4E");
        assert!(alone.is("A5BYxvLAy0ksUzsKTRTvd8wPeKvMztUofYShogEc-4E"));
        assert!(!alone.is("A5BYxvLAy0ksUzsKTRTvd8wPeKvMztUofYShogEc-4F") && !alone.is(""));
        let chain = told(&[("client-cert", " :AQID: "), ("client-cert-chain", ":BA==:, :BQ==:")]).unwrap();
        assert_eq!(chain.others().len(), 2);
        assert_eq!(chain.thumbprint(), alone.thumbprint());
    }

    #[test]
    fn what_cannot_be_read_is_none() {
        let long = format!(":{}:", "AAAA".repeat(5000));
        for lines in [
            &[][..],
            &[("client-cert", "")],
            &[("client-cert", "AQID")],
            &[("client-cert", "::")],
            &[("client-cert", ":")],
            &[("client-cert", ":!:")],
            &[("client-cert", &long)],
            &[("client-cert", ":AQID:, :AQID:")],
            &[("client-cert", ":AQID:"), ("client-cert", ":AQID:")],
            &[("client-cert", ":AQID:"), ("client-cert-chain", "x")],
            &[("client-cert-chain", ":AQID:")],
            &[("client-cert", ":AQID:"), ("client-cert-chain", ":AQ==:,:AQ==:,:AQ==:,:AQ==:,:AQ==:,:AQ==:")],
        ] {
            assert_eq!(told(lines), None, "{lines:?}");
        }
    }

    #[test]
    fn what_was_shown_in_the_handshake_counts_and_no_header() {
        let shown = ClientCertificate::new(vec![CertificateDer::from(vec![4])]).unwrap();
        let mut parts = parts(&[("client-cert", ":AQID:")]);
        parts.extensions.insert(shown.clone());
        assert_eq!(ClientCertificate::of(&parts), Some(shown));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_header_is_read_or_not(value in "[ -~]{0,40}") {
            let _ = told(&[("client-cert", &value)]);
        }
    }
}
