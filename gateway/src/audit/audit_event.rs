//! Records as FHIR R5 AuditEvents (<https://hl7.org/fhir/R5/auditevent.html>).

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use super::{Entry, Line, ReadRecord};

/// Where our own codes and identifiers live.
const SYSTEM: &str = "https://pmsgate.example/audit";

/// A record of `trail` as an AuditEvent; its number and link are kept as details, so that an export can be compared with
/// the trail. `source` is this installation's URL. None when the record cannot be read.
pub fn audit_event(trail: &str, line: &Line, link: &str, source: &str) -> Option<Value> {
    let (at, entry) = line.content()?;
    let chained = [
        json!({ "type": { "text": "number" }, "valueInteger": line.number }),
        json!({ "type": { "text": "link" }, "valueString": link }),
    ];
    let mut event = match entry {
        Entry::Read(read) => of_read(&read, chained.into()),
        Entry::Lost(count) => of_lost(count, chained.into()),
    };
    event["id"] = format!("read-{trail}-{}", line.number).into();
    event["recorded"] = at.format(&Rfc3339).ok()?.into();
    event["source"] = json!({ "observer": { "display": source } });
    Some(event)
}

fn of_read(read: &ReadRecord, mut details: Vec<Value>) -> Value {
    let (system, code, action) = match read.interaction.as_str() {
        "search-type" => ("http://hl7.org/fhir/restful-interaction", "search-type", "E"),
        code @ ("read" | "vread" | "history-instance") => {
            ("http://hl7.org/fhir/restful-interaction", code, "R")
        }
        "merge" => (SYSTEM, "merge", "U"),
        code => (SYSTEM, code, "R"),
    };
    for (name, text) in [
        ("request", read.request_id.as_str()),
        ("product", &read.product),
        ("operation", &read.operation),
        ("parameters", &read.parameters.join(" ")),
        ("refusal", read.refusal.as_deref().unwrap_or_default()),
    ] {
        if !text.is_empty() {
            details.push(json!({ "type": { "text": name }, "valueString": text }));
        }
    }
    for (name, count) in [
        ("status", u32::from(read.status)),
        ("resources shown", read.resources),
        ("elements withheld", read.withheld),
        ("resources withheld", read.hidden),
    ] {
        details.push(json!({ "type": { "text": name }, "valueInteger": count }));
    }
    let mut client = json!({
        "type": { "coding": [{ "system": SYSTEM, "code": "client" }] },
        "role": [{ "coding": [{ "system": format!("{SYSTEM}/stakeholder"), "code": read.stakeholder }] }],
        "who": identifier("client", &read.client),
        "requestor": true,
    });
    if let Some(origin) = &read.origin {
        client["networkString"] = origin.as_str().into();
    }
    let mut agents = vec![client];
    if let Some(organisation) = &read.organisation {
        agents.push(json!({
            "type": { "coding": [{ "system": SYSTEM, "code": "organisation" }] },
            "who": identifier("organisation", organisation),
            "requestor": false,
        }));
    }
    let asked = match (&read.id, &read.version) {
        (Some(id), Some(version)) => reference(&read.resource_type, &format!("{id}/_history/{version}")),
        (Some(id), None) => reference(&read.resource_type, id),
        (None, _) => json!({ "display": read.resource_type }),
    };
    let mut entities = vec![json!({ "what": asked, "detail": details })];
    let shown = read.products.iter().filter(|shown| read.id.as_ref() != Some(shown));
    entities.extend(shown.map(|id| json!({ "what": reference("MedicinalProductDefinition", id) })));
    let (outcome, display) = match read.status {
        500.. => ("8", "Serious failure"),
        400.. => ("4", "Minor failure"),
        _ => ("0", "Success"),
    };
    json!({
        "resourceType": "AuditEvent",
        "category": [{ "coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest", "display": "RESTful Operation"
        }] }],
        "code": { "coding": [{ "system": system, "code": code }] },
        "action": action,
        "recorded": Value::Null,
        "outcome": { "code": outcome_code(outcome, display) },
        "agent": agents,
        "source": Value::Null,
        "entity": entities,
    })
}

fn of_lost(count: u64, mut details: Vec<Value>) -> Value {
    details.push(json!({ "type": { "text": "calls without a record" }, "valueString": count.to_string() }));
    json!({
        "resourceType": "AuditEvent",
        "category": [{ "coding": [{ "system": SYSTEM, "code": "trail" }] }],
        "code": { "coding": [{ "system": SYSTEM, "code": "records-lost" }] },
        "action": "E",
        "recorded": Value::Null,
        "outcome": { "code": outcome_code("8", "Serious failure") },
        "agent": [{ "who": { "display": "gateway" }, "requestor": false }],
        "source": Value::Null,
        "entity": [{ "what": { "display": "audit trail" }, "detail": details }],
    })
}

fn outcome_code(code: &str, display: &str) -> Value {
    json!({ "system": "http://terminology.hl7.org/CodeSystem/audit-event-outcome", "code": code, "display": display })
}

fn identifier(kind: &str, id: &str) -> Value {
    json!({ "identifier": { "system": format!("{SYSTEM}/{kind}"), "value": id } })
}

fn reference(resource_type: &str, id: &str) -> Value {
    json!({ "reference": format!("{resource_type}/{id}") })
}
