//! What can be wrong with XML, and where.

use std::fmt;

/// What kind of fault an [`XmlError`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum XmlErrorKind {
    /// Not well-formed.
    Syntax,
    /// Well-formed, but never taken from strangers: document types, entities, processing instructions.
    Forbidden,
    /// Larger, deeper or with more attributes than allowed.
    Limit,
    /// An element or attribute that this version of FHIR does not have, or that stands too often.
    Structure,
    /// A value that is not of its type.
    Value,
}

impl XmlErrorKind {
    /// The code for `OperationOutcome.issue.code`.
    pub const fn issue_code(self) -> &'static str {
        match self {
            Self::Syntax | Self::Structure => "structure",
            Self::Forbidden => "security",
            Self::Limit => "too-costly",
            Self::Value => "value",
        }
    }
}

/// Why XML could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XmlError {
    /// Which kind of fault it is.
    pub kind: XmlErrorKind,
    /// The line, counted from 1; none when writing.
    pub line: Option<usize>,
    /// The element, in the manner of FHIRPath: `Bundle.entry[0].resource.name[1].productName`.
    pub path: String,
    /// What is wrong, in plain words.
    pub message: String,
}

impl fmt::Display for XmlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}, ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for XmlError {}
