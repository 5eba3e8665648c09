//! Keeping the schedule of signing keys, and changing it by command.

use access_token::{Algorithm, SigningKey};
use authz_domain::{Act, Actor, SigningKeyLife, SigningKeyState, SigningKeyStep, plan, rotate_keys};
use authz_store::{changes, changes::Change, signing_keys, signing_keys::StoredSigningKey};
use database::Db;
use time::OffsetDateTime;

use super::{UseCaseError, UseCases};
use crate::{
    mail::credentials::exact,
    seal::{open, seal},
};

/// A signing key as lists show it.
#[derive(Clone, Debug)]
pub struct SigningKeyView {
    /// Id, algorithm and times.
    pub life: SigningKeyLife,
    /// What it does now.
    pub state: SigningKeyState,
}

/// What a rotation by command did.
#[derive(Clone, Debug)]
pub struct KeyRotation {
    /// The key that takes over.
    pub kid: String,
    /// From when it signs.
    pub begins_at: OffsetDateTime,
}

/// Planning settles in two rounds; more would be a defect, and must not spin.
const ROUNDS: usize = 4;

impl UseCases {
    /// Makes, ends and destroys signing keys as their schedule says. Writes nothing when there is nothing to do; of
    /// several instances one does it.
    pub async fn maintain_signing_keys(&self) -> Result<(), UseCaseError> {
        let stored = signing_keys::list(&mut self.database.read().await?.db()).await?;
        if plan(&lives(&stored), &self.settings.signing_keys, self.now()).is_empty() {
            return Ok(());
        }
        let mut work = authz_store::begin(&self.database).await?;
        self.follow_plan(&mut work.db(), &Actor::System).await?;
        work.commit().await?;
        self.committed().await;
        Ok(())
    }

    /// Whether the master key is the one this database was made with: a stored signing key must open. In a database
    /// without keys the first ones are made, so that whoever comes next has something to be checked against.
    pub async fn knows_master_key(&self) -> Result<bool, UseCaseError> {
        let mut stored = signing_keys::list(&mut self.database.read().await?.db()).await?;
        if stored.is_empty() {
            self.maintain_signing_keys().await?;
            stored = signing_keys::list(&mut self.database.read().await?.db()).await?;
        }
        let opens = |key: &StoredSigningKey| open(&self.keys.seal, &key.life.kid, &key.sealed).is_ok();
        Ok(stored.last().is_none_or(opens))
    }

    /// All keys, in the order in which they sign.
    pub async fn list_signing_keys(&self) -> Result<Vec<SigningKeyView>, UseCaseError> {
        let now = self.now();
        let stored = signing_keys::list(&mut self.database.read().await?.db()).await?;
        Ok(lives(&stored)
            .into_iter()
            .map(|life| SigningKeyView { state: life.state(&self.settings.signing_keys, now), life })
            .collect())
    }

    /// Lets the next key take over ahead of its time: as soon as every verifier can know it, or at once.
    pub async fn rotate_signing_keys(
        &self,
        actor: Actor,
        immediately: bool,
    ) -> Result<KeyRotation, UseCaseError> {
        let now = self.now();
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        self.follow_plan(&mut db, &Actor::System).await?;
        let keys = lives(&signing_keys::list(&mut db).await?);
        let (begins_at, steps) = rotate_keys(&keys, &self.settings.signing_keys, immediately, now)
            .ok_or(UseCaseError::NoNextKey)?;
        let kid = steps.iter().find_map(|step| match step {
            SigningKeyStep::Begin { kid, .. } => Some(kid.clone()),
            _ => None,
        });
        let kid = kid.ok_or(UseCaseError::NoNextKey)?;
        for step in &steps {
            self.take(&mut db, step, &actor, now).await?;
        }
        self.follow_plan(&mut db, &Actor::System).await?;
        let details = vec![("begins_at", begins_at.to_string())];
        self.audit(&mut db, &actor, Act::SigningKeyRotated, &kid, details).await?;
        changes::append(&mut db, &Change::SigningKeys, now).await?;
        work.commit().await?;
        self.committed().await;
        Ok(KeyRotation { kid, begins_at })
    }

    async fn follow_plan(&self, db: &mut Db<'_>, actor: &Actor) -> Result<(), UseCaseError> {
        let now = self.now();
        for _ in 0..ROUNDS {
            let keys = lives(&signing_keys::list(db).await?);
            let steps = plan(&keys, &self.settings.signing_keys, now);
            if steps.is_empty() {
                break;
            }
            for step in &steps {
                self.take(db, step, actor, now).await?;
            }
            changes::append(db, &Change::SigningKeys, now).await?;
        }
        Ok(())
    }

    async fn take(
        &self,
        db: &mut Db<'_>,
        step: &SigningKeyStep,
        actor: &Actor,
        now: OffsetDateTime,
    ) -> Result<(), UseCaseError> {
        match step {
            SigningKeyStep::Create { not_before } => {
                let algorithm = self.settings.signing_keys.algorithm;
                let key = generate(algorithm).await?;
                let kid = key.kid().to_owned();
                let sealed = seal(&self.keys.seal, &kid, &key.to_pkcs8()?)?;
                let details = vec![("algorithm", algorithm.to_string()), ("not_before", exact(*not_before))];
                self.audit(db, actor, Act::SigningKeyCreated, &kid, details).await?;
                let life = SigningKeyLife {
                    kid,
                    algorithm,
                    created_at: now,
                    not_before: *not_before,
                    not_after: None,
                };
                signing_keys::insert(db, &StoredSigningKey { life, sealed }).await?;
            }
            SigningKeyStep::End { kid, not_after } => {
                signing_keys::set_not_after(db, kid, *not_after).await?;
            }
            SigningKeyStep::Begin { kid, not_before } => {
                signing_keys::set_not_before(db, kid, *not_before).await?;
            }
            SigningKeyStep::Remove { kid } => {
                signing_keys::delete(db, kid).await?;
                self.audit(db, actor, Act::SigningKeyRemoved, kid, Vec::new()).await?;
            }
        }
        Ok(())
    }
}

/// An RSA key takes a quarter of a second of work: off the threads that answer requests.
async fn generate(algorithm: Algorithm) -> Result<SigningKey, UseCaseError> {
    let made = tokio::task::spawn_blocking(move || SigningKey::generate(algorithm)).await;
    Ok(made.map_err(|_| access_token::KeyError::Crypto)??)
}

fn lives(stored: &[StoredSigningKey]) -> Vec<SigningKeyLife> {
    stored.iter().map(|key| key.life.clone()).collect()
}
