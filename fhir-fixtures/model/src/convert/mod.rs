//! Back from FHIR 4.4.0 to 5.0.0, for importing 4.4.0 resources: forward links become inverse links, what has no home
//! in 5.0.0 is left out and told, what cannot be kept at all is refused with the reason (`domain.md` §5.5).

mod forward;
mod parts;
mod people;
mod product;

use pms_terms::FhirVersion;
use serde_json::Value;

use crate::{
    ResourceType,
    json::{Fields, Json},
    links, resource_type, schema,
    tree::{put_items, take_items},
};

use forward::Forward;

/// Something about the conversion of a resource that whoever imports it should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The resource: `Type/id`, by its 5.0.0 type.
    pub resource: String,
    /// The element, in 5.0.0 where it has a place there, else in 4.4.0.
    pub path: String,
    /// What happened to it.
    pub message: String,
}

/// The outcome of a conversion.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Converted {
    /// The resources in 5.0.0, in the order given.
    pub resources: Vec<Value>,
    /// Elements that had no home in 5.0.0 and were left out.
    pub notes: Vec<Note>,
    /// Resources that have no sensible form in 5.0.0, with the reason.
    pub refused: Vec<Note>,
}

/// The version whose definitions a resource fits better; 5.0.0 when it fits both alike.
pub fn version_of(resource: &Value) -> FhirVersion {
    version_of_all(std::slice::from_ref(resource))
}

/// The version that all resources of one file together fit better.
pub fn version_of_all(resources: &[Value]) -> FhirVersion {
    let problems =
        |version| resources.iter().map(|resource| schema::check_in(version, resource).len()).sum::<usize>();
    let in_5_0_0 = problems(FhirVersion::V5_0_0);
    if in_5_0_0 > 0 && problems(FhirVersion::V4_4_0) < in_5_0_0 {
        FhirVersion::V4_4_0
    } else {
        FhirVersion::V5_0_0
    }
}

/// Converts the resources of one file together, so that links among them can be turned round.
pub fn from_4_4_0(resources: &[Value]) -> Converted {
    let mut converted = Converted::default();
    let mut forward = Forward::new(resources);
    for resource in resources {
        let name = name_of(resource);
        let mut notes = Vec::new();
        let mut told = |path: String, message: &'static str| {
            notes.push(Note { resource: name.clone(), path, message: message.to_owned() });
        };
        let links = forward.parents_of(resource);
        let outcome = convert(Json::from(resource), &links, &mut told).map(with_references);
        let refused =
            |path: &str, message: String| Note { resource: name.clone(), path: path.to_owned(), message };
        match outcome {
            None => converted
                .refused
                .push(refused("resourceType", "not a resource type of this server".to_owned())),
            Some(value) => match schema::check(&value).into_iter().next() {
                None => {
                    converted.notes.append(&mut notes);
                    converted.resources.push(value);
                }
                Some(problem) => {
                    let message = format!("has no form in FHIR 5.0.0: {}", problem.message);
                    converted.refused.push(refused(&problem.path, message));
                }
            },
        }
    }
    converted.notes.extend(forward.lost());
    converted
}

fn name_of(resource: &Value) -> String {
    let type_name = resource_type(resource).map_or("(unknown)", ResourceType::as_str);
    format!("{type_name}/{}", resource.get("id").and_then(Value::as_str).unwrap_or("(no id)"))
}

fn convert<'t>(resource: Json<'t>, parents: &[String], told: schema::Dropped<'_>) -> Option<Json<'t>> {
    let kind = type_of(&resource)?;
    let Json::Object(mut fields) = resource else { return None };
    match kind {
        ResourceType::MedicinalProductDefinition => product::medicinal_product(&mut fields),
        ResourceType::RegulatedAuthorization => product::authorisation(&mut fields, parents),
        ResourceType::PackagedProductDefinition => product::package(&mut fields, parents, told),
        ResourceType::AdministrableProductDefinition => parts::administrable(&mut fields, parents),
        ResourceType::ManufacturedItemDefinition => parts::item(&mut fields),
        ResourceType::Ingredient => parts::ingredient(&mut fields, parents, told),
        ResourceType::SubstanceDefinition => parts::substance(&mut fields, told),
        ResourceType::ClinicalUseDefinition => parts::clinical_use(&mut fields, told),
        ResourceType::ActivityDefinition => people::activity(&mut fields),
        ResourceType::Organization => people::organisation(&mut fields),
        ResourceType::DocumentReference => people::document(&mut fields),
        ResourceType::PractitionerRole => people::practitioner_role(&mut fields),
        ResourceType::Practitioner => people::practitioner(&mut fields),
    }
    fields.insert("resourceType", Json::text(kind.as_str()));
    let fitted = schema::fit(
        FhirVersion::V5_0_0,
        kind.as_str(),
        fields,
        &|inner, told| if type_of(&inner).is_some() { convert(inner, &[], told) } else { Some(inner) },
        told,
    )?;
    Some(Json::Object(fitted))
}

fn type_of(resource: &Json<'_>) -> Option<ResourceType> {
    resource.get("resourceType")?.as_str()?.parse().ok()
}

/// References to ClinicalUseIssue are to ClinicalUseDefinition in 5.0.0.
fn with_references(converted: Json<'_>) -> Value {
    let mut converted = Value::from(converted);
    links::map_references(&mut converted, &mut |text| {
        text.contains("ClinicalUseIssue/")
            .then(|| text.replace("ClinicalUseIssue/", "ClinicalUseDefinition/"))
    });
    converted
}

/// The choice `name` of CodeableConcept and Reference as a CodeableReference.
fn take_choice<'t>(fields: &mut Fields<'t>, name: &str) -> Option<Json<'t>> {
    let mut choice = Fields::new();
    if let Some(concept) = fields.remove(&format!("{name}CodeableConcept")) {
        choice.insert("concept", concept);
    }
    if let Some(reference) = fields.remove(&format!("{name}Reference")) {
        choice.insert("reference", reference);
    }
    (!choice.is_empty()).then_some(Json::Object(choice))
}

/// A concept as a CodeableReference.
fn of_concept(concept: Json<'_>) -> Option<Json<'_>> {
    concept.as_object().is_some().then(|| Json::object([("concept", concept)]))
}

/// Adds references that are not there yet.
fn add_references(fields: &mut Fields<'_>, name: &'static str, texts: &[String]) {
    let mut items = take_items(fields, name);
    for text in texts {
        let known = links::parse_reference(text);
        let there = items.iter().any(|item| {
            let present = item.get("reference").and_then(Json::as_str);
            present == Some(text) || (known.is_some() && present.and_then(links::parse_reference) == known)
        });
        if !there {
            items.push(Json::object([("reference", Json::text(text.clone()))]));
        }
    }
    put_items(fields, name, items);
}
