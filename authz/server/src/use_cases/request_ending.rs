//! How a request ends: decided, withdrawn, expired. Whatever ends it, its audit entry, its roles and its letter are one
//! unit of work. Reminders on the way there are here as well.

use authz_domain::{AccessRequest, Account, Act, Actor, HeldRole, RequestAct, RequestState};
use authz_store::{access_requests, accounts, granted_roles, granted_roles::GrantedRole};
use database::Db;
use time::Duration;

use super::{UseCaseError, UseCases, accounts::new_id, request_plan::unwaived};
use crate::mail::letters::{self, Outcome};

/// Letters to reviewers of one request.
const MAX_REVIEWERS: i64 = 20;
/// Requests looked at in one round of deadlines.
const ROUND: i64 = 500;

impl UseCases {
    /// The people who may decide on a request, for letters.
    async fn reviewers_of(
        &self,
        db: &mut Db<'_>,
        request: &AccessRequest,
    ) -> Result<Vec<Account>, UseCaseError> {
        let catalogue = self.catalogue();
        let mut found = if request.by_agency {
            let agency = catalogue.agency_roles();
            accounts::holders(db, &agency, None, MAX_REVIEWERS).await?
        } else {
            let by: Vec<&str> = request
                .roles
                .first()
                .and_then(|id| catalogue.role(id))
                .map(|role| role.approval.by.iter().map(String::as_str).collect())
                .unwrap_or_default();
            match &request.deciding_organisation {
                Some(organisation) => {
                    accounts::holders(db, &by, Some(organisation.as_str()), MAX_REVIEWERS).await?
                }
                None => Vec::new(),
            }
        };
        found.retain(|one| one.id != request.account);
        Ok(found)
    }

    /// Tells those who decide that a request waits for them, or waits still.
    pub(super) async fn tell_reviewers(
        &self,
        db: &mut Db<'_>,
        request: &AccessRequest,
        requester: &Account,
        still: bool,
    ) -> Result<(), UseCaseError> {
        let (what, name) = (self.what(request), requester.full_name());
        for reviewer in self.reviewers_of(db, request).await? {
            let letter = letters::request_waiting(request, &what, &name, still, &self.settings.base_url);
            self.post_to(db, &reviewer, &letter).await?;
        }
        Ok(())
    }

    /// Closes a request, grants its roles when it is approved, and tells the requester. Somebody who was faster is a
    /// conflict.
    pub(crate) async fn close(
        &self,
        db: &mut Db<'_>,
        requester: &Account,
        request: &mut AccessRequest,
        act: RequestAct,
        by: Option<&str>,
        reason: &str,
    ) -> Result<(), UseCaseError> {
        let (now, before) = (self.now(), request.state);
        request.state = before.after(act)?;
        request.decided_at = Some(now);
        request.decided_by = by.map(str::to_owned);
        reason.clone_into(&mut request.reason);
        if !access_requests::update(db, request, before).await? {
            return Err(UseCaseError::DecidedMeanwhile);
        }
        let actor = by.map_or(Actor::System, |id| Actor::Account(id.to_owned()));
        let details = vec![
            ("request", request.name()),
            ("state", request.state.as_str().to_owned()),
            ("reason", reason.to_owned()),
        ];
        self.audit(db, &actor, Act::RequestClosed, &request.id, details).await?;
        let mut welcome = Vec::new();
        if request.state == RequestState::Approved {
            // Behind the record, for which decisions wait for each other.
            self.keeps_exclusions(db, request).await?;
            for id in &request.roles {
                if let Some(role) = self.catalogue().role(id).filter(|role| role.is_about_credentials()) {
                    self.grant_credentials(db, &actor, request, role).await?;
                    continue;
                }
                let granted = GrantedRole {
                    id: new_id()?,
                    account: request.account.clone(),
                    role: id.clone(),
                    organisation: request.organisation.clone(),
                    language: request.language.clone(),
                    preference: None,
                    request: Some(request.id.clone()),
                    granted_at: now,
                    granted_by: by.map(str::to_owned),
                };
                granted_roles::grant(db, &granted).await?;
                let organisation = request.organisation.as_ref().map(ToString::to_string).unwrap_or_default();
                let details = vec![("role", id.clone()), ("organisation", organisation)];
                self.audit(db, &actor, Act::RoleGranted, &request.account, details).await?;
                let sentences = self.catalogue().role(id).map(|role| &role.welcome);
                let in_language = |code: &str| sentences.and_then(|all| all.get(code)).cloned();
                welcome.extend(in_language(&requester.language).or_else(|| in_language("en")));
            }
        }
        let outcome = match act {
            RequestAct::Reject => Outcome::Rejected(reason),
            RequestAct::Withdraw => Outcome::Withdrawn,
            RequestAct::Expire => Outcome::Expired(self.settings.portal.request_lifetime.whole_days()),
            // What the system says to itself is no remark.
            _ => Outcome::Approved { remark: if by.is_some() { reason } else { "" }, welcome: &welcome },
        };
        let letter = letters::request_closed(request, &self.what(request), &outcome, &self.settings.base_url);
        self.post_to(db, requester, &letter).await
    }

    /// Whether the roles of a request go with what is held by now: other requests may have been granted since it was handed
    /// in.
    async fn keeps_exclusions(&self, db: &mut Db<'_>, request: &AccessRequest) -> Result<(), UseCaseError> {
        let held: Vec<HeldRole> =
            granted_roles::of_account(db, &request.account).await?.iter().map(GrantedRole::held).collect();
        let wanted: Vec<&str> = request.roles.iter().map(String::as_str).collect();
        let broken = self.catalogue().violations(&held, &wanted, request.organisation.as_ref());
        match unwaived(request, &broken) {
            None => Ok(()),
            Some(broken) => Err(UseCaseError::Excluded(broken.rule.clone())),
        }
    }

    /// Takes a request back. Whether there was one of this account.
    pub async fn withdraw_request(&self, account: &Account, id: &str) -> Result<bool, UseCaseError> {
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let found = access_requests::find(&mut db, id).await?;
        let Some(mut request) = found.filter(|one| one.account == account.id) else { return Ok(false) };
        let by = account.id.clone();
        self.close(
            &mut db,
            account,
            &mut request,
            RequestAct::Withdraw,
            Some(&by),
            "withdrawn by the requester",
        )
        .await?;
        work.commit().await?;
        self.nudge_delivery();
        Ok(true)
    }

    /// Reminds reviewers of requests that wait and ends those that waited too long. Missed rounds make one reminder,
    /// not several; each request is a unit of work of its own.
    pub async fn keep_request_deadlines(&self) -> Result<(), UseCaseError> {
        let (now, portal) = (self.now(), &self.settings.portal);
        let first = portal.request_reminders.first().copied().unwrap_or(i64::MAX / 1_000_000_000);
        let soonest = portal.request_lifetime.min(Duration::days(first.min(36_500)));
        let open =
            access_requests::open_since(&mut self.database.read().await?.db(), now - soonest, ROUND).await?;
        for seen in open {
            let Some(submitted_at) = seen.submitted_at else { continue };
            let age = now - submitted_at;
            let due = portal.request_reminders.iter().filter(|days| age >= Duration::days(**days)).count();
            let due = i64::try_from(due).unwrap_or(i64::MAX);
            let over = age >= portal.request_lifetime;
            if !over && due <= seen.reminders {
                continue;
            }
            let mut work = authz_store::begin(&self.database).await?;
            let mut db = work.db();
            let Some(mut request) = access_requests::find(&mut db, &seen.id).await? else { continue };
            let Some(requester) = accounts::find(&mut db, &request.account).await? else { continue };
            if !request.state.is_open() || (!over && request.reminders >= due) {
                continue;
            }
            if over {
                let reason = format!("nobody decided within {} days", portal.request_lifetime.whole_days());
                self.close(&mut db, &requester, &mut request, RequestAct::Expire, None, &reason).await?;
            } else {
                request.reminders = due;
                access_requests::update(&mut db, &request, request.state).await?;
                self.tell_reviewers(&mut db, &request, &requester, true).await?;
            }
            work.commit().await?;
        }
        self.nudge_delivery();
        Ok(())
    }
}
