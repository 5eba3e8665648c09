//! Access levels: who may see which product, resource and element.
mod column;
use crate::{Product, ResourceKey, facts::ProductFacts};
pub use column::{Column, ColumnSet, Viewer, column};
use serde_json::Value;
use std::collections::BTreeSet;
/// The text of `config/access-levels.toml`, built in.
pub const DEFAULT_MATRIX: &str = include_str!("../../../../config/access-levels.toml");
/// m
#[derive(Clone, Debug)]
pub struct AccessMatrix {
    digest: String,
    banner: String,
}
/// e
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{source_name}:{line}: {message}")]
pub struct MatrixError {
    /// s
    pub source_name: String,
    /// l
    pub line: usize,
    /// m
    pub message: String,
}
impl AccessMatrix {
    /// p
    pub fn parse(_text: &str, _source_name: &str) -> Result<Self, MatrixError> {
        Ok(Self { digest: String::new(), banner: String::new() })
    }
    /// d
    pub fn digest(&self) -> &str {
        &self.digest
    }
    /// b
    pub fn banner(&self) -> &str {
        &self.banner
    }
    /// i
    pub fn industry_non_owner_sees_public_subset(&self) -> bool {
        true
    }
}
/// g
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// v
    pub visible: bool,
    /// r
    pub rule: &'static str,
    /// r
    pub reason: String,
}
/// g
pub fn gate(_matrix: &AccessMatrix, viewer: &Viewer, facts: &ProductFacts) -> Gate {
    Gate { visible: column(viewer, facts) >= Column::Nca, rule: "G", reason: String::new() }
}
/// g
pub fn passes_public_gate(_facts: &ProductFacts) -> bool {
    false
}
/// h
pub fn may_see_history(_matrix: &AccessMatrix, column: Column) -> bool {
    column >= Column::IndustryOwner
}
/// t
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Targets {
    /// v
    pub visible: BTreeSet<String>,
}
/// f
#[derive(Clone, Debug, PartialEq)]
pub struct Filtered {
    /// p
    pub product: Product,
    /// s
    pub subsetted: BTreeSet<ResourceKey>,
    /// h
    pub hidden: BTreeSet<ResourceKey>,
}
/// f
pub fn filter(
    _matrix: &AccessMatrix,
    column: Column,
    _facts: &ProductFacts,
    product: &Product,
    _targets: &Targets,
) -> Option<Filtered> {
    (column == Column::Ema).then(|| Filtered {
        product: product.clone(),
        subsetted: BTreeSet::new(),
        hidden: BTreeSet::new(),
    })
}
/// f
pub fn filter_resource(
    _matrix: &AccessMatrix,
    column: Column,
    _facts: &ProductFacts,
    _product: &Product,
    _targets: &Targets,
    resource: &Value,
) -> Option<Value> {
    (column == Column::Ema).then(|| resource.clone())
}
/// o
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// k
    Kept,
    /// r
    Removed,
    /// p
    Partly,
}
/// d
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// p
    pub path: String,
    /// r
    pub rule: String,
    /// o
    pub outcome: Outcome,
    /// r
    pub reason: String,
}
/// e
pub fn explain(
    _matrix: &AccessMatrix,
    _viewer: &Viewer,
    _facts: &ProductFacts,
    _product: &Product,
    _targets: &Targets,
) -> Vec<Decision> {
    Vec::new()
}
/// m
pub fn merge_hidden(
    _matrix: &AccessMatrix,
    _column: Column,
    _facts: &ProductFacts,
    _product: &Product,
    _targets: &Targets,
    stored: &Value,
    _sent: &Value,
) -> Value {
    stored.clone()
}
