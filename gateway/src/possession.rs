//! That whoever sends a bound token has what it is bound to: the key of a DPoP proof (RFC 9449 §7), or the certificate of
//! the connection (RFC 8705 §3). Asked with each request; a token's own verdict may be kept.

use access_token::{Confirmation, DPOP_HEADER, DpopNonces, DpopProof, DpopRefused, DpopRequest, SeenProofs};
use http::request::Parts;
use http_service::ClientCertificate;
use time::OffsetDateTime;

use crate::{
    authenticate::{Scheme, Unauthenticated},
    caller::Caller,
};

/// Checks proofs of possession.
#[derive(Debug)]
pub struct Possession {
    base_url: String,
    nonces: Option<DpopNonces>,
    seen: SeenProofs,
}

impl Possession {
    /// Of requests to `base_url`, as clients know it. With `nonces`, proofs must hold one.
    pub fn new(base_url: &str, nonces: Option<DpopNonces>) -> Self {
        let base_url = base_url.trim_end_matches('/').to_owned();
        Self { base_url, nonces, seen: SeenProofs::default() }
    }

    /// Whether the sender of a request has what its token is bound to, and sends the token as such a one.
    pub fn check(
        &self,
        scheme: Scheme,
        caller: &Caller,
        token: &[u8],
        parts: &Parts,
        now: OffsetDateTime,
    ) -> Result<(), Unauthenticated> {
        match (caller.confirmation.as_deref(), scheme) {
            (Some(Confirmation::Key(thumbprint)), Scheme::Dpop) => self.proven(thumbprint, token, parts, now),
            (Some(Confirmation::Key(_)), Scheme::Bearer) => Err(Unauthenticated::Bound),
            (Some(Confirmation::Certificate(thumbprint)), Scheme::Bearer) => {
                let shown = ClientCertificate::of(parts).is_some_and(|shown| shown.is(thumbprint));
                if shown { Ok(()) } else { Err(Unauthenticated::OtherCertificate) }
            }
            (Some(Confirmation::Certificate(_)) | None, Scheme::Dpop) => Err(Unauthenticated::NotBound),
            (None, Scheme::Bearer) => Ok(()),
        }
    }

    /// RFC 9449 §4.3, §7.1: one proof, for this request and this token, by the key that the token is bound to.
    fn proven(
        &self,
        thumbprint: &str,
        token: &[u8],
        parts: &Parts,
        now: OffsetDateTime,
    ) -> Result<(), Unauthenticated> {
        let refused = Unauthenticated::Proof;
        let mut proofs = parts.headers.get_all(DPOP_HEADER).iter();
        let proof = proofs.next().ok_or(refused(DpopRefused::Missing))?;
        if proofs.next().is_some() {
            return Err(refused(DpopRefused::Several));
        }
        let proof = proof.to_str().map_err(|_| refused(DpopRefused::Malformed))?;
        let proof = DpopProof::parse(proof).map_err(refused)?;
        let request = DpopRequest {
            method: parts.method.as_str(),
            base_url: &self.base_url,
            path: parts.uri.path(),
            token: Some(str::from_utf8(token).map_err(|_| Unauthenticated::NotABearerToken)?),
        };
        proof.check(request, now).map_err(refused)?;
        if proof.thumbprint() != thumbprint {
            return Err(refused(DpopRefused::OtherKey));
        }
        if let Some(nonces) = &self.nonces
            && !proof.nonce().is_some_and(|nonce| nonces.takes(nonce, now))
        {
            return Err(Unauthenticated::Nonce(nonces.current(now)));
        }
        self.seen.note(thumbprint, proof.jti(), now).map_err(refused)
    }
}
