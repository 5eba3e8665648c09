//! The shape of resources: which elements exist, how often, of what type. Profiles and terminology are not checked.
//!
//! The listing is our own, in `definitions/*.txt`. It covers the resource types of this server, the datatypes they
//! reach, and what goes over the wire around them.

mod check;
mod fit;
mod listing;
mod names;
#[cfg(test)]
mod official;
mod primitive;
mod summary;

use std::fmt;

pub(crate) use fit::{DATA_ABSENT, Dropped, fit};
pub(crate) use listing::{Content, Element, ElementType, Listing, Node};
pub(crate) use names::link_targets;
pub(crate) use primitive::Primitive;
pub use {
    check::{check, check_in},
    names::{element_names, mandatory_names, repeats, summary_names, type_of, xml_order},
    summary::keep_summary,
};

/// What kind of fault a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// Unknown element, wrong JSON type, an array where one value is due or the other way round.
    Structure,
    /// A required element is missing.
    Required,
    /// The right type in a wrong form: dates, ids, ranges, empty things.
    Value,
    /// A code outside its closed list.
    Code,
}

impl ProblemKind {
    /// The code for `OperationOutcome.issue.code`.
    pub const fn issue_code(self) -> &'static str {
        match self {
            Self::Structure => "structure",
            Self::Required => "required",
            Self::Value => "value",
            Self::Code => "code-invalid",
        }
    }
}

/// A fault found in a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: `Ingredient.substance.strength[0]`.
    pub path: String,
    /// What is wrong, in plain words.
    pub message: String,
    /// Which kind of fault it is.
    pub kind: ProblemKind,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Whether a text has the form of a logical id: 1 to 64 letters, digits, `-` and `.` (FHIR datatype `id`); but not `.`
/// or `..`, which no URL can hold as a segment (RFC 3986 §5.2.4).
pub fn is_valid_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && !matches!(text, "." | "..")
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}
