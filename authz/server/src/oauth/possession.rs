//! What a client shows to have its token bound to: a DPoP proof (RFC 9449 §5). And that whoever uses a bound token here
//! has what it is bound to (§7; RFC 8705 §3).

use std::borrow::Cow;

use access_token::{AccessTokenClaims, Confirmation, DPOP_HEADER, DpopProof, DpopRefused, DpopRequest};
use http::{HeaderMap, request::Parts};
use http_service::ClientCertificate;
use time::OffsetDateTime;

use super::error::OAuthError;
use crate::state::State;

/// The proof of a request to the token endpoint, good but for whether it was used before; none when there is none.
pub(crate) fn presented(
    state: &State,
    parts: &Parts,
    now: OffsetDateTime,
) -> Result<Option<DpopProof>, OAuthError> {
    read(state, parts, None, now).map_err(|refused| match refused {
        DpopRefused::Nonce => OAuthError::DpopNonce { nonce: nonce(state, now) },
        other => OAuthError::Dpop(other),
    })
}

/// The nonce to tell at `now`; empty where none is wanted.
pub(crate) fn nonce(state: &State, now: OffsetDateTime) -> String {
    state.dpop_nonces().map(|nonces| nonces.current(now)).unwrap_or_default()
}

/// Takes a proof of a client that has authenticated: the token is bound to its key.
pub(crate) fn bind(
    state: &State,
    proof: Option<&DpopProof>,
    required: bool,
    now: OffsetDateTime,
) -> Result<Option<Confirmation>, OAuthError> {
    let Some(proof) = proof else {
        return if required { Err(OAuthError::Dpop(DpopRefused::Missing)) } else { Ok(None) };
    };
    state.seen_proofs.note(proof.thumbprint(), proof.jti(), now)?;
    Ok(Some(Confirmation::Key(proof.thumbprint().to_owned())))
}

/// Whether the sender of a request to an API of this server has what its token is bound to.
pub(crate) fn check(
    state: &State,
    claims: &AccessTokenClaims,
    by_dpop: bool,
    token: &str,
    parts: &Parts,
    now: OffsetDateTime,
) -> Result<(), Cow<'static, str>> {
    match (&claims.cnf, by_dpop) {
        (None, false) => Ok(()),
        (None | Some(Confirmation::Certificate(_)), true) => {
            Err("the token is not bound to a key: send it as Authorization: Bearer TOKEN".into())
        }
        (Some(Confirmation::Key(_)), false) => Err(
            "the token is bound to a key: send it as Authorization: DPoP … with a proof in the header DPoP"
                .into(),
        ),
        (Some(Confirmation::Certificate(thumbprint)), false) => {
            if ClientCertificate::of(parts).is_some_and(|shown| shown.is(thumbprint)) {
                return Ok(());
            }
            Err("the token is bound to a client certificate, which this connection was not made with".into())
        }
        (Some(Confirmation::Key(thumbprint)), true) => {
            let proof = read(state, parts, Some(token), now).map_err(|refused| refused.to_string())?;
            let proof = proof.ok_or_else(|| DpopRefused::Missing.to_string())?;
            if proof.thumbprint() != thumbprint {
                return Err(DpopRefused::OtherKey.to_string().into());
            }
            Ok(state.seen_proofs.note(thumbprint, proof.jti(), now).map_err(|refused| refused.to_string())?)
        }
    }
}

fn read(
    state: &State,
    parts: &Parts,
    token: Option<&str>,
    now: OffsetDateTime,
) -> Result<Option<DpopProof>, DpopRefused> {
    let Some(text) = header(&parts.headers)? else { return Ok(None) };
    let proof = DpopProof::parse(text)?;
    let request = DpopRequest {
        method: parts.method.as_str(),
        base_url: &state.settings.base_url,
        path: parts.uri.path(),
        token,
    };
    proof.check(request, now)?;
    if let Some(nonces) = state.dpop_nonces()
        && !proof.nonce().is_some_and(|nonce| nonces.takes(nonce, now))
    {
        return Err(DpopRefused::Nonce);
    }
    Ok(Some(proof))
}

/// The one proof (RFC 9449 §4.3, 1).
fn header(headers: &HeaderMap) -> Result<Option<&str>, DpopRefused> {
    let mut proofs = headers.get_all(DPOP_HEADER).iter();
    let Some(proof) = proofs.next() else { return Ok(None) };
    if proofs.next().is_some() {
        return Err(DpopRefused::Several);
    }
    proof.to_str().map(Some).map_err(|_| DpopRefused::Malformed)
}
