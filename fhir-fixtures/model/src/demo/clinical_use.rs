//! ClinicalUseDefinitions: indications, contraindications, interactions, undesirable effects, warnings.

use serde_json::{Map, Value, json};

use super::{
    catalogue::CatalogueError,
    composition_text::ClinicalUse,
    expansion::{Expansion, Part},
};

/// The clinical uses of the product.
pub(crate) fn uses(on: &Expansion<'_>) -> Result<Vec<Value>, CatalogueError> {
    on.product
        .uses
        .iter()
        .enumerate()
        .map(|(index, it)| Ok(on.part(Part::ClinicalUse, index + 1, clinical_use(on, it)?)))
        .collect()
}

fn clinical_use(on: &Expansion<'_>, it: &ClinicalUse) -> Result<Value, CatalogueError> {
    let (member, content) = match it.kind.as_str() {
        "indication" => ("indication", indication(it)),
        "contraindication" => ("contraindication", contraindication(it)),
        "interaction" => ("interaction", interaction(it)),
        "undesirable-effect" => ("undesirableEffect", undesirable_effect(it)),
        "warning" => ("warning", json!({"description": it.about, "code": concept(it.category.as_ref())})),
        other => return Err(CatalogueError::UnknownTerm { kind: "clinical use", word: other.to_owned() }),
    };
    let mut members = Map::new();
    members.insert("type".to_owned(), json!(it.kind));
    members.insert("category".to_owned(), json!([concept(it.category.as_ref())]));
    members.insert("subject".to_owned(), json!([on.product_link()]));
    members.insert("status".to_owned(), on.words.concept("record-status", "current")?);
    members.insert(member.to_owned(), content);
    Ok(Value::Object(members))
}

fn indication(it: &ClinicalUse) -> Value {
    json!({
        "diseaseSymptomProcedure": in_words(Some(&it.about)),
        "diseaseStatus": in_words(it.disease_status.as_ref()),
        "comorbidity": it.comorbidities.iter().map(|text| in_words(Some(text))).collect::<Vec<_>>(),
        "intendedEffect": in_words(it.intended_effect.as_ref()),
        "durationString": it.duration,
        "otherTherapy": other_therapy(it),
    })
}

fn contraindication(it: &ClinicalUse) -> Value {
    json!({
        "diseaseSymptomProcedure": in_words(Some(&it.about)),
        "diseaseStatus": in_words(it.disease_status.as_ref()),
        "comorbidity": it.comorbidities.iter().map(|text| in_words(Some(text))).collect::<Vec<_>>(),
        "otherTherapy": other_therapy(it),
    })
}

fn other_therapy(it: &ClinicalUse) -> Value {
    it.other_therapy.as_ref().map_or(Value::Null, |text| {
        json!([{
            "relationshipType": {"text": "contraindicated with"},
            "treatment": {"concept": {"text": text}},
        }])
    })
}

fn interaction(it: &ClinicalUse) -> Value {
    json!({
        "interactant": [{"itemCodeableConcept": {"text": it.about}}],
        "type": {"text": "drug-drug interaction"},
        "effect": in_words(it.intended_effect.as_ref()),
        "incidence": concept(it.frequency.as_ref()),
        "management": [concept(it.management.as_ref())],
    })
}

fn undesirable_effect(it: &ClinicalUse) -> Value {
    json!({
        "symptomConditionEffect": in_words(Some(&it.about)),
        "classification": concept(it.system_organ_class.as_ref()),
        "frequencyOfOccurrence": concept(it.frequency.as_ref()),
    })
}

fn concept(text: Option<&String>) -> Value {
    text.map_or(Value::Null, |text| json!({ "text": text }))
}

/// A CodeableReference that is a concept in words.
fn in_words(text: Option<&String>) -> Value {
    text.map_or(Value::Null, |text| json!({"concept": {"text": text}}))
}
