//! Clients' public keys: which are taken, and checking what they signed.

use std::{fmt, str::FromStr};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ParsedPublicKey};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;

use crate::{Jwk, UnknownAlgorithm, verification::install_crypto_provider};

/// The algorithms by which clients may sign what proves them (RFC 7518 §3.1). Never `none`, never HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProofAlgorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// RSA PKCS#1 v1.5 with SHA-256.
    Rs256,
    /// RSA PKCS#1 v1.5 with SHA-384.
    Rs384,
    /// RSA PSS with SHA-256.
    Ps256,
}

impl ProofAlgorithm {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Es256, Self::Es384, Self::Rs256, Self::Rs384, Self::Ps256];
    /// Their names, as metadata lists them.
    pub const NAMES: [&'static str; 5] = ["ES256", "ES384", "RS256", "RS384", "PS256"];

    /// The JOSE name.
    pub const fn as_str(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    const fn jose(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::Es384 => jsonwebtoken::Algorithm::ES384,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Rs384 => jsonwebtoken::Algorithm::RS384,
            Self::Ps256 => jsonwebtoken::Algorithm::PS256,
        }
    }

    const fn family(self) -> Family {
        match self {
            Self::Es256 => Family::P256,
            Self::Es384 => Family::P384,
            Self::Rs256 | Self::Rs384 | Self::Ps256 => Family::Rsa,
        }
    }
}

impl fmt::Display for ProofAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ProofAlgorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|one| one.as_str() == name)
            .ok_or_else(|| UnknownAlgorithm(name.to_owned()))
    }
}

/// What kind of key it is: which algorithms it can be used with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    P256,
    P384,
    Rsa,
}

/// A client's public key, parsed and found fit.
#[derive(Clone)]
pub struct PublicKey {
    key: DecodingKey,
    family: Family,
    /// The one algorithm that its JWK names, if it does.
    only: Option<ProofAlgorithm>,
    thumbprint: String,
}

/// Why a key is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnfitKey {
    /// Not a kind of key that any admitted algorithm uses.
    #[error("a key must be RSA, or EC on P-256 or P-384")]
    Kind,
    /// Meant for something else.
    #[error("the key is not for signatures: its 'use' must be 'sig', or left out")]
    Use,
    /// Meant for an algorithm that is not admitted, or that does not go with its kind.
    #[error(
        "the key's 'alg' must be one of ES256, ES384, RS256, RS384, PS256 and go with its kind, or be left out"
    )]
    Algorithm,
    /// Not a point of the curve.
    #[error("the coordinates x and y are no point of the key's curve")]
    Point,
    /// Too short, too long, or malformed.
    #[error("an RSA key must have 2048 to 4096 bits and an odd exponent of at least 3")]
    Rsa,
}

impl PublicKey {
    /// Reads a JWK and checks that it is fit for signatures.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_jwk(jwk: &Jwk) -> Result<Self, UnfitKey> {
        install_crypto_provider();
        if jwk.key_use.as_deref().is_some_and(|key_use| key_use != "sig") {
            return Err(UnfitKey::Use);
        }
        let (family, key) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("EC", Some("P-256")) => (Family::P256, point(jwk, 32)?),
            ("EC", Some("P-384")) => (Family::P384, point(jwk, 48)?),
            ("RSA", _) => (Family::Rsa, rsa(jwk)?),
            _ => return Err(UnfitKey::Kind),
        };
        let only = jwk.alg.as_deref().map(str::parse::<ProofAlgorithm>).transpose();
        let only = only.map_err(|_| UnfitKey::Algorithm)?;
        if only.is_some_and(|algorithm| algorithm.family() != family) {
            return Err(UnfitKey::Algorithm);
        }
        let thumbprint = jwk.thumbprint().ok_or(UnfitKey::Kind)?;
        Ok(Self { key, family, only, thumbprint })
    }

    /// Whether signatures by `algorithm` may be this key's.
    pub fn fits(&self, algorithm: ProofAlgorithm) -> bool {
        self.family == algorithm.family() && self.only.is_none_or(|only| only == algorithm)
    }

    /// Its SHA-256 thumbprint (RFC 7638), base64url.
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    pub(crate) fn verifies(&self, algorithm: ProofAlgorithm, signed: &[u8], signature: &str) -> bool {
        self.fits(algorithm)
            && jsonwebtoken::crypto::verify(signature, signed, &self.key, algorithm.jose()).unwrap_or(false)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey").field("thumbprint", &self.thumbprint).finish_non_exhaustive()
    }
}

fn decoded(member: Option<&str>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(member?).ok()
}

/// A point of a curve whose coordinates have `width` bytes each (RFC 7518 §6.2.1).
fn point(jwk: &Jwk, width: usize) -> Result<DecodingKey, UnfitKey> {
    let coordinate = |member: Option<&str>| decoded(member).filter(|bytes| bytes.len() == width);
    let (x, y) = coordinate(jwk.x.as_deref()).zip(coordinate(jwk.y.as_deref())).ok_or(UnfitKey::Point)?;
    // SEC 1 §2.3.3: an uncompressed point.
    let uncompressed = [&[4][..], &x, &y].concat();
    let on_curve = if width == 32 {
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &uncompressed)
    } else {
        ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, &uncompressed)
    };
    on_curve.map_err(|_| UnfitKey::Point)?;
    let (x, y) = jwk.x.as_deref().zip(jwk.y.as_deref()).ok_or(UnfitKey::Point)?;
    DecodingKey::from_ec_components(x, y).map_err(|_| UnfitKey::Point)
}

/// An RSA key of a size that is neither weak nor costly to check.
fn rsa(jwk: &Jwk) -> Result<DecodingKey, UnfitKey> {
    let (modulus, exponent) =
        decoded(jwk.n.as_deref()).zip(decoded(jwk.e.as_deref())).ok_or(UnfitKey::Rsa)?;
    let leading = modulus.first().map_or(8, |byte| byte.leading_zeros() as usize);
    let bits = (modulus.len() * 8).saturating_sub(leading);
    let odd = |bytes: &[u8]| bytes.last().is_some_and(|byte| byte & 1 == 1);
    // RFC 7518 §6.3.1.1: no leading zero bytes. Exponents past 33 bits are nobody's.
    let sound = leading < 8
        && (2048..=4096).contains(&bits)
        && odd(&modulus)
        && odd(&exponent)
        && exponent.len() <= 4
        && exponent != [1];
    if !sound {
        return Err(UnfitKey::Rsa);
    }
    Ok(DecodingKey::from_rsa_raw_components(&modulus, &exponent))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Algorithm, Jws, SigningKey, testing::ClientSigner};

    fn ec() -> Jwk {
        SigningKey::generate(Algorithm::Es256).unwrap().public_jwk().clone()
    }

    #[test]
    fn the_names_are_in_the_order_of_the_algorithms() {
        for algorithm in ProofAlgorithm::ALL {
            assert_eq!(algorithm.as_str().parse(), Ok(algorithm));
        }
        for other in ["none", "HS256", "EdDSA", "RS512", "es256", ""] {
            assert!(other.parse::<ProofAlgorithm>().is_err(), "{other}");
        }
    }

    #[test]
    fn keys_that_nobody_should_sign_with_are_refused() {
        let good = ec();
        assert!(PublicKey::from_jwk(&good).is_ok());
        let unfit = |jwk: Jwk| PublicKey::from_jwk(&jwk).unwrap_err();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(unfit(Jwk { key_use: text("enc"), ..good.clone() }), UnfitKey::Use);
        assert_eq!(unfit(Jwk { alg: text("HS256"), ..good.clone() }), UnfitKey::Algorithm);
        assert_eq!(unfit(Jwk { alg: text("RS256"), ..good.clone() }), UnfitKey::Algorithm);
        assert_eq!(unfit(Jwk { crv: text("secp256k1"), ..good.clone() }), UnfitKey::Kind);
        assert_eq!(unfit(Jwk { kty: "oct".to_owned(), ..good.clone() }), UnfitKey::Kind);
        assert_eq!(unfit(Jwk { y: good.x.clone(), ..good.clone() }), UnfitKey::Point);
        assert_eq!(unfit(Jwk { y: None, ..good.clone() }), UnfitKey::Point);
        assert_eq!(unfit(Jwk { crv: text("P-384"), ..good }), UnfitKey::Point);
        let rsa = |n: Vec<u8>, e: &[u8]| Jwk {
            kty: "RSA".to_owned(),
            n: Some(URL_SAFE_NO_PAD.encode(n)),
            e: Some(URL_SAFE_NO_PAD.encode(e)),
            ..Jwk::default()
        };
        assert!(PublicKey::from_jwk(&rsa(vec![0xff; 256], &[1, 0, 1])).is_ok());
        for (what, n, e) in [
            ("1024 bits", vec![0xff; 128], &[1, 0, 1][..]),
            ("4104 bits", vec![0xff; 513], &[1, 0, 1]),
            ("an exponent of one", vec![0xff; 256], &[1]),
            ("an even exponent", vec![0xff; 256], &[2]),
            ("an even modulus", vec![0xfe; 256], &[1, 0, 1]),
            ("a long exponent", vec![0xff; 256], &[1; 9]),
            ("leading zeros", [vec![0], vec![0xff; 256]].concat(), &[1, 0, 1]),
            ("nothing", vec![], &[1, 0, 1]),
        ] {
            assert_eq!(unfit(rsa(n, e)), UnfitKey::Rsa, "{what}");
        }
    }

    #[test]
    fn each_algorithm_verifies_what_its_own_key_signed_and_nothing_else() {
        let signers = ProofAlgorithm::ALL.map(|algorithm| (algorithm, ClientSigner::generate(algorithm)));
        for (algorithm, signer) in &signers {
            let text = signer.sign(json!({}), &json!({ "sub": "c" }));
            let jws = Jws::parse(&text).unwrap();
            for (other, key) in &signers {
                let key = PublicKey::from_jwk(&key.jwk(None)).unwrap();
                assert_eq!(jws.is_signed_by(&key, *algorithm), algorithm == other, "{algorithm} by {other}");
                assert!(algorithm == other || !jws.is_signed_by(&key, *other));
            }
            // A changed claim, and a signature of another kind by the right key.
            let forged = text.replacen('.', ".A", 1);
            let key = PublicKey::from_jwk(&signer.jwk(None)).unwrap();
            assert!(Jws::parse(&forged).map_or(true, |jws| !jws.is_signed_by(&key, *algorithm)));
            let only = Jwk { alg: Some("ES384".to_owned()), ..signer.jwk(None) };
            assert_eq!(PublicKey::from_jwk(&only).is_ok(), *algorithm == ProofAlgorithm::Es384);
        }
    }

    #[test]
    fn a_key_is_for_its_own_kind_of_algorithm() {
        let key = PublicKey::from_jwk(&Jwk { alg: None, ..ec() }).unwrap();
        let fitting: Vec<_> = ProofAlgorithm::ALL.into_iter().filter(|one| key.fits(*one)).collect();
        assert_eq!(fitting, [ProofAlgorithm::Es256]);
    }
}
