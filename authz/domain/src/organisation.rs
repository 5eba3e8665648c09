//! Who stands behind clients: an organisation of the register (OMS) with its locations.

use std::{fmt, str::FromStr};

use pms_terms::{LocationId, OrganisationId};
use thiserror::Error;

/// What kind of organisation this is. The kind decides which API roles its clients may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OrganisationCategory {
    /// Marketing authorisation holders, applicants and those who work for them.
    Industry,
    /// A national competent authority.
    Authority,
    /// The agency itself and the European Commission.
    Agency,
    /// A network of centres.
    Network,
    /// A healthcare centre of a network.
    Centre,
}

impl OrganisationCategory {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Industry, Self::Authority, Self::Agency, Self::Network, Self::Centre];

    /// The word used in files, on the command line and in the database.
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

impl fmt::Display for OrganisationCategory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for OrganisationCategory {
    type Err = UnknownCategory;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|category| category.as_str() == word)
            .ok_or_else(|| UnknownCategory(word.to_owned()))
    }
}

/// A word that names no category.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("unknown category {0:?}: one of industry, authority, agency, network, centre")]
pub struct UnknownCategory(pub String);

/// A place of an organisation: a plant, an office, a depot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// `LOC-` and nine digits.
    pub id: LocationId,
    /// Where it is, in one line; may be empty.
    pub address: String,
    /// ISO 3166-1 alpha-2, upper case; empty while only its id is known.
    pub country: String,
}

impl Location {
    /// A location with tidy parts: country upper case, address trimmed.
    pub fn new(id: LocationId, country: &str, address: &str) -> Result<Self, MalformedOrganisation> {
        let country = if country.trim().is_empty() { String::new() } else { tidy_country(country)? };
        Ok(Self { id, country, address: tidy_address(address)? })
    }

    /// A location of which only the id is known.
    pub fn bare(id: LocationId) -> Self {
        Self { id, address: String::new(), country: String::new() }
    }
}

/// An organisation as the register knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organisation {
    /// `ORG-` and nine digits.
    pub id: OrganisationId,
    /// Its name, in one language.
    pub name: String,
    /// ISO 3166-1 alpha-2, upper case.
    pub country: String,
    /// What kind of organisation it is.
    pub category: OrganisationCategory,
    /// Its locations, sorted, each once. Holders on products are often given as one of these.
    pub locations: Vec<Location>,
    /// Where it sits, in one line; may be empty.
    pub address: String,
    /// The organisation it is part of, such as a centre's network.
    pub parent: Option<OrganisationId>,
}

/// The longest name of an organisation, in bytes.
const MAX_NAME_LENGTH: usize = 500;
/// The most locations of one organisation.
const MAX_LOCATIONS: usize = 10_000;

/// Why a text is no organisation.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MalformedOrganisation {
    /// No name, or one that is too long or holds control characters.
    #[error("the name must have 1 to 500 bytes and no control characters")]
    Name,
    /// Not two letters.
    #[error("the country must be two letters (ISO 3166-1 alpha-2), not {0:?}")]
    Country(String),
    /// An address that is too long or holds control characters.
    #[error("the address must have at most 500 bytes and no control characters")]
    Address,
    /// Its own parent.
    #[error("an organisation cannot be part of itself")]
    Parent,
    /// Too many locations.
    #[error("an organisation has at most 10000 locations")]
    Locations,
}

impl Organisation {
    /// An organisation with tidy parts: name trimmed, country upper case, locations sorted and each once.
    pub fn new(
        id: OrganisationId,
        name: &str,
        country: &str,
        category: OrganisationCategory,
        mut locations: Vec<Location>,
    ) -> Result<Self, MalformedOrganisation> {
        let name = name.trim();
        if name.is_empty() || name.len() > MAX_NAME_LENGTH || name.chars().any(char::is_control) {
            return Err(MalformedOrganisation::Name);
        }
        let country = tidy_country(country)?;
        if locations.len() > MAX_LOCATIONS {
            return Err(MalformedOrganisation::Locations);
        }
        locations.sort();
        locations.dedup_by(|later, first| later.id == first.id);
        Ok(Self {
            id,
            name: name.to_owned(),
            country,
            category,
            locations,
            address: String::new(),
            parent: None,
        })
    }

    /// The same with an address and the organisation it is part of.
    pub fn placed(
        mut self,
        address: &str,
        parent: Option<OrganisationId>,
    ) -> Result<Self, MalformedOrganisation> {
        let address = tidy_address(address)?;
        if parent.as_ref() == Some(&self.id) {
            return Err(MalformedOrganisation::Parent);
        }
        self.address = address;
        self.parent = parent;
        Ok(self)
    }
}

fn tidy_country(country: &str) -> Result<String, MalformedOrganisation> {
    let country = country.trim();
    if country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        Ok(country.to_ascii_uppercase())
    } else {
        Err(MalformedOrganisation::Country(country.chars().take(40).collect()))
    }
}

fn tidy_address(address: &str) -> Result<String, MalformedOrganisation> {
    let address = address.trim();
    if address.len() > MAX_NAME_LENGTH || address.chars().any(char::is_control) {
        return Err(MalformedOrganisation::Address);
    }
    Ok(address.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn organisation(name: &str, country: &str) -> Result<Organisation, MalformedOrganisation> {
        let locations = ["LOC-100000002", "LOC-100000001", "LOC-100000002"]
            .map(|id| Location::bare(id.parse().unwrap()))
            .to_vec();
        Organisation::new(
            "ORG-100000001".parse().unwrap(),
            name,
            country,
            OrganisationCategory::Industry,
            locations,
        )
    }

    #[test]
    fn parts_are_tidied() {
        let organisation = organisation(" Fable Pharma ", "nl").unwrap();
        assert_eq!((organisation.name.as_str(), organisation.country.as_str()), ("Fable Pharma", "NL"));
        assert_eq!(
            organisation.locations.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(),
            ["LOC-100000001", "LOC-100000002"]
        );
    }

    #[test]
    fn a_name_and_a_country_are_needed() {
        assert_eq!(organisation(" ", "NL"), Err(MalformedOrganisation::Name));
        assert_eq!(organisation("a\nb", "NL"), Err(MalformedOrganisation::Name));
        assert_eq!(organisation("a", "NLD"), Err(MalformedOrganisation::Country("NLD".to_owned())));
    }
}
