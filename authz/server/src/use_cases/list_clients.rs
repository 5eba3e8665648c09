//! Looking at clients and their secrets.

use std::collections::HashMap;

use authz_domain::{AuthenticationMethod, Client, Secret, SecretState};
use authz_store::{clients, secrets};
use pms_terms::{OrganisationId, Stakeholder};
use time::OffsetDateTime;

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

impl ClientView {
    /// How the client authenticates: the method of its live credentials, which have one at a time.
    pub fn method(&self) -> Option<AuthenticationMethod> {
        let live = self.secrets.iter().find(|one| one.state == SecretState::Live);
        live.map(|one| one.secret.proof.method())
    }
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

    /// At most `limit` clients, oldest first, of one organisation or of all, after a place in the list.
    pub async fn page_of_clients(
        &self,
        organisation: Option<&OrganisationId>,
        after: Option<&clients::After>,
        limit: i64,
    ) -> Result<Vec<ClientView>, UseCaseError> {
        let mut reader = self.database.read().await?;
        let found = clients::page(&mut reader.db(), organisation, after, limit).await?;
        drop(reader);
        self.with_secrets(found).await
    }

    /// The client that automation calls `key` within an organisation, or among those without one.
    pub async fn client_by_key(
        &self,
        organisation: Option<&OrganisationId>,
        key: &str,
    ) -> Result<Option<ClientView>, UseCaseError> {
        let mut reader = self.database.read().await?;
        let found = clients::find_by_key(&mut reader.db(), organisation, key).await?;
        drop(reader);
        Ok(self.with_secrets(found.into_iter().collect()).await?.pop())
    }

    /// Clients with their secrets.
    pub(super) async fn with_secrets(
        &self,
        found: Vec<clients::RegisteredClient>,
    ) -> Result<Vec<ClientView>, UseCaseError> {
        let now = self.now();
        let mut reader = self.database.read().await?;
        let mut views = Vec::with_capacity(found.len());
        for registered in found {
            let secrets = secrets::of_client(&mut reader.db(), registered.client.id.as_str()).await?;
            views.push(self.view(registered, secrets, now));
        }
        Ok(views)
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
