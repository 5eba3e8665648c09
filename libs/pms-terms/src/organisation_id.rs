//! Identifiers of the organisation register (OMS): `ORG-#########` and `LOC-#########`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize, Serializer};

/// A text that is not of the form `ORG-` or `LOC-` and nine digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not of the form {prefix}######### ({prefix} and nine digits)")]
pub struct MalformedId {
    /// The text as given.
    pub text: String,
    /// The prefix it should have had.
    pub prefix: &'static str,
}

macro_rules! oms_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// The prefix of every such id.
            pub const PREFIX: &'static str = $prefix;

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = MalformedId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text.strip_prefix($prefix) {
                    Some(digits) if digits.len() == 9 && digits.bytes().all(|b| b.is_ascii_digit()) => {
                        Ok(Self(text.to_owned()))
                    }
                    _ => Err(MalformedId { text: text.to_owned(), prefix: $prefix }),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = MalformedId;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

oms_id!(
    /// The id of an organisation in OMS.
    OrganisationId,
    "ORG-"
);
oms_id!(
    /// The id of one location of an organisation in OMS. Holders on products are often given so.
    LocationId,
    "LOC-"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_prefix_and_nine_digits_are_an_id() {
        assert_eq!("ORG-100000001".parse::<OrganisationId>().unwrap().as_str(), "ORG-100000001");
        for wrong in
            ["", "ORG-", "ORG-10000000", "ORG-1000000010", "org-100000001", "ORG-10000000x", "LOC-100000001"]
        {
            assert!(wrong.parse::<OrganisationId>().is_err(), "{wrong}");
        }
        assert!("LOC-100000001".parse::<LocationId>().is_ok());
    }
}
