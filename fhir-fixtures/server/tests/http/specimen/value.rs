//! Values for elements, made from the listing: every text in them a mark.

use fhir_model::schema;
use pms_terms::FhirVersion;
use serde_json::{Map, Value, json};

pub(super) const V5: FhirVersion = FhirVersion::V5_0_0;

/// How deep an element is filled.
pub(super) const DEPTH: usize = 3;

/// Elements that say something about the object, not by it.
pub(super) const ASIDE: [&str; 7] =
    ["id", "meta", "implicitRules", "text", "contained", "extension", "modifierExtension"];

/// Hands out texts that stand nowhere else.
#[derive(Default)]
pub(super) struct Marker {
    pub(super) id: String,
    /// Which of several elements of a product it is for.
    pub(super) part: usize,
    pub(super) marks: Vec<String>,
    /// What is not to be filled, and what is although the rest beside it is not.
    pub(super) closed: Vec<String>,
    pub(super) open: Vec<String>,
}

impl Marker {
    pub(super) fn mark(&mut self) -> String {
        let mark = format!("mark{}x{}x{}x", self.id, self.part, self.marks.len());
        self.marks.push(mark.clone());
        mark
    }

    /// A date of long ago.
    pub(super) fn date(&mut self) -> String {
        let date = format!("1{:03}-01-01", self.marks.len());
        self.marks.push(date.clone());
        date
    }

    /// A number that is no other's.
    pub(super) fn number(&mut self) -> Value {
        let number = 87_000_000 + self.marks.len();
        self.marks.push(number.to_string());
        number.into()
    }

    /// Whether another row takes this element away from somebody.
    pub(super) fn leaves_out(&self, parent: &str, path: &str) -> bool {
        let in_list = |list: &[String], wanted: &str| list.iter().any(|named| named == wanted);
        in_list(&self.closed, path)
            || in_list(&self.closed, &format!("{parent}.*")) && !in_list(&self.open, path)
    }
}

/// The elements below a path, choices without `[x]`.
pub(super) fn names(path: &str) -> Vec<String> {
    // A child of a type's node: the type's own elements.
    let at = match schema::type_of(V5, path) {
        Some(kind) if !matches!(kind, "BackboneElement" | "Element") => kind,
        _ => path,
    };
    schema::element_names(V5, at)
        .into_iter()
        .filter(|name| !ASIDE.contains(name))
        .map(str::to_owned)
        .collect()
}

/// The JSON property of an element: of a choice the first whose value can hold a text.
pub(super) fn property(path: &str) -> String {
    if schema::type_of(V5, path).is_some() {
        return path.to_owned();
    }
    let (parent, name) = path.rsplit_once('.').unwrap();
    let choices: Vec<&str> = schema::xml_order(V5, parent)
        .into_iter()
        .filter(|property| {
            property.strip_prefix(name).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
        })
        .collect();
    let wordy = ["String", "Markdown", "CodeableConcept", "CodeableReference", "Reference"];
    let choice =
        choices.iter().find(|choice| wordy.iter().any(|end| choice.ends_with(end))).or(choices.first());
    format!("{parent}.{}", choice.unwrap_or_else(|| panic!("no element {path}")))
}

pub(super) fn leaf(path: &str) -> String {
    let property = property(path);
    property.split_once('.').unwrap().1.replace('.', "/")
}

/// The last segment of a path.
pub(super) fn last(path: &str) -> String {
    path.rsplit('.').next().unwrap().to_owned()
}

/// Whether there is a value for an element at all.
pub(super) fn can_hold(path: &str) -> bool {
    let mut nothing = Marker::default();
    content(path, 0, &mut nothing).or_else(|| fallback(path)).is_some()
}

/// A value for an element, every text in it a mark; `None` for what cannot hold one.
pub(super) fn content(path: &str, depth: usize, marker: &mut Marker) -> Option<Value> {
    let path = property(path);
    let kind = schema::type_of(V5, &path)?;
    let before = marker.marks.len();
    let one = match kind {
        "string" | "markdown" => marker.mark().into(),
        "uri" | "url" | "canonical" => format!("https://marks.example/{}", marker.mark()).into(),
        "date" | "dateTime" => marker.date().into(),
        "instant" => format!("{}T00:00:00Z", marker.date()).into(),
        "decimal" | "integer" | "positiveInt" | "unsignedInt" => marker.number(),
        "Period" => json!({"start": marker.date()}),
        "Reference" | "Coding" => json!({"display": marker.mark()}),
        "CodeableConcept" | "Annotation" | "HumanName" | "Address" => json!({"text": marker.mark()}),
        "CodeableReference" => json!({"concept": {"text": marker.mark()}}),
        "Identifier" => json!({"value": marker.mark()}),
        "Quantity" | "SimpleQuantity" | "Duration" => json!({"value": 1, "unit": marker.mark()}),
        "Ratio" => json!({"numerator": {"value": 1, "unit": marker.mark()}, "denominator": {"value": 1}}),
        "ContactPoint" => json!({"system": "email", "value": marker.mark()}),
        "Attachment" => json!({"title": marker.mark()}),
        "BackboneElement"
        | "Element"
        | "MarketingStatus"
        | "ProductShelfLife"
        | "ContactDetail"
        | "ExtendedContactDetail"
        | "UsageContext"
            if depth < DEPTH =>
        {
            let required = schema::mandatory_names(V5, &path);
            let mut object = Map::new();
            for name in names(&path) {
                let own = format!("{path}.{name}");
                let name = last(&property(&own));
                let is_required = required.contains(&name.as_str());
                if marker.leaves_out(&path, &own) && !is_required {
                    continue;
                }
                match content(&own, depth + 1, marker).or_else(|| fallback(&own).filter(|_| is_required)) {
                    Some(value) => {
                        object.insert(name, value);
                    }
                    None if is_required => {
                        marker.marks.truncate(before);
                        return None;
                    }
                    None => {}
                }
            }
            if marker.marks.len() == before {
                return None;
            }
            Value::Object(object)
        }
        _ => return None,
    };
    Some(if schema::repeats(V5, &path) == Some(true) { json!([one]) } else { one })
}

/// A value for an element that cannot hold a text.
pub(super) fn fallback(path: &str) -> Option<Value> {
    let path = property(path);
    let one = match schema::type_of(V5, &path).unwrap_or_default() {
        "boolean" => json!(true),
        "code" => match path.as_str() {
            "ClinicalUseDefinition.type" => json!("indication"),
            "DocumentReference.status" => json!("current"),
            "DocumentReference.docStatus" => json!("final"),
            "Ingredient.manufacturer.role" => json!("actual"),
            "Organization.language" => json!("en"),
            "Practitioner.gender" => json!("other"),
            "ActivityDefinition.kind" => json!("Task"),
            "ActivityDefinition.intent" => json!("plan"),
            "ActivityDefinition.priority" => json!("routine"),
            _ => json!("active"),
        },
        _ => return None,
    };
    Some(if schema::repeats(V5, &path) == Some(true) { json!([one]) } else { one })
}

/// Puts a value at a path, with the objects around it and what they require.
pub(super) fn fill(resource: &mut Value, path: &str, value: Value, marker: &Marker) {
    let property = property(path);
    let mut segments: Vec<&str> = property.split('.').collect();
    let last = segments.pop().unwrap();
    let mut here = resource;
    let mut walked = segments[0].to_owned();
    for name in &segments[1..] {
        walked = format!("{walked}.{name}");
        let repeats = schema::repeats(V5, &walked) == Some(true);
        let slot = &mut here[*name];
        if slot.is_null() {
            let mut object = Map::new();
            for required in schema::mandatory_names(V5, &walked) {
                let own = format!("{walked}.{required}");
                let mut aside = Marker { id: format!("{}aside", marker.id), ..Marker::default() };
                if let Some(value) = content(&own, DEPTH - 1, &mut aside).or_else(|| fallback(&own)) {
                    object.entry(required).or_insert(value);
                }
            }
            *slot = if repeats { json!([object]) } else { Value::Object(object) };
        }
        here = if repeats { &mut slot[0] } else { slot };
    }
    let value = if schema::repeats(V5, &property) == Some(true) && !value.is_array() {
        json!([value])
    } else {
        value
    };
    let mut wrapped = json!({});
    wrapped[last] = value;
    merge(here, wrapped);
}

/// Adds to an object: items to arrays, members to objects, else in place.
pub(super) fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (name, value) in more {
                match into.get_mut(&name) {
                    Some(known) => merge(known, value),
                    None => {
                        into.insert(name, value);
                    }
                }
            }
        }
        (Value::Array(into), Value::Array(more)) => into.extend(more),
        (into, more) => *into = more,
    }
}
