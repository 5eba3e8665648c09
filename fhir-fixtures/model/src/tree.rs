//! Small operations on JSON trees that rendering and conversion are written in. Order is restored afterwards by
//! `schema::fit`, so that nothing here needs to keep it.

use serde_json::{Map, Value};

/// An object being transformed.
pub(crate) type Fields = Map<String, Value>;

/// Takes a property out.
pub(crate) fn take(fields: &mut Fields, name: &str) -> Option<Value> {
    fields.swap_remove(name)
}

/// Takes an array property out; a single value counts as an array of one.
pub(crate) fn take_items(fields: &mut Fields, name: &str) -> Vec<Value> {
    match take(fields, name) {
        Some(Value::Array(items)) => items,
        Some(Value::Null) | None => Vec::new(),
        Some(single) => vec![single],
    }
}

/// Puts a value in, if there is one.
pub(crate) fn put(fields: &mut Fields, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        fields.insert(name.to_owned(), value);
    }
}

/// Puts an array in, unless it is empty.
pub(crate) fn put_items(fields: &mut Fields, name: &str, items: Vec<Value>) {
    if !items.is_empty() {
        fields.insert(name.to_owned(), Value::Array(items));
    }
}

/// Renames a property and the companion of a primitive.
pub(crate) fn rename(fields: &mut Fields, from: &str, to: &str) {
    for prefix in ["", "_"] {
        if let Some(value) = take(fields, &format!("{prefix}{from}")) {
            fields.insert(format!("{prefix}{to}"), value);
        }
    }
}

/// Transforms the object in a property, or every object of an array in it.
pub(crate) fn each(fields: &mut Fields, name: &str, transform: &mut dyn FnMut(&mut Fields)) {
    match fields.get_mut(name) {
        Some(Value::Object(object)) => transform(object),
        Some(Value::Array(items)) => items.iter_mut().filter_map(Value::as_object_mut).for_each(transform),
        _ => {}
    }
}

/// Replaces the value in a property, or every value of an array in it; those that become nothing go.
pub(crate) fn map_each(fields: &mut Fields, name: &str, map: &dyn Fn(Value) -> Option<Value>) {
    match take(fields, name) {
        Some(Value::Array(items)) => put_items(fields, name, items.into_iter().filter_map(map).collect()),
        Some(value) => put(fields, name, map(value)),
        None => {}
    }
}

/// The text of a concept, or the display or code of its first coding.
pub(crate) fn wording(concept: &Value) -> Option<&str> {
    let coding = || concept.get("coding")?.as_array()?.first();
    concept
        .get("text")
        .and_then(Value::as_str)
        .or_else(|| coding()?.get("display")?.as_str())
        .or_else(|| coding()?.get("code")?.as_str())
}

/// A property of an object or nothing.
pub(crate) fn get<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, name| value.get(name))
}
