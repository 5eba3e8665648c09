//! Reading the transaction Bundle: what each entry wants.

use std::collections::BTreeSet;

use pms_terms::FhirVersion;
use serde_json::Value;

use crate::{Product, ResourceKey, ResourceType, links, resource_type, schema};

use super::{Rejection, Rule, reference};

/// Entries allowed in one merge.
const MAX_ENTRIES: usize = 1_000;
/// Rejections reported at once.
pub(super) const MAX_REJECTIONS: usize = 100;

/// What an entry wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// Replace an existing resource.
    Put,
    /// Create a new one.
    Post,
    /// Delete an existing one, which is never done.
    Delete,
}

/// One entry, consistent in itself.
pub(super) struct Entry<'b> {
    pub(super) index: usize,
    pub(super) method: Method,
    pub(super) full_url: &'b str,
    pub(super) resource_type: ResourceType,
    /// The id in the URL; empty for a new resource.
    pub(super) id: &'b str,
    /// The body; null for a deletion.
    pub(super) resource: &'b Value,
}

impl Entry<'_> {
    /// `Bundle.entry[n].resource`.
    pub(super) fn expression(&self) -> String {
        format!("Bundle.entry[{}].resource", self.index)
    }

    pub(super) fn key(&self) -> ResourceKey {
        ResourceKey::new(self.resource_type, self.id)
    }

    pub(super) fn is_product(&self) -> bool {
        self.resource_type == ResourceType::MedicinalProductDefinition
    }
}

/// Reads all entries.
pub(super) fn read(bundle: &Value) -> Result<Vec<Entry<'_>>, Vec<Rejection>> {
    let shape =
        |expression: &str, message: &str| vec![Rejection::new(Rule::Transaction, expression, message)];
    if bundle.get("resourceType").and_then(Value::as_str) != Some("Bundle") {
        return Err(shape("", "the body is a FHIR Bundle, and this is none"));
    }
    if bundle.get("type").and_then(Value::as_str) != Some("transaction") {
        return Err(shape("Bundle.type", "the type of the Bundle is transaction"));
    }
    if let Some(name) = unknown(bundle, "Bundle") {
        return Err(shape(&format!("Bundle.{name}"), "a Bundle has no element of this name"));
    }
    let entries = bundle.get("entry").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if entries.is_empty() {
        return Err(shape("Bundle.entry", "the Bundle has no entries"));
    }
    if entries.len() > MAX_ENTRIES {
        let message = format!("the Bundle has {} entries, and {MAX_ENTRIES} are allowed", entries.len());
        return Err(shape("Bundle.entry", &message));
    }
    let (mut read, mut rejections) = (Vec::with_capacity(entries.len()), Vec::new());
    let mut seen = BTreeSet::new();
    for (index, entry) in entries.iter().enumerate() {
        match read_entry(index, entry) {
            Ok(entry) => {
                let name = if entry.method == Method::Post {
                    entry.full_url.to_owned()
                } else {
                    entry.key().to_string()
                };
                if seen.insert(name.clone()) {
                    read.push(entry);
                } else {
                    let place = format!("Bundle.entry[{index}]");
                    let message = format!("{name} stands in the Bundle twice; send each resource once");
                    rejections.push(Rejection::new(Rule::Entry, place, message));
                }
            }
            Err(rejection) => rejections.push(rejection),
        }
    }
    if rejections.is_empty() {
        return Ok(read);
    }
    rejections.truncate(MAX_REJECTIONS);
    Err(rejections)
}

fn read_entry(index: usize, entry: &Value) -> Result<Entry<'_>, Rejection> {
    let place = format!("Bundle.entry[{index}]");
    let wrong =
        |element: &str, message: String| Rejection::new(Rule::Entry, format!("{place}.{element}"), message);
    let text = |path: &[&str]| {
        path.iter().try_fold(entry, |value, name| value.get(name)).and_then(Value::as_str).unwrap_or_default()
    };
    for (part, path, prefix) in
        [(Some(entry), "Bundle.entry", ""), (entry.get("request"), "Bundle.entry.request", "request.")]
    {
        if let Some(name) = part.and_then(|part| unknown(part, path)) {
            return Err(wrong(&format!("{prefix}{name}"), format!("{path} has no element of this name")));
        }
    }
    let (method, url) = (text(&["request", "method"]), text(&["request", "url"]));
    let method = match method {
        "PUT" => Method::Put,
        "POST" => Method::Post,
        "DELETE" => Method::Delete,
        other => {
            let message =
                format!("the method is PUT for what exists and POST for what is new, not {:?}", clip(other));
            return Err(wrong("request.method", message));
        }
    };
    for name in ["ifNoneMatch", "ifModifiedSince", "ifNoneExist"] {
        if !text(&["request", name]).is_empty() {
            return Err(wrong(
                &format!("request.{name}"),
                "a merge is not conditional; leave it out".to_owned(),
            ));
        }
    }
    let version = text(&["resource", "meta", "versionId"]);
    let if_match = text(&["request", "ifMatch"]);
    if !if_match.is_empty() && if_match != format!("W/\"{version}\"") {
        let message = format!("ifMatch says the same as meta.versionId, W/\"{}\", or nothing", clip(version));
        return Err(wrong("request.ifMatch", message));
    }
    let (type_name, id) = url.split_once('/').unwrap_or((url, ""));
    if type_name.is_empty() || url.contains("://") {
        let message =
            format!("the URL is a type and an id, or a type alone for what is new, not {:?}", clip(url));
        return Err(wrong("request.url", message));
    }
    let Ok(resource_type) = type_name.parse::<ResourceType>() else {
        let message = format!(
            "{:?} is nothing that can be merged: medicinal products, packs, activities and authorisations can",
            clip(type_name)
        );
        return Err(Rejection::new(Rule::Writable, format!("{place}.request.url"), message));
    };
    let full_url = text(&["fullUrl"]);
    let resource = entry.get("resource").unwrap_or(&Value::Null);
    if method == Method::Post {
        if !id.is_empty() {
            return Err(wrong(
                "request.url",
                format!("the URL of a new resource is its type: {resource_type}"),
            ));
        }
        let uuid = full_url.strip_prefix("urn:uuid:").unwrap_or_default();
        if uuid.len() != 36 || !uuid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
            return Err(wrong("fullUrl", "a new resource has a temporary urn:uuid:… as fullUrl".to_owned()));
        }
    } else {
        let key = format!("{resource_type}/{id}");
        if links::parse_reference(url).is_none_or(|parsed| parsed.to_string() != url) {
            return Err(wrong(
                "request.url",
                "the URL of an existing resource is its type and id".to_owned(),
            ));
        }
        if !full_url.is_empty() && full_url != key && !full_url.ends_with(&format!("/{key}")) {
            return Err(wrong("fullUrl", format!("the fullUrl of {key} ends in {key}")));
        }
        if method == Method::Put && resource.get("id").and_then(Value::as_str) != Some(id) {
            return Err(wrong("resource.id", format!("the id of the resource is that of the URL, {id:?}")));
        }
    }
    if method != Method::Delete && self::resource_type(resource) != Some(resource_type) {
        return Err(wrong("resource", format!("the resource is a {resource_type}, as the URL says")));
    }
    Ok(Entry { index, method, full_url, resource_type, id, resource })
}

/// The first member of an object that its type does not have, at most 60 characters of its name.
fn unknown(object: &Value, path: &str) -> Option<String> {
    let known = schema::element_names(FhirVersion::V5_0_0, path);
    let is_type = |name: &str| path == "Bundle" && name == "resourceType";
    let name = object.as_object()?.keys().find(|name| {
        let bare = name.strip_prefix('_').unwrap_or(name);
        !known.contains(&bare) && !is_type(name)
    })?;
    Some(clip(name))
}

fn clip(text: &str) -> String {
    text.chars().take(60).collect()
}

/// The id of the product that a Bundle is about: ask this first, to load the product.
///
/// # Errors
/// The Bundle cannot be read, or does not hold exactly one existing product.
pub fn product_id(bundle: &Value) -> Result<String, Vec<Rejection>> {
    let entries = read(bundle)?;
    product_entry(&entries).map(|entry| entry.id.to_owned())
}

/// The refusal for whoever may not write the product: one answer, whether it is another's, hidden or absent.
pub fn not_yours(bundle: &Value) -> Vec<Rejection> {
    match read(bundle).and_then(|entries| product_entry(&entries).map(|entry| (entry.index, entry.key()))) {
        Ok((index, key)) => {
            let message = format!(
                "there is no {key} that you may write: only the holder of its marketing authorisation and the agency \
                 write a product"
            );
            vec![Rejection::new(Rule::Ownership, format!("Bundle.entry[{index}].request.url"), message)]
        }
        Err(rejections) => rejections,
    }
}

/// The entry of the product.
pub(super) fn product_entry<'e, 'b>(entries: &'e [Entry<'b>]) -> Result<&'e Entry<'b>, Vec<Rejection>> {
    let product = Rule::Product;
    let mut found = entries.iter().filter(|entry| entry.is_product());
    let (first, second) = (found.next(), found.next());
    let Some(entry) = first else {
        let message = "the MedicinalProductDefinition is always sent, changed or not";
        return Err(vec![Rejection::new(product, "Bundle.entry", message)]);
    };
    if let Some(other) = second {
        let place = format!("Bundle.entry[{}]", other.index);
        return Err(vec![Rejection::new(
            product,
            place,
            "one merge is about one product, and here is a second",
        )]);
    }
    match entry.method {
        Method::Put => Ok(entry),
        Method::Post | Method::Delete => {
            let place = format!("Bundle.entry[{}].request.method", entry.index);
            let message = "products are neither created nor deleted by a merge; send the existing one by PUT";
            Err(vec![Rejection::new(Rule::R2, place, message)])
        }
    }
}

/// What a Bundle links to outside of its product; what is in neither list is refused anyway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outside {
    /// Ids of other products. Which of them the client may learn of belongs into [`super::Request::targets`].
    pub products: BTreeSet<String>,
    /// Organisations, substances, persons. Which of them it may draw in belongs into [`super::Request::known`].
    pub resources: BTreeSet<ResourceKey>,
}

/// What the resources of a Bundle link to outside of the product: ask this before [`super::plan()`].
pub fn outside(bundle: &Value, product: &Product) -> Outside {
    let own: BTreeSet<ResourceKey> = product.resources().filter_map(crate::resource_key).collect();
    let entries = bundle.get("entry").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut outside = Outside::default();
    let linked = entries
        .iter()
        .take(MAX_ENTRIES)
        .filter_map(|entry| entry.get("resource"))
        .flat_map(reference::texts)
        .filter_map(|(_, text)| links::parse_reference(text))
        .filter(|key| !own.contains(key));
    for key in linked {
        if key.resource_type == ResourceType::MedicinalProductDefinition {
            outside.products.insert(key.id);
        } else if links::is_shared(key.resource_type) {
            outside.resources.insert(key);
        }
    }
    outside
}
