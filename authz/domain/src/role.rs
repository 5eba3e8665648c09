//! API roles: what a client of a role may have, and which organisations may hold it.

use access_token::Scope;
use pms_terms::Stakeholder;
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
    /// The kind of organisation that may hold it; none for the public role, whose clients have no organisation.
    pub category: Option<OrganisationCategory>,
    /// The one resource its tokens are for: their audience, and what stands before `/.default`.
    pub resource: String,
    /// The most a client of the role may be granted.
    pub scope: Scope,
}

/// Why a role cannot be held.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RoleRefused {
    /// The role is held on behalf of an organisation, and none was given.
    #[error("the role {role} needs an organisation of category {category}")]
    OrganisationMissing {
        /// The role.
        role: String,
        /// The category it needs.
        category: OrganisationCategory,
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
        /// The category the role needs.
        needed: OrganisationCategory,
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
    /// Whether a client of this role may act for `organisation`. The agency may hold what an authority may.
    pub fn admits(&self, organisation: Option<&Organisation>) -> Result<(), RoleRefused> {
        match (self.category, organisation) {
            (None, None) => Ok(()),
            (None, Some(_)) => Err(RoleRefused::OrganisationGiven { role: self.id.clone() }),
            (Some(category), None) => {
                Err(RoleRefused::OrganisationMissing { role: self.id.clone(), category })
            }
            (Some(needed), Some(organisation)) => {
                let found = organisation.category;
                if found == needed
                    || (needed == OrganisationCategory::Authority && found == OrganisationCategory::Agency)
                {
                    return Ok(());
                }
                let organisation = organisation.id.to_string();
                Err(RoleRefused::WrongCategory { role: self.id.clone(), organisation, needed, found })
            }
        }
    }

    /// The stakeholder group of a client of this role that acts for an organisation of `category`.
    ///
    /// Fails closed: a client whose organisation is no longer of the kind its role needs asks as the public.
    pub fn stakeholder_for(&self, category: Option<OrganisationCategory>) -> Stakeholder {
        match (self.category, category) {
            (None, _) => self.stakeholder,
            (Some(OrganisationCategory::Authority), Some(OrganisationCategory::Agency)) => Stakeholder::Ema,
            (Some(needed), Some(found)) if needed == found => self.stakeholder,
            (Some(_), _) => Stakeholder::Public,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(category: Option<OrganisationCategory>, stakeholder: Stakeholder) -> ApiRole {
        ApiRole {
            id: "pms-nca-api".to_owned(),
            title: "PMS NCA API".to_owned(),
            token_role: "PMS.NCA.API".to_owned(),
            stakeholder,
            category,
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
        let nca = role(Some(Authority), Stakeholder::Nca);
        assert!(nca.admits(Some(&organisation(Authority))).is_ok());
        assert!(nca.admits(Some(&organisation(Agency))).is_ok());
        assert_eq!(
            nca.admits(Some(&organisation(Industry))).unwrap_err().to_string(),
            "the role pms-nca-api is for organisations of category authority; ORG-100000101 is of category industry"
        );
        assert!(nca.admits(None).is_err());
        let public = role(None, Stakeholder::Public);
        assert!(public.admits(None).is_ok());
        assert!(public.admits(Some(&organisation(Industry))).is_err());
    }

    #[test]
    fn the_agency_asks_as_itself_and_a_misfit_as_the_public() {
        use OrganisationCategory::{Agency, Authority, Industry};
        let nca = role(Some(Authority), Stakeholder::Nca);
        assert_eq!(nca.stakeholder_for(Some(Agency)), Stakeholder::Ema);
        assert_eq!(nca.stakeholder_for(Some(Authority)), Stakeholder::Nca);
        assert_eq!(nca.stakeholder_for(Some(Industry)), Stakeholder::Public);
        assert_eq!(nca.stakeholder_for(None), Stakeholder::Public);
        assert_eq!(role(None, Stakeholder::Public).stakeholder_for(None), Stakeholder::Public);
    }
}
