//! What must hold for any product and any tree, on products mutated at random.

use fhir_model::{
    Product, ResourceType,
    access::{AccessMatrix, Column, DEFAULT_MATRIX, Targets, filter, filter_resource, merge_hidden},
    convert,
    facts::facts,
    links, render, resource_key, schema,
    search::{SearchValue, index, normalise},
};
use pms_terms::FhirVersion;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::sample::{self, facts_of, matrix, targets};

/// Property names that mean something to at least one rule, and some that mean nothing.
const NAMES: &[&str] = &[
    "id",
    "meta",
    "text",
    "contained",
    "extension",
    "modifierExtension",
    "url",
    "valueString",
    "identifier",
    "type",
    "status",
    "name",
    "part",
    "packaging",
    "package",
    "containedItem",
    "item",
    "reference",
    "concept",
    "coding",
    "code",
    "system",
    "display",
    "substance",
    "strength",
    "presentationRatio",
    "presentation",
    "operation",
    "confidentialityIndicator",
    "subject",
    "for",
    "role",
    "contact",
    "telecom",
    "address",
    "marketingStatus",
    "indication",
    "_indication",
    "productName",
    "manufacturer",
    "period",
    "participant",
    "nonsense",
];

const TEXTS: &[&str] = &[
    "",
    "x",
    "active",
    "Confidential",
    "MedicinalProductDefinition/600000000001",
    "Organization/holder",
    "#inside",
    "urn:uuid:0",
    "Ingredient/secret-excipient",
    "2024-01-01T10:00:00",
    "é\u{0}",
    "100000072072",
    "http://spor.ema.europa.eu/v1/lists/100000072050",
];

pub(crate) fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        proptest::sample::select(TEXTS).prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            proptest::collection::vec((proptest::sample::select(NAMES), inner), 0..6).prop_map(|fields| {
                Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            }),
        ]
    })
}

/// A tree that claims to be a resource.
fn resource() -> impl Strategy<Value = Value> {
    let names: Vec<&str> =
        ResourceType::ALL.iter().map(|each| each.as_str()).chain(["ClinicalUseIssue", "Patient"]).collect();
    let fields = proptest::collection::vec((proptest::sample::select(NAMES), tree()), 0..8);
    (proptest::sample::select(names), fields).prop_map(|(name, fields)| {
        let mut object: Map<String, Value> =
            fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        object.insert("resourceType".to_owned(), name.into());
        Value::Object(object)
    })
}

pub(crate) fn pointers(value: &Value, here: &str, found: &mut Vec<String>) {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        Value::Array(items) => {
            items.iter().enumerate().map(|(index, item)| (index.to_string(), item)).collect()
        }
        _ => Vec::new(),
    };
    for (name, value) in inner {
        let pointer = format!("{here}/{name}");
        pointers(value, &pointer, found);
        found.push(pointer);
    }
}

/// Removes the value at a pointer.
fn remove(value: &mut Value, pointer: &str) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match value.pointer_mut(parent) {
        Some(Value::Object(fields)) => {
            fields.remove(&name.replace("~1", "/").replace("~0", "~"));
        }
        Some(Value::Array(items)) => {
            items.remove(name.parse().unwrap());
        }
        _ => {}
    }
}

/// The sample with some values replaced or removed and some resources gone. Ids and types stay; when `valid`, so does
/// the structure.
pub(crate) fn product(valid: bool) -> impl Strategy<Value = Product> {
    let index = any::<proptest::sample::Index>;
    let edits = proptest::collection::vec((index(), index(), proptest::option::of(tree())), 0..10);
    let gone = proptest::collection::vec(index(), 0..4);
    (edits, gone).prop_map(move |(edits, gone)| {
        let mut product = sample::product();
        for index in gone {
            let at = index.index(product.parts.len());
            product.parts.remove(at);
        }
        for (which, place, tree) in edits {
            let at = which.index(product.parts.len() + 4);
            let resource = match at.checked_sub(4) {
                Some(at) => &mut product.parts[at],
                None => &mut product.root,
            };
            let mut found = Vec::new();
            pointers(resource, "", &mut found);
            found.retain(|pointer| pointer != "/id" && pointer != "/resourceType");
            if found.is_empty() {
                continue;
            }
            let pointer = &found[place.index(found.len())];
            let before = resource.clone();
            match tree {
                Some(tree) => *resource.pointer_mut(pointer).unwrap() = tree,
                None => remove(resource, pointer),
            }
            if valid && !schema::check(resource).is_empty() {
                *resource = before;
            }
        }
        product
    })
}

/// Whether every value of one tree stands in the other, arrays as subsequences.
fn within(small: &Value, big: &Value) -> bool {
    match (small, big) {
        (Value::Object(small), Value::Object(big)) => {
            small.iter().all(|(name, value)| big.get(name).is_some_and(|other| within(value, other)))
        }
        (Value::Array(small), Value::Array(big)) => {
            let mut rest = big.iter();
            small.iter().all(|item| rest.any(|other| within(item, other)))
        }
        _ => small == big,
    }
}

/// Without the tag that says that something is missing.
fn untagged(resource: &Value) -> Value {
    let mut resource = resource.clone();
    let mut emptied = false;
    if let Some(meta) = resource.get_mut("meta").and_then(Value::as_object_mut) {
        if let Some(tags) = meta.get_mut("tag").and_then(Value::as_array_mut) {
            tags.retain(|tag| tag["code"] != "SUBSETTED");
            if tags.is_empty() {
                meta.remove("tag");
            }
        }
        emptied = meta.is_empty();
    }
    if emptied {
        resource.as_object_mut().unwrap().remove("meta");
    }
    resource
}

fn is_within(small: &Product, big: &Product) -> Result<(), TestCaseError> {
    for resource in small.resources() {
        let key = resource_key(resource).unwrap();
        let other = big.find(&key);
        prop_assert!(other.is_some(), "{key} was added");
        let other = other.unwrap();
        prop_assert!(within(&untagged(resource), other), "{:#}\nis not within\n{:#}", resource, other);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn filtering_takes_away_only_even_from_nonsense(product in product(false)) {
        let facts = facts_of(&product);
        for column in Column::ALL {
            if let Some(view) = filter(matrix(), column, &facts, &product, &targets()) {
                is_within(&view.product, &product)?;
            }
        }
    }

    #[test]
    fn filtering_twice_is_once_and_privilege_shows_more(product in product(true)) {
        let facts = facts_of(&product);
        let mut less: Option<Product> = None;
        for column in Column::ALL {
            let Some(view) = filter(matrix(), column, &facts, &product, &targets()) else { continue };
            is_within(&view.product, &product)?;
            let again = filter(matrix(), column, &facts, &view.product, &targets()).unwrap();
            is_within(&view.product, &again.product)?;
            is_within(&again.product, &view.product)?;
            if let Some(less) = &less {
                is_within(less, &view.product)?;
            }
            less = Some(view.product);
        }
    }

    #[test]
    fn sending_back_what_was_seen_changes_nothing(product in product(true), column in proptest::sample::select(Column::ALL.to_vec())) {
        let facts = facts_of(&product);
        if let Some(view) = filter(matrix(), column, &facts, &product, &targets()) {
            for sent in view.product.resources() {
                let stored = product.find(&resource_key(sent).unwrap()).unwrap();
                let merged = merge_hidden(matrix(), column, &facts, &product, &targets(), stored, sent);
                prop_assert_eq!(&merged, stored, "{}", column);
            }
        }
    }

    #[test]
    fn search_finds_nothing_that_a_view_does_not_show(product in product(true)) {
        let facts = facts_of(&product);
        let shown: Vec<String> = Column::ALL
            .into_iter()
            .map(|column| filter(matrix(), column, &facts, &product, &Targets::default()))
            .map(|view| view.iter().flat_map(|view| view.product.resources()).map(Value::to_string).collect())
            .collect();
        for indexed in index(matrix(), &facts, &product, &links::cross_references(&product)).values {
            let text = match &indexed.value {
                SearchValue::Token { code, .. } => json!(code).to_string(),
                SearchValue::Text { exact, .. } => json!(exact).to_string(),
                SearchValue::Reference { id, .. } => id.clone(),
            };
            for column in Column::ALL.into_iter().filter(|column| indexed.visible_to.contains(*column)) {
                prop_assert!(shown[column as usize].contains(&text), "{} does not see {}", column, text);
            }
        }
    }

    #[test]
    fn whatever_is_valid_is_valid_in_4_4_0(product in product(true)) {
        for resource in render::product_to_4_4_0(&product).resources() {
            prop_assert_eq!(schema::check_in(FhirVersion::V4_4_0, resource), vec![], "{:#}", resource);
        }
    }

    #[test]
    fn what_4_4_0_shows_survives_the_way_to_5_0_0_and_back(product in product(true)) {
        let shown: Vec<Value> = render::product_to_4_4_0(&product).resources().cloned().collect();
        let mut back = convert::from_4_4_0(&shown);
        prop_assert_eq!(back.refused, vec![]);
        let root = back.resources.remove(0);
        let again = render::product_to_4_4_0(&Product::new(root, back.resources));
        for (before, after) in shown.iter().zip(again.resources()) {
            let (mut before, mut after) = (before.clone(), after.clone());
            sort_references(&mut before);
            sort_references(&mut after);
            prop_assert_eq!(&before, &after, "{:#}\nwas\n{:#}", after, before);
        }
    }
}

/// Links that are made from other resources come in the order of these.
fn sort_references(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(sort_references),
        Value::Array(items) => {
            items.iter_mut().for_each(sort_references);
            if items.iter().all(|item| item.get("reference").is_some_and(Value::is_string)) {
                items.sort_by_key(Value::to_string);
            }
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_tree_makes_anything_panic(resources in proptest::collection::vec(resource(), 1..4), other in tree()) {
        for resource in resources.iter().chain([&other]) {
            schema::check(resource);
            schema::check_in(FhirVersion::V4_4_0, resource);
            links::references(resource);
            let product = Product::new(resource.clone(), resources.clone());
            render::to_4_4_0(resource, &product);
            let facts = facts(&product, &|_| None);
            for column in [Column::Public, Column::IndustryOwner, Column::Ema] {
                filter_resource(matrix(), column, &facts, &product, &targets(), resource);
                merge_hidden(matrix(), column, &facts, &product, &targets(), resource, &other);
            }
        }
        links::group(&resources);
        convert::from_4_4_0(&resources);
        convert::version_of_all(&resources);
    }

    #[test]
    fn a_spoilt_matrix_is_refused_with_a_line_of_it(line in 0_usize..250, word in "[a-z\"\\[{=]{1,8}") {
        let mut lines: Vec<&str> = DEFAULT_MATRIX.lines().collect();
        let at = line.min(lines.len());
        lines.insert(at, &word);
        if let Err(error) = AccessMatrix::parse(&lines.join("\n"), "spoilt") {
            prop_assert!(error.line >= 1 && error.line <= lines.len() + 1, "{}", error);
        }
    }

    #[test]
    fn normalising_twice_is_once(text in "\\PC{0,40}") {
        let once = normalise(&text);
        prop_assert_eq!(normalise(&once), once);
    }
}
