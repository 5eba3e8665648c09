//! Calling webhooks: where to may be called, and one call.
//!
//! Whoever sets a webhook up chooses whom this server calls. So it calls public addresses only, unless the configuration
//! names others; it looks at the address it really connects to, follows no redirects, uses no proxy of its environment,
//! waits a bounded time and reads nothing of the answer but its status.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use authz_domain::MessageSecret;
use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};
use time::OffsetDateTime;

use crate::settings::WebhookSettings;

/// Characters of an address.
const MAX_URL: usize = 500;
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What became of a call. The text holds nothing that the receiver sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was taken.
    Taken,
    /// It was not, for this reason.
    Failed(String),
    /// The receiver says that it wants no more (410).
    Gone,
}

/// Checks where a webhook wants to be called. The text of a refusal is for the person.
pub(crate) fn check_url(text: &str, settings: &WebhookSettings) -> Result<Url, String> {
    let text = text.trim();
    if text.len() > MAX_URL {
        return Err(format!("An address has at most {MAX_URL} characters."));
    }
    let url = Url::parse(text)
        .map_err(|_| "Write the whole address, for example https://example.org/hook.".to_owned())?;
    match url.scheme() {
        "https" => {}
        "http" if settings.plain_http => {}
        _ => return Err("The address must begin with https://.".to_owned()),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("An address with a user name or password cannot be used.".to_owned());
    }
    if url.fragment().is_some() {
        return Err("Leave out what stands behind #: it would not be sent.".to_owned());
    }
    literal(&url).map_or(Ok(()), |address| allow(address, settings))?;
    Ok(url)
}

/// The address that stands in a URL in place of a name.
fn literal(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn allow(address: IpAddr, settings: &WebhookSettings) -> Result<(), String> {
    let allowed = is_public(address) || settings.allowed_networks.iter().any(|one| one.contains(address));
    if allowed {
        Ok(())
    } else {
        Err("This is an internal address. Internal networks are called only when webhooks.allowed_networks names \
             them."
            .to_owned())
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

/// Looks names up and leaves out what may not be called, so that a name cannot lead inside.
struct Guarded(Arc<WebhookSettings>);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let settings = Arc::clone(&self.0);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> =
                found.filter(|address| allow(address.ip(), &settings).is_ok()).collect();
            if allowed.is_empty() {
                return Err("the name leads to an internal address".into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// What calls webhooks.
#[derive(Debug)]
pub(crate) struct Caller {
    http: reqwest::Client,
    settings: Arc<WebhookSettings>,
}

impl Caller {
    pub(crate) fn new(settings: &WebhookSettings) -> Result<Self, reqwest::Error> {
        let settings = Arc::new(settings.clone());
        let http = reqwest::Client::builder()
            .dns_resolver(Arc::new(Guarded(Arc::clone(&settings))))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(settings.timeout)
            .pool_max_idle_per_host(0)
            .user_agent("pmsgate")
            .build()?;
        Ok(Self { http, settings })
    }

    /// Makes one call. `at` is the time that the receiver compares with its own clock.
    pub(crate) async fn call(
        &self,
        url: &str,
        secret: &MessageSecret,
        id: &str,
        body: &str,
        at: OffsetDateTime,
    ) -> Outcome {
        // Again: the configuration may be another one than when it was set up.
        let url = match check_url(url, &self.settings) {
            Ok(url) => url,
            Err(refused) => return Outcome::Failed(refused),
        };
        let timestamp = at.unix_timestamp();
        let request = self
            .http
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", secret.sign(id, timestamp, body))
            .body(body.to_owned());
        match request.send().await {
            Ok(answer) if answer.status().is_success() => Outcome::Taken,
            Ok(answer) if answer.status() == http::StatusCode::GONE => Outcome::Gone,
            Ok(answer) => Outcome::Failed(format!("answered {}", answer.status().as_u16())),
            Err(error) if error.is_timeout() => Outcome::Failed("did not answer in time".to_owned()),
            Err(error) if error.is_connect() => {
                tracing::debug!(
                    error = &error.without_url() as &dyn std::error::Error,
                    "a webhook is not reached"
                );
                Outcome::Failed("cannot be reached".to_owned())
            }
            Err(_) => Outcome::Failed("the call broke off".to_owned()),
        }
    }
}

impl std::fmt::Debug for Guarded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Guarded")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(allowed: &[&str], plain_http: bool) -> WebhookSettings {
        WebhookSettings {
            allowed_networks: allowed.iter().map(|network| network.parse().unwrap()).collect(),
            plain_http,
            timeout: Duration::from_secs(1),
        }
    }

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

    #[test]
    fn an_address_is_checked_before_it_is_kept() {
        let strict = settings(&[], false);
        assert!(check_url("https://hooks.example.org/a?b=c", &strict).is_ok());
        for wrong in [
            "http://hooks.example.org/",
            "ftp://hooks.example.org/",
            "https://me:hush@hooks.example.org/",
            "https://hooks.example.org/#a",
            "https://127.0.0.1/",
            "https://[::1]:8443/",
            "https://2130706433/",
            "https://0x7f.1/",
            "/hook",
            "",
        ] {
            assert!(check_url(wrong, &strict).is_err(), "{wrong}");
        }
        assert!(check_url(&format!("https://x.example/{}", "a".repeat(500)), &strict).is_err());
        let sandbox = settings(&["127.0.0.0/8"], true);
        assert!(check_url("http://127.0.0.1:9000/hook", &sandbox).is_ok());
        assert!(check_url("http://10.0.0.1/hook", &sandbox).is_err());
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_called() {
        // The program installs it; here nobody has.
        let _ = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider().install_default();
        let caller = Caller::new(&settings(&[], true)).unwrap();
        let secret = MessageSecret::from_entropy([1; 32]);
        let now = OffsetDateTime::UNIX_EPOCH;
        for url in ["http://localhost:9/", "http://127.0.0.1:9/"] {
            let outcome = caller.call(url, &secret, "msg_1", "{}", now).await;
            assert!(matches!(outcome, Outcome::Failed(_)), "{url}: {outcome:?}");
        }
    }
}
