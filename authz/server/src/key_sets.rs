//! The keys that clients publish under an address of their own (`jwks_uri`): read when they are needed, kept, and read
//! again when a client signs with one that is not known yet.

use std::{io, sync::Arc};

use arc_swap::ArcSwapOption;
use authz_domain::ClientKeys;
use bytes::BytesMut;
use moka::sync::Cache;
use reqwest::{Certificate, Url};
use thiserror::Error;
use time::{Duration, OffsetDateTime};
use tokio::sync::Mutex;

use crate::{public_address::Reach, settings::ClientKeySettings};

/// How long keys are used without looking again.
const FRESH: Duration = Duration::minutes(10);
/// How long keys are used while their address does not answer: longer, and a key that its owner withdrew would live on.
const STALE: Duration = Duration::hours(1);
/// How long is waited after a reading until the next one, whoever asks: signatures by unknown keys are free to make.
const AGAIN_AFTER: Duration = Duration::seconds(30);
/// The largest answer, in bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// The longest address, in bytes.
const MAX_ADDRESS: usize = 500;
/// Addresses whose keys are kept.
const CAPACITY: u64 = 10_000;

/// The published keys of clients.
#[derive(Debug)]
pub(crate) struct KeySets {
    http: reqwest::Client,
    reach: Reach,
    sets: Cache<String, Arc<KeySet>>,
}

/// What is known of one address.
#[derive(Debug, Default)]
struct KeySet {
    known: ArcSwapOption<Known>,
    /// When it was last asked, whatever came of it. Held while it is: of many who need it one asks.
    asked_at: Mutex<Option<OffsetDateTime>>,
}

#[derive(Debug)]
struct Known {
    keys: Arc<ClientKeys>,
    read_at: OffsetDateTime,
}

/// Why no keys can be read at all.
#[derive(Debug, Error)]
pub enum KeySetsError {
    /// The file of certificates.
    #[error("the certificates of client_keys.ca_file cannot be read")]
    CaFile(#[source] io::Error),
    /// The HTTP client.
    #[error("clients' keys cannot be read over HTTPS: are the certificates of client_keys.ca_file in PEM?")]
    Http(#[from] reqwest::Error),
}

/// Why keys were not read. For the log.
#[derive(Debug, Error)]
enum ReadError {
    #[error("the address may not be called")]
    Address,
    #[error("it cannot be reached, or broke off")]
    Http(#[from] reqwest::Error),
    #[error("it answered {0}")]
    Status(http::StatusCode),
    #[error("its answer is larger than {MAX_ANSWER} bytes")]
    TooLarge,
    #[error("its answer has no usable keys")]
    Keys(#[from] authz_domain::KeysRefused),
}

/// Checks an address at which a client says that it publishes its keys. The text of a refusal is for the person.
pub(crate) fn check_address(text: &str, reach: &Reach) -> Result<Url, &'static str> {
    let text = text.trim();
    let url = Url::parse(text)
        .map_err(|_| "jwks_uri must be a whole address, for example https://client.example/jwks.json")?;
    if url.scheme() != "https" {
        return Err("jwks_uri must begin with https://: keys that come another way could be anybody's");
    }
    if text.len() > MAX_ADDRESS {
        return Err("jwks_uri has at most 500 characters");
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("jwks_uri must have no user name, no password and nothing behind #");
    }
    if !reach.admits(&url) {
        return Err(
            "jwks_uri is an internal address; those are read only when client_keys.allowed_networks names them",
        );
    }
    Ok(url)
}

impl KeySets {
    pub(crate) async fn new(settings: &ClientKeySettings) -> Result<Self, KeySetsError> {
        let mut builder = settings.reach.client(settings.timeout).https_only(true);
        if let Some(path) = &settings.ca_file {
            let pem = tokio::fs::read(path).await.map_err(KeySetsError::CaFile)?;
            builder = builder.tls_certs_merge(Certificate::from_pem_bundle(&pem)?);
        }
        Ok(Self {
            http: builder.build()?,
            reach: settings.reach.clone(),
            sets: Cache::builder().max_capacity(CAPACITY).build(),
        })
    }

    /// The keys published at an address: as known, or read now when they are not fresh.
    pub(crate) async fn get(&self, address: &str, now: OffsetDateTime) -> Option<Arc<ClientKeys>> {
        let set = self.sets.get_with_by_ref(address, Arc::default);
        match set.known(now, FRESH) {
            Some(keys) => Some(keys),
            None => self.ask(&set, address, now, FRESH).await,
        }
    }

    /// The keys published at an address now, because those known had none that fits. As known when it was asked a moment
    /// ago.
    pub(crate) async fn look_again(&self, address: &str, now: OffsetDateTime) -> Option<Arc<ClientKeys>> {
        let set = self.sets.get_with_by_ref(address, Arc::default);
        self.ask(&set, address, now, Duration::ZERO).await
    }

    /// Reads the keys, unless that was tried a moment ago, or somebody did while this one waited.
    async fn ask(
        &self,
        set: &KeySet,
        address: &str,
        now: OffsetDateTime,
        fresh: Duration,
    ) -> Option<Arc<ClientKeys>> {
        let mut asked_at = set.asked_at.lock().await;
        if let Some(keys) = set.known(now, fresh) {
            return Some(keys);
        }
        if asked_at.is_none_or(|at| !is_within(at, now, AGAIN_AFTER)) {
            *asked_at = Some(now);
            match self.read(address).await {
                Ok(keys) => {
                    set.known.store(Some(Arc::new(Known { keys: Arc::new(keys), read_at: now })));
                    metrics::counter!("pmsgate_client_key_readings_total", "outcome" => "read").increment(1);
                }
                Err(error) => {
                    metrics::counter!("pmsgate_client_key_readings_total", "outcome" => "failed")
                        .increment(1);
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the keys that a client publishes cannot be read"
                    );
                }
            }
        }
        set.known(now, STALE)
    }

    async fn read(&self, address: &str) -> Result<ClientKeys, ReadError> {
        // Again: the configuration may be another one than when it was registered.
        let url = check_address(address, &self.reach).map_err(|_| ReadError::Address)?;
        let accept = "application/jwk-set+json, application/json";
        let request = self.http.get(url).header(http::header::ACCEPT, accept);
        let mut answer = request.send().await.map_err(reqwest::Error::without_url)?;
        if answer.status() != http::StatusCode::OK {
            return Err(ReadError::Status(answer.status()));
        }
        let mut body = BytesMut::new();
        while let Some(piece) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
            if body.len() + piece.len() > MAX_ANSWER {
                return Err(ReadError::TooLarge);
            }
            body.extend_from_slice(&piece);
        }
        Ok(ClientKeys::usable(&body)?)
    }
}

impl KeySet {
    /// The keys, if they were read within `age` before `now`.
    fn known(&self, now: OffsetDateTime, age: Duration) -> Option<Arc<ClientKeys>> {
        let known = self.known.load();
        known.as_ref().filter(|known| is_within(known.read_at, now, age)).map(|known| Arc::clone(&known.keys))
    }
}

/// Whether `at` lies within `age` before `now`. A sandbox's clock may have been moved back since: then it does not.
fn is_within(at: OffsetDateTime, now: OffsetDateTime, age: Duration) -> bool {
    at <= now && now - at < age
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_checked_before_it_is_kept() {
        let reach = Reach::new(Vec::new());
        assert!(check_address("https://client.example/jwks.json?a=b", &reach).is_ok());
        for wrong in [
            "http://client.example/jwks.json",
            "file:///etc/passwd",
            "https://me:hush@client.example/",
            "https://client.example/#keys",
            "https://127.0.0.1/jwks",
            "https://[::1]/jwks",
            "https://169.254.169.254/latest/meta-data",
            "https://2130706433/",
            "jwks.json",
            "",
            &format!("https://client.example/{}", "a".repeat(500)),
        ] {
            assert!(check_address(wrong, &reach).is_err(), "{wrong}");
        }
        let inside = Reach::new(vec!["10.0.0.0/8".parse().unwrap()]);
        assert!(check_address("https://10.1.2.3/jwks", &inside).is_ok());
        assert!(check_address("https://192.168.1.1/jwks", &inside).is_err());
    }
}
