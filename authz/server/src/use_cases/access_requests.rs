//! The request engine: a draft, what it needs, handing it in, taking it back, and its deadlines.
//!
//! The rules are in `authz-domain`; here they meet what is stored. Whatever a step changes, its audit entry and its
//! messages are one unit of work.

use std::collections::BTreeMap;

use authz_domain::{
    AccessCatalogue, AccessRequest, AccessRole, Account, Act, Actor, HeldRole, NotOffered, Organisation,
    RequestAct, RequestState, Route, Violation,
};
use authz_store::{
    access_requests, accounts, documents, documents::Document, granted_roles, granted_roles::GrantedRole,
    organisations,
};
use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use database::Db;
use thiserror::Error;
use time::Duration;

use super::{UseCaseError, UseCases, accounts::new_id};
use crate::mail::letters;

/// Open requests and drafts of one account.
const MAX_OF_ACCOUNT: i64 = 200;
/// Bytes of one stored piece of a document, before Base64.
const PIECE: usize = 192 * 1024;
/// Documents of one request.
const MAX_DOCUMENTS: usize = 5;
/// Letters to reviewers of one request.
const MAX_REVIEWERS: i64 = 20;
/// Requests looked at in one round of deadlines.
const ROUND: i64 = 500;

/// A wanted role with what stands in its way.
#[derive(Clone, Debug)]
pub struct PlannedRole {
    /// The role.
    pub role: AccessRole,
    /// Who decides.
    pub route: Route,
    /// A document that is needed.
    pub document: Option<String>,
    /// Why it cannot be asked for.
    pub refused: Option<NotOffered>,
    /// Whether it is held already.
    pub held: bool,
}

/// What a request comes to, as things stand.
#[derive(Clone, Debug)]
pub struct RequestPlan {
    /// The request.
    pub request: AccessRequest,
    /// Its organisation.
    pub organisation: Option<Organisation>,
    /// Its roles.
    pub roles: Vec<PlannedRole>,
    /// Broken exclusion rules.
    pub violations: Vec<Violation>,
    /// Its documents.
    pub documents: Vec<Document>,
}

impl RequestPlan {
    /// The documents that are needed, once each.
    pub fn needed_documents(&self) -> Vec<&str> {
        let mut needed: Vec<&str> = self.roles.iter().filter_map(|one| one.document.as_deref()).collect();
        needed.sort_unstable();
        needed.dedup();
        needed
    }

    /// The terms that must be accepted, once each.
    pub fn needed_terms(&self) -> Vec<&str> {
        let mut needed: Vec<&str> = self.roles.iter().filter_map(|one| one.role.terms.as_deref()).collect();
        needed.sort_unstable();
        needed.dedup();
        needed
    }
}

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

/// Why a document was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DocumentRefused {
    /// Not a PDF, whatever its name says.
    #[error("This file is not a PDF.")]
    NotPdf,
    /// A PDF that does something when opened.
    #[error("This PDF contains scripts or starts programs. Print it to a new PDF and send that.")]
    Active,
    /// Empty or too large.
    #[error("A document has 1 byte to {0} MB.")]
    Size(u64),
    /// Too many.
    #[error("A request has at most {MAX_DOCUMENTS} documents.")]
    TooMany,
}

/// What a document's first and last bytes must be, and what must not be in it (ISO 32000-1 §7.5.2, §7.5.5, §12.6.4).
pub(crate) fn check_pdf(bytes: &[u8], limit: u64) -> Result<(), DocumentRefused> {
    if bytes.is_empty() || bytes.len() as u64 > limit {
        return Err(DocumentRefused::Size(limit / (1024 * 1024)));
    }
    let has = |slice: &[u8], word: &[u8]| slice.windows(word.len()).any(|window| window == word);
    let tail = &bytes[bytes.len().saturating_sub(1024)..];
    if !bytes.starts_with(b"%PDF-") || !has(tail, b"%%EOF") {
        return Err(DocumentRefused::NotPdf);
    }
    if [&b"/JavaScript"[..], b"/JS ", b"/JS(", b"/Launch", b"/EmbeddedFile"]
        .iter()
        .any(|word| has(bytes, word))
    {
        return Err(DocumentRefused::Active);
    }
    Ok(())
}

impl UseCases {
    fn catalogue(&self) -> &AccessCatalogue {
        &self.settings.portal.catalogue
    }

    /// Begins a draft. A draft for the same application that is still there is taken up again.
    pub async fn begin_request(&self, account: &str, application: &str) -> Result<String, UseCaseError> {
        if !self.catalogue().offered().any(|one| one.id == application) {
            return Err(UseCaseError::Account("there is no such application".to_owned()));
        }
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let mine = access_requests::of_account(&mut db, account, MAX_OF_ACCOUNT).await?;
        let same = |one: &&AccessRequest| one.state == RequestState::Draft && one.application == application;
        if let Some(draft) = mine.iter().find(same) {
            return Ok(draft.id.clone());
        }
        let request = AccessRequest {
            id: new_id()?,
            number: None,
            account: account.to_owned(),
            application: application.to_owned(),
            organisation: None,
            deciding_organisation: None,
            roles: Vec::new(),
            language: None,
            comment: String::new(),
            state: RequestState::Draft,
            by_agency: false,
            waiver_asked: false,
            created_at: self.now(),
            submitted_at: None,
            decided_at: None,
            decided_by: None,
            reason: String::new(),
            reminders: 0,
        };
        access_requests::insert(&mut db, &request).await?;
        work.commit().await?;
        Ok(request.id)
    }

    /// Changes a draft of an account; none when there is no such draft.
    pub async fn change_draft(
        &self,
        account: &str,
        id: &str,
        change: impl FnOnce(&mut AccessRequest) + Send,
    ) -> Result<Option<AccessRequest>, UseCaseError> {
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let found = access_requests::find(&mut db, id).await?;
        let mine = |one: &AccessRequest| one.account == account && one.state == RequestState::Draft;
        let Some(mut request) = found.filter(mine) else { return Ok(None) };
        change(&mut request);
        request.state = RequestState::Draft;
        if !access_requests::update(&mut db, &request, RequestState::Draft).await? {
            return Ok(None);
        }
        work.commit().await?;
        Ok(Some(request))
    }

    /// What a request of an account comes to; none when it is not theirs.
    pub async fn plan_request(
        &self,
        account: &Account,
        id: &str,
    ) -> Result<Option<RequestPlan>, UseCaseError> {
        let mut reader = self.database.read().await?;
        let mut db = reader.db();
        let found = access_requests::find(&mut db, id).await?;
        match found.filter(|request| request.account == account.id) {
            Some(request) => self.plan(&mut db, account, request).await.map(Some),
            None => Ok(None),
        }
    }

    /// What a request comes to.
    pub(crate) async fn plan(
        &self,
        db: &mut Db<'_>,
        account: &Account,
        request: AccessRequest,
    ) -> Result<RequestPlan, UseCaseError> {
        let organisation = match &request.organisation {
            Some(id) => organisations::find(db, id).await?,
            None => None,
        };
        let held: Vec<HeldRole> =
            granted_roles::of_account(db, &account.id).await?.iter().map(GrantedRole::held).collect();
        let mut roles = Vec::new();
        for id in &request.roles {
            if let Some(role) = self.catalogue().role(id) {
                roles.push(self.plan_role(db, account, &request, role, organisation.as_ref(), &held).await?);
            }
        }
        let wanted: Vec<&str> = request.roles.iter().map(String::as_str).collect();
        let violations = self.catalogue().violations(&held, &wanted, request.organisation.as_ref());
        // A rule is waived by a person, never by the system.
        if request.waiver_asked {
            for one in roles.iter_mut().filter(|one| one.route == Route::Automatic) {
                if violations
                    .iter()
                    .any(|broken| broken.wanted == one.role.id || broken.against == one.role.id)
                {
                    one.route = Route::Agency;
                }
            }
        }
        let documents = documents::of_request(db, &request.id).await?;
        Ok(RequestPlan { request, organisation, roles, violations, documents })
    }

    async fn plan_role(
        &self,
        db: &mut Db<'_>,
        account: &Account,
        request: &AccessRequest,
        role: &AccessRole,
        organisation: Option<&Organisation>,
        held: &[HeldRole],
    ) -> Result<PlannedRole, UseCaseError> {
        let deciding = organisation.and_then(|organisation| role.deciding_organisation(organisation));
        let (mut others, mut own) = (false, false);
        for by in &role.approval.by {
            if deciding.is_some() {
                others |= granted_roles::count_others(db, by, deciding, &account.id).await? > 0;
            }
            own |= held.iter().any(|one| one.role == *by && one.organisation.as_ref() == deciding);
        }
        let route = role.route(others, own);
        let refused = if role.by_operator_only {
            Some(NotOffered::ByOperatorOnly)
        } else if role.application != request.application {
            Some(NotOffered::NoSuchRole)
        } else if let Err(refused) = role.admits(organisation) {
            Some(refused)
        } else if role.second_factor && !account.has_second_factor() {
            Some(NotOffered::SecondFactorMissing(role.title.clone()))
        } else if role.language && request.language.is_none() {
            Some(NotOffered::LanguageMissing)
        } else {
            None
        };
        Ok(PlannedRole {
            document: role.needed_document(&route).map(str::to_owned),
            held: held.iter().any(|one| one.role == role.id && one.organisation == request.organisation),
            role: role.clone(),
            route,
            refused,
        })
    }

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
    async fn announce(
        &self,
        db: &mut Db<'_>,
        account: &Account,
        part: &mut AccessRequest,
        route: &Route,
    ) -> Result<(), UseCaseError> {
        if *route == Route::Automatic {
            return self.close(db, account, part, RequestAct::Approve, None, "approved by the system").await;
        }
        let (what, base_url) = (self.what(part), self.settings.base_url.clone());
        let who = self.who_decides(part);
        self.post_to(db, account, &letters::request_received(part, &what, &who, &base_url)).await?;
        for reviewer in self.reviewers_of(db, part).await? {
            let letter = letters::request_waiting(part, &what, &account.full_name(), false, &base_url);
            self.post_to(db, &reviewer, &letter).await?;
        }
        Ok(())
    }

    /// What may be handed in.
    fn may_submit(&self, plan: &RequestPlan, terms_accepted: bool) -> Result<(), SubmitRefused> {
        let needs_organisation = !self.catalogue().categories_of(&plan.request.application).is_empty();
        if needs_organisation && plan.organisation.is_none() {
            return Err(SubmitRefused::NoOrganisation);
        }
        if plan.roles.is_empty() {
            return Err(SubmitRefused::Empty);
        }
        for one in &plan.roles {
            if let Some(refused) = &one.refused {
                return Err(SubmitRefused::Role(refused.to_string()));
            }
            if one.held {
                return Err(SubmitRefused::Role(format!("You hold the role {} already.", one.role.title)));
            }
            if let Route::Refused(reason) = &one.route {
                return Err(SubmitRefused::Role(format!("{}: {reason}.", one.role.title)));
            }
        }
        let waived = |one: &Violation| one.waivable && plan.request.waiver_asked;
        if let Some(broken) = plan.violations.iter().find(|one| !waived(one)) {
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

    /// The people who may decide on a request, for letters.
    async fn reviewers_of(
        &self,
        db: &mut Db<'_>,
        request: &AccessRequest,
    ) -> Result<Vec<Account>, UseCaseError> {
        let catalogue = self.catalogue();
        let mut found = if request.by_agency {
            let agency: Vec<&str> = catalogue
                .roles
                .iter()
                .filter(|role| role.acts_for_agency)
                .map(|role| role.id.as_str())
                .collect();
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

    /// What a request is about, in words.
    pub fn what(&self, request: &AccessRequest) -> String {
        let title =
            |id: &String| self.catalogue().role(id).map_or_else(|| id.clone(), |role| role.title.clone());
        let roles: Vec<String> = request.roles.iter().map(title).collect();
        let application =
            self.catalogue().application(&request.application).map_or("", |one| one.title.as_str());
        let place = request.organisation.as_ref().map(|id| format!(" for {id}")).unwrap_or_default();
        if roles.is_empty() {
            application.to_owned()
        } else {
            format!("{application}: {}{place}", roles.join(", "))
        }
    }

    /// Who decides on a request, in words.
    pub fn who_decides(&self, request: &AccessRequest) -> String {
        if request.by_agency {
            return "The agency".to_owned();
        }
        let by = request
            .roles
            .first()
            .and_then(|id| self.catalogue().role(id))
            .and_then(|role| role.approval.by.first());
        match (by.and_then(|id| self.catalogue().role(id)), &request.deciding_organisation) {
            (Some(role), Some(organisation)) => format!("{} of {organisation}", role.title),
            _ => "The system".to_owned(),
        }
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
            for id in &request.roles {
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
                welcome.extend(self.catalogue().role(id).and_then(|role| role.welcome.clone()));
            }
        }
        let letter = letters::request_closed(request, &self.what(request), &welcome, &self.settings.base_url);
        self.post_to(db, requester, &letter).await
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

    /// Adds a document to a draft, or to a request that waits for one. None when there is no such request.
    pub async fn add_document(
        &self,
        account: &Account,
        id: &str,
        file_name: &str,
        bytes: &[u8],
    ) -> Result<Option<Result<(), DocumentRefused>>, UseCaseError> {
        if let Err(refused) = check_pdf(bytes, self.settings.portal.document_limit) {
            return Ok(Some(Err(refused)));
        }
        let document = Document {
            id: new_id()?,
            request: id.to_owned(),
            file_name: tidy_name(file_name),
            bytes: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
            sha256: hex::encode(digest::digest(&digest::SHA256, bytes)),
            uploaded_at: self.now(),
        };
        let pieces: Vec<String> = bytes.chunks(PIECE).map(|piece| STANDARD.encode(piece)).collect();
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let found = access_requests::find(&mut db, id).await?;
        let takes = |one: &AccessRequest| {
            one.account == account.id
                && matches!(one.state, RequestState::Draft | RequestState::WaitingForDocuments)
        };
        let Some(mut request) = found.filter(takes) else { return Ok(None) };
        if documents::of_request(&mut db, id).await?.len() >= MAX_DOCUMENTS {
            return Ok(Some(Err(DocumentRefused::TooMany)));
        }
        documents::insert(&mut db, &document, &pieces).await?;
        if request.state == RequestState::WaitingForDocuments {
            let before = request.state;
            request.state = before.after(RequestAct::GiveDocuments)?;
            access_requests::update(&mut db, &request, before).await?;
            let what = self.what(&request);
            for reviewer in self.reviewers_of(&mut db, &request).await? {
                let letter = letters::request_waiting(
                    &request,
                    &what,
                    &account.full_name(),
                    true,
                    &self.settings.base_url,
                );
                self.post_to(&mut db, &reviewer, &letter).await?;
            }
        }
        work.commit().await?;
        self.nudge_delivery();
        Ok(Some(Ok(())))
    }

    /// Removes a document of a draft. Whether there was one.
    pub async fn remove_document(
        &self,
        account: &str,
        id: &str,
        document: &str,
    ) -> Result<bool, UseCaseError> {
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let found = access_requests::find(&mut db, id).await?;
        if !found.is_some_and(|one| one.account == account && one.state == RequestState::Draft) {
            return Ok(false);
        }
        let removed = documents::delete(&mut db, id, document).await?;
        work.commit().await?;
        Ok(removed)
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
                let what = self.what(&request);
                for reviewer in self.reviewers_of(&mut db, &request).await? {
                    let (name, base_url) = (requester.full_name(), &self.settings.base_url);
                    let letter = letters::request_waiting(&request, &what, &name, true, base_url);
                    self.post_to(&mut db, &reviewer, &letter).await?;
                }
            }
            work.commit().await?;
        }
        self.nudge_delivery();
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

/// A file's name without path and control characters; a name that is nothing else gets one.
fn tidy_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept: String =
        last.chars().filter(|c| c.is_alphanumeric() || " ._-()".contains(*c)).take(100).collect();
    let kept = kept.trim().trim_start_matches('.').to_owned();
    if kept.is_empty() { "document.pdf".to_owned() } else { kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_a_pdf_by_its_content() {
        let pdf = b"%PDF-1.7\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n".to_vec();
        assert_eq!(check_pdf(&pdf, 1024), Ok(()));
        assert_eq!(check_pdf(b"<html>%PDF-</html>%%EOF", 1024), Err(DocumentRefused::NotPdf));
        assert_eq!(check_pdf(b"%PDF-1.7 MZ", 1024), Err(DocumentRefused::NotPdf));
        assert_eq!(check_pdf(b"", 1024), Err(DocumentRefused::Size(0)));
        assert!(matches!(check_pdf(&pdf, 8), Err(DocumentRefused::Size(_))));
        let active = b"%PDF-1.7\n<</OpenAction<</S/JavaScript/JS(app.alert(1))>>>>\n%%EOF".to_vec();
        assert_eq!(check_pdf(&active, 1024), Err(DocumentRefused::Active));
    }

    #[test]
    fn a_file_name_is_tidied() {
        for (given, kept) in [
            ("letter.pdf", "letter.pdf"),
            ("../../etc/passwd", "passwd"),
            ("C:\\x\\Brief (1).pdf", "Brief (1).pdf"),
            ("a\"\r\nX: y.pdf", "aX y.pdf"),
            ("..", "document.pdf"),
        ] {
            assert_eq!(tidy_name(given), kept);
        }
    }
}
