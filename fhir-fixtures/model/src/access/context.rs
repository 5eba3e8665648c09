//! What the conditions of the matrix need to know about a product beyond the element at hand.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::{Map, Value};

use crate::{
    Product, ResourceKey, ResourceType,
    facts::ProductFacts,
    links, resource_key,
    search::normalise,
    terms::{canonical_system, codings},
};

use super::{AccessMatrix, Column};

/// Other products that the reader may know of, by the gates of each: of those a product mentions
/// ([`links::cross_references`]), the view shows these and no others. Prepared views depend on it.
///
/// [`links::cross_references`]: crate::links::cross_references
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Targets {
    /// Ids of MedicinalProductDefinitions.
    pub visible: BTreeSet<String>,
}

impl Targets {
    /// Those of these that are also among `ids`.
    #[must_use]
    pub fn among<'i>(&self, ids: impl IntoIterator<Item = &'i String>) -> Self {
        Self { visible: ids.into_iter().filter(|id| self.visible.contains(*id)).cloned().collect() }
    }
}

/// A product seen from one column.
pub(super) struct Context<'a> {
    pub(super) matrix: &'a AccessMatrix,
    pub(super) column: Column,
    pub(super) facts: &'a ProductFacts,
    pub(super) targets: &'a Targets,
    /// All resources of the product.
    pub(super) members: HashMap<ResourceKey, &'a Value>,
    pub(super) root: Option<ResourceKey>,
    /// Whether an operation of the current product is confidential.
    pub(super) any_confidential: bool,
    /// Activities by whether an operation with them is confidential.
    activities: HashMap<ResourceKey, bool>,
    /// Members that this column does not see.
    pub(super) hidden: HashSet<ResourceKey>,
    /// Substances of hidden ingredients, as [`substance_marks`] writes them.
    pub(super) hidden_substances: HashSet<String>,
}

impl<'a> Context<'a> {
    pub(super) fn new(
        matrix: &'a AccessMatrix,
        column: Column,
        facts: &'a ProductFacts,
        product: &'a Product,
        targets: &'a Targets,
    ) -> Self {
        let members =
            product.resources().filter_map(|resource| Some((resource_key(resource)?, resource))).collect();
        let mut context = Self {
            matrix,
            column,
            facts,
            targets,
            members,
            root: resource_key(&product.root),
            any_confidential: false,
            activities: HashMap::new(),
            hidden: HashSet::new(),
            hidden_substances: HashSet::new(),
        };
        for operation in product.root.get("operation").and_then(Value::as_array).into_iter().flatten() {
            let confidential = context.operation_is_confidential(operation);
            context.any_confidential |= confidential;
            let activity =
                operation.get("type").and_then(|kind| kind.get("reference")?.get("reference")?.as_str());
            if let Some(key) = activity.and_then(links::parse_reference) {
                *context.activities.entry(key).or_default() |= confidential;
            }
        }
        context
    }

    /// Whether the reader may know of this product: it is the one at hand, or one of those that [`Targets`] names. The
    /// agency passes every gate.
    pub(super) fn knows_product(&self, key: &ResourceKey) -> bool {
        self.column.passes_every_gate()
            || self.root.as_ref() == Some(key)
            || self.targets.visible.contains(&key.id)
    }

    /// Whether nothing of the product is hidden: every row is open, and whatever its references lead to.
    pub(super) fn is_whole(&self) -> bool {
        self.matrix.is_all_open(self.column)
            && self.members.values().all(|each| self.shows_all_references(each))
    }

    /// Whether the reader may follow every reference of a resource.
    pub(super) fn shows_all_references(&self, resource: &Value) -> bool {
        self.column.passes_every_gate() || {
            let mut closed = false;
            links::each_reference(resource, &mut |reference| {
                closed |= self.closed_reference(reference).is_some();
            });
            !closed
        }
    }

    /// Why the reader must not see a reference, if so. References within the resource are not decided here.
    pub(super) fn closed_reference(&self, reference: &Map<String, Value>) -> Option<&'static str> {
        if self.column.passes_every_gate() {
            return None;
        }
        let outsider = self.column.is_outsider();
        let Some(text) = reference.get("reference").and_then(Value::as_str) else {
            // By an identifier alone: of products none that could not be checked.
            return (reference.contains_key("identifier") && names_a_product(reference))
                .then_some("nobody can tell which product it points to");
        };
        if text.starts_with('#') {
            return None;
        }
        let Some(key) = links::parse_reference(text) else {
            let vague = text.starts_with("urn:") || text.contains('?');
            let of_product = text.contains("MedicinalProductDefinition");
            return (vague && (outsider || of_product)).then_some("nobody can tell what it points to");
        };
        if key.resource_type == ResourceType::MedicinalProductDefinition {
            return (!self.knows_product(&key))
                .then_some("it points to a product that the reader must not know of");
        }
        if self.members.contains_key(&key) {
            return self.hidden.contains(&key).then_some("it points to a hidden resource");
        }
        // What points up to its product is a member of every product it belongs to: not of this one, so of another.
        let elsewhere = links::points_up(key.resource_type);
        let bound = !links::is_reference_data(key.resource_type);
        (elsewhere || (outsider && bound)).then_some("it points to a resource outside the product")
    }

    /// Qualified owners and authorities: they see what has no row.
    pub(super) fn is_cleared(&self) -> bool {
        self.column >= Column::IndustryOwnerQualified
    }

    /// Note 4: an operation is confidential when its indicator says anything but that it is not.
    pub(super) fn operation_is_confidential(&self, operation: &Value) -> bool {
        operation.get("confidentialityIndicator").is_some_and(|indicator| !self.is_open_indicator(indicator))
            || operation.get("_confidentialityIndicator").is_some()
    }

    /// An activity that no operation of the product mentions counts as confidential.
    pub(super) fn activity_is_confidential(&self, key: &ResourceKey) -> bool {
        self.activities.get(key).copied().unwrap_or(true)
    }

    /// A manufacturing authorisation is as confidential as its activities, or as the product's operations when it
    /// names none.
    pub(super) fn authorisation_is_confidential(&self, authorisation: &Value) -> bool {
        let mut activities = links::parents(authorisation)
            .into_iter()
            .filter(|key| key.resource_type == ResourceType::ActivityDefinition)
            .peekable();
        if activities.peek().is_none() {
            return self.any_confidential;
        }
        activities.any(|key| self.activity_is_confidential(&key))
    }

    /// Note 7: a security label or a confidentiality extension, on this version or on the current one.
    pub(super) fn ingredient_is_confidential(&self, ingredient: &Value) -> bool {
        let current = resource_key(ingredient).and_then(|key| self.members.get(&key).copied());
        self.is_labelled(ingredient) || current.is_some_and(|current| self.is_labelled(current))
    }

    fn is_labelled(&self, resource: &Value) -> bool {
        const OPEN: [&str; 4] = ["U", "L", "M", "N"];
        let labels = resource.get("meta").and_then(|meta| meta.get("security")?.as_array());
        let labelled = labels.is_some_and(|labels| {
            labels.iter().any(|label| {
                let confidentiality = label.get("system").and_then(Value::as_str)
                    == Some("http://terminology.hl7.org/CodeSystem/v3-Confidentiality");
                let open = label.get("code").and_then(Value::as_str).is_some_and(|code| OPEN.contains(&code));
                !(confidentiality && open)
            })
        });
        labelled
            || resource.get("extension").and_then(Value::as_array).into_iter().flatten().any(|extension| {
                let url = extension.get("url").and_then(Value::as_str).unwrap_or_default();
                url.to_ascii_lowercase().contains("confidential")
                    && !extension
                        .get("valueCodeableConcept")
                        .is_some_and(|value| self.is_open_indicator(value))
            })
    }

    /// Everything the indicator says must be one of the wordings that do not forbid.
    fn is_open_indicator(&self, indicator: &Value) -> bool {
        let mut some = false;
        let text = indicator.get("text").and_then(Value::as_str);
        let displays = codings(indicator)
            .map(|coding| coding.get("display").and_then(Value::as_str).unwrap_or_default());
        let open = &self.matrix.switches.not_confidential;
        text.into_iter().chain(displays).all(|wording| {
            some = true;
            open.contains(&normalise(wording))
        }) && some
    }
}

/// Whether a reference without an address says that it means a product.
pub(crate) fn names_a_product(reference: &Map<String, Value>) -> bool {
    const NUMBERS: [&str; 2] = ["/fhir/pmsId", "/fhir/mpId"];
    let kind = reference.get("type").and_then(Value::as_str).unwrap_or_default();
    let system = reference.get("identifier").and_then(|identifier| identifier.get("system")?.as_str());
    kind.ends_with("MedicinalProductDefinition")
        || system.is_some_and(|system| NUMBERS.iter().any(|number| system.ends_with(number)))
}

/// What identifies the substances of a concept: `system|code` of every coding, and the text.
pub(super) fn substance_marks(concept: &Value) -> impl Iterator<Item = String> {
    let inner = concept.get("concept").unwrap_or(concept);
    let text = inner.get("text").and_then(Value::as_str).map(normalise);
    codings(concept)
        .filter_map(|coding| {
            let system = coding.get("system").and_then(Value::as_str).unwrap_or_default();
            Some(format!("{}|{}", canonical_system(system), coding.get("code")?.as_str()?))
        })
        .chain(text)
}
