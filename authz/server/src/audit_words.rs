//! Records of the audit trail for other readers: a line for people, a FHIR AuditEvent for machines.

use authz_domain::{Act, AuditRecord, Subject};
use serde_json::{Map, Value, json};
use time::format_description::well_known::Rfc3339;

/// The particulars of a record on one line.
pub(crate) fn particulars(details: &str) -> String {
    let details: Map<String, Value> = serde_json::from_str(details).unwrap_or_default();
    details
        .iter()
        .filter_map(|(name, value)| Some((name, value.as_str()?)))
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}: {value}"))
        .collect::<Vec<_>>()
        .join("; ")
}

/// Where our own codes and identifiers live.
const SYSTEM: &str = "https://pmsgate.example/audit";

/// A record as a FHIR R5 AuditEvent (<https://hl7.org/fhir/R5/auditevent.html>). The chain's number and link are kept as
/// details of the entity, so that an export can be compared with the trail. `source` is this installation's URL.
pub fn audit_event(record: &AuditRecord, link: &str, source: &str) -> Value {
    let at = record.at.format(&Rfc3339).unwrap_or_else(|_| record.at.to_string());
    let mut agent = json!({
        "type": { "coding": [{ "system": SYSTEM, "code": record.actor_kind }] },
        "who": reference(&record.actor_kind, record.actor_id.as_deref()),
        "requestor": true,
    });
    if let Some(origin) = &record.origin {
        // R5: the network address of the agent.
        agent["networkString"] = origin.as_str().into();
    }
    let mut details = vec![
        json!({ "type": { "text": "number" }, "valueInteger": record.number }),
        json!({ "type": { "text": "link" }, "valueString": link }),
    ];
    let particulars: Map<String, Value> = serde_json::from_str(&record.details).unwrap_or_default();
    for (name, value) in &particulars {
        if let Some(text) = value.as_str().filter(|text| !text.is_empty()) {
            details.push(json!({ "type": { "text": name }, "valueString": text }));
        }
    }
    let mut entities = Vec::new();
    let subject = Some(record.subject.as_str()).filter(|subject| !subject.is_empty());
    entities.push(json!({ "what": reference(subject_kind(&record.act), subject), "detail": details }));
    if let Some(organisation) = &record.organisation {
        entities.push(json!({ "what": reference("organisation", Some(organisation)) }));
    }
    let mut event = json!({
        "resourceType": "AuditEvent",
        "id": format!("record-{}", record.number),
        "category": [{ "coding": [{ "system": SYSTEM, "code": record.act.split('.').next().unwrap_or_default() }] }],
        "code": { "coding": [{ "system": SYSTEM, "code": record.act }] },
        "action": action(&record.act),
        "recorded": at,
        "outcome": { "code": {
            "system": "http://terminology.hl7.org/CodeSystem/audit-event-outcome", "code": "0", "display": "Success"
        } },
        "agent": [agent],
        "source": { "observer": { "display": source } },
        "entity": entities,
    });
    if let Some(reason) =
        particulars.get("reason").and_then(Value::as_str).filter(|reason| !reason.is_empty())
    {
        event["authorization"] = json!([{ "text": reason }]);
    }
    event
}

fn reference(kind: &str, id: Option<&str>) -> Value {
    match id {
        Some(id) => json!({ "identifier": { "system": format!("{SYSTEM}/{kind}"), "value": id } }),
        None => json!({ "display": kind }),
    }
}

/// What a record's subject is, in one word.
fn subject_kind(act: &str) -> &'static str {
    let subject = Act::ALL.iter().find(|one| one.as_str() == act).map_or(Subject::House, |act| act.subject());
    match subject {
        Subject::Client => "client",
        Subject::Account => "account",
        Subject::Request => "request",
        Subject::Document => "document",
        Subject::SigningKey => "signing-key",
        Subject::Organisation => "organisation",
        Subject::Webhook => "webhook",
        Subject::House => "installation",
    }
}

/// `C`, `R`, `U`, `D` or `E` (FHIR value set audit-event-action), by what the act's word ends in.
fn action(act: &str) -> &'static str {
    match act.rsplit('.').next().unwrap_or_default() {
        "created" | "issued" | "imported" | "submitted" | "granted" => "C",
        "read" => "R",
        "removed" => "D",
        "signed_in" | "expiry_reminded" | "resent" | "retried" => "E",
        _ => "U",
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn record() -> AuditRecord {
        AuditRecord {
            number: 7,
            at: datetime!(2026-03-05 12:00:00.5 UTC),
            actor_kind: "account".to_owned(),
            actor_id: Some("a-1".to_owned()),
            origin: Some("192.0.2.1".to_owned()),
            act: "client.created".to_owned(),
            subject: "c-1".to_owned(),
            client: Some("c-1".to_owned()),
            organisation: Some("ORG-100000001".to_owned()),
            details: "{\"role\":\"x\",\"reason\":\"asked for\",\"empty\":\"\"}".to_owned(),
        }
    }

    #[test]
    fn a_record_is_an_audit_event_with_who_what_when_where_and_why() {
        let event = audit_event(&record(), "abc", "https://x.example");
        assert_eq!(event["recorded"], "2026-03-05T12:00:00.5Z");
        assert_eq!(event["agent"][0]["who"]["identifier"]["value"], "a-1");
        assert_eq!(event["agent"][0]["networkString"], "192.0.2.1");
        assert_eq!(event["action"], "C");
        assert_eq!(event["authorization"][0]["text"], "asked for");
        assert_eq!(
            event["entity"][0]["what"]["identifier"]["system"],
            "https://pmsgate.example/audit/client"
        );
        assert_eq!(event["entity"][0]["detail"][1]["valueString"], "abc");
        let nobody = AuditRecord { actor_id: None, subject: String::new(), ..record() };
        let event = audit_event(&nobody, "abc", "https://x.example");
        assert_eq!(event["agent"][0]["who"]["display"], "account");
    }

    #[test]
    fn particulars_stand_on_one_line() {
        assert_eq!(particulars(&record().details), "role: x; reason: asked for");
        assert_eq!(particulars("nonsense"), "");
    }
}
