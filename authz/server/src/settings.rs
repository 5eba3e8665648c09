//! What the authorization server needs to know, in its own words: made from the program's configuration once.

use std::{path::PathBuf, sync::Arc};

use access_token::{Algorithm, DpopNonces, MalformedScope, Scope, authentication_methods};
use authz_domain::{
    ApiRole, ChainKey, HeldRole, OrganisationCategory, SecretLifetime, SecretPepper, SigningKeyPolicy,
    UnknownCategory,
};
use config::{DataFiles, Delivery, Lifetime, MasterKey, Purpose, Settings, Span, TlsMode, TokenAlgorithm};
use pms_terms::OrganisationId;
use thiserror::Error;
use time::Duration;
use zeroize::Zeroizing;

use crate::{portal::settings::PortalSettings, public_address::Reach};

/// What verifiers may tolerate in clock differences; revocations outlive their last token by as much.
pub(crate) const LEEWAY: Duration = Duration::minutes(5);

/// The settings of the authorization server.
#[derive(Clone, Debug)]
pub struct AuthzSettings {
    /// Where clients reach it, without a slash at the end.
    pub base_url: String,
    /// The issuer of tokens from `/oauth2/token`, without a slash at the end.
    pub issuer: String,
    /// Tenant segments of `/{tenant}/oauth2/v2.0/token`; the first is the default one. Never empty.
    pub tenants: Vec<String>,
    /// How long a token lives, unless its secret ends before.
    pub token_lifetime: Duration,
    /// Whether DPoP proofs must hold a nonce of ours.
    pub dpop_nonces: bool,
    /// How long verifiers may keep the key set.
    pub key_set_max_age: Duration,
    /// How signing keys follow each other.
    pub signing_keys: SigningKeyPolicy,
    /// How long a secret lives.
    pub secret_lifetime: SecretLifetime,
    /// How long an old secret works beside its successor.
    pub overlap: Duration,
    /// How new secrets are mailed.
    pub delivery: Delivery,
    /// How long a mailed link to a secret works.
    pub link_lifetime: Duration,
    /// Whether people may renew credentials whose secret has expired.
    pub renewal_after_expiry: bool,
    /// The most clients of one organisation, revoked ones not counted.
    pub clients_per_organisation: u32,
    /// Whether errors carry the numbers that Entra ID would give.
    pub entra_errors: bool,
    /// The API roles.
    pub roles: Vec<Arc<ApiRole>>,
    /// The API products, for people who look at the root page.
    pub products: Vec<ProductLink>,
    /// Whether this is a sandbox.
    pub sandbox: bool,
    /// Whether the server's certificate is its own make, which nobody knows who was not told.
    pub development_certificate: bool,
    /// How far the configuration moves a sandbox's clock.
    pub clock_offset: Duration,
    /// Which webhooks are called, and how.
    pub webhooks: WebhookSettings,
    /// From where keys of clients are read, and how.
    pub client_keys: ClientKeySettings,
    /// Mutual TLS with clients, where there is any.
    pub mutual_tls: Option<MutualTlsSettings>,
    /// The portal.
    pub portal: Arc<PortalSettings>,
}

/// Which webhooks are called, and how.
#[derive(Clone, Debug)]
pub struct WebhookSettings {
    /// Where they may be.
    pub reach: Reach,
    /// Whether `http://` is taken, too.
    pub plain_http: bool,
    /// How long one call may take.
    pub timeout: std::time::Duration,
}

/// From where the keys that clients publish are read, and how.
#[derive(Clone, Debug)]
pub struct ClientKeySettings {
    /// Where they may be published.
    pub reach: Reach,
    /// Certificates in PEM to trust beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// How long one reading may take.
    pub timeout: std::time::Duration,
}

/// Mutual TLS with clients.
#[derive(Clone, Debug)]
pub struct MutualTlsSettings {
    /// Certificates in PEM of those who may say whom a client's certificate is for.
    pub issuers_file: Option<PathBuf>,
    /// How often that file is looked at for a change.
    pub check_every: std::time::Duration,
    /// Where certificates are asked for, when that is not at `base_url`; without a slash at the end.
    pub url: Option<String>,
}

/// An API product as the root page shows it.
#[derive(Clone, Debug)]
pub struct ProductLink {
    /// Its name.
    pub title: String,
    /// Its path below the base URL.
    pub base_path: String,
    /// Its FHIR version.
    pub fhir_version: &'static str,
    /// What stands before `/.default` in the scope to ask for.
    pub resource: String,
}

/// A configuration that this server cannot use.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SettingsError {
    /// A role's scopes cannot be read.
    #[error("the role {role} of the catalogue has a scope that cannot be read")]
    RoleScope {
        /// The role.
        role: String,
        /// What is wrong with it.
        #[source]
        source: MalformedScope,
    },
    /// A kind of organisation in the access catalogue that is not known.
    #[error("the access catalogue has a role for a kind of organisation that is not known")]
    AccessCategory(#[source] UnknownCategory),
    /// A role's organisation category has no meaning here.
    #[error("the role {role} of the catalogue is for a kind of organisation that is not known")]
    RoleCategory {
        /// The role.
        role: String,
        /// Which kind.
        #[source]
        source: UnknownCategory,
    },
}

impl AuthzSettings {
    /// From the program's configuration; `base_url` is where clients reach it when nothing else is configured.
    pub fn from_config(
        settings: &Settings,
        files: &DataFiles,
        base_url: &str,
    ) -> Result<Self, SettingsError> {
        let tokens = &settings.tokens;
        let token_lifetime = span(tokens.lifetime);
        let key_set_max_age = span(tokens.key_set_max_age);
        let roles = files.catalogue.roles().iter().map(role).collect::<Result<_, _>>()?;
        let products = files
            .products
            .iter()
            .map(|product| ProductLink {
                title: product.title.clone(),
                base_path: product.base_path.clone(),
                fhir_version: product.fhir_version.as_str(),
                resource: product.resource.clone(),
            })
            .collect();
        Ok(Self {
            base_url: base_url.to_owned(),
            issuer: tokens.issuer.clone().unwrap_or_else(|| base_url.to_owned()),
            tenants: tokens.tenants.clone(),
            token_lifetime,
            dpop_nonces: tokens.dpop_nonces,
            key_set_max_age,
            signing_keys: SigningKeyPolicy {
                algorithm: match tokens.algorithm {
                    TokenAlgorithm::Es256 => Algorithm::Es256,
                    TokenAlgorithm::Rs256 => Algorithm::Rs256,
                    TokenAlgorithm::EdDsa => Algorithm::EdDsa,
                },
                signs_for: span(tokens.key_rotation),
                lead: span(tokens.key_lead),
                token_lifetime: token_lifetime + LEEWAY,
                cache_lifetime: key_set_max_age,
            },
            secret_lifetime: match settings.credentials.lifetime {
                Lifetime::Years(years) => {
                    SecretLifetime::CalendarYears(u8::try_from(years).unwrap_or(u8::MAX))
                }
                Lifetime::Days(days) => SecretLifetime::Exactly(Duration::days(i64::from(days))),
            },
            overlap: span(settings.credentials.overlap),
            delivery: settings.credentials.delivery,
            link_lifetime: span(settings.credentials.link_lifetime),
            renewal_after_expiry: settings.credentials.renewal_after_expiry,
            clients_per_organisation: settings.credentials.clients_per_organisation,
            entra_errors: settings.compat.entra_errors,
            roles,
            products,
            sandbox: settings.is_sandbox(),
            development_certificate: settings.listen.tls == TlsMode::Development,
            clock_offset: Duration::seconds(settings.sandbox_clock.seconds),
            webhooks: WebhookSettings {
                reach: Reach::new(settings.webhooks.allowed_networks.clone()),
                plain_http: settings.is_sandbox(),
                timeout: settings.webhooks.timeout.0,
            },
            client_keys: ClientKeySettings {
                reach: Reach::new(settings.client_keys.allowed_networks.clone()),
                ca_file: settings.client_keys.ca_file.clone(),
                timeout: settings.client_keys.timeout.0,
            },
            mutual_tls: settings.listen.has_mutual_tls().then(|| MutualTlsSettings {
                issuers_file: settings.client_keys.certificate_issuers_file.clone(),
                check_every: settings.listen.certificate_check.0,
                url: settings.listen.mutual_tls_url.clone(),
            }),
            portal: Arc::new(
                PortalSettings::from_config(settings, files).map_err(SettingsError::AccessCategory)?,
            ),
        })
    }

    /// The role with this id.
    pub fn role(&self, id: &str) -> Option<&Arc<ApiRole>> {
        self.roles.iter().find(|role| role.id == id)
    }

    /// The organisations whose API clients somebody with these roles looks after.
    pub(crate) fn administered(&self, held: &[HeldRole]) -> Vec<OrganisationId> {
        let catalogue = &self.portal.catalogue;
        let administers =
            |role: &String| self.roles.iter().any(|api| catalogue.administrators_of(&api.id).contains(role));
        let mut places: Vec<OrganisationId> = held
            .iter()
            .filter(|one| administers(&one.role))
            .filter_map(|one| one.organisation.clone())
            .collect();
        places.sort();
        places.dedup();
        places
    }

    /// The tenant of tokens from `/oauth2/token`.
    pub(crate) fn default_tenant(&self) -> &str {
        self.tenants.first().map_or("", String::as_str)
    }

    /// The issuer of one tenant's tokens.
    pub(crate) fn tenant_issuer(&self, tenant: &str) -> String {
        format!("{}/{tenant}/v2.0", self.issuer)
    }

    /// Every issuer this server signs for: the root one and one a tenant. What gateways trust.
    pub fn issuers(&self) -> Vec<String> {
        std::iter::once(self.issuer.clone())
            .chain(self.tenants.iter().map(|tenant| self.tenant_issuer(tenant)))
            .collect()
    }

    /// The token endpoint.
    pub fn token_url(&self) -> String {
        format!("{}/oauth2/token", self.base_url)
    }

    /// How clients may authenticate.
    pub(crate) fn authentication_methods(&self) -> Vec<&'static str> {
        let issuers = self.mutual_tls.as_ref().and_then(|tls| tls.issuers_file.as_ref());
        authentication_methods(self.mutual_tls.is_some(), issuers.is_some())
    }

    /// What a client may call this server in an assertion: its issuers and token endpoints.
    pub(crate) fn audiences(&self) -> Vec<String> {
        let endpoints =
            self.tenants.iter().map(|tenant| format!("{}/{tenant}/oauth2/v2.0/token", self.base_url));
        self.issuers().into_iter().chain([self.token_url()]).chain(endpoints).collect()
    }

    /// The distinct resources of all roles, in the order of the catalogue.
    pub(crate) fn resources(&self) -> Vec<&str> {
        let mut resources = Vec::new();
        for role in &self.roles {
            if !resources.contains(&role.resource.as_str()) {
                resources.push(role.resource.as_str());
            }
        }
        resources
    }
}

fn span(span: Span) -> Duration {
    Duration::try_from(span.0).unwrap_or(Duration::MAX)
}

fn role(role: &config::Role) -> Result<Arc<ApiRole>, SettingsError> {
    let scope = Scope::parse(&role.scopes)
        .map_err(|source| SettingsError::RoleScope { role: role.id.clone(), source })?;
    let categories = role
        .organisation_categories
        .iter()
        .map(|category| category.as_str().parse::<OrganisationCategory>())
        .collect::<Result<_, _>>()
        .map_err(|source| SettingsError::RoleCategory { role: role.id.clone(), source })?;
    Ok(Arc::new(ApiRole {
        id: role.id.clone(),
        title: role.title.clone(),
        token_role: role.token_role.clone(),
        stakeholder: role.stakeholder,
        categories,
        resource: role.resource.clone(),
        scope,
    }))
}

/// The keys that this server derives from the master key. `Debug` shows none of them.
#[derive(Clone)]
pub struct AuthzKeys {
    pub(crate) pepper: SecretPepper,
    pub(crate) pepper_bytes: Zeroizing<[u8; 32]>,
    pub(crate) seal: Zeroizing<[u8; 32]>,
    pub(crate) feed: Zeroizing<String>,
    pub(crate) portal: Zeroizing<[u8; 32]>,
    pub(crate) dpop_nonces: DpopNonces,
    pub(crate) audit: ChainKey,
}

impl AuthzKeys {
    /// Derives them.
    pub fn derive(master_key: &MasterKey) -> Self {
        let pepper_bytes = master_key.derive(Purpose::ClientSecretPepper);
        Self {
            pepper: SecretPepper::new(&pepper_bytes),
            pepper_bytes,
            seal: master_key.derive(Purpose::SigningKeySeal),
            portal: master_key.derive(Purpose::Portal),
            dpop_nonces: DpopNonces::new(&master_key.derive(Purpose::DpopNonce)),
            audit: ChainKey::new(&master_key.derive(Purpose::AuditChain)),
            feed: Zeroizing::new(hex::encode(master_key.derive(Purpose::RevocationFeed).as_slice())),
        }
    }
}

impl std::fmt::Debug for AuthzKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuthzKeys(…)")
    }
}
