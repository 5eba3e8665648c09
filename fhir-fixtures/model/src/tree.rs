//! Small operations on JSON trees that rendering and conversion are written in. Order is restored afterwards by
//! `schema::fit`, so that nothing here needs to keep it.

use std::borrow::Cow;

use crate::{
    json::{Fields, Json},
    schema::DATA_ABSENT,
};

/// Takes a property out.
pub(crate) fn take<'t>(fields: &mut Fields<'t>, name: &str) -> Option<Json<'t>> {
    fields.remove(name)
}

/// Takes an array property out; a single value counts as an array of one.
pub(crate) fn take_items<'t>(fields: &mut Fields<'t>, name: &str) -> Vec<Json<'t>> {
    match take(fields, name) {
        Some(Json::Array(items)) => items,
        Some(Json::Null) | None => Vec::new(),
        Some(single) => vec![single],
    }
}

/// Puts a value in, if there is one.
pub(crate) fn put<'t>(fields: &mut Fields<'t>, name: impl Into<Cow<'t, str>>, value: Option<Json<'t>>) {
    if let Some(value) = value {
        fields.insert(name, value);
    }
}

/// Puts an array in, unless it is empty.
pub(crate) fn put_items<'t>(fields: &mut Fields<'t>, name: &'static str, items: Vec<Json<'t>>) {
    if !items.is_empty() {
        fields.insert(name, Json::Array(items));
    }
}

/// Renames a property and the companion of a primitive.
pub(crate) fn rename(fields: &mut Fields<'_>, from: &str, to: &str) {
    fields.rename(from, to.to_owned());
    fields.rename(&format!("_{from}"), format!("_{to}"));
}

/// Transforms the object in a property, or every object of an array in it.
pub(crate) fn each<'t>(fields: &mut Fields<'t>, name: &str, transform: &mut dyn FnMut(&mut Fields<'t>)) {
    match fields.get_mut(name) {
        Some(Json::Object(object)) => transform(object),
        Some(Json::Array(items)) => items.iter_mut().filter_map(Json::as_object_mut).for_each(transform),
        _ => {}
    }
}

/// Replaces the value in a property, or every value of an array in it; those that become nothing go.
pub(crate) fn map_each<'t>(
    fields: &mut Fields<'t>,
    name: &'static str,
    map: &dyn Fn(Json<'t>) -> Option<Json<'t>>,
) {
    match take(fields, name) {
        Some(Json::Array(items)) => put_items(fields, name, items.into_iter().filter_map(map).collect()),
        Some(value) => put(fields, name, map(value)),
        None => {}
    }
}

/// The text of a concept, or the display or code of its first coding.
pub(crate) fn wording<'j>(concept: &'j Json<'_>) -> Option<&'j str> {
    let coding = || concept.get("coding")?.as_array()?.first();
    concept
        .get("text")
        .and_then(Json::as_str)
        .or_else(|| coding()?.get("display")?.as_str())
        .or_else(|| coding()?.get("code")?.as_str())
}

/// What stands for a value that is not there, for this reason (FHIR "data-absent-reason").
pub(crate) fn absent(reason: &'static str) -> Json<'static> {
    let extension = Json::object([("url", Json::text(DATA_ABSENT)), ("valueCode", Json::text(reason))]);
    Json::object([("extension", Json::Array(vec![extension]))])
}
