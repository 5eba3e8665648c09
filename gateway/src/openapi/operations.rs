//! What each kind of interaction does: words, request body, answers.

use config::Interaction;
use serde_json::{Map, Value, json};

use super::{
    SCHEME,
    answers::{self, fhir},
    examples, parameters,
};
use crate::{
    routes::{Operation, Product},
    settings::GatewaySettings,
};

/// One operation.
pub(super) fn operation(settings: &GatewaySettings, product: &Product, operation: &Operation) -> Value {
    let mut described = json!({
        "operationId": operation.ep,
        "tags": [operation.resource_type],
        "summary": format!("{}: {}", operation.ep, operation.title),
        "description": words(operation),
        "security": [{SCHEME: [operation.scope_text]}],
        "parameters": parameters::of(settings, product, operation),
    });
    if let Some(body) = request_body(settings, product, operation) {
        described["requestBody"] = body;
    }
    let mut responses = successes(product, operation);
    for status in answers::refusals_of(product, operation) {
        responses.insert(
            status.to_owned(),
            json!({"$ref": format!("#/components/responses/{}", answers::name(status))}),
        );
    }
    described["responses"] = Value::Object(responses);
    described
}

/// `/metadata`, which needs no token.
pub(super) fn metadata(product: &Product) -> Value {
    json!({"get": {
        "operationId": "metadata",
        "tags": ["CapabilityStatement"],
        "summary": "What this API can do",
        "description": "The CapabilityStatement: operations, search parameters, formats, and where tokens are had. Open to everybody.",
        "security": [],
        "responses": {"200": {
            "description": "The CapabilityStatement.",
            "headers": {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}},
            "content": fhir("Resource", &examples::capability_statement(product)),
        }},
    }})
}

fn words(operation: &Operation) -> &'static str {
    match operation.interaction {
        Interaction::Search => {
            "Products that fit all parameters, of those the client may know of. A repeated parameter narrows, a comma \
             within one widens; at most 10 parameters and 2,048 characters. Follow the links of the answer for more \
             pages: they stay right while data changes, and are good for the client that got them."
        }
        Interaction::Read => "The product itself as it is now, with what the client may see of it.",
        Interaction::Vread => {
            "An earlier version of the product, with what the client may see by today's policy."
        }
        Interaction::History => {
            "All versions of the product, the newest first, with what the client may see by today's policy."
        }
        Interaction::Everything => {
            "The product with all resources that belong to it, as far as the client may see them. `meta.versionId` of \
             each is what a merge sends back."
        }
        Interaction::Merge => {
            "Changes a product by a transaction Bundle: the product always, each changed resource complete and with \
             the `meta.versionId` that it was read with, new ones under a `urn:uuid`. All of it is done or none. What \
             the client could not see stays as it is. Small merges are done at once, others are worked off in order \
             for each product."
        }
        Interaction::TransactionResponse => {
            "The outcome of a merge that was answered with 202; kept for 90 days. Only for the client that sent it."
        }
    }
}

fn request_body(settings: &GatewaySettings, product: &Product, operation: &Operation) -> Option<Value> {
    if parameters::is_form(operation) {
        let schema = parameters::form(settings, operation);
        return Some(json!({
            "description": "The search parameters as a form: for what is too long for an address, or too private.",
            "content": {"application/x-www-form-urlencoded": {"schema": schema, "example": {"name": "Fictizol"}}},
        }));
    }
    (operation.interaction == Interaction::Merge).then(|| {
        json!({
            "description": "A Bundle of type `transaction`.",
            "required": true,
            "content": fhir("Bundle", &examples::merge_request(product)),
        })
    })
}

/// The answers that are no refusal.
fn successes(product: &Product, operation: &Operation) -> Map<String, Value> {
    let conditions = parameters::conditions(product, operation);
    let headers = |names: &[&str]| {
        let mut all = names.to_vec();
        if answers::may_be_kept(product, operation) {
            all.extend(["Age", "Cache-Status"]);
        }
        answers::header_references(all.into_iter().chain(["RateLimit-Policy", "RateLimit"]))
    };
    let validators: &[&str] = match conditions {
        [] => &[],
        conditions if conditions.contains(&"If-Modified-Since") => &["ETag", "Last-Modified"],
        _ => &["ETag"],
    };
    let done = |description: &str, schema: &str, example: &Value| json!({"description": description, "headers": headers(validators), "content": fhir(schema, example)});
    let running =
        |description: &str, names: &[&str]| json!({"description": description, "headers": headers(names)});
    let mut answers = match operation.interaction {
        Interaction::Search => {
            vec![("200", done("A page of products.", "Bundle", &examples::page(product, operation)))]
        }
        Interaction::Read | Interaction::Vread => {
            vec![("200", done("The product.", "Resource", &examples::product()))]
        }
        Interaction::History => vec![("200", done("The versions.", "Bundle", &examples::history(product)))],
        Interaction::Everything => {
            let example = examples::everything(product);
            vec![("200", done("The product and its resources.", "Bundle", &example))]
        }
        Interaction::Merge => vec![
            ("200", done("Done.", "Bundle", &examples::merge_response(product))),
            (
                "202",
                running(
                    "Accepted, to be done later; its outcome is at `Content-Location`.",
                    &["Content-Location", "Retry-After"],
                ),
            ),
        ],
        Interaction::TransactionResponse => vec![
            (
                "200",
                done("Done or refused; the Bundle says which.", "Bundle", &examples::merge_response(product)),
            ),
            ("202", running("Not done yet.", &["Retry-After"])),
        ],
    };
    if !conditions.is_empty() {
        answers.push(("304", running("What you have is up to date.", validators)));
    }
    answers.into_iter().map(|(status, answer)| (status.to_owned(), answer)).collect()
}
