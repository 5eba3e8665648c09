//! FHIR XML: the same trees as JSON in the other official format (FHIR "xml", namespace `http://hl7.org/fhir`).
//!
//! The listing of elements drives both directions: order, what repeats, the types of choices, which values are JSON
//! numbers. Primitives are `value` attributes, their ids and extensions stand inside them, a narrative is real XHTML,
//! a resource inside another is an element of its type. Decimals keep their digits.
//!
//! The reader is for strangers' input: no document type, no entities but the five of XML, no processing
//! instructions, limits on size, depth and attributes. What it returns has the shape of the version; values are to
//! be checked like those of JSON ([`crate::schema::check`]).

mod error;
mod narrative;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use narrative::check as check_narrative;
pub use {
    error::{XmlError, XmlErrorKind},
    read::read,
    write::{write, write_pretty},
};

/// The media type of FHIR XML.
pub const MEDIA_TYPE: &str = "application/fhir+xml";
/// The longest text that is read, in bytes.
pub const MAX_SIZE: usize = 16 * 1024 * 1024;
/// How deep elements may nest, resources inside resources included.
pub const MAX_DEPTH: usize = 100;
/// Attributes allowed on one element, namespace declarations included.
pub const MAX_ATTRIBUTES: usize = 16;

/// The namespace of FHIR.
const FHIR: &str = "http://hl7.org/fhir";
/// The namespace of narratives.
const XHTML: &str = "http://www.w3.org/1999/xhtml";
/// The namespace of hints about schema files, which are ignored.
const SCHEMA_INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// Whether XML 1.0 can hold a character (XML §2.2).
pub(crate) const fn is_character(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}
