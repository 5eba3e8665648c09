//! From FHIR 5.0.0 to 4.4.0: renames, moved elements, forward links built from inverse ones (`domain.md` §5.3).
//!
//! First each type's own rules, then `schema::fit` leaves out what 4.4.0 does not know and says "unknown" where it
//! requires what a 5.0.0 product lacks. Nothing is invented.

mod links;
mod parts;
mod people;
mod product;

use pms_terms::FhirVersion;
use serde_json::{Map, Value};

use crate::{Product, ResourceType, resource_type, schema};

pub use links::Links;
pub(crate) use product::PACK_SIZE;

/// Renders one resource in 4.4.0. `product` is what the reader sees of the product it belongs to: forward links are
/// made from its visible inverse links only. Resources of other types come back unchanged.
pub fn to_4_4_0(resource: &Value, product: &Product) -> Value {
    render(resource.clone(), &Links::new(product))
}

/// Renders all resources of a filtered product in one pass.
pub fn product_to_4_4_0(product: &Product) -> Product {
    into_4_4_0(product.clone())
}

/// The same of a product that is not needed any more.
pub fn into_4_4_0(product: Product) -> Product {
    let links = Links::new(&product);
    Product::new(
        render(product.root, &links),
        product.parts.into_iter().map(|part| render(part, &links)).collect(),
    )
}

/// Renders a filtered product's root from the visible inverse links alone, those of [`Links::of_root`] at least.
pub fn root_to_4_4_0(root: Value, links: &Links) -> Value {
    render(root, links)
}

fn render(resource: Value, links: &Links) -> Value {
    let (kind, mut fields): (_, Map<String, Value>) = match (resource_type(&resource), resource) {
        (Some(kind), Value::Object(fields)) => (kind, fields),
        (_, other) => return other,
    };
    match kind {
        ResourceType::MedicinalProductDefinition => product::medicinal_product(&mut fields, links),
        ResourceType::RegulatedAuthorization => product::authorisation(&mut fields),
        ResourceType::PackagedProductDefinition => product::package(&mut fields, links),
        ResourceType::AdministrableProductDefinition => parts::administrable(&mut fields, links),
        ResourceType::ManufacturedItemDefinition => parts::item(&mut fields, links),
        ResourceType::Ingredient => parts::ingredient(&mut fields),
        ResourceType::SubstanceDefinition => parts::substance(&mut fields),
        ResourceType::ClinicalUseDefinition => parts::clinical_use(&mut fields),
        ResourceType::ActivityDefinition => people::activity(&mut fields),
        ResourceType::Organization => people::organisation(&mut fields),
        ResourceType::DocumentReference => people::document(&mut fields),
        ResourceType::PractitionerRole => people::practitioner_role(&mut fields),
        ResourceType::Practitioner => people::practitioner(&mut fields),
    }
    let type_name = kind.as_str_in(FhirVersion::V4_4_0);
    fields.insert("resourceType".to_owned(), type_name.into());
    let contained = |inner: &Value, _: schema::Dropped<'_>| Some(render(inner.clone(), links));
    let fitted = schema::fit(FhirVersion::V4_4_0, type_name, fields, &contained, &mut |_, _| {});
    let mut rendered = Value::Object(fitted.unwrap_or_default());
    rename_references(&mut rendered);
    rendered
}

/// References to ClinicalUseDefinition are to ClinicalUseIssue in 4.4.0.
fn rename_references(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text)
                        if (name == "reference" || name == "type")
                            && text.contains("ClinicalUseDefinition") =>
                    {
                        *text = text.replace("ClinicalUseDefinition", "ClinicalUseIssue");
                    }
                    _ => rename_references(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(rename_references),
        _ => {}
    }
}

/// The concept of a CodeableReference where 4.4.0 has a plain one: a lone reference leaves its display.
fn concept_of(value: Value) -> Option<Value> {
    let Value::Object(mut fields) = value else { return None };
    if let Some(concept) = fields.swap_remove("concept") {
        return Some(concept);
    }
    let display = fields.get("reference")?.get("display")?.as_str()?;
    Some(serde_json::json!({"text": display}))
}

/// A CodeableReference as the choice of 4.4.0: `name` plus `CodeableConcept` or `Reference`.
fn put_choice(fields: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    let Some(Value::Object(mut value)) = value else { return };
    if let Some(concept) = value.swap_remove("concept") {
        fields.insert(format!("{name}CodeableConcept"), concept);
    } else if let Some(reference) = value.swap_remove("reference") {
        fields.insert(format!("{name}Reference"), reference);
    }
}

/// A characteristic as the concept of 4.4.0: the value when it is a concept, the type when the value says nothing more.
fn characteristic(value: Value) -> Option<Value> {
    let Value::Object(mut fields) = value else { return None };
    if let Some(concept) = fields.swap_remove("valueCodeableConcept") {
        return Some(concept);
    }
    if fields.get("valueBoolean") == Some(&Value::Bool(false)) {
        return None;
    }
    fields.swap_remove("type")
}
