//! Examples of bodies: one fictional product, seen through every operation. Tests read them as FHIR.

use pms_terms::FhirVersion;
use serde_json::{Value, json};

use crate::routes::{Operation, Product};

/// The product that all examples are about.
const ID: &str = "600000900001";
/// When its present version was stored.
const UPDATED: &str = "2026-01-15T09:30:00.000Z";
/// The request that refusals quote.
const REQUEST: &str = "5f0c1f8e2a7b4d36-2a";

/// The product as it is.
pub(super) fn product() -> Value {
    json!({
        "resourceType": "MedicinalProductDefinition",
        "id": ID,
        "meta": {"versionId": "2", "lastUpdated": UPDATED},
        "identifier": [{"system": "http://ema.europa.eu/fhir/mpId", "value": "ES-100099001-00901"}],
        "domain": concept("http://spor.ema.europa.eu/v1/lists/100000000004", "100000000012", "Human use"),
        "status": concept("http://spor.ema.europa.eu/v1/lists/200000005003", "200000005004", "Current"),
        "name": [{"productName": "Fictizol 5 mg tablets"}],
    })
}

fn concept(system: &str, code: &str, display: &str) -> Value {
    json!({"coding": [{"system": system, "code": code, "display": display}]})
}

fn link(relation: &str, url: &str) -> Value {
    json!({"relation": relation, "url": url})
}

fn url_of(product: &Product, path: &str) -> String {
    format!("{}/MedicinalProductDefinition{path}", product.public_base)
}

/// A page of a search.
pub(super) fn page(on: &Product, operation: &Operation) -> Value {
    let query = "?name=fictizol&_count=1";
    let here = format!("{}{}", on.public_base, operation.template.trim_end_matches("/_search"));
    json!({
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 2,
        "link": [
            link("self", &format!("{here}{query}")),
            link("first", &format!("{here}{query}")),
            link("next", &format!("{here}{query}&_cursor=Zm9sbG93IHRoZSBsaW5r")),
        ],
        "entry": [{
            "fullUrl": url_of(on, &format!("/{ID}")),
            "resource": product(),
            "search": {"mode": "match"},
        }],
    })
}

/// The product and what belongs to it.
pub(super) fn everything(on: &Product) -> Value {
    let here = url_of(on, &format!("/{ID}/$everything"));
    let subject = json!({"reference": format!("MedicinalProductDefinition/{ID}")});
    let authorisation = json!({
        "resourceType": "RegulatedAuthorization",
        "id": "6000090001",
        "meta": {"versionId": "1", "lastUpdated": UPDATED},
        "identifier": [{"system": "http://ema.europa.eu/fhir/marketingAuthorizationNumber", "value": "EU/1/00/000/001"}],
        // One subject in 4.4.0, any number of them in 5.0.0.
        "subject": match on.fhir_version {
            FhirVersion::V4_4_0 => subject,
            FhirVersion::V5_0_0 => json!([subject]),
        },
        "type": concept("http://spor.ema.europa.eu/v1/lists/220000000060", "220000000061", "Marketing Authorisation"),
    });
    json!({
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 2,
        "link": [link("self", &here), link("first", &here)],
        "entry": [
            {"fullUrl": url_of(on, &format!("/{ID}")), "resource": product(), "search": {"mode": "match"}},
            {
                "fullUrl": format!("{}/RegulatedAuthorization/6000090001", on.public_base),
                "resource": authorisation,
                "search": {"mode": "match"},
            },
        ],
    })
}

/// Its versions.
pub(super) fn history(on: &Product) -> Value {
    let here = url_of(on, &format!("/{ID}/_history"));
    json!({
        "resourceType": "Bundle",
        "type": "history",
        "total": 2,
        "link": [link("self", &here), link("first", &here)],
        "entry": [{
            "fullUrl": url_of(on, &format!("/{ID}")),
            "resource": product(),
            "request": {"method": "PUT", "url": format!("MedicinalProductDefinition/{ID}")},
            "response": {"status": "200", "etag": "W/\"2\"", "lastModified": UPDATED},
        }],
    })
}

/// A change of the product.
pub(super) fn merge_request(on: &Product) -> Value {
    let mut changed = product();
    changed["meta"] = json!({"versionId": "2"});
    changed["name"][0]["productName"] = json!("Fictizol 5 mg film-coated tablets");
    json!({
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{
            "fullUrl": url_of(on, &format!("/{ID}")),
            "resource": changed,
            "request": {"method": "PUT", "url": format!("MedicinalProductDefinition/{ID}")},
        }],
    })
}

/// What a change is answered with.
pub(super) fn merge_response(on: &Product) -> Value {
    let mut changed = product();
    changed["meta"]["versionId"] = json!("3");
    changed["name"][0]["productName"] = json!("Fictizol 5 mg film-coated tablets");
    json!({
        "resourceType": "Bundle",
        "type": "transaction-response",
        "entry": [{
            "fullUrl": url_of(on, &format!("/{ID}")),
            "resource": changed,
            "response": {
                "status": "200 OK",
                "location": url_of(on, &format!("/{ID}/_history/3")),
                "etag": "W/\"3\"",
                "lastModified": UPDATED,
            },
        }],
    })
}

/// The beginning of a CapabilityStatement.
pub(super) fn capability_statement(on: &Product) -> Value {
    json!({
        "resourceType": "CapabilityStatement",
        "id": on.id,
        "url": format!("{}/metadata", on.public_base),
        "status": "active",
        "date": UPDATED,
        "kind": "instance",
        "implementation": {"description": on.title, "url": on.public_base},
        "fhirVersion": on.fhir_version.as_str(),
        "format": ["json", "xml"],
        "rest": [{"mode": "server", "resource": [
            {"type": "MedicinalProductDefinition", "interaction": [{"code": "read"}]},
        ]}],
    })
}

/// A refusal of the backend as the gateway passes it on: IssueType, words, rule and where that stands.
fn refused(code: &str, text: &str, rule: &str, reference: &str, expression: Option<&str>) -> Value {
    let mut issue = json!({
        "severity": "error",
        "code": code,
        "details": {"coding": [{"system": "urn:pmsgate:backend-rule", "code": rule}], "text": text},
        "diagnostics": format!("request {REQUEST} Rule: {reference}."),
    });
    if let Some(expression) = expression {
        issue["expression"] = json!([expression]);
    }
    json!({"resourceType": "OperationOutcome", "issue": [issue]})
}

/// What is hidden and what is absent.
pub(super) fn not_found() -> Value {
    let text = "There is no such resource, or it is not visible to you.";
    refused("not-found", text, "not-found", "FHIR http, read; access levels", None)
}

/// A format that is not served.
pub(super) fn not_acceptable() -> Value {
    let text = "\"text/turtle\" is not served: ask for application/fhir+json or application/fhir+xml (header Accept, or \
                parameter _format with json or xml).";
    refused("not-supported", text, "not-acceptable", "FHIR http, content types", None)
}

/// A condition that does not hold.
pub(super) fn other_state() -> Value {
    let text =
        "The state is not the one that If-Match or If-Unmodified-Since names: read it without the condition.";
    refused("conflict", text, "precondition", "RFC 9110, section 13", None)
}

/// A key whose merge is not done yet.
pub(super) fn conflict() -> Value {
    let text = "A request with this Idempotency-Key is at work. Wait for its answer, or send it again a little later.";
    let reference = "draft-ietf-httpapi-idempotency-key-header, section 2";
    refused("conflict", text, "idempotency-key", reference, Some("http.Idempotency-Key"))
}

/// A body of a type that is not read.
pub(super) fn unsupported() -> Value {
    let text = "A body of \"text/plain\" is not read.";
    refused("not-supported", text, "media-type", "FHIR http, content types", None)
}

/// A merge that breaks a rule.
pub(super) fn rule() -> Value {
    let text = "The version sent is 1, the stored one is 2: read the product again and merge into that.";
    let expression = Some("Bundle.entry[0].resource.meta.versionId");
    let mut outcome = refused("business-rule", text, "R1", "docs/merge-examples/README.md", expression);
    outcome["issue"][0]["details"]["coding"][0]["system"] = json!("https://pmsgate.example/fhir/merge-rules");
    outcome
}

/// Too many requests.
pub(super) fn throttled() -> Value {
    let text = "Too many requests. Wait as long as Retry-After says.";
    refused("throttled", text, "queue-full", "FHIR http, asynchronous request pattern", None)
}
