//! Opening accounts, and changing whether somebody may sign in.

use authz_domain::{
    Account, AccountStatus, Act, Actor, EmailAddress, HeldRole, InvalidTransition, check_password,
};
use authz_store::{accounts, granted_roles, granted_roles::GrantedRole, organisations, sessions};
use pms_terms::OrganisationId;

use super::{UseCaseError, UseCases};
use crate::{entropy::entropy, mail::letters, portal::passwords::Passwords};

/// An account as an operator opens it.
#[derive(Clone)]
pub struct NewAccount {
    /// The address.
    pub email: String,
    /// First name.
    pub first_name: String,
    /// Last name.
    pub last_name: String,
    /// The first password; without one it is made up and told once.
    pub password: Option<String>,
    /// Roles to give: role and organisation.
    pub roles: Vec<(String, Option<OrganisationId>)>,
}

impl std::fmt::Debug for NewAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewAccount").field("roles", &self.roles).finish_non_exhaustive()
    }
}

/// An account that an operator opened.
#[derive(Clone)]
pub struct OpenedAccount {
    /// Its id.
    pub id: String,
    /// The name to sign in with.
    pub user_name: String,
    /// The password, to be told once.
    pub password: String,
}

impl std::fmt::Debug for OpenedAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenedAccount").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The alphabet of user names: no letters that look like digits.
const NAME_LETTERS: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";

/// `n` and seven letters or digits, as EU Login makes them.
pub(crate) fn new_user_name() -> Result<String, UseCaseError> {
    let bytes: [u8; 7] = entropy()?;
    let letters = bytes.iter().map(|byte| char::from(NAME_LETTERS[usize::from(*byte) % NAME_LETTERS.len()]));
    Ok(std::iter::once('n').chain(letters).collect())
}

/// A new id.
pub(crate) fn new_id() -> Result<String, UseCaseError> {
    Ok(uuid::Builder::from_random_bytes(entropy()?).into_uuid().hyphenated().to_string())
}

impl UseCases {
    /// Whether people hold this role there.
    async fn may_be_held(&self, id: &str, at: Option<&OrganisationId>) -> Result<(), UseCaseError> {
        let refused = |problem: String| Err(UseCaseError::Account(problem));
        let Some(role) = self.catalogue().role(id) else {
            return refused(format!("there is no role {id}"));
        };
        if role.is_about_credentials() {
            return refused(format!(
                "nobody holds the role {id}: it is a client's; see `pmsgate client create`"
            ));
        }
        let named: Vec<&str> = role.categories.iter().map(|category| category.as_str()).collect();
        let categories = named.join(" or ");
        let Some(at) = at else {
            if role.categories.is_empty() {
                return Ok(());
            }
            return refused(format!(
                "the role {id} is held in an organisation of category {categories}: write {id}@ORG-…"
            ));
        };
        if role.categories.is_empty() {
            return refused(format!("the role {id} is held in no organisation: leave @{at} out"));
        }
        let found = organisations::find(&mut self.database.read().await?.db(), at).await?;
        let Some(organisation) = found else {
            return Err(UseCaseError::NoSuchOrganisation(at.to_string()));
        };
        match role.admits(Some(&organisation)) {
            Ok(()) => Ok(()),
            Err(_) => refused(format!(
                "the role {id} is held in organisations of category {categories}; {at} is of category {}",
                organisation.category
            )),
        }
    }

    /// Whether one account may hold all of these, without anybody who waives a rule.
    fn go_together(&self, roles: &[(String, Option<OrganisationId>)]) -> Result<(), UseCaseError> {
        let mut held: Vec<HeldRole> = Vec::new();
        for (role, organisation) in roles {
            let broken = self.catalogue().violations(&held, &[role], organisation.as_ref());
            if let Some(broken) = broken.into_iter().find(|one| !one.waivable) {
                return Err(UseCaseError::Excluded(broken.rule));
            }
            held.push(HeldRole { role: role.clone(), organisation: organisation.clone() });
        }
        Ok(())
    }

    /// Opens an active account for somebody and gives them roles, on an operator's word. The person can sign in at
    /// once; a role that needs a second factor counts when they have one.
    pub async fn open_account(&self, actor: Actor, new: NewAccount) -> Result<OpenedAccount, UseCaseError> {
        let refused = |problem: String| UseCaseError::Account(problem);
        let email: EmailAddress = new.email.parse().map_err(|error| refused(format!("{error}")))?;
        let rules = &self.settings.portal.registration;
        rules.check_address(&email).map_err(|error| refused(error.to_string()))?;
        let first_name = rules.check_name(&new.first_name).map_err(|error| refused(error.to_string()))?;
        let last_name = rules.check_name(&new.last_name).map_err(|error| refused(error.to_string()))?;
        for (role, organisation) in &new.roles {
            self.may_be_held(role, organisation.as_ref()).await?;
        }
        self.go_together(&new.roles)?;
        let user_name = new_user_name()?;
        let password = match new.password {
            Some(password) => {
                check_password(&password, &[&user_name, email.as_str(), &first_name, &last_name])
                    .map_err(|error| refused(error.to_string()))?;
                password
            }
            None => format!("Pms-{}", hex::encode(entropy::<12>()?)),
        };
        let hash = Passwords::new().hash(&password).await?;
        let now = self.now();
        let account = Account {
            id: new_id()?,
            user_name,
            email,
            first_name,
            last_name,
            phone: None,
            phone_confirmed: false,
            second_contact: None,
            language: self.settings.portal.languages.first().cloned().unwrap_or_else(|| "en".to_owned()),
            notifications: true,
            status: AccountStatus::Active,
            totp_enrolled: false,
            created_at: now,
        };
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        accounts::insert(&mut db, &account, &hash).await.map_err(|error| {
            if error.is_conflict_on("email_key") {
                UseCaseError::Account("there is an account with this address".to_owned())
            } else {
                error.into()
            }
        })?;
        self.audit(&mut db, &actor, Act::AccountCreated, &account.id, Vec::new()).await?;
        for (role, organisation) in new.roles {
            let granted = GrantedRole {
                id: new_id()?,
                account: account.id.clone(),
                role: role.clone(),
                organisation: organisation.clone(),
                language: None,
                preference: None,
                request: None,
                granted_at: now,
                granted_by: None,
            };
            granted_roles::grant(&mut db, &granted).await?;
            let details =
                vec![("role", role), ("organisation", organisation.map(String::from).unwrap_or_default())];
            self.audit(&mut db, &actor, Act::RoleGranted, &account.id, details).await?;
        }
        work.commit().await?;
        Ok(OpenedAccount { id: account.id, user_name: account.user_name, password })
    }

    /// Ends an account, takes it up again, or stops it; its sessions end.
    pub(crate) async fn change_account_status(
        &self,
        actor: Actor,
        account: &str,
        change: fn(&Account) -> Result<AccountStatus, InvalidTransition>,
        reason: &str,
    ) -> Result<(), UseCaseError> {
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let found = accounts::find(&mut db, account).await?.ok_or(UseCaseError::NoSuchAccount)?;
        let status = change(&found)?;
        accounts::set_status(&mut db, account, status).await?;
        if status != AccountStatus::Active {
            sessions::end_others(&mut db, account, "").await?;
            for role in granted_roles::of_account(&mut db, account).await? {
                self.hand_over(&mut db, &role).await?;
            }
        }
        let details = vec![("status", status.as_str().to_owned()), ("reason", reason.to_owned())];
        self.audit(&mut db, &actor, Act::AccountStatusChanged, account, details).await?;
        let base_url = &self.settings.base_url;
        let letter = match status {
            AccountStatus::Active => letters::account_active(reason, base_url),
            AccountStatus::Deactivated => letters::account_deactivated(base_url),
            AccountStatus::Blocked => letters::account_blocked(reason),
        };
        self.post_to(&mut db, &found, &letter).await?;
        work.commit().await?;
        self.nudge_delivery();
        Ok(())
    }
}
