//! The product, its authorisations and its packs, from 4.4.0.

use crate::{
    json::{Fields, Json},
    render::PACK_SIZE,
    schema::{DATA_ABSENT, Dropped},
    tree::{each, map_each, put, put_items, rename, take, take_items},
};

use super::add_references;

pub(super) fn medicinal_product(fields: &mut Fields<'_>) {
    rename(fields, "paediatricUseIndicator", "pediatricUseIndicator");
    rename(fields, "productClassification", "classification");
    each(fields, "name", &mut |name| {
        rename(name, "namePart", "part");
        rename(name, "countryLanguage", "usage");
    });
    for link in ["pharmaceuticalProduct", "packagedMedicinalProduct", "ingredient"] {
        take(fields, link);
    }
    map_each(fields, "characteristic", &characteristic);
    each(fields, "crossReference", &mut |cross| {
        let reference = match take(cross, "productIdentifier") {
            Some(identifier) => Some(Json::object([("identifier", identifier)])),
            None => take(cross, "productReference"),
        };
        put(cross, "product", reference.map(|reference| Json::object([("reference", reference)])));
    });
    each(fields, "manufacturingBusinessOperation", &mut |operation| {
        take(operation, "authorization");
        rename(operation, "manufacturer", "organization");
    });
    rename(fields, "manufacturingBusinessOperation", "operation");
}

/// A concept of 4.4.0 says what there is: the type of a characteristic.
fn characteristic(concept: Json<'_>) -> Option<Json<'_>> {
    concept.as_object().is_some().then(|| Json::object([("type", concept)]))
}

pub(super) fn authorisation(fields: &mut Fields<'_>, parents: &[String]) {
    add_references(fields, "subject", parents);
    let indication = super::take_choice(fields, "indication");
    put_items(fields, "indication", indication.into_iter().collect());
}

pub(super) fn package(fields: &mut Fields<'_>, parents: &[String], told: Dropped<'_>) {
    rename(fields, "subject", "packageFor");
    add_references(fields, "packageFor", parents);
    take(fields, "marketingAuthorization");
    let supply = take(fields, "legalStatusOfSupply").map(|code| Json::object([("code", code)]));
    put_items(fields, "legalStatusOfSupply", supply.into_iter().collect());
    map_each(fields, "characteristic", &characteristic);
    let is_size = |extension: &Json<'_>| extension.get("url").and_then(Json::as_str) == Some(PACK_SIZE);
    let (sizes, others): (Vec<Json<'_>>, Vec<Json<'_>>) =
        take_items(fields, "extension").into_iter().partition(is_size);
    put_items(fields, "extension", others);
    let sizes = sizes.into_iter().filter_map(|size| size.get("valueQuantity").cloned()).collect();
    put_items(fields, "containedItemQuantity", sizes);
    let mut levels = take_items(fields, "package");
    for level in levels.iter_mut().filter_map(Json::as_object_mut) {
        package_level(level, 0, told);
    }
    if levels.len() > 1 {
        told(
            "PackagedProductDefinition.package".to_owned(),
            "several outermost packages now stand in one without a type",
        );
        put(fields, "packaging", Some(Json::object([("packaging", Json::Array(levels))])));
    } else {
        put(fields, "packaging", levels.pop());
    }
}

fn package_level(level: &mut Fields<'_>, depth: usize, told: Dropped<'_>) {
    let mut contained_items = Vec::new();
    for contained in take_items(level, "containedItem") {
        let Json::Object(mut contained) = contained else { continue };
        rename(&mut contained, "amountQuantity", "amount");
        if let Some(count) = take(&mut contained, "amountInteger") {
            put(&mut contained, "amount", Some(Json::object([("value", count)])));
        }
        let items = take_items(&mut contained, "item");
        if items.is_empty() {
            told(
                "PackagedProductDefinition.package.containedItem".to_owned(),
                "contains nothing that is named; left out",
            );
        }
        for item in items {
            let mut one = contained.clone();
            let named_only = item.get("reference").is_none() && item.get("identifier").is_none();
            let target = match item.get("display") {
                Some(display) if named_only => {
                    Json::object([("concept", Json::object([("text", display.clone())]))])
                }
                _ => Json::object([("reference", item)]),
            };
            put(&mut one, "item", Some(target));
            contained_items.push(Json::Object(one));
        }
    }
    put_items(level, "containedItem", contained_items);
    each(level, "shelfLifeStorage", &mut shelf_life);
    if depth < 64 {
        each(level, "package", &mut |inner| package_level(inner, depth + 1, told));
    }
    rename(level, "package", "packaging");
}

fn shelf_life(shelf_life: &mut Fields<'_>) {
    let Some(period) = take(shelf_life, "period") else { return };
    let absent = |reason: &str| {
        let extensions = period.get("_value").and_then(|value| value.get("extension")?.as_array());
        extensions.is_some_and(|extensions| {
            extensions.iter().any(|extension| {
                extension.get("url").and_then(Json::as_str) == Some(DATA_ABSENT)
                    && extension.get("valueCode").and_then(Json::as_str) == Some(reason)
            })
        })
    };
    match period.get("unit") {
        Some(words) if absent("as-text") => put(shelf_life, "periodString", Some(words.clone())),
        _ => put(shelf_life, "periodDuration", Some(period)),
    }
}
