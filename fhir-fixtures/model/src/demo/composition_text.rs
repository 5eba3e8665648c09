//! Packs, items, administered forms, ingredients and clinical uses as the catalogue texts write them.

use serde::Deserialize;

use super::product_text::{Marketing, Property};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Pack {
    /// The part of the PCID after the MPID.
    pub(super) pcid: Option<String>,
    pub(super) number: Option<String>,
    pub(super) gtin: Option<String>,
    pub(super) national_number: Option<String>,
    pub(super) name: Option<String>,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) status: Option<String>,
    pub(super) status_date: Option<String>,
    #[serde(default)]
    pub(super) quantities: Vec<String>,
    pub(super) description: Option<String>,
    pub(super) supply: Option<String>,
    pub(super) supply_country: Option<String>,
    #[serde(default)]
    pub(super) marketing: Vec<Marketing>,
    pub(super) copackaged: Option<bool>,
    #[serde(default)]
    pub(super) manufacturers: Vec<String>,
    pub(super) packaging: Option<Container>,
    #[serde(default)]
    pub(super) characteristics: Vec<Property>,
    /// The name of an importer, written as a contained organisation instead of a link.
    pub(super) contained_importer: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Container {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) batch_carrier: Option<String>,
    #[serde(default = "one")]
    pub(super) quantity: u32,
    pub(super) component_part: Option<bool>,
    #[serde(default)]
    pub(super) of: Vec<String>,
    #[serde(default)]
    pub(super) or_of: Vec<String>,
    #[serde(default)]
    pub(super) shelf_life: Vec<ShelfLife>,
    #[serde(default)]
    pub(super) manufacturers: Vec<String>,
    #[serde(default)]
    pub(super) properties: Vec<Property>,
    #[serde(default)]
    pub(super) holds: Vec<Held>,
    #[serde(default)]
    pub(super) inside: Vec<Self>,
}

const fn one() -> u32 {
    1
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Held {
    pub(super) item: usize,
    pub(super) amount: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct ShelfLife {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) period: Option<String>,
    /// A length of time in words, as older records have it.
    pub(super) text: Option<String>,
    #[serde(default)]
    pub(super) storage: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Item {
    pub(super) form: String,
    pub(super) unit: Option<String>,
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) manufacturers: Vec<String>,
    #[serde(default)]
    pub(super) marketing: Vec<Marketing>,
    #[serde(default)]
    pub(super) properties: Vec<Property>,
    #[serde(default)]
    pub(super) components: Vec<Component>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Component {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) function: Option<String>,
    pub(super) amount: Option<String>,
    /// The ingredients in it, by position.
    #[serde(default)]
    pub(super) ingredients: Vec<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Administered {
    pub(super) form: Option<String>,
    pub(super) unit: Option<String>,
    #[serde(default)]
    pub(super) from: Vec<usize>,
    pub(super) description: Option<String>,
    #[serde(default)]
    pub(super) properties: Vec<Property>,
    pub(super) routes: Vec<Route>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Route {
    pub(super) by: String,
    pub(super) first_dose: Option<String>,
    pub(super) single_dose: Option<String>,
    pub(super) dose_per_day: Option<String>,
    pub(super) dose_per_treatment: Option<String>,
    pub(super) treatment: Option<String>,
    #[serde(default)]
    pub(super) species: Vec<Species>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Species {
    pub(super) of: String,
    #[serde(default)]
    pub(super) withdrawal: Vec<Withdrawal>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Withdrawal {
    pub(super) tissue: String,
    pub(super) period: String,
    pub(super) note: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Ingredient {
    pub(super) substance: String,
    #[serde(default = "active")]
    pub(super) role: String,
    /// The items and administered forms it is in, by position; without any: in all of both.
    #[serde(default)]
    pub(super) items: Vec<usize>,
    #[serde(default)]
    pub(super) administered: Vec<usize>,
    /// It is also linked to the product itself.
    #[serde(default)]
    pub(super) of_product: bool,
    /// The source marks it confidential, by a security label, as 5.0.0 has no element for it.
    #[serde(default)]
    pub(super) confidential: bool,
    pub(super) function: Option<String>,
    pub(super) group: Option<String>,
    pub(super) allergenic: Option<bool>,
    pub(super) comment: Option<String>,
    pub(super) manufacturer: Option<String>,
    #[serde(default)]
    pub(super) strength: Vec<Strength>,
}

fn active() -> String {
    "active".to_owned()
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Strength {
    pub(super) per_unit: Option<String>,
    /// A range of strengths per unit: `4 - 6 mg / 1 ml`.
    pub(super) range_per_unit: Option<String>,
    pub(super) per_amount: Option<String>,
    pub(super) text_per_unit: Option<String>,
    pub(super) text_per_amount: Option<String>,
    pub(super) basis: Option<String>,
    pub(super) measured_at: Option<String>,
    #[serde(default)]
    pub(super) countries: Vec<String>,
    #[serde(default)]
    pub(super) reference: Vec<ReferenceStrength>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct ReferenceStrength {
    pub(super) substance: String,
    pub(super) amount: String,
    pub(super) measured_at: Option<String>,
    #[serde(default)]
    pub(super) countries: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct ClinicalUse {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) category: Option<String>,
    /// The disease, symptom, effect, interacting substance or warning, in words.
    pub(super) about: String,
    pub(super) disease_status: Option<String>,
    #[serde(default)]
    pub(super) comorbidities: Vec<String>,
    pub(super) intended_effect: Option<String>,
    pub(super) duration: Option<String>,
    /// How often an undesirable effect or interaction happens.
    pub(super) frequency: Option<String>,
    pub(super) system_organ_class: Option<String>,
    pub(super) management: Option<String>,
    pub(super) other_therapy: Option<String>,
}
