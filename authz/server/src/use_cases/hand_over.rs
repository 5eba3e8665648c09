//! How new credentials reach whom they are for: by mail, with the secret or with a link to it; and who hears that a
//! successor is in use.

use authz_domain::{Act, Actor, Client, Secret, SecretId, ended_by_successor};
use authz_store::{
    accounts, changes, changes::Change, clients, credential_links, credential_links::CredentialLink, secrets,
};
use config::Delivery;
use database::Db;
use time::OffsetDateTime;

use super::{
    IssuedCredentials, UseCaseError, UseCases,
    rotate_secret::{NewSecret, Rotate},
};
use crate::{
    entropy::entropy,
    mail::{
        Letter, Recipient,
        credentials::{self, Particulars},
    },
    portal::keys::Label,
};

/// Administrators that are written to where a client has no contact.
const MAX_ADMINISTRATORS: i64 = 20;

/// What a mailed link leads to, before its button is pressed.
#[derive(Clone, Debug)]
pub struct OfferedSecret {
    /// Whose secret it is.
    pub client: Client,
    /// Until when the link works.
    pub expires_at: OffsetDateTime,
    /// The first characters of a secret in use that ends at once when the new one is made.
    pub ends: Option<String>,
}

impl UseCases {
    /// Makes a new secret for a client and mails it to its technical contact; or mails a link, behind which the secret
    /// is made when somebody asks for it.
    pub(super) async fn mail_new_secret(
        &self,
        db: &mut Db<'_>,
        actor: &Actor,
        client: &Client,
        how: Rotate<'_>,
    ) -> Result<(), UseCaseError> {
        // To one person who is named: administrators are told of secrets, not given them.
        if client.contact.is_none() {
            return Err(UseCaseError::NoContact);
        }
        let letter = match self.settings.delivery {
            Delivery::Inline => {
                let issued = self.issue_secret(db, actor, client, NewSecret::make()?, how).await?;
                credentials::credentials(&self.particulars(client), &issued)
            }
            Delivery::OneTimeLink => {
                client.may_rotate()?;
                let now = self.now();
                let current = self.secrets_to_rotate(db, client, how).await?;
                if how.immediately {
                    // Somebody else may know them: they do not wait for the link.
                    self.end_secrets(db, current, how, now).await?;
                    changes::append(db, &Change::Client(client.id.to_string()), now).await?;
                }
                let token = hex::encode(entropy::<32>()?);
                let link = CredentialLink {
                    token_hash: self.keys.portal_hash(Label::CredentialLink, &token),
                    client: client.id.to_string(),
                    created_at: now,
                    expires_at: now + self.settings.link_lifetime,
                    used: false,
                };
                credential_links::insert(db, &link).await?;
                self.audit(db, actor, Act::SecretOffered, client.id.as_str(), Vec::new()).await?;
                let url = format!("{}/portal/credentials?t={token}", self.settings.base_url);
                credentials::credentials_link(&self.particulars(client), &url, link.expires_at)
            }
        };
        self.write_to_contact(db, client, &letter).await
    }

    /// What can be told about a client to whom it belongs.
    pub(crate) fn particulars(&self, client: &Client) -> Particulars {
        let role = self.settings.role(&client.role);
        let resource = role.map_or("", |role| role.resource.as_str());
        Particulars {
            client_id: client.id.to_string(),
            label: client.label.clone(),
            role: role.map_or_else(|| client.role.clone(), |role| role.title.clone()),
            organisation: client.organisation.as_ref().map(ToString::to_string).unwrap_or_default(),
            token_url: self.settings.token_url(),
            scope: format!("{resource}/.default"),
            base_url: self.settings.base_url.clone(),
            development_certificate: self.settings.development_certificate,
            apis: self
                .settings
                .products
                .iter()
                .filter(|product| product.resource == resource)
                .map(|product| {
                    (product.title.clone(), format!("{}{}", self.settings.base_url, product.base_path))
                })
                .collect(),
        }
    }

    /// Writes to a client's technical contact; where it has none, to the administrators of its organisation.
    pub(crate) async fn write_to_contact(
        &self,
        db: &mut Db<'_>,
        client: &Client,
        letter: &Letter,
    ) -> Result<(), UseCaseError> {
        if let Some(contact) = &client.contact {
            // Somebody with an account is written to by name, and in their language.
            if let Some(account) = accounts::find_by_name(db, contact).await? {
                return self.post_to(db, &account, letter).await;
            }
            let to = Recipient { address: Some(contact), name: "", language: "" };
            return self.post(db, to, letter).await;
        }
        for one in self.administrators_of(db, client).await? {
            self.post_to(db, &one, letter).await?;
        }
        Ok(())
    }

    /// The people who administer a client: the Admins of its organisation, or its owner.
    pub(crate) async fn administrators_of(
        &self,
        db: &mut Db<'_>,
        client: &Client,
    ) -> Result<Vec<authz_domain::Account>, UseCaseError> {
        if let Some(owner) = &client.owner {
            return Ok(accounts::find(db, owner).await?.into_iter().collect());
        }
        let Some(organisation) = &client.organisation else { return Ok(Vec::new()) };
        let roles = self.settings.portal.catalogue.administrators_of(&client.role);
        let roles: Vec<&str> = roles.iter().map(String::as_str).collect();
        Ok(accounts::holders(db, &roles, Some(organisation.as_str()), MAX_ADMINISTRATORS).await?)
    }

    /// What a mailed link leads to; none when it was used, is over, or never was. Looking changes nothing: mail scanners
    /// look.
    pub async fn offered_secret(&self, token: &str) -> Result<Option<OfferedSecret>, UseCaseError> {
        let now = self.now();
        let hash = self.keys.portal_hash(Label::CredentialLink, token);
        let mut reader = self.database.read().await?;
        let link = credential_links::find(&mut reader.db(), &hash).await?;
        let Some(link) = link.filter(|link| !link.used && link.expires_at > now) else { return Ok(None) };
        let client = self.client(&mut reader.db(), &link.client).await?;
        if client.may_rotate().is_err() {
            return Ok(None);
        }
        let secrets = secrets::of_client(&mut reader.db(), client.id.as_str()).await?;
        let ends = ended_by_successor(&secrets, now).map(|oldest| oldest.hint);
        Ok(Some(OfferedSecret { client, expires_at: link.expires_at, ends }))
    }

    /// Uses a mailed link up: makes the secret, to be shown once. None when it does not work any more.
    pub async fn take_offered_secret(
        &self,
        token: &str,
    ) -> Result<Option<(Client, IssuedCredentials)>, UseCaseError> {
        let hash = self.keys.portal_hash(Label::CredentialLink, token);
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let Some(link) = credential_links::find(&mut db, &hash).await? else { return Ok(None) };
        let client = self.client(&mut db, &link.client).await?;
        if client.may_rotate().is_err() || !credential_links::use_up(&mut db, &hash, self.now()).await? {
            return Ok(None);
        }
        // Whoever has the link acts for the client; who that is we do not know.
        let actor = Actor::Client(client.id.to_string());
        let issued =
            self.issue_secret(&mut db, &actor, &client, NewSecret::make()?, Rotate::default()).await?;
        work.commit().await?;
        self.committed().await;
        Ok(Some((client, issued)))
    }

    /// Writes down when secrets were used. When a successor was used for the first time, its contact hears that the old
    /// one is not needed any more.
    pub(crate) async fn note_uses(&self, uses: &[(SecretId, OffsetDateTime)]) -> Result<(), UseCaseError> {
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let mut told = false;
        for (id, at) in uses {
            if secrets::note_used(&mut db, id, *at).await? {
                told |= self.successor_used(&mut db, id).await?;
            }
        }
        work.commit().await?;
        if told {
            self.nudge_delivery();
        }
        Ok(())
    }

    /// Tells that a secret is used for the first time, if there is one before it that still works. Whether there is.
    async fn successor_used(&self, db: &mut Db<'_>, id: &SecretId) -> Result<bool, UseCaseError> {
        let now = self.now();
        let Some(owner) = secrets::client_of(db, id).await? else { return Ok(false) };
        let Some(client) = clients::find(db, owner.as_str()).await?.map(|found| found.client) else {
            return Ok(false);
        };
        let all = secrets::of_client(db, owner.as_str()).await?;
        let Some(place) = all.iter().position(|one| one.id == *id) else { return Ok(false) };
        // Newest first: what stands behind is older.
        let older: Option<&Secret> = all[place + 1..].iter().find(|one| one.is_live(now));
        let Some(older) = older else { return Ok(false) };
        let details = vec![("secret_id", id.to_string()), ("before", older.id.to_string())];
        self.audit(db, &Actor::System, Act::SuccessorUsed, client.id.as_str(), details).await?;
        let letter = credentials::successor_used(
            &self.particulars(&client),
            &all[place].hint,
            &older.hint,
            older.ends_at(),
        );
        self.write_to_contact(db, &client, &letter).await?;
        Ok(true)
    }
}
