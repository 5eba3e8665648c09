//! OpenAPI 3.1 of an API product, written from the same routes that the gateway answers by.

mod answers;
mod examples;
mod operations;
mod parameters;

use serde_json::{Map, Value, json};

use crate::{
    routes::{Product, RouteTableError, Routes},
    settings::GatewaySettings,
};

/// The name of the security scheme in the documents.
const SCHEME: &str = "clientCredentials";

/// The document of every API product, by the product's id, in the order of the data file.
///
/// # Errors
/// A route table that makes no sense.
pub fn documents(settings: &GatewaySettings) -> Result<Vec<(String, Value)>, RouteTableError> {
    let routes = Routes::compile(settings)?;
    let mut products: Vec<&Product> = routes.products().iter().collect();
    products.sort_by_key(|product| product.index);
    Ok(products.into_iter().map(|product| (product.id.clone(), document(settings, product))).collect())
}

/// The document of one API product.
pub fn document(settings: &GatewaySettings, product: &Product) -> Value {
    let mut paths = Map::new();
    for operation in &product.operations {
        let described = operations::operation(settings, product, operation);
        let path = paths.entry(operation.template.clone()).or_insert_with(|| json!({}));
        path[operation.method.as_str().to_ascii_lowercase()] = described;
    }
    paths.insert("/metadata".to_owned(), operations::metadata(product));
    let tags: Vec<Value> = tags(product)
        .into_iter()
        .map(|tag| json!({"name": tag, "externalDocs": {"url": definition_page(product, tag)}}))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": product.title,
            "version": version(product),
            "summary": format!("Medicinal products as FHIR {}", product.fhir_version),
            "description": description(settings, product),
        },
        "servers": [{"url": product.public_base}],
        "tags": tags,
        "paths": paths,
        "components": {
            "securitySchemes": {SCHEME: security_scheme(settings, product)},
            "parameters": parameters::shared(settings, product),
            "headers": answers::headers(product),
            "responses": answers::refusals(settings, product),
            "schemas": answers::schemas(),
        },
    })
}

/// The version of the API: the last part of its base path.
fn version(product: &Product) -> &str {
    product.base_path.rsplit('/').next().unwrap_or_default()
}

fn tags(product: &Product) -> Vec<&str> {
    let mut tags: Vec<&str> = Vec::new();
    for operation in &product.operations {
        if !tags.contains(&operation.resource_type.as_str()) {
            tags.push(&operation.resource_type);
        }
    }
    tags.push("CapabilityStatement");
    tags
}

/// Where FHIR describes a resource type in this product's version. What is no FHIR type is described by the agency.
fn definition_page(product: &Product, resource_type: &str) -> String {
    if resource_type == "TransactionResponse" {
        return format!("{}/metadata", product.public_base);
    }
    format!("{}/{}.html", edition(product), resource_type.to_ascii_lowercase())
}

/// Where the pages of the product's FHIR version are.
const fn edition(product: &Product) -> &'static str {
    match product.fhir_version {
        pms_terms::FhirVersion::V4_4_0 => "https://hl7.org/fhir/2020May",
        pms_terms::FhirVersion::V5_0_0 => "https://hl7.org/fhir/R5",
    }
}

fn description(settings: &GatewaySettings, product: &Product) -> String {
    let roles = product.roles.join("`, `");
    let mut text = format!(
        "Every operation but `/metadata` needs an access token of a client with one of the roles `{roles}`. Get one \
         by OAuth 2.0 client credentials from `{token_endpoint}` with the scope `{resource}/.default` and send it as \
         `Authorization: Bearer …`.\n\n\
         What a client sees depends on its access level. What it may not see does not exist for it: the same 404 as \
         for an id that was never given. A resource from which something was taken out carries the tag `SUBSETTED`.\n\n\
         Errors are OperationOutcomes with the id of the rule in `details.coding` and the request id in \
         `diagnostics`. Wait for `Retry-After` seconds after 429 and 503.",
        token_endpoint = settings.token_endpoint,
        resource = product.resource,
    );
    if settings.sandbox {
        text.push_str(
            "\n\nThis is a sandbox: with the header `X-Sandbox-Fault` an answer goes wrong as asked for, so that a \
             client can learn to bear it.",
        );
    }
    text
}

fn security_scheme(settings: &GatewaySettings, product: &Product) -> Value {
    let mut scopes = Map::new();
    let all = format!("Everything that the client may do on {}", product.resource);
    scopes.insert(format!("{}/.default", product.resource), Value::from(all));
    for operation in &product.operations {
        let entry = scopes.entry(operation.scope_text.clone()).or_insert_with(|| Value::from(""));
        let said = entry.as_str().unwrap_or_default();
        let comma = if said.is_empty() { "" } else { ", " };
        *entry = Value::from(format!("{said}{comma}{} {}", operation.ep, operation.title));
    }
    json!({
        "type": "oauth2",
        "description": "OAuth 2.0 client credentials (RFC 6749 section 4.4) with HTTP Basic or a form body. A scope \
                        asks for all that the client may do, or for less.",
        "flows": {"clientCredentials": {"tokenUrl": settings.token_endpoint, "scopes": scopes}},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{routes::testing::routes, testing::settings};

    #[test]
    fn the_document_has_every_route_with_its_parameters_and_scope() {
        let routes = routes();
        let settings = settings("http://127.0.0.1:9");
        for product in routes.products() {
            let document = document(&settings, product);
            assert_eq!(document["info"]["version"], version(product));
            for operation in &product.operations {
                let method = operation.method.as_str().to_ascii_lowercase();
                let described = &document["paths"][&operation.template][&method];
                assert_eq!(described["operationId"], operation.ep);
                assert_eq!(described["security"][0][SCHEME][0], operation.scope_text);
            }
        }
    }

    /// Every `$ref` leads somewhere, and nothing is offered that nothing uses.
    #[test]
    fn references_and_components_fit_together() {
        let routes = routes();
        let settings = settings("http://127.0.0.1:9");
        for product in routes.products() {
            let document = document(&settings, product);
            let text = document.to_string();
            for (at, _) in text.match_indices("\"$ref\":\"#") {
                let pointer = text[at + 9..].split('"').next().unwrap();
                assert!(document.pointer(pointer).is_some(), "{}: {pointer}", product.id);
            }
            for kind in ["parameters", "headers", "responses", "schemas"] {
                for name in document["components"][kind].as_object().unwrap().keys() {
                    let used = format!("\"#/components/{kind}/{name}\"");
                    assert!(text.contains(&used), "{}: nothing uses {used}", product.id);
                }
            }
        }
    }

    #[test]
    fn conditions_limits_and_kept_answers_are_named_where_they_apply() {
        let routes = routes();
        let mut settings = settings("http://127.0.0.1:9");
        let product =
            |id: &str| document(&settings, routes.products().iter().find(|one| one.id == id).unwrap());
        let read = product("pms-read-v3");
        let at = |path: &str, method: &str| &read["paths"][path][method];
        let has = |operation: &Value, name: &str| {
            let reference = format!("#/components/parameters/{name}");
            operation["parameters"].as_array().unwrap().iter().any(|one| one["$ref"] == *reference)
        };
        let headers = |operation: &Value, status: &str| {
            let headers = operation["responses"][status]["headers"].as_object();
            let mut names: Vec<_> = headers.into_iter().flat_map(|all| all.keys().cloned()).collect();
            names.sort();
            names.join(" ")
        };
        let of_time = ["If-Modified-Since", "If-Unmodified-Since"];
        for (path, by_time) in [
            ("/MedicinalProductDefinition", false),
            ("/MedicinalProductDefinition/{id}", true),
            ("/MedicinalProductDefinition/{id}/$everything", true),
        ] {
            let operation = at(path, "get");
            assert!(has(operation, "If-None-Match") && has(operation, "If-Match"), "{path}");
            assert!(of_time.iter().all(|name| has(operation, name) == by_time), "{path}");
            let validators = if by_time { "ETag Last-Modified " } else { "ETag " };
            let (more, last) = ("Age Cache-Status ", "RateLimit RateLimit-Policy X-Request-Id");
            let expected = format!("{more}{validators}{last}");
            assert_eq!(
                (headers(operation, "200"), headers(operation, "304")),
                (expected.clone(), expected),
                "{path}"
            );
            assert!(operation["responses"]["412"].is_object(), "{path}");
        }
        let form = at("/MedicinalProductDefinition/_search", "post");
        assert!(!has(form, "If-None-Match") && form["responses"]["412"].is_null());
        let merge = &product("pms-write-v5-alpha")["paths"]["/MedicinalProductDefinition/$merge"]["post"];
        assert_eq!(headers(merge, "200"), "RateLimit RateLimit-Policy X-Request-Id");
        for (status, told) in [("Unauthorized", false), ("TooManyRequests", true), ("NotFound", true)] {
            let headers = &read["components"]["responses"][status]["headers"];
            assert_eq!(
                headers["RateLimit"].is_object() && headers["RateLimit-Policy"].is_object(),
                told,
                "{status}"
            );
        }

        settings.products = vec![crate::testing::partner("http://127.0.0.1:9")];
        let routes = Routes::compile(&settings).unwrap();
        let filtered = document(&settings, &routes.products()[0]);
        assert!(filtered["components"]["parameters"]["If-Match"].is_object());
        for name in ["Last-Modified", "Cache-Status"] {
            assert!(filtered["components"]["headers"][name].is_null(), "{name}");
        }
    }

    #[test]
    fn who_may_use_a_parameter_is_said() {
        let routes = routes();
        let settings = settings("http://127.0.0.1:9");
        let product = routes.products().iter().find(|product| product.id == "pms-read-v3").unwrap();
        let search = &document(&settings, product)["paths"]["/MedicinalProductDefinition"]["get"];
        let contact = search["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .find(|parameter| parameter["name"] == "contact")
            .unwrap();
        assert_eq!(contact["x-stakeholder-groups"], json!(["nca", "ema"]));
        assert!(contact["description"].as_str().unwrap().contains("nca and ema"), "{contact}");
    }
}
