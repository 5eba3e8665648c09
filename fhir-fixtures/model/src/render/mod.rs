//! From FHIR 5.0.0 to 4.4.0: renames, moved elements, forward links built from inverse ones (`domain.md` §5.3).
//!
//! First each type's own rules, then `schema::fit` leaves out what 4.4.0 does not know and says "unknown" where it
//! requires what a 5.0.0 product lacks. Nothing is invented.

mod links;
mod parts;
mod people;
mod product;

use std::borrow::Cow;

use pms_terms::FhirVersion;
use serde_json::Value;

use crate::{
    Product, ResourceType,
    json::{Fields, Json},
    schema,
};

pub use links::Links;
pub(crate) use product::PACK_SIZE;

/// Renders one resource in 4.4.0. `product` is what the reader sees of the product it belongs to: forward links are
/// made from its visible inverse links only. Resources of other types come back unchanged.
pub fn to_4_4_0(resource: &Value, product: &Product) -> Value {
    let resources: Vec<&Value> = product.resources().collect();
    render(Json::from(resource), &Links::among(&resources)).into()
}

/// Renders all resources of a filtered product, in their order.
pub fn each_to_4_4_0<'v>(resources: &[&'v Value]) -> impl Iterator<Item = Json<'v>> {
    let links = Links::among(resources);
    resources.iter().map(move |resource| render(Json::from(*resource), &links))
}

/// The same as a product of its own.
pub fn product_to_4_4_0(product: &Product) -> Product {
    let resources: Vec<&Value> = product.resources().collect();
    let mut rendered = each_to_4_4_0(&resources).map(Value::from);
    Product::new(rendered.next().unwrap_or_default(), rendered.collect())
}

/// Renders a filtered product's root from the visible inverse links alone, those of [`Links::of_root`] at least.
pub fn root_to_4_4_0<'t>(root: Json<'t>, links: &Links) -> Json<'t> {
    render(root, links)
}

fn render<'t>(resource: Json<'t>, links: &Links) -> Json<'t> {
    let (kind, mut fields): (_, Fields<'t>) = match (resource_type(&resource), resource) {
        (Some(kind), Json::Object(fields)) => (kind, fields),
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
    fields.insert("resourceType", Json::text(type_name));
    let fitted = schema::fit(
        FhirVersion::V4_4_0,
        type_name,
        fields,
        &|inner, _| Some(render(inner, links)),
        &mut |_, _| {},
    );
    let mut rendered = Json::Object(fitted.unwrap_or_default());
    rename_references(&mut rendered);
    rendered
}

fn resource_type(resource: &Json<'_>) -> Option<ResourceType> {
    resource.get("resourceType")?.as_str()?.parse().ok()
}

/// References to ClinicalUseDefinition are to ClinicalUseIssue in 4.4.0.
fn rename_references(json: &mut Json<'_>) {
    match json {
        Json::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                match value {
                    Json::String(text)
                        if (name == "reference" || name == "type")
                            && text.contains("ClinicalUseDefinition") =>
                    {
                        *text = Cow::Owned(text.replace("ClinicalUseDefinition", "ClinicalUseIssue"));
                    }
                    _ => rename_references(value),
                }
            }
        }
        Json::Array(items) => items.iter_mut().for_each(rename_references),
        _ => {}
    }
}

/// The concept of a CodeableReference where 4.4.0 has a plain one: a lone reference leaves its display.
fn concept_of(value: Json<'_>) -> Option<Json<'_>> {
    let Json::Object(mut fields) = value else { return None };
    if let Some(concept) = fields.remove("concept") {
        return Some(concept);
    }
    let display = fields.get("reference")?.get("display").filter(|display| display.as_str().is_some())?;
    Some(Json::object([("text", display.clone())]))
}

/// A CodeableReference as the choice of 4.4.0: `name` plus `CodeableConcept` or `Reference`.
fn put_choice<'t>(fields: &mut Fields<'t>, name: &str, value: Option<Json<'t>>) {
    let Some(Json::Object(mut value)) = value else { return };
    if let Some(concept) = value.remove("concept") {
        fields.insert(format!("{name}CodeableConcept"), concept);
    } else if let Some(reference) = value.remove("reference") {
        fields.insert(format!("{name}Reference"), reference);
    }
}

/// A characteristic as the concept of 4.4.0: the value when it is a concept, the type when the value says nothing more.
fn characteristic(value: Json<'_>) -> Option<Json<'_>> {
    let Json::Object(mut fields) = value else { return None };
    if let Some(concept) = fields.remove("valueCodeableConcept") {
        return Some(concept);
    }
    if fields.get("valueBoolean") == Some(&Json::Bool(false)) {
        return None;
    }
    fields.remove("type")
}
