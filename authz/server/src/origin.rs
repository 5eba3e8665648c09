//! From where the present request comes: found out once, in front of every handler, and known to the audit trail
//! without each door handing it on, so that no door can forget it.

use std::{future::Future, net::IpAddr};

use axum::{extract::Request, middleware::Next, response::Response};
use http_service::Peer;

tokio::task_local! {
    static ADDRESS: IpAddr;
}

/// The address that the request being answered comes from; none outside of requests: commands, jobs.
pub(crate) fn address() -> Option<IpAddr> {
    ADDRESS.try_with(|address| *address).ok()
}

/// Runs something on behalf of somebody at an address.
pub(crate) async fn acting_from<F: Future>(address: IpAddr, act: F) -> F::Output {
    ADDRESS.scope(address, act).await
}

/// The layer: notes the address.
pub(crate) async fn note(request: Request, next: Next) -> Response {
    match request.extensions().get::<Peer>().copied() {
        Some(peer) => acting_from(peer.address.ip().to_canonical(), next.run(request)).await,
        None => next.run(request).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn outside_of_a_request_there_is_no_address() {
        assert_eq!(address(), None);
        let here: IpAddr = "192.0.2.1".parse().unwrap();
        assert_eq!(acting_from(here, async { address() }).await, Some(here));
    }
}
