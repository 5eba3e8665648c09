//! Activities, organisations, persons and documents, from 4.4.0.

use crate::{
    json::{Fields, Json},
    tree::{each, map_each, put, put_items, rename, take, take_items},
};

use super::of_concept;

pub(super) fn activity(fields: &mut Fields<'_>) {
    map_each(fields, "location", &|reference| Some(Json::object([("reference", reference)])));
    each(fields, "participant", &mut |participant| {
        if participant.get("type").and_then(Json::as_str) == Some("related-person") {
            put(participant, "type", Some(Json::text("relatedperson")));
        }
    });
    each(fields, "dosage", &mut |dosage| {
        rename(dosage, "asNeededBoolean", "asNeeded");
        let reason = take(dosage, "asNeededCodeableConcept");
        put_items(dosage, "asNeededFor", reason.into_iter().collect());
    });
}

/// The organisation's own telecom and address become a contact without purpose and name.
pub(super) fn organisation(fields: &mut Fields<'_>) {
    let telecoms = take_items(fields, "telecom");
    let mut addresses = take_items(fields, "address").into_iter();
    let mut contacts = Vec::new();
    let mut own = Fields::new();
    put_items(&mut own, "telecom", telecoms);
    put(&mut own, "address", addresses.next());
    if !own.is_empty() {
        contacts.push(Json::Object(own));
    }
    contacts.extend(addresses.map(|address| Json::object([("address", address)])));
    for mut contact in take_items(fields, "contact") {
        if let Some(contact) = contact.as_object_mut() {
            let name = take(contact, "name");
            put_items(contact, "name", name.into_iter().collect());
        }
        contacts.push(contact);
    }
    put_items(fields, "contact", contacts);
}

pub(super) fn document(fields: &mut Fields<'_>) {
    let mut identifiers = take_items(fields, "identifier");
    identifiers.extend(take(fields, "masterIdentifier"));
    put_items(fields, "identifier", identifiers);
    if let Some(Json::Object(mut context)) = take(fields, "context") {
        for name in ["basedOn", "period", "facilityType", "practiceSetting"] {
            put(fields, name, take(&mut context, name));
        }
        let events = take_items(&mut context, "event").into_iter().filter_map(of_concept).collect();
        put_items(fields, "event", events);
        let mut related = take_items(&mut context, "encounter");
        related.extend(take_items(&mut context, "related"));
        put_items(fields, "context", related);
        // What is left has no place in 5.0.0; fit tells of it under its old name.
        for (name, value) in context {
            fields.insert(format!("context.{name}"), value);
        }
    }
    let attester = take(fields, "authenticator").map(|party| {
        let mode = Json::object([("text", Json::text("authenticator"))]);
        Json::object([("mode", mode), ("party", party)])
    });
    put_items(fields, "attester", attester.into_iter().collect());
    each(fields, "relatesTo", &mut |relation| {
        let code = take(relation, "code").map(|code| {
            let system = Json::text("http://hl7.org/fhir/document-relationship-type");
            let coding = Json::object([("system", system), ("code", code)]);
            Json::object([("coding", Json::Array(vec![coding]))])
        });
        put(relation, "code", code);
    });
    each(fields, "content", &mut |content| {
        let profile = take(content, "format").map(|format| Json::object([("valueCoding", format)]));
        put_items(content, "profile", profile.into_iter().collect());
    });
}

pub(super) fn practitioner_role(fields: &mut Fields<'_>) {
    let telecoms = take_items(fields, "telecom");
    if !telecoms.is_empty() {
        put_items(fields, "contact", vec![Json::object([("telecom", Json::Array(telecoms))])]);
    }
    let mut availability = Fields::new();
    put_items(&mut availability, "availableTime", take_items(fields, "availableTime"));
    put_items(&mut availability, "notAvailableTime", take_items(fields, "notAvailable"));
    if !availability.is_empty() {
        put_items(fields, "availability", vec![Json::Object(availability)]);
    }
}

pub(super) fn practitioner(fields: &mut Fields<'_>) {
    map_each(fields, "communication", &|language| Some(Json::object([("language", language)])));
}
