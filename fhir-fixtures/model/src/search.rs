//! Search values of a product, and who may find it by them.

use std::borrow::Cow;

use serde_json::Value;

use crate::{
    Product,
    access::{AccessMatrix, ColumnSet, Targets},
    facts::ProductFacts,
};

pub use crate::terms::{canonical_system, list_number};

/// A value under which a product is found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SearchValue {
    /// A code or identifier within a system; the system in its canonical spelling.
    Token {
        /// The system, canonical.
        system: Option<String>,
        /// The code or the identifier's value.
        code: String,
    },
    /// A text.
    Text {
        /// For comparing without regard to case and accents.
        normalised: String,
        /// As written, for `:exact`.
        exact: String,
    },
    /// A reference.
    Reference {
        /// The target's type.
        resource_type: String,
        /// The target's id.
        id: String,
    },
}

/// A search value with its parameter and those who may find the product by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedValue {
    /// The search parameter.
    pub parameter: &'static str,
    /// The value.
    pub value: SearchValue,
    /// The columns that see the element the value comes from.
    pub visible_to: ColumnSet,
}

/// How values of a parameter are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// `system|code`.
    Token,
    /// Text.
    Text,
    /// `Type/id`.
    Reference,
}
/// The parameters: name, kind, and whether only some columns may use it at all.
pub const PARAMETERS: &[(&str, ParameterKind, bool)] = &[
    ("identifier", ParameterKind::Token, false),
    ("name", ParameterKind::Text, false),
    ("name-language", ParameterKind::Token, false),
    ("status", ParameterKind::Token, false),
    ("domain", ParameterKind::Token, false),
    ("type", ParameterKind::Token, false),
    ("product-classification", ParameterKind::Token, false),
    ("contact", ParameterKind::Reference, true),
    ("master-file", ParameterKind::Reference, true),
    ("ingredient", ParameterKind::Token, true),
    ("characteristic", ParameterKind::Token, true),
];

/// v
pub fn values(
    _matrix: &AccessMatrix,
    _facts: &ProductFacts,
    _product: &Product,
    _targets: &Targets,
) -> Vec<IndexedValue> {
    Vec::new()
}

/// n
pub fn normalise(text: &str) -> String {
    text.to_lowercase()
}
fn _unused(_: Cow<'_, str>, _: &Value) {}
