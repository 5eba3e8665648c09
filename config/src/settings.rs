//! All settings together: where they come from, and what must fit together.

use std::path::Path;

use figment::{
    Figment,
    providers::{Env, Format, Serialized, Toml},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Audit, Backend, ClientAddressFrom, ClientKeys, ClockOffset, Compat, ConfigError, Credentials, Data,
    DatabaseSection, Gateway, Listen, Mail, Portal, Span, Telemetry, TlsMode, Tokens, Webhooks,
};

/// The whole configuration of the program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// What the installation is for. `production` refuses everything that belongs to a sandbox.
    pub environment: Environment,
    /// Whether this is a sandbox: demo data in an empty database, faults and a movable clock on request. Default:
    /// yes outside production.
    pub sandbox: Option<bool>,
    /// Moves a sandbox's clock, so that an integrator can meet an expired token or secret today.
    pub sandbox_clock: ClockOffset,
    /// Where the program is reached.
    pub listen: Listen,
    /// Where things are stored.
    pub database: DatabaseSection,
    /// What the token endpoint hands out.
    pub tokens: Tokens,
    /// The life of a client secret.
    pub credentials: Credentials,
    /// By what clients prove themselves in place of a secret.
    pub client_keys: ClientKeys,
    /// How people register, sign in and ask for access.
    pub portal: Portal,
    /// How e-mails leave the house.
    pub mail: Mail,
    /// Telling other systems what happens.
    pub webhooks: Webhooks,
    /// Whom the gateway trusts, where it forwards, and its limits.
    pub gateway: Gateway,
    /// The record of who read what, kept by the gateway.
    pub audit: Audit,
    /// The product backend.
    pub backend: Backend,
    /// What the program tells about itself.
    pub telemetry: Telemetry,
    /// Looking more like the agency's present services.
    pub compat: Compat,
    /// Files that replace the data compiled in.
    pub data: Data,
}

/// What an installation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// A laptop, CI, a training system.
    Development,
    /// Real callers, real deadlines.
    Production,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            environment: Environment::Development,
            sandbox: None,
            sandbox_clock: ClockOffset::default(),
            listen: Listen::default(),
            database: DatabaseSection::default(),
            tokens: Tokens::default(),
            credentials: Credentials::default(),
            client_keys: ClientKeys::default(),
            portal: Portal::default(),
            mail: Mail::default(),
            webhooks: Webhooks::default(),
            gateway: Gateway::default(),
            audit: Audit::default(),
            backend: Backend::default(),
            telemetry: Telemetry::default(),
            compat: Compat::default(),
            data: Data::default(),
        }
    }
}

/// The prefix of environment variables that override keys: `PMSGATE__LISTEN__ADDRESS`.
const PREFIX: &str = "PMSGATE__";

impl Settings {
    /// Defaults, then `file`, then the environment; checked.
    ///
    /// # Errors
    /// The first thing that is wrong, with key and place.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(path) = file {
            if let Err(error) = std::fs::File::open(path) {
                return Err(ConfigError::Unreadable {
                    path: path.display().to_string(),
                    reason: error.to_string(),
                });
            }
            figment = figment.merge(Toml::file_exact(path));
        }
        let settings: Self = figment
            .merge(Env::prefixed(PREFIX).split("__"))
            .extract()
            .map_err(|error| ConfigError::from_figment(&error))?;
        settings.check()?;
        Ok(settings)
    }

    /// Whether this is a sandbox.
    pub fn is_sandbox(&self) -> bool {
        self.sandbox.unwrap_or(self.environment != Environment::Production)
    }

    /// Checks what must fit together.
    ///
    /// # Errors
    /// The first key that does not.
    pub fn check(&self) -> Result<(), ConfigError> {
        let wrong = |key: &str, problem: &str| ConfigError::inconsistent(key, problem);
        if self.environment == Environment::Production {
            if self.is_sandbox() {
                return Err(wrong("sandbox", "a sandbox is not allowed in production: remove the key"));
            }
            if self.listen.tls == TlsMode::Development {
                return Err(wrong(
                    "listen.tls",
                    "a development certificate is not allowed in production: use \"files\", or \"off\" behind a proxy",
                ));
            }
            if self.listen.base_url.is_none() {
                return Err(wrong("listen.base_url", "production needs the URL by which clients reach it"));
            }
        }
        if !self.is_sandbox() && self.sandbox_clock != ClockOffset::default() {
            return Err(wrong("sandbox_clock", "only a sandbox's clock can be moved: remove the key"));
        }
        if self.listen.tls == TlsMode::Files
            && (self.listen.certificate_file.is_none() || self.listen.key_file.is_none())
        {
            return Err(wrong("listen.tls", "\"files\" needs certificate_file and key_file"));
        }
        if self.listen.client_address_from == ClientAddressFrom::ProxyProtocol
            && self.listen.trusted_proxies.is_empty()
        {
            return Err(wrong(
                "listen.client_address_from",
                "the PROXY protocol is read from listen.trusted_proxies only, and there is none",
            ));
        }
        self.listen.check_certificates()?;
        self.listen.check_address(self.listen.address)?;
        if let Some(url) = &self.database.url
            && !["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme))
        {
            return Err(wrong("database.url", "must start with sqlite://, postgres:// or postgresql://"));
        }
        for (key, url) in [
            ("listen.base_url", self.listen.base_url.as_deref()),
            ("listen.mutual_tls_url", self.listen.mutual_tls_url.as_deref()),
            ("tokens.issuer", self.tokens.issuer.as_deref()),
            ("gateway.authz_url", self.gateway.authz_url.as_deref()),
            ("gateway.backend_url", Some(self.gateway.backend_url.as_str())),
        ] {
            if url.is_some_and(|url| !is_base_url(url)) {
                return Err(wrong(key, "must start with http:// or https:// and have no slash at the end"));
            }
        }
        if let Some(url) = &self.gateway.limits_url
            && !(url.starts_with("redis://") || url.starts_with("rediss://"))
        {
            return Err(wrong("gateway.limits_url", "must start with redis:// or rediss://"));
        }
        if !(0.0..=1.0).contains(&self.telemetry.traces_sample) {
            return Err(wrong("telemetry.traces_sample", "must be between 0 and 1"));
        }
        if let Some(url) = &self.telemetry.traces_url
            && !(url.starts_with("http://") || url.starts_with("https://"))
        {
            return Err(wrong("telemetry.traces_url", "must start with http:// or https://"));
        }
        if self.audit.queue == 0 || self.audit.file_size < 4096 {
            return Err(wrong("audit", "queue must be at least 1, file_size at least 4096 bytes"));
        }
        if self.tokens.tenants.is_empty() {
            return Err(wrong("tokens.tenants", "needs at least one tenant"));
        }
        if let Some(tenant) = self.tokens.tenants.iter().find(|t| !is_path_segment(t)) {
            return Err(wrong(
                "tokens.tenants",
                &format!("{tenant:?} is no path segment of letters, digits, . _ -"),
            ));
        }
        if self.tokens.lifetime.0.as_secs() < 60 || self.tokens.lifetime.0.as_secs() > 86_400 {
            return Err(wrong("tokens.lifetime", "must be between 1m and 1d"));
        }
        if self.tokens.key_lead.0 < 2 * self.tokens.key_set_max_age.0 {
            return Err(wrong(
                "tokens.key_lead",
                "must be at least twice tokens.key_set_max_age, or verifiers miss the new key",
            ));
        }
        if self.tokens.key_rotation.0 <= self.tokens.key_lead.0 {
            return Err(wrong("tokens.key_rotation", "must be longer than tokens.key_lead"));
        }
        if self.backend.page_size == 0 || self.backend.page_size > self.backend.max_page_size {
            return Err(wrong("backend.page_size", "must be between 1 and backend.max_page_size"));
        }
        if self.backend.merge.max_bytes < self.backend.merge.prompt_bytes {
            return Err(wrong("backend.merge.max_bytes", "must not be less than backend.merge.prompt_bytes"));
        }
        let forgetful = Span::seconds(60);
        if self.backend.merge.outcome_lifetime < forgetful || self.backend.merge.key_lifetime < forgetful {
            return Err(wrong("backend.merge", "outcome_lifetime and key_lifetime must be at least 1m"));
        }
        if self.backend.merge.poll.0.is_zero() {
            return Err(wrong("backend.merge.poll", "must be longer than nothing, for example 500ms"));
        }
        if !self.backend.address.ip().is_loopback() {
            return Err(wrong("backend.address", "the backend listens on loopback only"));
        }
        if self.portal.languages.is_empty() {
            return Err(wrong("portal.languages", "needs at least one language"));
        }
        if self.portal.session_idle.0.is_zero() || self.portal.session_lifetime.0 < self.portal.session_idle.0
        {
            return Err(wrong("portal.session_lifetime", "must not be shorter than portal.session_idle"));
        }
        if !(1..=100 * 1024 * 1024).contains(&self.portal.document_limit) {
            return Err(wrong("portal.document_limit", "must be between 1 byte and 100 MiB"));
        }
        if self.database.connections == 0 {
            return Err(wrong("database.connections", "must be at least 1"));
        }
        self.check_values()
    }

    /// The configuration as TOML, for `config show`. Passwords in URLs are hidden.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        let mut shown = self.clone();
        shown.database.url = shown.database.url.as_deref().map(hide_password);
        shown.gateway.limits_url = shown.gateway.limits_url.as_deref().map(hide_password);
        toml::to_string_pretty(&shown)
            .map_err(|error| ConfigError::inconsistent("settings", error.to_string()))
    }

    /// Every section with its text, for noting what changed between two starts. Passwords in URLs are hidden.
    pub fn sections(&self) -> Result<Vec<(String, String)>, ConfigError> {
        let text = self.to_toml()?;
        let table: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| ConfigError::inconsistent("settings", error.to_string()))?;
        Ok(table.into_iter().map(|(name, value)| (name, value.to_string())).collect())
    }

    /// The JSON schema of the configuration file.
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }
}

fn is_base_url(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.ends_with('/') && !rest.contains(['?', '#', ' ']))
}

fn is_path_segment(text: &str) -> bool {
    !text.is_empty()
        && text != "oauth2"
        && !text.starts_with('.')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

fn hide_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let Some((user, host)) = rest.rsplit_once('@') else { return url.to_owned() };
    match user.split_once(':') {
        Some((name, _)) => format!("{scheme}://{name}:***@{host}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
#[expect(clippy::result_large_err, reason = "figment::Jail's closure returns figment's own error")]
mod tests {
    use figment::Jail;

    use super::*;

    fn refused(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pmsgate.toml");
        std::fs::write(&path, text).unwrap();
        Settings::load(Some(&path)).unwrap_err().to_string()
    }

    #[test]
    fn no_file_at_all_starts_a_sandbox_on_loopback() {
        let settings = Settings::load(None).unwrap();
        assert!(settings.is_sandbox());
        assert!(settings.listen.address.ip().is_loopback());
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_known_one() {
        let text = refused("[listen]\nadress = \"127.0.0.1:1\"\n");
        assert!(text.contains("unknown key \"listen.adress\"; did you mean \"listen.address\"?"), "{text}");
        assert!(text.contains("pmsgate.toml"), "{text}");
        let text = refused("[gatway]\n");
        assert!(text.contains("unknown key \"gatway\"; did you mean \"gateway\"?"), "{text}");
    }

    #[test]
    fn a_value_that_does_not_fit_names_its_key() {
        let text = refused("[tokens]\nlifetime = \"soon\"\n");
        assert!(text.contains("tokens.lifetime") && text.contains("30s"), "{text}");
        let text = refused("[tokens]\nalgorithm = \"HS256\"\n");
        assert!(text.contains("tokens.algorithm") && text.contains("ES256"), "{text}");
        let text = refused("[listen]\ntls = \"off\nx");
        assert!(!text.is_empty());
    }

    #[test]
    fn production_refuses_what_belongs_to_a_sandbox() {
        assert!(refused("environment = \"production\"\n").contains("listen.tls"));
        assert!(refused("environment = \"production\"\nsandbox = true\n").starts_with("sandbox:"));
    }

    #[test]
    fn what_a_server_would_refuse_is_refused_here() {
        let plain = "[listen]\ntls = \"off\"\naddress = \"0.0.0.0:8443\"\n";
        assert!(refused(plain).starts_with("listen.tls: plain HTTP is for loopback"));
        assert!(
            refused("[database]\nurl = \"mysql://localhost/x\"\n").starts_with("database.url: must start")
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pmsgate.toml");
        std::fs::write(&path, format!("{plain}base_url = \"https://api.example\"\n")).unwrap();
        assert!(Settings::load(Some(&path)).is_ok(), "behind a proxy");
    }

    #[test]
    fn certificates_need_somebody_to_ask_for_them() {
        let listen = |text: &str| refused(&format!("[listen]\n{text}\n"));
        let plain = listen("client_certificates = \"handshake\"\ntls = \"off\"");
        assert!(plain.starts_with("listen.client_certificates: \"handshake\" needs TLS"), "{plain}");
        let strangers = listen("client_certificates = \"header\"");
        assert!(strangers.contains("listen.trusted_proxies"), "{strangers}");
        let alias = listen("mutual_tls_url = \"https://mtls.example\"");
        assert!(alias.starts_with("listen.mutual_tls_url: there is no mutual TLS"), "{alias}");
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        Jail::expect_with(|jail| {
            jail.create_file("pmsgate.toml", "[listen]\nworkers = 1\naddress = \"127.0.0.1:1\"\n")?;
            jail.set_env("PMSGATE__LISTEN__WORKERS", "2");
            jail.set_env("PMSGATE__DATABASE__URL", "postgres://me:hush@localhost/x");
            let settings = Settings::load(Some(Path::new("pmsgate.toml"))).unwrap();
            assert_eq!((settings.listen.workers, settings.listen.address.port()), (2, 1));
            let shown = settings.to_toml().unwrap();
            assert!(shown.contains("postgres://me:***@localhost/x") && !shown.contains("hush"), "{shown}");
            jail.set_env("PMSGATE__LISTEN__WORKER", "2");
            let error = Settings::load(None).unwrap_err().to_string();
            assert!(error.contains("environment") && error.contains("listen.workers"), "{error}");
            Ok(())
        });
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shown.toml");
        std::fs::write(&path, Settings::default().to_toml().unwrap()).unwrap();
        assert_eq!(Settings::load(Some(&path)).unwrap(), Settings::default());
    }

    #[test]
    fn every_example_file_loads() {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        let mut seen = 0;
        for entry in std::fs::read_dir(examples).unwrap() {
            let path = entry.unwrap().path();
            Settings::load(Some(&path)).unwrap_or_else(|error| panic!("{error}"));
            seen += 1;
        }
        assert!(seen >= 2);
    }
}
