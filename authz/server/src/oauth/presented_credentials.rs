//! The client's credentials in a request: HTTP Basic or body (RFC 6749 §2.3.1), an assertion (RFC 7523 §2.2), or the
//! certificate of its connection (RFC 8705 §2), exactly one of them.

use std::borrow::Cow;

use authz_domain::{ASSERTION_TYPE, ClientAssertion};
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{header, request::Parts};
use http_service::ClientCertificate;

use super::{
    error::OAuthError,
    form::{self, Form},
};

/// Padding or none: both occur.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A client id, and what is presented to prove it. Nothing about them is known yet.
pub(crate) struct PresentedCredentials<'r> {
    pub(crate) client_id: Cow<'r, str>,
    pub(crate) proof: PresentedProof<'r>,
}

/// What is presented.
pub(crate) enum PresentedProof<'r> {
    Secret(Cow<'r, str>),
    Assertion(Box<ClientAssertion<'r>>),
    Certificate(ClientCertificate),
}

/// Finds the one set of credentials. The connection's certificate is one only where nothing else is presented: a client
/// may have it for other reasons.
pub(crate) fn present<'r>(parts: &Parts, form: &'r Form<'_>) -> Result<PresentedCredentials<'r>, OAuthError> {
    let mut authorizations = parts.headers.get_all(header::AUTHORIZATION).iter();
    let authorization = authorizations.next();
    if authorizations.next().is_some() {
        return Err(OAuthError::Malformed("there is more than one Authorization header".to_owned()));
    }
    let (client_id, secret) = (form.get("client_id"), form.get("client_secret"));
    let (assertion, assertion_type) = (form.get("client_assertion"), form.get("client_assertion_type"));
    let has_assertion = assertion.is_some() || assertion_type.is_some();

    if let Some(authorization) = authorization {
        if secret.is_some() || has_assertion {
            return Err(OAuthError::SeveralCredentials);
        }
        let basic = basic(authorization.as_bytes())?;
        if client_id.is_some_and(|client_id| client_id != basic.client_id) {
            return Err(OAuthError::MismatchedClientId);
        }
        return Ok(basic);
    }
    if has_assertion {
        if secret.is_some() {
            return Err(OAuthError::SeveralCredentials);
        }
        let assertion = assertion.ok_or(OAuthError::MissingParameter("client_assertion"))?;
        match assertion_type {
            Some(ASSERTION_TYPE) => {}
            Some(_) => return Err(OAuthError::AssertionType),
            None => return Err(OAuthError::MissingParameter("client_assertion_type")),
        }
        let assertion = ClientAssertion::parse(assertion)?;
        // RFC 7521 §4.2: when it is there, it must be the same client.
        if client_id.is_some_and(|client_id| client_id != assertion.client_id()) {
            return Err(OAuthError::MismatchedClientId);
        }
        return Ok(PresentedCredentials {
            client_id: Cow::Owned(assertion.client_id().to_owned()),
            proof: PresentedProof::Assertion(Box::new(assertion)),
        });
    }
    match (client_id, secret) {
        (Some(client_id), Some(secret)) => {
            let proof = PresentedProof::Secret(Cow::Borrowed(secret));
            Ok(PresentedCredentials { client_id: Cow::Borrowed(client_id), proof })
        }
        (None, Some(_)) => Err(OAuthError::MissingParameter("client_id")),
        // RFC 8705 §2: the certificate does not say which client it is.
        (Some(client_id), None) => {
            let certificate = ClientCertificate::of(parts).ok_or(OAuthError::NoCredentials)?;
            let proof = PresentedProof::Certificate(certificate);
            Ok(PresentedCredentials { client_id: Cow::Borrowed(client_id), proof })
        }
        (None, None) => Err(OAuthError::NoCredentials),
    }
}

/// HTTP Basic (RFC 7617): id and secret, each form-encoded by some clients and raw from others. Ours have no
/// character that form-encoding changes, so decoding what decodes is right for both.
fn basic(authorization: &[u8]) -> Result<PresentedCredentials<'static>, OAuthError> {
    let scheme_end =
        authorization.iter().position(|byte| *byte == b' ').ok_or(OAuthError::OtherAuthorization)?;
    let (scheme, encoded) = authorization.split_at(scheme_end);
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return Err(OAuthError::OtherAuthorization);
    }
    let decoded = BASE64.decode(encoded.trim_ascii()).map_err(|_| OAuthError::MalformedBasic)?;
    let colon = decoded.iter().position(|byte| *byte == b':').ok_or(OAuthError::MalformedBasic)?;
    let read = |bytes: &[u8]| -> Cow<'static, str> {
        match form::decode(bytes) {
            Ok(text) => Cow::Owned(text.into_owned()),
            Err(_) => Cow::Owned(String::from_utf8_lossy(bytes).into_owned()),
        }
    };
    let (client_id, secret) = (read(&decoded[..colon]), read(&decoded[colon + 1..]));
    if secret.is_empty() || client_id.is_empty() {
        return Err(OAuthError::NoCredentials);
    }
    Ok(PresentedCredentials { client_id, proof: PresentedProof::Secret(secret) })
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use http::{HeaderValue, Request};
    use rustls_pki_types::CertificateDer;

    use super::*;

    fn sent(authorization: Option<&str>) -> Parts {
        let (mut parts, ()) = Request::new(()).into_parts();
        let values = authorization.map(|value| HeaderValue::from_str(value).unwrap());
        parts.headers.extend(values.map(|value| (header::AUTHORIZATION, value)));
        parts
    }

    fn with_basic(text: &str, body: &str) -> Result<(String, String), OAuthError> {
        let form = Form::parse(body.as_bytes()).unwrap();
        let parts = sent(Some(&format!("Basic {}", STANDARD.encode(text))));
        present(&parts, &form).map(|presented| match presented.proof {
            PresentedProof::Secret(secret) => (presented.client_id.into_owned(), secret.into_owned()),
            PresentedProof::Assertion(_) | PresentedProof::Certificate(_) => panic!("no secret"),
        })
    }

    #[test]
    fn raw_and_form_encoded_basic_are_the_same() {
        let wanted = ("a-b_1".to_owned(), "pms_x".to_owned());
        assert_eq!(with_basic("a-b_1:pms_x", "").unwrap(), wanted);
        assert_eq!(with_basic("a%2Db%5F1:pms%5Fx", "").unwrap(), wanted);
        assert_eq!(with_basic("a-b_1:pms_x", "client_id=a-b_1").unwrap(), wanted);
        assert_eq!(with_basic("a:b:c", "").unwrap().1, "b:c");
        assert_eq!(with_basic("a:50%", "").unwrap().1, "50%");
    }

    #[test]
    fn exactly_one_set_of_credentials_is_wanted() {
        assert!(matches!(with_basic("a:b", "client_secret=b"), Err(OAuthError::SeveralCredentials)));
        assert!(matches!(with_basic("a:b", "client_id=c"), Err(OAuthError::MismatchedClientId)));
        assert!(matches!(with_basic("a:", ""), Err(OAuthError::NoCredentials)));
        assert!(matches!(with_basic("ab", ""), Err(OAuthError::MalformedBasic)));
        let form = Form::parse(b"client_id=a").unwrap();
        assert!(matches!(present(&sent(None), &form), Err(OAuthError::NoCredentials)));
        let form = Form::parse(b"client_secret=a").unwrap();
        assert!(matches!(present(&sent(None), &form), Err(OAuthError::MissingParameter("client_id"))));
        assert!(matches!(with_basic("a:b", "client_assertion=x"), Err(OAuthError::SeveralCredentials)));
        let form = Form::parse(b"client_secret=a&client_id=b&client_assertion=x").unwrap();
        assert!(matches!(present(&sent(None), &form), Err(OAuthError::SeveralCredentials)));
    }

    #[test]
    fn a_certificate_counts_where_nothing_else_is_presented() {
        let mut parts = sent(None);
        let shown = ClientCertificate::new(vec![CertificateDer::from(vec![1])]).unwrap();
        parts.extensions.insert(shown.clone());
        let form = Form::parse(b"client_id=a").unwrap();
        let presented = present(&parts, &form).unwrap();
        assert!(matches!(presented.proof, PresentedProof::Certificate(own) if own == shown));
        let form = Form::parse(b"client_id=a&client_secret=b").unwrap();
        assert!(matches!(present(&parts, &form).unwrap().proof, PresentedProof::Secret(_)));
        let form = Form::parse(b"").unwrap();
        assert!(matches!(present(&parts, &form), Err(OAuthError::NoCredentials)), "whose is it?");
    }

    #[test]
    fn another_scheme_is_named_as_such() {
        for value in ["Bearer x", "Digest x", "Basic", ""] {
            let form = Form::parse(b"").unwrap();
            assert!(
                matches!(present(&sent(Some(value)), &form), Err(OAuthError::OtherAuthorization)),
                "{value}"
            );
        }
    }
}
