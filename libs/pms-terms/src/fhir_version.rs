//! The two FHIR versions that the APIs speak.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A FHIR version, named on the wire by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum FhirVersion {
    /// FHIR 4.4.0, "R5 Preview 2" of May 2020: PMS read v3.
    #[serde(rename = "4.4.0")]
    V4_4_0,
    /// FHIR 5.0.0, "R5" of March 2023: PMS write v5-alpha, public v1, and the form in which products are stored.
    #[serde(rename = "5.0.0")]
    V5_0_0,
}

impl FhirVersion {
    /// The version number: `4.4.0` or `5.0.0`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V4_4_0 => "4.4.0",
            Self::V5_0_0 => "5.0.0",
        }
    }
}

impl fmt::Display for FhirVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for FhirVersion {
    type Err = UnknownFhirVersion;

    fn from_str(number: &str) -> Result<Self, Self::Err> {
        match number {
            "4.4.0" => Ok(Self::V4_4_0),
            "5.0.0" => Ok(Self::V5_0_0),
            other => Err(UnknownFhirVersion(other.to_owned())),
        }
    }
}

/// A version number that is not spoken here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown FHIR version {0:?}: 4.4.0 or 5.0.0")]
pub struct UnknownFhirVersion(pub String);
