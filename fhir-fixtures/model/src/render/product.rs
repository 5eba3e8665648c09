//! Rendering the product, its authorisations and its packs.

use crate::{
    ResourceKey, ResourceType,
    json::{Fields, Json},
    links::parse_reference,
    tree::{absent, each, map_each, put, put_items, rename, take, take_items, wording},
};

use super::{characteristic, links::Links};

/// The extension in which EMA carried the pack size before 5.0.0 had an element for it.
pub(crate) const PACK_SIZE: &str = "http://ema.europa.eu/fhir/extension/containedItemQuantity";

/// The elements of the root in which 4.4.0 shows who points up to it.
pub(super) const FORWARD_LINKS: [(&str, ResourceType); 3] = [
    ("pharmaceuticalProduct", ResourceType::AdministrableProductDefinition),
    ("packagedMedicinalProduct", ResourceType::PackagedProductDefinition),
    ("ingredient", ResourceType::Ingredient),
];

/// The activities of the operations of a product's root, of which 4.4.0 shows who authorised them.
pub(super) fn activities(root: &Json<'_>) -> impl Iterator<Item = ResourceKey> {
    let operations = match root.get("operation") {
        Some(Json::Array(operations)) => operations.as_slice(),
        Some(operation) => std::slice::from_ref(operation),
        None => &[],
    };
    operations.iter().filter_map(|operation| activity(operation.as_object()?))
}

fn activity(operation: &Fields<'_>) -> Option<ResourceKey> {
    operation.get("type")?.at(&["reference", "reference"])?.as_str().and_then(parse_reference)
}

fn id(fields: &Fields<'_>) -> String {
    fields.get("id").and_then(Json::as_str).unwrap_or_default().to_owned()
}

/// A reference that only has a name.
fn display_alone<'t>(display: &str) -> Json<'t> {
    Json::object([("display", Json::text(display.to_owned()))])
}

pub(super) fn medicinal_product(fields: &mut Fields<'_>, links: &Links) {
    let own = id(fields);
    let forward = |child| links.forward(ResourceType::MedicinalProductDefinition, &own, child);
    rename(fields, "pediatricUseIndicator", "paediatricUseIndicator");
    rename(fields, "classification", "productClassification");
    each(fields, "name", &mut |name| {
        rename(name, "part", "namePart");
        rename(name, "usage", "countryLanguage");
    });
    for (name, child) in FORWARD_LINKS {
        take(fields, name);
        put_items(fields, name, forward(child));
    }
    map_each(fields, "characteristic", &characteristic);
    each(fields, "crossReference", &mut |cross| {
        let product = take(cross, "product").unwrap_or_default();
        match product.get("reference") {
            Some(reference)
                if reference.get("reference").is_none() && reference.get("identifier").is_some() =>
            {
                put(cross, "productIdentifier", reference.get("identifier").cloned());
            }
            Some(reference) => put(cross, "productReference", Some(reference.clone())),
            None => {
                let display = product.get("concept").and_then(wording);
                put(cross, "productReference", display.map(display_alone));
            }
        }
    });
    each(fields, "operation", &mut |operation| {
        rename(operation, "organization", "manufacturer");
        if let Some(key) = activity(operation) {
            let authorisations =
                links.forward(key.resource_type, &key.id, ResourceType::RegulatedAuthorization);
            put(operation, "authorization", authorisations.into_iter().next());
        }
    });
    rename(fields, "operation", "manufacturingBusinessOperation");
}

/// 4.4.0 has one subject: the product when it is one of them, else a pack, else the first.
pub(super) fn authorisation(fields: &mut Fields<'_>) {
    let subjects = take_items(fields, "subject");
    let rank = |subject: &Json<'_>| {
        let key = subject.get("reference").and_then(Json::as_str).and_then(parse_reference);
        match key.map(|key| key.resource_type) {
            Some(ResourceType::MedicinalProductDefinition) => 0,
            Some(ResourceType::PackagedProductDefinition) => 1,
            _ => 2,
        }
    };
    put(fields, "subject", subjects.into_iter().min_by_key(rank));
    if let Some(Json::Object(mut indication)) = take_items(fields, "indication").into_iter().next() {
        match (take(&mut indication, "reference"), take(&mut indication, "concept")) {
            (Some(reference), _) => put(fields, "indicationReference", Some(reference)),
            (None, concept) => put(fields, "indicationCodeableConcept", concept),
        }
    }
}

pub(super) fn package(fields: &mut Fields<'_>, links: &Links) {
    let own = id(fields);
    rename(fields, "packageFor", "subject");
    let authorisations =
        links.forward(ResourceType::PackagedProductDefinition, &own, ResourceType::RegulatedAuthorization);
    put(fields, "marketingAuthorization", authorisations.into_iter().next());
    let supply =
        take_items(fields, "legalStatusOfSupply").into_iter().find_map(|supply| supply.get("code").cloned());
    put(fields, "legalStatusOfSupply", supply);
    map_each(fields, "characteristic", &characteristic);
    let sizes = take_items(fields, "containedItemQuantity");
    let mut extensions = take_items(fields, "extension");
    let size = |size| Json::object([("url", Json::text(PACK_SIZE)), ("valueQuantity", size)]);
    extensions.extend(sizes.into_iter().map(size));
    put_items(fields, "extension", extensions);
    if let Some(Json::Object(mut packaging)) = take(fields, "packaging") {
        package_level(&mut packaging, 0);
        put_items(fields, "package", vec![Json::Object(packaging)]);
    }
}

fn package_level(packaging: &mut Fields<'_>, depth: usize) {
    each(packaging, "containedItem", &mut |contained| {
        let item = take(contained, "item").unwrap_or_default();
        let display = || item.get("concept").and_then(wording).map(display_alone);
        put_items(contained, "item", item.get("reference").cloned().or_else(display).into_iter().collect());
        rename(contained, "amount", "amountQuantity");
    });
    each(packaging, "shelfLifeStorage", &mut |shelf_life| {
        rename(shelf_life, "periodDuration", "period");
        if let Some(text) = take(shelf_life, "periodString") {
            // A period in words is a quantity whose value 4.4.0 cannot hold; the words stay as its unit.
            let period = Json::object([("_value", absent("as-text")), ("unit", text)]);
            put(shelf_life, "period", Some(period));
        }
    });
    if depth < 64 {
        each(packaging, "packaging", &mut |inner| package_level(inner, depth + 1));
    }
    rename(packaging, "packaging", "package");
}
