//! The CapabilityStatement of each API product, from the same data as its routes.

use axum::{extract::Request, response::Response};
use bytes::Bytes;
use config::{ApiProduct, Interaction, Operation};
use fhir_model::search::{self, ParameterKind};
use pms_terms::FhirVersion;
use serde_json::{Value, json};

use crate::{answer, bundle::Base, router::is_offered, state::State};

/// The one thing that is told to everybody: what the API can do. Nothing in it hangs on the caller.
pub(crate) fn answer(state: &State, product: &ApiProduct, request: &Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let value = |name: &str| {
        form_urlencoded::parse(query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    };
    if let Err(refusal) = answer::negotiate(value("_format").as_deref(), request.headers()) {
        return refusal.respond("");
    }
    let base = Base::of(request.uri(), request.headers(), &product.base_path);
    let statement = statement(product, &base, &fhir_store::instant_text(state.started_at));
    let pretty = value("_pretty").as_deref() == Some("true");
    answer::ok(Bytes::from(statement.to_string()), None, request.headers(), pretty)
}

fn statement(product: &ApiProduct, base: &Base, date: &str) -> Value {
    let offered: Vec<&Operation> =
        product.operations.iter().filter(|operation| is_offered(operation)).collect();
    let mut types: Vec<&str> = offered.iter().map(|operation| operation.resource_type.as_str()).collect();
    types.sort_unstable();
    types.dedup();
    let resources: Vec<Value> =
        types.into_iter().map(|name| resource(name, &offered, product.fhir_version)).collect();
    let mut rest = json!({"mode": "server"});
    if !resources.is_empty() {
        rest["resource"] = Value::Array(resources);
    }
    json!({
        "resourceType": "CapabilityStatement",
        "id": product.id,
        "url": base.link("/metadata", ""),
        "version": env!("CARGO_PKG_VERSION"),
        "name": name_of(&product.id),
        "title": product.title,
        "status": "active",
        "experimental": true,
        "date": date,
        "description": "Reads of medicinal products. What a caller sees depends on its access level.",
        "kind": "instance",
        "software": {"name": "pmsgate product backend", "version": env!("CARGO_PKG_VERSION")},
        "implementation": {"description": product.title, "url": base.as_str()},
        "fhirVersion": product.fhir_version.as_str(),
        "format": ["json"],
        "rest": [rest],
    })
}

fn resource(name: &str, offered: &[&Operation], version: FhirVersion) -> Value {
    let here: Vec<&&Operation> = offered.iter().filter(|operation| operation.resource_type == name).collect();
    let has = |wanted: Interaction| here.iter().any(|operation| operation.interaction == wanted);
    let interactions: Vec<Value> = [
        (Interaction::Read, "read"),
        (Interaction::Vread, "vread"),
        (Interaction::History, "history-instance"),
        (Interaction::Search, "search-type"),
    ]
    .into_iter()
    .filter(|(interaction, _)| has(*interaction))
    .map(|(_, code)| json!({"code": code}))
    .collect();
    let mut resource = json!({"type": name});
    if !interactions.is_empty() {
        resource["interaction"] = Value::Array(interactions);
    }
    resource["versioning"] = json!("versioned");
    resource["readHistory"] = json!(has(Interaction::Vread));
    resource["conditionalRead"] = json!("full-support");
    let search = here.iter().find(|operation| operation.interaction == Interaction::Search);
    let parameters: Vec<Value> = search.into_iter().flat_map(|operation| parameters(operation)).collect();
    if !parameters.is_empty() {
        resource["searchParam"] = Value::Array(parameters);
    }
    if has(Interaction::Everything) {
        let definition =
            format!("http://hl7.org/fhir/{}/OperationDefinition/{name}-everything", edition(version));
        resource["operation"] = json!([{"name": "everything", "definition": definition}]);
    }
    resource
}

/// The path of a FHIR version's own pages.
const fn edition(version: FhirVersion) -> &'static str {
    match version {
        FhirVersion::V4_4_0 => "2020May",
        FhirVersion::V5_0_0 => "R5",
    }
}

fn parameters(operation: &Operation) -> Vec<Value> {
    let mut names: Vec<&str> = operation.parameters.iter().map(String::as_str).collect();
    let restricted = operation.restricted_parameters.iter().filter(|(_, groups)| !groups.is_empty());
    names.extend(restricted.map(|(name, _)| name.as_str()));
    names
        .into_iter()
        .filter_map(|name| {
            let kind = match name {
                "_id" => "token",
                "_lastUpdated" => "date",
                _ => match search::PARAMETERS.iter().find(|(known, _, _)| *known == name)?.1 {
                    ParameterKind::Token => "token",
                    ParameterKind::Text => "string",
                    ParameterKind::Reference => "reference",
                },
            };
            Some(json!({"name": name, "type": kind}))
        })
        .collect()
}

/// A name that a program could use: `pms-read-v3` → `PmsReadV3`.
fn name_of(id: &str) -> String {
    id.split('-')
        .flat_map(|word| {
            let mut letters = word.chars();
            letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters)
        })
        .collect()
}
