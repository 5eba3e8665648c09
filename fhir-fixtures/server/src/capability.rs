//! The CapabilityStatement of each API product, from the same data as its routes.

use axum::{extract::Request, response::Response};
use bytes::Bytes;
use config::{ApiProduct, Interaction, Operation, ParameterTexts};
use fhir_model::{
    ResourceType, link_parameters,
    search::{self, ParameterKind},
};
use pms_terms::FhirVersion;
use serde_json::{Value, json};

use crate::{
    answer::{self, Look},
    bundle::Base,
    state::State,
};

/// The one thing that is told to everybody: what the API can do. Nothing in it hangs on the caller.
pub(crate) fn answer(state: &State, product: &ApiProduct, request: &Request) -> Response {
    let look = Look::guessed(request.uri(), request.headers(), product.fhir_version);
    let format = form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
        .find(|(name, _)| name == "_format")
        .map(|(_, format)| format.into_owned());
    if let Err(refusal) = answer::negotiate(format.as_deref(), request.headers()) {
        return refusal.respond("", look);
    }
    let base = Base::of(request.uri(), request.headers(), &product.base_path);
    let statement =
        statement(&state.parameter_texts, product, &base, &fhir_store::instant_text(state.started_at));
    let body = Bytes::from(statement.to_string());
    answer::ok(body, None, request.headers(), look).unwrap_or_else(|refusal| refusal.respond("", look))
}

fn statement(texts: &ParameterTexts, product: &ApiProduct, base: &Base, date: &str) -> Value {
    let offered: Vec<&Operation> = product.operations.iter().collect();
    // What is no FHIR type has no place among the resources.
    let resources: Vec<Value> = ResourceType::ALL
        .into_iter()
        .map(|known| known.as_str_in(product.fhir_version))
        .filter_map(|name| resource(name, &offered, texts, product.fhir_version))
        .collect();
    let mut rest = json!({"mode": "server", "documentation": documentation(&offered)});
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
        "description": "Medicinal products. What a caller sees depends on its access level; what it may not see does not \
                        exist for it.",
        "kind": "instance",
        "software": {"name": "pmsgate product backend", "version": env!("CARGO_PKG_VERSION")},
        "implementation": {"description": product.title, "url": base.as_str()},
        "fhirVersion": product.fhir_version.as_str(),
        "format": ["json", "xml", answer::FHIR_JSON, fhir_model::xml::MEDIA_TYPE],
        "rest": [rest],
    })
}

/// What the elements of a CapabilityStatement have no place for.
fn documentation(offered: &[&Operation]) -> String {
    let general =
        "Errors are OperationOutcomes. Search by GET has at most 10 parameters and 2048 characters.";
    match offered.iter().find(|operation| operation.interaction == Interaction::TransactionResponse) {
        None => general.to_owned(),
        Some(operation) => format!(
            "{general} A merge that is done later is answered with 202 and Content-Location; {} {} there gives 202 \
             until its outcome is known, then the outcome.",
            operation.method.as_str(),
            operation.path
        ),
    }
}

/// One resource type, if anything of it is offered.
fn resource(
    name: &str,
    offered: &[&Operation],
    texts: &ParameterTexts,
    version: FhirVersion,
) -> Option<Value> {
    let here: Vec<&Operation> =
        offered.iter().copied().filter(|operation| operation.resource_type == name).collect();
    if here.is_empty() {
        return None;
    }
    let of = |wanted: Interaction| {
        here.iter().copied().find(|operation| operation.interaction == wanted && !operation.form)
    };
    let mut resource = json!({"type": name});
    let interactions: Vec<Value> = [
        (Interaction::Read, "read"),
        (Interaction::Vread, "vread"),
        (Interaction::History, "history-instance"),
        (Interaction::Search, "search-type"),
    ]
    .into_iter()
    .filter_map(|(interaction, code)| of(interaction).map(|operation| (operation, code)))
    .map(|(operation, code)| json!({"code": code, "documentation": words(operation, &here)}))
    .collect();
    if !interactions.is_empty() {
        resource["interaction"] = Value::Array(interactions);
    }
    resource["versioning"] = json!("versioned");
    resource["readHistory"] = json!(of(Interaction::Vread).is_some());
    resource["updateCreate"] = json!(false);
    resource["conditionalCreate"] = json!(false);
    let conditional = if of(Interaction::Read).is_some() { "full-support" } else { "not-supported" };
    resource["conditionalRead"] = json!(conditional);
    resource["conditionalUpdate"] = json!(false);
    resource["conditionalDelete"] = json!("not-supported");
    resource["referencePolicy"] = json!(["literal"]);
    if let Some(search) = of(Interaction::Search) {
        let admits = |wanted: &str| search.parameters.iter().any(|parameter| parameter == wanted);
        for (member, parameter, reverse) in
            [("searchInclude", "_include", false), ("searchRevInclude", "_revinclude", true)]
        {
            if admits(parameter) {
                resource[member] = inclusions(name, version, reverse);
            }
        }
        resource["searchParam"] = Value::Array(parameters(search, texts, version));
    }
    let operations: Vec<Value> = [
        (Interaction::Everything, "everything", "http://hl7.org/fhir/OperationDefinition/"),
        (Interaction::Merge, "merge", "https://pmsgate.example/fhir/OperationDefinition/"),
    ]
    .into_iter()
    .filter_map(|(interaction, code, place)| of(interaction).map(|operation| (operation, code, place)))
    .map(|(operation, code, place)| {
        let definition = format!("{place}{name}-{code}");
        json!({"name": code, "definition": definition, "documentation": words(operation, &here)})
    })
    .collect();
    if !operations.is_empty() {
        resource["operation"] = Value::Array(operations);
    }
    Some(resource)
}

/// An operation by its number, and where it may be sent as a form.
fn words(operation: &Operation, all: &[&Operation]) -> String {
    let form = all.iter().find(|one| one.form && one.interaction == operation.interaction);
    let form = form.map(|form| format!("; by POST to {}, too", form.path)).unwrap_or_default();
    format!("{} {}{form}", operation.ep, operation.title)
}

/// What may be included with the type that is searched for: what it points to, or what points to it.
fn inclusions(name: &str, version: FhirVersion, reverse: bool) -> Value {
    /// Parameters whose links lead to a product.
    const TO_THE_PRODUCT: [&str; 5] = ["for", "form-of", "package-for", "product", "subject"];
    link_parameters::all(version)
        .into_iter()
        .map(|parameter| (parameter.resource_type.as_str_in(version), parameter.name))
        .filter(|(source, parameter)| {
            let own = *source == name;
            if reverse { !own && TO_THE_PRODUCT.contains(parameter) } else { own }
        })
        .map(|(source, parameter)| format!("{source}:{parameter}"))
        .collect()
}

fn parameters(search: &Operation, texts: &ParameterTexts, version: FhirVersion) -> Vec<Value> {
    let restricted = search.restricted_parameters.iter().filter(|(_, groups)| !groups.is_empty());
    let everybody = search.parameters.iter().map(|name| (name, None));
    everybody
        .chain(restricted.map(|(name, groups)| (name, Some(groups))))
        .filter_map(|(name, groups)| {
            let (kind, definition) = match name.as_str() {
                "_id" => ("token", "Resource-id".to_owned()),
                "_lastUpdated" => ("date", "Resource-lastUpdated".to_owned()),
                _ => {
                    let (_, kind, _) = search::PARAMETERS.iter().find(|(known, _, _)| known == name)?;
                    let kind = match kind {
                        ParameterKind::Token => "token",
                        ParameterKind::Text => "string",
                        ParameterKind::Reference => "reference",
                    };
                    (kind, format!("{}-{name}", search.resource_type))
                }
            };
            let mut parameter = json!({"name": name});
            // 4.4.0 was a ballot, and has not published all of them.
            if version == FhirVersion::V5_0_0 {
                parameter["definition"] = json!(format!("http://hl7.org/fhir/SearchParameter/{definition}"));
            }
            parameter["type"] = json!(kind);
            let text = texts.get(name).map_or("", |text| &text.description);
            let text = match groups {
                None => text.to_owned(),
                Some(groups) => {
                    let groups: Vec<&str> = groups.iter().map(|group| group.as_str()).collect();
                    format!("{text} For callers of these groups only: {}.", groups.join(", "))
                }
            };
            if !text.is_empty() {
                parameter["documentation"] = json!(text.trim_start());
            }
            Some(parameter)
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
