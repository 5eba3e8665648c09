//! Refusals, headers and schemas that operations share. The examples of refusals are the gateway's own answers.

use config::Interaction;
use serde_json::{Value, json};

use super::{examples, parameters};
use crate::{
    authenticate::Unauthenticated,
    authorize::Denial,
    error::GatewayError,
    fhir_request::RequestRefusal,
    outcome,
    response_cache::ResponseCache,
    routes::{Operation, Product},
    settings::GatewaySettings,
};

/// FHIR in JSON.
const FHIR_JSON: &str = "application/fhir+json";
/// FHIR in XML.
const FHIR_XML: &str = "application/fhir+xml";

/// Bodies in both formats of FHIR.
pub(super) fn fhir(schema: &str, example: &Value) -> Value {
    json!({
        FHIR_JSON: {"schema": {"$ref": format!("#/components/schemas/{schema}")}, "example": example},
        FHIR_XML: {"schema": {"$ref": "#/components/schemas/Xml"}},
    })
}

/// References to headers, and to the one that every answer has.
pub(super) fn header_references<'n>(names: impl Iterator<Item = &'n str>) -> Value {
    let one = |name: &str| (name.to_owned(), json!({"$ref": format!("#/components/headers/{name}")}));
    Value::Object(names.chain(["X-Request-Id"]).map(one).collect())
}

/// Whether answers to an operation may be kept by the gateway and given again.
pub(super) fn may_be_kept(product: &Product, operation: &Operation) -> bool {
    product.foreign.is_none() && ResponseCache::is_for(operation.interaction)
}

/// The statuses with which an operation may refuse.
pub(super) fn refusals_of(product: &Product, operation: &Operation) -> Vec<&'static str> {
    let mut statuses = vec!["400", "401", "403", "404", "406"];
    if !parameters::conditions(product, operation).is_empty() {
        statuses.push("412");
    }
    match operation.interaction {
        Interaction::Merge => statuses.extend(["409", "413", "415", "422"]),
        Interaction::Search if parameters::is_form(operation) => statuses.extend(["413", "415"]),
        Interaction::Search => statuses.push("414"),
        _ => {}
    }
    statuses.extend(["429", "502", "503", "504"]);
    statuses
}

/// The name of a refusal in `components`.
pub(super) const fn name(status: &str) -> &'static str {
    match status.as_bytes() {
        b"400" => "BadRequest",
        b"401" => "Unauthorized",
        b"403" => "Forbidden",
        b"404" => "NotFound",
        b"406" => "NotAcceptable",
        b"409" => "Conflict",
        b"412" => "PreconditionFailed",
        b"413" => "ContentTooLarge",
        b"414" => "AddressTooLong",
        b"415" => "UnsupportedMediaType",
        b"422" => "Refused",
        b"429" => "TooManyRequests",
        b"502" => "BadGateway",
        b"503" => "Unavailable",
        _ => "Timeout",
    }
}

/// The refusals that the operations of a product know.
pub(super) fn refusals(settings: &GatewaySettings, product: &Product) -> Value {
    let mut statuses: Vec<&str> =
        product.operations.iter().flat_map(|operation| refusals_of(product, operation)).collect();
    statuses.sort_unstable();
    statuses.dedup();
    let scope = product.operations.first().map_or("", |operation| &operation.scope_text);
    let ours = |error: &GatewayError| outcome::example(error);
    let refusals = statuses.into_iter().map(|status| {
        let (description, example, headers): (&str, Value, &[&str]) = match status {
            "400" => (
                "The request is malformed, or has a parameter or value that the operation does not know.",
                ours(&GatewayError::Denied(Denial::UnknownParameter { name: "colour".to_owned() })),
                &[],
            ),
            "401" => (
                "There is no token, or it is not valid. The challenge says why.",
                ours(&GatewayError::Unauthenticated(Unauthenticated::NoToken)),
                &["WWW-Authenticate"],
            ),
            "403" => (
                "The token's role or scope does not allow it, or a parameter is not for the client's group.",
                ours(&GatewayError::Denied(Denial::Scope { needed: scope.to_owned() })),
                &["WWW-Authenticate"],
            ),
            "404" => ("There is none that the client may see.", examples::not_found(), &[]),
            "406" => ("The format asked for is not served.", examples::not_acceptable(), &[]),
            "409" => ("A merge with this `Idempotency-Key` is at work: ask again.", examples::conflict(), &[]),
            "412" => (
                "The state is not the one that `If-Match` or `If-Unmodified-Since` names.",
                examples::other_state(),
                &[],
            ),
            "413" => (
                "The body is too large.",
                ours(&GatewayError::BodyTooLarge { limit: settings.limits.max_body }),
                &[],
            ),
            "414" => (
                "The address is too long.",
                ours(&GatewayError::Request(RequestRefusal::TooLong { length: 3000 })),
                &[],
            ),
            "415" => ("The body has a type that is not read here.", examples::unsupported(), &[]),
            "422" => ("The merge breaks rules, each an issue with its name, place and words. Nothing was changed.", examples::rule(), &[]),
            "429" => ("Too many requests.", examples::throttled(), &["Retry-After"]),
            "502" => (
                "The product backend cannot be reached or gave no usable answer.",
                ours(&GatewayError::UpstreamUnreachable),
                &[],
            ),
            "503" => ("Not now.", ours(&GatewayError::Busy), &["Retry-After"]),
            _ => ("The product backend took too long.", ours(&GatewayError::UpstreamTimeout), &[]),
        };
        // What is refused before limits are asked says nothing of them.
        let limits: &[&str] =
            if matches!(status, "400" | "401" | "403") { &[] } else { &["RateLimit-Policy", "RateLimit"] };
        let headers = header_references(headers.iter().chain(limits).copied());
        let answer =
            json!({"description": description, "headers": headers, "content": fhir("OperationOutcome", &example)});
        (name(status).to_owned(), answer)
    });
    Value::Object(refusals.collect())
}

/// The headers of answers, as far as a product's operations use them.
pub(super) fn headers(product: &Product) -> Value {
    let text = json!({"type": "string"});
    let mut headers = json!({
        "X-Request-Id": {"description": "The request in our logs. Name it when you ask for help.", "schema": text},
        "WWW-Authenticate": {
            "description": "What is missing (RFC 6750 section 3), and where the metadata of this API are (RFC 9728).",
            "schema": text,
        },
        "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}},
        "RateLimit-Policy": {"description": "The budgets of this client: so many requests in so many seconds.", "schema": text},
        "RateLimit": {"description": "What is left of them.", "schema": text},
    });
    let conditions: Vec<_> =
        product.operations.iter().flat_map(|operation| parameters::conditions(product, operation)).collect();
    if !conditions.is_empty() {
        headers["ETag"] =
            json!({"description": "This state, for `If-None-Match` and `If-Match`.", "schema": text});
    }
    if conditions.contains(&&"If-Modified-Since") {
        headers["Last-Modified"] =
            json!({"description": "When it last changed, for `If-Modified-Since`.", "schema": text});
    }
    if product.operations.iter().any(|operation| may_be_kept(product, operation)) {
        headers["Cache-Status"] = json!({
            "description": "Where the gateway keeps answers: whether this is one (RFC 9211). `Cache-Control: no-cache` asks for another.",
            "schema": text,
        });
        headers["Age"] =
            json!({"description": "Seconds since a kept answer was made.", "schema": {"type": "integer"}});
    }
    if product.operations.iter().any(|operation| operation.interaction == Interaction::Merge) {
        headers["Content-Location"] = json!({"description": "Where the outcome will be.", "schema": {"type": "string", "format": "uri"}});
    }
    headers
}

/// Bodies, as far as they are the same for every product. FHIR's own schema says the rest.
pub(super) fn schemas() -> Value {
    json!({
        "Resource": {
            "description": "A FHIR resource.",
            "type": "object",
            "required": ["resourceType"],
            "properties": {
                "resourceType": {"type": "string"},
                "id": {"type": "string"},
                "meta": {
                    "type": "object",
                    "properties": {
                        "versionId": {"type": "string"},
                        "lastUpdated": {"type": "string", "format": "date-time"},
                    },
                },
            },
        },
        "Bundle": {
            "type": "object",
            "required": ["resourceType", "type"],
            "properties": {
                "resourceType": {"const": "Bundle"},
                "type": {"enum": ["searchset", "history", "transaction", "transaction-response"]},
                "total": {"type": "integer", "minimum": 0},
                "link": {"type": "array", "items": {
                    "type": "object",
                    "required": ["relation", "url"],
                    "properties": {"relation": {"type": "string"}, "url": {"type": "string", "format": "uri"}},
                }},
                "entry": {"type": "array", "items": {
                    "type": "object",
                    "properties": {
                        "fullUrl": {"type": "string", "format": "uri"},
                        "resource": {"$ref": "#/components/schemas/Resource"},
                        "search": {"type": "object"},
                        "request": {"type": "object"},
                        "response": {"type": "object"},
                    },
                }},
            },
        },
        "OperationOutcome": {
            "type": "object",
            "required": ["resourceType", "issue"],
            "properties": {
                "resourceType": {"const": "OperationOutcome"},
                "issue": {"type": "array", "minItems": 1, "items": {
                    "type": "object",
                    "required": ["severity", "code"],
                    "properties": {
                        "severity": {"enum": ["fatal", "error", "warning", "information"]},
                        "code": {"type": "string"},
                        "details": {
                            "type": "object",
                            "properties": {
                                "coding": {"type": "array", "items": {"type": "object"}},
                                "text": {"type": "string"},
                            },
                        },
                        "diagnostics": {"type": "string"},
                        "expression": {"type": "array", "items": {"type": "string"}},
                    },
                }},
            },
        },
        "Xml": {"description": "The same as XML.", "type": "string"},
    })
}
