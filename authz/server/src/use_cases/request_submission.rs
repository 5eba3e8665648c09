//! Handing a request in: what stands in its way, one request for each who decides, and who is told.

use std::collections::BTreeMap;

use authz_domain::{AccessRequest, Account, Act, Actor, RequestAct, RequestState, Route};
use authz_store::{access_requests, documents};
use database::Db;
use thiserror::Error;

use super::{PlannedRole, RequestPlan, UseCaseError, UseCases, accounts::new_id};
use crate::mail::letters;

/// Why a request cannot be handed in. The text is for the person.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SubmitRefused {
    /// No role is in the cart.
    #[error("Choose at least one role.")]
    Empty,
    /// The application is for an organisation.
    #[error("Choose the organisation first.")]
    NoOrganisation,
    /// A role cannot be asked for.
    #[error("{0}")]
    Role(String),
    /// A rule is broken.
    #[error("{0}")]
    Violation(String),
    /// A document is missing.
    #[error("Attach the document: {0} (PDF).")]
    Document(String),
    /// Terms are not accepted.
    #[error("Accept the terms to go on.")]
    Terms,
}

impl UseCases {
    /// Hands a request in. What different people decide on becomes a request each; what needs no decision is granted
    /// at once. Answers the requests, or what stands in the way. None when there is no such draft of this account.
    pub async fn submit_request(
        &self,
        account: &Account,
        id: &str,
        terms_accepted: bool,
    ) -> Result<Option<Result<Vec<AccessRequest>, SubmitRefused>>, UseCaseError> {
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let found = access_requests::find(&mut db, id).await?;
        let mine = |one: &AccessRequest| one.account == account.id && one.state == RequestState::Draft;
        let Some(request) = found.filter(mine) else { return Ok(None) };
        let plan = self.plan(&mut db, account, request).await?;
        if let Err(refused) = self.may_submit(&plan, terms_accepted) {
            return Ok(Some(Err(refused)));
        }
        let now = self.now();
        for terms in plan.needed_terms() {
            if let Some(terms) = self.catalogue().terms(terms) {
                let (id, version) = (terms.id.as_str(), terms.version.as_str());
                access_requests::accept_terms(&mut db, &account.id, id, version, Some(&plan.request.id), now)
                    .await?;
            }
        }
        let mut submitted = Vec::new();
        for (index, (_, roles)) in parts(&plan).into_iter().enumerate() {
            let mut part = plan.request.clone();
            part.number = Some(access_requests::next_number(&mut db).await?);
            part.roles = roles.iter().map(|one| one.role.id.clone()).collect();
            part.state = part.state.after(RequestAct::Submit)?;
            part.submitted_at = Some(now);
            part.waiver_asked = part.waiver_asked
                && plan
                    .violations
                    .iter()
                    .any(|one| part.roles.contains(&one.wanted) || part.roles.contains(&one.against));
            let first = roles[0];
            part.by_agency = first.route == Route::Agency;
            part.deciding_organisation = plan
                .organisation
                .as_ref()
                .and_then(|organisation| first.role.deciding_organisation(organisation).cloned());
            if index == 0 {
                access_requests::update(&mut db, &part, RequestState::Draft).await?;
            } else {
                part.id = new_id()?;
                access_requests::insert(&mut db, &part).await?;
                if roles.iter().any(|one| one.document.is_some()) {
                    documents::move_to(&mut db, &plan.request.id, &part.id).await?;
                }
            }
            let actor = Actor::Account(account.id.clone());
            let details = vec![("request", part.name()), ("roles", part.roles.join(" "))];
            self.audit(&mut db, &actor, Act::RequestSubmitted, &part.id, details).await?;
            self.announce(&mut db, account, &mut part, &first.route).await?;
            submitted.push(part);
        }
        work.commit().await?;
        self.nudge_delivery();
        Ok(Some(Ok(submitted)))
    }

    /// Tells the requester and those who decide; what is automatic is granted here.
    pub(super) async fn announce(
        &self,
        db: &mut Db<'_>,
        account: &Account,
        part: &mut AccessRequest,
        route: &Route,
    ) -> Result<(), UseCaseError> {
        if *route == Route::Automatic {
            return self.close(db, account, part, RequestAct::Approve, None, "approved by the system").await;
        }
        let what = self.what(part);
        let who = Some(self.who_decides(part)).filter(|_| !part.by_agency);
        let letter = letters::request_received(part, &what, who, &self.settings.base_url);
        self.post_to(db, account, &letter).await?;
        self.tell_reviewers(db, part, account, false).await
    }

    /// Whether a request may be handed in, or what stands in the way.
    pub fn may_submit(&self, plan: &RequestPlan, terms_accepted: bool) -> Result<(), SubmitRefused> {
        let needs_organisation = !self.catalogue().categories_of(&plan.request.application).is_empty();
        if needs_organisation && plan.organisation.is_none() {
            return Err(SubmitRefused::NoOrganisation);
        }
        if plan.roles.is_empty() {
            return Err(SubmitRefused::Empty);
        }
        for one in &plan.roles {
            if let Some(problem) = one.obstacle() {
                return Err(SubmitRefused::Role(problem));
            }
        }
        if let Some(broken) = plan.unwaived() {
            return Err(SubmitRefused::Violation(broken.rule.clone()));
        }
        if plan.documents.is_empty()
            && let Some(missing) = plan.needed_documents().first()
        {
            return Err(SubmitRefused::Document((*missing).to_owned()));
        }
        if !terms_accepted && !plan.needed_terms().is_empty() {
            return Err(SubmitRefused::Terms);
        }
        Ok(())
    }
}

/// Roles by who decides on them.
fn parts(plan: &RequestPlan) -> BTreeMap<String, Vec<&PlannedRole>> {
    let mut parts: BTreeMap<String, Vec<&PlannedRole>> = BTreeMap::new();
    for one in &plan.roles {
        let by = one.role.approval.by.join(" ");
        let key = match &one.route {
            Route::Automatic => "3".to_owned(),
            Route::Organisation => format!("2 {by}"),
            // The deciding roles as well: an administrator who comes later may decide on all of them.
            Route::Agency | Route::Refused(_) => format!("1 {by}"),
        };
        parts.entry(key).or_default().push(one);
    }
    parts
}
