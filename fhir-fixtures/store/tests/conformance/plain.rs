//! A plain search: looks at what a viewer sees of each product, one after the other, without any index.

use std::cmp::Ordering;

use fhir_model::{
    Product,
    access::{self, AccessMatrix, Viewer},
    facts::{self, ProductFacts},
    search::{canonical_system, normalise},
};
use fhir_store::search::{Clause, Query, SortBy, SortKey, SystemMatch, TextMatch, TokenMatch};
use serde_json::Value;

/// A product as it was imported.
#[derive(Debug)]
pub(crate) struct Known {
    product: Product,
    facts: ProductFacts,
    last_updated: i64,
}

impl Known {
    /// A product of these resources, its root first.
    pub(crate) fn new(mut resources: Vec<Value>, last_updated: i64) -> Self {
        let root = resources.remove(0);
        let product = Product::new(root, resources);
        let facts = facts::facts(&product, &|_| None);
        Self { product, facts, last_updated }
    }
}

/// What a viewer sees of a product.
struct Seen<'k> {
    view: Product,
    known: &'k Known,
}

/// The ids that `viewer` finds, in order.
pub(crate) fn find(
    matrix: &AccessMatrix,
    viewer: &Viewer,
    all: &[Known],
    query: &Query,
    sort: &[SortKey],
) -> Vec<String> {
    let mut seen: Vec<Seen<'_>> = all
        .iter()
        .filter(|known| access::gate(matrix, viewer, &known.facts).visible)
        .filter_map(|known| {
            let column = access::column(viewer, &known.facts);
            let none = access::Targets::default();
            let view = access::filter(matrix, column, &known.facts, &known.product, &none)?.product;
            Some(Seen { view, known })
        })
        .filter(|seen| query.clauses.iter().all(|clause| seen.meets(clause)))
        .collect();
    seen.sort_by(|a, b| {
        let by_key = |key: &SortKey| {
            let order = a.compare(b, *key);
            if key.descending { order.reverse() } else { order }
        };
        sort.iter().map(by_key).find(|order| order.is_ne()).unwrap_or_else(|| a.view.id().cmp(b.view.id()))
    });
    seen.iter().map(|seen| seen.view.id().to_owned()).collect()
}

impl Seen<'_> {
    fn meets(&self, clause: &Clause) -> bool {
        match clause {
            Clause::Ids(ids) => ids.iter().any(|id| id == self.view.id()),
            Clause::Token { parameter, any_of, not } => {
                let tokens = self.tokens(parameter);
                any_of.iter().any(|wanted| tokens.iter().any(|token| is(token, wanted))) != *not
            }
            Clause::Text { any_of, .. } => any_of.iter().any(|wanted| {
                self.names().iter().any(|name| match wanted {
                    TextMatch::StartsWith(text) => normalise(name).starts_with(text),
                    TextMatch::Contains(text) => normalise(name).contains(text),
                    TextMatch::Exact(text) => name == text,
                })
            }),
            Clause::LastUpdated(any_of) => any_of.iter().any(|span| {
                let at = self.known.last_updated;
                let inside =
                    span.from.is_none_or(|from| at >= from) && span.until.is_none_or(|until| at < until);
                inside != span.outside
            }),
        }
    }

    fn compare(&self, other: &Self, key: SortKey) -> Ordering {
        match key.by {
            SortBy::Id => self.view.id().cmp(other.view.id()),
            SortBy::LastUpdated => self.known.last_updated.cmp(&other.known.last_updated),
            SortBy::Name => {
                let key_of = |seen: &Self| {
                    let names = seen.names().into_iter().map(normalise);
                    if key.descending { names.max() } else { names.min() }
                };
                key_of(self).cmp(&key_of(other))
            }
            SortBy::Status => self.tokens("status").first().cmp(&other.tokens("status").first()),
        }
    }

    fn names(&self) -> Vec<&str> {
        list(&self.view.root, "name").filter_map(|name| name["productName"].as_str()).collect()
    }

    fn tokens(&self, parameter: &str) -> Vec<(String, String)> {
        let root = &self.view.root;
        let concepts: Vec<&Value> = match parameter {
            "identifier" => {
                return list(root, "identifier").filter_map(|one| token(one, "value")).collect();
            }
            "status" | "domain" | "type" => root.get(parameter).into_iter().collect(),
            "name-language" => list(root, "name")
                .flat_map(|name| list(name, "usage"))
                .map(|usage| &usage["language"])
                .collect(),
            "contact" => {
                return list(root, "contact").filter_map(|one| reference(&one["contact"])).collect();
            }
            "master-file" => return list(root, "masterFile").filter_map(reference).collect(),
            "product-classification" => list(root, "classification").collect(),
            "characteristic" => list(root, "characteristic").map(|one| &one["type"]).collect(),
            "ingredient" => self
                .view
                .parts
                .iter()
                .filter(|part| part["resourceType"] == "Ingredient")
                .map(|part| &part["substance"]["code"]["concept"])
                .collect(),
            other => panic!("{other}"),
        };
        concepts
            .into_iter()
            .flat_map(|concept| list(concept, "coding"))
            .filter_map(|coding| token(coding, "code"))
            .collect()
    }
}

fn list<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn token(value: &Value, code: &str) -> Option<(String, String)> {
    let system = value["system"].as_str().map(canonical_system).unwrap_or_default();
    Some((system.into_owned(), value[code].as_str()?.to_owned()))
}

/// The type and the id of a reference.
fn reference(value: &Value) -> Option<(String, String)> {
    let (resource_type, id) = value["reference"].as_str()?.split_once('/')?;
    Some((resource_type.to_owned(), id.to_owned()))
}

fn is((system, code): &(String, String), wanted: &TokenMatch) -> bool {
    wanted.code.as_ref().is_none_or(|wanted| wanted == code)
        && match &wanted.system {
            SystemMatch::Any => true,
            SystemMatch::Absent => system.is_empty(),
            SystemMatch::Is(wanted) => wanted == system,
        }
}
