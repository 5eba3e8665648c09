//! Where the links of a sent resource lead, and whether they may.

use std::collections::BTreeSet;

use pms_terms::FhirVersion;
use serde_json::{Map, Value};

use crate::{
    ResourceKey, ResourceType,
    access::{Targets, names_a_product},
    links,
    schema::{link_targets, type_of},
};

use super::{Rejection, Rule};

const PRODUCT: &str = ResourceType::MedicinalProductDefinition.as_str();

/// Deeper links are not followed; the schema refuses such resources.
const MAX_DEPTH: usize = 64;

/// Every text under `reference`, with its place inside the resource (`.operation[0].type.reference.reference`).
pub(super) fn texts(resource: &Value) -> Vec<(String, &str)> {
    found_in(resource)
        .into_iter()
        .filter_map(|(place, link)| match link {
            Link::Literal(text) => Some((place, text)),
            Link::Logical(_) => None,
        })
        .collect()
}

/// A link, by what says where it leads.
#[derive(Clone, Copy)]
enum Link<'v> {
    /// The text under `reference`.
    Literal(&'v str),
    /// An object that could be a Reference without such a text, with an identifier.
    Logical(&'v Map<String, Value>),
}

impl Link<'_> {
    /// What tells it from others in the same element.
    fn content(self) -> String {
        match self {
            Self::Literal(text) => text.to_owned(),
            Self::Logical(fields) => format!("{:?} {:?}", fields.get("type"), fields.get("identifier")),
        }
    }
}

fn found_in(resource: &Value) -> Vec<(String, Link<'_>)> {
    let mut found = Vec::new();
    collect(resource, "", 0, &mut found);
    found
}

fn collect<'v>(value: &'v Value, path: &str, depth: usize, found: &mut Vec<(String, Link<'v>)>) {
    if depth > MAX_DEPTH {
        return;
    }
    match value {
        Value::Object(fields) => {
            match (fields.get("reference"), fields.get("identifier")) {
                (Some(Value::String(text)), _) => {
                    found.push((format!("{path}.reference"), Link::Literal(text)));
                }
                (None, Some(Value::Object(_))) => found.push((path.to_owned(), Link::Logical(fields))),
                _ => {}
            }
            for (name, value) in fields.iter().filter(|(_, value)| value.is_object() || value.is_array()) {
                collect(value, &format!("{path}.{name}"), depth + 1, found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, &format!("{path}[{index}]"), depth + 1, found);
            }
        }
        _ => {}
    }
}

/// A place without its indices: `.operation[0].type` is `.operation.type`.
pub(super) fn element(place: &str) -> String {
    let mut inside = false;
    place
        .chars()
        .filter(|character| {
            inside |= *character == '[';
            let keep = !inside;
            inside &= *character != ']';
            keep
        })
        .collect()
}

/// What links may lead to.
pub(super) struct Reach<'a> {
    /// The resources of the product that the caller sees.
    pub(super) members: BTreeSet<ResourceKey>,
    /// Other products that the caller may learn of.
    pub(super) targets: &'a Targets,
    /// Other resources outside that exist and may be drawn in.
    pub(super) known: &'a BTreeSet<ResourceKey>,
    /// The temporary names of the new resources in the Bundle.
    pub(super) temporary: BTreeSet<&'a str>,
}

impl Reach<'_> {
    /// The links that stand in `sent` and not in `seen`, and may not. `seen` is what the caller was shown, `said` what
    /// of `sent` is about elements that it can see: the rest is not taken over anyway.
    pub(super) fn refusals(
        &self,
        place: &str,
        sent: &Value,
        said: &Value,
        seen: Option<&Value>,
    ) -> Vec<Rejection> {
        let named = |(place, link): &(String, Link<'_>)| (element(place), link.content());
        let links = |value| -> BTreeSet<(String, String)> { found_in(value).iter().map(named).collect() };
        let (before, said) = (seen.map(links).unwrap_or_default(), links(said));
        let kind = sent.get("resourceType").and_then(Value::as_str).unwrap_or_default();
        found_in(sent)
            .into_iter()
            .filter(|link| {
                let link = named(link);
                said.contains(&link) && !before.contains(&link)
            })
            .filter_map(|(path, link)| {
                let element = format!("{kind}{}", element(&path));
                let why = match link {
                    Link::Literal(text) => self.refusal(sent, &element, text),
                    Link::Logical(fields) => logical_refusal(&element, fields),
                };
                why.map(|why| (path, why))
            })
            .map(|(path, why)| Rejection::new(Rule::References, format!("{place}{path}"), why))
            .collect()
    }

    /// What stands against a new link by its text, in this element.
    fn refusal(&self, sent: &Value, element: &str, text: &str) -> Option<String> {
        if text.starts_with("urn:") {
            let unknown = "no new resource of this Bundle has this temporary name as its fullUrl";
            return (!self.temporary.contains(text)).then(|| unknown.to_owned());
        }
        if let Some(id) = text.strip_prefix('#') {
            let contained = sent.get("contained").and_then(Value::as_array).into_iter().flatten();
            let found = contained.filter_map(|it| it.get("id")?.as_str()).any(|own| own == id);
            return (!found).then(|| "nothing with this id is contained in the resource".to_owned());
        }
        // Relative by now, if it was one of this server, and in its one spelling: not what only ends like a link.
        let unversioned = text.split_once("/_history/").map_or(text, |(before, _)| before);
        let Some(key) = links::parse_reference(text).filter(|key| key.to_string() == unversioned) else {
            let rule = "a new link is the type and the id of a resource of this server, Type/id, also below the address \
                        that the product's fullUrl begins with";
            return Some(rule.to_owned());
        };
        let place = element.strip_suffix(".reference").unwrap_or(element);
        let allowed = link_targets(FhirVersion::V5_0_0, place);
        if let Some(why) = wrong_type(allowed, key.resource_type.as_str()) {
            return Some(why);
        }
        // One text for what does not exist, what is another's and what the caller may not see.
        let reached = self.members.contains(&key)
            || match key.resource_type {
                ResourceType::MedicinalProductDefinition => self.targets.visible.contains(&key.id),
                _ => self.known.contains(&key),
            };
        (!reached).then(|| {
            "this leads to nothing that belongs to the product; packs, authorisations and activities of other \
             products cannot be drawn in"
                .to_owned()
        })
    }
}

/// What stands against a new link that only an identifier says the target of.
fn logical_refusal(element: &str, link: &Map<String, Value>) -> Option<String> {
    let version = FhirVersion::V5_0_0;
    let is_link =
        type_of(version, element).is_none_or(|kind| matches!(kind, "Reference" | "CodeableReference"));
    if !is_link {
        return None;
    }
    let allowed = link_targets(version, element);
    if names_a_product(link) || allowed.contains(&PRODUCT) {
        let rule = "a product is linked to by its type and id: by an identifier alone nobody can tell which one it is";
        return Some(rule.to_owned());
    }
    wrong_type(allowed, link.get("type").and_then(Value::as_str)?)
}

/// Says so when an element does not lead to resources of this type (FHIR "references", `Reference.type`).
fn wrong_type(allowed: &[&str], kind: &str) -> Option<String> {
    let name = kind.strip_prefix("http://hl7.org/fhir/StructureDefinition/").unwrap_or(kind);
    let fits = allowed.is_empty() || allowed.contains(&name);
    (!fits).then(|| {
        let name: String = name.chars().take(40).collect();
        format!("this element leads to {}, not to {name}", allowed.join(", "))
    })
}

/// Makes absolute links below `base` relative, as they are stored.
pub(super) fn relative(resource: &mut Value, base: &str) {
    if !base.is_empty() {
        links::map_references(resource, &mut |text| text.strip_prefix(base).map(str::to_owned));
    }
}
