//! A resource on its way in: taken out of its Bundle, converted to FHIR 5.0.0 if need be, and checked.

use std::collections::{BTreeMap, HashMap};

use fhir_model::{ResourceKey, ResourceType, convert, links, schema};
use pms_terms::FhirVersion;
use serde_json::Value;
use time::OffsetDateTime;

use super::{
    history,
    report::{Note, Refused},
};
use crate::resources::unstamp;

/// How many of a resource's problems are told.
const PROBLEMS_TOLD: usize = 5;

/// A resource that may be stored once its product is known.
#[derive(Clone, Debug)]
pub(super) struct Incoming {
    pub(super) key: ResourceKey,
    pub(super) body: Value,
    /// The body as it is stored.
    pub(super) text: String,
    /// What it refers to, other products aside.
    pub(super) refers_to: Vec<ResourceKey>,
    /// All its versions but the last, oldest first, and when the last was made; only when it came with its history.
    pub(super) past: Option<Past>,
}

/// What came before the version at hand.
#[derive(Clone, Debug)]
pub(super) struct Past {
    /// When each was stored, and its body: versions 1, 2, 3…
    pub(super) versions: Vec<(OffsetDateTime, String)>,
    /// When the version at hand was stored.
    pub(super) last_updated: OffsetDateTime,
}

impl Incoming {
    /// A resource without a history.
    pub(super) fn new(key: ResourceKey, body: Value) -> Self {
        let text = body.to_string();
        let refers_to = references(&body).collect();
        Self { key, body, text, refers_to, past: None }
    }

    /// The number of the version at hand, when it is said.
    pub(super) fn version_id(&self) -> Option<i64> {
        self.past
            .as_ref()
            .map(|past| i64::try_from(past.versions.len()).unwrap_or(i64::MAX).saturating_add(1))
    }
}

/// What a resource refers to, other products aside.
pub(super) fn references(body: &Value) -> impl Iterator<Item = ResourceKey> {
    links::targets(body)
        .into_iter()
        .filter(|key| key.resource_type != ResourceType::MedicinalProductDefinition)
}

/// What became of the resources of one document.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    pub(super) accepted: Vec<Incoming>,
    pub(super) refused: Vec<Refused>,
    pub(super) notes: Vec<Note>,
}

/// A resource and where it stands in its file.
pub(super) struct Placed {
    pub(super) place: String,
    pub(super) body: Value,
}

/// Sorts one JSON document: a Bundle or a single resource. `place` says where in the file it stands, if not alone.
pub(super) fn sort(file: &str, place: &str, document: Value) -> Sorted {
    let mut sorted = Sorted::default();
    if history::is_history(&document) {
        return history::sort(file, place, document);
    }
    let placed = if is_bundle(&document) {
        unbundle(file, place, document, &mut sorted)
    } else {
        vec![Placed { place: place.to_owned(), body: document }]
    };
    let known = placed.into_iter().filter_map(|one| known_type(file, one, &mut sorted)).collect();
    let (current, sound) = in_5_0_0(file, known, &mut sorted);
    let mut first: HashMap<ResourceKey, usize> = HashMap::new();
    for mut one in current {
        unstamp(&mut one.body);
        let Some(key) = fhir_model::resource_key(&one.body) else { continue };
        if let Some(reason) = problems(&one.body, sound) {
            refuse(&mut sorted, file, &key.to_string(), reason);
        } else if let Some(index) = first.get(&key) {
            let same = sorted.accepted.get(*index).is_some_and(|earlier| earlier.body == one.body);
            if !same {
                let reason = format!(
                    "occurs twice with different content in the same {}: the first is kept, remove one of them",
                    if place.is_empty() { "file" } else { "Bundle" }
                );
                refuse(&mut sorted, file, &key.to_string(), reason);
            }
        } else {
            first.insert(key.clone(), sorted.accepted.len());
            sorted.accepted.push(Incoming::new(key, one.body));
        }
    }
    sorted
}

/// Whether a document is a Bundle.
pub(super) fn is_bundle(document: &Value) -> bool {
    document.get("resourceType").and_then(Value::as_str) == Some("Bundle")
}

pub(super) fn refuse(sorted: &mut Sorted, file: &str, resource: &str, reason: impl Into<String>) {
    sorted.refused.push(Refused {
        file: file.to_owned(),
        resource: resource.to_owned(),
        reason: reason.into(),
    });
}

/// The resources of a Bundle, with ids for those that have only a `urn:uuid` and references made relative.
fn unbundle(file: &str, place: &str, mut bundle: Value, sorted: &mut Sorted) -> Vec<Placed> {
    let kind = bundle.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let usable =
        ["collection", "searchset", "transaction", "transaction-response", "batch", "batch-response"]
            .contains(&&*kind);
    if !usable {
        let reason = if kind.is_empty() {
            "the Bundle has no type: collection, searchset, transaction or batch is expected".to_owned()
        } else {
            format!(
                "a Bundle of type {kind:?} is not imported: give the current resources as collection, searchset, \
                 transaction or batch"
            )
        };
        refuse(sorted, file, place, reason);
        return Vec::new();
    }
    if has_next_page(&bundle) {
        let text = "one page of a longer search: what stands on the further pages is not in this file";
        sorted.notes.push(Note { file: file.to_owned(), resource: place.to_owned(), text: text.to_owned() });
    }
    let Some(Value::Array(entries)) = bundle.get_mut("entry").map(Value::take) else {
        refuse(sorted, file, place, "the Bundle has no entries");
        return Vec::new();
    };
    let mut placed = Vec::with_capacity(entries.len());
    let mut by_url: BTreeMap<String, String> = BTreeMap::new();
    for (n, mut entry) in entries.into_iter().enumerate() {
        let here = if place.is_empty() { format!("entry[{n}]") } else { format!("{place} entry[{n}]") };
        let method = entry.pointer("/request/method").and_then(Value::as_str).unwrap_or("PUT").to_owned();
        if !["PUT", "POST"].contains(&&*method) {
            let reason =
                format!("an entry with method {method} is not imported: an import only adds and updates");
            refuse(sorted, file, &here, reason);
            continue;
        }
        let Some(mut body) = entry.get_mut("resource").map(Value::take) else {
            refuse(sorted, file, &here, "the entry has no resource");
            continue;
        };
        if body.get("resourceType").and_then(Value::as_str) == Some("OperationOutcome") {
            continue;
        }
        let full_url = entry.get("fullUrl").and_then(Value::as_str).unwrap_or_default();
        let uuid = full_url.strip_prefix("urn:uuid:");
        if let (Value::Object(resource), Some(uuid)) = (&mut body, uuid)
            && !resource.contains_key("id")
        {
            let place = resource.len().min(1);
            resource.shift_insert(place, "id".to_owned(), Value::String(uuid.to_owned()));
        }
        if let (false, Some(key)) = (full_url.is_empty(), fhir_model::resource_key(&body)) {
            by_url.insert(full_url.to_owned(), key.to_string());
        }
        placed.push(Placed { place: here, body });
    }
    let here: std::collections::BTreeSet<ResourceKey> =
        placed.iter().filter_map(|one| fhir_model::resource_key(&one.body)).collect();
    for one in &mut placed {
        links::map_references(&mut one.body, &mut |text| {
            by_url.get(text).cloned().or_else(|| {
                let key = links::parse_reference(text)?;
                (text.contains("://") && here.contains(&key)).then(|| key.to_string())
            })
        });
    }
    placed
}

fn has_next_page(bundle: &Value) -> bool {
    bundle.get("link").and_then(Value::as_array).is_some_and(|links| {
        links.iter().any(|link| link.get("relation").and_then(Value::as_str) == Some("next"))
    })
}

/// Lets through what has a type of ours and a usable id.
pub(super) fn known_type(file: &str, one: Placed, sorted: &mut Sorted) -> Option<Placed> {
    let Value::Object(resource) = &one.body else {
        refuse(sorted, file, &one.place, "is not a resource: a JSON object with a resourceType is expected");
        return None;
    };
    let Some(name) = resource.get("resourceType").and_then(Value::as_str) else {
        refuse(sorted, file, &one.place, "has no resourceType");
        return None;
    };
    let id = resource.get("id").and_then(Value::as_str);
    let label =
        id.map_or_else(|| format!("{name} {}", one.place).trim().to_owned(), |id| format!("{name}/{id}"));
    if name.parse::<ResourceType>().is_err() {
        let ours: Vec<&str> = ResourceType::ALL.into_iter().map(ResourceType::as_str).collect();
        let reason = format!("{name} is no resource type of this server, which keeps {}", ours.join(", "));
        refuse(sorted, file, &label, reason);
        return None;
    }
    match id {
        Some(id @ ("." | "..")) => {
            let reason = format!("the id {id:?} means another folder in a URL: give it a name");
            refuse(sorted, file, &label, reason);
            None
        }
        Some(id) if schema::is_valid_id(id) => Some(one),
        Some(id) => {
            let reason = format!("the id {id:?} is not valid: 1 to 64 letters, digits, '-' and '.'");
            refuse(sorted, file, &label, reason);
            None
        }
        None => {
            refuse(sorted, file, &label, "has no id: give it one, or a fullUrl of the form urn:uuid:…");
            None
        }
    }
}

/// The resources of one document in FHIR 5.0.0. A document is of one version; what is 4.4.0 is converted as a whole, so
/// that links forward can become links back. And whether the schema found nothing wrong with any of them.
fn in_5_0_0(file: &str, placed: Vec<Placed>, sorted: &mut Sorted) -> (Vec<Placed>, bool) {
    if placed.iter().all(|one| schema::check(&one.body).is_empty()) {
        return (placed, true);
    }
    let (places, bodies): (Vec<String>, Vec<Value>) =
        placed.into_iter().map(|one| (one.place, one.body)).unzip();
    let version = convert::version_of_all(&bodies);
    let placed = places.into_iter().zip(bodies).map(|(place, body)| Placed { place, body });
    if version == FhirVersion::V5_0_0 {
        return (placed.collect(), false);
    }
    let mut sound = Vec::new();
    for one in placed {
        let problems = schema::check_in(FhirVersion::V4_4_0, &one.body);
        if problems.is_empty() {
            sound.push(one.body);
        } else {
            let reason = format!("is FHIR 4.4.0 like the rest of it, but {}", told(&problems));
            refuse(sorted, file, &label(&one), reason);
        }
    }
    let converted = convert::from_4_4_0(&sound);
    for note in converted.refused {
        let reason = format!("is FHIR 4.4.0 and cannot be kept as 5.0.0: {}: {}", note.path, note.message);
        refuse(sorted, file, &note.resource, reason);
    }
    for note in converted.notes {
        let text = format!("converted from FHIR 4.4.0 without {}: {}", note.path, note.message);
        sorted.notes.push(Note { file: file.to_owned(), resource: note.resource, text });
    }
    (converted.resources.into_iter().map(|body| Placed { place: String::new(), body }).collect(), false)
}

fn label(one: &Placed) -> String {
    let name = one.body.get("resourceType").and_then(Value::as_str).unwrap_or_default();
    one.body.get("id").and_then(Value::as_str).map_or_else(|| one.place.clone(), |id| format!("{name}/{id}"))
}

/// What is wrong with a resource of FHIR 5.0.0; `sound` when the schema was asked already.
pub(super) fn problems(resource: &Value, sound: bool) -> Option<String> {
    if !sound {
        let problems = schema::check(resource);
        if !problems.is_empty() {
            return Some(told(&problems));
        }
    }
    // PostgreSQL keeps no NUL in a text, and FHIR allows none in a string.
    has_nul(resource).then(|| "holds the character U+0000, which FHIR does not allow".to_owned())
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(object) => object.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

pub(super) fn told(problems: &[schema::Problem]) -> String {
    let mut text =
        problems.iter().take(PROBLEMS_TOLD).map(ToString::to_string).collect::<Vec<_>>().join("; ");
    if problems.len() > PROBLEMS_TOLD {
        text.push_str("; and ");
        text.push_str(&(problems.len() - PROBLEMS_TOLD).to_string());
        text.push_str(" more");
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn reasons(document: Value) -> Vec<String> {
        sort("f.json", "", document)
            .refused
            .into_iter()
            .map(|one| format!("{}: {}", one.resource, one.reason))
            .collect()
    }

    #[test]
    fn what_is_no_part_of_a_product_is_refused_by_name() {
        let reasons = reasons(json!({"resourceType": "Patient", "id": "p1"}));
        assert!(
            reasons[0].starts_with("Patient/p1: Patient is no resource type of this server"),
            "{reasons:?}"
        );
        assert!(reasons[0].contains("MedicinalProductDefinition"));
    }

    #[test]
    fn ids_come_from_the_urn_and_references_follow_them() {
        let sorted = sort(
            "f.json",
            "",
            json!({"resourceType": "Bundle", "type": "transaction", "entry": [
                {"fullUrl": "urn:uuid:0b0a2f6e-6f5c-4b0e-9f52-0d8d0d1d0001", "request": {"method": "POST", "url": "Organization"},
                 "resource": {"resourceType": "Organization", "name": "Examplon"}},
                {"fullUrl": "https://other.example/fhir/RegulatedAuthorization/ra1",
                 "resource": {"resourceType": "RegulatedAuthorization", "id": "ra1",
                    "subject": [{"reference": "https://other.example/fhir/MedicinalProductDefinition/1"}],
                    "holder": {"reference": "urn:uuid:0b0a2f6e-6f5c-4b0e-9f52-0d8d0d1d0001"}}},
            ]}),
        );
        let bodies: Vec<_> = sorted.accepted.iter().map(|one| one.body.clone()).collect();
        assert_eq!(bodies[0]["id"], "0b0a2f6e-6f5c-4b0e-9f52-0d8d0d1d0001");
        assert_eq!(bodies[1]["holder"]["reference"], "Organization/0b0a2f6e-6f5c-4b0e-9f52-0d8d0d1d0001");
        // Not in this Bundle, so left as it is.
        assert_eq!(
            bodies[1]["subject"][0]["reference"],
            "https://other.example/fhir/MedicinalProductDefinition/1"
        );
    }

    #[test]
    fn bundles_that_are_no_set_of_resources_are_refused() {
        assert!(
            reasons(json!({"resourceType": "Bundle", "type": "message", "entry": []}))[0]
                .contains("\"message\"")
        );
        assert!(reasons(json!({"resourceType": "Bundle", "entry": []}))[0].contains("no type"));
        assert!(reasons(json!({"resourceType": "Bundle", "type": "collection"}))[0].contains("no entries"));
        let delete = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
            {"request": {"method": "DELETE", "url": "Organization/o1"}}]});
        assert!(reasons(delete)[0].contains("DELETE"));
        assert!(reasons(json!([1]))[0].contains("is not a resource"));
    }

    #[test]
    fn ids_that_would_be_steps_in_a_url_are_refused() {
        for id in [".", ".."] {
            let reasons = reasons(json!({"resourceType": "Organization", "id": id, "name": "N"}));
            assert!(reasons[0].contains("folder"), "{reasons:?}");
        }
        assert_eq!(
            reasons(json!({"resourceType": "Organization", "id": "a.b", "name": "N"})),
            Vec::<String>::new()
        );
    }

    #[test]
    fn the_same_id_twice_is_refused_only_when_the_content_differs() {
        let one = json!({"resourceType": "Organization", "id": "o1", "name": "A"});
        let other = json!({"resourceType": "Organization", "id": "o1", "name": "B"});
        let bundle = |second: &Value| json!({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one}, {"resource": second}]});
        assert_eq!(reasons(bundle(&one)), Vec::<String>::new());
        assert!(reasons(bundle(&other))[0].starts_with("Organization/o1: occurs twice"));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let word = prop_oneof![
            Just("resourceType"),
            Just("id"),
            Just("entry"),
            Just("resource"),
            Just("fullUrl"),
            Just("type"),
            Just("reference"),
            Just("request"),
            Just("method"),
            Just("meta"),
            Just("link"),
            Just("Bundle"),
            Just("collection"),
            Just("Ingredient"),
            Just("urn:uuid:1"),
            Just("\u{0}"),
            Just(""),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            word.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 48, 6, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec((word.clone(), inner), 0..6).prop_map(|pairs| {
                    Value::Object(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
                }),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn whatever_comes_is_sorted_and_nothing_without_a_valid_id_gets_through(document in any_json()) {
            let wrapped = json!({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": document}]});
            for sorted in [sort("f", "", document.clone()), sort("f", "line 1", wrapped)] {
                for one in &sorted.accepted {
                    prop_assert!(schema::is_valid_id(&one.key.id));
                    prop_assert_eq!(fhir_model::resource_key(&one.body), Some(one.key.clone()));
                }
                prop_assert!(!sorted.accepted.is_empty() || !sorted.refused.is_empty() || document.get("resourceType").is_some());
            }
        }
    }
}
