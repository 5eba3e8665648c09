//! A product that comes with its history: a Bundle of type history, all versions of each resource in it.

use std::collections::BTreeMap;

use fhir_model::{ResourceKey, schema};
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::incoming::{Incoming, Past, Placed, Sorted, known_type, problems, refuse};
use crate::resources::unstamp;

/// Whether a document is a Bundle of versions.
pub(super) fn is_history(document: &Value) -> bool {
    let member = |name: &str| document.get(name).and_then(Value::as_str);
    member("resourceType") == Some("Bundle") && member("type") == Some("history")
}

/// A version on its way in.
struct Version {
    number: i64,
    last_updated: OffsetDateTime,
    body: Value,
}

/// Sorts a Bundle of versions: of each resource the last, with those before it. A resource whose versions are not
/// 1, 2, 3… without gaps and in the order of their times is refused as a whole.
pub(super) fn sort(file: &str, place: &str, mut bundle: Value) -> Sorted {
    let mut sorted = Sorted::default();
    let Some(Value::Array(entries)) = bundle.get_mut("entry").map(Value::take) else {
        refuse(&mut sorted, file, place, "the Bundle has no entries");
        return sorted;
    };
    let mut by_key: BTreeMap<ResourceKey, Vec<Version>> = BTreeMap::new();
    let mut order = Vec::new();
    for (n, mut entry) in entries.into_iter().enumerate() {
        let here = if place.is_empty() { format!("entry[{n}]") } else { format!("{place} entry[{n}]") };
        let Some(body) = entry.get_mut("resource").map(Value::take) else {
            let reason = "the entry has no resource: deletions are not imported";
            refuse(&mut sorted, file, &here, reason);
            continue;
        };
        let Some(one) = known_type(file, Placed { place: here, body }, &mut sorted) else { continue };
        let Some(key) = fhir_model::resource_key(&one.body) else { continue };
        match version(one.body) {
            Ok(version) => {
                if !by_key.contains_key(&key) {
                    order.push(key.clone());
                }
                by_key.entry(key).or_default().push(version);
            }
            Err(reason) => refuse(&mut sorted, file, &key.to_string(), reason),
        }
    }
    for key in order {
        let Some(versions) = by_key.remove(&key) else { continue };
        match incoming(&key, versions) {
            Ok(one) => sorted.accepted.push(one),
            Err(reason) => refuse(&mut sorted, file, &key.to_string(), reason),
        }
    }
    sorted
}

fn version(mut body: Value) -> Result<Version, String> {
    let meta = |name: &str| body.get("meta")?.get(name)?.as_str();
    let number = meta("versionId")
        .and_then(|text| text.parse::<i64>().ok())
        .ok_or("has no meta.versionId that is a number, which a Bundle of type history needs".to_owned())?;
    let last_updated = meta("lastUpdated")
        .and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok())
        .ok_or("has no meta.lastUpdated, which a Bundle of type history needs".to_owned())?;
    unstamp(&mut body);
    if let Some(reason) = problems(&body, false) {
        let version_4 = schema::check_in(pms_terms::FhirVersion::V4_4_0, &body).is_empty();
        let hint = if version_4 { "; a history is taken in FHIR 5.0.0 only" } else { "" };
        return Err(format!("version {number}: {reason}{hint}"));
    }
    Ok(Version { number, last_updated, body })
}

fn incoming(key: &ResourceKey, mut versions: Vec<Version>) -> Result<Incoming, String> {
    versions.sort_by_key(|version| version.number);
    let numbers: Vec<i64> = versions.iter().map(|version| version.number).collect();
    if !numbers.iter().copied().eq((1..).take(numbers.len())) {
        return Err(format!("its versions are {numbers:?}, not 1, 2, 3… without gaps"));
    }
    if !versions.is_sorted_by_key(|version| version.last_updated) {
        return Err("a later version has an earlier meta.lastUpdated than one before it".to_owned());
    }
    let Some(last) = versions.pop() else { return Err("has no version".to_owned()) };
    let mut one = Incoming::new(key.clone(), last.body);
    let versions =
        versions.into_iter().map(|version| (version.last_updated, version.body.to_string())).collect();
    one.past = Some(Past { versions, last_updated: last.last_updated });
    Ok(one)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn organisation(version: &str, day: u8) -> Value {
        json!({"resource": {"resourceType": "Organization", "id": "o1", "name": format!("N{version}"),
            "meta": {"versionId": version, "lastUpdated": format!("2026-01-{day:02}T00:00:00Z")}}})
    }

    fn sorted(entries: &[Value]) -> Sorted {
        sort("f", "", json!({"resourceType": "Bundle", "type": "history", "entry": entries}))
    }

    #[test]
    fn the_last_version_comes_in_with_those_before_it() {
        let sorted = sorted(&[organisation("2", 2), organisation("1", 1), organisation("3", 2)]);
        let one = &sorted.accepted[0];
        assert_eq!((one.version_id(), &one.body["name"]), (Some(3), &json!("N3")));
        let past: Vec<&str> =
            one.past.as_ref().unwrap().versions.iter().map(|(_, text)| text.as_str()).collect();
        assert!(past[0].contains("N1") && past[1].contains("N2"), "{past:?}");
    }

    #[test]
    fn gaps_and_times_that_go_back_are_refused() {
        for (entries, words) in [
            (vec![organisation("1", 1), organisation("3", 2)], "without gaps"),
            (vec![organisation("1", 1), organisation("1", 1)], "without gaps"),
            (vec![organisation("1", 2), organisation("2", 1)], "earlier"),
            (vec![organisation("x", 1)], "versionId"),
            (vec![json!({"request": {"method": "DELETE"}})], "deletions"),
        ] {
            let refused = sorted(&entries).refused;
            assert!(refused[0].reason.contains(words), "{refused:?}");
        }
    }
}
