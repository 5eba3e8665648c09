//! A fictional, hand-made catalogue of medicinal products as FHIR 5.0.0 Bundles: demo data and test data.
//!
//! The catalogue is text (`fhir-fixtures/data/catalogue/*.toml`; `fhir-fixtures/data/README.md` describes it), and
//! this module expands it. Nothing here knows a product: to add one, add a `[[product]]` to the text.
//! All names, companies and numbers are invented.

mod amount;
mod authorisation;
pub(crate) mod catalogue;
mod clinical_use;
mod composition;
pub(crate) mod composition_text;
pub(crate) mod expansion;
mod json;
mod package;
mod product;
pub(crate) mod product_text;
pub(crate) mod shared;
pub(crate) mod terms;
#[cfg(test)]
mod tests;

use serde_json::Value;

use catalogue::CatalogueError;

/// Where the demo resources pretend to live: `fullUrl` is this, the type and the id.
pub const BASE: &str = "https://demo.pmsgate.example/fhir";

/// The texts of the catalogue with their names, in the order in which products are read.
const PRODUCT_TEXTS: [(&str, &str); 5] = [
    ("human-central.toml", include_str!("../../data/catalogue/human-central.toml")),
    ("human-national.toml", include_str!("../../data/catalogue/human-national.toml")),
    ("not-public.toml", include_str!("../../data/catalogue/not-public.toml")),
    ("warts.toml", include_str!("../../data/catalogue/warts.toml")),
    ("veterinary.toml", include_str!("../../data/catalogue/veterinary.toml")),
];

/// Every product of the catalogue, one `collection` Bundle each: the product, what belongs to it, and the
/// organisations, persons, substances and documents that these refer to. The order and the bytes never vary.
///
/// # Panics
/// Never with the embedded texts: a test expands them all.
#[expect(clippy::expect_used, reason = "the texts are part of the program and a test expands them all")]
pub fn bundles() -> Vec<Value> {
    try_bundles().expect("the embedded catalogue expands")
}

/// The words that products are written in.
pub(crate) fn terms() -> Result<terms::Terms, CatalogueError> {
    terms::Terms::parse("terms.toml", include_str!("../../data/catalogue/terms.toml"))
}

/// What products share: the catalogue's own, and more in the same notation.
pub(crate) fn shared(
    terms: &terms::Terms,
    more_organisations: &str,
    more_substances: &str,
) -> Result<shared::Shared, CatalogueError> {
    let organisations = include_str!("../../data/catalogue/organisations.toml");
    let substances = include_str!("../../data/catalogue/substances.toml");
    shared::Shared::parse(
        terms,
        "organisations.toml",
        &format!("{organisations}{more_organisations}"),
        "substances.toml",
        &format!("{substances}{more_substances}"),
    )
}

/// [`bundles`], or what is wrong with the texts.
fn try_bundles() -> Result<Vec<Value>, CatalogueError> {
    let terms = terms()?;
    let shared = shared(&terms, "", "")?;
    let products = catalogue::parse(&PRODUCT_TEXTS)?;
    products
        .iter()
        .map(|product| {
            expansion::bundle(&terms, &shared, product).map_err(|source| CatalogueError::Product {
                id: product.id.clone(),
                source: Box::new(source),
            })
        })
        .collect()
}
