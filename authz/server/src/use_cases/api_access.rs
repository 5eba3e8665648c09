//! Asking for API credentials and for their renewal: terms, form, request; what approval does with it.

use authz_domain::{
    AccessRequest, AccessRole, Account, Act, Actor, ClientId, EmailAddress, HeldRole, Organisation,
    RequestState, Route, check_particulars, ended_by_successor,
};
use authz_store::{access_requests, api_access, api_access::ApiAccess, clients, organisations, secrets};
use database::Db;
use pms_terms::{Domains, OrganisationId};

use super::{NewClient, Rotate, UseCaseError, UseCases, accounts::new_id, create_client::allowed_scope};
use crate::entropy::entropy;

/// What the form for API access says.
#[derive(Clone, Debug, Default)]
pub struct ApiAccessForm {
    /// The role of the catalogue that is asked for.
    pub role: String,
    /// On whose behalf; none for public access.
    pub organisation: Option<OrganisationId>,
    /// The technical contact's address.
    pub contact: String,
    /// What the client is to be called.
    pub label: String,
    /// Whether it is to see what only qualified users may.
    pub qualified: bool,
    /// The domains of products it is to see.
    pub domains: Domains,
    /// A narrower scope; empty for everything.
    pub scope: String,
}

/// What the form for a renewal says.
#[derive(Clone, Debug, Default)]
pub struct RenewalForm {
    /// The type of request: a role of the catalogue.
    pub role: String,
    /// The environment.
    pub environment: String,
    /// The client.
    pub client: String,
    /// Whether whoever asks knows that a third secret ends the oldest at once.
    pub sure: bool,
}

/// What stands in the way, beside its field. The text is for the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRefused {
    /// The field.
    pub field: &'static str,
    /// What is wrong.
    pub problem: String,
}

/// What became of a form.
#[derive(Clone, Debug)]
pub enum Submitted {
    /// It is a request now. Sending the form again answers the same request.
    Request(Box<AccessRequest>),
    /// Something is wrong with it.
    Refused(FieldRefused),
    /// The terms were not accepted before.
    NoTerms,
}

impl Submitted {
    fn refused(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Refused(FieldRefused { field, problem: problem.into() })
    }
}

impl UseCases {
    /// Keeps that an account accepted terms, for a request that is to come. Answers the request's id.
    pub async fn accept_terms(&self, account: &Account, terms: &str) -> Result<String, UseCaseError> {
        let catalogue = &self.settings.portal.catalogue;
        let terms = catalogue.terms(terms).ok_or(UseCaseError::NoSuchTerms)?;
        let request = new_id()?;
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let (id, version) = (terms.id.as_str(), terms.version.as_str());
        access_requests::accept_terms(&mut db, &account.id, id, version, Some(&request), self.now()).await?;
        let details = vec![("terms", terms.id.clone()), ("version", terms.version.clone())];
        let actor = Actor::Account(account.id.clone());
        self.audit(&mut db, &actor, Act::TermsAccepted, &account.id, details).await?;
        work.commit().await?;
        Ok(request)
    }

    /// Whether an account accepted terms, in the version that holds now, for a request.
    pub async fn has_accepted(
        &self,
        account: &Account,
        terms: &str,
        request: &str,
    ) -> Result<bool, UseCaseError> {
        let mut reader = self.database.read().await?;
        self.accepted(&mut reader.db(), account, terms, request).await
    }

    async fn accepted(
        &self,
        db: &mut Db<'_>,
        account: &Account,
        terms: &str,
        request: &str,
    ) -> Result<bool, UseCaseError> {
        let Some(terms) = self.settings.portal.catalogue.terms(terms) else { return Ok(false) };
        let version = terms.version.as_str();
        Ok(access_requests::terms_accepted_for(db, &account.id, &terms.id, version, request).await?)
    }

    /// Hands a request for API access in. What needs no decision is approved at once: client and secret are made, and
    /// the mail is on its way when this returns. None when the id is somebody else's.
    pub async fn request_api_access(
        &self,
        account: &Account,
        held: &[HeldRole],
        id: &str,
        form: ApiAccessForm,
    ) -> Result<Option<Submitted>, UseCaseError> {
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        if let Some(before) = access_requests::find(&mut db, id).await? {
            return Ok((before.account == account.id).then(|| Submitted::Request(Box::new(before))));
        }
        let found = self.settings.portal.catalogue.role(&form.role).filter(|role| role.issues.is_some());
        let Some(role) = found else {
            return Ok(Some(Submitted::refused("role", "Choose the API role.")));
        };
        if !self.accepted(&mut db, account, role.terms.as_deref().unwrap_or_default(), id).await? {
            return Ok(Some(Submitted::NoTerms));
        }
        let organisation = match &form.organisation {
            Some(id) => organisations::find(&mut db, id).await?,
            None => None,
        };
        if let Err(refused) = self.may_ask(&mut db, account, held, role, organisation.as_ref(), &form).await?
        {
            return Ok(Some(Submitted::Refused(refused)));
        }
        let details = ApiAccess {
            request: id.to_owned(),
            contact: form.contact.trim().to_owned(),
            label: form.label.trim().to_owned(),
            qualified: form.qualified,
            domains: form.domains,
            scope: Some(form.scope.trim().to_owned()).filter(|scope| !scope.is_empty()),
            environment: None,
            client: None,
        };
        let request = self.hand_in(&mut db, account, role, form.organisation, &details).await?;
        work.commit().await?;
        self.committed().await;
        self.nudge_delivery();
        Ok(Some(Submitted::Request(Box::new(request))))
    }

    /// Whether a form for API access can be taken.
    async fn may_ask(
        &self,
        db: &mut Db<'_>,
        account: &Account,
        held: &[HeldRole],
        role: &AccessRole,
        organisation: Option<&Organisation>,
        form: &ApiAccessForm,
    ) -> Result<Result<(), FieldRefused>, UseCaseError> {
        let refused = |field: &'static str, problem: String| Ok(Err(FieldRefused { field, problem }));
        let for_organisation = !role.categories.is_empty();
        if for_organisation {
            let Some(organisation) = organisation else {
                return refused("organisation", "Choose your organisation.".to_owned());
            };
            let admin_of_any = self
                .settings
                .portal
                .catalogue
                .issuing(true)
                .any(|one| one.may_be_requested(held, Some(&organisation.id)));
            if !admin_of_any {
                let problem = "You are no Admin of this organisation: its Admins can ask.";
                return refused("organisation", problem.to_owned());
            }
            if role.admits(Some(organisation)).is_err()
                || !role.may_be_requested(held, Some(&organisation.id))
            {
                let problem = format!(
                    "{} is not for {}: it is of category {}.",
                    role.title, organisation.id, organisation.category
                );
                return refused("role", problem);
            }
            if let Err(error) = self.has_room(db, &organisation.id).await {
                return match error {
                    UseCaseError::TooManyClients { .. } => refused("organisation", error.sentence()),
                    other => Err(other),
                };
            }
        } else {
            if form.organisation.is_some() {
                return refused("role", format!("{} is for no organisation.", role.title));
            }
            let before = clients::of_owner(db, &account.id).await?;
            if before.iter().any(|one| one.client.may_change().is_ok()) {
                return refused(
                    "terms",
                    "You have a public client already: each account has one.".to_owned(),
                );
            }
        }
        let contact: EmailAddress = match form.contact.parse() {
            Ok(contact) => contact,
            Err(error) => return refused("contact", format!("{error}")),
        };
        // One's own address was checked when the account was opened.
        if contact.key() != account.email.key()
            && let Err(error) = self.settings.portal.registration.check_address(&contact)
        {
            return refused("contact", error.to_string());
        }
        if check_particulars(form.label.trim(), None).is_err() {
            return refused("label", "A name has at most 200 bytes and no control characters.".to_owned());
        }
        if form.domains == Domains::NONE {
            return refused(
                "domain",
                "Choose at least one: a client that sees no domain sees nothing.".to_owned(),
            );
        }
        let api_role = self.role(role.issues.as_deref().unwrap_or_default())?;
        let wish = Some(form.scope.as_str()).filter(|scope| !scope.trim().is_empty());
        if let Err(error) = allowed_scope(api_role, wish) {
            return refused("scope", error.sentence());
        }
        Ok(Ok(()))
    }

    /// Hands a request for a renewal in: the Service-Desk form "Request SPOR API Services". None when the id is somebody
    /// else's.
    pub async fn request_renewal(
        &self,
        account: &Account,
        held: &[HeldRole],
        id: &str,
        form: &RenewalForm,
    ) -> Result<Option<Submitted>, UseCaseError> {
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        if let Some(before) = access_requests::find(&mut db, id).await? {
            return Ok((before.account == account.id).then(|| Submitted::Request(Box::new(before))));
        }
        let found = clients::find(&mut db, &form.client).await?.map(|found| found.client);
        let Some(client) = found.filter(|client| self.may_manage(&account.id, held, client)) else {
            return Ok(Some(Submitted::refused(
                "client",
                "Choose the client whose secret is to be renewed.",
            )));
        };
        let catalogue = &self.settings.portal.catalogue;
        let Some(role) = catalogue.renewing(client.organisation.is_some()) else {
            return Ok(Some(Submitted::refused("role", "Renewals are not offered here.")));
        };
        if role.id != form.role {
            let problem = format!("This client is renewed with the type {}.", role.title);
            return Ok(Some(Submitted::refused("role", problem)));
        }
        let environment = self.environment_of(client.organisation.is_some());
        if form.environment != environment {
            let problem = format!("This client is of the environment {environment}.");
            return Ok(Some(Submitted::refused("environment", problem)));
        }
        let secrets = secrets::of_client(&mut db, client.id.as_str()).await?;
        let other_method = secrets.iter().find(|one| one.is_live(self.now()) && one.proof.secret().is_none());
        let may = match other_method {
            Some(key) => Err(UseCaseError::OtherMethod(key.proof.method())),
            None if client.contact.is_none() => Err(UseCaseError::NoContact),
            None => self.may_renew(&mut db, &client).await,
        };
        match may {
            Ok(()) => {}
            Err(error) if error.refusal().is_some() => {
                return Ok(Some(Submitted::refused("client", error.sentence())));
            }
            Err(error) => return Err(error),
        }
        if let Some(oldest) = ended_by_successor(&secrets, self.now()).filter(|_| !form.sure) {
            let problem = format!("Confirm that {}… may end: at most two secrets work.", oldest.hint);
            return Ok(Some(Submitted::refused("sure", problem)));
        }
        let details = ApiAccess {
            request: id.to_owned(),
            contact: client.contact.clone().unwrap_or_default(),
            label: client.label.clone(),
            qualified: client.qualified,
            domains: client.domains,
            scope: None,
            environment: Some(environment),
            client: Some(client.id.to_string()),
        };
        let request = self.hand_in(&mut db, account, role, client.organisation, &details).await?;
        work.commit().await?;
        self.committed().await;
        self.nudge_delivery();
        Ok(Some(Submitted::Request(Box::new(request))))
    }

    /// What the environment of clients is called here: of organisations, or public ones.
    pub fn environment_of(&self, of_organisation: bool) -> String {
        match (self.settings.sandbox, of_organisation) {
            (false, true) => "Production",
            (false, false) => "Public production",
            (true, true) => "Sandbox",
            (true, false) => "Public sandbox",
        }
        .to_owned()
    }

    /// Keeps a request with its particulars, and decides it at once where nobody has to.
    async fn hand_in(
        &self,
        db: &mut Db<'_>,
        account: &Account,
        role: &AccessRole,
        organisation: Option<OrganisationId>,
        details: &ApiAccess,
    ) -> Result<AccessRequest, UseCaseError> {
        let now = self.now();
        let route = role.route(false, false);
        let mut request = AccessRequest {
            id: details.request.clone(),
            number: Some(access_requests::next_number(db).await?),
            account: account.id.clone(),
            application: role.application.clone(),
            deciding_organisation: organisation.clone(),
            organisation,
            roles: vec![role.id.clone()],
            language: None,
            comment: String::new(),
            state: RequestState::Submitted,
            by_agency: route == Route::Agency,
            waiver_asked: false,
            terms_ticked: role.terms.is_some(),
            created_at: now,
            submitted_at: Some(now),
            decided_at: None,
            decided_by: None,
            reason: String::new(),
            reminders: 0,
        };
        access_requests::insert(db, &request).await?;
        api_access::insert(db, details).await?;
        let actor = Actor::Account(account.id.clone());
        let said = vec![("request", request.name()), ("roles", role.id.clone())];
        self.audit(db, &actor, Act::RequestSubmitted, &request.id, said).await?;
        self.announce(db, account, &mut request, &route).await?;
        Ok(request)
    }

    /// What the approval of a request about credentials does: makes the client, or gives it a new secret; and mails it.
    pub(super) async fn grant_credentials(
        &self,
        db: &mut Db<'_>,
        actor: &Actor,
        request: &AccessRequest,
        role: &AccessRole,
    ) -> Result<(), UseCaseError> {
        let details = api_access::find(db, &request.id).await?.ok_or(UseCaseError::NoParticulars)?;
        let client = match (&role.issues, &details.client) {
            (Some(api_role), _) => {
                let new = NewClient {
                    organisation: request.organisation.clone(),
                    owner: request.organisation.is_none().then(|| request.account.clone()),
                    external_key: None,
                    role: api_role.clone(),
                    label: details.label,
                    contact: Some(details.contact),
                    qualified: details.qualified,
                    domains: details.domains,
                    scope: details.scope,
                };
                let client = self.register(db, actor, new, ClientId::from_entropy(entropy()?)).await?;
                api_access::set_client(db, &request.id, client.id.as_str()).await?;
                client
            }
            (None, Some(client)) => self.client(db, client).await?,
            (None, None) => return Err(UseCaseError::NoParticulars),
        };
        self.mail_new_secret(db, actor, &client, Rotate::default()).await
    }

    /// What a request says about credentials, when it is about them.
    pub async fn api_access_of(&self, request: &str) -> Result<Option<ApiAccess>, UseCaseError> {
        Ok(api_access::find(&mut self.database.read().await?.db(), request).await?)
    }
}
