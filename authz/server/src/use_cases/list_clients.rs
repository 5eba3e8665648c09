//! Looking at clients, their secrets, and what expires soon.

use std::collections::HashMap;

use authz_domain::{Client, Secret, SecretState};
use authz_store::{clients, secrets};
use pms_terms::Stakeholder;
use time::{Duration, OffsetDateTime};

use super::{UseCaseError, UseCases};

/// A client with its secrets, newest first.
#[derive(Clone, Debug)]
pub struct ClientView {
    /// The client.
    pub client: Client,
    /// The group on whose behalf it asks.
    pub stakeholder: Stakeholder,
    /// Its secrets.
    pub secrets: Vec<SecretView>,
}

/// A secret as lists show it.
#[derive(Clone, Debug)]
pub struct SecretView {
    /// The record. It holds no secret text.
    pub secret: Secret,
    /// What it is good for now.
    pub state: SecretState,
}

/// A secret that expires soon.
#[derive(Clone, Debug)]
pub struct ExpiringSecret {
    /// Whose it is.
    pub client: Client,
    /// The record.
    pub secret: Secret,
    /// Whole days until it expires; negative when it has.
    pub days_left: i64,
    /// Whether the client has a newer secret that lives longer.
    pub successor: bool,
}

impl UseCases {
    /// All clients, oldest first.
    pub async fn list_clients(&self) -> Result<Vec<ClientView>, UseCaseError> {
        let now = self.now();
        let mut reader = self.database.read().await?;
        let registered = clients::list(&mut reader.db()).await?;
        let mut by_client: HashMap<String, Vec<Secret>> = HashMap::new();
        for secret in secrets::list(&mut reader.db()).await? {
            by_client.entry(secret.client_id.to_string()).or_default().push(secret);
        }
        Ok(registered
            .into_iter()
            .map(|registered| {
                let secrets = by_client.remove(registered.client.id.as_str()).unwrap_or_default();
                self.view(registered, secrets, now)
            })
            .collect())
    }

    /// One client.
    pub async fn show_client(&self, client_id: &str) -> Result<ClientView, UseCaseError> {
        let now = self.now();
        let mut reader = self.database.read().await?;
        let registered = clients::find(&mut reader.db(), client_id)
            .await?
            .ok_or_else(|| UseCaseError::NoSuchClient(client_id.to_owned()))?;
        let secrets = secrets::of_client(&mut reader.db(), client_id).await?;
        Ok(self.view(registered, secrets, now))
    }

    /// Secrets that expire within a time from now, soonest first; those of revoked clients and those that were ended
    /// on purpose or by a rotation are no concern any more.
    pub async fn expiring_secrets(&self, within: Duration) -> Result<Vec<ExpiringSecret>, UseCaseError> {
        let now = self.now();
        let before = now.saturating_add(within);
        let mut expiring = Vec::new();
        for view in self.list_clients().await? {
            if view.client.status == authz_domain::ClientStatus::Revoked {
                continue;
            }
            for SecretView { secret, state } in &view.secrets {
                if !matches!(state, SecretState::Live | SecretState::Expired) || secret.expires_at > before {
                    continue;
                }
                let successor = view.secrets.iter().any(|other| {
                    other.state == SecretState::Live && other.secret.expires_at > secret.expires_at
                });
                expiring.push(ExpiringSecret {
                    client: view.client.clone(),
                    secret: secret.clone(),
                    days_left: (secret.expires_at - now).whole_days(),
                    successor,
                });
            }
        }
        expiring.sort_by_key(|expiring| expiring.secret.expires_at);
        Ok(expiring)
    }

    fn view(
        &self,
        registered: clients::RegisteredClient,
        secrets: Vec<Secret>,
        now: OffsetDateTime,
    ) -> ClientView {
        let stakeholder = self
            .settings
            .role(&registered.client.role)
            .map_or(Stakeholder::Public, |role| role.stakeholder_for(registered.category));
        let secrets =
            secrets.into_iter().map(|secret| SecretView { state: secret.state(now), secret }).collect();
        ClientView { client: registered.client, stakeholder, secrets }
    }
}
