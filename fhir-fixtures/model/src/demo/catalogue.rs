//! The compact form of a product as the catalogue texts have it, and reading it.
//!
//! Every word in these structures is looked up in `terms.toml`; every key of an organisation, person, document
//! or substance in `organisations.toml` and `substances.toml`. Items, packs and uses are named by their position,
//! counted from 1.

use std::collections::BTreeMap;

use serde::{Deserialize, de::DeserializeOwned};

use super::terms::Spelling;

/// What can be wrong with the texts of the catalogue.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogueError {
    /// The text is not TOML, or has a key that the catalogue does not know.
    #[error("{file} cannot be read")]
    Text {
        /// The file.
        file: &'static str,
        /// Line and cause.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A product is written `like` one that does not come before it.
    #[error("a product is written like {like}, which is not above it")]
    UnknownModel {
        /// The id given in `like`.
        like: String,
    },
    /// A word that `terms.toml` does not have.
    #[error("terms.toml has no {kind} {word:?}")]
    UnknownTerm {
        /// The code list looked into.
        kind: &'static str,
        /// The word.
        word: String,
    },
    /// A key that `organisations.toml` or `substances.toml` does not have.
    #[error("there is no {kind} {key:?}")]
    UnknownKey {
        /// Organisation, person, document or substance.
        kind: &'static str,
        /// The key.
        key: String,
    },
    /// A position for which the product has no item, pack, use or document.
    #[error("the product has no {kind} number {position}")]
    UnknownPosition {
        /// Item, pack, use or document.
        kind: &'static str,
        /// The position, counted from 1.
        position: usize,
    },
    /// An amount that is not a number and a unit.
    #[error("{0:?} is no amount: a number and a unit")]
    Amount(String),
    /// A product id that does not end in three digits.
    #[error("{0:?} is no product id: twelve digits")]
    ProductId(String),
    /// Something is wrong with one product.
    #[error("product {id}: {source}")]
    Product {
        /// Its id.
        id: String,
        /// What is wrong.
        source: Box<Self>,
    },
}

/// Reads one text.
pub(super) fn parse_toml<T: DeserializeOwned>(file: &'static str, text: &str) -> Result<T, CatalogueError> {
    toml::from_str(text).map_err(|source| CatalogueError::Text { file, source: Box::new(source) })
}

/// One text as written: tables, before `like` is resolved.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    product: Vec<toml::Table>,
}

/// Reads all products. A product with `like = "<id>"` has every key of the product of that id which it does not
/// give itself; whole keys are replaced, never merged. An empty text (`narrative = ""`) takes a key away.
pub(super) fn parse(texts: &[(&'static str, &str)]) -> Result<Vec<Product>, CatalogueError> {
    let mut tables: BTreeMap<String, toml::Table> = BTreeMap::new();
    let mut products = Vec::new();
    for &(file, text) in texts {
        for mut table in parse_toml::<Text>(file, text)?.product {
            if let Some(like) = table.remove("like") {
                let like = like.as_str().unwrap_or_default();
                let model =
                    tables.get(like).ok_or_else(|| CatalogueError::UnknownModel { like: like.to_owned() })?;
                for (key, value) in model {
                    table.entry(key.clone()).or_insert_with(|| value.clone());
                }
            }
            table.retain(|_, value| value.as_str() != Some(""));
            let product = table
                .clone()
                .try_into::<Product>()
                .map_err(|source| CatalogueError::Text { file, source: Box::new(source) })?;
            tables.insert(product.id.clone(), table);
            products.push(product);
        }
    }
    Ok(products)
}

/// A product: a MedicinalProductDefinition and everything that belongs to it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Product {
    pub(super) id: String,
    /// Why it is in the catalogue. Not part of the product; the README tells the same.
    #[serde(rename = "shows")]
    pub(super) _shows: String,
    /// `meta.versionId` and `meta.lastUpdated` of the product and its parts.
    #[serde(default = "first_version")]
    pub(super) version_id: String,
    #[serde(default = "first_update")]
    pub(super) last_updated: String,
    #[serde(default)]
    pub(super) spelling: Spelling,
    #[serde(rename = "name")]
    pub(super) names: Vec<Name>,
    pub(super) narrative: Option<String>,
    pub(super) domain: Option<String>,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) mpid: Option<String>,
    pub(super) ev_code: Option<String>,
    pub(super) eurd: Option<String>,
    pub(super) company_code: Option<String>,
    pub(super) version: Option<String>,
    pub(super) status: Option<String>,
    pub(super) status_date: Option<String>,
    pub(super) description: Option<String>,
    pub(super) form: Option<String>,
    pub(super) authorised_form: Option<String>,
    #[serde(default)]
    pub(super) routes: Vec<String>,
    pub(super) indication: Option<String>,
    pub(super) supply: Option<String>,
    pub(super) monitoring: Option<bool>,
    #[serde(default)]
    pub(super) measures: Vec<String>,
    pub(super) paediatric: Option<bool>,
    /// `"C09XX91 velorapan"`: the code and the name that the classification gives it.
    pub(super) atc: Option<String>,
    pub(super) atc_veterinary: Option<String>,
    pub(super) orphan: Option<String>,
    pub(super) legal_basis: Option<String>,
    #[serde(default)]
    pub(super) marketing: Vec<Marketing>,
    #[serde(default)]
    pub(super) comprised: bool,
    #[serde(default)]
    pub(super) impurities: Vec<String>,
    #[serde(default, rename = "document")]
    pub(super) documents: Vec<Document>,
    #[serde(default)]
    pub(super) master_files: Vec<String>,
    pub(super) qppv: Option<String>,
    pub(super) enquiries: Option<String>,
    #[serde(default)]
    pub(super) clinical_trials: Vec<String>,
    #[serde(default)]
    pub(super) codes: Vec<String>,
    #[serde(default)]
    pub(super) cross_references: Vec<CrossReference>,
    #[serde(default, rename = "operation")]
    pub(super) operations: Vec<Operation>,
    #[serde(default)]
    pub(super) characteristics: Vec<Property>,
    /// An extension of no known meaning, for the rule that what is unknown is not public.
    pub(super) unknown_extension: Option<String>,
    #[serde(default, rename = "authorisation")]
    pub(super) authorisations: Vec<Authorisation>,
    #[serde(default, rename = "pack")]
    pub(super) packs: Vec<Pack>,
    #[serde(default, rename = "item")]
    pub(super) items: Vec<Item>,
    #[serde(default, rename = "administered")]
    pub(super) administered: Vec<Administered>,
    #[serde(default, rename = "ingredient")]
    pub(super) ingredients: Vec<Ingredient>,
    #[serde(default, rename = "use")]
    pub(super) uses: Vec<ClinicalUse>,
}

fn first_version() -> String {
    "1".to_owned()
}

fn first_update() -> String {
    "2033-02-01T08:00:00Z".to_owned()
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Name {
    pub(super) full: String,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) invented: Option<String>,
    pub(super) scientific: Option<String>,
    pub(super) strength: Option<String>,
    pub(super) form: Option<String>,
    /// `"DE de"`: country and language.
    #[serde(default)]
    pub(super) usage: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Marketing {
    pub(super) country: Option<String>,
    pub(super) status: String,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) restored: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Document {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) title: String,
    pub(super) language: Option<String>,
    pub(super) date: Option<String>,
    pub(super) description: Option<String>,
    /// Who wrote it: the key of an organisation.
    pub(super) author: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct CrossReference {
    /// The id of the other product.
    pub(super) to: String,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    /// What the source says next to the link; a display can tell what a link hides.
    pub(super) display: Option<String>,
}

/// A manufacturing operation: its ActivityDefinition and, with a number, its manufacturing authorisation.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Operation {
    pub(super) activity: String,
    #[serde(default)]
    pub(super) sites: Vec<String>,
    /// A word of the confidentiality list; absent when the source says nothing.
    pub(super) confidentiality: Option<String>,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) authorisation: Option<String>,
    pub(super) gmp_certificate: Option<String>,
    pub(super) regulator: Option<String>,
    /// The operation says its type also in words, not only by its link.
    #[serde(default)]
    pub(super) spelt_out: bool,
}

/// A characteristic or property: a type and one value.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Property {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) text: Option<String>,
    pub(super) amount: Option<String>,
    pub(super) flag: Option<bool>,
    pub(super) date: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Authorisation {
    pub(super) number: Option<String>,
    /// The packs it is for; without any it is for the product.
    #[serde(default)]
    pub(super) packs: Vec<usize>,
    #[serde(default = "marketing", rename = "type")]
    pub(super) kind: String,
    pub(super) description: Option<String>,
    #[serde(default)]
    pub(super) regions: Vec<String>,
    pub(super) status: Option<String>,
    pub(super) status_date: Option<String>,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    /// The key of an organisation, or a `LOC-…` id: then a logical reference.
    pub(super) holder: Option<String>,
    pub(super) regulator: Option<String>,
    pub(super) procedure: Option<Case>,
    #[serde(default)]
    pub(super) basis: Vec<String>,
    pub(super) intended_use: Option<String>,
    /// The use it was granted for, by position.
    pub(super) indication: Option<usize>,
    /// The documents of the product that it carries, by position.
    #[serde(default)]
    pub(super) documents: Vec<usize>,
}

fn marketing() -> String {
    "marketing".to_owned()
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Case {
    pub(super) number: Option<String>,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) status: Option<String>,
    pub(super) date: Option<String>,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    #[serde(default)]
    pub(super) applications: Vec<Self>,
}

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
