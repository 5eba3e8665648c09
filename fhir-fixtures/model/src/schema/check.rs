//! Checking one resource against the listing.

use std::fmt;

use pms_terms::FhirVersion;
use serde_json::{Map, Value};

use super::{
    Content, Element, ElementType, Listing, Node, Primitive, Problem, ProblemKind, listing::Place,
    primitive::Fault,
};
use crate::{
    ResourceType,
    path::{Path, Property},
};

/// Problems reported for one resource; whoever has more has the wrong version or no FHIR at all.
const MAX_PROBLEMS: usize = 100;
/// Nesting allowed, contained resources included.
const MAX_DEPTH: usize = 64;

/// Checks one resource against FHIR 5.0.0. An empty list means that its structure is right.
///
/// Not checked: profiles, invariants, open code lists, whether references resolve. A Bundle is not a resource of
/// this server: check its entries one by one.
pub fn check(resource: &Value) -> Vec<Problem> {
    check_in(FhirVersion::V5_0_0, resource)
}

/// The same against either version.
pub fn check_in(version: FhirVersion, resource: &Value) -> Vec<Problem> {
    let mut checker = Checker { version, listing: Listing::of(version), problems: Vec::new() };
    checker.resource(resource, None, 0);
    checker.problems
}

struct Checker {
    version: FhirVersion,
    listing: &'static Listing,
    problems: Vec<Problem>,
}

impl Checker {
    fn report(&mut self, path: impl fmt::Display, kind: ProblemKind, message: impl Into<String>) {
        if !self.full() {
            self.problems.push(Problem { path: path.to_string(), message: message.into(), kind });
        }
    }

    fn full(&self) -> bool {
        self.problems.len() >= MAX_PROBLEMS
    }

    fn resource(&mut self, value: &Value, path: Option<&Path<'_>>, depth: usize) {
        match self.resource_node(value) {
            Ok((object, name, node)) => self.object(object, node, &Path::of_resource(path, name), depth),
            Err(message) => match path {
                Some(path) => self.report(path, ProblemKind::Structure, message),
                None => self.report("(resource)", ProblemKind::Structure, message),
            },
        }
    }

    /// The object of a resource, its type and what is known of that; or why it is none.
    fn resource_node<'v>(
        &self,
        value: &'v Value,
    ) -> Result<(&'v Map<String, Value>, &'v str, &'static Node), String> {
        let object =
            value.as_object().ok_or_else(|| format!("a resource is an object, not {}", kind_of(value)))?;
        let name = object
            .get("resourceType")
            .and_then(Value::as_str)
            .ok_or_else(|| "resourceType is missing or no string".to_owned())?;
        // Bundles and their like are no resources of a product, neither stored nor contained.
        let node = self.listing.resource_node(name).filter(|_| name.parse::<ResourceType>().is_ok());
        let node = node.ok_or_else(|| {
            format!("{name:?} is no resource type that this server knows in FHIR {}", self.version)
        })?;
        Ok((object, name, node))
    }

    fn object(&mut self, object: &Map<String, Value>, node: &'static Node, path: &Path<'_>, depth: usize) {
        if depth > MAX_DEPTH {
            let message = format!("nested deeper than {MAX_DEPTH} levels");
            return self.report(path, ProblemKind::Structure, message);
        }
        let mut content =
            object.keys().filter(|name| !(node.is_resource && *name == "resourceType")).peekable();
        if content.peek().is_none() {
            self.report(path, ProblemKind::Value, "an empty object; leave the element out instead");
        }
        let mut present = Vec::with_capacity(object.len());
        for name in content {
            if self.full() {
                return;
            }
            match node.place(name).filter(|place| !is_misplaced(node, *place)) {
                Some(place) => present.push(place),
                None => self.unknown(name, node, path),
            }
        }
        present.sort_unstable();
        let mut present = present.as_slice();
        for (at, element) in node.elements.iter().enumerate() {
            if self.full() {
                return;
            }
            let own = present.iter().take_while(|place| place.element == at).count();
            let (own, others) = present.split_at(own);
            present = others;
            self.element(object, element, own, path, depth);
        }
    }

    /// Reports a property that the node does not have.
    fn unknown(&mut self, name: &str, node: &Node, path: &Path<'_>) {
        let bare = name.strip_prefix('_').unwrap_or(name);
        let message = if node.property(bare).is_some() {
            format!("the form _{bare} is for primitives, and {bare} is none")
        } else {
            match node.elements.iter().find(|element| element.choice && bare.starts_with(element.name)) {
                Some(choice) => {
                    let allowed: Vec<&str> =
                        choice.types.iter().map(|kind| kind.property.as_str()).take(12).collect();
                    format!("no allowed type of {}[x]; one of {}", choice.name, allowed.join(", "))
                }
                None => {
                    format!("unknown element {bare:?} in FHIR {}{}", self.version, self.hint(path, bare))
                }
            }
        };
        self.report(path.step(name, None), ProblemKind::Structure, message);
    }

    /// Says so when the other version has a top-level element of this name.
    fn hint(&self, path: &Path<'_>, name: &str) -> String {
        let other = match self.version {
            FhirVersion::V4_4_0 => FhirVersion::V5_0_0,
            FhirVersion::V5_0_0 => FhirVersion::V4_4_0,
        };
        match Listing::of(other).type_node(&path.to_string()).and_then(|node| node.property(name)) {
            Some(_) => format!("; it is an element of {other}"),
            None => String::new(),
        }
    }

    /// Checks what an object has of an element: its properties, of each type the plain one before the companion.
    fn element(
        &mut self,
        object: &Map<String, Value>,
        element: &'static Element,
        present: &[Place],
        path: &Path<'_>,
        depth: usize,
    ) {
        let Some(first) = present.first() else {
            if element.required {
                let choice = if element.choice { "[x]" } else { "" };
                let path = format_args!("{path}.{}{choice}", element.name);
                self.report(path, ProblemKind::Required, "required element is missing");
            }
            return;
        };
        let second = present.iter().find(|place| place.kind != first.kind);
        if let Some(second) = second.and_then(|place| element.types.get(place.kind)) {
            let message = format!("only one of {}[x] may be present", element.name);
            self.report(path.step(second.property.as_str(), None), ProblemKind::Structure, message);
        }
        if let Some(kind) = element.types.get(first.kind) {
            let has_companion = present.iter().any(|place| place.kind == first.kind && place.companion);
            self.property(object, element, kind, has_companion, path, depth);
        }
    }

    fn property(
        &mut self,
        object: &Map<String, Value>,
        element: &'static Element,
        kind: &'static ElementType,
        has_companion: bool,
        path: &Path<'_>,
        depth: usize,
    ) {
        let name = Property { name: &kind.property, companion: false };
        let beside = Property { companion: true, ..name };
        let plain = object.get(&kind.property);
        let companion = if has_companion { object.get(&format!("_{}", kind.property)) } else { None };
        if !element.repeats {
            if let Some(value) = plain {
                let here = path.step(name, None);
                if value.is_array() {
                    return self.report(here, ProblemKind::Structure, "an array where a single value is due");
                }
                self.value(value, kind, &here, depth);
            }
            if let Some(value) = companion {
                self.companion(value, &path.step(beside, None), depth);
            }
            return;
        }
        let mut count = 0;
        for (value, name) in [(plain, name), (companion, beside)] {
            match value {
                None => {}
                Some(Value::Array(items)) if items.is_empty() => {
                    let message = "an empty array; leave the element out instead";
                    self.report(path.step(name, None), ProblemKind::Value, message);
                }
                Some(Value::Array(items)) => count = count.max(items.len()),
                Some(_) => {
                    let message = "a single value where an array is due";
                    return self.report(path.step(name, None), ProblemKind::Structure, message);
                }
            }
        }
        for at in 0..count {
            if self.full() {
                return;
            }
            let [plain, companion] =
                [plain, companion].map(|value| value?.get(at).filter(|item| !item.is_null()));
            if plain.is_none() && companion.is_none() {
                let spot = path.step(name, Some(at));
                self.report(spot, ProblemKind::Value, "null stands for nothing here");
            }
            if let Some(value) = plain {
                self.value(value, kind, &path.step(name, Some(at)), depth);
            }
            if let Some(value) = companion {
                self.companion(value, &path.step(beside, Some(at)), depth);
            }
        }
    }

    fn value(&mut self, value: &Value, kind: &'static ElementType, path: &Path<'_>, depth: usize) {
        match &kind.content {
            Content::Resource => self.resource(value, Some(path), depth + 1),
            Content::Node(_) => {
                if let (Some(object), Some(node)) = (value.as_object(), self.listing.node_of(&kind.content)) {
                    return self.object(object, node, path, depth + 1);
                }
                let message = format!("{} is an object, not {}", kind.name, kind_of(value));
                self.report(path, ProblemKind::Structure, message);
            }
            Content::Primitive(primitive, members) => match primitive.check(&value.into(), true) {
                Err(Fault::JsonType(due)) => {
                    let message = format!("{} is a JSON {due}, not {}", kind.name, kind_of(value));
                    self.report(path, ProblemKind::Structure, message);
                }
                Err(Fault::Form(rule)) => self.report(path, ProblemKind::Value, rule),
                Ok(()) => {
                    let text = value.as_str().unwrap_or_default();
                    if members.as_ref().is_some_and(|members| !members.contains(&text)) {
                        let message = format!(
                            "{} is not one of {}",
                            clip(text),
                            members.iter().flatten().take(20).copied().collect::<Vec<_>>().join(", ")
                        );
                        self.report(path, ProblemKind::Code, message);
                    }
                }
            },
        }
    }

    /// The object beside a primitive: its id and extensions.
    fn companion(&mut self, value: &Value, path: &Path<'_>, depth: usize) {
        if let (Some(object), Some(node)) = (value.as_object(), self.listing.type_node("Element")) {
            return self.object(object, node, path, depth + 1);
        }
        let message = format!("an object with id or extension is due, not {}", kind_of(value));
        self.report(path, ProblemKind::Structure, message);
    }
}

/// Whether a companion stands beside what has none.
fn is_misplaced(node: &Node, place: Place) -> bool {
    place.companion
        && node.at(place).is_some_and(|(element, kind)| {
            element.attribute || matches!(kind.content, Content::Primitive(Primitive::Xhtml, _))
        })
}

const fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// At most the first 40 characters, in quotes.
fn clip(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((at, _)) => format!("{:?}…", &text[..at]),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problems(resource: &Value) -> Vec<(String, ProblemKind)> {
        check(resource).into_iter().map(|problem| (problem.path, problem.kind)).collect()
    }

    #[test]
    fn a_right_resource_has_no_problem() {
        let resource = json!({"resourceType":"Ingredient","id":"i1","status":"active",
            "role":{"coding":[{"system":"urn:x","code":"1"}]},
            "_implicitRules":{"extension":[{"url":"urn:x","valueString":"x"}]},
            "substance":{"code":{"concept":{"text":"amlodipine"}},
                "strength":[{"presentationRatio":{"numerator":{"value":5}}}]}});
        assert_eq!(check(&resource), vec![]);
    }

    #[test]
    fn nonsense_is_refused_with_its_path() {
        let resource = json!({"resourceType":"Ingredient","id":"not an id","status":"ready","foo":1,"role":[],
            "for":{"reference":"x"},"allergenicIndicator":"yes",
            "substance":{"code":{},"strength":[{"presentationRatio":{},"presentationQuantity":{"value":1},
                "presentationString":"x"},null]}});
        let found = problems(&resource);
        for expected in [
            ("Ingredient.id", ProblemKind::Value),
            ("Ingredient.status", ProblemKind::Code),
            ("Ingredient.foo", ProblemKind::Structure),
            ("Ingredient.role", ProblemKind::Structure),
            ("Ingredient.for", ProblemKind::Structure),
            ("Ingredient.allergenicIndicator", ProblemKind::Structure),
            ("Ingredient.substance.code", ProblemKind::Value),
            ("Ingredient.substance.strength[0].presentationString", ProblemKind::Structure),
            ("Ingredient.substance.strength[0].presentationQuantity", ProblemKind::Structure),
            ("Ingredient.substance.strength[0].presentationRatio", ProblemKind::Value),
            ("Ingredient.substance.strength[1]", ProblemKind::Value),
        ] {
            assert!(found.contains(&(expected.0.to_owned(), expected.1)), "{expected:?} not in {found:#?}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let found =
            problems(&json!({"resourceType":"MedicinalProductDefinition","name":[{"type":{"text":"x"}}]}));
        assert_eq!(
            found,
            vec![("MedicinalProductDefinition.name[0].productName".to_owned(), ProblemKind::Required)]
        );
    }

    #[test]
    fn elements_of_the_other_version_are_recognised() {
        let found = check(&json!({"resourceType":"MedicinalProductDefinition","name":[{"productName":"x"}],
            "productClassification":[{"text":"x"}]}));
        assert!(found[0].message.contains("element of 4.4.0"), "{found:?}");
        let issue = json!({"resourceType":"ClinicalUseIssue","type":"indication"});
        assert_eq!(check_in(FhirVersion::V4_4_0, &issue), vec![]);
        assert_eq!(check(&issue).len(), 1);
    }

    #[test]
    fn a_bottomless_tree_is_refused_and_does_not_overflow() {
        let mut packaging = json!({"quantity":1});
        for _ in 0..100 {
            packaging = json!({"packaging":[packaging]});
        }
        let found = check(&json!({"resourceType":"PackagedProductDefinition","packaging":packaging}));
        assert!(found.iter().any(|problem| problem.message.contains("nested deeper")));
    }

    #[test]
    fn things_that_are_no_resource_are_refused() {
        for wrong in [
            json!(null),
            json!([]),
            json!({}),
            json!({"resourceType":"Patient"}),
            json!({"resourceType":"Coding"}),
        ] {
            assert_eq!(check(&wrong).len(), 1, "{wrong}");
        }
    }
}
