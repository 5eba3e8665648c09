//! Making a tree fit a version: elements in the order of the specification, nothing that the version does not know,
//! and a data-absent-reason where it requires what is not there.

use std::ops::Range;

use super::{Content, Element, ElementType, Listing, Node, listing::Place};
use crate::{
    json::{Fields, Json},
    tree::absent,
};
use pms_terms::FhirVersion;

/// The extension that stands for a missing required value (FHIR "data-absent-reason").
pub(crate) const DATA_ABSENT: &str = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";
/// Deeper trees are cut off.
const MAX_DEPTH: usize = 80;

/// What became of an element that did not fit: its path and why.
pub(crate) type Dropped<'d> = &'d mut dyn FnMut(String, &'static str);
/// How contained resources are treated.
pub(crate) type Contained<'d> = &'d dyn for<'t> Fn(Json<'t>, Dropped<'_>) -> Option<Json<'t>>;

/// Fits the elements of a resource or datatype object. What does not fit is left out and told to `dropped`.
pub(crate) fn fit<'t>(
    version: FhirVersion,
    type_name: &str,
    mut object: Fields<'t>,
    contained: Contained<'_>,
    dropped: Dropped<'_>,
) -> Option<Fields<'t>> {
    let listing = Listing::of(version);
    let node = listing.type_node(type_name)?;
    let mut fitter = Fitter { version, listing, contained, dropped, path: vec![type_name] };
    fitter.object(&mut object, node).then_some(object)
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

    /// Fits an object where it stands: most objects fit as they are. Whether anything is left of it.
    fn object(&mut self, object: &mut Fields<'_>, node: &'static Node) -> bool {
        if self.path.len() > MAX_DEPTH {
            self.drop("", "nested too deep");
            return false;
        }
        // In the order of the specification; the type of a resource has no place there, and comes first.
        let (places, unknown) = object.order_by(|name| match node.place(name) {
            None if !(node.is_resource && name == "resourceType") => None,
            place => Some(place),
        });
        let mut kept = Vec::with_capacity(places.len());
        let mut missing = Vec::new();
        // The element at hand, whether anything is left of it, and how many members are left before the one at hand.
        let (mut current, mut found, mut left) = (0, false, 0);
        let mut some = false;
        let values = object.iter_mut().map(|(_, value)| value);
        let mut members = places.iter().zip(values).peekable();
        while let Some((place, value)) = members.next() {
            let Some((place, (element, kind))) = place.and_then(|place| Some((place, node.at(place)?)))
            else {
                // The type of a resource.
                kept.push(true);
                left += 1;
                some = true;
                continue;
            };
            if place.element != current {
                missing
                    .extend(missing_of(node, current..place.element, found).map(|element| (left, element)));
                (current, found) = (place.element, false);
            }
            let (plain, companion) = if place.companion {
                (None, Some(value))
            } else {
                let beside = Some(Place { companion: true, ..place });
                (Some(value), members.next_if(|(next, _)| **next == beside).map(|(_, value)| value))
            };
            let stood = [plain.is_some(), companion.is_some()];
            let stays = if found {
                self.drop(&kind.property, "only one type of a choice is allowed");
                [false, false]
            } else {
                self.path.push(&kind.property);
                let stays = self.property(element, kind, plain, companion);
                self.path.pop();
                found = stays.contains(&true);
                stays
            };
            for (_, stays) in stood.iter().zip(stays).filter(|(stood, _)| **stood) {
                kept.push(stays);
                left += usize::from(stays);
                some |= stays;
            }
        }
        drop(members);
        let rest = missing_of(node, current..node.elements.len(), found);
        missing.extend(rest.map(|element| (left, element)));
        keep(object, &kept);
        for (at, element) in missing.into_iter().rev() {
            fill(object, at, element);
        }
        for name in &unknown {
            self.drop(name, "no such element in this version");
        }
        some
    }

    /// Fits the value of a property and what stands beside it; which of them stays.
    fn property<'v, 't>(
        &mut self,
        element: &'static Element,
        kind: &'static ElementType,
        mut plain: Option<&'v mut Json<'t>>,
        mut companion: Option<&'v mut Json<'t>>,
    ) -> [bool; 2] {
        if !element.repeats {
            let plain = plain.take_if(|value| self.make_single(value));
            let companion = companion.take_if(|value| self.make_single(value));
            return self.item(element, kind, plain, companion);
        }
        let items = |value: &mut Option<&mut Json<'t>>| value.as_deref_mut().map_or(0, make_list);
        let count = items(&mut plain).max(items(&mut companion));
        let mut kept = Vec::with_capacity(count);
        for at in 0..count {
            let mut of = [&mut plain, &mut companion].map(|list| match list {
                Some(Json::Array(items)) => items.get_mut(at),
                _ => None,
            });
            let [plain, companion] = of.each_mut().map(|item| item.as_deref_mut());
            let stays = self.item(element, kind, plain, companion);
            for (item, _) in of.iter_mut().zip(stays).filter(|(_, stays)| !stays) {
                if let Some(item) = item {
                    **item = Json::Null;
                }
            }
            kept.push(stays.contains(&true));
        }
        // Items that belong together stand at the same place of two lists.
        let aligned = plain.is_some() && companion.is_some();
        [plain, companion].map(|list| {
            let Some(Json::Array(items)) = list else { return false };
            if aligned {
                items.resize(count, Json::Null);
            }
            if kept.contains(&false) {
                let mut kept = kept.iter();
                items.retain(|_| kept.next().is_some_and(|kept| *kept));
            }
            items.iter().any(|item| !item.is_null())
        })
    }

    /// Of an array where a single value is due its first item; whether there is one.
    fn make_single(&mut self, value: &mut Json<'_>) -> bool {
        let Json::Array(items) = value else { return true };
        if items.len() > 1 {
            self.drop("", "only the first of several values has a place in this version");
        }
        let Some(first) = items.first_mut().map(Json::take) else { return false };
        *value = first;
        true
    }

    fn item(
        &mut self,
        element: &Element,
        kind: &'static ElementType,
        plain: Option<&mut Json<'_>>,
        companion: Option<&mut Json<'_>>,
    ) -> [bool; 2] {
        match &kind.content {
            Content::Resource => {
                let Some(resource) = plain else { return [false, false] };
                let inner = (self.contained)(resource.take(), self.dropped);
                let stays = inner.is_some();
                *resource = inner.unwrap_or_default();
                [stays, false]
            }
            Content::Node(_) => [plain.is_some_and(|value| self.complex(element, kind, value)), false],
            Content::Primitive(..) => {
                let plain = plain.is_some_and(|value| !value.is_null() && self.primitive(kind, value));
                let companion = companion.and_then(Json::as_object_mut).is_some_and(|object| {
                    let says_nothing = !plain && self.is_filler(element, object);
                    !says_nothing
                        && self.listing.type_node("Element").is_some_and(|node| self.object(object, node))
                });
                [plain, companion]
            }
        }
    }

    /// Fits the object of a datatype or element; whether it stays.
    fn complex(&mut self, element: &Element, kind: &'static ElementType, value: &mut Json<'_>) -> bool {
        let object = match value {
            Json::Object(object) => object,
            Json::Null => return false,
            _ => {
                self.drop("", "an object is due");
                return false;
            }
        };
        if self.is_filler(element, object) {
            return false;
        }
        let has_value = |object: &Fields<'_>| {
            object.keys().any(|name| name.starts_with("value") || name.starts_with("_value"))
        };
        let had_value = kind.name == "Extension" && has_value(object);
        let Some(node) = self.listing.node_of(&kind.content) else { return false };
        if !self.object(object, node) {
            return false;
        }
        if had_value && !has_value(object) {
            self.drop("", "an extension whose value has no place in this version");
            return false;
        }
        true
    }

    /// Fits the value of a primitive; whether it stays.
    fn primitive(&mut self, kind: &'static ElementType, value: &mut Json<'_>) -> bool {
        let Content::Primitive(primitive, members) = &kind.content else { return false };
        let zone_due = self.version == FhirVersion::V4_4_0;
        if primitive.check(value, zone_due).is_ok() {
            let outside = members
                .as_ref()
                .is_some_and(|members| value.as_str().is_none_or(|code| !members.contains(&code)));
            if outside {
                self.drop("", "no such code in this version");
            }
            return !outside;
        }
        // A time of day without its zone has no place in 4.4.0; the day has.
        let day = value.as_str().filter(|_| zone_due).and_then(|text| text.get(..10));
        let day = day.map(|day| Json::text(day.to_owned()));
        if let Some(day) =
            day.filter(|day| primitive.check(day, zone_due).is_ok() && primitive.check(value, false).is_ok())
        {
            self.drop("", "a time of day needs a time zone in this version; only the day is kept");
            *value = day;
            return true;
        }
        self.drop("", "a form that its type does not have in this version");
        false
    }

    /// Whether an object only says that 4.4.0 required something unknown, and 5.0.0 does not.
    fn is_filler(&self, element: &Element, object: &Fields<'_>) -> bool {
        self.version == FhirVersion::V5_0_0
            && !element.required
            && object.len() == 1
            && object.get("extension").and_then(Json::as_array).is_some_and(|extensions| {
                extensions.len() == 1 && extensions[0].get("url").and_then(Json::as_str) == Some(DATA_ABSENT)
            })
    }
}

/// Leaves the members of an object that stay.
fn keep(object: &mut Fields<'_>, kept: &[bool]) {
    if kept.contains(&false) {
        let mut kept = kept.iter();
        object.retain(|_, _| kept.next().is_some_and(|kept| *kept));
    }
}

/// Makes a list of what stands where one is due; how many items it has.
fn make_list(value: &mut Json<'_>) -> usize {
    match value {
        Json::Array(_) => {}
        Json::Null => *value = Json::Array(Vec::new()),
        _ => *value = Json::Array(vec![value.take()]),
    }
    value.as_array().map_or(0, <[_]>::len)
}

/// Those of `elements` that are required and missing: of the first something was `found` or not, the others are not
/// there.
fn missing_of(
    node: &'static Node,
    elements: Range<usize>,
    found: bool,
) -> impl Iterator<Item = &'static Element> {
    let first = elements.start;
    elements
        .filter(move |at| *at != first || !found)
        .filter_map(|at| node.elements.get(at))
        .filter(|element| element.required)
}

/// Puts in a required element that says that its value is unknown.
fn fill(object: &mut Fields<'_>, at: usize, element: &Element) {
    let Some(kind) = element.types.first() else { return };
    let unknown = absent("unknown");
    let value = if element.repeats { Json::Array(vec![unknown]) } else { unknown };
    let name = match kind.content {
        Content::Primitive(..) => format!("_{}", kind.property),
        _ => kind.property.clone(),
    };
    object.insert_at(at, name, value);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn fitted(version: FhirVersion, type_name: &str, value: &Value) -> (Value, Vec<String>) {
        let mut paths = Vec::new();
        let Json::Object(object) = Json::from(value) else { panic!("{value}") };
        let out = fit(version, type_name, object, &|inner, _| Some(inner), &mut |path, _| paths.push(path));
        (out.map_or(Value::Null, |out| Json::Object(out).into()), paths)
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
