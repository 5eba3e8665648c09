//! Registering a client, with its first secret.

use access_token::Scope;
use authz_domain::{
    Act, Actor, ApiRole, Client, ClientId, ClientSecret, ClientStatus, InvalidScope, SecretId,
    check_particulars, grant,
};
use authz_store::{changes, changes::Change, clients, organisations};
use database::Db;
use pms_terms::{Domain, Domains, OrganisationId};
use time::OffsetDateTime;

use super::{
    UseCaseError, UseCases,
    rotate_secret::{NewSecret, Rotate},
};
use crate::entropy::entropy;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct NewClient {
    /// On whose behalf it acts; none for public clients.
    pub organisation: Option<OrganisationId>,
    /// The account that a public client belongs to; none when an operator makes it.
    pub owner: Option<String>,
    /// What automation calls it.
    pub external_key: Option<String>,
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
    /// Older secrets that stopped working when this one was made.
    pub ended: Vec<EndedSecret>,
}

/// A secret that a successor ended at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedSecret {
    /// Its name in lists.
    pub id: SecretId,
    /// Its first characters.
    pub hint: String,
}

/// What came of making sure that a client is there.
#[derive(Clone, Debug)]
pub enum EnsuredClient {
    /// It was made.
    Made(IssuedCredentials),
    /// It was there.
    Found(ClientId),
}

impl UseCases {
    /// Registers a client under its external key, unless there is one of this key already: then label and contact are
    /// brought up to date, and anything else that differs is a conflict.
    pub async fn ensure_client(&self, actor: Actor, new: NewClient) -> Result<EnsuredClient, UseCaseError> {
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let key = new.external_key.clone().unwrap_or_default();
        if let Some(found) = clients::find_by_key(&mut db, new.organisation.as_ref(), &key).await? {
            let client = found.client;
            let allowed = allowed_scope(self.role(&new.role)?, new.scope.as_deref())?;
            let differs = [
                ("role", client.role != new.role),
                ("qualified", client.qualified != new.qualified),
                ("domains", client.domains != new.domains),
                ("scope", client.allowed != allowed),
            ];
            if let Some((what, _)) = differs.into_iter().find(|(_, differs)| *differs) {
                return Err(UseCaseError::OtherClient(what));
            }
            drop(work);
            self.change_client(actor, client.id.as_str(), &new.label, new.contact.as_deref()).await?;
            return Ok(EnsuredClient::Found(client.id));
        }
        let client = self.register(&mut db, &actor, new, ClientId::from_entropy(entropy()?)).await?;
        let issued = self.issue_secret(&mut db, &actor, &client, NewSecret::make()?, Rotate::FIRST).await?;
        work.commit().await?;
        self.committed().await;
        Ok(EnsuredClient::Made(issued))
    }

    /// Registers a client and makes its first secret.
    pub async fn create_client(
        &self,
        actor: Actor,
        new: NewClient,
    ) -> Result<IssuedCredentials, UseCaseError> {
        let id = ClientId::from_entropy(entropy()?);
        self.create_as(actor, new, id, NewSecret::make()?).await
    }

    /// Registers a client under a given id with a given secret.
    pub(super) async fn create_as(
        &self,
        actor: Actor,
        new: NewClient,
        id: ClientId,
        secret: NewSecret,
    ) -> Result<IssuedCredentials, UseCaseError> {
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let client = self.register(&mut db, &actor, new, id).await?;
        let issued = self.issue_secret(&mut db, &actor, &client, secret, Rotate::FIRST).await?;
        work.commit().await?;
        self.committed().await;
        Ok(issued)
    }

    /// Registers a client without a secret.
    pub(super) async fn register(
        &self,
        db: &mut Db<'_>,
        actor: &Actor,
        new: NewClient,
        id: ClientId,
    ) -> Result<Client, UseCaseError> {
        let now = self.now();
        let role = self.role(&new.role)?;
        let contact = new.contact.as_deref().map(str::trim).filter(|contact| !contact.is_empty());
        check_particulars(&new.label, contact)?;
        if role.categories.is_empty() && !role.administers() && contact.is_none() {
            return Err(UseCaseError::ContactMissing(role.id.clone()));
        }
        if new.domains == Domains::NONE {
            return Err(UseCaseError::NoDomain);
        }
        let allowed = allowed_scope(role, new.scope.as_deref())?;
        let organisation = match &new.organisation {
            None => None,
            Some(id) => Some(
                organisations::find(db, id)
                    .await?
                    .ok_or_else(|| UseCaseError::NoSuchOrganisation(id.to_string()))?,
            ),
        };
        role.admits(organisation.as_ref())?;
        if let Some(organisation) = &organisation {
            self.has_room(db, &organisation.id).await?;
        }
        let client = Client {
            id,
            label: new.label.trim().to_owned(),
            contact: contact.map(str::to_owned),
            role: role.id.clone(),
            organisation: new.organisation,
            owner: new.owner,
            external_key: new.external_key,
            qualified: new.qualified,
            domains: new.domains,
            allowed,
            dpop_required: false,
            status: ClientStatus::Active,
            created_at: now,
        };
        clients::insert(db, &client).await?;
        changes::append(db, &Change::Client(client.id.to_string()), now).await?;
        let details = vec![
            ("role", client.role.clone()),
            ("organisation", client.organisation.as_ref().map(ToString::to_string).unwrap_or_default()),
            ("qualified", client.qualified.to_string()),
            ("domains", named(client.domains)),
            ("scope", client.allowed.to_string()),
        ];
        self.audit(db, actor, Act::ClientCreated, client.id.as_str(), details).await?;
        Ok(client)
    }

    /// Whether an organisation may have one more client.
    pub(super) async fn has_room(
        &self,
        db: &mut Db<'_>,
        organisation: &OrganisationId,
    ) -> Result<(), UseCaseError> {
        let most = self.settings.clients_per_organisation;
        if clients::count_of(db, organisation).await? >= i64::from(most) {
            return Err(UseCaseError::TooManyClients { organisation: organisation.to_string(), count: most });
        }
        Ok(())
    }

    pub(super) fn role(&self, id: &str) -> Result<&ApiRole, UseCaseError> {
        self.settings.role(id).map(AsRef::as_ref).ok_or_else(|| UseCaseError::NoSuchRole {
            role: id.to_owned(),
            known: self.settings.roles.iter().map(|role| role.id.as_str()).collect::<Vec<_>>().join(", "),
        })
    }
}

/// A set of domains in words.
pub(crate) fn named(domains: Domains) -> String {
    domains.iter().map(Domain::as_str).collect::<Vec<_>>().join(", ")
}

/// What a client may have at most: a part of what its role may have, named in either form.
pub(super) fn allowed_scope(role: &ApiRole, wish: Option<&str>) -> Result<Scope, UseCaseError> {
    let granted = grant(wish, &role.resource, &role.scope)?;
    if granted.resource != role.resource {
        // Every client has `client.rotate` beside what it is registered for.
        let (resource, allowed) = (role.resource.clone(), role.scope.to_string());
        return Err(InvalidScope::Mixed { resource, allowed }.into());
    }
    Ok(granted.scope)
}
