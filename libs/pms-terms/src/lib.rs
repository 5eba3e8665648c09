//! The few words every room shares: stakeholder group, domain, FHIR version, organisation and location id.
//!
//! A word lives here when two rooms that must not know each other both speak it: the authorization server puts
//! the stakeholder group into a token, the gateway into the caller context, the backend decides by it.

mod domains;
mod fhir_version;
mod organisation_id;
mod stakeholder;

pub use domains::{Domain, Domains, UnknownDomain};
pub use fhir_version::{FhirVersion, UnknownFhirVersion};
pub use organisation_id::{LocationId, MalformedId, OrganisationId};
pub use stakeholder::{Stakeholder, UnknownStakeholder};

/// The audience of tokens for the administration API, and what stands before `/.default` to ask for one.
pub const ADMINISTRATION_RESOURCE: &str = "api://pmsgate/administration";
