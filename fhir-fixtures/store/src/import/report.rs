//! What an import did, and why it refused what it refused.

use serde::Serialize;

/// The outcome of an import. Counts are resources; one that stands in several Bundles unchanged counts once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// New in the store.
    pub imported: u64,
    /// Stored with a new version.
    pub updated: u64,
    /// Already stored exactly so.
    pub unchanged: u64,
    /// Not stored, and why.
    pub refused: Vec<Refused>,
    /// What a reader should know of what was stored: elements of FHIR 4.4.0 without a home in 5.0.0, for example.
    #[serde(skip)]
    pub notes: Vec<Note>,
}

/// One resource, line or file that was not stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// The file, as given.
    pub file: String,
    /// `Type/id` where known, else the place in the file; empty for the file as a whole.
    pub resource: String,
    /// What is wrong and, where that is not plain, what to do.
    pub reason: String,
}

/// A remark about something that was stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The file, as given.
    pub file: String,
    /// `Type/id`.
    pub resource: String,
    /// The remark.
    pub text: String,
}

/// How far an import has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The file at hand.
    pub file: &'a str,
    /// Bytes worked through, all files together; each byte of the files counts once.
    pub bytes_done: u64,
    /// Bytes in all.
    pub bytes_total: u64,
    /// Resources imported, updated or found unchanged.
    pub resources: u64,
    /// Resources, lines and files refused.
    pub refused: u64,
}
