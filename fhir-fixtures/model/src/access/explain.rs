//! Explaining a view: which gate and which row decided what.

use crate::{Product, facts::ProductFacts};

use super::{AccessMatrix, Targets, View, Viewer, column, gate};

/// What became of a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Seen in full.
    Kept,
    /// Not seen.
    Removed,
    /// Seen, but something within it is not.
    Partly,
}

impl Outcome {
    /// The word in explanations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Removed => "removed",
            Self::Partly => "partly",
        }
    }
}

/// One decision of `pmsgate explain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What was decided about: the product, a resource, an element with indices.
    pub path: String,
    /// The gate, or the row with its line.
    pub rule: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Why.
    pub reason: String,
}

/// All decisions about a product for a viewer: the gates first, then resource by resource, element by element. Not
/// for the viewer's eyes: it names what is hidden.
pub fn explain(
    matrix: &AccessMatrix,
    viewer: &Viewer,
    facts: &ProductFacts,
    product: &Product,
    targets: &Targets,
) -> Vec<Decision> {
    let decided = gate(matrix, viewer, facts);
    let column = column(viewer, facts);
    let mut journal = vec![Decision {
        path: format!("MedicinalProductDefinition/{}", product.id()),
        rule: decided.rule.to_owned(),
        outcome: if decided.visible { Outcome::Kept } else { Outcome::Removed },
        reason: format!("column {column}: {}", decided.reason),
    }];
    if decided.visible {
        match View::new(matrix, column, facts, product, targets) {
            Some(view) => view.explain(&mut journal),
            None => journal.push(Decision {
                path: format!("MedicinalProductDefinition/{}", product.id()),
                rule: "(closed)".to_owned(),
                outcome: Outcome::Removed,
                reason: format!("nothing of it is left for the column {column}, so it is absent"),
            }),
        }
    }
    journal
}
