//! Registering a client, with its first secret.

use access_token::Scope;
use authz_domain::{
    Act, Actor, ApiRole, AuditEvent, Client, ClientId, ClientSecret, ClientStatus, Secret, SecretId,
    check_particulars, grant,
};
use authz_store::{audit_events, changes, changes::Change, clients, organisations, secrets};
use pms_terms::{Domains, OrganisationId};
use time::OffsetDateTime;

use super::{UseCaseError, UseCases};
use crate::entropy::entropy;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct NewClient {
    /// On whose behalf it acts; none for public clients.
    pub organisation: Option<OrganisationId>,
    /// Its API role.
    pub role: String,
    /// What its owners call it. May be empty.
    pub label: String,
    /// Its technical contact.
    pub contact: Option<String>,
    /// Whether it may see what only qualified users may.
    pub qualified: bool,
    /// The domains it may see.
    pub domains: Domains,
    /// The most it may be granted; none means everything its role may have.
    pub scope: Option<String>,
}

/// New credentials. The secret is in here and nowhere else.
#[derive(Clone, Debug)]
pub struct IssuedCredentials {
    /// The client.
    pub client_id: ClientId,
    /// The secret, to be shown once.
    pub client_secret: ClientSecret,
    /// The secret's name in lists.
    pub secret_id: SecretId,
    /// When it was assigned.
    pub issued_at: OffsetDateTime,
    /// From when it does not work any more.
    pub expires_at: OffsetDateTime,
    /// Where to get tokens.
    pub token_url: String,
    /// The scope to ask for.
    pub scope: String,
}

impl UseCases {
    /// Registers a client and makes its first secret.
    pub async fn create_client(
        &self,
        actor: Actor,
        new: NewClient,
    ) -> Result<IssuedCredentials, UseCaseError> {
        let id = ClientId::from_entropy(entropy()?);
        let secret_id = SecretId::from_entropy(entropy()?);
        let text = ClientSecret::from_entropy(&entropy()?);
        self.register(actor, new, id, secret_id, text).await
    }

    /// Registers a client under a given id with a given secret.
    pub(super) async fn register(
        &self,
        actor: Actor,
        new: NewClient,
        id: ClientId,
        secret_id: SecretId,
        text: ClientSecret,
    ) -> Result<IssuedCredentials, UseCaseError> {
        let now = self.now();
        let role = self.role(&new.role)?;
        let contact = new.contact.as_deref().map(str::trim).filter(|contact| !contact.is_empty());
        check_particulars(&new.label, contact)?;
        if role.categories.is_empty() && contact.is_none() {
            return Err(UseCaseError::ContactMissing(role.id.clone()));
        }
        let allowed = allowed_scope(role, new.scope.as_deref())?;

        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let organisation = match &new.organisation {
            None => None,
            Some(id) => Some(
                organisations::find(&mut db, id)
                    .await?
                    .ok_or_else(|| UseCaseError::NoSuchOrganisation(id.to_string()))?,
            ),
        };
        role.admits(organisation.as_ref())?;
        if let Some(organisation) = &organisation {
            let count = clients::count_of(&mut db, &organisation.id).await?;
            if count >= i64::from(self.settings.clients_per_organisation) {
                return Err(UseCaseError::TooManyClients {
                    organisation: organisation.id.to_string(),
                    count: self.settings.clients_per_organisation,
                });
            }
        }
        let client = Client {
            id: id.clone(),
            label: new.label.trim().to_owned(),
            contact: contact.map(str::to_owned),
            role: role.id.clone(),
            organisation: new.organisation.clone(),
            qualified: new.qualified,
            domains: new.domains,
            allowed,
            status: ClientStatus::Active,
            created_at: now,
        };
        let secret = Secret::issue(secret_id, id, &text, self.pepper(), self.settings.secret_lifetime, now);
        clients::insert(&mut db, &client).await?;
        secrets::insert(&mut db, &secret).await?;
        changes::append(&mut db, &Change::Client(client.id.to_string()), now).await?;
        let event = AuditEvent {
            at: now,
            actor,
            act: Act::ClientCreated,
            subject: client.id.to_string(),
            details: vec![
                ("role", client.role.clone()),
                ("organisation", client.organisation.map(String::from).unwrap_or_default()),
                ("secret_id", secret.id.to_string()),
                ("expires_at", secret.expires_at.to_string()),
            ],
        };
        audit_events::append(&mut db, &event).await?;
        work.commit().await?;
        self.committed().await;
        Ok(self.issued(role, &secret, text))
    }

    pub(super) fn role(&self, id: &str) -> Result<&ApiRole, UseCaseError> {
        self.settings.role(id).map(AsRef::as_ref).ok_or_else(|| UseCaseError::NoSuchRole {
            role: id.to_owned(),
            known: self.settings.roles.iter().map(|role| role.id.as_str()).collect::<Vec<_>>().join(", "),
        })
    }

    /// What is handed over with a new secret. The scope to ask for is the simple one where it gives everything.
    pub(super) fn issued(&self, role: &ApiRole, secret: &Secret, text: ClientSecret) -> IssuedCredentials {
        IssuedCredentials {
            client_id: secret.client_id.clone(),
            client_secret: text,
            secret_id: secret.id.clone(),
            issued_at: secret.issued_at,
            expires_at: secret.expires_at,
            token_url: self.settings.token_url(),
            scope: format!("{}/.default", role.resource),
        }
    }
}

/// What a client may have at most: a part of what its role may have, named in either form.
fn allowed_scope(role: &ApiRole, wish: Option<&str>) -> Result<Scope, UseCaseError> {
    Ok(grant(wish, &role.resource, &role.scope)?.scope)
}
