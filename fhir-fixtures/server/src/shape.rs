//! Parameters that say how an answer looks: its order, its total, and how much of each resource it shows.

use std::collections::BTreeSet;

use bytes::Bytes;
use fhir_model::schema;
use fhir_store::search::{Counting, Sort, SortBy, SortKey};
use pms_terms::FhirVersion;
use serde_json::{Map, Value, json};

use crate::{
    outcome::Refusal,
    parameters::{Parameters, wrong},
};

/// What products can be sorted by: each of them an element that every column sees.
const SORT_NAMES: [(&str, SortBy); 4] = [
    ("_id", SortBy::Id),
    ("_lastUpdated", SortBy::LastUpdated),
    ("name", SortBy::Name),
    ("status", SortBy::Status),
];

/// Kept whatever is left out (FHIR search §elements): what a resource is, and what changes its meaning.
const ALWAYS: [&str; 5] = ["resourceType", "id", "meta", "implicitRules", "modifierExtension"];

/// How much of each resource is shown (FHIR search §summary, §elements), of what the caller may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// All of it.
    Whole,
    /// No resource at all: how many there are.
    Count,
    /// All but the narrative.
    Data,
    /// What the specification marks as summary.
    Summary,
    /// The narrative, and what must be there.
    Text(BTreeSet<String>),
    /// These top-level elements of what was searched for.
    Elements(BTreeSet<String>),
}

impl Parameters {
    /// `_sort`.
    pub(crate) fn sort(&self) -> Result<Sort, Refusal> {
        let mut keys: Vec<SortKey> = Vec::new();
        for name in self.one("_sort").into_iter().flat_map(|text| text.split(',')) {
            let (name, descending) = name.strip_prefix('-').map_or((name, false), |name| (name, true));
            let Some((_, by)) = SORT_NAMES.iter().find(|(known, _)| *known == name) else {
                let problem =
                    format!("cannot sort by {name:?}; there are _id, _lastUpdated, name and status");
                return Err(wrong("_sort", &problem));
            };
            if keys.iter().any(|key| key.by == *by) {
                return Err(wrong("_sort", &format!("names {name} twice")));
            }
            keys.push(SortKey { by: *by, descending });
        }
        Ok(Sort::new(&keys))
    }

    /// `_total`: whether matches are to be counted. An estimate is the count itself; without the parameter they are
    /// counted when they are few.
    pub(crate) fn counts(&self) -> Result<Counting, Refusal> {
        match self.one("_total") {
            None => Ok(Counting::WhenFew),
            Some("accurate" | "estimate") => Ok(Counting::Exact),
            Some("none") => Ok(Counting::Never),
            Some(_) => Err(wrong("_total", "must be none, estimate or accurate")),
        }
    }

    /// `_summary` or `_elements`, for resources of one type.
    pub(crate) fn shape(&self, version: FhirVersion, resource_type: &str) -> Result<Shape, Refusal> {
        let summary = self.one("_summary").filter(|summary| *summary != "false");
        if let Some(elements) = self.one("_elements") {
            if summary.is_some() {
                return Err(wrong("_elements", "cannot stand beside _summary: leave one of them out"));
            }
            return elements_of(elements, version, resource_type);
        }
        Ok(match summary {
            None => Shape::Whole,
            Some("count") => Shape::Count,
            Some("data") => Shape::Data,
            Some("true") => Shape::Summary,
            Some("text") if self.inclusions().next().is_some() => {
                // FHIR search, _summary.
                return Err(wrong("_summary", "text cannot stand beside _include and _revinclude"));
            }
            Some("text") => Shape::Text(kept(["text"], version, resource_type)),
            Some(_) => return Err(wrong("_summary", "must be true, text, data, count or false")),
        })
    }
}

fn elements_of(elements: &str, version: FhirVersion, resource_type: &str) -> Result<Shape, Refusal> {
    let known = schema::element_names(version, resource_type);
    let mut wanted = BTreeSet::new();
    for name in elements.split(',') {
        if !known.contains(&name) {
            let problem = format!("names {name:?}, which is no element of {resource_type} {version}");
            return Err(wrong("_elements", &problem));
        }
        wanted.insert(name);
    }
    Ok(Shape::Elements(kept(wanted, version, resource_type)))
}

/// These elements and those that must be there.
fn kept<'n>(
    names: impl IntoIterator<Item = &'n str>,
    version: FhirVersion,
    resource_type: &str,
) -> BTreeSet<String> {
    let mandatory = schema::mandatory_names(version, resource_type);
    names.into_iter().chain(mandatory).chain(ALWAYS).map(str::to_owned).collect()
}

impl Shape {
    /// A resource that was searched for, filtered for the caller already, as this shape shows it.
    pub(crate) fn apply(&self, version: FhirVersion, body: &Bytes) -> Bytes {
        match self {
            Self::Whole | Self::Count => body.clone(),
            Self::Data => reshaped(body, |resource| {
                resource.shift_remove("text");
            }),
            Self::Summary => reshaped(body, |resource| {
                let mut tree = Value::Object(std::mem::take(resource));
                schema::keep_summary(version, &mut tree);
                if let Value::Object(fields) = tree {
                    *resource = fields;
                }
            }),
            Self::Text(names) | Self::Elements(names) => reshaped(body, |resource| {
                // `_name` holds the extensions of the primitive `name`.
                resource.retain(|name, _| names.contains(name.strip_prefix('_').unwrap_or(name)));
            }),
        }
    }

    /// The same for what was included: `_elements` is about what was searched for only.
    pub(crate) fn apply_to_included(&self, version: FhirVersion, body: &Bytes) -> Bytes {
        match self {
            Self::Elements(_) => body.clone(),
            shape => shape.apply(version, body),
        }
    }
}

fn reshaped(body: &Bytes, change: impl FnOnce(&mut Map<String, Value>)) -> Bytes {
    // Written by ourselves, so it is a JSON object; were it none, nothing of it would be shown.
    let Ok(Value::Object(mut resource)) = serde_json::from_slice(body) else {
        return Bytes::from_static(b"null");
    };
    change(&mut resource);
    tag_as_subsetted(resource.entry("meta").or_insert_with(|| json!({})));
    Bytes::from(Value::Object(resource).to_string())
}

/// Marks a resource as incomplete (FHIR "Resource", `Meta.tag` SUBSETTED), once.
fn tag_as_subsetted(meta: &mut Value) {
    let Some(meta) = meta.as_object_mut() else { return };
    if let Some(tags) = meta.entry("tag").or_insert_with(|| json!([])).as_array_mut()
        && !tags.iter().any(|tag| tag["code"] == "SUBSETTED")
    {
        tags.push(json!({
            "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED",
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_be_there_stays_and_the_resource_is_tagged_once() {
        let body = Bytes::from_static(
            br#"{"resourceType":"MedicinalProductDefinition","id":"1","meta":{"versionId":"3"},"text":{"status":"empty"},
                "modifierExtension":[{"url":"x"}],"version":"7","_version":{"id":"v"},"name":[{"productName":"A"}]}"#,
        );
        let version = FhirVersion::V5_0_0;
        let shape = Shape::Elements(kept(["version"], version, "MedicinalProductDefinition"));
        let once = shape.apply(version, &body);
        let tree: Value = serde_json::from_slice(&once).unwrap();
        let names: Vec<&String> = tree.as_object().unwrap().keys().collect();
        assert_eq!(names, ["resourceType", "id", "meta", "modifierExtension", "version", "_version", "name"]);
        assert_eq!(tree["meta"]["tag"][0]["code"], "SUBSETTED");
        assert_eq!(shape.apply(version, &once), once);
        assert_eq!(shape.apply_to_included(version, &body), body);
        assert_eq!(Shape::Whole.apply(version, &body), body);
    }
}
