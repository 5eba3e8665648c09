//! Giving a client a new secret, and ending old ones.

use access_token::RevocationSubject;
use authz_domain::{Act, Actor, AuditEvent, ClientSecret, RotationMode, Secret, SecretId, rotate};
use authz_store::{audit_events, changes, changes::Change, clients, revocations, secrets};
use database::Db;
use time::OffsetDateTime;

use super::{IssuedCredentials, UseCaseError, UseCases};
use crate::entropy::entropy;

impl UseCases {
    /// Gives the client a successor to its secret. The old one works for the configured overlap, or ends at once,
    /// with every token bought with it, when `immediately`.
    pub async fn rotate_secret(
        &self,
        actor: Actor,
        client_id: &str,
        immediately: bool,
    ) -> Result<IssuedCredentials, UseCaseError> {
        let now = self.now();
        let text = ClientSecret::from_entropy(&entropy()?);
        let secret_id = SecretId::from_entropy(entropy()?);
        let mode = if immediately {
            RotationMode::Immediately
        } else {
            RotationMode::Overlap(self.settings.overlap)
        };

        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let registered = clients::find(&mut db, client_id)
            .await?
            .ok_or_else(|| UseCaseError::NoSuchClient(client_id.to_owned()))?;
        let client = registered.client;
        client.may_rotate()?;
        let role = self.role(&client.role)?;
        let current = secrets::of_client(&mut db, client.id.as_str()).await?;
        let rotation = rotate(current, mode, now);
        for changed in &rotation.changed {
            secrets::set_end(&mut db, changed).await?;
            if immediately {
                self.revoke_tokens_of(&mut db, changed, now).await?;
            }
        }
        let successor = Secret::issue(
            secret_id,
            client.id.clone(),
            &text,
            self.pepper(),
            self.settings.secret_lifetime,
            now,
        );
        secrets::insert(&mut db, &successor).await?;
        changes::append(&mut db, &Change::Client(client.id.to_string()), now).await?;
        let event = AuditEvent {
            at: now,
            actor,
            act: Act::SecretRotated,
            subject: client.id.to_string(),
            details: vec![
                ("secret_id", successor.id.to_string()),
                ("expires_at", successor.expires_at.to_string()),
                ("immediately", immediately.to_string()),
                ("ended", rotation.changed.iter().map(|s| s.id.as_str()).collect::<Vec<_>>().join(" ")),
            ],
        };
        audit_events::append(&mut db, &event).await?;
        work.commit().await?;
        self.committed().await;
        Ok(self.issued(role, &successor, text))
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
        let event =
            AuditEvent { at: now, actor, act: Act::SecretRevoked, subject: client_id.to_owned(), details };
        audit_events::append(&mut db, &event).await?;
        work.commit().await?;
        self.committed().await;
        Ok(())
    }

    async fn revoke_tokens_of(
        &self,
        db: &mut Db<'_>,
        secret: &Secret,
        now: OffsetDateTime,
    ) -> Result<(), UseCaseError> {
        let subject = RevocationSubject::Secret(secret.id.to_string());
        revocations::append(db, &subject, self.last_token_dead_at(now), true).await?;
        Ok(())
    }
}
