//! Search values: who finds the sample product by what.

use std::collections::BTreeSet;

use fhir_model::{
    access::{Column, ColumnSet},
    links::cross_references,
    search::{self, PARAMETERS, SearchValue},
};

use crate::sample::{self, facts_of, matrix};

/// Parameter and value in one text, with the columns that find the product by it.
fn index() -> Vec<(String, ColumnSet)> {
    let product = sample::product();
    search::index(matrix(), &facts_of(&product), &product, &cross_references(&product))
        .values
        .into_iter()
        .map(|indexed| {
            let value = match indexed.value {
                SearchValue::Token { system, code } => format!("{}|{code}", system.unwrap_or_default()),
                SearchValue::Text { normalised, .. } => normalised,
                SearchValue::Reference { resource_type, id } => format!("{resource_type}/{id}"),
            };
            (format!("{}={value}", indexed.parameter), indexed.visible_to)
        })
        .collect()
}

fn columns_of(index: &[(String, ColumnSet)], name: &str) -> Vec<Column> {
    let (_, set) =
        index.iter().find(|(each, _)| each == name).unwrap_or_else(|| panic!("{name} not in {index:?}"));
    Column::ALL.into_iter().filter(|column| set.contains(*column)).collect()
}

#[test]
fn a_product_is_found_by_what_the_searcher_sees() {
    let index = index();
    let cleared = [Column::IndustryOwnerQualified, Column::Nca, Column::Ema];
    let inside = [Column::IndustryOwner, Column::IndustryOwnerQualified, Column::Nca, Column::Ema];
    for (name, columns) in [
        ("identifier=http://ema.europa.eu/fhir/mpId|DE-100099001-1", &Column::ALL[..]),
        ("identifier=|internal number", &inside),
        ("name=examplol 5 mg tablets", &Column::ALL),
        ("name-language=http://spor.ema.europa.eu/v1/lists/100000072057|100000072178", &Column::ALL),
        ("status=http://spor.ema.europa.eu/v1/lists/200000005003|200000005004", &Column::ALL),
        ("domain=http://spor.ema.europa.eu/v1/lists/100000000004|100000000012", &Column::ALL),
        ("product-classification=http://spor.ema.europa.eu/v1/lists/100000093533|N02", &Column::ALL),
        ("product-classification=https://pmsgate.example/fhir/legal-basis|full", &inside),
        ("contact=Organization/enquiry-point", &Column::ALL),
        ("contact=PractitionerRole/qppv", &cleared),
        ("master-file=DocumentReference/psmf", &inside),
        ("ingredient=urn:sms|examplol", &Column::ALL),
        ("ingredient=urn:sms|lactose", &Column::ALL),
        ("ingredient=urn:sms|secretose", &inside),
    ] {
        assert_eq!(columns_of(&index, name), columns, "{name}");
    }
    let unique: BTreeSet<&String> = index.iter().map(|(name, _)| name).collect();
    assert_eq!(unique.len(), index.len());
    for (name, _) in &index {
        assert!(
            PARAMETERS.iter().any(|(parameter, _, _)| name.starts_with(&format!("{parameter}="))),
            "{name}"
        );
    }
}
