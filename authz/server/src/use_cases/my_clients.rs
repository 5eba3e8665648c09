//! The clients that a person may look after: those of organisations whose Admin they are, and their own public one.

use authz_domain::{Account, Client, HeldRole, Organisation};
use authz_store::{accounts, clients, organisations};
use pms_terms::OrganisationId;

use super::{ClientView, UseCaseError, UseCases};

/// Administrators that are named for one organisation.
const MAX_ADMINISTRATORS: i64 = 20;

/// An organisation that somebody has to do with, and who its Admins are.
#[derive(Clone, Debug)]
pub struct OrganisationAdmins {
    /// The organisation.
    pub organisation: Organisation,
    /// Its Admins, by name.
    pub admins: Vec<Account>,
}

impl UseCases {
    /// Whether a person with these roles may look after a client.
    pub fn may_manage(&self, account: &str, held: &[HeldRole], client: &Client) -> bool {
        let admins = self.settings.portal.catalogue.administrators_of(&client.role);
        client.owner.as_deref() == Some(account)
            || client.organisation.is_some()
                && held
                    .iter()
                    .any(|one| one.organisation == client.organisation && admins.contains(&one.role))
    }

    /// The clients that a person with these roles may look after, oldest first.
    pub async fn clients_of(
        &self,
        account: &str,
        held: &[HeldRole],
    ) -> Result<Vec<ClientView>, UseCaseError> {
        let mut reader = self.database.read().await?;
        let mut db = reader.db();
        let mut found = clients::of_owner(&mut db, account).await?;
        let mut places: Vec<&OrganisationId> =
            held.iter().filter_map(|one| one.organisation.as_ref()).collect();
        places.sort();
        places.dedup();
        for place in places {
            found.extend(clients::of_organisation(&mut db, place).await?);
        }
        found.retain(|one| self.may_manage(account, held, &one.client));
        drop(reader);
        self.with_secrets(found).await
    }

    /// A client that a person with these roles may look after; none for all others, and for what never was.
    pub async fn client_of(
        &self,
        account: &str,
        held: &[HeldRole],
        id: &str,
    ) -> Result<Option<ClientView>, UseCaseError> {
        match self.show_client(id).await {
            Ok(view) => Ok(Some(view).filter(|view| self.may_manage(account, held, &view.client))),
            Err(UseCaseError::NoSuchClient(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The organisations for which a person with these roles may ask for API access.
    pub async fn organisations_for_api(&self, held: &[HeldRole]) -> Result<Vec<Organisation>, UseCaseError> {
        let asks = |one: &&HeldRole| {
            self.settings
                .portal
                .catalogue
                .issuing(true)
                .any(|role| role.may_be_requested(held, one.organisation.as_ref()))
        };
        self.organisations_of(held.iter().filter(asks)).await
    }

    /// Who the Admins are of the organisations that a person has to do with.
    pub async fn admins_for(&self, held: &[HeldRole]) -> Result<Vec<OrganisationAdmins>, UseCaseError> {
        let mut roles: Vec<&str> = self
            .settings
            .portal
            .catalogue
            .issuing(true)
            .flat_map(|role| role.requested_by.iter().map(String::as_str))
            .collect();
        roles.sort_unstable();
        roles.dedup();
        let mut all = Vec::new();
        for organisation in self.organisations_of(held.iter()).await? {
            let mut reader = self.database.read().await?;
            let place = Some(organisation.id.as_str());
            let admins = accounts::holders(&mut reader.db(), &roles, place, MAX_ADMINISTRATORS).await?;
            all.push(OrganisationAdmins { organisation, admins });
        }
        Ok(all)
    }

    async fn organisations_of<'h>(
        &self,
        held: impl Iterator<Item = &'h HeldRole> + Send,
    ) -> Result<Vec<Organisation>, UseCaseError> {
        let mut places: Vec<&OrganisationId> = held.filter_map(|one| one.organisation.as_ref()).collect();
        places.sort();
        places.dedup();
        let mut reader = self.database.read().await?;
        let mut found = Vec::new();
        for place in places {
            found.extend(organisations::find(&mut reader.db(), place).await?);
        }
        Ok(found)
    }
}
