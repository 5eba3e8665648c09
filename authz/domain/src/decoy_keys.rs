//! Keys that are nobody's: checking a signature with one takes as long as with a client's, so that time does not tell
//! which clients there are.

use std::sync::LazyLock;

use access_token::{Jwk, ProofAlgorithm, PublicKey};

/// The base point of P-256 (FIPS 186-5, SP 800-186 §3.2.1.3): a public key whose private half, 1, nobody registers.
static P256: LazyLock<Option<PublicKey>> = LazyLock::new(|| {
    point(
        "P-256",
        "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY",
        "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU",
    )
});

/// The base point of P-384 (SP 800-186 §3.2.1.4).
static P384: LazyLock<Option<PublicKey>> = LazyLock::new(|| {
    point(
        "P-384",
        "qofKIr6LBTeOscce8yCtdG4dO2KLp5uYWfdB4IJUKjhVAvJdv1UpbDpUXjhydgq3",
        "NhfeSpYmLG9dnpi_kpLcKfj0Hb0omhR86doxE7XwuMAKYLHOHX6BnXpDHXyQ6g5f",
    )
});

/// The example of RFC 7638 §3.1.
static RSA: LazyLock<Option<PublicKey>> = LazyLock::new(|| {
    let modulus = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    let text = |text: &str| Some(text.to_owned());
    PublicKey::from_jwk(&Jwk { kty: "RSA".to_owned(), n: text(modulus), e: text("AQAB"), ..Jwk::default() })
        .ok()
});

fn point(curve: &str, x: &str, y: &str) -> Option<PublicKey> {
    let text = |text: &str| Some(text.to_owned());
    let jwk = Jwk { kty: "EC".to_owned(), crv: text(curve), x: text(x), y: text(y), ..Jwk::default() };
    PublicKey::from_jwk(&jwk).ok()
}

/// A key that signatures by `algorithm` could be checked with.
pub(crate) fn decoy(algorithm: ProofAlgorithm) -> Option<&'static PublicKey> {
    match algorithm {
        ProofAlgorithm::Es256 => P256.as_ref(),
        ProofAlgorithm::Es384 => P384.as_ref(),
        ProofAlgorithm::Rs256 | ProofAlgorithm::Rs384 | ProofAlgorithm::Ps256 => RSA.as_ref(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_decoy_for_each_algorithm() {
        for algorithm in ProofAlgorithm::ALL {
            assert!(decoy(algorithm).is_some_and(|key| key.fits(algorithm)), "{algorithm}");
        }
    }
}
