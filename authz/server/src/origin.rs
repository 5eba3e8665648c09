//! From where the present request comes: found out once, in front of every handler, and known to the audit trail
//! without each door handing it on, so that no door can forget it.

use std::{future::Future, net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State as Extract},
    middleware::Next,
    response::Response,
};
use config::Network;
use http::HeaderMap;
use http_service::Peer;

use crate::state::State;

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

/// The layer: notes the address, and puts it in the place of a trusted proxy's for whoever asks for the peer.
pub(crate) async fn note(Extract(state): Extract<Arc<State>>, mut request: Request, next: Next) -> Response {
    let Some(peer) = request.extensions().get::<Peer>().copied() else { return next.run(request).await };
    let caller = caller(peer.address.ip(), request.headers(), &state.settings.trusted_proxies);
    if caller != peer.address.ip() {
        // The port is the proxy's, and nobody's business.
        request.extensions_mut().insert(Peer { address: (caller, 0).into(), ..peer });
    }
    acting_from(caller, next.run(request)).await
}

/// Who really called: behind trusted proxies the nearest address of `X-Forwarded-For` that is none of them. What a
/// caller writes there by themself stands further left and is never reached.
fn caller(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut caller = peer.to_canonical();
    if !is_trusted(caller) {
        return caller;
    }
    let lines: Vec<&str> =
        headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok()).collect();
    for hop in lines.join(",").rsplit(',') {
        let Ok(address) = hop.trim().parse::<IpAddr>() else { break };
        caller = address.to_canonical();
        if !is_trusted(caller) {
            break;
        }
    }
    caller
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        caller(peer.parse().unwrap(), &headers, &["10.0.0.0/8".parse().unwrap()]).to_string()
    }

    #[test]
    fn only_a_declared_proxy_is_believed() {
        assert_eq!(seen("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(seen("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(seen("::ffff:10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(seen("10.0.0.1", &["6.6.6.6, 198.51.100.7, 10.0.0.2"]), "198.51.100.7");
        assert_eq!(seen("10.0.0.1", &["6.6.6.6", "198.51.100.7"]), "198.51.100.7");
        assert_eq!(seen("10.0.0.1", &["6.6.6.6, nonsense"]), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &[]), "10.0.0.1");
    }

    #[tokio::test]
    async fn outside_of_a_request_there_is_no_address() {
        assert_eq!(address(), None);
        let here: IpAddr = "192.0.2.1".parse().unwrap();
        assert_eq!(acting_from(here, async { address() }).await, Some(here));
    }
}
