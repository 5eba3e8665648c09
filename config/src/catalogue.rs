//! The role catalogue as data: which roles exist, who may hold them, and what they give.

use std::collections::BTreeSet;

use pms_terms::{ADMINISTRATION_RESOURCE, Stakeholder};
use serde::{Deserialize, Serialize};

use crate::{
    AccessRole, ApiProducts, Application, ConfigError, Exclusion, Terms, access_catalogue::AccessCatalogue,
    data::DataFile,
};

/// All roles that an API client can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalogue {
    roles: Vec<Role>,
    access: AccessCatalogue,
}

/// One role (seed: Chapter 1 §3.2, Annex B §2).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// Id on the command line and in the database, for example `pms-industry-api`.
    pub id: String,
    /// The application it belongs to, for people.
    pub application: String,
    /// Name for people, for example `PMS Industry API`.
    pub title: String,
    /// Its name in tokens, for example `PMS.Industry.API`.
    pub token_role: String,
    /// The stakeholder group of its clients. A client of an agency organisation counts as `ema`.
    pub stakeholder: Stakeholder,
    /// Categories of organisation that may hold it; none at all for roles without an organisation.
    #[serde(default)]
    pub organisation_categories: Vec<OrganisationCategory>,
    /// The resource (audience) whose products it opens, or that of the administration API.
    pub resource: String,
    /// The widest scope its clients may have: SMART scopes, or those of the administration API.
    pub scopes: String,
}

/// What kind of organisation it is (OMS).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrganisationCategory {
    /// Marketing authorisation holder, applicant, manufacturer.
    Industry,
    /// A national competent authority.
    Authority,
    /// The agency itself, or the European Commission.
    Agency,
    /// A network of centres, such as a European Reference Network.
    Network,
    /// A healthcare centre of a network.
    Centre,
}

impl OrganisationCategory {
    /// The word in files and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Industry => "industry",
            Self::Authority => "authority",
            Self::Agency => "agency",
            Self::Network => "network",
            Self::Centre => "centre",
        }
    }
}

impl Catalogue {
    /// Reads and checks a data file.
    pub(crate) fn read(file: &DataFile, products: &ApiProducts) -> Result<Self, ConfigError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Whole {
            #[serde(rename = "role")]
            roles: Vec<Role>,
            #[serde(rename = "application", default)]
            applications: Vec<Application>,
            #[serde(rename = "access_role", default)]
            access_roles: Vec<AccessRole>,
            #[serde(rename = "exclusion", default)]
            exclusions: Vec<Exclusion>,
            #[serde(default)]
            terms: Vec<Terms>,
        }
        let Whole { roles, applications, access_roles, exclusions, terms } = file.parse()?;
        let access = AccessCatalogue { applications, roles: access_roles, exclusions, terms };
        let api_roles: Vec<&str> = roles.iter().map(|role| role.id.as_str()).collect();
        access.check(file, &api_roles)?;
        let wrong =
            |key: String, problem: String| ConfigError::Value { place: file.place.clone(), key, problem };
        let mut ids = BTreeSet::new();
        for role in &roles {
            if !ids.insert(&role.id) {
                return Err(wrong(role.id.clone(), "this role id is used twice".to_owned()));
            }
            let administers = role.resource == ADMINISTRATION_RESOURCE;
            if !administers && !products.iter().any(|product| product.resource == role.resource) {
                return Err(wrong(
                    format!("{}.resource", role.id),
                    format!("no product has {}", role.resource),
                ));
            }
        }
        for product in products.iter() {
            for role in &product.roles {
                match roles.iter().find(|r| r.id == *role) {
                    None => {
                        return Err(wrong(
                            role.clone(),
                            format!("product {} names a role that is missing here", product.id),
                        ));
                    }
                    Some(found) if found.resource != product.resource => {
                        return Err(wrong(
                            role.clone(),
                            format!("its resource is not that of product {}", product.id),
                        ));
                    }
                    Some(_) => {}
                }
            }
        }
        Ok(Self { roles, access })
    }

    /// The roles, in the order of the file.
    pub fn roles(&self) -> &[Role] {
        &self.roles
    }

    /// What people can ask for access to.
    pub fn applications(&self) -> &[Application] {
        &self.access.applications
    }

    /// The roles that people can hold.
    pub fn access_roles(&self) -> &[AccessRole] {
        &self.access.roles
    }

    /// Which of them exclude each other.
    pub fn exclusions(&self) -> &[Exclusion] {
        &self.access.exclusions
    }

    /// Terms of use that requests refer to.
    pub fn terms(&self) -> &[Terms] {
        &self.access.terms
    }

    /// The role with this id.
    pub fn role(&self, id: &str) -> Option<&Role> {
        self.roles.iter().find(|role| role.id == id)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Data, DataFiles};

    #[test]
    fn the_built_in_files_fit_together() {
        let files = DataFiles::load(&Data::default()).unwrap();
        let eps: Vec<_> =
            files.products.iter().flat_map(|p| p.operations.iter().map(|o| o.ep.as_str())).collect();
        for ep in ["EP301", "EP303", "EP304", "EP306", "EP307", "EP501a", "EP502a", "EP503a"] {
            assert!(eps.contains(&ep), "{ep}");
        }
        assert!(files.catalogue.role("pms-nca-api").is_some());
    }

    #[test]
    fn a_mistake_in_a_data_file_names_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalogue.toml");
        std::fs::write(&path, "[[role]]\nid = \"x\"\ntitel = \"X\"\n").unwrap();
        let data = Data { catalogue: Some(path), ..Data::default() };
        let error = DataFiles::load(&data).unwrap_err().to_string();
        assert!(error.contains("catalogue.toml:3") && error.contains("titel"), "{error}");
    }
}
