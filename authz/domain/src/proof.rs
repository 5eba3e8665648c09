//! By what a client proves that it is itself: one of the methods of RFC 7591 §2, and what is kept for it.

use std::{fmt, str::FromStr};

use thiserror::Error;

use crate::{CertificateSubject, ClientKeys, SecretHash};

/// How a client authenticates at the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthenticationMethod {
    /// By a secret, as HTTP Basic or in the body (RFC 6749 §2.3.1).
    ClientSecret,
    /// By an assertion that its private key signs (RFC 7523).
    PrivateKeyJwt,
    /// By mutual TLS with a certificate of a known issuer for a registered subject (RFC 8705 §2.1).
    TlsClientAuth,
    /// By mutual TLS with a registered certificate, whoever signed it (RFC 8705 §2.2).
    SelfSignedTlsClientAuth,
}

impl AuthenticationMethod {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::ClientSecret, Self::PrivateKeyJwt, Self::TlsClientAuth, Self::SelfSignedTlsClientAuth];

    /// The word used in lists and in the database: the registered one, where there is one for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientSecret => "client_secret",
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::TlsClientAuth => "tls_client_auth",
            Self::SelfSignedTlsClientAuth => "self_signed_tls_client_auth",
        }
    }

    /// What a credential of this method is called among people.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::ClientSecret => "client secret",
            Self::PrivateKeyJwt => "client key",
            Self::TlsClientAuth => "certificate subject",
            Self::SelfSignedTlsClientAuth => "client certificate",
        }
    }
}

impl fmt::Display for AuthenticationMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AuthenticationMethod {
    type Err = UnknownMethod;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|method| method.as_str() == word)
            .ok_or_else(|| UnknownMethod(word.to_owned()))
    }
}

/// A word that names no method.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("unknown authentication method {0:?}")]
pub struct UnknownMethod(pub String);

/// What is kept of a credential: enough to recognise its holder, never enough to be it.
#[derive(Clone, Debug)]
pub enum Proof {
    /// The keyed hash of a secret.
    Secret(SecretHash),
    /// Public keys.
    Keys(ClientKeys),
    /// The address at which the client publishes its public keys (RFC 7591 §2, `jwks_uri`).
    KeysAt(String),
    /// Whom a certificate must be for.
    Subject(CertificateSubject),
    /// A certificate, by its SHA-256 thumbprint, base64url.
    Certificate(String),
}

impl Proof {
    /// The method that it serves.
    pub const fn method(&self) -> AuthenticationMethod {
        match self {
            Self::Secret(_) => AuthenticationMethod::ClientSecret,
            Self::Keys(_) | Self::KeysAt(_) => AuthenticationMethod::PrivateKeyJwt,
            Self::Subject(_) => AuthenticationMethod::TlsClientAuth,
            Self::Certificate(_) => AuthenticationMethod::SelfSignedTlsClientAuth,
        }
    }

    /// The hash, when it is a secret.
    pub const fn secret(&self) -> Option<&SecretHash> {
        match self {
            Self::Secret(hash) => Some(hash),
            Self::Keys(_) | Self::KeysAt(_) | Self::Subject(_) | Self::Certificate(_) => None,
        }
    }

    /// What people tell it apart by. A secret's text is not known here, and has a hint of its own.
    pub fn hint(&self) -> String {
        match self {
            Self::Secret(_) => String::new(),
            Self::Keys(keys) => keys.hint(),
            Self::KeysAt(address) => address.clone(),
            Self::Subject(subject) => subject.to_string(),
            Self::Certificate(thumbprint) => thumbprint.chars().take(12).collect(),
        }
    }

    /// Its text for the database, to be read again by [`Proof::from_stored`].
    pub fn to_stored(&self) -> String {
        match self {
            Self::Secret(hash) => hash.to_hex(),
            Self::Keys(keys) => keys.to_json(),
            Self::KeysAt(address) => address.clone(),
            Self::Subject(subject) => subject.to_string(),
            Self::Certificate(thumbprint) => thumbprint.clone(),
        }
    }

    /// From what the database kept.
    pub fn from_stored(method: AuthenticationMethod, text: &str) -> Option<Self> {
        match method {
            AuthenticationMethod::ClientSecret => SecretHash::from_hex(text).map(Self::Secret),
            // A set is a JSON object; an address is none.
            AuthenticationMethod::PrivateKeyJwt if text.starts_with('{') => {
                ClientKeys::parse(text.as_bytes()).ok().map(Self::Keys)
            }
            AuthenticationMethod::PrivateKeyJwt => Some(Self::KeysAt(text.to_owned())),
            AuthenticationMethod::TlsClientAuth => text.parse().ok().map(Self::Subject),
            AuthenticationMethod::SelfSignedTlsClientAuth => Some(Self::Certificate(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use access_token::{Algorithm, SigningKey};

    use super::*;

    #[test]
    fn what_is_stored_is_read_again() {
        let jwk = serde_json::to_value(SigningKey::generate(Algorithm::Es256).unwrap().public_jwk()).unwrap();
        for proof in [
            Proof::Secret(SecretHash::from_bytes([7; 32])),
            Proof::Keys(ClientKeys::from_value(jwk).unwrap()),
            Proof::KeysAt("https://client.example/jwks.json".to_owned()),
            Proof::Subject("dns:client.example".parse().unwrap()),
            Proof::Certificate("A5BYxvLAy0ksUzsKTRTvd8wPeKvMztUofYShogEc-4E".to_owned()),
        ] {
            let (method, text) = (proof.method(), proof.to_stored());
            let again = Proof::from_stored(method.as_str().parse().unwrap(), &text).unwrap();
            assert_eq!((again.method(), again.to_stored()), (method, text));
        }
        assert!(Proof::from_stored(AuthenticationMethod::ClientSecret, "no hash").is_none());
        assert!(Proof::from_stored(AuthenticationMethod::PrivateKeyJwt, "{}").is_none());
        assert!(Proof::from_stored(AuthenticationMethod::TlsClientAuth, "nobody").is_none());
    }
}
