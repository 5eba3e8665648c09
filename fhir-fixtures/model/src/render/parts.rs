//! Rendering what a product is made of and used for: items, ingredients, substances, clinical use.

use crate::{
    ResourceType,
    json::{Fields, Json},
    tree::{absent, each, map_each, put, put_items, rename, take, take_items, wording},
};

use super::{concept_of, links::Links, put_choice};

fn forward_ingredients(fields: &mut Fields<'_>, links: &Links, own: ResourceType) {
    take(fields, "ingredient");
    let id = fields.get("id").and_then(Json::as_str).unwrap_or_default().to_owned();
    put_items(fields, "ingredient", links.forward(own, &id, ResourceType::Ingredient));
}

pub(super) fn administrable(fields: &mut Fields<'_>, links: &Links) {
    rename(fields, "formOf", "subject");
    forward_ingredients(fields, links, ResourceType::AdministrableProductDefinition);
}

pub(super) fn item(fields: &mut Fields<'_>, links: &Links) {
    forward_ingredients(fields, links, ResourceType::ManufacturedItemDefinition);
}

pub(super) fn ingredient(fields: &mut Fields<'_>) {
    rename(fields, "comment", "description");
    map_each(fields, "manufacturer", &|manufacturer| manufacturer.get("manufacturer").cloned());
    each(fields, "substance", &mut |substance| {
        let code = take(substance, "code");
        put_choice(substance, "code", code);
        each(substance, "strength", &mut strength);
    });
}

fn strength(strength: &mut Fields<'_>) {
    rename(strength, "textPresentation", "presentationText");
    rename(strength, "textConcentration", "concentrationText");
    for (name, high, text) in [
        ("presentation", "presentationHighLimit", "presentationText"),
        ("concentration", "concentrationHighLimit", "concentrationText"),
    ] {
        ratio(strength, name, name, high, Some(text));
    }
    each(strength, "referenceStrength", &mut |reference| {
        let substance = take(reference, "substance");
        put_choice(reference, "substance", substance);
        ratio(reference, "strength", "strength", "strengthHighLimit", None);
    });
}

fn words<'t>(text: &str) -> Json<'t> {
    Json::text(text.to_owned())
}

/// A choice of ratio, ratio range, quantity and concept as the ratios and the text of 4.4.0.
fn ratio(
    fields: &mut Fields<'_>,
    from: &str,
    to: &'static str,
    high: &'static str,
    text: Option<&'static str>,
) {
    rename(fields, &format!("{from}Ratio"), to);
    if let Some(Json::Object(mut range)) = take(fields, &format!("{from}RatioRange")) {
        let denominator = take(&mut range, "denominator");
        for (name, bound) in [(to, "lowNumerator"), (high, "highNumerator")] {
            if let Some(numerator) = take(&mut range, bound) {
                let mut ratio = Fields::new();
                put(&mut ratio, "numerator", Some(numerator));
                put(&mut ratio, "denominator", denominator.clone());
                put(fields, name, Some(Json::Object(ratio)));
            }
        }
    }
    if let Some(quantity) = take(fields, &format!("{from}Quantity")) {
        let ratio = Json::object([("numerator", quantity), ("denominator", absent("unknown"))]);
        put(fields, to, Some(ratio));
    }
    if let (Some(concept), Some(text)) = (take(fields, &format!("{from}CodeableConcept")), text)
        && !fields.contains_key(text)
    {
        put(fields, text, wording(&concept).map(words));
    }
}

pub(super) fn substance(fields: &mut Fields<'_>) {
    rename(fields, "classification", "category");
    rename(fields, "informationSource", "source");
    each(fields, "moiety", &mut |moiety| rename(moiety, "measurementType", "amountType"));
    each(fields, "property", &mut |property| {
        rename(property, "type", "code");
        rename(property, "valueQuantity", "amountQuantity");
        let concept = take(property, "valueCodeableConcept");
        let text = concept.as_ref().and_then(wording).map(words).or_else(|| take(property, "valueDate"));
        put(property, "amountString", text);
    });
    each(fields, "relationship", &mut |relationship| {
        rename(relationship, "ratioHighLimitAmount", "amountRatioHighLimit");
        rename(relationship, "comparator", "amountType");
    });
    take(fields, "sourceMaterial");
}

pub(super) fn clinical_use(fields: &mut Fields<'_>) {
    for (part, names) in [
        ("contraindication", &["diseaseSymptomProcedure", "diseaseStatus", "comorbidity"][..]),
        ("indication", &["diseaseSymptomProcedure", "diseaseStatus", "comorbidity", "intendedEffect"][..]),
        ("interaction", &["effect"][..]),
        ("undesirableEffect", &["symptomConditionEffect"][..]),
    ] {
        each(fields, part, &mut |part| {
            for name in names {
                map_each(part, name, &concept_of);
            }
            each(part, "otherTherapy", &mut |therapy| {
                rename(therapy, "relationshipType", "therapyRelationshipType");
                let treatment = take(therapy, "treatment");
                put_choice(therapy, "medication", treatment);
            });
        });
    }
    each(fields, "indication", &mut |indication| {
        // A duration is one quantity in 4.4.0: only a range of equal ends says the same.
        if let Some(range) = take(indication, "durationRange")
            && range.get("low") == range.get("high")
        {
            put(indication, "duration", range.get("low").cloned());
        }
    });
    // A group is no population description.
    let _ = take_items(fields, "population");
}
