//! Search parameters of type reference: which elements `_include` and `_revinclude` follow.
//!
//! FHIR defines a search parameter for some links only, and 4.4.0 fewer than 5.0.0. So that every link of a product
//! can be followed, the others have a parameter here, too: called like the element, in the spelling of search
//! parameters.

use pms_terms::FhirVersion::{self, V4_4_0, V5_0_0};
use serde_json::Value;

use crate::{
    ResourceKey, ResourceType,
    ResourceType::{
        ActivityDefinition, AdministrableProductDefinition, ClinicalUseDefinition, DocumentReference,
        Ingredient, ManufacturedItemDefinition, MedicinalProductDefinition, Organization,
        PackagedProductDefinition, PractitionerRole, RegulatedAuthorization, SubstanceDefinition,
    },
    links, resource_type,
};

/// A search parameter of type reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkParameter {
    /// The type that has the link.
    pub resource_type: ResourceType,
    /// The parameter's name.
    pub name: &'static str,
    /// Whether FHIR defines it; the others are ours.
    pub official: bool,
    elements: &'static [&'static str],
}

type Row = (ResourceType, &'static str, bool, &'static [&'static str]);

const BOTH: &[Row] = &[
    (MedicinalProductDefinition, "contact", true, &["contact.contact"]),
    (MedicinalProductDefinition, "master-file", true, &["masterFile"]),
    (MedicinalProductDefinition, "attached-document", false, &["attachedDocument"]),
    (RegulatedAuthorization, "subject", true, &["subject"]),
    (RegulatedAuthorization, "holder", true, &["holder"]),
    (RegulatedAuthorization, "regulator", false, &["regulator"]),
    (PackagedProductDefinition, "manufacturer", false, &["manufacturer"]),
    (ManufacturedItemDefinition, "manufacturer", false, &["manufacturer"]),
    (SubstanceDefinition, "manufacturer", false, &["manufacturer"]),
    (SubstanceDefinition, "supplier", false, &["supplier"]),
    (ClinicalUseDefinition, "subject", true, &["subject"]),
    (ClinicalUseDefinition, "product", true, &["subject"]),
    (Organization, "partof", true, &["partOf"]),
    (DocumentReference, "author", true, &["author"]),
    (DocumentReference, "custodian", true, &["custodian"]),
    (DocumentReference, "relatesto", true, &["relatesTo.target"]),
    (PractitionerRole, "organization", true, &["organization"]),
    (PractitionerRole, "practitioner", true, &["practitioner"]),
];

const ONLY_5_0_0: &[Row] = &[
    (MedicinalProductDefinition, "operation", false, &["operation.type.reference", "operation.organization"]),
    (MedicinalProductDefinition, "comprised-of", false, &["comprisedOf"]),
    (RegulatedAuthorization, "attached-document", false, &["attachedDocument"]),
    (RegulatedAuthorization, "indication", false, &["indication.reference"]),
    (PackagedProductDefinition, "package-for", true, &["packageFor"]),
    (PackagedProductDefinition, "contained-item", true, &["packaging.containedItem.item.reference"]),
    (PackagedProductDefinition, "manufactured-item", true, &["packaging.containedItem.item.reference"]),
    (PackagedProductDefinition, "package", true, &["packaging.containedItem.item.reference"]),
    (PackagedProductDefinition, "attached-document", false, &["attachedDocument"]),
    (AdministrableProductDefinition, "form-of", true, &["formOf"]),
    (AdministrableProductDefinition, "manufactured-item", true, &["producedFrom"]),
    (Ingredient, "for", true, &["for"]),
    (Ingredient, "manufacturer", true, &["manufacturer.manufacturer"]),
    (Ingredient, "substance", true, &["substance.code.reference"]),
    (Ingredient, "substance-definition", true, &["substance.code.reference"]),
    (ActivityDefinition, "participant", false, &["participant.typeReference"]),
    (DocumentReference, "attester", true, &["attester.party"]),
];

const ONLY_4_4_0: &[Row] = &[
    (
        MedicinalProductDefinition,
        "manufacturing-business-operation",
        false,
        &[
            "manufacturingBusinessOperation.type.reference",
            "manufacturingBusinessOperation.manufacturer",
            "manufacturingBusinessOperation.authorization",
        ],
    ),
    (MedicinalProductDefinition, "pharmaceutical-product", false, &["pharmaceuticalProduct"]),
    (MedicinalProductDefinition, "packaged-medicinal-product", false, &["packagedMedicinalProduct"]),
    (MedicinalProductDefinition, "ingredient", false, &["ingredient"]),
    (RegulatedAuthorization, "indication", false, &["indicationReference"]),
    (PackagedProductDefinition, "subject", true, &["subject"]),
    (PackagedProductDefinition, "manufactured-item", true, &["package.containedItem.item"]),
    (PackagedProductDefinition, "marketing-authorization", false, &["marketingAuthorization"]),
    (AdministrableProductDefinition, "subject", true, &["subject"]),
    (AdministrableProductDefinition, "produced-from", false, &["producedFrom"]),
    (AdministrableProductDefinition, "ingredient", false, &["ingredient"]),
    (ManufacturedItemDefinition, "ingredient", false, &["ingredient"]),
    (Ingredient, "manufacturer", false, &["manufacturer"]),
    (Ingredient, "substance-definition", false, &["substance.codeReference"]),
    (DocumentReference, "authenticator", true, &["authenticator"]),
];

/// The parameters of a version, in the order of the types.
pub fn all(version: FhirVersion) -> Vec<LinkParameter> {
    let only = match version {
        V4_4_0 => ONLY_4_4_0,
        V5_0_0 => ONLY_5_0_0,
    };
    let mut parameters: Vec<LinkParameter> = BOTH
        .iter()
        .chain(only)
        .map(|(resource_type, name, official, elements)| LinkParameter {
            resource_type: *resource_type,
            name,
            official: *official,
            elements,
        })
        .collect();
    parameters.sort_by_key(|parameter| parameter.resource_type);
    parameters
}

/// A link of a resource: the element without indices and without its type, and what it points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    element: String,
    /// What it points to.
    pub target: ResourceKey,
}

impl LinkParameter {
    /// Whether this parameter follows `link`, one of a resource of its type.
    pub fn follows(&self, link: &Link) -> bool {
        self.elements.contains(&link.element.as_str())
    }
}

/// All links of a resource, in either version.
pub fn links_of(resource: &Value) -> Vec<Link> {
    if resource_type(resource).is_none() {
        return Vec::new();
    }
    links::references(resource)
        .into_iter()
        .filter_map(|link| {
            let (_, element) = link.element.split_once('.')?;
            Some(Link { element: flattened(element), target: link.key })
        })
        .collect()
}

/// A pack in a pack is a pack: `packaging.packaging.containedItem` is one element at any depth.
fn flattened(element: &str) -> String {
    let mut segments: Vec<&str> = element.split('.').collect();
    segments.dedup_by(|next, before| next == before && matches!(*next, "packaging" | "package"));
    segments.join(".")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema;

    /// Every element of the table exists in its version and can hold a reference.
    #[test]
    fn every_parameter_is_about_a_reference_of_its_version() {
        for version in [V4_4_0, V5_0_0] {
            for parameter in all(version) {
                for element in parameter.elements {
                    let path = format!("{}.{element}", parameter.resource_type.as_str_in(version));
                    assert_eq!(schema::type_of(version, &path), Some("Reference"), "{version} {path}");
                }
                let twins = all(version)
                    .into_iter()
                    .filter(|it| (it.resource_type, it.name) == (parameter.resource_type, parameter.name));
                assert_eq!(twins.count(), 1, "{parameter:?}");
            }
        }
    }

    #[test]
    fn links_are_followed_by_their_element_at_any_depth_of_a_pack() {
        let item = json!({"item": {"reference": {"reference": "ManufacturedItemDefinition/i"}}});
        let pack = json!({"resourceType": "PackagedProductDefinition", "id": "p",
            "packageFor": [{"reference": "MedicinalProductDefinition/1"}],
            "packaging": {"containedItem": [item], "packaging": [{"packaging": [{"containedItem": [item]}]}]}});
        let links = links_of(&pack);
        let follow = |name: &str| {
            let all = all(V5_0_0);
            let parameter = all
                .iter()
                .find(|it| it.resource_type == PackagedProductDefinition && it.name == name)
                .unwrap();
            links.iter().filter(|link| parameter.follows(link)).count()
        };
        assert_eq!((follow("package-for"), follow("manufactured-item"), follow("manufacturer")), (1, 2, 0));
        assert_eq!(links_of(&json!({"resourceType": "Patient", "id": "1"})), []);
    }
}
