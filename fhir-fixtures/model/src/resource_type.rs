//! The resource types a product consists of.

use std::{fmt, str::FromStr};

use pms_terms::FhirVersion;

macro_rules! resource_types {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// A resource type that a medicinal product consists of or refers to, named as in FHIR 5.0.0.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ResourceType {
            $($(#[$doc])* $name,)+
        }

        impl ResourceType {
            /// All types, the product itself first.
            pub const ALL: [Self; 13] = [$(Self::$name),+];

            /// The FHIR 5.0.0 name.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }
        }

        impl FromStr for ResourceType {
            type Err = UnknownResourceType;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                match name {
                    $(stringify!($name) => Ok(Self::$name),)+
                    "ClinicalUseIssue" => Ok(Self::ClinicalUseDefinition),
                    other => Err(UnknownResourceType(other.to_owned())),
                }
            }
        }
    };
}

resource_types! {
    /// The product: root of a compartment.
    MedicinalProductDefinition,
    /// A marketing or manufacturing authorisation.
    RegulatedAuthorization,
    /// A pack.
    PackagedProductDefinition,
    /// The product as given to a patient.
    AdministrableProductDefinition,
    /// A tablet, a powder, a cream: what lies in the pack.
    ManufacturedItemDefinition,
    /// One ingredient in one role.
    Ingredient,
    /// A substance; shared between products.
    SubstanceDefinition,
    /// An indication, contraindication, interaction …; `ClinicalUseIssue` in 4.4.0.
    ClinicalUseDefinition,
    /// A manufacturing operation.
    ActivityDefinition,
    /// A holder, regulator, manufacturer; shared between products.
    Organization,
    /// A product document or master file.
    DocumentReference,
    /// A contact person in a role.
    PractitionerRole,
    /// A person.
    Practitioner,
}

impl ResourceType {
    /// The name in `version`: `ClinicalUseDefinition` is `ClinicalUseIssue` in 4.4.0.
    pub const fn as_str_in(self, version: FhirVersion) -> &'static str {
        match (self, version) {
            (Self::ClinicalUseDefinition, FhirVersion::V4_4_0) => "ClinicalUseIssue",
            _ => self.as_str(),
        }
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is no resource type known here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a resource type of this server")]
pub struct UnknownResourceType(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back_in_both_versions() {
        for each in ResourceType::ALL {
            for version in [FhirVersion::V4_4_0, FhirVersion::V5_0_0] {
                assert_eq!(each.as_str_in(version).parse::<ResourceType>(), Ok(each));
            }
        }
        assert!("Patient".parse::<ResourceType>().is_err());
    }
}
