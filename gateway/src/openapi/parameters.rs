//! Parameters in paths, queries and headers, and who may use them.

use pms_terms::Stakeholder;
use serde_json::{Map, Value, json};

use crate::{
    routes::{Operation, Product},
    settings::GatewaySettings,
};

/// Those that are the same wherever they stand, for `components`.
pub(super) fn shared(settings: &GatewaySettings, product: &Product) -> Value {
    let mut shared = Map::new();
    for operation in &product.operations {
        for name in in_path(operation) {
            shared.insert(name.to_owned(), path_parameter(name));
        }
        for (name, groups) in operation.admitted_parameters() {
            if groups.len() == Stakeholder::ALL.len() && !is_form(operation) {
                shared.insert(name.to_owned(), query_parameter(settings, name, &groups));
            }
        }
        for header in header_names(settings, product, operation) {
            shared.insert(header.to_owned(), header_parameter(header));
        }
    }
    Value::Object(shared)
}

/// Those of one operation: references to what is shared, in full what is for some groups only.
pub(super) fn of(settings: &GatewaySettings, product: &Product, operation: &Operation) -> Vec<Value> {
    let reference = |name: &str| json!({"$ref": format!("#/components/parameters/{name}")});
    let mut parameters: Vec<Value> = in_path(operation).map(reference).collect();
    if !is_form(operation) {
        for (name, groups) in operation.admitted_parameters() {
            let everybody = groups.len() == Stakeholder::ALL.len();
            parameters.push(if everybody {
                reference(name)
            } else {
                query_parameter(settings, name, &groups)
            });
        }
    }
    parameters.extend(header_names(settings, product, operation).into_iter().map(reference));
    parameters
}

/// The form of `POST …/_search`: the same parameters in the body (FHIR "search", section on POST).
pub(super) fn form(settings: &GatewaySettings, operation: &Operation) -> Value {
    let properties: Map<String, Value> = operation
        .admitted_parameters()
        .map(|(name, groups)| {
            let mut schema = schema(settings, name);
            schema["description"] = Value::from(words(settings, name, &groups));
            (name.to_owned(), schema)
        })
        .collect();
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

/// Whether the query is sent as a form.
pub(super) fn is_form(operation: &Operation) -> bool {
    operation.interaction == config::Interaction::Search && operation.method == http::Method::POST
}

fn in_path(operation: &Operation) -> impl Iterator<Item = &'static str> {
    ["id", "vid"].into_iter().filter(|name| operation.template.contains(&format!("{{{name}}}")))
}

fn path_parameter(name: &str) -> Value {
    let (description, example) = match name {
        "vid" => ("Number of a version.", "1"),
        _ => ("Id of the resource.", "600000900001"),
    };
    json!({
        "name": name,
        "in": "path",
        "required": true,
        "description": description,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9.-]{1,64}$"},
        "example": example,
    })
}

fn query_parameter(settings: &GatewaySettings, name: &str, groups: &[Stakeholder]) -> Value {
    let mut parameter = json!({
        "name": name,
        "in": "query",
        "description": words(settings, name, groups),
        "schema": schema(settings, name),
    });
    if groups.len() < Stakeholder::ALL.len() {
        parameter["x-stakeholder-groups"] = groups.iter().map(ToString::to_string).collect();
    }
    parameter
}

fn schema(settings: &GatewaySettings, name: &str) -> Value {
    let values = settings.parameter_texts.get(name).map_or(&[][..], |text| &text.values);
    match (values, name) {
        ([], "_count") => json!({"type": "integer", "minimum": 0}),
        ([], _) => json!({"type": "string"}),
        (values, _) => json!({"type": "string", "enum": values}),
    }
}

fn words(settings: &GatewaySettings, name: &str, groups: &[Stakeholder]) -> String {
    // As an example of OpenAPI, Swagger UI would fill it in and send it.
    let text = settings.parameter_texts.get(name).map_or_else(String::new, |text| match &text.example {
        Some(example) => format!("{} For example `{example}`.", text.description),
        None => text.description.clone(),
    });
    if groups.len() == Stakeholder::ALL.len() {
        return text;
    }
    let names: Vec<String> = groups.iter().map(ToString::to_string).collect();
    let names = match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => "nobody".to_owned(),
    };
    let mark = if text.is_empty() { "" } else { "\n\n" };
    format!(
        "{text}{mark}For clients of the groups {names} only; 403 for others, as the answer would be about what they do not see."
    )
}

/// The conditions that an operation judges (RFC 9110 §13): none of a search by POST. Searches, and all that the gateway
/// filters, have no time of their last change.
pub(super) fn conditions(product: &Product, operation: &Operation) -> &'static [&'static str] {
    use config::Interaction::{Everything, History, Merge, Read, Search, TransactionResponse, Vread};
    match operation.interaction {
        Merge | TransactionResponse => &[],
        Search if is_form(operation) => &[],
        Search => &["If-None-Match", "If-Match"],
        _ if product.foreign.is_some() => &["If-None-Match", "If-Match"],
        Read | Vread | History | Everything => {
            &["If-None-Match", "If-Match", "If-Modified-Since", "If-Unmodified-Since"]
        }
    }
}

/// The request headers that mean something to an operation.
fn header_names(settings: &GatewaySettings, product: &Product, operation: &Operation) -> Vec<&'static str> {
    let mut names = match operation.interaction {
        config::Interaction::Search => vec!["Prefer"],
        config::Interaction::Merge => vec!["Idempotency-Key", "Prefer-Async"],
        _ => vec![],
    };
    names.extend(conditions(product, operation));
    names.push("X-Request-Id");
    if settings.sandbox {
        names.push("X-Sandbox-Fault");
    }
    names
}

fn header_parameter(name: &str) -> Value {
    // One header, two meanings: what is shared has a key of its own.
    let header = if name == "Prefer-Async" { "Prefer" } else { name };
    let (description, schema) = match name {
        "Prefer" => (
            "`handling=lenient` has unknown parameters ignored instead of refused (FHIR search).",
            json!({"type": "string", "enum": ["handling=strict", "handling=lenient"]}),
        ),
        "Prefer-Async" => (
            "`respond-async` has the merge done later: 202 with the address of its outcome (RFC 7240 section 4.1).",
            json!({"type": "string", "enum": ["respond-async"]}),
        ),
        "Idempotency-Key" => (
            "A text of your own that names this merge, best a UUID. Sent again with it, after a lost answer say, the \
             merge is not done twice.",
            json!({"type": "string", "minLength": 1, "maxLength": 128}),
        ),
        "If-None-Match" => {
            ("The `ETag` of what you have: 304 while it is the same.", json!({"type": "string"}))
        }
        "If-Modified-Since" => {
            ("The `Last-Modified` of what you have: 304 while it is the same.", json!({"type": "string"}))
        }
        "If-Match" => {
            ("The `ETag` of the state that is assumed: 412 when it is another.", json!({"type": "string"}))
        }
        "If-Unmodified-Since" => (
            "The `Last-Modified` of the state that is assumed: 412 when it changed.",
            json!({"type": "string"}),
        ),
        "X-Sandbox-Fault" => (
            "Sandbox only: the answer goes wrong on purpose. `429` and `503` refuse with `Retry-After` before anything \
             is done; `slow=2s` (up to 60s) waits first; `truncate` does what was asked and breaks the answer off \
             halfway.",
            json!({"type": "string", "pattern": "^(429|503|truncate|slow=[0-9]+(ms|s))$"}),
        ),
        _ => (
            "An id of your own for this request, found again in the answer and in logs. One is made otherwise.",
            json!({"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"}),
        ),
    };
    json!({"name": header, "in": "header", "description": description, "schema": schema})
}
