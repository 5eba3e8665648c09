//! A stub of a FHIR server that is not ours: tells everything to whoever asks it, and misbehaves when told to.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::{Router, response::Response};
use fhir_model::{demo, links, resource_key};
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::house::{fhir, serve};

type Fault = Box<dyn Fn(&str) -> Option<Response> + Send + Sync>;

/// The demo products, every resource loose.
pub(crate) struct Partner {
    pub(crate) resources: Mutex<Vec<Value>>,
    /// What reached it: targets and headers.
    pub(crate) received: Mutex<Vec<(Uri, HeaderMap)>>,
    address: Mutex<String>,
    fault: Mutex<Fault>,
    stop: CancellationToken,
}

impl Drop for Partner {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Partner {
    pub(crate) fn start() -> Arc<Self> {
        let mut resources: HashMap<_, Value> = HashMap::new();
        for bundle in demo::bundles() {
            for entry in bundle["entry"].as_array().unwrap() {
                resources.insert(resource_key(&entry["resource"]).unwrap(), entry["resource"].clone());
            }
        }
        let mut resources: Vec<Value> = resources.into_values().collect();
        resources.sort_by_key(|resource| resource_key(resource).unwrap());
        let stop = CancellationToken::new();
        let partner = Arc::new(Self {
            resources: Mutex::new(resources),
            received: Mutex::default(),
            address: Mutex::default(),
            fault: Mutex::new(Box::new(|_| None)),
            stop: stop.clone(),
        });
        // Weak: the stub ends with the test, not with its listener.
        let state = Arc::downgrade(&partner);
        let router = Router::new().fallback(move |uri, headers| async move {
            state.upgrade().map_or_else(Response::default, |partner| receive(&partner, &uri, headers))
        });
        *partner.address.lock().unwrap() = serve(router, &stop).to_string();
        partner
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address.lock().unwrap())
    }

    /// Answers otherwise where `fault` says so; it is told path and query.
    pub(crate) fn misbehave(&self, fault: impl Fn(&str) -> Option<Response> + Send + Sync + 'static) {
        *self.fault.lock().unwrap() = Box::new(fault);
    }

    pub(crate) fn asked(&self) -> usize {
        self.received.lock().unwrap().len()
    }

    /// Changes resources of a type.
    pub(crate) fn change(&self, resource_type: &str, change: impl Fn(&mut Value)) {
        let mut resources = self.resources.lock().unwrap();
        resources.iter_mut().filter(|one| one["resourceType"] == resource_type).for_each(change);
    }
}

fn receive(partner: &Partner, uri: &Uri, headers: HeaderMap) -> Response {
    partner.received.lock().unwrap().push((uri.clone(), headers));
    let target = uri.path_and_query().unwrap().as_str();
    if let Some(response) = (partner.fault.lock().unwrap())(target) {
        return response;
    }
    let Some(resource_type) = uri.path().strip_prefix("/fhir/") else {
        return fhir(StatusCode::NOT_FOUND, r#"{"resourceType":"OperationOutcome"}"#);
    };
    if resource_type == "metadata" {
        let statement = json!({"resourceType": "CapabilityStatement", "fhirVersion": "5.0.0", "rest": [{
            "mode": "server", "resource": [{"type": "MedicinalProductDefinition", "interaction": [
                {"code": "read"}, {"code": "delete"}, {"code": "search-type"}]}, {"type": "Patient"}]}]});
        return fhir(StatusCode::OK, statement.to_string());
    }
    search(partner, resource_type, uri)
}

fn search(partner: &Partner, resource_type: &str, uri: &Uri) -> Response {
    let (mut count, mut start) = (50, 0);
    let resources = partner.resources.lock().unwrap();
    let mut found: Vec<&Value> =
        resources.iter().filter(|resource| resource["resourceType"] == resource_type).collect();
    let query = uri.query().unwrap_or_default().to_owned();
    for (name, text) in url(&query) {
        let values: Vec<&str> = text.split(',').collect();
        match name.as_str() {
            "_count" => count = text.parse().unwrap(),
            "_start" => start = text.parse().unwrap(),
            "_id" => found.retain(|one| values.contains(&one["id"].as_str().unwrap())),
            "name" => found.retain(|one| {
                let names = one["name"].as_array().into_iter().flatten();
                names.into_iter().any(|name| name["productName"].as_str().unwrap().starts_with(&text))
            }),
            "identifier" => found.retain(|one| {
                let identifiers = one["identifier"].as_array().into_iter().flatten();
                let known =
                    |one: &Value| values.iter().any(|text| one["value"].as_str() == text.rsplit('|').next());
                identifiers.into_iter().any(known)
            }),
            "subject" | "for" | "package-for" | "form-of" | "contained-item" => found.retain(|one| {
                links::references(one).iter().any(|link| values.contains(&link.key.to_string().as_str()))
            }),
            _ => {
                return fhir(
                    StatusCode::BAD_REQUEST,
                    r#"{"resourceType":"OperationOutcome","text":"SECRET"}"#,
                );
            }
        }
    }
    let base = format!("{}/fhir/{resource_type}", partner.url());
    let mut bundle =
        json!({"resourceType": "Bundle", "type": "searchset", "total": found.len(), "entry": []});
    if start + count < found.len() {
        let query: Vec<String> = url(&query)
            .into_iter()
            .filter(|(name, _)| name != "_start")
            .map(|(name, text)| format!("{name}={text}"))
            .chain([format!("_start={}", start + count)])
            .collect();
        bundle["link"] = json!([{"relation": "next", "url": format!("{base}?{}", query.join("&"))}]);
    }
    let page = found.into_iter().skip(start).take(count);
    bundle["entry"] = page
        .map(|one| {
            json!({"fullUrl": format!("{base}/{}", one["id"].as_str().unwrap()), "resource": one,
            "search": {"mode": "match"}})
        })
        .collect();
    fhir(StatusCode::OK, bundle.to_string())
}

/// The parameters of a query, decoded.
fn url(query: &str) -> Vec<(String, String)> {
    let url = reqwest::Url::parse(&format!("http://x/?{query}")).unwrap();
    url.query_pairs().map(|(name, text)| (name.into_owned(), text.into_owned())).collect()
}
