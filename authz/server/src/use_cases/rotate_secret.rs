//! Giving a client a new secret, and ending old ones: the one use case behind every door to a renewal.

use access_token::RevocationSubject;
use authz_domain::{Act, Actor, Client, ClientSecret, RotationMode, Secret, SecretId, SecretState, rotate};
use authz_store::{changes, changes::Change, clients, revocations, secrets};
use database::Db;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{EndedSecret, IssuedCredentials, UseCaseError, UseCases};
use crate::entropy::entropy;

/// A secret before it is issued.
pub(super) struct NewSecret {
    pub(super) id: SecretId,
    pub(super) text: ClientSecret,
}

impl NewSecret {
    pub(super) fn make() -> Result<Self, UseCaseError> {
        Ok(Self { id: SecretId::from_entropy(entropy()?), text: ClientSecret::from_entropy(&entropy()?) })
    }
}

/// What becomes of the secrets before a new one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rotate<'r> {
    /// Whether they end at once, with every token bought with them: for a compromise. Otherwise the old one works for
    /// the configured overlap.
    pub immediately: bool,
    /// The secret by which the client has just proven itself, when it rotates by itself.
    pub in_use: Option<&'r SecretId>,
    /// The newest secret that whoever asks knows of; when there is a newer one nothing is done.
    pub newest_known: Option<&'r str>,
    /// Whether it is a renewal in the portal, which may be refused once every secret has ended.
    pub renewal: bool,
}

impl Rotate<'_> {
    /// There are none.
    pub(super) const FIRST: Self =
        Self { immediately: false, in_use: None, newest_known: None, renewal: false };
}

impl UseCases {
    /// Gives the client a successor to its secret. The old one works for the configured overlap, or ends at once, with
    /// every token bought with it, when `immediately`.
    pub async fn rotate_secret(
        &self,
        actor: Actor,
        client_id: &str,
        immediately: bool,
    ) -> Result<IssuedCredentials, UseCaseError> {
        self.rotate(actor, client_id, Rotate { immediately, ..Rotate::default() }).await
    }

    /// The same on the client's own word, which it gave with the secret `in_use`.
    pub async fn rotate_own_secret(
        &self,
        client_id: &str,
        in_use: &SecretId,
        immediately: bool,
    ) -> Result<IssuedCredentials, UseCaseError> {
        let how = Rotate { immediately, in_use: Some(in_use), ..Rotate::default() };
        self.rotate(Actor::Client(client_id.to_owned()), client_id, how).await
    }

    /// Gives the client a successor to its secret, as `how` says.
    pub async fn rotate(
        &self,
        actor: Actor,
        client_id: &str,
        how: Rotate<'_>,
    ) -> Result<IssuedCredentials, UseCaseError> {
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let client = self.client(&mut db, client_id).await?;
        self.may_rotate(&mut db, &client, how).await?;
        let issued = self.issue_secret(&mut db, &actor, &client, NewSecret::make()?, how).await?;
        work.commit().await?;
        self.committed().await;
        Ok(issued)
    }

    /// The same, handed over by mail.
    pub async fn rotate_by_mail(
        &self,
        actor: Actor,
        client_id: &str,
        how: Rotate<'_>,
    ) -> Result<(), UseCaseError> {
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let client = self.client(&mut db, client_id).await?;
        self.may_rotate(&mut db, &client, how).await?;
        self.mail_new_secret(&mut db, &actor, &client, how).await?;
        work.commit().await?;
        self.committed().await;
        self.nudge_delivery();
        Ok(())
    }

    pub(super) async fn client(&self, db: &mut Db<'_>, id: &str) -> Result<Client, UseCaseError> {
        let found = clients::find(db, id).await?;
        Ok(found.ok_or_else(|| UseCaseError::NoSuchClient(id.to_owned()))?.client)
    }

    /// Issues a secret to a client and does with the ones before it what was asked for.
    pub(super) async fn issue_secret(
        &self,
        db: &mut Db<'_>,
        actor: &Actor,
        client: &Client,
        new: NewSecret,
        how: Rotate<'_>,
    ) -> Result<IssuedCredentials, UseCaseError> {
        let now = self.now();
        client.may_rotate()?;
        let role = self.role(&client.role)?;
        let current = self.secrets_to_rotate(db, client, how).await?;
        let first = current.is_empty();
        // A rotation is no way back from a key to a secret: a client has one method at a time.
        let others = |one: &&Secret| one.is_live(now) && one.proof.secret().is_none();
        if let Some(other) = current.iter().find(others) {
            return Err(UseCaseError::OtherMethod(other.proof.method()));
        }
        let changed = self.end_secrets(db, current, how, now).await?;
        let lifetime = self.settings.secret_lifetime;
        let secret = Secret::issue(new.id, client.id.clone(), &new.text, self.pepper(), lifetime, now);
        secrets::insert(db, &secret).await?;
        changes::append(db, &Change::Client(client.id.to_string()), now).await?;
        let mut details = vec![
            ("secret_id", secret.id.to_string()),
            ("expires_at", secret.expires_at.format(&Rfc3339).unwrap_or_default()),
        ];
        let act = if first {
            Act::SecretIssued
        } else {
            details.push(("immediately", how.immediately.to_string()));
            details.push(("ended", changed.iter().map(|one| one.id.as_str()).collect::<Vec<_>>().join(" ")));
            Act::SecretRotated
        };
        self.audit(db, actor, act, client.id.as_str(), details).await?;
        Ok(IssuedCredentials {
            client_id: client.id.clone(),
            client_secret: new.text,
            secret_id: secret.id,
            issued_at: secret.issued_at,
            expires_at: secret.expires_at,
            token_url: self.settings.token_url(),
            // The simple one, which gives everything.
            scope: format!("{}/.default", role.resource),
            ended: changed
                .into_iter()
                .filter(|one| !one.is_live(now))
                .map(|one| EndedSecret { id: one.id, hint: one.hint })
                .collect(),
        })
    }

    /// The secrets of a client, newest first, if the newest is the one that whoever asks knows of.
    pub(super) async fn secrets_to_rotate(
        &self,
        db: &mut Db<'_>,
        client: &Client,
        how: Rotate<'_>,
    ) -> Result<Vec<Secret>, UseCaseError> {
        let current = secrets::of_client(db, client.id.as_str()).await?;
        let newest = current.first().map_or("", |one| one.id.as_str());
        if how.newest_known.is_some_and(|known| known != newest) {
            return Err(UseCaseError::RotatedMeanwhile);
        }
        Ok(current)
    }

    /// Does with secrets what a successor does to them. Answers those that end, or end earlier than they would have.
    pub(super) async fn end_secrets(
        &self,
        db: &mut Db<'_>,
        current: Vec<Secret>,
        how: Rotate<'_>,
        now: OffsetDateTime,
    ) -> Result<Vec<Secret>, UseCaseError> {
        let mode = if how.immediately {
            RotationMode::Immediately
        } else {
            RotationMode::Overlap(self.settings.overlap)
        };
        let rotation = rotate(current, mode, how.in_use, now);
        for changed in &rotation.changed {
            secrets::set_end(db, changed).await?;
            if how.immediately {
                self.revoke_tokens_of(db, changed, now).await?;
            }
        }
        Ok(rotation.changed)
    }

    async fn may_rotate(
        &self,
        db: &mut Db<'_>,
        client: &Client,
        how: Rotate<'_>,
    ) -> Result<(), UseCaseError> {
        if how.renewal { self.may_renew(db, client).await } else { Ok(client.may_rotate()?) }
    }

    /// Whether people may renew the client's credentials in the portal now.
    pub(super) async fn may_renew(&self, db: &mut Db<'_>, client: &Client) -> Result<(), UseCaseError> {
        client.may_rotate()?;
        let now = self.now();
        let secrets = secrets::of_client(db, client.id.as_str()).await?;
        let over = |one: &Secret| one.state(now) != SecretState::Live;
        match secrets.first() {
            Some(newest) if !self.settings.renewal_after_expiry && secrets.iter().all(over) => {
                Err(UseCaseError::ExpiredForGood { at: newest.ends_at() })
            }
            _ => Ok(()),
        }
    }

    /// Ends one secret of a client on purpose, with every token bought with it.
    pub async fn revoke_secret(
        &self,
        actor: Actor,
        client_id: &str,
        secret_id: &str,
    ) -> Result<(), UseCaseError> {
        let now = self.now();
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let secret = secrets::of_client(&mut db, client_id)
            .await?
            .into_iter()
            .find(|secret| secret.id.as_str() == secret_id)
            .ok_or_else(|| UseCaseError::NoSuchSecret(secret_id.to_owned()))?;
        let secret = secret.revoke(now)?;
        secrets::set_end(&mut db, &secret).await?;
        self.revoke_tokens_of(&mut db, &secret, now).await?;
        changes::append(&mut db, &Change::Client(client_id.to_owned()), now).await?;
        let details = vec![("secret_id", secret_id.to_owned())];
        self.audit(&mut db, &actor, Act::SecretRevoked, client_id, details).await?;
        work.commit().await?;
        self.committed().await;
        Ok(())
    }

    pub(super) async fn revoke_tokens_of(
        &self,
        db: &mut Db<'_>,
        secret: &Secret,
        now: OffsetDateTime,
    ) -> Result<(), UseCaseError> {
        let subject = RevocationSubject::Secret(secret.id.to_string());
        revocations::append(db, &subject, self.last_token_dead_at(now), true, now).await?;
        Ok(())
    }
}
