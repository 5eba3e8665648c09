//! Human and veterinary: the domain of a product, and the domains a caller may see.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Whom a medicinal product is for (RMS list 100000000004).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Domain {
    /// Human use.
    Human,
    /// Veterinary use.
    Veterinary,
}

impl Domain {
    /// The word used in tokens, configuration and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Veterinary => "veterinary",
        }
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Domain {
    type Err = UnknownDomain;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "human" => Ok(Self::Human),
            "veterinary" => Ok(Self::Veterinary),
            other => Err(UnknownDomain(other.to_owned())),
        }
    }
}

/// A word that names no domain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown domain {0:?}: human or veterinary")]
pub struct UnknownDomain(pub String);

/// A set of domains. On the wire a list: `["human","veterinary"]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domains {
    /// Human use is in the set.
    pub human: bool,
    /// Veterinary use is in the set.
    pub veterinary: bool,
}

impl Domains {
    /// No domain at all: matches nothing (fail closed).
    pub const NONE: Self = Self { human: false, veterinary: false };
    /// Human use only.
    pub const HUMAN: Self = Self { human: true, veterinary: false };
    /// Veterinary use only.
    pub const VETERINARY: Self = Self { human: false, veterinary: true };
    /// Both.
    pub const BOTH: Self = Self { human: true, veterinary: true };

    /// Whether `domain` is in the set.
    pub const fn contains(self, domain: Domain) -> bool {
        match domain {
            Domain::Human => self.human,
            Domain::Veterinary => self.veterinary,
        }
    }

    /// Whether the two sets share a domain. The empty set meets nothing.
    pub const fn meets(self, other: Self) -> bool {
        (self.human && other.human) || (self.veterinary && other.veterinary)
    }

    /// The members in a fixed order.
    pub fn iter(self) -> impl Iterator<Item = Domain> {
        [Domain::Human, Domain::Veterinary].into_iter().filter(move |d| self.contains(*d))
    }
}

impl FromIterator<Domain> for Domains {
    fn from_iter<I: IntoIterator<Item = Domain>>(domains: I) -> Self {
        domains.into_iter().fold(Self::NONE, |mut set, domain| {
            match domain {
                Domain::Human => set.human = true,
                Domain::Veterinary => set.veterinary = true,
            }
            set
        })
    }
}

impl Serialize for Domains {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Domains {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<Domain>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_set_meets_nothing() {
        assert!(!Domains::NONE.meets(Domains::BOTH));
        assert!(!Domains::BOTH.meets(Domains::NONE));
        assert!(Domains::HUMAN.meets(Domains::BOTH));
        assert!(!Domains::HUMAN.meets(Domains::VETERINARY));
    }

    #[test]
    fn a_set_is_a_sorted_list_on_the_wire() {
        assert_eq!(serde_json::to_string(&Domains::BOTH).unwrap(), r#"["human","veterinary"]"#);
        let read: Domains = serde_json::from_str(r#"["veterinary"]"#).unwrap();
        assert_eq!(read, Domains::VETERINARY);
        assert!(serde_json::from_str::<Domains>(r#"["plant"]"#).is_err());
    }
}
