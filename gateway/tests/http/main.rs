//! The gateway over its edge: real sockets on loopback, a stub issuer, a stub upstream.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

mod audit;
mod cache_property;
mod challenges;
mod data;
mod documents;
mod dpop;
mod early_answers;
mod enforcing;
mod forms;
mod forwarding;
mod framing;
mod house;
mod keys;
mod limits;
mod malformed_http1;
mod malformed_http2;
mod mutual_tls;
mod openapi;
mod partner;
mod protocols;
mod raw_upstream;
mod reload;
mod response_cache;
mod revocations;
mod shared_limits;
mod tls;
mod traces;
mod upstream_faults;
mod upstream_protocols;
mod wire;
