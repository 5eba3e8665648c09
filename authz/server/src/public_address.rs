//! Calling addresses that others chose: webhooks, and the keys that clients publish.
//!
//! Whoever names an address chooses whom this server calls. So it calls public addresses only, unless the configuration
//! names others; it looks at the address it really connects to, follows no redirects, uses no proxy of its environment,
//! and waits a bounded time.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use config::Network;
use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where this server may be made to call.
#[derive(Clone, Debug)]
pub struct Reach(Arc<[Network]>);

impl Reach {
    /// Public addresses, and those of these networks.
    pub fn new(allowed: Vec<Network>) -> Self {
        Self(allowed.into())
    }

    fn allows(&self, address: IpAddr) -> bool {
        is_public(address) || self.0.iter().any(|one| one.contains(address))
    }

    /// Whether the address that stands in a URL in place of a name may be called. Names are looked at when they are
    /// resolved.
    pub(crate) fn admits(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse();
        literal.map_or(true, |address| self.allows(address))
    }

    /// An HTTP client that calls nowhere else and waits no longer than `timeout`. What it is given must have been asked
    /// for with [`Reach::admits`]: an address in a URL is not resolved.
    pub(crate) fn client(&self, timeout: Duration) -> reqwest::ClientBuilder {
        reqwest::Client::builder()
            .dns_resolver(Arc::new(Guarded(self.clone())))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(timeout)
            .pool_max_idle_per_host(0)
            .user_agent("pmsgate")
    }
}

/// Looks names up and leaves out what may not be called, so that a name cannot lead inside.
struct Guarded(Reach);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|address| reach.allows(address.ip())).collect();
            if allowed.is_empty() {
                return Err("the name leads to an internal address".into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Whether an address belongs to the public internet (IANA special-purpose registries, RFC 6890).
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        // Shared by carriers, protocol assignments, benchmarks.
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b)))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, .., last_but_one, last] = address.segments();
    match (first, second) {
        // NAT64 leads to the IPv4 address at its end.
        (0x64, 0xff9b) => is_public_v4(Ipv4Addr::from_bits(u32::from(last_but_one) << 16 | u32::from(last))),
        // Global unicast, without 6to4, documentation and protocol assignments.
        (0x2002, _) | (0x2001, 0..=0x01ff | 0x0db8) | (0x3fff, 0..=0x0fff) => false,
        _ => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_inside_is_called() {
        for inside in [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.3.4",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "203.0.113.5",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "2001:db8::1",
            "2002:a00:1::",
            "64:ff9b::a00:1",
            "2001::1",
        ] {
            assert!(!is_public(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "64:ff9b::101:101", "2a00:1450::1"] {
            assert!(is_public(outside.parse().unwrap()), "{outside}");
        }
    }
}
