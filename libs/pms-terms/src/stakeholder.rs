//! Stakeholder groups: on whose behalf a machine asks.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The group a caller belongs to (EU IG PMS Chapter 1 §4; access levels of Chapter 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stakeholder {
    /// The general public: a client of the public API, no organisation.
    Public,
    /// Marketing authorisation holders, applicants and those who work for them.
    Industry,
    /// A national competent authority.
    Nca,
    /// The agency itself and the European Commission.
    Ema,
}

impl Stakeholder {
    /// All groups, least privileged first.
    pub const ALL: [Self; 4] = [Self::Public, Self::Industry, Self::Nca, Self::Ema];

    /// The word used in tokens, configuration and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Industry => "industry",
            Self::Nca => "nca",
            Self::Ema => "ema",
        }
    }
}

impl fmt::Display for Stakeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Stakeholder {
    type Err = UnknownStakeholder;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|s| s.as_str() == word).ok_or_else(|| UnknownStakeholder(word.to_owned()))
    }
}

/// A word that names no stakeholder group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown stakeholder group {0:?}: one of public, industry, nca, ema")]
pub struct UnknownStakeholder(pub String);
