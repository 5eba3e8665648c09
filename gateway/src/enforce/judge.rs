//! Pure: what a viewer sees of products that were gathered from a server that hides nothing.

use std::collections::{BTreeMap, BTreeSet};

use fhir_model::{
    Product, ResourceKey, ResourceType,
    access::{AccessMatrix, Targets, View, Viewer, column, gate},
    facts::{ProductFacts, facts},
    links,
};
use serde_json::Value;

use super::register::Register;
use crate::caller::Caller;

/// Products, complete, and the gates of each.
pub(crate) struct Judge<'m> {
    matrix: &'m AccessMatrix,
    viewer: &'m Viewer,
    products: BTreeMap<String, (Product, ProductFacts)>,
    /// Those whose gates are open to the viewer.
    known: Targets,
}

/// A visible product.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sheet {
    /// The visible resources, the root first.
    pub(crate) resources: Vec<Seen>,
    /// How many are not visible.
    pub(crate) hidden: usize,
}

/// A visible resource.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) key: ResourceKey,
    pub(crate) resource: Value,
    /// How many elements are missing from it.
    pub(crate) withheld: usize,
}

impl Sheet {
    /// What is seen, as a product.
    pub(crate) fn product(&self) -> Product {
        let mut resources = self.resources.iter().map(|seen| seen.resource.clone());
        Product::new(resources.next().unwrap_or_default(), resources.collect())
    }

    /// A resource of it.
    pub(crate) fn find(&self, key: &ResourceKey) -> Option<&Seen> {
        self.resources.iter().find(|seen| seen.key == *key)
    }
}

impl<'m> Judge<'m> {
    /// Looks at the gates of all that was gathered.
    pub(crate) fn new(
        matrix: &'m AccessMatrix,
        viewer: &'m Viewer,
        gathered: Vec<Product>,
        register: &Register,
    ) -> Self {
        let with_facts = |product: Product| {
            let facts = facts(&product, &|location| register.organisation(location));
            (product.id().to_owned(), (product, facts))
        };
        let products: BTreeMap<_, _> = gathered.into_iter().map(with_facts).collect();
        let open = |(id, (_, facts)): (&String, &(Product, ProductFacts))| {
            gate(matrix, viewer, facts).visible.then(|| id.clone())
        };
        let visible: BTreeSet<String> = products.iter().filter_map(open).collect();
        Self { matrix, viewer, products, known: Targets { visible } }
    }

    /// What the viewer sees of a product; `None` when it must not know of it, or there is none.
    pub(crate) fn sheet(&self, id: &str) -> Option<Sheet> {
        if !self.known.visible.contains(id) {
            return None;
        }
        let (product, facts) = self.products.get(id)?;
        let targets = self.known.among(&links::cross_references(product));
        let view = View::new(self.matrix, column(self.viewer, facts), facts, product, &targets)?;
        let resources: Vec<Seen> = view
            .shown()
            .map(|one| Seen { key: one.key.clone(), resource: one.resource.clone(), withheld: one.withheld })
            .collect();
        let hidden = product.resources().count() - resources.len();
        Some(Sheet { resources, hidden })
    }

    /// What the viewer sees of a part, in the first product that shows it.
    pub(crate) fn part(&self, key: &ResourceKey) -> Option<Seen> {
        if key.resource_type == ResourceType::MedicinalProductDefinition {
            return self.sheet(&key.id)?.find(key).cloned();
        }
        let holds = |product: &Product| product.find(key).is_some();
        let ids = self.products.iter().filter(|(_, (product, _))| holds(product)).map(|(id, _)| id);
        ids.into_iter().find_map(|id| self.sheet(id)?.find(key).cloned())
    }
}

/// On whose behalf products are looked at: the token's words.
pub(crate) fn viewer(caller: &Caller) -> Viewer {
    let grant = &caller.grant;
    Viewer {
        stakeholder: grant.stakeholder,
        qualified: grant.qualified,
        domains: grant.domains,
        organisation: caller.organisation.clone(),
    }
}

#[cfg(test)]
mod tests;
