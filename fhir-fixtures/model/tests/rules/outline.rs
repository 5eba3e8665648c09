//! Outlines: a root that is shown by its outline is the root of the whole view, to the byte, or it is not shown so.

use fhir_model::{
    Product,
    access::{AccessMatrix, Column, DEFAULT_MATRIX, Outline, ShownRoot, Targets, filter},
    demo,
    generate::{Generator, Seed},
    json::Json,
    links::cross_references,
    render, search,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    properties,
    sample::{self, facts_of, matrix},
    shared,
};

/// The outline as it is stored.
fn text(product: &Product) -> String {
    search::index(matrix(), &facts_of(product), product, &cross_references(product)).outline.text()
}

/// How the columns see the root by the outline, as it comes back from where it was stored.
fn outlined<'p>(product: &'p Product, column: Column, targets: &Targets) -> Option<ShownRoot<'p>> {
    Outline::read(&text(product), matrix()).unwrap().shown(column, targets, Json::from(&product.root))
}

fn youngest(product: &Product) -> Option<String> {
    let times = product.resources().filter_map(|one| one["meta"]["lastUpdated"].as_str());
    times.map(|time| format!("{}Z", &time[..19])).max()
}

/// Compares the two ways for readers who know none of the products that this one mentions, and for those who know all of
/// them; answers the columns that see the product, and those that need not look at all of it, each for both readers.
fn compare(product: &Product) -> (usize, usize) {
    let (mut seeing, mut outlines) = (0, 0);
    let facts = facts_of(product);
    let all = text(product);
    let readers = [Targets::default(), Targets { visible: cross_references(product) }];
    for (column, targets) in
        Column::ALL.into_iter().flat_map(|column| readers.iter().map(move |reader| (column, reader)))
    {
        let root = Json::from(&product.root);
        let shown = Outline::read(&all, matrix()).unwrap().shown(column, targets, root);
        let view = filter(matrix(), column, &facts, product, targets);
        seeing += usize::from(view.is_some());
        let Some(shown) = shown else { continue };
        outlines += 1;
        let view = view.unwrap_or_else(|| panic!("{column} sees nothing of the product")).product;
        assert_eq!(shown.root.to_string(), view.root.to_string(), "{column}");
        assert_eq!(shown.youngest, youngest(&view), "{column}");
        let rendered = render::root_to_4_4_0(shown.root, &shown.links);
        assert_eq!(rendered.to_string(), render::product_to_4_4_0(&view).root.to_string(), "{column}");
    }
    (seeing, outlines)
}

fn stamped(mut resources: Vec<Value>) -> Vec<Value> {
    for (n, resource) in resources.iter_mut().enumerate() {
        resource["meta"]["versionId"] = "1".into();
        resource["meta"]["lastUpdated"] = format!("2026-01-15T09:30:{:02}.{n}Z", n % 60).into();
    }
    resources
}

#[test]
fn every_column_has_an_outline_of_the_demo_and_of_generated_products() {
    let generator = Generator::new(Seed::try_from(9).unwrap());
    let generated = (395..430).map(|number| generator.bundle(number));
    let mut products = 0;
    for bundle in demo::bundles().into_iter().chain(generated) {
        let resources: Vec<Value> =
            bundle["entry"].as_array().unwrap().iter().map(|entry| entry["resource"].clone()).collect();
        for product in shared::products(&stamped(resources)) {
            let (seeing, outlines) = compare(&product);
            assert_eq!(seeing, outlines, "{}", product.id());
            products += 1;
        }
    }
    assert!(products > 90, "{products}");
}

#[test]
fn a_root_that_contains_resources_has_none() {
    let product = sample::product();
    assert!(product.root.get("contained").is_some());
    assert_eq!(compare(&product), (12, 0));
    assert_eq!(compare(&bare()), (12, 12));
}

/// The sample without contained resources.
fn bare() -> Product {
    let mut product = sample::product();
    product.root.as_object_mut().unwrap().shift_remove("contained");
    product
}

#[test]
fn outlines_are_for_their_version_their_matrix_and_readers_who_know_all_or_none_of_what_is_mentioned() {
    let mut product = bare();
    let mentioned = ["600000000002", "600000000003"];
    product.root["crossReference"] = mentioned
        .map(
            |id| json!({"product": {"reference": {"reference": format!("MedicinalProductDefinition/{id}")}}}),
        )
        .to_vec()
        .into();
    let known = |ids: &[&str]| Targets { visible: ids.iter().map(|id| (*id).to_owned()).collect() };
    let (none, some) = (Targets::default(), known(&mentioned[..1]));
    let links = |targets| {
        let shown = outlined(&product, Column::IndustryOwner, targets)?;
        Some(mentioned.map(|id| shown.root.to_string().contains(id)))
    };
    assert_eq!(links(&none), Some([false, false]));
    assert_eq!(links(&some), None);
    assert_eq!(links(&known(&mentioned)), Some([true, true]));
    // No gate is closed to the agency, so nothing of its view hangs on what it may know of.
    let agency = outlined(&product, Column::Ema, &some).unwrap();
    let whole = filter(matrix(), Column::Ema, &facts_of(&product), &product, &some).unwrap();
    assert_eq!(agency.root.to_string(), whole.product.root.to_string());

    let text = text(&product);
    let read = |matrix| Outline::read(&text, matrix);
    let mut later = product.root.clone();
    later["meta"]["versionId"] = "4".into();
    assert_eq!(read(matrix()).unwrap().shown(Column::Public, &none, Json::from(&later)), None);
    let mut other = product.root.clone();
    other.as_object_mut().unwrap().shift_remove("operation");
    assert_eq!(
        read(matrix()).unwrap().shown(Column::Public, &none, Json::from(&other)),
        None,
        "what is to be cut is not there"
    );
    let changed = AccessMatrix::parse(&format!("{DEFAULT_MATRIX}\n# another"), "changed").unwrap();
    assert!(read(&changed).is_none());
    assert!(Outline::read("{", matrix()).is_none());
}

fn sees(product: &Product, column: Column) -> ShownRoot<'_> {
    outlined(product, column, &Targets::default()).unwrap()
}

#[test]
fn what_the_root_shows_of_other_resources_changes_its_outline() {
    let before = bare();
    let mut after = before.clone();
    let pack = after.parts.iter_mut().find(|part| part["id"] == "pack").unwrap();
    pack["packageFor"] = json!([]);
    assert_ne!(sees(&before, Column::Ema).links, sees(&after, Column::Ema).links);
    let mut after = before.clone();
    for part in after.parts.iter_mut().filter(|part| part["id"] == "enquiry-point") {
        part["contact"] = json!([]);
        part["meta"] = json!({"lastUpdated": "2026-02-01T00:00:00Z"});
    }
    compare(&after);
    assert_eq!(sees(&after, Column::Ema).youngest.unwrap(), "2026-02-01T00:00:00Z");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_outline_shows_what_the_whole_view_shows_or_nothing(mut product in properties::product(false)) {
        compare(&product);
        if let Some(root) = product.root.as_object_mut() {
            root.shift_remove("contained");
        }
        compare(&product);
    }
}
