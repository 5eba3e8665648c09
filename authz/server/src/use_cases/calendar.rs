//! The private calendar of an organisation: an address that nobody can guess, renewed or taken away at will.

use authz_domain::{Act, Actor, Organisation};
use authz_store::{calendar_feeds, organisations};
use pms_terms::OrganisationId;
use time::{Duration, OffsetDateTime};

use super::{ExpiringSecret, UseCaseError, UseCases};
use crate::{entropy::entropy, portal::keys::Label};

/// How far ahead a calendar shows: every secret that lives now.
const AHEAD: Duration = Duration::days(11 * 366);

impl UseCases {
    /// Gives an organisation's calendar an address, in place of an earlier one. Answers what stands in it, to be shown
    /// once.
    pub async fn renew_calendar(
        &self,
        actor: Actor,
        organisation: &OrganisationId,
    ) -> Result<String, UseCaseError> {
        let key = hex::encode(entropy::<32>()?);
        let hash = self.keys.portal_hash(Label::Calendar, &key);
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let by = actor.parts().1.unwrap_or_default().to_owned();
        calendar_feeds::set(&mut db, organisation, &hash, &by, self.now()).await?;
        let details = vec![("what", "a new address".to_owned())];
        self.audit(&mut db, &actor, Act::CalendarChanged, organisation.as_str(), details).await?;
        work.commit().await?;
        Ok(key)
    }

    /// Takes the address of an organisation's calendar away. Whether there was one.
    pub async fn remove_calendar(
        &self,
        actor: Actor,
        organisation: &OrganisationId,
    ) -> Result<bool, UseCaseError> {
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        if !calendar_feeds::remove(&mut db, organisation).await? {
            return Ok(false);
        }
        let details = vec![("what", "no address any more".to_owned())];
        self.audit(&mut db, &actor, Act::CalendarChanged, organisation.as_str(), details).await?;
        work.commit().await?;
        Ok(true)
    }

    /// Since when an organisation's calendar has its address.
    pub async fn calendar_since(
        &self,
        organisation: &OrganisationId,
    ) -> Result<Option<OffsetDateTime>, UseCaseError> {
        Ok(calendar_feeds::made_at(&mut self.database.read().await?.db(), organisation).await?)
    }

    /// The organisation whose calendar has this in its address, and when its secrets expire.
    pub async fn read_calendar(
        &self,
        key: &str,
    ) -> Result<Option<(Organisation, Vec<ExpiringSecret>)>, UseCaseError> {
        let hash = self.keys.portal_hash(Label::Calendar, key);
        let mut reader = self.database.read().await?;
        let Some(id) = calendar_feeds::find(&mut reader.db(), &hash).await? else { return Ok(None) };
        let Some(organisation) = organisations::find(&mut reader.db(), &id).await? else { return Ok(None) };
        drop(reader);
        let mut secrets = self.expiring_secrets(AHEAD).await?;
        secrets.retain(|one| one.client.organisation.as_ref() == Some(&id));
        Ok(Some((organisation, secrets)))
    }
}
