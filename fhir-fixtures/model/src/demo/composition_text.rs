//! Packs, items, administered forms, ingredients and clinical uses as the catalogue texts write them.

use serde::Deserialize;

use super::product_text::{Marketing, Property};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Pack {
    /// The part of the PCID after the MPID.
    pub(crate) pcid: Option<String>,
    pub(crate) number: Option<String>,
    pub(crate) gtin: Option<String>,
    pub(crate) national_number: Option<String>,
    pub(crate) name: Option<String>,
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) status_date: Option<String>,
    #[serde(default)]
    pub(crate) quantities: Vec<String>,
    pub(crate) description: Option<String>,
    pub(crate) supply: Option<String>,
    pub(crate) supply_country: Option<String>,
    #[serde(default)]
    pub(crate) marketing: Vec<Marketing>,
    pub(crate) copackaged: Option<bool>,
    #[serde(default)]
    pub(crate) manufacturers: Vec<String>,
    pub(crate) packaging: Option<Container>,
    #[serde(default)]
    pub(crate) characteristics: Vec<Property>,
    /// The name of an importer, written as a contained organisation instead of a link.
    pub(crate) contained_importer: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Container {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) batch_carrier: Option<String>,
    #[serde(default = "one")]
    pub(crate) quantity: u32,
    pub(crate) component_part: Option<bool>,
    #[serde(default)]
    pub(crate) of: Vec<String>,
    #[serde(default)]
    pub(crate) or_of: Vec<String>,
    #[serde(default)]
    pub(crate) shelf_life: Vec<ShelfLife>,
    #[serde(default)]
    pub(crate) manufacturers: Vec<String>,
    #[serde(default)]
    pub(crate) properties: Vec<Property>,
    #[serde(default)]
    pub(crate) holds: Vec<Held>,
    #[serde(default)]
    pub(crate) inside: Vec<Self>,
}

const fn one() -> u32 {
    1
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Held {
    pub(crate) item: usize,
    pub(crate) amount: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct ShelfLife {
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) period: Option<String>,
    /// A length of time in words, as older records have it.
    pub(crate) text: Option<String>,
    #[serde(default)]
    pub(crate) storage: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Item {
    pub(crate) form: String,
    pub(crate) unit: Option<String>,
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) manufacturers: Vec<String>,
    #[serde(default)]
    pub(crate) marketing: Vec<Marketing>,
    #[serde(default)]
    pub(crate) properties: Vec<Property>,
    #[serde(default)]
    pub(crate) components: Vec<Component>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Component {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) function: Option<String>,
    pub(crate) amount: Option<String>,
    /// The ingredients in it, by position.
    #[serde(default)]
    pub(crate) ingredients: Vec<usize>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Administered {
    pub(crate) form: Option<String>,
    pub(crate) unit: Option<String>,
    #[serde(default)]
    pub(crate) from: Vec<usize>,
    pub(crate) description: Option<String>,
    #[serde(default)]
    pub(crate) properties: Vec<Property>,
    pub(crate) routes: Vec<Route>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Route {
    pub(crate) by: String,
    pub(crate) first_dose: Option<String>,
    pub(crate) single_dose: Option<String>,
    pub(crate) dose_per_day: Option<String>,
    pub(crate) dose_per_treatment: Option<String>,
    pub(crate) treatment: Option<String>,
    #[serde(default)]
    pub(crate) species: Vec<Species>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Species {
    pub(crate) of: String,
    #[serde(default)]
    pub(crate) withdrawal: Vec<Withdrawal>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Withdrawal {
    pub(crate) tissue: String,
    pub(crate) period: String,
    pub(crate) note: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Ingredient {
    pub(crate) substance: String,
    #[serde(default = "active")]
    pub(crate) role: String,
    /// The items and administered forms it is in, by position; without any: in all of both.
    #[serde(default)]
    pub(crate) items: Vec<usize>,
    #[serde(default)]
    pub(crate) administered: Vec<usize>,
    /// It is also linked to the product itself.
    #[serde(default)]
    pub(crate) of_product: bool,
    /// The source marks it confidential, by a security label, as 5.0.0 has no element for it.
    #[serde(default)]
    pub(crate) confidential: bool,
    pub(crate) function: Option<String>,
    pub(crate) group: Option<String>,
    pub(crate) allergenic: Option<bool>,
    pub(crate) comment: Option<String>,
    pub(crate) manufacturer: Option<String>,
    #[serde(default)]
    pub(crate) strength: Vec<Strength>,
}

fn active() -> String {
    "active".to_owned()
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Strength {
    pub(crate) per_unit: Option<String>,
    /// A range of strengths per unit: `4 - 6 mg / 1 ml`.
    pub(crate) range_per_unit: Option<String>,
    pub(crate) per_amount: Option<String>,
    pub(crate) text_per_unit: Option<String>,
    pub(crate) text_per_amount: Option<String>,
    pub(crate) basis: Option<String>,
    pub(crate) measured_at: Option<String>,
    #[serde(default)]
    pub(crate) countries: Vec<String>,
    #[serde(default)]
    pub(crate) reference: Vec<ReferenceStrength>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct ReferenceStrength {
    pub(crate) substance: String,
    pub(crate) amount: String,
    pub(crate) measured_at: Option<String>,
    #[serde(default)]
    pub(crate) countries: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct ClinicalUse {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) category: Option<String>,
    /// The disease, symptom, effect, interacting substance or warning, in words.
    pub(crate) about: String,
    pub(crate) disease_status: Option<String>,
    #[serde(default)]
    pub(crate) comorbidities: Vec<String>,
    pub(crate) intended_effect: Option<String>,
    pub(crate) duration: Option<String>,
    /// How often an undesirable effect or interaction happens.
    pub(crate) frequency: Option<String>,
    pub(crate) system_organ_class: Option<String>,
    pub(crate) management: Option<String>,
    pub(crate) other_therapy: Option<String>,
}
