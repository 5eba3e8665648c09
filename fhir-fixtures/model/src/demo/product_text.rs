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
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Product {
    pub(crate) id: String,
    /// Why it is in the catalogue. Not part of the product; the table in the README tells the same.
    #[cfg_attr(not(test), expect(dead_code, reason = "for readers, and for the test of the README"))]
    pub(crate) shows: String,
    /// `meta.versionId` and `meta.lastUpdated` of the product and its parts.
    #[serde(default = "first_version")]
    pub(crate) version_id: String,
    #[serde(default = "first_update")]
    pub(crate) last_updated: String,
    #[serde(default)]
    pub(crate) spelling: Spelling,
    #[serde(rename = "name")]
    pub(crate) names: Vec<Name>,
    pub(crate) narrative: Option<String>,
    pub(crate) domain: Option<String>,
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) mpid: Option<String>,
    pub(crate) ev_code: Option<String>,
    pub(crate) eurd: Option<String>,
    pub(crate) company_code: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) status_date: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) form: Option<String>,
    pub(crate) authorised_form: Option<String>,
    #[serde(default)]
    pub(crate) routes: Vec<String>,
    pub(crate) indication: Option<String>,
    pub(crate) supply: Option<String>,
    pub(crate) monitoring: Option<bool>,
    #[serde(default)]
    pub(crate) measures: Vec<String>,
    pub(crate) paediatric: Option<bool>,
    /// `"C09XX91 velorapan"`: the code and the name that the classification gives it.
    pub(crate) atc: Option<String>,
    pub(crate) atc_veterinary: Option<String>,
    pub(crate) orphan: Option<String>,
    pub(crate) legal_basis: Option<String>,
    #[serde(default)]
    pub(crate) marketing: Vec<Marketing>,
    #[serde(default)]
    pub(crate) comprised: bool,
    #[serde(default)]
    pub(crate) impurities: Vec<String>,
    #[serde(default, rename = "document")]
    pub(crate) documents: Vec<Document>,
    #[serde(default)]
    pub(crate) master_files: Vec<String>,
    pub(crate) qppv: Option<String>,
    pub(crate) enquiries: Option<String>,
    #[serde(default)]
    pub(crate) clinical_trials: Vec<String>,
    #[serde(default)]
    pub(crate) codes: Vec<String>,
    #[serde(default)]
    pub(crate) cross_references: Vec<CrossReference>,
    #[serde(default, rename = "operation")]
    pub(crate) operations: Vec<Operation>,
    #[serde(default)]
    pub(crate) characteristics: Vec<Property>,
    /// An extension of no known meaning, for the rule that what is unknown is not public.
    pub(crate) unknown_extension: Option<String>,
    #[serde(default, rename = "authorisation")]
    pub(crate) authorisations: Vec<Authorisation>,
    #[serde(default, rename = "pack")]
    pub(crate) packs: Vec<Pack>,
    #[serde(default, rename = "item")]
    pub(crate) items: Vec<Item>,
    #[serde(default, rename = "administered")]
    pub(crate) administered: Vec<Administered>,
    #[serde(default, rename = "ingredient")]
    pub(crate) ingredients: Vec<Ingredient>,
    #[serde(default, rename = "use")]
    pub(crate) uses: Vec<ClinicalUse>,
}

fn first_version() -> String {
    "1".to_owned()
}

fn first_update() -> String {
    "2033-02-01T08:00:00Z".to_owned()
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Name {
    pub(crate) full: String,
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) invented: Option<String>,
    pub(crate) scientific: Option<String>,
    pub(crate) strength: Option<String>,
    pub(crate) form: Option<String>,
    /// `"DE de"`: country and language.
    #[serde(default)]
    pub(crate) usage: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Marketing {
    pub(crate) country: Option<String>,
    pub(crate) status: String,
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    pub(crate) restored: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Document {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) title: String,
    pub(crate) language: Option<String>,
    pub(crate) date: Option<String>,
    pub(crate) description: Option<String>,
    /// Who wrote it: the key of an organisation.
    pub(crate) author: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct CrossReference {
    /// The id of the other product.
    pub(crate) to: String,
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    /// What the source says next to the link; a display can tell what a link hides.
    pub(crate) display: Option<String>,
}

/// A manufacturing operation: its ActivityDefinition and, with a number, its manufacturing authorisation.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Operation {
    pub(crate) activity: String,
    #[serde(default)]
    pub(crate) sites: Vec<String>,
    /// A word of the confidentiality list; absent when the source says nothing.
    pub(crate) confidentiality: Option<String>,
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    pub(crate) authorisation: Option<String>,
    pub(crate) gmp_certificate: Option<String>,
    pub(crate) regulator: Option<String>,
    /// The operation says its type also in words, not only by its link.
    #[serde(default)]
    pub(crate) spelt_out: bool,
}

/// A characteristic or property: a type and one value.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Property {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) text: Option<String>,
    pub(crate) amount: Option<String>,
    pub(crate) flag: Option<bool>,
    pub(crate) date: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Authorisation {
    pub(crate) number: Option<String>,
    /// The packs it is for; without any it is for the product.
    #[serde(default)]
    pub(crate) packs: Vec<usize>,
    #[serde(default = "marketing", rename = "type")]
    pub(crate) kind: String,
    pub(crate) description: Option<String>,
    #[serde(default)]
    pub(crate) regions: Vec<String>,
    pub(crate) status: Option<String>,
    pub(crate) status_date: Option<String>,
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    /// The key of an organisation, or a `LOC-…` id: then a logical reference.
    pub(crate) holder: Option<String>,
    pub(crate) regulator: Option<String>,
    pub(crate) procedure: Option<Case>,
    #[serde(default)]
    pub(crate) basis: Vec<String>,
    pub(crate) intended_use: Option<String>,
    /// The use it was granted for, by position.
    pub(crate) indication: Option<usize>,
    /// The documents of the product that it carries, by position.
    #[serde(default)]
    pub(crate) documents: Vec<usize>,
}

fn marketing() -> String {
    "marketing".to_owned()
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) number: Option<String>,
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) date: Option<String>,
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    #[serde(default)]
    pub(crate) applications: Vec<Self>,
}
