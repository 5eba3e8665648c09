//! Making a tree fit a version: elements in the order of the specification, nothing that the version does not know,
//! and a data-absent-reason where it requires what is not there.

use std::ops::Range;

use pms_terms::FhirVersion;
use serde_json::{Map, Value, json};

use super::{Content, Element, ElementType, Listing, Node, listing::Place};

/// The extension that stands for a missing required value (FHIR "data-absent-reason").
pub(crate) const DATA_ABSENT: &str = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";
/// Deeper trees are cut off.
const MAX_DEPTH: usize = 80;

/// What became of an element that did not fit: its path and why.
pub(crate) type Dropped<'d> = &'d mut dyn FnMut(String, &'static str);
/// How contained resources are treated.
pub(crate) type Contained<'d> = &'d dyn Fn(&Value, Dropped<'_>) -> Option<Value>;

/// Fits the elements of a resource or datatype object. What does not fit is left out and told to `dropped`.
pub(crate) fn fit(
    version: FhirVersion,
    type_name: &str,
    object: Map<String, Value>,
    contained: Contained<'_>,
    dropped: Dropped<'_>,
) -> Option<Map<String, Value>> {
    let listing = Listing::of(version);
    let node = listing.type_node(type_name)?;
    let mut fitter = Fitter { version, listing, contained, dropped, path: vec![type_name] };
    fitter.object(object, node)
}

struct Fitter<'d> {
    version: FhirVersion,
    listing: &'static Listing,
    contained: Contained<'d>,
    dropped: Dropped<'d>,
    path: Vec<&'d str>,
}

impl Fitter<'_> {
    fn drop(&mut self, name: &str, reason: &'static str) {
        let path =
            if name.is_empty() { self.path.join(".") } else { format!("{}.{name}", self.path.join(".")) };
        (self.dropped)(path, reason);
    }

    fn object(&mut self, object: Map<String, Value>, node: &'static Node) -> Option<Map<String, Value>> {
        if self.path.len() > MAX_DEPTH {
            self.drop("", "nested too deep");
            return None;
        }
        let mut out = Map::with_capacity(object.len());
        let (mut members, mut unknown) = (Vec::with_capacity(object.len()), Vec::new());
        for (name, value) in object {
            match node.place(&name) {
                Some(place) => members.push((place, name, value)),
                None if node.is_resource && name == "resourceType" => {
                    out.insert(name, value);
                }
                None => unknown.push(name),
            }
        }
        // Mostly they are in order.
        members.sort_by_key(|(place, ..)| *place);
        let mut members = members.into_iter().peekable();
        let mut some = !out.is_empty();
        // The element at hand, and whether anything is left of it.
        let (mut current, mut found) = (0, false);
        while let Some((place, name, value)) = members.next() {
            let Some((element, kind)) = node.at(place) else { continue };
            if place.element != current {
                fill(&mut out, node, current..place.element, found);
                (current, found) = (place.element, false);
            }
            let ((plain_name, plain), (companion_name, companion)) = if place.companion {
                ((None, None), (Some(name), Some(value)))
            } else {
                let companion = members.next_if(|(next, ..)| *next == Place { companion: true, ..place });
                ((Some(name), Some(value)), companion.map(|(_, name, value)| (name, value)).unzip())
            };
            if found {
                self.drop(&kind.property, "only one type of a choice is allowed");
                continue;
            }
            self.path.push(&kind.property);
            let (plain, companion) = self.property(element, kind, plain, companion);
            self.path.pop();
            found = plain.is_some() || companion.is_some();
            some |= found;
            out.extend(plain_name.zip(plain));
            out.extend(companion_name.zip(companion));
        }
        fill(&mut out, node, current..node.elements.len(), found);
        for name in &unknown {
            self.drop(name, "no such element in this version");
        }
        some.then_some(out)
    }

    fn property(
        &mut self,
        element: &'static Element,
        kind: &'static ElementType,
        plain: Option<Value>,
        companion: Option<Value>,
    ) -> (Option<Value>, Option<Value>) {
        if !element.repeats {
            let plain = self.first(plain);
            let companion = self.first(companion);
            return self.item(element, kind, plain, companion);
        }
        let list = |value: Option<Value>| match value {
            Some(Value::Array(items)) => items,
            Some(Value::Null) | None => Vec::new(),
            Some(single) => vec![single],
        };
        let (plains, companions) = (list(plain), list(companion));
        let count = plains.len().max(companions.len());
        let (mut plains, mut companions) = (plains.into_iter(), companions.into_iter());
        let (mut kept_plains, mut kept_companions) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let (plain, companion) = self.item(element, kind, plains.next(), companions.next());
            if plain.is_some() || companion.is_some() {
                kept_plains.push(plain.unwrap_or_default());
                kept_companions.push(companion.unwrap_or_default());
            }
        }
        let list =
            |items: Vec<Value>| items.iter().any(|item| !item.is_null()).then_some(Value::Array(items));
        (list(kept_plains), list(kept_companions))
    }

    /// A single value where an array stands: its first item.
    fn first(&mut self, value: Option<Value>) -> Option<Value> {
        match value {
            Some(Value::Array(items)) => {
                if items.len() > 1 {
                    self.drop("", "only the first of several values has a place in this version");
                }
                items.into_iter().next()
            }
            other => other,
        }
    }

    fn item(
        &mut self,
        element: &Element,
        kind: &'static ElementType,
        plain: Option<Value>,
        companion: Option<Value>,
    ) -> (Option<Value>, Option<Value>) {
        match &kind.content {
            Content::Resource => {
                let kept = plain.and_then(|resource| (self.contained)(&resource, self.dropped));
                (kept, None)
            }
            Content::Node(_) => (self.complex(element, kind, plain), None),
            Content::Primitive(..) => {
                let plain =
                    plain.filter(|plain| !plain.is_null()).and_then(|plain| self.primitive(kind, plain));
                let companion = companion.and_then(|companion| match companion {
                    Value::Object(object) if !(self.is_filler(element, &object) && plain.is_none()) => {
                        let node = self.listing.type_node("Element")?;
                        self.object(object, node).map(Value::Object)
                    }
                    _ => None,
                });
                (plain, companion)
            }
        }
    }

    fn complex(
        &mut self,
        element: &Element,
        kind: &'static ElementType,
        plain: Option<Value>,
    ) -> Option<Value> {
        let object = match plain? {
            Value::Object(object) => object,
            Value::Null => return None,
            _ => {
                self.drop("", "an object is due");
                return None;
            }
        };
        if self.is_filler(element, &object) {
            return None;
        }
        let had_value = kind.name == "Extension"
            && object.keys().any(|name| name.starts_with("value") || name.starts_with("_value"));
        let node = self.listing.node_of(&kind.content)?;
        let fitted = self.object(object, node)?;
        if had_value && !fitted.keys().any(|name| name.starts_with("value") || name.starts_with("_value")) {
            self.drop("", "an extension whose value has no place in this version");
            return None;
        }
        Some(Value::Object(fitted))
    }

    fn primitive(&mut self, kind: &'static ElementType, value: Value) -> Option<Value> {
        let Content::Primitive(primitive, members) = &kind.content else { return None };
        let zone_due = self.version == FhirVersion::V4_4_0;
        if primitive.check(&value, zone_due).is_ok() {
            let outside = members
                .as_ref()
                .is_some_and(|members| value.as_str().is_none_or(|code| !members.contains(&code)));
            if outside {
                self.drop("", "no such code in this version");
                return None;
            }
            return Some(value);
        }
        // A time of day without its zone has no place in 4.4.0; the day has.
        let day = value.as_str().filter(|_| zone_due).and_then(|text| text.get(..10)).map(Value::from);
        if let Some(day) =
            day.filter(|day| primitive.check(day, zone_due).is_ok() && primitive.check(&value, false).is_ok())
        {
            self.drop("", "a time of day needs a time zone in this version; only the day is kept");
            return Some(day);
        }
        self.drop("", "a form that its type does not have in this version");
        None
    }

    /// Whether an object only says that 4.4.0 required something unknown, and 5.0.0 does not.
    fn is_filler(&self, element: &Element, object: &Map<String, Value>) -> bool {
        self.version == FhirVersion::V5_0_0
            && !element.required
            && object.len() == 1
            && object.get("extension").and_then(Value::as_array).is_some_and(|extensions| {
                extensions.len() == 1 && extensions[0].get("url").and_then(Value::as_str) == Some(DATA_ABSENT)
            })
    }
}

/// Adds those of `elements` that are required, each saying that its value is unknown; of the first something was `found`
/// or not, the others are missing.
fn fill(out: &mut Map<String, Value>, node: &Node, elements: Range<usize>, found: bool) {
    let first = elements.start;
    let missing = elements.filter(|at| *at != first || !found).filter_map(|at| node.elements.get(at));
    for element in missing.filter(|element| element.required) {
        let Some(kind) = element.types.first() else { continue };
        let unknown = json!({"extension": [{"url": DATA_ABSENT, "valueCode": "unknown"}]});
        let value = if element.repeats { json!([unknown]) } else { unknown };
        let name = match kind.content {
            Content::Primitive(..) => format!("_{}", kind.property),
            _ => kind.property.clone(),
        };
        out.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(version: FhirVersion, type_name: &str, value: &Value) -> (Value, Vec<String>) {
        let mut paths = Vec::new();
        let object = value.as_object().unwrap().clone();
        let out =
            fit(version, type_name, object, &|value, _| Some(value.clone()), &mut |path, _| paths.push(path));
        (out.map_or(Value::Null, Value::Object), paths)
    }

    #[test]
    fn what_is_required_and_missing_is_said_to_be_unknown() {
        let (out, _) = fitted(FhirVersion::V4_4_0, "MarketingStatus", &json!({"status":{"text":"marketed"}}));
        let keys: Vec<&String> = out.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["country", "status", "dateRange"]);
        assert_eq!(out["dateRange"]["extension"][0]["valueCode"], "unknown");
        let (back, _) = fitted(FhirVersion::V5_0_0, "MarketingStatus", &out);
        assert_eq!(back, json!({"status":{"text":"marketed"}}));
        let (primitive, _) = fitted(FhirVersion::V4_4_0, "Expression", &json!({"expression":"x"}));
        assert_eq!(primitive["_language"]["extension"][0]["valueCode"], "unknown");
    }

    #[test]
    fn what_the_version_does_not_know_is_left_out_and_told() {
        let (out, dropped) = fitted(
            FhirVersion::V4_4_0,
            "Extension",
            &json!({"url":"urn:x","extension":[{"url":"urn:y","valueRatioRange":{"denominator":{"value":1}}}],"foo":1}),
        );
        assert_eq!(out, json!({"url":"urn:x"}));
        assert_eq!(dropped, ["Extension.extension.valueRatioRange", "Extension.extension", "Extension.foo"]);
        let (out, dropped) =
            fitted(FhirVersion::V4_4_0, "Period", &json!({"end":"2024-01-01T10:00:00","start":"x"}));
        assert_eq!(out, json!({"end":"2024-01-01"}));
        assert_eq!(dropped.len(), 2);
    }
}
