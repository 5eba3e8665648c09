//! The demo of a sandbox: organisations and one client whose credentials can be told again at every start.

use authz_domain::{Actor, ClientId, ClientSecret, ClientStatus, OrganisationCategory, SecretId};
use authz_store::{clients, secrets};
use aws_lc_rs::hmac;
use database::DatabaseError;
use pms_terms::Domains;

use super::{NewClient, UseCaseError, UseCases, rotate_secret::NewSecret};

/// What a newcomer needs to get a token.
#[derive(Clone, Debug)]
pub struct DemoCredentials {
    /// The demo client.
    pub client_id: ClientId,
    /// Its secret, derived from the master key: it can be told as long as it has not been rotated away.
    pub client_secret: ClientSecret,
    /// The scope to ask for.
    pub scope: String,
}

/// The role of the demo client.
const ROLE: &str = "pms-industry-api";

impl UseCases {
    /// Puts the demo into a database without clients: the organisations of `text` (as `organisation import` reads
    /// them) and a qualified client of the first industry organisation among them. Does nothing when there are
    /// clients, so that a second start changes nothing, and one after a crash in the middle finishes it. Whether it
    /// did.
    pub async fn seed_demo(&self, file: &str, text: &str) -> Result<bool, UseCaseError> {
        if clients::count(&mut self.database.read().await?.db()).await? > 0 {
            return Ok(false);
        }
        self.import_organisations(Actor::System, file, text).await?;
        let organisations = self.list_organisations().await?;
        let owner = organisations.into_iter().find(|one| one.category == OrganisationCategory::Industry);
        let new = NewClient {
            organisation: owner.map(|organisation| organisation.id),
            owner: None,
            external_key: None,
            role: ROLE.to_owned(),
            label: "Demo".to_owned(),
            contact: None,
            qualified: true,
            domains: Domains::BOTH,
            scope: None,
        };
        let demo = self.demo_identity();
        let secret = NewSecret { id: demo.secret_id, text: demo.secret };
        match self.create_as(Actor::System, new, demo.client_id, secret).await {
            Ok(_) => Ok(true),
            // Another instance that started at the same moment was first.
            Err(UseCaseError::Database(DatabaseError::Conflict { .. })) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The demo client's credentials, while they work.
    pub async fn demo_credentials(&self) -> Result<Option<DemoCredentials>, UseCaseError> {
        let now = self.now();
        let demo = self.demo_identity();
        let mut reader = self.database.read().await?;
        let Some(registered) = clients::find(&mut reader.db(), demo.client_id.as_str()).await? else {
            return Ok(None);
        };
        let secrets = secrets::of_client(&mut reader.db(), demo.client_id.as_str()).await?;
        let works = registered.client.status == ClientStatus::Active
            && secrets.iter().any(|secret| secret.id == demo.secret_id && secret.is_live(now));
        let Some(role) = self.settings.role(&registered.client.role).filter(|_| works) else {
            return Ok(None);
        };
        Ok(Some(DemoCredentials {
            client_id: demo.client_id,
            client_secret: demo.secret,
            scope: format!("{}/.default", role.resource),
        }))
    }

    /// Ids and secret of the demo client, derived from the master key by way of the pepper: the same at every start,
    /// other ones in every installation.
    fn demo_identity(&self) -> DemoIdentity {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.keys.pepper_bytes.as_slice());
        let derive = |label: &str| -> [u8; 32] {
            let tag = hmac::sign(&key, label.as_bytes());
            let mut bytes = [0; 32];
            bytes.copy_from_slice(tag.as_ref());
            bytes
        };
        let half = |label: &str| -> [u8; 16] {
            let mut bytes = [0; 16];
            bytes.copy_from_slice(&derive(label)[..16]);
            bytes
        };
        DemoIdentity {
            client_id: ClientId::from_entropy(half("pmsgate demo client id")),
            secret_id: SecretId::from_entropy(half("pmsgate demo secret id")),
            secret: ClientSecret::from_entropy(&derive("pmsgate demo client secret")),
        }
    }
}

struct DemoIdentity {
    client_id: ClientId,
    secret_id: SecretId,
    secret: ClientSecret,
}
