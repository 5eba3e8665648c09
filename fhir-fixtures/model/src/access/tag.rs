//! The tag of a resource of which something is missing.

use serde_json::Value;

use crate::json::{Fields, Json};

const SYSTEM: &str = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue";
const CODE: &str = "SUBSETTED";

/// Tags a resource as incomplete (FHIR "Resource", `Meta.tag` SUBSETTED).
pub(super) fn tag_subsetted(resource: &mut Value) {
    let Some(object) = resource.as_object_mut() else { return };
    let tagged = Value::from(tagged(object.get("meta").map(Json::from)));
    if let Some(meta) = object.get_mut("meta") {
        *meta = tagged;
    } else {
        let place = after_id(object.keys().map(String::as_str)).min(object.len());
        object.shift_insert(place, "meta".to_owned(), tagged);
    }
}

/// The same of a tree that borrows.
pub(super) fn tag_borrowed(resource: &mut Json<'_>) {
    let Some(object) = resource.as_object_mut() else { return };
    if let Some(meta) = object.get_mut("meta") {
        *meta = tagged(Some(meta.take()));
    } else {
        object.insert_at(after_id(object.keys()), "meta", tagged(None));
    }
}

/// Where `meta` belongs in a resource without one.
fn after_id<'n>(mut names: impl Iterator<Item = &'n str>) -> usize {
    names.position(|name| name == "id").map_or(1, |at| at + 1)
}

/// `meta` with the tag, once.
fn tagged(meta: Option<Json<'_>>) -> Json<'_> {
    let mut fields = match meta {
        Some(Json::Object(fields)) => fields,
        _ => Fields::new(),
    };
    let is_ours = |tag: &Json<'_>| {
        tag.get("system").and_then(Json::as_str) == Some(SYSTEM)
            && tag.get("code").and_then(Json::as_str) == Some(CODE)
    };
    let tag = || Json::object([("system", Json::text(SYSTEM)), ("code", Json::text(CODE))]);
    match fields.get_mut("tag") {
        Some(Json::Array(tags)) if !tags.iter().any(is_ours) => tags.push(tag()),
        Some(_) => {}
        None => fields.insert("tag", Json::Array(vec![tag()])),
    }
    Json::Object(fields)
}
