//! Open documents: the upstream's CapabilityStatement cut to what the route table admits and completed by our
//! security section, protected-resource metadata, the SMART configuration.

mod xml;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use access_token::ProofAlgorithm;
use bytes::Bytes;
use config::Interaction;
use http::HeaderValue;
use pms_terms::FhirVersion;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::{
    openapi,
    routes::{Document, Operation, Product, Routes},
    settings::GatewaySettings,
    swagger::{self, SwaggerUi},
    upstream::links::rewrite_address,
};

/// How long a CapabilityStatement is kept before the upstream is asked again.
const FRESH_FOR: Duration = Duration::from_secs(60);
/// The largest CapabilityStatement that is read from an upstream, in bytes.
pub const MAX_STATEMENT: usize = 2 * 1024 * 1024;

/// The CapabilityStatements of all products, as they are answered.
#[derive(Debug)]
pub struct Statements {
    token_endpoint: String,
    kept: Vec<Mutex<Option<Kept>>>,
}

#[derive(Clone, Debug)]
struct Kept {
    since: Instant,
    statement: Statement,
}

/// A CapabilityStatement in both formats.
#[derive(Clone, Debug)]
pub struct Statement {
    /// `application/fhir+json`.
    pub json: Bytes,
    /// `application/fhir+xml`.
    pub xml: Bytes,
}

impl Statement {
    /// In the format that was asked for.
    pub fn sheet(self, xml: bool) -> Sheet {
        let (media_type, bytes) =
            if xml { ("application/fhir+xml", self.xml) } else { ("application/fhir+json", self.json) };
        Sheet { media_type, bytes, policy: None }
    }
}

/// An upstream's answer to `/metadata` that is no CapabilityStatement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a CapabilityStatement")]
pub struct NoStatement;

impl Statements {
    /// Nothing is kept yet.
    pub fn new(routes: &Routes, token_endpoint: String) -> Self {
        Self { token_endpoint, kept: routes.products().iter().map(|_| Mutex::default()).collect() }
    }

    /// The statement to answer with, and whether it is still fresh. An old one serves while the upstream is down.
    pub fn find(&self, product: &Product) -> Option<(Statement, bool)> {
        let kept = self.kept.get(product.index)?.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        Some((kept.statement, kept.since.elapsed() < FRESH_FOR))
    }

    /// Turns the upstream's statement into ours and keeps it.
    pub fn keep(&self, product: &Product, upstream: &[u8]) -> Result<Statement, NoStatement> {
        let statement: Value = serde_json::from_slice(upstream).map_err(|_| NoStatement)?;
        let ours = admitted(statement, product, &self.token_endpoint)?;
        let statement =
            Statement { json: Bytes::from(ours.to_string()), xml: Bytes::from(xml::write(&ours)) };
        if let Some(place) = self.kept.get(product.index) {
            let kept = Kept { since: Instant::now(), statement: statement.clone() };
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
        }
        Ok(statement)
    }
}

/// Pure: the statement with our address and security, and nothing the route table does not admit.
pub fn admitted(mut statement: Value, product: &Product, token_endpoint: &str) -> Result<Value, NoStatement> {
    let Some(members) = statement.as_object_mut() else { return Err(NoStatement) };
    if members.get("resourceType").and_then(Value::as_str) != Some("CapabilityStatement") {
        return Err(NoStatement);
    }
    if let Some(Value::String(url)) = members.get_mut("url")
        && let Some(ours) = rewrite_address(url, &product.upstream_base, &product.public_base)
    {
        *url = ours;
    }
    match members.entry("implementation").or_insert_with(|| json!({"description": product.title})) {
        Value::Object(implementation) => {
            implementation.insert("url".to_owned(), json!(product.public_base));
        }
        other => *other = json!({"description": product.title, "url": product.public_base}),
    }
    for rest in members.get_mut("rest").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(rest) = rest.as_object_mut() else { continue };
        rest.insert("security".to_owned(), security(product.fhir_version, token_endpoint));
        // System-wide interactions and searches have no route.
        for system_wide in ["interaction", "searchParam", "compartment"] {
            rest.remove(system_wide);
        }
        keep_operations(rest, product.operations.iter());
        retain(rest, "resource", |resource| admit_resource(resource, product));
    }
    xml::put_in_order(&mut statement);
    Ok(statement)
}

/// Cuts one resource of the statement; says whether anything of it is admitted.
fn admit_resource(resource: &mut Value, product: &Product) -> bool {
    let Some(resource) = resource.as_object_mut() else { return false };
    let Some(name) = resource.get("type").and_then(Value::as_str).map(str::to_owned) else { return false };
    let operations: Vec<&Operation> = product.operations.iter().filter(|o| o.resource_type == name).collect();
    if operations.is_empty() {
        return false;
    }
    retain(resource, "interaction", |interaction| {
        let code = interaction.get("code").and_then(Value::as_str);
        operations.iter().any(|operation| code.is_some() && code == interaction_code(operation.interaction))
    });
    let parameters: BTreeSet<&str> = operations
        .iter()
        .filter(|operation| operation.interaction == Interaction::Search)
        .flat_map(|operation| operation.parameter_names())
        .collect();
    retain(resource, "searchParam", |parameter| {
        parameter.get("name").and_then(Value::as_str).is_some_and(|name| parameters.contains(name))
    });
    for (member, parameter) in [("searchInclude", "_include"), ("searchRevInclude", "_revinclude")] {
        if !parameters.contains(parameter) {
            resource.remove(member);
        }
    }
    keep_operations(resource, operations.into_iter());
    true
}

fn keep_operations<'a>(holder: &mut Map<String, Value>, operations: impl Iterator<Item = &'a Operation>) {
    let names: BTreeSet<&str> = operations.filter_map(|o| operation_name(o.interaction)).collect();
    retain(holder, "operation", |operation| {
        operation
            .get("name")
            .and_then(Value::as_str)
            .is_some_and(|name| names.contains(name.trim_start_matches('$')))
    });
}

/// Keeps the elements of a list; an empty list does not exist in FHIR.
fn retain(holder: &mut Map<String, Value>, member: &str, mut keep: impl FnMut(&mut Value) -> bool) {
    let Some(list) = holder.get_mut(member) else { return };
    match list.as_array_mut() {
        Some(elements) => elements.retain_mut(|element| keep(element)),
        None => *list = json!([]),
    }
    if list.as_array().is_some_and(Vec::is_empty) {
        holder.remove(member);
    }
}

const fn interaction_code(interaction: Interaction) -> Option<&'static str> {
    match interaction {
        Interaction::Search => Some("search-type"),
        Interaction::Read => Some("read"),
        Interaction::Vread => Some("vread"),
        Interaction::History => Some("history-instance"),
        Interaction::Everything | Interaction::Merge | Interaction::TransactionResponse => None,
    }
}

const fn operation_name(interaction: Interaction) -> Option<&'static str> {
    match interaction {
        Interaction::Everything => Some("everything"),
        Interaction::Merge => Some("merge"),
        _ => None,
    }
}

/// `rest.security` with the SMART extension that names the token endpoint (SMART App Launch 1.0, conformance; read
/// by clients that do not know `.well-known/smart-configuration`).
fn security(version: FhirVersion, token_endpoint: &str) -> Value {
    // The code system moved between the versions.
    let system = match version {
        FhirVersion::V4_4_0 => "http://terminology.hl7.org/CodeSystem/restful-security-service",
        FhirVersion::V5_0_0 => "http://hl7.org/fhir/restful-security-service",
    };
    let known = [
        ("token", Some(token_endpoint.to_owned())),
        ("introspect", beside(token_endpoint, "introspect")),
        ("revoke", beside(token_endpoint, "revoke")),
    ];
    let addresses: Vec<Value> = known
        .into_iter()
        .filter_map(|(name, address)| Some(json!({"url": name, "valueUri": address?})))
        .collect();
    json!({
        "extension": [{
            "url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
            "extension": addresses,
        }],
        "cors": false,
        "service": [{
            "coding": [{"system": system, "code": "SMART-on-FHIR"}],
            "text": "OAuth 2.0 client credentials, bearer tokens with SMART system scopes"
        }],
        "description": "Every operation but this one needs an access token (RFC 6750) from the token endpoint."
    })
}

/// An endpoint of our authorization server that lies beside its token endpoint.
fn beside(token_endpoint: &str, name: &str) -> Option<String> {
    Some(format!("{}/{name}", token_endpoint.strip_suffix("/token")?))
}

/// RFC 9728 §2: what a client needs to know to get a token for a product.
pub fn protected_resource(settings: &GatewaySettings, product: &Product) -> Value {
    json!({
        "resource": product.public_base,
        "resource_name": product.title,
        "authorization_servers": settings.issuers.first().into_iter().collect::<Vec<_>>(),
        "scopes_supported": scopes(product),
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": ProofAlgorithm::NAMES,
        // A client may be held to it: then its tokens are bound, and what is bound is never taken as Bearer.
        "dpop_bound_access_tokens_required": false,
        "tls_client_certificate_bound_access_tokens": settings.certificate_bound_tokens,
        "resource_documentation": format!("{}/swagger", product.public_base),
    })
}

/// SMART App Launch 2.0 §2.2 as far as it concerns backend services.
pub fn smart_configuration(settings: &GatewaySettings, product: &Product) -> Value {
    let issuer = settings.issuers.first().map_or("", String::as_str);
    json!({
        "issuer": issuer,
        "jwks_uri": format!("{}/oauth2/jwks", settings.public_base_url),
        "token_endpoint": settings.token_endpoint,
        "token_endpoint_auth_methods_supported": settings.authentication_methods,
        "token_endpoint_auth_signing_alg_values_supported": ProofAlgorithm::NAMES,
        "introspection_endpoint": beside(&settings.token_endpoint, "introspect"),
        "revocation_endpoint": beside(&settings.token_endpoint, "revoke"),
        "grant_types_supported": ["client_credentials"],
        "scopes_supported": scopes(product),
        "capabilities": ["client-confidential-symmetric", "client-confidential-asymmetric", "permission-v2"],
    })
}

/// The `.default` scope of the product's resource, then the single scopes of its operations.
fn scopes(product: &Product) -> Vec<String> {
    let single: BTreeSet<String> = product.operations.iter().map(|o| o.scope_text.clone()).collect();
    std::iter::once(format!("{}/.default", product.resource)).chain(single).collect()
}

/// The documents that never change while the gateway runs, written once.
#[derive(Debug)]
pub struct Documents {
    written: Vec<Written>,
    swagger: SwaggerUi,
}

#[derive(Debug)]
struct Written {
    protected_resource: Bytes,
    smart_configuration: Bytes,
    openapi: Bytes,
    page: Bytes,
}

/// A document on its way.
#[derive(Debug)]
pub struct Sheet {
    /// Its media type.
    pub media_type: &'static str,
    /// What is in it.
    pub bytes: Bytes,
    /// What a browser may do with it.
    pub policy: Option<HeaderValue>,
}

impl Documents {
    /// Writes them.
    pub fn new(settings: &GatewaySettings, routes: &Routes) -> Arc<Self> {
        let mut products: Vec<&Product> = routes.products().iter().collect();
        products.sort_by_key(|product| product.index);
        let bytes = |value: Value| Bytes::from(value.to_string());
        let written = products
            .into_iter()
            .map(|product| Written {
                protected_resource: bytes(protected_resource(settings, product)),
                smart_configuration: bytes(smart_configuration(settings, product)),
                openapi: bytes(openapi::document(settings, product)),
                page: swagger::page(product),
            })
            .collect();
        Arc::new(Self { written, swagger: SwaggerUi::new(settings) })
    }

    /// A document of a product, but for its CapabilityStatement, which is the upstream's to begin with.
    pub fn find(&self, product: &Product, document: Document) -> Option<Sheet> {
        let written = self.written.get(product.index)?;
        let json =
            |bytes: &Bytes| Sheet { media_type: "application/json", bytes: bytes.clone(), policy: None };
        Some(match document {
            Document::Metadata => return None,
            Document::ProtectedResource => json(&written.protected_resource),
            Document::SmartConfiguration => json(&written.smart_configuration),
            Document::OpenApi => json(&written.openapi),
            Document::Swagger(file) => Sheet {
                media_type: file.media_type(),
                bytes: self.swagger.file(file, &written.page),
                policy: Some(self.swagger.policy()),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{routes::testing::routes, testing::settings};

    #[test]
    fn only_what_is_routed_is_stated() {
        let routes = routes();
        let product = routes.products().iter().find(|p| p.id == "pms-read-v3").unwrap();
        let statement = json!({
            "resourceType": "CapabilityStatement",
            "url": "http://127.0.0.1:9/pms/api/v3/metadata",
            "implementation": {"description": "inner", "url": "http://127.0.0.1:9/pms/api/v3"},
            "rest": [{
                "mode": "server",
                "security": {"description": "none"},
                "interaction": [{"code": "transaction"}],
                "operation": [{"name": "everything", "definition": "a"}, {"name": "purge", "definition": "b"}],
                "resource": [
                    {"type": "MedicinalProductDefinition",
                     "interaction": [{"code": "read"}, {"code": "delete"}, {"code": "search-type"}],
                     "searchInclude": ["*"],
                     "searchParam": [{"name": "name", "type": "string"}, {"name": "secret", "type": "string"}],
                     "operation": [{"name": "$everything", "definition": "a"}, {"name": "merge", "definition": "b"}]},
                    {"type": "Patient", "interaction": [{"code": "read"}]},
                ],
            }],
        });
        let ours = admitted(statement, product, "https://gate.example:8443/oauth2/token").unwrap();
        assert_eq!(ours["url"], "https://gate.example:8443/pms/api/v3/metadata");
        assert_eq!(ours["implementation"]["url"], "https://gate.example:8443/pms/api/v3");
        let rest = &ours["rest"][0];
        assert_eq!(
            rest["security"]["extension"][0]["extension"][0]["valueUri"],
            "https://gate.example:8443/oauth2/token"
        );
        assert_eq!(rest["operation"], json!([{"name": "everything", "definition": "a"}]));
        assert!(rest.get("interaction").is_none());
        assert_eq!(
            rest["resource"],
            json!([{
                "type": "MedicinalProductDefinition",
                "interaction": [{"code": "read"}, {"code": "search-type"}],
                "searchParam": [{"name": "name", "type": "string"}],
                "operation": [{"name": "$everything", "definition": "a"}],
            }])
        );
        assert_eq!(admitted(json!({"resourceType": "Bundle"}), product, ""), Err(NoStatement));
    }

    #[test]
    fn protected_resource_metadata_names_issuer_and_scopes() {
        let routes = routes();
        let product = routes.products().iter().find(|p| p.id == "public-v1").unwrap();
        insta::assert_snapshot!(protected_resource(&settings("http://127.0.0.1:9"), product), @r#"{"resource":"https://gate.example:8443/public/v1","resource_name":"public-v1","authorization_servers":["https://gate.example:8443"],"scopes_supported":["api://pmsgate/public/.default","system/MedicinalProductDefinition.s"],"bearer_methods_supported":["header"],"dpop_signing_alg_values_supported":["ES256","ES384","RS256","RS384","PS256"],"dpop_bound_access_tokens_required":false,"tls_client_certificate_bound_access_tokens":false,"resource_documentation":"https://gate.example:8443/public/v1/swagger"}"#);
    }
}
