//! PackagedProductDefinitions with their nested packaging.

use serde_json::{Value, json};

use super::{
    amount,
    catalogue::CatalogueError,
    composition_text::{Container, Pack, ShelfLife},
    expansion::{Expansion, Part},
    product::marketing_statuses,
};

const DATA_CARRIER: &str = "http://ema.europa.eu/fhir/dataCarrierIdentifier";

/// The packs of the product.
pub(crate) fn packs(on: &Expansion<'_>) -> Result<Vec<Value>, CatalogueError> {
    on.product
        .packs
        .iter()
        .enumerate()
        .map(|(index, it)| Ok(on.part(Part::Pack, index + 1, pack(on, it)?)))
        .collect()
}

fn pack(on: &Expansion<'_>, it: &Pack) -> Result<Value, CatalogueError> {
    let words = &on.words;
    let identifier =
        |system: &str, value: Option<&String>| value.map(|value| json!({"system": system, "value": value}));
    let pcid = it.pcid.as_ref().zip(on.product.mpid.as_ref()).map(|(pack, mpid)| format!("{mpid}-{pack}"));
    let mut manufacturers = on.shared.organisations(&it.manufacturers)?;
    manufacturers.extend(
        it.contained_importer.as_ref().map(|name| json!({"reference": "#importer", "display": name})),
    );
    Ok(json!({
        "contained": it.contained_importer.as_ref().map(|name| json!([{
            "resourceType": "Organization",
            "id": "importer",
            "name": name,
        }])),
        "identifier": [
            identifier("http://ema.europa.eu/fhir/pcId", pcid.as_ref()),
            identifier("http://ema.europa.eu/fhir/marketingAuthorizationNumber", it.number.as_ref()),
            identifier("https://www.gs1.org/gtin", it.gtin.as_ref()),
            identifier("https://demo.pmsgate.example/national-trade-number", it.national_number.as_ref()),
        ],
        "name": it.name,
        "type": words.maybe("pack-type", it.kind.as_deref())?,
        "packageFor": [on.product_link()],
        "status": words.maybe("record-status", it.status.as_deref())?,
        "statusDate": it.status_date,
        "containedItemQuantity": it.quantities.iter()
            .map(|text| amount::quantity(words, text)).collect::<Result<Vec<_>, _>>()?,
        "description": it.description,
        "legalStatusOfSupply": [{
            "code": words.maybe("supply", it.supply.as_deref())?,
            "jurisdiction": words.maybe("country", it.supply_country.as_deref())?,
        }],
        "marketingStatus": marketing_statuses(words, &it.marketing)?,
        "copackagedIndicator": it.copackaged,
        "manufacturer": manufacturers,
        "packaging": it.packaging.as_ref().map(|packaging| container(on, packaging)).transpose()?,
        "characteristic": on.properties(&it.characteristics)?,
    }))
}

fn container(on: &Expansion<'_>, it: &Container) -> Result<Value, CatalogueError> {
    let words = &on.words;
    Ok(json!({
        "identifier": [it.batch_carrier.as_ref()
            .map(|value| json!({"system": DATA_CARRIER, "value": value}))],
        "type": words.concept("packaging", &it.kind)?,
        "componentPart": it.component_part,
        "quantity": it.quantity,
        "material": words.each("material", &it.of)?,
        "alternateMaterial": words.each("material", &it.or_of)?,
        "shelfLifeStorage": it.shelf_life.iter()
            .map(|shelf_life| shelf_life_storage(on, shelf_life)).collect::<Result<Vec<_>, _>>()?,
        "manufacturer": on.shared.organisations(&it.manufacturers)?,
        "property": on.properties(&it.properties)?,
        "containedItem": it.holds.iter()
            .map(|held| Ok::<_, CatalogueError>(json!({
                "item": {"reference": on.require(Part::Item, "item", held.item, on.product.items.len())?},
                "amount": held.amount.as_ref().map(|text| amount::quantity(words, text)).transpose()?,
            })))
            .collect::<Result<Vec<_>, _>>()?,
        "packaging": it.inside.iter()
            .map(|inner| container(on, inner)).collect::<Result<Vec<_>, _>>()?,
    }))
}

fn shelf_life_storage(on: &Expansion<'_>, it: &ShelfLife) -> Result<Value, CatalogueError> {
    Ok(json!({
        "type": on.words.maybe("shelf-life", it.kind.as_deref())?,
        "periodDuration": it.period.as_ref().map(|text| amount::quantity(&on.words, text)).transpose()?,
        "periodString": it.text,
        "specialPrecautionsForStorage": on.words.each("storage", &it.storage)?,
    }))
}
