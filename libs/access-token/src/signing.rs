//! Making tokens: a private key, parsed once and kept in memory.

use std::fmt;

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::{AccessTokenClaims, Algorithm, Jwk, TOKEN_TYPE};

/// A private key that signs access tokens. `Debug` shows its id only.
pub struct SigningKey {
    pair: Pair,
    jwk: Jwk,
    kid: String,
    /// The JOSE header of every token of this key, already encoded, with the dot behind it.
    encoded_header: String,
    random: SystemRandom,
}

enum Pair {
    Es256(EcdsaKeyPair),
    Rs256(Box<RsaKeyPair>),
    EdDsa(Ed25519KeyPair),
}

/// A key that cannot be made, read or used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The bytes are no PKCS#8 private key of that algorithm, or one that is too weak.
    #[error("not an acceptable PKCS#8 private key for this algorithm (RSA needs 2048 to 4096 bits)")]
    Unreadable,
    /// The crypto library failed to make a key or a signature.
    #[error("the crypto library refused the operation")]
    Crypto,
    /// The claims could not be written as JSON.
    #[error("claims cannot be written")]
    Claims,
}

impl SigningKey {
    /// Makes a new key (RSA: 2,048 bits).
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        let pkcs8 = match algorithm {
            Algorithm::Es256 => {
                let document =
                    EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
                Zeroizing::new(document.map_err(|_| KeyError::Crypto)?.as_ref().to_vec())
            }
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError::Crypto)?;
                let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).map_err(|_| KeyError::Crypto)?;
                Zeroizing::new(der.as_ref().to_vec())
            }
            Algorithm::EdDsa => {
                let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
                Zeroizing::new(document.map_err(|_| KeyError::Crypto)?.as_ref().to_vec())
            }
        };
        Self::from_pkcs8(algorithm, &pkcs8)
    }

    /// Reads a PKCS#8 private key.
    pub fn from_pkcs8(algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, KeyError> {
        let pair = match algorithm {
            Algorithm::Es256 => Pair::Es256(
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8)
                    .map_err(|_| KeyError::Unreadable)?,
            ),
            Algorithm::Rs256 => {
                Pair::Rs256(Box::new(RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| KeyError::Unreadable)?))
            }
            Algorithm::EdDsa => {
                Pair::EdDsa(Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| KeyError::Unreadable)?)
            }
        };
        let mut jwk = pair.public_jwk();
        let kid = jwk.thumbprint().ok_or(KeyError::Unreadable)?;
        jwk.kid = Some(kid.clone());
        let header = format!(r#"{{"typ":"{TOKEN_TYPE}","alg":"{algorithm}","kid":"{kid}"}}"#);
        let encoded_header = URL_SAFE_NO_PAD.encode(header) + ".";
        Ok(Self { pair, jwk, kid, encoded_header, random: SystemRandom::new() })
    }

    /// The private key as PKCS#8, to be sealed and stored.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let bytes = match &self.pair {
            Pair::Es256(pair) => pair.to_pkcs8v1().map_err(|_| KeyError::Crypto)?.as_ref().to_vec(),
            Pair::Rs256(pair) => AsDer::<Pkcs8V1Der<'_>>::as_der(pair.as_ref())
                .map_err(|_| KeyError::Crypto)?
                .as_ref()
                .to_vec(),
            Pair::EdDsa(pair) => pair.to_pkcs8v1().map_err(|_| KeyError::Crypto)?.as_ref().to_vec(),
        };
        Ok(Zeroizing::new(bytes))
    }

    /// The key id: the RFC 7638 thumbprint of the public key.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The algorithm it signs with.
    pub fn algorithm(&self) -> Algorithm {
        match self.pair {
            Pair::Es256(_) => Algorithm::Es256,
            Pair::Rs256(_) => Algorithm::Rs256,
            Pair::EdDsa(_) => Algorithm::EdDsa,
        }
    }

    /// The public key, for the JWK Set.
    pub fn public_jwk(&self) -> &Jwk {
        &self.jwk
    }

    /// Signs `claims`: a compact JWS (RFC 7515 §7.1) of type `at+jwt`.
    pub fn sign(&self, claims: &AccessTokenClaims) -> Result<String, KeyError> {
        let payload = serde_json::to_vec(claims).map_err(|_| KeyError::Claims)?;
        // Payload and signature grow by a third; 350 holds a dot and an RSA signature.
        let mut token = String::with_capacity(self.encoded_header.len() + payload.len() * 4 / 3 + 350);
        token.push_str(&self.encoded_header);
        URL_SAFE_NO_PAD.encode_string(&payload, &mut token);
        match &self.pair {
            Pair::Es256(pair) => {
                let signature = pair.sign(&self.random, token.as_bytes()).map_err(|_| KeyError::Crypto)?;
                push_signature(&mut token, signature.as_ref());
            }
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &self.random, token.as_bytes(), &mut signature)
                    .map_err(|_| KeyError::Crypto)?;
                push_signature(&mut token, &signature);
            }
            Pair::EdDsa(pair) => {
                let signature = pair.sign(token.as_bytes());
                push_signature(&mut token, signature.as_ref());
            }
        }
        Ok(token)
    }
}

fn push_signature(token: &mut String, signature: &[u8]) {
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, token);
}

impl Pair {
    fn public_jwk(&self) -> Jwk {
        let encode = |bytes: &[u8]| Some(URL_SAFE_NO_PAD.encode(bytes));
        let jwk = Jwk { key_use: Some("sig".to_owned()), ..Jwk::default() };
        match self {
            Self::Es256(pair) => {
                // An uncompressed point (SEC 1 §2.3.3): 0x04, then x and y of 32 bytes each.
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                Jwk {
                    kty: "EC".to_owned(),
                    alg: Some(Algorithm::Es256.to_string()),
                    crv: Some("P-256".to_owned()),
                    x: encode(x),
                    y: encode(y),
                    ..jwk
                }
            }
            Self::Rs256(pair) => Jwk {
                kty: "RSA".to_owned(),
                alg: Some(Algorithm::Rs256.to_string()),
                n: encode(pair.public_key().modulus().big_endian_without_leading_zero()),
                e: encode(pair.public_key().exponent().big_endian_without_leading_zero()),
                ..jwk
            },
            Self::EdDsa(pair) => Jwk {
                kty: "OKP".to_owned(),
                alg: Some(Algorithm::EdDsa.to_string()),
                crv: Some("Ed25519".to_owned()),
                x: encode(pair.public_key().as_ref()),
                ..jwk
            },
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}
