//! Who decides in an organisation, and what happens when the last of them leaves.

use authz_store::{access_requests, accounts, granted_roles, granted_roles::GrantedRole};
use database::Db;

use super::{UseCaseError, UseCases};
use crate::mail::letters;

/// Letters to agency administrators.
const MAX_LETTERS: i64 = 20;

impl UseCases {
    /// Whether nobody else who is active holds this deciding role in its organisation.
    async fn is_last(&self, db: &mut Db<'_>, role: &GrantedRole) -> Result<bool, UseCaseError> {
        let decides = !self.catalogue().decided_by(&role.role).is_empty();
        let Some(organisation) = role.organisation.as_ref().filter(|_| decides) else { return Ok(false) };
        let others = granted_roles::count_others(db, &role.role, Some(organisation), &role.account).await?;
        Ok(others == 0)
    }

    /// Whether taking this role away leaves an organisation without anybody who decides.
    pub async fn is_last_decider(&self, role: &GrantedRole) -> Result<bool, UseCaseError> {
        self.is_last(&mut self.database.read().await?.db(), role).await
    }

    /// The roles of an account that leave an organisation without anybody who decides when the account ends.
    pub async fn last_deciding_roles(&self, account: &str) -> Result<Vec<GrantedRole>, UseCaseError> {
        let mut reader = self.database.read().await?;
        let mut db = reader.db();
        let mut last = Vec::new();
        for role in granted_roles::of_account(&mut db, account).await? {
            if self.is_last(&mut db, &role).await? {
                last.push(role);
            }
        }
        Ok(last)
    }

    /// After a role was taken away or its holder's account ended: when nobody is left there to decide, the agency gets
    /// what waits, and is told.
    pub(crate) async fn hand_over(&self, db: &mut Db<'_>, role: &GrantedRole) -> Result<(), UseCaseError> {
        let Some(organisation) = &role.organisation else { return Ok(()) };
        if !self.is_last(db, role).await? {
            return Ok(());
        }
        for decided in self.catalogue().decided_by(&role.role) {
            access_requests::turn_over_to_agency(db, organisation, &decided.id).await?;
        }
        let letter = letters::last_admin_gone(organisation.as_str(), self.catalogue().title_of(&role.role));
        let agency = self.catalogue().agency_roles();
        for one in accounts::holders(db, &agency, None, MAX_LETTERS).await? {
            self.post_to(db, &one, &letter).await?;
        }
        Ok(())
    }
}
