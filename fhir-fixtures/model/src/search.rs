//! Search values of a product, and which columns may find it by them.
//!
//! A column may find a product by a value exactly when it sees the element that the value comes from: the values are
//! read off the filtered product of each column.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use crate::{
    Product, ResourceType,
    access::{AccessMatrix, Column, ColumnSet, Outline, Sketch, Targets, View},
    facts::ProductFacts,
    links, resource_type, terms,
};

pub use crate::terms::{canonical_system, list_number};

/// A value under which a product is found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SearchValue {
    /// A code or an identifier.
    Token {
        /// Its system in the canonical spelling of [`canonical_system`], if it has one.
        system: Option<String>,
        /// The code, or the value of the identifier.
        code: String,
    },
    /// A text.
    Text {
        /// For comparing without regard to case and accents: see [`normalise`].
        normalised: String,
        /// As written, for `:exact`.
        exact: String,
    },
    /// A reference.
    Reference {
        /// The type of the target.
        resource_type: String,
        /// The id of the target.
        id: String,
    },
}

/// A search value with its parameter and those who may find the product by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedValue {
    /// The search parameter.
    pub parameter: &'static str,
    /// The value.
    pub value: SearchValue,
    /// The columns that see the element the value comes from.
    pub visible_to: ColumnSet,
}

/// How the values of a parameter are compared (FHIR "search").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// `code`, `system|code`, `|code`.
    Token,
    /// A text.
    Text,
    /// `Type/id` or `id`.
    Reference,
}

/// The parameters of a product: name, kind, and whether it is about elements that some columns do not see.
pub const PARAMETERS: &[(&str, ParameterKind, bool)] = &[
    ("identifier", ParameterKind::Token, false),
    ("name", ParameterKind::Text, false),
    ("name-language", ParameterKind::Token, false),
    ("status", ParameterKind::Token, false),
    ("domain", ParameterKind::Token, false),
    ("type", ParameterKind::Token, false),
    ("product-classification", ParameterKind::Token, false),
    ("contact", ParameterKind::Reference, true),
    ("master-file", ParameterKind::Reference, true),
    ("ingredient", ParameterKind::Token, true),
    ("characteristic", ParameterKind::Token, true),
];

/// The elements that FHIR 5.0.0 looks at for a parameter of a product, those for every resource included. `None`: the
/// parameter is not known here.
pub fn elements(parameter: &str) -> Option<&'static [&'static str]> {
    Some(match parameter {
        "_id" => &["MedicinalProductDefinition.id"],
        "_lastUpdated" => &["MedicinalProductDefinition.meta.lastUpdated"],
        "identifier" => &["MedicinalProductDefinition.identifier"],
        "name" => &["MedicinalProductDefinition.name"],
        "name-language" => &["MedicinalProductDefinition.name.usage.language"],
        "status" => &["MedicinalProductDefinition.status"],
        "domain" => &["MedicinalProductDefinition.domain"],
        "type" => &["MedicinalProductDefinition.type"],
        "product-classification" => &["MedicinalProductDefinition.classification"],
        "contact" => &["MedicinalProductDefinition.contact.contact"],
        "master-file" => &["MedicinalProductDefinition.masterFile.reference"],
        "ingredient" => &["MedicinalProductDefinition.ingredient"],
        "characteristic" => &["MedicinalProductDefinition.characteristic"],
        _ => return None,
    })
}

/// Whether what is shown of a product has one of the values asked for: `text` is a token or a list of them, as in
/// `identifier=system|value,…` without a modifier. Only parameters of kind token are compared.
pub fn finds(parameter: &str, text: &str, shown: &Product) -> bool {
    let is_token = |(name, kind, _): &(&str, ParameterKind, bool)| {
        *name == parameter && matches!(kind, ParameterKind::Token)
    };
    if !PARAMETERS.iter().any(is_token) {
        return false;
    }
    let values = of_product(&shown.root, &shown.parts.iter().collect::<Vec<_>>());
    split(text, ',').iter().any(|alternative| {
        let parts = split(alternative, '|');
        let (system, code) = match parts.as_slice() {
            [code] => (None, code),
            [system, code] => (Some(unescaped(system)), code),
            _ => return false,
        };
        let code = unescaped(code);
        values.iter().any(|(name, value)| match value {
            SearchValue::Token { system: has, code: found } if *name == parameter => {
                (code.is_empty() || *found == code)
                    && match system.as_deref() {
                        None => !code.is_empty(),
                        Some("") => has.is_none(),
                        Some(system) => has.as_deref() == Some(&*canonical_system(system)),
                    }
            }
            _ => false,
        })
    })
}

/// Splits at a separator that no backslash stands before (FHIR search, "escaping").
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut escaped = false;
    text.split(|character| {
        let ends = character == separator && !escaped;
        escaped = character == '\\' && !escaped;
        ends
    })
    .collect()
}

fn unescaped(text: &str) -> String {
    let mut characters = text.chars();
    let mut plain = String::with_capacity(text.len());
    while let Some(character) = characters.next() {
        plain.push(if character == '\\' { characters.next().unwrap_or(character) } else { character });
    }
    plain
}

/// What is kept beside a product about the views that columns have of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Indexed {
    /// All search values, each once, with the columns that may find the product by them.
    pub values: Vec<IndexedValue>,
    /// The columns that see anything of the product at all.
    pub seeing: ColumnSet,
    /// How the root looks to each of them.
    pub outline: Outline,
}

/// All that is read off the views of a complete, current product, as it will be read from the store. Values are of the view
/// of a reader who knows no other product; `mentions` are those that this one mentions.
pub fn index(
    matrix: &AccessMatrix,
    facts: &ProductFacts,
    product: &Product,
    mentions: &BTreeSet<String>,
) -> Indexed {
    let mut found: BTreeMap<(&'static str, SearchValue), ColumnSet> = BTreeMap::new();
    let mut seeing = ColumnSet::NONE;
    let mut sketch = Sketch::new(&product.root);
    each_view(matrix, facts, product, &Targets::default(), |seen| {
        seeing = seeing.union(seen.columns);
        sketch.add(seen.columns, seen.root, &seen.parts, seen.withheld);
        for value in of_product(seen.root, &seen.parts) {
            let finding = found.entry(value).or_default();
            *finding = finding.union(seen.columns);
        }
    });
    let all = Targets { visible: mentions.clone() };
    let knowing = (!mentions.is_empty()).then(|| {
        let mut sketch = Sketch::new(&product.root);
        each_view(matrix, facts, product, &all, |seen| {
            sketch.add(seen.columns, seen.root, &seen.parts, seen.withheld);
        });
        (&all, sketch)
    });
    let outline = Outline::new(matrix, sketch, knowing);
    let values = found
        .into_iter()
        .map(|((parameter, value), visible_to)| IndexedValue { parameter, value, visible_to })
        .collect();
    Indexed { values, seeing, outline }
}

/// What some columns see of a product.
struct Seen<'v> {
    columns: ColumnSet,
    root: &'v Value,
    parts: Vec<&'v Value>,
    /// How many elements are missing from the root.
    withheld: usize,
}

/// Looks at a product from every column that sees anything of it.
fn each_view(
    matrix: &AccessMatrix,
    facts: &ProductFacts,
    product: &Product,
    targets: &Targets,
    mut look: impl FnMut(Seen<'_>),
) {
    // Columns to which nothing is closed see the same.
    let mut whole = ColumnSet::NONE;
    for column in Column::ALL {
        if View::is_whole(matrix, column, facts, product, targets) {
            whole.insert(column);
            continue;
        }
        let Some(view) = View::new(matrix, column, facts, product, targets) else { continue };
        let withheld = view.shown().next().map_or(0, |root| root.withheld);
        let mut shown = view.shown().map(|shown| shown.resource);
        let Some(root) = shown.next() else { continue };
        look(Seen { columns: ColumnSet::from_iter([column]), root, parts: shown.collect(), withheld });
    }
    if whole != ColumnSet::NONE {
        let parts = product.parts.iter().collect();
        look(Seen { columns: whole, root: &product.root, parts, withheld: 0 });
    }
}

/// Lower case without accents: compatibility decomposition (Unicode NFKD), marks stripped, white space runs single.
pub fn normalise(text: &str) -> String {
    let plain: String =
        text.nfkd().filter(|character| !is_combining_mark(*character)).flat_map(char::to_lowercase).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The values of a product's root and other resources, complete or filtered.
fn of_product(root: &Value, parts: &[&Value]) -> BTreeSet<(&'static str, SearchValue)> {
    let mut values = BTreeSet::new();
    for identifier in items(root, "identifier") {
        if let Some(code) = identifier.get("value").and_then(Value::as_str) {
            let system = identifier.get("system").and_then(Value::as_str);
            values.insert(("identifier", token(system, code)));
        }
    }
    for name in items(root, "name") {
        if let Some(text) = name.get("productName").and_then(Value::as_str) {
            let value = SearchValue::Text { normalised: normalise(text), exact: text.to_owned() };
            values.insert(("name", value));
        }
        for usage in items(name, "usage") {
            add_concept(&mut values, "name-language", usage.get("language"));
        }
    }
    add_concept(&mut values, "status", root.get("status"));
    add_concept(&mut values, "domain", root.get("domain"));
    add_concept(&mut values, "type", root.get("type"));
    for concept in items(root, "classification") {
        add_concept(&mut values, "product-classification", Some(concept));
    }
    for contact in items(root, "contact") {
        add_reference(&mut values, "contact", contact.get("contact"));
    }
    for document in items(root, "masterFile") {
        add_reference(&mut values, "master-file", Some(document));
    }
    for concept in items(root, "ingredient") {
        add_concept(&mut values, "ingredient", Some(concept));
    }
    for ingredient in parts.iter().filter(|part| resource_type(part) == Some(ResourceType::Ingredient)) {
        add_concept(
            &mut values,
            "ingredient",
            ingredient.get("substance").and_then(|substance| substance.get("code")),
        );
    }
    for characteristic in items(root, "characteristic") {
        add_concept(&mut values, "characteristic", characteristic.get("type"));
        add_concept(&mut values, "characteristic", characteristic.get("valueCodeableConcept"));
    }
    values
}

fn items<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default().iter()
}

fn token(system: Option<&str>, code: &str) -> SearchValue {
    SearchValue::Token {
        system: system.map(|system| canonical_system(system).into_owned()),
        code: code.to_owned(),
    }
}

fn add_concept(
    values: &mut BTreeSet<(&'static str, SearchValue)>,
    parameter: &'static str,
    concept: Option<&Value>,
) {
    for coding in concept.into_iter().flat_map(terms::codings) {
        if let Some(code) = coding.get("code").and_then(Value::as_str) {
            values.insert((parameter, token(coding.get("system").and_then(Value::as_str), code)));
        }
    }
}

fn add_reference(
    values: &mut BTreeSet<(&'static str, SearchValue)>,
    parameter: &'static str,
    reference: Option<&Value>,
) {
    let text = reference.and_then(|reference| reference.get("reference")?.as_str());
    if let Some(key) = text.and_then(links::parse_reference) {
        let value =
            SearchValue::Reference { resource_type: key.resource_type.as_str().to_owned(), id: key.id };
        values.insert((parameter, value));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tokens_are_found_among_what_is_shown_and_nowhere_else() {
        let root = json!({"resourceType": "MedicinalProductDefinition", "id": "1", "identifier": [
            {"system": "http://a.example/n", "value": "1,2|3"}, {"value": "bare"}]});
        let shown = Product::new(root, vec![]);
        for (text, found) in [
            ("http://a.example/n|1\\,2\\|3", true),
            ("1\\,2\\|3", true),
            ("x,bare", true),
            ("|bare", true),
            ("http://a.example/n|", true),
            ("http://b.example/n|1\\,2\\|3", false),
            ("http://a.example/n|bare", false),
            ("|1\\,2\\|3", false),
            ("", false),
            ("|", true),
            ("a|b|c", false),
        ] {
            assert_eq!(finds("identifier", text, &shown), found, "{text}");
        }
        assert!(!finds("name", "bare", &shown) && !finds("unknown", "bare", &shown));
    }

    #[test]
    fn every_parameter_names_elements_that_there_are() {
        for (name, ..) in PARAMETERS {
            for element in elements(name).unwrap() {
                let known = crate::schema::type_of(pms_terms::FhirVersion::V5_0_0, element);
                assert!(known.is_some(), "{name}: {element}");
            }
        }
    }

    #[test]
    fn texts_are_compared_without_case_accents_and_spacing() {
        assert_eq!(normalise("  Süstelahus  PEN-süstlis "), "sustelahus pen-sustlis");
        assert_eq!(normalise("Ångström ﬁlm"), "angstrom film");
        assert_eq!(normalise(""), "");
    }
}
