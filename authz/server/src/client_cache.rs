//! Clients in memory: what the token endpoint needs of a client, ready to use, kept until something changes.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use access_token::Scope;
use authz_domain::{ApiRole, Client, ClientId, ClientStatus, Secret, SecretHash};
use authz_store::{clients, clients::RegisteredClient, secrets};
use database::{Database, DatabaseError};
use moka::sync::Cache;
use pms_terms::{Domains, Stakeholder};
use subtle::{Choice, ConditionallySelectable};
use time::OffsetDateTime;

use crate::AuthzSettings;

/// The newest secrets of a client that can still be told apart (live, or named when they are presented too late).
/// Every comparison runs over this many, whether the client has one or none.
pub(crate) const SECRETS_COMPARED: usize = 8;
/// Clients kept in memory.
const CAPACITY: u64 = 20_000;

/// A client as the token endpoint uses it.
#[derive(Debug)]
pub(crate) struct CachedClient {
    pub(crate) client: Client,
    /// None when the catalogue no longer has its role.
    pub(crate) role: Option<Arc<ApiRole>>,
    pub(crate) stakeholder: Stakeholder,
    pub(crate) secrets: Vec<CachedSecret>,
}

/// A secret, and when it was last used if that is not written down yet.
#[derive(Debug)]
pub(crate) struct CachedSecret {
    pub(crate) secret: Secret,
    /// Microseconds since the epoch; 0 when there is nothing to write.
    pub(crate) used_at: AtomicI64,
}

impl CachedClient {
    fn new(registered: RegisteredClient, secrets: Vec<Secret>, settings: &AuthzSettings) -> Self {
        let role = settings.role(&registered.client.role).cloned();
        let stakeholder =
            role.as_ref().map_or(Stakeholder::Public, |role| role.stakeholder_for(registered.category));
        let secrets =
            secrets.into_iter().map(|secret| CachedSecret { secret, used_at: AtomicI64::new(0) }).collect();
        Self { client: registered.client, role, stakeholder, secrets }
    }
}

/// The place of the secret whose hash is `presented`, if it is among `secrets`.
///
/// Always the same number of comparisons, each in constant time, over padding where there are fewer secrets: an
/// unknown client takes as long as a known one.
pub(crate) fn position(presented: &SecretHash, secrets: &[CachedSecret]) -> Option<usize> {
    // Stands in for the secrets that are not there; a hit on it counts for nothing.
    const PADDING: SecretHash = SecretHash::from_bytes([0; 32]);
    let mut found = 0_u64;
    for place in 0..SECRETS_COMPARED {
        let (candidate, real) = secrets
            .get(place)
            .and_then(|own| own.secret.proof.secret())
            .map_or((&PADDING, Choice::from(0)), |own| (own, Choice::from(1)));
        let hit = presented.ct_eq(candidate) & real;
        found = u64::conditional_select(&found, &(place as u64 + 1), hit);
    }
    usize::try_from(found).ok()?.checked_sub(1)
}

/// The cache. A change removes what it concerns; nothing is ever written to an entry.
#[derive(Debug)]
pub(crate) struct ClientCache {
    clients: Cache<String, Arc<CachedClient>>,
    /// Counts invalidations, so that a client read before one is not kept after it.
    generation: AtomicU64,
}

impl ClientCache {
    pub(crate) fn new() -> Self {
        Self { clients: Cache::builder().max_capacity(CAPACITY).build(), generation: AtomicU64::new(0) }
    }

    pub(crate) fn get(&self, id: &str) -> Option<Arc<CachedClient>> {
        self.clients.get(id)
    }

    /// Reads a client from the database and keeps it. The same two queries whether there is one or not.
    pub(crate) async fn load(
        &self,
        id: &str,
        database: &Database,
        settings: &AuthzSettings,
    ) -> Result<Option<Arc<CachedClient>>, DatabaseError> {
        let generation = self.generation.load(Ordering::Acquire);
        let mut reader = database.read().await?;
        let registered = clients::find(&mut reader.db(), id).await?;
        let limit = i64::try_from(SECRETS_COMPARED).unwrap_or(i64::MAX);
        let secrets = secrets::presentable(&mut reader.db(), id, limit).await?;
        drop(reader);
        let Some(registered) = registered else {
            // The same work as for a client that exists, for nothing: time must not tell which ids do.
            std::hint::black_box(Arc::new(CachedClient::new(decoy(), secrets, settings)));
            return Ok(None);
        };
        let client = Arc::new(CachedClient::new(registered, secrets, settings));
        self.clients.insert(id.to_owned(), Arc::clone(&client));
        if self.generation.load(Ordering::Acquire) != generation {
            // Something changed while it was read: use it this once, do not keep it.
            self.clients.invalidate(id);
        }
        Ok(Some(client))
    }

    pub(crate) fn forget(&self, id: &str) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.clients.invalidate(id);
    }

    pub(crate) fn forget_all(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.clients.invalidate_all();
    }
}

/// A client that nobody is.
fn decoy() -> RegisteredClient {
    let client = Client {
        id: ClientId::from_entropy([0; 16]),
        label: String::from("nobody"),
        contact: None,
        role: String::from("nobody"),
        organisation: None,
        owner: None,
        external_key: None,
        qualified: false,
        domains: Domains::NONE,
        allowed: Scope::parse("system/*.rs").unwrap_or_default(),
        dpop_required: false,
        status: ClientStatus::Revoked,
        created_at: OffsetDateTime::UNIX_EPOCH,
    };
    RegisteredClient { client, category: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use authz_domain::{ClientSecret, SecretId, SecretLifetime, SecretPepper};

    fn secrets(count: u8, pepper: &SecretPepper) -> Vec<CachedSecret> {
        (0..count)
            .map(|n| CachedSecret {
                secret: Secret::issue(
                    SecretId::from_entropy([n; 16]),
                    ClientId::from_entropy([1; 16]),
                    &ClientSecret::from_entropy(&[n; 32]),
                    pepper,
                    SecretLifetime::DEFAULT,
                    OffsetDateTime::UNIX_EPOCH,
                ),
                used_at: AtomicI64::new(0),
            })
            .collect()
    }

    #[test]
    fn the_matching_secret_is_found_wherever_it_stands() {
        let pepper = SecretPepper::new(&[5; 32]);
        for count in 0..=8 {
            let all = secrets(count, &pepper);
            for n in 0..count {
                let presented = pepper.hash(ClientSecret::from_entropy(&[n; 32]).expose());
                assert_eq!(position(&presented, &all), Some(usize::from(n)));
            }
            assert_eq!(position(&pepper.hash("wrong"), &all), None);
            assert_eq!(position(&SecretHash::from_bytes([0; 32]), &all), None);
        }
    }
}
