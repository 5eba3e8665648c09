//! Names of elements, for those who select, order or look up elements by name: `_elements`, `_summary`, XML.

use pms_terms::FhirVersion;

use super::{Element, ElementType, Listing, Node};

/// The JSON property names of an element.
fn properties(element: &'static Element) -> impl Iterator<Item = &'static str> {
    element.types.iter().map(|kind| kind.property.as_str())
}

/// The node of a type or of an element path: `CodeableConcept`, `MedicinalProductDefinition.name.usage`. Choices by
/// their JSON property.
fn node_at(version: FhirVersion, path: &str) -> Option<&'static Node> {
    let listing = Listing::of(version);
    let mut segments = path.split('.');
    let mut node = listing.type_node(segments.next()?)?;
    for segment in segments {
        node = listing.node_of(&node.property(segment)?.1.content)?;
    }
    Some(node)
}

fn property_at(version: FhirVersion, path: &str) -> Option<(&'static Element, &'static ElementType)> {
    let (parent, name) = path.rsplit_once('.')?;
    node_at(version, parent)?.property(name)
}

/// The top-level elements of a resource type, choices without `[x]`: what `_elements` may name. Empty for an
/// unknown type.
pub fn element_names(version: FhirVersion, type_name: &str) -> Vec<&'static str> {
    let node = node_at(version, type_name);
    node.into_iter().flat_map(|node| &node.elements).map(|element| element.name).collect()
}

/// The JSON properties of the top-level elements that are required: kept whatever `_elements` says.
pub fn mandatory_names(version: FhirVersion, type_name: &str) -> Vec<&'static str> {
    let node = node_at(version, type_name);
    node.into_iter()
        .flat_map(|node| &node.elements)
        .filter(|element| element.required)
        .flat_map(properties)
        .collect()
}

/// The JSON properties of the top-level elements that belong to `_summary=true`.
pub fn summary_names(version: FhirVersion, type_name: &str) -> Vec<&'static str> {
    let node = node_at(version, type_name);
    node.into_iter()
        .flat_map(|node| &node.elements)
        .filter(|element| element.summary)
        .flat_map(properties)
        .collect()
}

/// Whether the JSON property at this path is an array: `MedicinalProductDefinition.name`. `None` if unknown.
pub fn repeats(version: FhirVersion, path: &str) -> Option<bool> {
    property_at(version, path).map(|(element, _)| element.repeats)
}

/// The JSON properties below a type or element path, in the order of the specification, which XML needs.
pub fn xml_order(version: FhirVersion, path: &str) -> Vec<&'static str> {
    node_at(version, path).into_iter().flat_map(|node| &node.elements).flat_map(properties).collect()
}

/// The type of the JSON property at this path: `string`, `CodeableConcept`, `BackboneElement`, `Resource`.
pub fn type_of(version: FhirVersion, path: &str) -> Option<&'static str> {
    property_at(version, path).map(|(_, kind)| kind.name)
}

/// The resource types that the Reference or CodeableReference at this path may lead to; none when it may lead to any.
/// In a CodeableReference the Reference is `….reference`, and means the same.
pub(crate) fn link_targets(version: FhirVersion, path: &str) -> &'static [&'static str] {
    let own = property_at(version, path).map(|(_, kind)| kind.targets.as_slice()).unwrap_or_default();
    if !own.is_empty() {
        return own;
    }
    path.rsplit_once('.')
        .and_then(|(whole, _)| property_at(version, whole))
        .filter(|(_, kind)| kind.name == "CodeableReference")
        .map(|(_, kind)| kind.targets.as_slice())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_have_targets() {
        let v5 = FhirVersion::V5_0_0;
        let product = "MedicinalProductDefinition";
        assert_eq!(link_targets(v5, &format!("{product}.operation.organization")), ["Organization"]);
        assert_eq!(link_targets(v5, &format!("{product}.crossReference.product")), [product]);
        assert_eq!(link_targets(v5, &format!("{product}.crossReference.product.reference")), [product]);
        assert!(link_targets(v5, &format!("{product}.extension.valueReference")).is_empty());
        assert_eq!(link_targets(v5, &format!("{product}.identifier.assigner")), ["Organization"]);
    }

    #[test]
    fn paths_lead_through_backbones_and_datatypes() {
        let v5 = FhirVersion::V5_0_0;
        assert_eq!(repeats(v5, "MedicinalProductDefinition.name.usage"), Some(true));
        assert_eq!(type_of(v5, "MedicinalProductDefinition.name.usage.country.coding.code"), Some("code"));
        assert_eq!(
            type_of(v5, "PackagedProductDefinition.packaging.packaging.packaging.type"),
            Some("CodeableConcept")
        );
        assert_eq!(type_of(v5, "MedicinalProductDefinition.namePart"), None);
        assert_eq!(repeats(FhirVersion::V4_4_0, "MedicinalProductDefinition.name.namePart"), Some(true));
        assert!(element_names(v5, "Patient").is_empty());
    }

    #[test]
    fn the_order_is_that_of_the_specification() {
        assert_eq!(xml_order(FhirVersion::V5_0_0, "Coding")[..4], ["id", "extension", "system", "version"]);
        let order = xml_order(FhirVersion::V5_0_0, "Ingredient");
        assert_eq!(
            order[..9],
            [
                "id",
                "meta",
                "implicitRules",
                "language",
                "text",
                "contained",
                "extension",
                "modifierExtension",
                "identifier"
            ]
        );
    }

    #[test]
    fn summaries_keep_the_required_and_leave_the_long() {
        let v5 = FhirVersion::V5_0_0;
        assert_eq!(mandatory_names(v5, "MedicinalProductDefinition"), ["name"]);
        let summary = summary_names(v5, "Organization");
        assert!(summary.contains(&"name") && !summary.contains(&"contact") && !summary.contains(&"text"));
    }
}
