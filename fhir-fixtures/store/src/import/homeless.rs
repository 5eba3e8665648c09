//! Why a resource that belongs to no product was refused, and what would give it one.

use fhir_model::{ResourceType, links};

use super::{incoming::Incoming, report::Refused};

/// The reason; `refused` are the refusals so far, since a parent may be among them.
pub(super) fn reason(resource: &Incoming, refused: &[Refused]) -> String {
    let parents = links::parents(&resource.body);
    if parents.is_empty() {
        let names = match links_up(resource.key.resource_type) {
            Some(element) => format!("{element} names none"),
            None => "it cannot name one".to_owned(),
        };
        return format!(
            "belongs to no product: {names}, and no resource of a product refers to it; link it, or import it together \
             with what refers to it"
        );
    }
    let what =
        if parents.iter().any(|parent| parent.resource_type == ResourceType::MedicinalProductDefinition) {
            "its product"
        } else {
            "what it belongs to"
        };
    let named: Vec<String> = parents
        .iter()
        .map(|parent| {
            let parent = parent.to_string();
            let there = refused.iter().any(|refused| refused.resource == parent);
            format!("{parent}{}", if there { " (refused, see there)" } else { "" })
        })
        .collect();
    format!("{what} is neither in this import nor in the store: {}; import that first", named.join(", "))
}

/// The element by which a resource names what it belongs to.
const fn links_up(resource_type: ResourceType) -> Option<&'static str> {
    match resource_type {
        ResourceType::RegulatedAuthorization => Some("RegulatedAuthorization.subject"),
        ResourceType::PackagedProductDefinition => Some("PackagedProductDefinition.packageFor"),
        ResourceType::AdministrableProductDefinition => Some("AdministrableProductDefinition.formOf"),
        ResourceType::Ingredient => Some("Ingredient.for"),
        ResourceType::ClinicalUseDefinition => Some("ClinicalUseDefinition.subject"),
        ResourceType::MedicinalProductDefinition
        | ResourceType::ManufacturedItemDefinition
        | ResourceType::SubstanceDefinition
        | ResourceType::ActivityDefinition
        | ResourceType::Organization
        | ResourceType::DocumentReference
        | ResourceType::PractitionerRole
        | ResourceType::Practitioner => None,
    }
}
