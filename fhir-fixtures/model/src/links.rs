//! References between resources, and which of them make a resource a member of a product.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value};

use crate::{
    Product, ResourceKey, ResourceType, path::Path, resource_key, resource_type, schema::is_valid_id,
};

/// A literal reference found in a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkedTo {
    /// Where it stands, with indices: `RegulatedAuthorization.subject[0]`.
    pub path: String,
    /// The element, without indices: `RegulatedAuthorization.subject`. In a CodeableReference it ends in `.reference`.
    pub element: String,
    /// What it points to.
    pub key: ResourceKey,
}

/// Upward links: the resource belongs to the product when it points, by this element, to a member of it.
const TO_PARENT: &[(ResourceType, &str)] = &[
    (ResourceType::RegulatedAuthorization, "subject"),
    (ResourceType::PackagedProductDefinition, "packageFor"),
    (ResourceType::AdministrableProductDefinition, "formOf"),
    (ResourceType::Ingredient, "for"),
    (ResourceType::ClinicalUseDefinition, "subject"),
];

/// Types to which a member's link makes the target a member too.
const CHILD_TYPES: &[ResourceType] = &[
    ResourceType::ManufacturedItemDefinition,
    ResourceType::SubstanceDefinition,
    ResourceType::ActivityDefinition,
    ResourceType::Organization,
    ResourceType::DocumentReference,
    ResourceType::PractitionerRole,
    ResourceType::Practitioner,
];

/// How deep a tree is followed; deeper parts are ignored. The schema refuses such resources anyway.
const MAX_DEPTH: usize = 64;

/// Reads `Type/id`, also at the end of an absolute URL and before `/_history/n`. `None` for contained (`#x`),
/// `urn:` and conditional references and for types that are not ours.
pub fn parse_reference(text: &str) -> Option<ResourceKey> {
    if text.starts_with('#') || text.starts_with("urn:") || text.contains('?') {
        return None;
    }
    let text = text.split_once("/_history/").map_or(text, |(before, _)| before);
    let mut segments = text.rsplit('/');
    let id = segments.next()?;
    let resource_type = segments.next()?.parse().ok()?;
    is_valid_id(id).then(|| ResourceKey::new(resource_type, id))
}

/// All literal references to resources of our types, in document order, those of contained resources included.
pub fn references(resource: &Value) -> Vec<LinkedTo> {
    let mut found = Vec::new();
    if let (Some(name), Some(object)) =
        (resource.get("resourceType").and_then(Value::as_str), resource.as_object())
    {
        collect(object, &Path::of_resource(None, name), 0, &mut found);
    }
    found
}

/// The targets of all literal references in a resource or an element, without their places.
pub fn targets(element: &Value) -> Vec<ResourceKey> {
    let mut found = Vec::new();
    collect_targets(element, 0, &mut found);
    found
}

fn collect_targets(value: &Value, depth: usize, found: &mut Vec<ResourceKey>) {
    match value {
        Value::Object(object) if depth <= MAX_DEPTH => {
            found.extend(object.get("reference").and_then(Value::as_str).and_then(parse_reference));
            object.values().for_each(|value| collect_targets(value, depth + 1, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_targets(item, depth, found)),
        _ => {}
    }
}

/// Calls `each` with every object that could be a Reference: it has a `reference` that is a text, or an `identifier`.
pub(crate) fn each_reference(value: &Value, each: &mut dyn FnMut(&Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            if object.get("reference").is_some_and(Value::is_string)
                || object.get("identifier").is_some_and(Value::is_object)
            {
                each(object);
            }
            object.values().for_each(|value| each_reference(value, each));
        }
        Value::Array(items) => items.iter().for_each(|item| each_reference(item, each)),
        _ => {}
    }
}

fn collect(object: &Map<String, Value>, path: &Path<'_>, depth: usize, found: &mut Vec<LinkedTo>) {
    if depth > MAX_DEPTH {
        return;
    }
    if let Some(key) = object.get("reference").and_then(Value::as_str).and_then(parse_reference) {
        found.push(LinkedTo { path: path.to_string(), element: path.element().to_string(), key });
    }
    for (name, value) in object {
        match value {
            Value::Object(inner) => collect(inner, &path.step(name.as_str(), None), depth + 1, found),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    if let Value::Object(inner) = item {
                        collect(inner, &path.step(name.as_str(), Some(index)), depth + 1, found);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Rewrites the text of every reference for which `map` has an answer: `urn:uuid:…` or a fullUrl to `Type/id`.
pub fn map_references(resource: &mut Value, map: &mut dyn FnMut(&str) -> Option<String>) {
    match resource {
        Value::Object(object) => {
            for (name, value) in object {
                match value {
                    Value::String(text) if name == "reference" => {
                        if let Some(new) = map(text) {
                            *text = new;
                        }
                    }
                    _ => map_references(value, map),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| map_references(item, map)),
        _ => {}
    }
}

/// The element by which resources of this type point up to their product.
fn upward(resource: &Value) -> Option<&'static str> {
    let own = resource_type(resource)?;
    TO_PARENT.iter().find(|(child, _)| *child == own).map(|(_, element)| *element)
}

/// The resources that this one points up to: it is a member of the product that any of them belongs to. A shared
/// resource is no parent, it would make the child a member of every product that shares it.
pub fn parents(resource: &Value) -> Vec<ResourceKey> {
    let links = upward(resource).and_then(|element| resource.get(element)?.as_array());
    links
        .into_iter()
        .flatten()
        .filter_map(|link| link.get("reference")?.as_str())
        .filter_map(parse_reference)
        .filter(|key| !is_shared(key.resource_type))
        .collect()
}

/// The resources that belong to a product because this one does and points to them: items in a pack, activities of
/// the product's operations, substances, organisations, documents, contacts. Never another product.
pub fn children(resource: &Value) -> Vec<ResourceKey> {
    let upward = upward(resource);
    let mut found = Vec::new();
    for (name, value) in resource.as_object().into_iter().flatten() {
        if name != "contained" && Some(name.as_str()) != upward {
            collect_targets(value, 0, &mut found);
        }
    }
    found.retain(|key| CHILD_TYPES.contains(&key.resource_type));
    found
}

/// Whether resources of this type stand in several products and outlive each of them.
pub const fn is_shared(resource_type: ResourceType) -> bool {
    matches!(
        resource_type,
        ResourceType::Organization
            | ResourceType::SubstanceDefinition
            | ResourceType::Practitioner
            | ResourceType::PractitionerRole
    )
}

/// Whether resources of this type belong to a product by pointing up to it.
pub(crate) fn points_up(resource_type: ResourceType) -> bool {
    TO_PARENT.iter().any(|(child, _)| *child == resource_type)
}

/// Whether resources of this type are the same for everybody, and say nothing of a product.
pub(crate) const fn is_reference_data(resource_type: ResourceType) -> bool {
    matches!(resource_type, ResourceType::Organization | ResourceType::SubstanceDefinition)
}

/// One product among a slice of resources, by index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The MedicinalProductDefinition.
    pub root: usize,
    /// Its members, ascending.
    pub parts: Vec<usize>,
}

/// A slice of resources sorted into products.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grouped {
    /// One for each MedicinalProductDefinition. Shared resources stand in several.
    pub products: Vec<Group>,
    /// Resources that belong to no product of the slice.
    pub loose: Vec<usize>,
}

/// Sorts resources into products. When a key occurs twice the last resource counts, the earlier ones are loose.
pub fn group(resources: &[Value]) -> Grouped {
    let keys: Vec<Option<ResourceKey>> = resources.iter().map(resource_key).collect();
    let mut by_key: HashMap<&ResourceKey, usize> = HashMap::new();
    for (index, key) in keys.iter().enumerate() {
        if let Some(key) = key {
            by_key.insert(key, index);
        }
    }
    // Edges from a member to what it makes a member.
    let mut edges: Vec<Vec<usize>> = vec![Vec::new(); resources.len()];
    for (index, resource) in resources.iter().enumerate() {
        if keys[index].as_ref().is_none_or(|key| by_key.get(key) != Some(&index)) {
            continue;
        }
        for parent in parents(resource) {
            if let Some(&at) = by_key.get(&parent) {
                edges[at].push(index);
            }
        }
        for child in children(resource) {
            if let Some(&at) = by_key.get(&child) {
                edges[index].push(at);
            }
        }
    }
    let is_root = |index: usize| {
        keys[index].as_ref().is_some_and(|key| {
            key.resource_type == ResourceType::MedicinalProductDefinition && by_key.get(key) == Some(&index)
        })
    };
    let mut grouped = Grouped::default();
    let mut placed = vec![false; resources.len()];
    for root in (0..resources.len()).filter(|index| is_root(*index)) {
        let mut members = BTreeSet::from([root]);
        let mut open = vec![root];
        while let Some(at) = open.pop() {
            for &next in &edges[at] {
                if !is_root(next) && members.insert(next) {
                    open.push(next);
                }
            }
        }
        for &member in &members {
            placed[member] = true;
        }
        members.remove(&root);
        grouped.products.push(Group { root, parts: members.into_iter().collect() });
    }
    grouped.loose = (0..resources.len()).filter(|index| !placed[*index]).collect();
    grouped
}

/// The ids of other products that members of this one mention. Whether a reader may learn of them depends on their
/// own gates (`access::Targets`).
pub fn cross_references(product: &Product) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = product.resources().flat_map(products_in).collect();
    found.remove(product.id());
    found
}

/// The ids of all products that a resource mentions.
pub fn products_in(resource: &Value) -> impl Iterator<Item = String> {
    let products = |key: &ResourceKey| key.resource_type == ResourceType::MedicinalProductDefinition;
    targets(resource).into_iter().filter(products).map(|key| key.id)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_are_read_in_every_spelling() {
        let key = ResourceKey::new(ResourceType::PackagedProductDefinition, "698972");
        for text in [
            "PackagedProductDefinition/698972",
            "PackagedProductDefinition/698972/_history/3",
            "https://localhost:8443/pms/api/v3/PackagedProductDefinition/698972",
        ] {
            assert_eq!(parse_reference(text).as_ref(), Some(&key), "{text}");
        }
        for text in [
            "#a",
            "urn:uuid:1",
            "Patient/1",
            "PackagedProductDefinition",
            "Ingredient?identifier=1",
            "",
            "/",
            "Ingredient/..",
        ] {
            assert_eq!(parse_reference(text), None, "{text}");
        }
    }

    #[test]
    fn a_product_gathers_its_compartment_and_not_its_neighbour() {
        let resources = vec![
            json!({"resourceType":"Ingredient","id":"in1","for":[{"reference":"ManufacturedItemDefinition/mid1"}],
                "substance":{"code":{"reference":{"reference":"SubstanceDefinition/s1"}}}}),
            json!({"resourceType":"MedicinalProductDefinition","id":"1",
                "operation":[{"type":{"reference":{"reference":"ActivityDefinition/a1"}}}],
                "crossReference":[{"product":{"reference":{"reference":"MedicinalProductDefinition/2"}}}]}),
            json!({"resourceType":"PackagedProductDefinition","id":"p1",
                "packageFor":[{"reference":"MedicinalProductDefinition/1"}],
                "packaging":{"packaging":[{"containedItem":[
                    {"item":{"reference":{"reference":"ManufacturedItemDefinition/mid1"}}}]}]}}),
            json!({"resourceType":"ManufacturedItemDefinition","id":"mid1"}),
            json!({"resourceType":"ActivityDefinition","id":"a1"}),
            json!({"resourceType":"RegulatedAuthorization","id":"ra1","subject":[{"reference":"ActivityDefinition/a1"}],
                "holder":{"reference":"Organization/o1"}}),
            json!({"resourceType":"Organization","id":"o1"}),
            json!({"resourceType":"SubstanceDefinition","id":"s1"}),
            json!({"resourceType":"MedicinalProductDefinition","id":"2"}),
            json!({"resourceType":"RegulatedAuthorization","id":"ra2",
                "subject":[{"reference":"MedicinalProductDefinition/2"}],"holder":{"reference":"Organization/o1"}}),
            json!({"resourceType":"Organization","id":"o2"}),
        ];
        let grouped = group(&resources);
        assert_eq!(grouped.products[0], Group { root: 1, parts: vec![0, 2, 3, 4, 5, 6, 7] });
        assert_eq!(grouped.products[1], Group { root: 8, parts: vec![6, 9] });
        assert_eq!(grouped.loose, vec![10]);
        let product = Product::new(resources[1].clone(), vec![]);
        assert_eq!(cross_references(&product), BTreeSet::from(["2".to_owned()]));
    }

    #[test]
    fn references_are_rewritten_wherever_they_stand() {
        let mut resource = json!({"resourceType":"Ingredient","for":[{"reference":"urn:uuid:1"}],
            "substance":{"code":{"reference":{"reference":"urn:uuid:2"}}}});
        map_references(&mut resource, &mut |text| {
            text.strip_prefix("urn:uuid:").map(|n| format!("Organization/{n}"))
        });
        assert_eq!(
            resource,
            json!({"resourceType":"Ingredient","for":[{"reference":"Organization/1"}],
                "substance":{"code":{"reference":{"reference":"Organization/2"}}}})
        );
    }
}
