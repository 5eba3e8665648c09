//! Resources that come one by one, not in Bundles: found to be one product across lines and files, with only their
//! keys and places in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use fhir_model::{ResourceKey, ResourceType, links};

use super::{files::Span, incoming::Incoming};
use crate::compartment::stands_in_several;

/// A resource left in its file.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) source: usize,
    pub(super) span: Span,
    pub(super) key: ResourceKey,
    parents: Vec<ResourceKey>,
    children: Vec<ResourceKey>,
}

/// All such resources of an import. A key that comes again, in another file, belongs to the next layer: it updates
/// what the layer before stored.
#[derive(Debug, Default)]
pub(super) struct Loose {
    layers: Vec<Vec<Entry>>,
    times: HashMap<ResourceKey, usize>,
}

impl Loose {
    /// Notes a resource and what it is linked to.
    pub(super) fn note(&mut self, source: usize, span: Span, resource: &Incoming) {
        let times = self.times.entry(resource.key.clone()).or_default();
        let layer = *times;
        *times += 1;
        if self.layers.len() <= layer {
            self.layers.push(Vec::new());
        }
        if let Some(layer) = self.layers.get_mut(layer) {
            layer.push(Entry {
                source,
                span,
                key: resource.key.clone(),
                parents: links::parents(&resource.body),
                children: links::children(&resource.body),
            });
        }
    }

    /// The layers in order, each as sets of entries that belong together.
    pub(super) fn into_sets(self) -> Vec<Vec<Entry>> {
        self.layers.iter().flat_map(|layer| sets(layer)).collect()
    }
}

/// Whether one of `entries` is a product's root.
pub(super) fn has_root(entries: &[Entry]) -> bool {
    entries.iter().any(|entry| entry.key.resource_type == ResourceType::MedicinalProductDefinition)
}

fn sets(entries: &[Entry]) -> Vec<Vec<Entry>> {
    let at: HashMap<&ResourceKey, usize> =
        entries.iter().enumerate().map(|(n, entry)| (&entry.key, n)).collect();
    let mut above: Vec<usize> = (0..entries.len()).collect();
    for (n, entry) in entries.iter().enumerate() {
        if stands_in_several(&entry.key) {
            continue;
        }
        for linked in entry.parents.iter().chain(&entry.children) {
            if !stands_in_several(linked)
                && let Some(&other) = at.get(linked)
            {
                let (one, other) = (top(&mut above, n), top(&mut above, other));
                if let Some(slot) = above.get_mut(one.max(other)) {
                    *slot = one.min(other);
                }
            }
        }
    }
    // Each set by its first entry, so that files are worked through in order.
    let mut by_top: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (n, entry) in entries.iter().enumerate() {
        if !stands_in_several(&entry.key) {
            by_top.entry(top(&mut above, n)).or_default().push(n);
        }
    }
    // What is shared goes with the first set that leads to it; later ones find it in the store.
    let mut taken = BTreeSet::new();
    for set in by_top.values_mut() {
        let mut next = 0;
        while let Some(&n) = set.get(next) {
            next += 1;
            for linked in entries.get(n).map(|entry| &entry.children).into_iter().flatten() {
                if stands_in_several(linked)
                    && let Some(&other) = at.get(linked)
                    && taken.insert(other)
                {
                    set.push(other);
                }
            }
        }
    }
    let left: Vec<Vec<usize>> = entries
        .iter()
        .enumerate()
        .filter(|(n, entry)| stands_in_several(&entry.key) && !taken.contains(n))
        .map(|(n, _)| vec![n])
        .collect();
    by_top
        .into_values()
        .chain(left)
        .map(|set| set.into_iter().filter_map(|n| entries.get(n).cloned()).collect())
        .collect()
}

/// The top of the tree that `n` hangs in, with the way there shortened.
fn top(above: &mut [usize], mut n: usize) -> usize {
    while let Some(&next) = above.get(n) {
        if next == n {
            break;
        }
        let further = above.get(next).copied().unwrap_or(next);
        if let Some(slot) = above.get_mut(n) {
            *slot = further;
        }
        n = next;
    }
    n
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn note(loose: &mut Loose, line: u64, body: Value) {
        let key = fhir_model::resource_key(&body).unwrap();
        loose.note(0, Span { offset: line, bytes: 1, line }, &Incoming::new(key, body));
    }

    #[test]
    fn resources_far_apart_become_one_product_and_shared_ones_join_none_together() {
        let mut loose = Loose::default();
        let holder = json!({"reference": "Organization/o1"});
        note(&mut loose, 1, json!({"resourceType": "Organization", "id": "o1"}));
        note(&mut loose, 2, json!({"resourceType": "MedicinalProductDefinition", "id": "1"}));
        note(&mut loose, 3, json!({"resourceType": "MedicinalProductDefinition", "id": "2"}));
        for (line, product) in [(4, "2"), (5, "1")] {
            note(
                &mut loose,
                line,
                json!({"resourceType": "RegulatedAuthorization", "id": format!("ra{product}"),
                "subject": [{"reference": format!("MedicinalProductDefinition/{product}")}], "holder": holder}),
            );
        }
        note(&mut loose, 6, json!({"resourceType": "Organization", "id": "alone"}));
        note(&mut loose, 7, json!({"resourceType": "MedicinalProductDefinition", "id": "1"}));
        let sets: Vec<Vec<u64>> = loose
            .into_sets()
            .into_iter()
            .map(|set| set.into_iter().map(|entry| entry.span.line).collect())
            .collect();
        assert_eq!(sets, [vec![2, 5, 1], vec![3, 4], vec![6], vec![7]]);
    }
}
