//! Reading the texts of the catalogue, and what can be wrong with them.

use std::collections::BTreeMap;

use serde::{Deserialize, de::DeserializeOwned};

use super::product_text::Product;

/// What can be wrong with the texts of the catalogue.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CatalogueError {
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
pub(crate) fn parse_toml<T: DeserializeOwned>(file: &'static str, text: &str) -> Result<T, CatalogueError> {
    toml::from_str(text).map_err(|source| CatalogueError::Text { file, source: Box::new(source) })
}

/// One text as written: tables, before `like` is resolved.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    product: Vec<toml::Table>,
}

/// Reads all products. A product with `like = "<id>"` has every key of the product of that id which it does
/// not give itself; whole keys are replaced, never merged. An empty text (`narrative = ""`) takes a key away.
pub(crate) fn parse(texts: &[(&'static str, &str)]) -> Result<Vec<Product>, CatalogueError> {
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
