//! The compiled matrix: rows sorted into trees that the filter follows element by element.

use std::collections::{BTreeSet, HashMap};

use crate::facts::AuthorisationStatus;

use super::{Column, concept::Listed, table::MatrixRow};

/// The access-level matrix, read and checked.
#[derive(Clone, Debug)]
pub struct AccessMatrix {
    pub(super) digest: String,
    pub(super) banner: String,
    /// All rows as the file has them.
    pub(super) table: Vec<MatrixRow>,
    pub(super) switches: Switches,
    pub(super) history: [bool; 6],
    /// By column: no row, of an element or an extension, says anything but yes.
    pub(super) all_open: [bool; 6],
    pub(super) classes: Vec<Class>,
    /// Rules by resource type name; those of `Resource` are merged into each.
    pub(super) types: HashMap<String, Rules>,
    /// Rows of extensions by URL.
    pub(super) extensions: HashMap<String, Vec<ExtensionRow>>,
}

impl AccessMatrix {
    /// The digest of the text it was read from, in hexadecimal: search values made under another digest are stale.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The remark on where the rows come from, to be shown to whoever reads explanations.
    pub fn banner(&self) -> &str {
        &self.banner
    }

    /// Whether industry sees the public subset of other people's products, or nothing of them.
    pub const fn industry_non_owner_sees_public_subset(&self) -> bool {
        self.switches.industry_sees_public_subset
    }

    /// Whether every row is open to a column without conditions, and it sees what has no row: it sees everything.
    pub(super) fn is_all_open(&self, column: Column) -> bool {
        column >= Column::IndustryOwnerQualified && self.all_open[column as usize]
    }

    /// The rules of a resource type; empty ones hide everything but from cleared columns.
    pub(super) fn rules(&self, type_name: &str) -> &Rules {
        self.types.get(type_name).unwrap_or(&NO_RULES)
    }
}

/// What the switches of the file say.
#[derive(Clone, Debug)]
pub(super) struct Switches {
    pub(super) industry_sees_public_subset: bool,
    pub(super) marketing_status: BTreeSet<Column>,
    pub(super) batch_release: BTreeSet<Column>,
    /// The class of the `batch-release` condition.
    pub(super) batch_release_class: Option<usize>,
    pub(super) public_authorisations: BTreeSet<AuthorisationStatus>,
    pub(super) industry_authorisations: BTreeSet<AuthorisationStatus>,
    /// Normalised wordings of indicators that do not forbid.
    pub(super) not_confidential: BTreeSet<String>,
}

/// A named class of instances.
#[derive(Clone, Debug)]
pub(super) enum Class {
    /// A marketing authorisation.
    Marketing,
    /// A manufacturing authorisation.
    Manufacturing,
    /// What a list of the file says.
    Listed(Listed),
}

/// Rules for an element and what lies below it.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// Rows of the element itself, in order.
    pub(super) rows: Vec<Row>,
    /// Rules of children by element name, without `[x]`; `None` until there is one.
    pub(super) children: Option<HashMap<String, Self>>,
    /// Rows of children that have no rules of their own.
    pub(super) rest: Vec<Row>,
}

static NO_RULES: Rules = Rules::new();

impl Rules {
    pub(super) const fn new() -> Self {
        Self { rows: Vec::new(), children: None, rest: Vec::new() }
    }

    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.as_ref()?.get(name)
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self::new()
    }
}

/// One row.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) path: String,
    pub(super) line: usize,
    pub(super) class: Option<(String, usize)>,
    pub(super) permissions: [Permission; 6],
}

impl Row {
    pub(super) const fn permission(&self, column: Column) -> &Permission {
        &self.permissions[column as usize]
    }

    /// For explanations: `MedicinalProductDefinition.contact (qppv), line 61`.
    pub(super) fn name(&self) -> String {
        match &self.class {
            Some((class, _)) => format!("{} ({class}), line {}", self.path, self.line),
            None => format!("{}, line {}", self.path, self.line),
        }
    }
}

/// A row of an extension.
#[derive(Clone, Debug)]
pub(super) struct ExtensionRow {
    /// Element path within which it holds; anywhere when absent.
    pub(super) path: Option<String>,
    pub(super) line: usize,
    pub(super) url: String,
    pub(super) permissions: [bool; 6],
}

/// What a row says about a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Permission {
    Yes,
    No,
    If(Condition),
}

/// A condition (`domain.md` §6.4, notes 1 to 7), named as in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    CentralOnly,
    MarketingStatus,
    TargetVisible,
    UnlessConfidential,
    BatchRelease,
    AlreadyPublic,
    AuthorisationStatus,
    NotHiddenIngredient,
    Class(String, usize),
}

impl Condition {
    /// The built-in condition of this name.
    pub(super) fn built_in(name: &str) -> Option<Self> {
        Some(match name {
            "central-only" => Self::CentralOnly,
            "marketing-status" => Self::MarketingStatus,
            "target-visible" => Self::TargetVisible,
            "unless-confidential" => Self::UnlessConfidential,
            "batch-release" => Self::BatchRelease,
            "already-public" => Self::AlreadyPublic,
            "authorisation-status" => Self::AuthorisationStatus,
            "not-hidden-ingredient" => Self::NotHiddenIngredient,
            _ => return None,
        })
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::CentralOnly => "central-only",
            Self::MarketingStatus => "marketing-status",
            Self::TargetVisible => "target-visible",
            Self::UnlessConfidential => "unless-confidential",
            Self::BatchRelease => "batch-release",
            Self::AlreadyPublic => "already-public",
            Self::AuthorisationStatus => "authorisation-status",
            Self::NotHiddenIngredient => "not-hidden-ingredient",
            Self::Class(name, _) => name,
        }
    }

    /// Whether the condition can be decided at this element.
    pub(super) fn has_meaning_at(&self, path: &str) -> bool {
        let below = |element: &str| {
            path.strip_prefix(element).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        match self {
            Self::CentralOnly | Self::Class(..) => true,
            Self::MarketingStatus => path.ends_with(".marketingStatus"),
            Self::TargetVisible => path.contains('.'),
            Self::UnlessConfidential => {
                below("MedicinalProductDefinition.operation")
                    || below("Ingredient")
                    || below("RegulatedAuthorization")
                    || below("ActivityDefinition")
            }
            Self::BatchRelease => below("MedicinalProductDefinition.operation"),
            Self::AlreadyPublic => path == "RegulatedAuthorization.indication",
            Self::AuthorisationStatus => path == "RegulatedAuthorization",
            Self::NotHiddenIngredient => path.ends_with(".ingredient"),
        }
    }
}
