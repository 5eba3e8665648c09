//! What reviewers do: decide, ask for a document, look at one, take a role away, stop an account.

use authz_domain::{
    AccessCatalogue, AccessRequest, Account, AccountStatus, Act, Actor, HeldRole, RequestAct, RequestState,
};
use authz_store::{access_requests, accounts, granted_roles, granted_roles::GrantedRole, sessions};
use pms_terms::OrganisationId;

use super::{RequestPlan, UseCaseError, UseCases};
use crate::mail::letters;

/// Requests in an inbox.
const INBOX: i64 = 200;

/// Who reviews: an account with the roles that count in its session.
#[derive(Clone, Copy, Debug)]
pub struct Reviewer<'r> {
    /// The account.
    pub account: &'r Account,
    /// Its roles.
    pub held: &'r [HeldRole],
}

impl<'r> Reviewer<'r> {
    /// The organisations in which they hold a role that decides, once each.
    pub fn places(self, catalogue: &AccessCatalogue) -> Vec<&'r OrganisationId> {
        let mut places: Vec<_> = self
            .held
            .iter()
            .filter(|one| !catalogue.decided_by(&one.role).is_empty())
            .filter_map(|one| one.organisation.as_ref())
            .collect();
        places.sort();
        places.dedup();
        places
    }
}

/// What a reviewer decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Grants it.
    Approve,
    /// Refuses it.
    Reject,
    /// Asks for a document.
    AskForDocuments,
}

impl UseCases {
    fn decides(&self, reviewer: Reviewer<'_>, request: &AccessRequest) -> bool {
        request.may_be_decided_by(self.catalogue(), &reviewer.account.id, reviewer.held)
    }

    /// Whether a reviewer may see a request: who may decide on it, and the agency every one that was handed in.
    pub(super) fn sees(&self, reviewer: Reviewer<'_>, request: &AccessRequest) -> bool {
        let agency = self.catalogue().acts_for_agency(reviewer.held);
        request.state != RequestState::Draft && (agency || self.decides(reviewer, request))
    }

    /// The requests that wait for a reviewer, oldest first.
    pub async fn waiting_for(&self, reviewer: Reviewer<'_>) -> Result<Vec<AccessRequest>, UseCaseError> {
        let catalogue = self.catalogue();
        let mut reader = self.database.read().await?;
        let mut db = reader.db();
        let mut found = Vec::new();
        if catalogue.acts_for_agency(reviewer.held) {
            found = access_requests::open_for_agency(&mut db, INBOX).await?;
        }
        for place in reviewer.places(catalogue) {
            found.extend(access_requests::open_for_organisation(&mut db, place, INBOX).await?);
        }
        found.retain(|request| self.decides(reviewer, request));
        found.sort_by(|a, b| (a.submitted_at, &a.id).cmp(&(b.submitted_at, &b.id)));
        found.dedup_by(|a, b| a.id == b.id);
        Ok(found)
    }

    /// The same, each with its requester.
    pub async fn inbox(&self, reviewer: Reviewer<'_>) -> Result<Vec<(AccessRequest, Account)>, UseCaseError> {
        let found = self.waiting_for(reviewer).await?;
        let mut reader = self.database.read().await?;
        let who = found.iter().map(|request| request.account.as_str());
        let requesters = accounts::find_all(&mut reader.db(), who).await?;
        let with_requester = |request: AccessRequest| {
            let requester = requesters.get(&request.account)?.clone();
            Some((request, requester))
        };
        Ok(found.into_iter().filter_map(with_requester).collect())
    }

    /// A request with its requester, as a reviewer sees it; whether they may decide. None when it is not theirs to see.
    pub async fn review(
        &self,
        reviewer: Reviewer<'_>,
        id: &str,
    ) -> Result<Option<(RequestPlan, Account, bool)>, UseCaseError> {
        let mut reader = self.database.read().await?;
        let mut db = reader.db();
        let found = access_requests::find(&mut db, id).await?.filter(|one| self.sees(reviewer, one));
        let Some(request) = found else { return Ok(None) };
        let Some(requester) = accounts::find(&mut db, &request.account).await? else { return Ok(None) };
        let may_decide = request.state.is_open() && self.decides(reviewer, &request);
        let plan = self.plan(&mut db, &requester, request).await?;
        Ok(Some((plan, requester, may_decide)))
    }

    /// Decides on a request. The second of two reviewers is told that it was decided. None when it is not theirs.
    pub async fn decide_request(
        &self,
        reviewer: Reviewer<'_>,
        id: &str,
        decision: Decision,
        reason: &str,
    ) -> Result<Option<AccessRequest>, UseCaseError> {
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let found = access_requests::find(&mut db, id).await?.filter(|one| self.decides(reviewer, one));
        let Some(mut request) = found else { return Ok(None) };
        let requester =
            accounts::find(&mut db, &request.account).await?.ok_or(UseCaseError::NoSuchAccount)?;
        let by = reviewer.account.id.as_str();
        match decision {
            Decision::Approve => {
                if requester.status != AccountStatus::Active {
                    return Err(UseCaseError::Account("the requester's account is not active".to_owned()));
                }
                self.close(&mut db, &requester, &mut request, RequestAct::Approve, Some(by), reason).await?;
            }
            Decision::Reject => {
                self.close(&mut db, &requester, &mut request, RequestAct::Reject, Some(by), reason).await?;
            }
            Decision::AskForDocuments => {
                let before = request.state;
                request.state = before.after(RequestAct::AskForDocuments)?;
                reason.clone_into(&mut request.reason);
                if !access_requests::update(&mut db, &request, before).await? {
                    return Err(UseCaseError::DecidedMeanwhile);
                }
                let actor = Actor::Account(by.to_owned());
                let details = vec![("request", request.name()), ("reason", reason.to_owned())];
                self.audit(&mut db, &actor, Act::RequestSentBack, &request.id, details).await?;
                let letter = letters::documents_wanted(&request, reason, &self.settings.base_url);
                self.post_to(&mut db, &requester, &letter).await?;
            }
        }
        work.commit().await?;
        self.nudge_delivery();
        Ok(Some(request))
    }

    /// Whether a reviewer may take this role from its holder: who could decide on it where it is held, and the agency.
    pub fn may_revoke(&self, reviewer: Reviewer<'_>, role: &GrantedRole) -> bool {
        let catalogue = self.catalogue();
        let Some(known) = catalogue.role(&role.role) else { return false };
        let decides = reviewer
            .held
            .iter()
            .any(|one| one.organisation == role.organisation && known.approval.by.contains(&one.role));
        (decides && role.organisation.is_some()) || catalogue.acts_for_agency(reviewer.held)
    }

    /// Takes a role away. None when it is not theirs to take.
    pub async fn revoke_role(
        &self,
        reviewer: Reviewer<'_>,
        id: &str,
        reason: &str,
    ) -> Result<Option<()>, UseCaseError> {
        let now = self.now();
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let found = granted_roles::find(&mut db, id).await?.filter(|one| self.may_revoke(reviewer, one));
        let Some(role) = found else { return Ok(None) };
        let by = reviewer.account.id.as_str();
        if !granted_roles::revoke(&mut db, id, Some(by), reason, now).await? {
            return Err(UseCaseError::DecidedMeanwhile);
        }
        let title = self.catalogue().title_of(&role.role);
        let place = role.organisation.as_ref().map(ToString::to_string).unwrap_or_default();
        let actor = Actor::Account(by.to_owned());
        let details =
            vec![("role", role.role.clone()), ("organisation", place.clone()), ("reason", reason.to_owned())];
        self.audit(&mut db, &actor, Act::RoleRevoked, &role.account, details).await?;
        // Behind the record, for which acts wait for each other: the reviewer may have lost the right to it meanwhile.
        let held = granted_roles::of_account(&mut db, by).await?;
        let still: Vec<HeldRole> = reviewer
            .held
            .iter()
            .filter(|one| held.iter().any(|held| held.held() == **one) || role.account == by)
            .cloned()
            .collect();
        if !self.may_revoke(Reviewer { held: &still, ..reviewer }, &role) {
            return Err(UseCaseError::DecidedMeanwhile);
        }
        if let Some(holder) = accounts::find(&mut db, &role.account).await? {
            let what = format!("{title} {place}");
            self.post_to(&mut db, &holder, &letters::role_revoked(what.trim(), reason)).await?;
        }
        self.hand_over(&mut db, &role).await?;
        work.commit().await?;
        self.nudge_delivery();
        Ok(Some(()))
    }

    /// Stops an account, or lets its owner in again: the agency may, and an administrator when every role of the person is
    /// theirs to take away. None when it is not theirs to do.
    pub async fn set_blocked(
        &self,
        reviewer: Reviewer<'_>,
        account: &str,
        blocked: bool,
        reason: &str,
    ) -> Result<Option<()>, UseCaseError> {
        let roles = granted_roles::of_account(&mut self.database.read().await?.db(), account).await?;
        if !self.may_block(reviewer, account, &roles) {
            return Ok(None);
        }
        let actor = Actor::Account(reviewer.account.id.clone());
        let change = if blocked { Account::block } else { Account::unblock };
        self.change_account_status(actor, account, change, reason).await?;
        Ok(Some(()))
    }

    /// Whether a reviewer may stop the account of somebody with these roles.
    pub fn may_block(&self, reviewer: Reviewer<'_>, account: &str, roles: &[GrantedRole]) -> bool {
        let theirs = !roles.is_empty() && roles.iter().all(|role| self.may_revoke(reviewer, role));
        reviewer.account.id != account && (theirs || self.catalogue().acts_for_agency(reviewer.held))
    }

    /// Ends the sessions of an account but one.
    pub(crate) async fn end_other_sessions(&self, account: &str, kept: &str) -> Result<(), UseCaseError> {
        let mut work = self.database.begin().await?;
        sessions::end_others(&mut work.db(), account, kept).await?;
        Ok(work.commit().await?)
    }
}
