//! Rendering activities, organisations, persons and documents.

use crate::{
    json::{Fields, Json},
    tree::{each, map_each, put, put_items, rename, take, take_items},
};

use super::concept_of;

pub(super) fn activity(fields: &mut Fields<'_>) {
    if let Some(Json::Object(mut location)) = take(fields, "location") {
        put(fields, "location", take(&mut location, "reference"));
    }
    each(fields, "participant", &mut |participant| {
        if participant.get("type").and_then(Json::as_str) == Some("relatedperson") {
            put(participant, "type", Some(Json::text("related-person")));
        }
    });
    each(fields, "dosage", &mut |dosage| {
        rename(dosage, "asNeeded", "asNeededBoolean");
        if let Some(reason) = take_items(dosage, "asNeededFor").into_iter().next() {
            take(dosage, "asNeededBoolean");
            put(dosage, "asNeededCodeableConcept", Some(reason));
        }
    });
    for name in ["specimenRequirement", "observationRequirement", "observationResultRequirement"] {
        take(fields, name);
    }
}

/// Contacts without purpose and name are the organisation's own telecom and address in 4.4.0.
pub(super) fn organisation(fields: &mut Fields<'_>) {
    let (mut telecoms, mut addresses, mut contacts) = (Vec::new(), Vec::new(), Vec::new());
    for contact in take_items(fields, "contact") {
        let Json::Object(mut contact) = contact else { continue };
        let names = take_items(&mut contact, "name");
        if contact.contains_key("purpose") || !names.is_empty() {
            put(&mut contact, "name", names.into_iter().next());
            contacts.push(Json::Object(contact));
        } else {
            telecoms.extend(take_items(&mut contact, "telecom"));
            addresses.extend(take(&mut contact, "address"));
        }
    }
    put_items(fields, "telecom", telecoms);
    put_items(fields, "address", addresses);
    put_items(fields, "contact", contacts);
}

pub(super) fn document(fields: &mut Fields<'_>) {
    let encounters = take_items(fields, "context");
    let mut context = Fields::new();
    for (from, to) in [
        ("basedOn", "basedOn"),
        ("period", "period"),
        ("facilityType", "facilityType"),
        ("practiceSetting", "practiceSetting"),
    ] {
        put(&mut context, to, take(fields, from));
    }
    put_items(
        &mut context,
        "event",
        take_items(fields, "event").into_iter().filter_map(concept_of).collect(),
    );
    let (of_encounter, related): (Vec<Json<'_>>, Vec<Json<'_>>) =
        encounters.into_iter().partition(|reference| {
            reference.get("reference").and_then(Json::as_str).is_none_or(|text| text.contains("Encounter/"))
        });
    put_items(&mut context, "encounter", of_encounter);
    put_items(&mut context, "related", related);
    if !context.is_empty() {
        fields.insert("context", Json::Object(context));
    }
    let attester =
        take_items(fields, "attester").into_iter().find_map(|attester| attester.get("party").cloned());
    put(fields, "authenticator", attester);
    each(fields, "relatesTo", &mut |relation| {
        let code = take(relation, "code").unwrap_or_default();
        let codes = code.get("coding").and_then(Json::as_array).unwrap_or_default();
        let known = codes
            .iter()
            .filter_map(|coding| coding.get("code"))
            .find(|code| matches!(code.as_str(), Some("replaces" | "transforms" | "signs" | "appends")));
        put(relation, "code", known.cloned());
    });
    each(fields, "content", &mut |content| {
        let format = take_items(content, "profile")
            .into_iter()
            .find_map(|profile| profile.get("valueCoding").cloned());
        put(content, "format", format);
    });
}

pub(super) fn practitioner_role(fields: &mut Fields<'_>) {
    let telecoms = take_items(fields, "contact")
        .into_iter()
        .filter_map(|mut contact| contact.as_object_mut().map(|contact| take_items(contact, "telecom")))
        .flatten()
        .collect();
    put_items(fields, "telecom", telecoms);
    let (mut available, mut unavailable) = (Vec::new(), Vec::new());
    for availability in take_items(fields, "availability") {
        let Json::Object(mut availability) = availability else { continue };
        available.extend(take_items(&mut availability, "availableTime"));
        unavailable.extend(take_items(&mut availability, "notAvailableTime"));
    }
    put_items(fields, "availableTime", available);
    put_items(fields, "notAvailable", unavailable);
}

pub(super) fn practitioner(fields: &mut Fields<'_>) {
    map_each(fields, "communication", &|communication| match communication.get("language") {
        Some(language) => Some(language.clone()),
        None => communication.get("text").map(|text| Json::object([("text", text.clone())])),
    });
}
