//! To what a token is bound: the key or certificate that whoever uses it must have.

use serde::{Deserialize, Serialize};

/// How clients may authenticate at our token endpoint (RFC 8414 §2), as metadata list it: by certificates (RFC 8705 §2)
/// where these are taken, and by what is said in them where somebody is believed who issues them.
pub fn authentication_methods(certificates: bool, issuers: bool) -> Vec<&'static str> {
    let mut methods = vec!["client_secret_basic", "client_secret_post", "private_key_jwt"];
    if certificates && issuers {
        methods.push("tls_client_auth");
    }
    if certificates {
        methods.push("self_signed_tls_client_auth");
    }
    methods
}

/// The claim `cnf` (RFC 7800 §3.1). A token with a member that is not known here is not understood, and refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Confirmation {
    /// The thumbprint of a key that signs DPoP proofs (RFC 9449 §6.1).
    #[serde(rename = "jkt")]
    Key(String),
    /// The SHA-256 thumbprint of a certificate for mutual TLS (RFC 8705 §3.1).
    #[serde(rename = "x5t#S256")]
    Certificate(String),
}

impl Confirmation {
    /// The scheme with which such a token is sent, as `token_type` says it.
    pub const fn token_type(this: Option<&Self>) -> &'static str {
        match this {
            Some(Self::Key(_)) => "DPoP",
            Some(Self::Certificate(_)) | None => "Bearer",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confirmation_has_exactly_one_known_member() {
        let key = Confirmation::Key("a".to_owned());
        assert_eq!(serde_json::to_string(&key).unwrap(), r#"{"jkt":"a"}"#);
        let read = |text: &str| serde_json::from_str::<Confirmation>(text);
        assert_eq!(read(r#"{"jkt":"a"}"#).unwrap(), key);
        assert_eq!(read(r#"{"x5t#S256":"b"}"#).unwrap(), Confirmation::Certificate("b".to_owned()));
        for other in ["{}", r#"{"jwk":{}}"#, r#"{"jkt":"a","x5t#S256":"b"}"#, r#"{"jkt":1}"#, r#""jkt""#] {
            assert!(read(other).is_err(), "{other}");
        }
    }
}
