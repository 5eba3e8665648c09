//! For tests: a client that has a private key, and signs with it.

#![expect(clippy::unwrap_used, reason = "a test that cannot have its key must fail loudly")]

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
        RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PSS_SHA256, RsaKeyPair,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::{Jwk, ProofAlgorithm};

/// A private key and the algorithm that it is used with.
pub struct ClientSigner {
    algorithm: ProofAlgorithm,
    pair: Pair,
}

impl std::fmt::Debug for ClientSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientSigner").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

enum Pair {
    Ec(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
}

impl ClientSigner {
    /// Makes a key. RSA ones take a moment.
    ///
    /// # Panics
    /// When the crypto library fails.
    pub fn generate(algorithm: ProofAlgorithm) -> Self {
        let pair = match algorithm {
            ProofAlgorithm::Es256 => {
                Pair::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
            }
            ProofAlgorithm::Es384 => {
                Pair::Ec(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap())
            }
            ProofAlgorithm::Rs256 | ProofAlgorithm::Rs384 | ProofAlgorithm::Ps256 => {
                Pair::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()))
            }
        };
        Self { algorithm, pair }
    }

    /// A key of an elliptic curve from PKCS#8, such as a certificate's.
    ///
    /// # Panics
    /// When it is no such key of P-256.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Self {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).unwrap();
        Self { algorithm: ProofAlgorithm::Es256, pair: Pair::Ec(pair) }
    }

    /// The public key, under a name.
    pub fn jwk(&self, kid: Option<&str>) -> Jwk {
        let encode = |bytes: &[u8]| Some(URL_SAFE_NO_PAD.encode(bytes));
        let named = Jwk { kid: kid.map(str::to_owned), ..Jwk::default() };
        match &self.pair {
            Pair::Ec(pair) => {
                let coordinates = &pair.public_key().as_ref()[1..];
                let (x, y) = coordinates.split_at(coordinates.len() / 2);
                let curve = if x.len() == 32 { "P-256" } else { "P-384" };
                Jwk { kty: "EC".to_owned(), crv: Some(curve.to_owned()), x: encode(x), y: encode(y), ..named }
            }
            Pair::Rsa(pair) => Jwk {
                kty: "RSA".to_owned(),
                n: encode(pair.public_key().modulus().big_endian_without_leading_zero()),
                e: encode(pair.public_key().exponent().big_endian_without_leading_zero()),
                ..named
            },
        }
    }

    /// A compact JWS of these claims. `alg` is put into the header where it has none.
    ///
    /// # Panics
    /// When the crypto library fails.
    pub fn sign(&self, mut header: Value, claims: &Value) -> String {
        if header.get("alg").is_none() {
            header["alg"] = json!(self.algorithm.as_str());
        }
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(claims));
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Ec(pair) => pair.sign(&random, signed.as_bytes()).unwrap().as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let encoding: &dyn aws_lc_rs::signature::RsaEncoding = match self.algorithm {
                    ProofAlgorithm::Rs384 => &RSA_PKCS1_SHA384,
                    ProofAlgorithm::Ps256 => &RSA_PSS_SHA256,
                    _ => &RSA_PKCS1_SHA256,
                };
                pair.sign(encoding, &random, signed.as_bytes(), &mut signature).unwrap();
                signature
            }
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A DPoP proof (RFC 9449) of these claims.
    ///
    /// # Panics
    /// When the crypto library fails.
    pub fn proof(&self, claims: &Value) -> String {
        self.sign(json!({ "typ": "dpop+jwt", "jwk": self.jwk(None) }), claims)
    }
}
