//! Why the gateway does not pass an answer on: the causes, not their statuses (those are [`crate::outcome`]'s).

use crate::{
    authenticate::Unauthenticated, authorize::Denial, fhir_request::RequestRefusal, framing::FramingFault,
};

/// A refusal or a failure of the gateway.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The request is not understood.
    #[error("request refused")]
    Request(#[from] RequestRefusal),
    /// The message is framed in a way that two programs could read differently.
    #[error("framing refused")]
    Framing(#[from] FramingFault),
    /// The request body is larger than admitted.
    #[error("request body larger than {limit} bytes")]
    BodyTooLarge {
        /// The limit.
        limit: u64,
    },
    /// The request body ended before its end.
    #[error("request body not whole")]
    BodyBroken,
    /// The request body came too slowly.
    #[error("request body too slow")]
    BodySlow,
    /// The caller is not known.
    #[error("caller not authenticated")]
    Unauthenticated(#[from] Unauthenticated),
    /// The caller may not.
    #[error("caller not authorised")]
    Denied(#[from] Denial),
    /// A client or an address called too often.
    #[error("limit exceeded")]
    LimitExceeded(crate::rate_limit::Refused),
    /// There is no place for the record of this call, and none may go without.
    #[error("no place for the audit record")]
    AuditFull,
    /// The issuer's keys were never read.
    #[error("issuer keys unavailable")]
    KeysUnavailable,
    /// Revocations are unknown and requests are refused then.
    #[error("revocations stale")]
    RevocationsStale,
    /// Too many requests are in flight.
    #[error("too many requests in flight")]
    Busy,
    /// The upstream failed again and again and is left alone for a while.
    #[error("upstream left alone")]
    UpstreamResting {
        /// Until somebody may try again.
        seconds: u32,
    },
    /// No connection to the upstream.
    #[error("upstream unreachable")]
    UpstreamUnreachable,
    /// The upstream's answer cannot be passed on.
    #[error("upstream answer unusable")]
    UpstreamBroken,
    /// A request to a product that the gateway filters is refused.
    #[error("refused by the access levels")]
    Refused(#[from] crate::enforce::Refused),
    /// The answer of a foreign server cannot be filtered.
    #[error("upstream answer cannot be filtered")]
    Unfilterable(crate::enforce::Unfilterable),
    /// The upstream took too long.
    #[error("upstream timed out")]
    UpstreamTimeout,
}
