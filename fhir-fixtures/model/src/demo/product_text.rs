//! A product, its documents, operations and authorisations as the catalogue texts write them.
//!
//! Every word in these structures is looked up in `terms.toml`; every key of an organisation, person, file or
//! substance in `organisations.toml` and `substances.toml`. Items, packs, ingredients, uses and documents are
//! named by their position, counted from 1.

use serde::Deserialize;

use super::{
    composition_text::{Administered, ClinicalUse, Ingredient, Item, Pack},
    terms::Spelling,
};

/// A product: a MedicinalProductDefinition and everything that belongs to it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Product {
    pub(super) id: String,
    /// Why it is in the catalogue. Not part of the product; the table in the README tells the same.
    #[cfg_attr(not(test), expect(dead_code, reason = "for readers, and for the test of the README"))]
    pub(super) shows: String,
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
