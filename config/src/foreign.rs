//! A product in front of a FHIR server that is not ours and knows nothing of access levels.

use std::{fmt, fs, path::PathBuf};

use pms_terms::FhirVersion;
use serde::Deserialize;

use crate::{ApiProduct, Interaction, Method};

/// Who decides what a caller sees of a product's data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Enforce {
    /// The backend, by the caller context: one of ours.
    #[default]
    Backend,
    /// The gateway: the backend is any FHIR server, and tells everything to whoever asks it.
    Gateway,
}

/// What the gateway has to know about a server that enforces nothing (`enforce = "gateway"`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Foreign {
    /// Path before everything there, for example `/fhir/r5`. Default: the product's base path.
    pub path: Option<String>,
    /// What its own links begin with, where that is not the address at which it is asked.
    pub base_url: Option<String>,
    /// The resource types that it has, of those that a product consists of, and `Location`. Default: all. A type that is not
    /// listed is not asked for, and nothing of it is shown.
    pub types: Option<Vec<String>>,
    /// A header that it wants to see, for example `Authorization`.
    pub header: Option<String>,
    /// The file with the header's value.
    pub header_file: Option<PathBuf>,
    /// The largest answer that is read from it, in bytes.
    pub max_answer: usize,
    /// How much is read from it for one request, in bytes.
    pub max_answers: usize,
    /// How often it is asked for one request.
    pub max_questions: usize,
    /// What stands in `header_file`.
    #[serde(skip)]
    pub header_value: Option<HeaderSecret>,
}

impl Default for Foreign {
    fn default() -> Self {
        Self {
            path: None,
            base_url: None,
            types: None,
            header: None,
            header_file: None,
            max_answer: 8 * 1024 * 1024,
            max_answers: 32 * 1024 * 1024,
            max_questions: 500,
            header_value: None,
        }
    }
}

/// The value of a header that lets the gateway in. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct HeaderSecret(String);

impl HeaderSecret {
    /// A value.
    pub const fn new(value: String) -> Self {
        Self(value)
    }

    /// The value itself, to be sent.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for HeaderSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeaderSecret(…)")
    }
}

/// Checks what stands in front of a foreign server, and reads its secret. The error: key and problem.
pub(crate) fn settle(product: &mut ApiProduct) -> Result<(), (String, String)> {
    let wrong = |key: &str, problem: &str| Err((format!("{}.{key}", product.id), problem.to_owned()));
    if product.enforce == Enforce::Backend {
        return match &product.foreign {
            None => Ok(()),
            Some(_) => wrong("foreign", "needs enforce = \"gateway\""),
        };
    }
    if product.fhir_version != FhirVersion::V5_0_0 {
        return wrong(
            "fhir_version",
            "must be 5.0.0 with enforce = \"gateway\": the matrix is written in it",
        );
    }
    if product.upstreams.is_empty() {
        return wrong("upstreams", "must name the server with enforce = \"gateway\"");
    }
    for operation in &product.operations {
        let key = format!("{}.interaction", operation.ep);
        match operation.interaction {
            Interaction::Search | Interaction::Read | Interaction::Everything => {}
            _ => return wrong(&key, "must be search, read or everything with enforce = \"gateway\""),
        }
        if operation.method != Method::Get {
            return wrong(&format!("{}.method", operation.ep), "must be GET with enforce = \"gateway\"");
        }
    }
    let foreign = product.foreign.get_or_insert_default();
    let key = |name: &str| format!("{}.foreign.{name}", product.id);
    let is_path = |path: &String| path.is_empty() || (path.starts_with('/') && !path.ends_with('/'));
    if !foreign.path.as_ref().is_none_or(is_path) {
        return Err((key("path"), "must start with a slash and not end with one".to_owned()));
    }
    foreign.header_value = match (&foreign.header, &foreign.header_file) {
        (None, None) => None,
        (Some(_), Some(path)) => match fs::read_to_string(path) {
            Ok(text) => Some(HeaderSecret::new(text.trim().to_owned())),
            Err(error) => return Err((key("header_file"), format!("{}: {error}", path.display()))),
        },
        _ => return Err((key("header"), "header and header_file belong together".to_owned())),
    };
    Ok(())
}
