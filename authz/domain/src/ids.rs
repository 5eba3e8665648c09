//! Identifiers of clients and secrets: texts of `[A-Za-z0-9_-]`, so that every way of encoding Basic credentials agrees.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// The longest identifier that is looked up at all; longer ones name nothing.
pub const MAX_ID_LENGTH: usize = 64;

/// A text that cannot be an identifier of ours.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("an id has 1 to 64 characters of A-Z, a-z, 0-9, '-' and '_'")]
pub struct MalformedIdentifier;

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// A new random id (UUID version 4) from 16 bytes of the caller's entropy.
            pub fn from_entropy(entropy: [u8; 16]) -> Self {
                Self(uuid::Builder::from_random_bytes(entropy).into_uuid().hyphenated().to_string())
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = MalformedIdentifier;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                if is_identifier(text) { Ok(Self(text.to_owned())) } else { Err(MalformedIdentifier) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

identifier!(
    /// The `client_id` of a client (RFC 6749 §2.2). Public, unique, never reused.
    ClientId
);
identifier!(
    /// The id of one secret of a client. It names the secret in lists and in tokens; it says nothing about it.
    SecretId
);

/// Whether `text` has the form of an identifier.
pub fn is_identifier(text: &str) -> bool {
    (1..=MAX_ID_LENGTH).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_id_reads_back_as_itself() {
        let id = ClientId::from_entropy([7; 16]);
        assert_eq!(id.as_str().parse::<ClientId>().unwrap(), id);
        assert_eq!(id.as_str(), "07070707-0707-4707-8707-070707070707");
    }

    #[test]
    fn other_characters_and_lengths_are_refused() {
        for wrong in ["", "a b", "a%2D", "ä", "a\0", &"x".repeat(65)] {
            assert!(wrong.parse::<ClientId>().is_err(), "{wrong:?}");
        }
        assert!("x".repeat(64).parse::<ClientId>().is_ok());
    }
}
