//! What became of a merge, as it is kept: which versions it made, not what stood in them, because what may be shown of
//! those is decided by the policy of the day on which somebody asks.

use database::DatabaseError;
use fhir_model::{ResourceKey, merge::Rejection};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::StoreError;

/// What became of a merge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is stored.
    Applied {
        /// The product.
        product_id: String,
        /// Every entry of the Bundle.
        resources: Vec<AppliedResource>,
        /// An OperationOutcome with warnings.
        told: Option<Value>,
    },
    /// Nothing was stored.
    Refused {
        /// The HTTP status for that.
        status: u16,
        /// The OperationOutcome that says why.
        outcome: Value,
        /// The names of the broken rules, each once.
        rules: Vec<String>,
    },
}

/// One entry of a merge that is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedResource {
    /// Its index in the Bundle.
    pub entry: usize,
    /// `Type/id`.
    key: String,
    /// The version that is current since: a new one, or the old one where nothing changed.
    pub version_id: i64,
    /// Whether the merge made the resource.
    pub created: bool,
}

impl AppliedResource {
    pub(super) fn new(entry: usize, key: &ResourceKey, version_id: i64, created: bool) -> Self {
        Self { entry, key: key.to_string(), version_id, created }
    }

    /// Which resource.
    ///
    /// # Errors
    /// When the stored text is none of ours.
    pub fn key(&self) -> Result<ResourceKey, StoreError> {
        let corrupt =
            |_| DatabaseError::Corrupt { table: "merges", column: "outcome", row: self.key.clone() };
        Ok(self.key.parse().map_err(corrupt)?)
    }
}

impl Outcome {
    /// The outcome of a merge that breaks rules.
    pub fn refused(rejections: &[Rejection]) -> Self {
        let mut rules: Vec<String> = Vec::new();
        for rejection in rejections {
            if !rules.iter().any(|known| known == rejection.rule.id()) {
                rules.push(rejection.rule.id().to_owned());
            }
        }
        Self::Refused {
            status: fhir_model::merge::status(rejections),
            outcome: fhir_model::merge::outcome(rejections),
            rules,
        }
    }

    /// The outcome of a merge that met a fault of ours, so that nobody waits for it for ever.
    pub(super) fn failed() -> Self {
        let outcome = serde_json::json!({"resourceType": "OperationOutcome", "issue": [{
            "severity": "error",
            "code": "exception",
            "details": {"text": "The merge met a fault of this server, and nothing of it was stored. Send it again; \
                                 should that fail, too, tell the operator the id of this response."},
        }]});
        Self::Refused { status: 500, outcome, rules: vec!["fault".to_owned()] }
    }

    /// Whether the merge is stored.
    pub const fn is_applied(&self) -> bool {
        matches!(self, Self::Applied { .. })
    }
}
