//! What a request comes to, as things stand: its roles with who decides on them, broken rules, documents.
//!
//! The rules are in `authz-domain`; here they meet what is stored.

use authz_domain::{
    AccessCatalogue, AccessRequest, AccessRole, Account, HeldRole, NotOffered, Organisation, Route, Violation,
};
use authz_store::{
    access_requests, documents, documents::Document, granted_roles, granted_roles::GrantedRole, organisations,
};
use database::Db;

use super::{UseCaseError, UseCases};

/// Of an account's requests, so many of the last are looked at.
const MAX_REQUESTS: i64 = 500;

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
    /// Another request that asks for it already and waits, by its name.
    pub waiting: Option<String>,
}

impl PlannedRole {
    /// What stands in the way of asking for it, as a sentence.
    pub fn obstacle(&self) -> Option<String> {
        let title = &self.role.title;
        if let Some(refused) = &self.refused {
            return Some(refused.to_string());
        }
        if self.held {
            return Some(format!("You hold the role {title} already."));
        }
        if let Some(other) = &self.waiting {
            return Some(format!(
                "{other} asks for the role {title} already: wait for the decision on it, or withdraw it."
            ));
        }
        match &self.route {
            Route::Refused(reason) => Some(format!("{title}: {reason}.")),
            Route::Automatic | Route::Organisation | Route::Agency => None,
        }
    }
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
    /// A broken rule that stands in the way: it cannot be waived, or nobody asked for that.
    pub fn unwaived(&self) -> Option<&Violation> {
        unwaived(&self.request, &self.violations)
    }

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

/// The first of these broken rules that is not to be waived: it cannot be, or the requester did not ask for it.
pub(super) fn unwaived<'v>(request: &AccessRequest, broken: &'v [Violation]) -> Option<&'v Violation> {
    broken.iter().find(|one| !(one.waivable && request.waiver_asked))
}

impl UseCases {
    pub(crate) fn catalogue(&self) -> &AccessCatalogue {
        &self.settings.portal.catalogue
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

    /// What a request of an account would come to if it were so.
    pub async fn plan_changed(
        &self,
        account: &Account,
        request: AccessRequest,
    ) -> Result<RequestPlan, UseCaseError> {
        self.plan(&mut self.database.read().await?.db(), account, request).await
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
        let others = access_requests::of_account(db, &account.id, MAX_REQUESTS).await?;
        let mut roles = Vec::new();
        for id in &request.roles {
            if let Some(role) = self.catalogue().role(id) {
                let mut planned =
                    self.plan_role(db, account, &request, role, organisation.as_ref(), &held).await?;
                planned.waiting = waiting(&others, &request, role);
                roles.push(planned);
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
            waiting: None,
            role: role.clone(),
            route,
            refused,
        })
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
}

/// Which of these requests asks for a role like this one, and waits. Credentials can be asked for again and again.
fn waiting(others: &[AccessRequest], request: &AccessRequest, role: &AccessRole) -> Option<String> {
    let asks = |other: &&AccessRequest| {
        other.id != request.id
            && other.state.is_open()
            && other.organisation == request.organisation
            && other.roles.contains(&role.id)
            && !role.is_about_credentials()
    };
    others.iter().find(asks).map(AccessRequest::name)
}
