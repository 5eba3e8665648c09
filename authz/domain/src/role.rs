//! API roles: what a client of a role may have, and which organisations may hold it.

use access_token::Scope;
use pms_terms::{ADMINISTRATION_RESOURCE, Stakeholder};
use thiserror::Error;

use crate::{Organisation, OrganisationCategory};

/// An API role of the catalogue.
#[derive(Clone, Debug)]
pub struct ApiRole {
    /// Such as `pms-industry-api`.
    pub id: String,
    /// What people call it, such as `PMS Industry API`.
    pub title: String,
    /// The word in a token's `roles`, such as `PMS.Industry.API`.
    pub token_role: String,
    /// The group on whose behalf its clients ask.
    pub stakeholder: Stakeholder,
    /// The kinds of organisation that may hold it; none for the public role, whose clients have no organisation.
    pub categories: Vec<OrganisationCategory>,
    /// The one resource its tokens are for: their audience, and what stands before `/.default`.
    pub resource: String,
    /// The most a client of the role may be granted.
    pub scope: Scope,
}

/// Why a role cannot be held.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RoleRefused {
    /// The role is held on behalf of an organisation, and none was given.
    #[error("the role {role} needs an organisation of category {needed}")]
    OrganisationMissing {
        /// The role.
        role: String,
        /// The categories that may hold it.
        needed: String,
    },
    /// The organisation is of another kind.
    #[error(
        "the role {role} is for organisations of category {needed}; {organisation} is of category {found}"
    )]
    WrongCategory {
        /// The role.
        role: String,
        /// The organisation's id.
        organisation: String,
        /// The categories that may hold the role.
        needed: String,
        /// The category the organisation has.
        found: OrganisationCategory,
    },
    /// The role has no organisation behind it, and one was given.
    #[error("clients of the role {role} act for no organisation: leave it out")]
    OrganisationGiven {
        /// The role.
        role: String,
    },
}

impl ApiRole {
    /// Whether its clients use the administration API, rather than an API of products.
    pub fn administers(&self) -> bool {
        self.resource == ADMINISTRATION_RESOURCE
    }

    /// Whether a client of this role may act for `organisation`.
    pub fn admits(&self, organisation: Option<&Organisation>) -> Result<(), RoleRefused> {
        let role = self.id.clone();
        match organisation {
            None if self.categories.is_empty() => Ok(()),
            None => Err(RoleRefused::OrganisationMissing { role, needed: self.holders() }),
            Some(_) if self.categories.is_empty() => Err(RoleRefused::OrganisationGiven { role }),
            Some(organisation) if self.categories.contains(&organisation.category) => Ok(()),
            Some(organisation) => Err(RoleRefused::WrongCategory {
                role,
                organisation: organisation.id.to_string(),
                needed: self.holders(),
                found: organisation.category,
            }),
        }
    }

    /// The stakeholder group of a client of this role that acts for an organisation of `category`; the agency asks
    /// as itself. Fails closed: a client whose organisation may no longer hold its role asks as the public.
    pub fn stakeholder_for(&self, category: Option<OrganisationCategory>) -> Stakeholder {
        match category {
            _ if self.categories.is_empty() => self.stakeholder,
            Some(OrganisationCategory::Agency) if self.categories.contains(&OrganisationCategory::Agency) => {
                Stakeholder::Ema
            }
            Some(category) if self.categories.contains(&category) => self.stakeholder,
            Some(_) | None => Stakeholder::Public,
        }
    }

    fn holders(&self) -> String {
        self.categories.iter().map(|category| category.as_str()).collect::<Vec<_>>().join(" or ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(categories: Vec<OrganisationCategory>, stakeholder: Stakeholder) -> ApiRole {
        ApiRole {
            id: "pms-nca-api".to_owned(),
            title: "PMS NCA API".to_owned(),
            token_role: "PMS.NCA.API".to_owned(),
            stakeholder,
            categories,
            resource: "api://pmsgate/pms".to_owned(),
            scope: Scope::parse("system/*.cruds").unwrap(),
        }
    }

    fn organisation(category: OrganisationCategory) -> Organisation {
        Organisation::new("ORG-100000101".parse().unwrap(), "Agency of Examples", "NL", category, vec![])
            .unwrap()
    }

    #[test]
    fn a_role_is_for_one_kind_of_organisation() {
        use OrganisationCategory::{Agency, Authority, Industry};
        let nca = role(vec![Authority, Agency], Stakeholder::Nca);
        assert!(nca.admits(Some(&organisation(Authority))).is_ok());
        assert!(nca.admits(Some(&organisation(Agency))).is_ok());
        assert_eq!(
            nca.admits(Some(&organisation(Industry))).unwrap_err().to_string(),
            "the role pms-nca-api is for organisations of category authority or agency; ORG-100000101 is of category industry"
        );
        assert!(nca.admits(None).is_err());
        let public = role(vec![], Stakeholder::Public);
        assert!(public.admits(None).is_ok());
        assert!(public.admits(Some(&organisation(Industry))).is_err());
    }

    #[test]
    fn the_agency_asks_as_itself_and_a_misfit_as_the_public() {
        use OrganisationCategory::{Agency, Authority, Industry};
        let nca = role(vec![Authority, Agency], Stakeholder::Nca);
        assert_eq!(nca.stakeholder_for(Some(Agency)), Stakeholder::Ema);
        assert_eq!(nca.stakeholder_for(Some(Authority)), Stakeholder::Nca);
        assert_eq!(nca.stakeholder_for(Some(Industry)), Stakeholder::Public);
        assert_eq!(nca.stakeholder_for(None), Stakeholder::Public);
        assert_eq!(role(vec![], Stakeholder::Public).stakeholder_for(None), Stakeholder::Public);
    }
}
