//! Items, ingredients, substances and clinical use, from 4.4.0.

use crate::{
    json::{Fields, Json},
    schema::{DATA_ABSENT, Dropped},
    tree::{each, map_each, put, put_items, rename, take, take_items},
};

use super::{add_references, of_concept, take_choice};

/// Where the confidentiality of a specified substance is kept, which 5.0.0 has no element for: the extension that
/// FHIR foresees for elements of another version (FHIR "versions", extensions for inter-version conversion). The
/// access levels read it.
const CONFIDENTIALITY: &str =
    "http://hl7.org/fhir/4.4/StructureDefinition/extension-Ingredient.specifiedSubstance.confidentiality";

/// 5.0.0 wants a publication status, 4.4.0 had none: nobody knows it.
fn unknown_status(fields: &mut Fields<'_>) {
    put(fields, "status", Some(Json::text("unknown")));
}

pub(super) fn administrable(fields: &mut Fields<'_>, parents: &[String]) {
    unknown_status(fields);
    rename(fields, "subject", "formOf");
    add_references(fields, "formOf", parents);
    take(fields, "ingredient");
}

pub(super) fn item(fields: &mut Fields<'_>) {
    unknown_status(fields);
    take(fields, "ingredient");
}

pub(super) fn ingredient(fields: &mut Fields<'_>, parents: &[String], told: Dropped<'_>) {
    unknown_status(fields);
    add_references(fields, "for", parents);
    rename(fields, "description", "comment");
    map_each(fields, "manufacturer", &|reference| Some(Json::object([("manufacturer", reference)])));
    let specified = take_items(fields, "specifiedSubstance");
    let mut extensions = take_items(fields, "extension");
    for confidentiality in specified.iter().filter_map(|each| each.get("confidentiality")) {
        extensions.push(Json::object([
            ("url", Json::text(CONFIDENTIALITY)),
            ("valueCodeableConcept", confidentiality.clone()),
        ]));
    }
    put_items(fields, "extension", extensions);
    if !specified.is_empty() {
        let path = "Ingredient.specifiedSubstance".to_owned();
        if fields.contains_key("substance") {
            told(path, "5.0.0 has no specified substance; only its confidentiality is kept");
        } else {
            told(path, "5.0.0 has no specified substance; the first one stands as the substance");
            let mut substance = specified.into_iter().next().unwrap_or_default();
            if let Some(substance) = substance.as_object_mut() {
                take(substance, "confidentiality");
                take(substance, "group");
            }
            put(fields, "substance", Some(substance));
        }
    }
    each(fields, "substance", &mut |substance| {
        let code = take_choice(substance, "code");
        put(substance, "code", code);
        each(substance, "strength", &mut strength);
    });
}

fn strength(strength: &mut Fields<'_>) {
    rename(strength, "presentationText", "textPresentation");
    rename(strength, "concentrationText", "textConcentration");
    for name in ["presentation", "concentration"] {
        ratio(strength, name, &format!("{name}HighLimit"));
    }
    each(strength, "referenceStrength", &mut |reference| {
        let substance = take_choice(reference, "substance");
        put(reference, "substance", substance);
        ratio(reference, "strength", "strengthHighLimit");
    });
}

/// A ratio and its high limit as the choice of 5.0.0: a ratio, a range, or, where the denominator is only said to be
/// unknown, a quantity.
fn ratio(fields: &mut Fields<'_>, name: &str, high: &str) {
    let (low, high) = (take(fields, name), take(fields, high));
    let Some(limit) = high else {
        let Some(ratio) = low else { return };
        let extensions = ratio.at(&["denominator", "extension"]).and_then(Json::as_array).unwrap_or_default();
        let unknown =
            extensions.iter().any(|each| each.get("url").and_then(Json::as_str) == Some(DATA_ABSENT));
        match ratio.get("numerator") {
            Some(quantity) if unknown => put(fields, format!("{name}Quantity"), Some(quantity.clone())),
            _ => put(fields, format!("{name}Ratio"), Some(ratio)),
        }
        return;
    };
    let mut range = Fields::new();
    let of_low = |part: &str| low.as_ref().and_then(|low| low.get(part)).cloned();
    let of_high = |part: &str| limit.get(part).cloned();
    put(&mut range, "lowNumerator", of_low("numerator"));
    put(&mut range, "highNumerator", of_high("numerator"));
    put(&mut range, "denominator", of_low("denominator").or_else(|| of_high("denominator")));
    put(fields, format!("{name}RatioRange"), Some(Json::Object(range)));
}

pub(super) fn substance(fields: &mut Fields<'_>, told: Dropped<'_>) {
    rename(fields, "category", "classification");
    rename(fields, "source", "informationSource");
    each(fields, "moiety", &mut |moiety| rename(moiety, "amountType", "measurementType"));
    each(fields, "property", &mut |property| {
        rename(property, "code", "type");
        rename(property, "amountQuantity", "valueQuantity");
        let words = take(property, "amountString").map(|words| Json::object([("text", words)]));
        put(property, "valueCodeableConcept", words);
    });
    each(fields, "relationship", &mut |relationship| {
        rename(relationship, "amountRatioHighLimit", "ratioHighLimitAmount");
        rename(relationship, "amountType", "comparator");
    });
    if take(fields, "sourceMaterial").is_some() {
        told(
            "SubstanceDefinition.sourceMaterial".to_owned(),
            "a reference to a resource that 5.0.0 does not have; left out",
        );
    }
}

pub(super) fn clinical_use(fields: &mut Fields<'_>, told: Dropped<'_>) {
    for (part, names) in [
        ("contraindication", &["diseaseSymptomProcedure", "diseaseStatus", "comorbidity"][..]),
        ("indication", &["diseaseSymptomProcedure", "diseaseStatus", "comorbidity", "intendedEffect"][..]),
        ("interaction", &["effect"][..]),
        ("undesirableEffect", &["symptomConditionEffect"][..]),
    ] {
        each(fields, part, &mut |part| {
            for name in names {
                map_each(part, name, &of_concept);
            }
            each(part, "otherTherapy", &mut |therapy| {
                rename(therapy, "therapyRelationshipType", "relationshipType");
                let treatment = take_choice(therapy, "medication");
                put(therapy, "treatment", treatment);
            });
        });
    }
    each(fields, "indication", &mut |indication| {
        let duration = take(indication, "duration")
            .map(|quantity| Json::object([("low", quantity.clone()), ("high", quantity)]));
        put(indication, "durationRange", duration);
    });
    if take(fields, "population").is_some() {
        told(
            "ClinicalUseIssue.population".to_owned(),
            "5.0.0 refers to a group instead of describing one; left out",
        );
    }
}
