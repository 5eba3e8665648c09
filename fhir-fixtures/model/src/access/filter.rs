//! Filtering a product for a column: which resources it sees, and what of each.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap, HashSet},
};

use serde_json::Value;

use crate::{Product, ResourceKey, ResourceType, facts::ProductFacts, links, resource_key};

use super::{
    AccessMatrix, Column, Decision, Outcome, Targets,
    context::{Context, substance_marks},
    walk::{Walked, bare, resource_gate, resource_rule, walk, with_all_links},
};

/// What a column sees of a product.
#[derive(Clone, Debug, PartialEq)]
pub struct Filtered {
    /// The visible resources, the root first, in the order of the complete product.
    pub product: Product,
    /// Visible resources of which something is missing.
    pub subsetted: BTreeSet<ResourceKey>,
    /// Resources of the complete product that are not visible at all. For explanations only: never to be shown to
    /// the viewer.
    pub hidden: BTreeSet<ResourceKey>,
}

/// A visible resource of a product.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'v> {
    /// Which one it is.
    pub key: &'v ResourceKey,
    /// What the column sees of it.
    pub resource: &'v Value,
    /// How many elements are missing from it, each with all that was below it.
    pub withheld: usize,
}

/// A product seen from one column, for several questions about it.
pub struct View<'a> {
    context: Context<'a>,
    product: &'a Product,
    /// The root and its visible members, filtered; the root first.
    visible: Vec<(ResourceKey, Walked<'a>)>,
}

impl<'a> View<'a> {
    /// Works out what `column` sees of the complete, current product. `None` when not even the product itself.
    /// The record gates are not asked here: see [`super::gate()`].
    pub fn new(
        matrix: &'a AccessMatrix,
        column: Column,
        facts: &'a ProductFacts,
        product: &'a Product,
        targets: &'a Targets,
    ) -> Option<Self> {
        let mut context = Context::new(matrix, column, facts, product, targets);
        let root = context.root.clone()?;
        if context.is_whole() {
            let whole = |resource: &'a Value| Walked { value: Cow::Borrowed(resource), removed: 0 };
            let visible =
                product.resources().filter_map(|each| Some((resource_key(each)?, whole(each)))).collect();
            return Some(Self { context, product, visible });
        }
        let closed: Vec<ResourceKey> = context
            .members
            .iter()
            .filter(|(_, resource)| !resource_gate(&context, resource, false))
            .map(|(key, _)| key.clone())
            .collect();
        context.hidden.extend(closed);
        context.hidden_substances = hidden_substances(&context);
        let mut seen: HashMap<ResourceKey, Seen<'_>> = HashMap::new();
        let mut due: Vec<ResourceKey> =
            context.members.keys().filter(|key| !context.hidden.contains(*key)).cloned().collect();
        // What is removed from one resource can hide another, and that can remove more: until nothing changes.
        loop {
            for key in due.drain(..) {
                let stored = context.members.get(&key).copied();
                let out = stored.and_then(|resource| walk(&context, resource, false, None));
                match out {
                    Some(walked) => seen.insert(key, Seen::new(walked)),
                    None => seen.remove(&key),
                };
            }
            let reached = reach(&context, &root, &seen);
            let lost: HashSet<ResourceKey> = context
                .members
                .keys()
                .filter(|key| !reached.contains(*key) && !context.hidden.contains(*key))
                .cloned()
                .collect();
            if lost.is_empty() {
                break;
            }
            context.hidden.extend(lost.iter().cloned());
            seen.retain(|key, _| !lost.contains(key));
            let substances = hidden_substances(&context);
            let more_substances = substances != context.hidden_substances;
            context.hidden_substances = substances;
            let affected = |key: &ResourceKey, seen: &Seen<'_>| {
                (more_substances && key.resource_type != ResourceType::Ingredient)
                    || seen.refers_to.iter().any(|target| lost.contains(target))
            };
            due.extend(seen.iter().filter(|(key, seen)| affected(key, seen)).map(|(key, _)| key.clone()));
        }
        let mut visible = Vec::with_capacity(seen.len());
        for key in product.resources().filter_map(resource_key) {
            visible.extend(seen.remove_entry(&key).map(|(key, seen)| (key, seen.walked)));
        }
        (visible.first()?.0 == root).then_some(Self { context, product, visible })
    }

    /// Whether `column` sees all of the product, so that there is nothing to filter.
    pub fn is_whole(
        matrix: &AccessMatrix,
        column: Column,
        facts: &ProductFacts,
        product: &Product,
        targets: &Targets,
    ) -> bool {
        // The matrix first: where it hides anything, references need no look.
        matrix.is_all_open(column) && {
            let context = Context::new(matrix, column, facts, product, targets);
            context.root.is_some() && context.is_whole()
        }
    }

    /// The filtered product.
    pub fn into_filtered(self) -> Filtered {
        let subsetted = self.shown().filter(|shown| shown.withheld > 0).map(|shown| shown.key.clone());
        let subsetted = subsetted.collect();
        let mut values = self.visible.into_iter().map(|(_, walked)| walked.value.into_owned());
        let product = Product::new(values.next().unwrap_or_default(), values.collect());
        Filtered { product, subsetted, hidden: self.context.hidden.into_iter().collect() }
    }

    /// The visible resources, the root first, in the order of the complete product.
    pub fn shown(&self) -> impl Iterator<Item = Shown<'_>> {
        self.visible.iter().map(|(key, walked)| Shown {
            key,
            resource: &walked.value,
            withheld: walked.removed,
        })
    }

    /// How many resources of the complete product are not visible at all.
    pub fn hidden(&self) -> usize {
        self.context.hidden.len()
    }

    /// One resource of the product: the current version or an old one, which is treated by today's policy. `None`
    /// when it, or what it is today, is not for this column.
    pub fn resource(&self, resource: &Value) -> Option<Value> {
        self.counted(resource).map(|(seen, _)| seen)
    }

    /// The same, with how many elements are missing from it.
    pub fn counted(&self, resource: &Value) -> Option<(Value, usize)> {
        let key = resource_key(resource)?;
        if self.context.hidden.contains(&key) {
            return None;
        }
        if self.context.matrix.is_all_open(self.context.column) && self.context.shows_all_references(resource)
        {
            return Some((resource.clone(), 0));
        }
        let current = self.context.members.get(&key);
        if current.is_none() && self.context.column.is_outsider() {
            return None;
        }
        let old = current.is_none_or(|current| *current != resource);
        walk(&self.context, resource, old, None).map(|walked| (walked.value.into_owned(), walked.removed))
    }

    /// A stored resource as this column sees it, array items marked with where they stood.
    pub(super) fn marked(&self, stored: &Value) -> Option<Value> {
        let hidden = resource_key(stored).is_none_or(|key| self.context.hidden.contains(&key));
        if hidden { None } else { bare(&self.context, stored, true) }
    }

    /// What a resource sent by this column says of elements that the column can see.
    pub(super) fn sent(&self, sent: &Value) -> Option<Value> {
        bare(&self.context, sent, false)
    }

    /// The same with all its links, wherever they lead: for whoever judges them.
    pub(crate) fn said(&self, sent: &Value) -> Option<Value> {
        with_all_links(&self.context, sent)
    }

    /// Every decision on every resource.
    pub(super) fn explain(&self, journal: &mut Vec<Decision>) {
        for (key, resource) in
            self.product.resources().filter_map(|resource| Some((resource_key(resource)?, resource)))
        {
            let open = resource_gate(&self.context, resource, false);
            let rule = resource_rule(&self.context, resource);
            let (outcome, reason) = match (self.context.hidden.contains(&key), open) {
                (false, _) => (Outcome::Kept, "seen"),
                (true, false) => (Outcome::Removed, "the whole resource is hidden"),
                (true, true) => (Outcome::Removed, "nothing visible leads to it"),
            };
            journal.push(Decision { path: key.to_string(), rule, outcome, reason: reason.to_owned() });
            if outcome == Outcome::Kept {
                let entry = journal.len() - 1;
                let walked = walk(&self.context, resource, false, Some(journal));
                if walked.is_some_and(|walked| walked.removed > 0) {
                    journal[entry].outcome = Outcome::Partly;
                }
            }
        }
    }
}

/// What `column` sees of a complete, current product. Ask [`super::gate()`] first. `None`: nothing at all.
pub fn filter(
    matrix: &AccessMatrix,
    column: Column,
    facts: &ProductFacts,
    product: &Product,
    targets: &Targets,
) -> Option<Filtered> {
    View::new(matrix, column, facts, product, targets).map(View::into_filtered)
}

/// What `column` sees of one resource, current or old, of a complete, current product. For many, use [`View`].
pub fn filter_resource(
    matrix: &AccessMatrix,
    column: Column,
    facts: &ProductFacts,
    product: &Product,
    targets: &Targets,
    resource: &Value,
) -> Option<Value> {
    View::new(matrix, column, facts, product, targets)?.resource(resource)
}

/// Substances of ingredients that this column does not see.
fn hidden_substances(context: &Context<'_>) -> HashSet<String> {
    context
        .hidden
        .iter()
        .filter(|key| key.resource_type == ResourceType::Ingredient)
        .filter_map(|key| context.members.get(key)?.get("substance")?.get("code"))
        .flat_map(substance_marks)
        .collect()
}

/// A resource as the column sees it, and what it refers to then.
struct Seen<'v> {
    walked: Walked<'v>,
    refers_to: Vec<ResourceKey>,
    children: Vec<ResourceKey>,
}

impl<'v> Seen<'v> {
    fn new(walked: Walked<'v>) -> Self {
        Self { refers_to: links::targets(&walked.value), children: links::children(&walked.value), walked }
    }
}

/// The members that something visible leads to: upward links to a visible parent, or a visible reference.
fn reach(
    context: &Context<'_>,
    root: &ResourceKey,
    seen: &HashMap<ResourceKey, Seen<'_>>,
) -> HashSet<ResourceKey> {
    let mut children: HashMap<ResourceKey, Vec<&ResourceKey>> = HashMap::new();
    for key in seen.keys() {
        for parent in context.members.get(key).map(|resource| links::parents(resource)).unwrap_or_default() {
            children.entry(parent).or_default().push(key);
        }
    }
    let mut reached = HashSet::new();
    let mut open = Vec::new();
    if seen.contains_key(root) {
        reached.insert(root.clone());
        open.push(root.clone());
    }
    while let Some(key) = open.pop() {
        let referred = seen.get(&key).map(|seen| seen.children.clone()).unwrap_or_default();
        let upward = children.get(&key).into_iter().flatten().map(|key| (*key).clone());
        for next in referred.into_iter().chain(upward) {
            if seen.contains_key(&next) && reached.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    reached
}
