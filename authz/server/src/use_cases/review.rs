//! What reviewers do: decide, ask for a document, look at one, take a role away, stop an account.

use authz_domain::{AccessRequest, Account, AccountStatus, Act, Actor, HeldRole, RequestAct, RequestState};
use authz_store::{
    access_requests, accounts, documents, documents::Document, granted_roles, granted_roles::GrantedRole,
    sessions,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use pms_terms::OrganisationId;

use super::{UseCaseError, UseCases, access_requests::RequestPlan};
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
        request.may_be_decided_by(&self.settings.portal.catalogue, &reviewer.account.id, reviewer.held)
    }

    /// Whether a reviewer may see a request: who may decide on it, and the agency every one that was handed in.
    fn sees(&self, reviewer: Reviewer<'_>, request: &AccessRequest) -> bool {
        let agency = self.settings.portal.catalogue.acts_for_agency(reviewer.held);
        request.state != RequestState::Draft && (agency || self.decides(reviewer, request))
    }

    /// The requests that wait for a reviewer, oldest first.
    pub async fn inbox(&self, reviewer: Reviewer<'_>) -> Result<Vec<(AccessRequest, Account)>, UseCaseError> {
        let catalogue = &self.settings.portal.catalogue;
        let mut reader = self.database.read().await?;
        let mut db = reader.db();
        let mut found = Vec::new();
        if catalogue.acts_for_agency(reviewer.held) {
            found = access_requests::open_for_agency(&mut db, INBOX).await?;
        }
        let mut places: Vec<&OrganisationId> = reviewer
            .held
            .iter()
            .filter(|one| !catalogue.decided_by(&one.role).is_empty())
            .filter_map(|one| one.organisation.as_ref())
            .collect();
        places.sort();
        places.dedup();
        for place in places {
            found.extend(access_requests::open_for_organisation(&mut db, place, INBOX).await?);
        }
        found.retain(|request| self.decides(reviewer, request));
        found.sort_by(|a, b| (a.submitted_at, &a.id).cmp(&(b.submitted_at, &b.id)));
        found.dedup_by(|a, b| a.id == b.id);
        let mut inbox = Vec::with_capacity(found.len());
        for request in found {
            if let Some(requester) = accounts::find(&mut db, &request.account).await? {
                inbox.push((request, requester));
            }
        }
        Ok(inbox)
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

    /// A document with its content: for those who review its request, and nobody else. Reading is noted.
    pub async fn read_document(
        &self,
        reviewer: Reviewer<'_>,
        id: &str,
    ) -> Result<Option<(Document, Vec<u8>)>, UseCaseError> {
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let Some(document) = documents::find(&mut db, id).await? else { return Ok(None) };
        let request = access_requests::find(&mut db, &document.request).await?;
        if !request.is_some_and(|request| self.sees(reviewer, &request)) {
            return Ok(None);
        }
        let mut content = Vec::new();
        for piece in documents::pieces(&mut db, id).await? {
            content.extend(STANDARD.decode(piece).map_err(|_| UseCaseError::Letter)?);
        }
        let actor = Actor::Account(reviewer.account.id.clone());
        let details = vec![("request", document.request.clone())];
        self.audit(&mut db, &actor, Act::DocumentRead, id, details).await?;
        work.commit().await?;
        Ok(Some((document, content)))
    }

    /// Whether a reviewer may take this role from its holder: who could decide on it where it is held, and the agency.
    pub fn may_revoke(&self, reviewer: Reviewer<'_>, role: &GrantedRole) -> bool {
        let catalogue = &self.settings.portal.catalogue;
        let Some(known) = catalogue.role(&role.role) else { return false };
        let decides = reviewer
            .held
            .iter()
            .any(|one| one.organisation == role.organisation && known.approval.by.contains(&one.role));
        (decides && role.organisation.is_some()) || catalogue.acts_for_agency(reviewer.held)
    }

    /// Whether taking this role away leaves an organisation without anybody who decides.
    pub async fn is_last_decider(&self, role: &GrantedRole) -> Result<bool, UseCaseError> {
        let decides = !self.settings.portal.catalogue.decided_by(&role.role).is_empty();
        let Some(organisation) = role.organisation.as_ref().filter(|_| decides) else { return Ok(false) };
        let mut reader = self.database.read().await?;
        let others =
            granted_roles::count_others(&mut reader.db(), &role.role, Some(organisation), &role.account)
                .await?;
        Ok(others == 0)
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
        let catalogue = &self.settings.portal.catalogue;
        let title = catalogue.role(&role.role).map_or(role.role.clone(), |known| known.title.clone());
        let place = role.organisation.as_ref().map(ToString::to_string).unwrap_or_default();
        let actor = Actor::Account(by.to_owned());
        let details =
            vec![("role", role.role.clone()), ("organisation", place.clone()), ("reason", reason.to_owned())];
        self.audit(&mut db, &actor, Act::RoleRevoked, &role.account, details).await?;
        if let Some(holder) = accounts::find(&mut db, &role.account).await? {
            let what = format!("{title} {place}");
            self.post_to(&mut db, &holder, &letters::role_revoked(what.trim(), reason)).await?;
        }
        let left = match &role.organisation {
            Some(organisation) if !catalogue.decided_by(&role.role).is_empty() => {
                granted_roles::count_others(&mut db, &role.role, Some(organisation), "").await?
            }
            _ => 1,
        };
        if left == 0
            && let Some(organisation) = &role.organisation
        {
            access_requests::turn_over_to_agency(&mut db, organisation).await?;
            let agency: Vec<&str> =
                catalogue.roles.iter().filter(|one| one.acts_for_agency).map(|one| one.id.as_str()).collect();
            for one in accounts::holders(&mut db, &agency, None, 20).await? {
                self.post_to(&mut db, &one, &letters::last_admin_gone(organisation.as_str(), &title)).await?;
            }
        }
        work.commit().await?;
        self.nudge_delivery();
        Ok(Some(()))
    }

    /// Stops an account: the agency may, and an administrator when every role of the person is theirs to take away.
    /// None when it is not theirs to stop.
    pub async fn block_account(
        &self,
        reviewer: Reviewer<'_>,
        account: &str,
        reason: &str,
    ) -> Result<Option<()>, UseCaseError> {
        let roles = granted_roles::of_account(&mut self.database.read().await?.db(), account).await?;
        let agency = self.settings.portal.catalogue.acts_for_agency(reviewer.held);
        let theirs = !roles.is_empty() && roles.iter().all(|role| self.may_revoke(reviewer, role));
        if reviewer.account.id == account || !(agency || theirs) {
            return Ok(None);
        }
        let actor = Actor::Account(reviewer.account.id.clone());
        self.change_account_status(actor, account, Account::block, reason).await?;
        Ok(Some(()))
    }

    /// Ends the sessions of an account but one.
    pub(crate) async fn end_other_sessions(&self, account: &str, kept: &str) -> Result<(), UseCaseError> {
        let mut work = self.database.begin().await?;
        sessions::end_others(&mut work.db(), account, kept).await?;
        Ok(work.commit().await?)
    }
}
