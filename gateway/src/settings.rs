//! What the gateway is told at start: plain values, put together from the configuration by the program.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use access_token::{DpopNonces, authentication_methods};
pub use config::Http2;
use config::{ApiProduct, Catalogue, DataFile, DataFiles, FeedLoss, ParameterTexts, RequestLimits};
use zeroize::Zeroizing;

/// Everything the gateway needs to know.
#[derive(Clone, Debug)]
pub struct GatewaySettings {
    /// The base of all public addresses, without a slash at its end: `https://localhost:8443`.
    pub public_base_url: String,
    /// The token endpoint that CapabilityStatements and SMART configurations name.
    pub token_endpoint: String,
    /// How clients may authenticate there, as SMART configurations say it.
    pub authentication_methods: Vec<&'static str>,
    /// Whether callers' certificates are known here, so that tokens may be bound to them (RFC 9728 §2).
    pub certificate_bound_tokens: bool,
    /// The issuers whose tokens are trusted. The first is named as authorization server (RFC 9728).
    pub issuers: Vec<String>,
    /// Where the issuers' JWK Set is (RFC 7517).
    pub jwks_url: String,
    /// How often the JWK Set is read again without being asked to.
    pub jwks_refresh: Duration,
    /// The least time between two reads that an unknown `kid` causes.
    pub jwks_cool_down: Duration,
    /// The feed of revocations; none: revocation is not watched (a foreign issuer).
    pub revocations: Option<RevocationSettings>,
    /// Admitted difference between the issuer's clock and ours.
    pub clock_skew: Duration,
    /// How many verified tokens are remembered.
    pub token_cache_capacity: u64,
    /// What makes the nonces that DPoP proofs must hold; none: they need none.
    pub dpop_nonces: Option<DpopNonces>,
    /// The API products.
    pub products: Vec<ProductSettings>,
    /// The access-level matrix; read only where a product is filtered here.
    pub access_levels: DataFile,
    /// Limits on waits and sizes towards the upstream.
    pub limits: Limits,
    /// Keeping answers; none: every answer comes from an upstream.
    pub response_cache: Option<ResponseCacheSettings>,
    /// How upstreams are spoken to, where that is not the usual way.
    pub upstreams: Vec<UpstreamSettings>,
    /// How often clients may call.
    pub rate_limits: RateLimitSettings,
    /// Where the record of who read what is kept; none: there is no record.
    pub audit: Option<AuditSettings>,
    /// What the documents say about query parameters.
    pub parameter_texts: ParameterTexts,
    /// Whether callers may ask for faults to learn from.
    pub sandbox: bool,
    /// Answer 401, 404 and 429 in the shape of the agency's API management layer instead of FHIR.
    pub apim_errors: bool,
}

/// What the configuration alone does not know: addresses are settled when listeners are bound.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// By which clients reach the public listener, without a slash at its end.
    pub public_base_url: String,
    /// By which the gateway reaches the authorization server, without a slash at its end.
    pub authz_url: String,
    /// By which the gateway reaches the product backend: `http://host:port`.
    pub backend_url: String,
}

impl GatewaySettings {
    /// Puts the settings together. `feed_key`: what the revocation feed asks for.
    pub fn new(
        settings: &config::Settings,
        files: &DataFiles,
        addresses: &Addresses,
        feed_key: String,
    ) -> Self {
        let DataFiles { products, catalogue, limits, access_levels } = files;
        let section = &settings.gateway;
        let certificates = settings.listen.has_mutual_tls();
        let issuer = settings.tokens.issuer.clone().unwrap_or_else(|| addresses.public_base_url.clone());
        let tenants = settings.tokens.tenants.iter().map(|tenant| format!("{issuer}/{tenant}/v2.0"));
        let token_roles = |product: &ApiProduct| {
            product
                .roles
                .iter()
                .filter_map(|role| catalogue.role(role))
                .map(|role| role.token_role.clone())
                .collect()
        };
        Self {
            public_base_url: addresses.public_base_url.clone(),
            token_endpoint: format!("{}/oauth2/token", addresses.public_base_url),
            authentication_methods: authentication_methods(
                certificates,
                settings.client_keys.certificate_issuers_file.is_some(),
            ),
            certificate_bound_tokens: certificates,
            issuers: std::iter::once(issuer.clone()).chain(tenants).collect(),
            jwks_url: format!("{}/oauth2/jwks", addresses.authz_url),
            jwks_refresh: section.key_set_max_age.0,
            jwks_cool_down: section.key_set_cool_down.0,
            revocations: Some(RevocationSettings {
                feed_url: format!("{}/oauth2/revocations", addresses.authz_url),
                feed_key,
                feed_loss: section.feed_loss,
                feed_timeout: section.feed_timeout.0,
            }),
            clock_skew: section.clock_skew.0,
            token_cache_capacity: section.token_cache,
            dpop_nonces: None,
            products: products
                .iter()
                .map(|product| ProductSettings {
                    token_roles: token_roles(product),
                    upstreams: if product.upstreams.is_empty() {
                        vec![addresses.backend_url.clone()]
                    } else {
                        product.upstreams.clone()
                    },
                    product: product.clone(),
                })
                .collect(),
            access_levels: access_levels.clone(),
            limits: Limits {
                connect_timeout: section.connect_timeout.0,
                answer_timeout: section.answer_timeout.0,
                total_timeout: section.total_timeout.0,
                max_in_flight: section.max_in_flight,
                max_body: section.max_body,
            },
            response_cache: (section.response_cache_bytes > 0).then_some(ResponseCacheSettings {
                bytes: section.response_cache_bytes,
                entry_bytes: section.response_cache_entry_bytes,
                max_age: section.response_cache_max_age.0,
            }),
            upstreams: section.upstreams.iter().map(UpstreamSettings::of).collect(),
            rate_limits: RateLimitSettings {
                rules: RateLimitRules::new(limits, catalogue),
                shared: section
                    .limits_url
                    .clone()
                    .map(|url| SharedStoreSettings { url, timeout: section.limits_timeout.0 }),
            },
            audit: None,
            parameter_texts: products.parameter_texts().clone(),
            sandbox: settings.is_sandbox(),
            apim_errors: settings.compat.apim_errors,
        }
    }
}

/// Where revocations come from and what to do without them.
#[derive(Clone)]
pub struct RevocationSettings {
    /// The feed's address: `…/oauth2/revocations`.
    pub feed_url: String,
    /// The bearer key that the feed asks for.
    pub feed_key: String,
    /// What happens to requests while the feed is silent.
    pub feed_loss: FeedLoss,
    /// How long a feed may be silent before it counts as lost.
    pub feed_timeout: Duration,
}

impl fmt::Debug for RevocationSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationSettings")
            .field("feed_url", &self.feed_url)
            .field("feed_loss", &self.feed_loss)
            .field("feed_timeout", &self.feed_timeout)
            .finish_non_exhaustive()
    }
}

/// How much of answers is kept, and for how long.
#[derive(Clone, Debug)]
pub struct ResponseCacheSettings {
    /// Bytes in all.
    pub bytes: u64,
    /// Bytes of the longest body.
    pub entry_bytes: u64,
    /// After which an answer is asked for again although nothing is known to have changed.
    pub max_age: Duration,
}

/// How often clients may call, and where what they used up is kept.
#[derive(Clone, Debug)]
pub struct RateLimitSettings {
    /// The rows of the data file.
    pub rules: RateLimitRules,
    /// Shared by several gateways; none: every gateway limits by itself.
    pub shared: Option<SharedStoreSettings>,
}

/// The rows of the data file, and what its roles are called in tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimitRules {
    /// The rows.
    pub limits: RequestLimits,
    /// Names in tokens by role.
    pub token_roles: BTreeMap<String, String>,
}

impl RateLimitRules {
    /// The rules of the two data files.
    pub fn new(limits: &RequestLimits, catalogue: &Catalogue) -> Self {
        let roles = limits.rows.iter().filter_map(|row| catalogue.role(row.role.as_ref()?));
        Self {
            token_roles: roles.map(|role| (role.id.clone(), role.token_role.clone())).collect(),
            limits: limits.clone(),
        }
    }
}

/// Where the record of who read what is kept, and what happens when it cannot keep up.
#[derive(Clone)]
pub struct AuditSettings {
    /// The folder of the trails.
    pub folder: PathBuf,
    /// The key that records are chained by.
    pub key: Zeroizing<[u8; 32]>,
    /// Bytes after which another file is begun.
    pub file_size: u64,
    /// Records that may wait to be written.
    pub queue: usize,
    /// Whether calls are refused when there is no place for their record. Otherwise they leave none, which is counted.
    pub refuses_when_full: bool,
}

impl fmt::Debug for AuditSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditSettings").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// A Valkey or Redis server.
#[derive(Clone)]
pub struct SharedStoreSettings {
    /// `redis://…`, or `rediss://…` for TLS; may hold a password.
    pub url: String,
    /// How long a request waits for it.
    pub timeout: Duration,
}

impl fmt::Debug for SharedStoreSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedStoreSettings").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// How one upstream is spoken to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// Its host and port, as they stand in its address.
    pub authority: String,
    /// PEM file of the authorities that may vouch for it; none: those that this machine trusts.
    pub ca_file: Option<PathBuf>,
    /// PEM file of our certificate chain, where it asks who we are.
    pub certificate_file: Option<PathBuf>,
    /// PEM file of our private key.
    pub key_file: Option<PathBuf>,
    /// The name that its certificate must be for; none: the host of its address.
    pub server_name: Option<String>,
    /// Whether HTTP/2 is spoken.
    pub http2: Http2,
}

impl UpstreamSettings {
    /// Whether it says anything about TLS.
    pub(crate) fn has_tls(&self) -> bool {
        let files = [&self.ca_file, &self.certificate_file, &self.key_file];
        files.into_iter().any(Option::is_some) || self.server_name.is_some()
    }

    fn of((authority, section): (&String, &config::Upstream)) -> Self {
        Self {
            authority: authority.clone(),
            ca_file: section.ca_file.clone(),
            certificate_file: section.certificate_file.clone(),
            key_file: section.key_file.clone(),
            server_name: section.server_name.clone(),
            http2: section.http2,
        }
    }
}

/// Limits on waits and sizes.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Until a connection to the upstream stands.
    pub connect_timeout: Duration,
    /// Until the head of the upstream's answer is there.
    pub answer_timeout: Duration,
    /// Until the upstream's whole answer is there.
    pub total_timeout: Duration,
    /// Requests in flight to the upstreams at once, for each worker.
    pub max_in_flight: usize,
    /// The largest request body, in bytes.
    pub max_body: u64,
}

/// One API product and what the data file alone does not say about it.
#[derive(Clone, Debug)]
pub struct ProductSettings {
    /// The product as the data file has it.
    pub product: ApiProduct,
    /// The roles that may call it, by their names in tokens: `PMS.Industry.API`.
    pub token_roles: Vec<String>,
    /// Where its backends are: `http://127.0.0.1:8081`. Asked for the same path as the gateway, all by the first
    /// one's name (`Host`), so that their links are the same.
    pub upstreams: Vec<String>,
}

#[cfg(test)]
mod tests {
    use config::{Data, DataFiles, Settings};

    use super::*;
    use crate::routes::Routes;

    #[test]
    fn the_shipped_products_make_a_route_table() {
        let settings = Settings::default();
        let files = DataFiles::load(&Data::default()).unwrap();
        let addresses = Addresses {
            public_base_url: "https://localhost:8443".into(),
            authz_url: "https://localhost:8443".into(),
            backend_url: "http://127.0.0.1:8081".into(),
        };
        let settings = GatewaySettings::new(&settings, &files, &addresses, "k".into());
        assert_eq!(settings.issuers.len(), 2);
        assert!(
            settings.issuers[1].starts_with("https://localhost:8443/")
                && settings.issuers[1].ends_with("/v2.0")
        );
        assert!(settings.products.iter().all(|product| !product.token_roles.is_empty()));
        let routes = Routes::compile(&settings).unwrap();
        assert_eq!(routes.clusters().len(), 1);
        assert!(routes.owns("/public/v1/swagger"));
        assert!(!format!("{settings:?}").contains("\"k\""), "the feed key is silent");
    }

    #[test]
    fn the_page_about_foreign_servers_makes_a_route_table() {
        let page = include_str!("../../docs/foreign-servers.md");
        let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let folder = std::env::temp_dir().join(format!("pmsgate-foreign-{}", std::process::id()));
        let shipped = include_str!("../../config/products.toml");
        let (products, parameters) = shipped.split_once("\n[parameter.").unwrap();
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("products.toml");
        std::fs::write(&path, format!("{products}\n{example}\n[parameter.{parameters}")).unwrap();
        let files = DataFiles::load(&Data { products: Some(path), ..Data::default() });
        std::fs::remove_dir_all(&folder).unwrap();
        let settings = GatewaySettings::new(
            &Settings::default(),
            &files.unwrap(),
            &Addresses {
                public_base_url: "https://localhost:8443".into(),
                authz_url: "https://localhost:8443".into(),
                backend_url: "http://127.0.0.1:8081".into(),
            },
            "k".into(),
        );
        let routes = Routes::compile(&settings).unwrap();
        let foreign = routes.products().iter().filter(|product| product.foreign.is_some());
        assert_eq!(foreign.map(|product| product.id.as_str()).collect::<Vec<_>>(), ["partner-r5"]);
    }
}
