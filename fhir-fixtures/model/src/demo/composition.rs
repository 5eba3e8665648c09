//! What a product is made of: manufactured items, the forms they are administered in, and ingredients.

use serde_json::{Value, json};

use super::{
    amount,
    catalogue::CatalogueError,
    composition_text::{Administered, Component, Ingredient, Item, ReferenceStrength, Route, Strength},
    expansion::{Expansion, Part},
    product::marketing_statuses,
};

/// The AdministrableProductDefinitions.
pub(crate) fn administered(on: &Expansion<'_>) -> Result<Vec<Value>, CatalogueError> {
    on.product
        .administered
        .iter()
        .enumerate()
        .map(|(index, it)| Ok(on.part(Part::Administered, index + 1, administrable(on, it)?)))
        .collect()
}

fn administrable(on: &Expansion<'_>, it: &Administered) -> Result<Value, CatalogueError> {
    Ok(json!({
        "status": "active",
        "formOf": [on.product_link()],
        "administrableDoseForm": on.words.maybe("form", it.form.as_deref())?,
        "unitOfPresentation": on.words.maybe("presentation", it.unit.as_deref())?,
        "producedFrom": it.from.iter()
            .map(|item| on.require(Part::Item, "item", *item, on.product.items.len()))
            .collect::<Result<Vec<_>, _>>()?,
        "description": it.description,
        "property": on.properties(&it.properties)?,
        "routeOfAdministration": it.routes.iter()
            .map(|by| route(on, by)).collect::<Result<Vec<_>, _>>()?,
    }))
}

fn route(on: &Expansion<'_>, it: &Route) -> Result<Value, CatalogueError> {
    let words = &on.words;
    let quantity =
        |text: &Option<String>| text.as_ref().map(|text| amount::quantity(words, text)).transpose();
    let species = it
        .species
        .iter()
        .map(|species| {
            let withdrawal = species
                .withdrawal
                .iter()
                .map(|it| {
                    Ok(json!({
                        "tissue": words.concept("tissue", &it.tissue)?,
                        "value": amount::quantity(words, &it.period)?,
                        "supportingInformation": it.note,
                    }))
                })
                .collect::<Result<Vec<_>, CatalogueError>>()?;
            Ok(json!({"code": words.concept("species", &species.of)?, "withdrawalPeriod": withdrawal}))
        })
        .collect::<Result<Vec<_>, CatalogueError>>()?;
    Ok(json!({
        "code": words.concept("route", &it.by)?,
        "firstDose": quantity(&it.first_dose)?,
        "maxSingleDose": quantity(&it.single_dose)?,
        "maxDosePerDay": quantity(&it.dose_per_day)?,
        "maxDosePerTreatmentPeriod": it.dose_per_treatment.as_ref()
            .map(|text| amount::ratio(words, text)).transpose()?,
        "maxTreatmentPeriod": quantity(&it.treatment)?,
        "targetSpecies": species,
    }))
}

/// The ManufacturedItemDefinitions.
pub(crate) fn items(on: &Expansion<'_>) -> Result<Vec<Value>, CatalogueError> {
    on.product
        .items
        .iter()
        .enumerate()
        .map(|(index, it)| Ok(on.part(Part::Item, index + 1, item(on, it)?)))
        .collect()
}

fn item(on: &Expansion<'_>, it: &Item) -> Result<Value, CatalogueError> {
    Ok(json!({
        "status": "active",
        "name": it.name,
        "manufacturedDoseForm": on.words.concept("form", &it.form)?,
        "unitOfPresentation": on.words.maybe("presentation", it.unit.as_deref())?,
        "manufacturer": on.shared.organisations(&it.manufacturers)?,
        "marketingStatus": marketing_statuses(&on.words, &it.marketing)?,
        "property": on.properties(&it.properties)?,
        "component": it.components.iter()
            .map(|part| component(on, part)).collect::<Result<Vec<_>, _>>()?,
    }))
}

fn component(on: &Expansion<'_>, it: &Component) -> Result<Value, CatalogueError> {
    let count = on.product.ingredients.len();
    let ingredient = |position: usize| on.require(Part::Ingredient, "ingredient", position, count);
    Ok(json!({
        "type": {"text": it.kind},
        "function": [it.function.as_ref().map(|text| json!({"text": text}))],
        "amount": [it.amount.as_ref().map(|text| amount::quantity(&on.words, text)).transpose()?],
        "constituent": it.ingredients.iter()
            .map(|position| Ok::<_, CatalogueError>(json!({
                "hasIngredient": [{"reference": ingredient(*position)?}],
            })))
            .collect::<Result<Vec<_>, _>>()?,
    }))
}

/// The Ingredients.
pub(crate) fn ingredients(on: &Expansion<'_>) -> Result<Vec<Value>, CatalogueError> {
    on.product
        .ingredients
        .iter()
        .enumerate()
        .map(|(index, it)| Ok(on.part(Part::Ingredient, index + 1, ingredient(on, it)?)))
        .collect()
}

fn ingredient(on: &Expansion<'_>, it: &Ingredient) -> Result<Value, CatalogueError> {
    let words = &on.words;
    let confidential = json!({"security": [{
        "system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality",
        "code": "R",
        "display": "restricted",
    }]});
    Ok(json!({
        "meta": it.confidential.then_some(confidential),
        "status": "active",
        "for": links(on, it)?,
        "role": words.concept("role", &it.role)?,
        "function": [words.maybe("function", it.function.as_deref())?],
        "group": words.maybe("ingredient-group", it.group.as_deref())?,
        "allergenicIndicator": it.allergenic,
        "comment": it.comment,
        "manufacturer": it.manufacturer.as_ref()
            .map(|key| Ok::<_, CatalogueError>(json!([{
                "role": "actual",
                "manufacturer": on.shared.organisation(key)?,
            }])))
            .transpose()?,
        "substance": {
            "code": on.shared.substance(&it.substance)?,
            "strength": it.strength.iter()
                .map(|of| strength(on, of)).collect::<Result<Vec<_>, _>>()?,
        },
    }))
}

/// Where an ingredient is: in the items and forms it names, or in all of the product's.
fn links(on: &Expansion<'_>, it: &Ingredient) -> Result<Vec<Value>, CatalogueError> {
    let product = on.product;
    let everywhere = it.items.is_empty() && it.administered.is_empty();
    let positions = |named: &[usize], count: usize| {
        if everywhere { (1..=count).collect() } else { named.to_vec() }
    };
    let mut links = Vec::new();
    if it.of_product || (product.items.is_empty() && product.administered.is_empty()) {
        links.push(on.product_link());
    }
    for item in positions(&it.items, product.items.len()) {
        links.push(on.require(Part::Item, "item", item, product.items.len())?);
    }
    for form in positions(&it.administered, product.administered.len()) {
        links.push(on.require(Part::Administered, "administered form", form, product.administered.len())?);
    }
    Ok(links)
}

fn strength(on: &Expansion<'_>, it: &Strength) -> Result<Value, CatalogueError> {
    let words = &on.words;
    let ratio = |text: &Option<String>| text.as_ref().map(|text| amount::ratio(words, text)).transpose();
    Ok(json!({
        "presentationRatio": ratio(&it.per_unit)?,
        "presentationRatioRange": it.range_per_unit.as_ref()
            .map(|text| amount::ratio_range(words, text)).transpose()?,
        "textPresentation": it.text_per_unit,
        "concentrationRatio": ratio(&it.per_amount)?,
        "textConcentration": it.text_per_amount,
        "basis": it.basis.as_ref().map(|text| json!({"text": text})),
        "measurementPoint": it.measured_at,
        "country": words.each("country", &it.countries)?,
        "referenceStrength": it.reference.iter()
            .map(|reference| reference_strength(on, reference)).collect::<Result<Vec<_>, _>>()?,
    }))
}

fn reference_strength(on: &Expansion<'_>, it: &ReferenceStrength) -> Result<Value, CatalogueError> {
    Ok(json!({
        "substance": on.shared.substance(&it.substance)?,
        "strengthRatio": amount::ratio(&on.words, &it.amount)?,
        "measurementPoint": it.measured_at,
        "country": on.words.each("country", &it.countries)?,
    }))
}
