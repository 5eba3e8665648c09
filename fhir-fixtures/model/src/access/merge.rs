//! Putting a resource that somebody sends back, made from a filtered view, together with what the view hid.

use std::collections::{BTreeSet, HashMap, VecDeque};

use serde_json::{Map, Value};

use crate::{Product, facts::ProductFacts};

use super::{AccessMatrix, Column, Targets, View};

/// The resource to store when `column` sends `sent` as the new state of `stored`: what the column cannot see stays as
/// it is stored, what it can see is as sent, and what it sends of elements it cannot see is ignored.
///
/// An array item that was visible and is no longer sent is deleted whole. Narrative is dropped when anything changed,
/// as nobody wrote it for the new state.
pub fn merge_hidden(
    matrix: &AccessMatrix,
    column: Column,
    facts: &ProductFacts,
    product: &Product,
    targets: &Targets,
    stored: &Value,
    sent: &Value,
) -> Value {
    let view = View::new(matrix, column, facts, product, targets);
    view.and_then(|view| view.merge(stored, sent)).unwrap_or_else(|| stored.clone())
}

impl View<'_> {
    /// The same as [`merge_hidden`], for several resources of one product. `None` when the column does not see the
    /// stored resource, or would not see one like that which it sends, so that nothing of it could be taken over.
    pub fn merge(&self, stored: &Value, sent: &Value) -> Option<Value> {
        let visible = self.marked(stored)?;
        let mut sent = self.sent(sent)?;
        untag_subsetted(&mut sent, stored);
        let mut merged = object(stored, &visible, Some(&sent))?;
        if let Some(fields) = merged.as_object_mut() {
            let differs = |name: &String| {
                !matches!(name.as_str(), "meta" | "text") && fields.get(name) != stored.get(name)
            };
            let changed =
                fields.keys().chain(stored.as_object().into_iter().flat_map(Map::keys)).any(differs);
            if changed {
                fields.shift_remove("text");
            } else if let Some(text) = stored.get("text") {
                fields.insert("text".to_owned(), text.clone());
            }
        }
        Some(merged)
    }
}

/// The tag of a filtered view says nothing about the resource itself: it is not taken over.
fn untag_subsetted(sent: &mut Value, stored: &Value) {
    let is_subsetted = |tag: &Value| tag.get("code").and_then(Value::as_str) == Some("SUBSETTED");
    let tags_of = |value: &Value| value.get("meta").and_then(|meta| meta.get("tag")?.as_array()).cloned();
    if tags_of(stored).is_some_and(|tags| tags.iter().any(is_subsetted)) {
        return;
    }
    let Some(meta) = sent.get_mut("meta").and_then(Value::as_object_mut) else { return };
    if let Some(tags) = meta.get_mut("tag").and_then(Value::as_array_mut) {
        tags.retain(|tag| !is_subsetted(tag));
        if tags.is_empty() {
            meta.shift_remove("tag");
        }
    }
    if meta.is_empty()
        && let Some(sent) = sent.as_object_mut()
    {
        sent.shift_remove("meta");
    }
}

/// The name under which a marked view keeps the index of an array item; no FHIR element can have it.
pub(super) const MARK: &str = "\u{0}";

fn unmarked(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .filter(|(name, _)| *name != MARK)
                .map(|(name, value)| (name.clone(), unmarked(value)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(unmarked).collect()),
        other => other.clone(),
    }
}

/// Merges one value; `None` when nothing is left of it.
fn any(stored: &Value, visible: Option<&Value>, sent: Option<&Value>) -> Option<Value> {
    let Some(visible) = visible else {
        return Some(match (stored, sent) {
            // Every stored item is hidden. What is left of the sent ones by now the column may see: both stay.
            (Value::Array(items), Some(Value::Array(sent))) => array(items, &[], sent),
            _ => stored.clone(),
        });
    };
    match (stored, visible, sent) {
        (Value::Object(_), Value::Object(_), Some(Value::Object(_)) | None) => object(stored, visible, sent),
        (Value::Array(items), Value::Array(seen), Some(Value::Array(sent))) => Some(array(items, seen, sent)),
        (Value::Array(items), Value::Array(seen), None) => {
            let left = array(items, seen, &[]);
            left.as_array().is_some_and(|items| !items.is_empty()).then_some(left)
        }
        (_, _, sent) => sent.cloned(),
    }
}

fn object(stored: &Value, visible: &Value, sent: Option<&Value>) -> Option<Value> {
    let mut merged = Map::new();
    let stored_fields = stored.as_object()?;
    for (name, value) in stored_fields {
        let of = |value: &'_ Value| value.get(name).cloned();
        let (seen, new) = (of(visible), sent.and_then(of));
        if let Some(value) = any(value, seen.as_ref(), new.as_ref()) {
            merged.insert(name.clone(), value);
        }
    }
    for (name, value) in sent.and_then(Value::as_object).into_iter().flatten() {
        if !stored_fields.contains_key(name) {
            merged.insert(name.clone(), value.clone());
        }
    }
    (!merged.is_empty()).then_some(Value::Object(merged))
}

fn array(stored: &[Value], visible: &[Value], sent: &[Value]) -> Value {
    // Primitives, or a view without marks, are visible as a whole.
    let Some(origins) =
        visible.iter().map(|item| item.get(MARK)?.as_u64()?.try_into().ok()).collect::<Option<Vec<usize>>>()
    else {
        return Value::Array(sent.to_vec());
    };
    let plain: Vec<Value> = visible.iter().map(unmarked).collect();
    let pairs = pair(&plain, sent);
    let mut merged: Vec<(Option<usize>, Value)> = Vec::with_capacity(stored.len().max(sent.len()));
    for (item, partner) in sent.iter().zip(pairs) {
        let origin = partner.and_then(|at| origins.get(at).copied());
        let value = match (origin.and_then(|at| stored.get(at)), partner.and_then(|at| visible.get(at))) {
            (Some(stored), Some(visible)) => any(stored, Some(visible), Some(item)),
            _ => Some(item.clone()),
        };
        merged.extend(value.map(|value| (origin, value)));
    }
    let seen: BTreeSet<usize> = origins.into_iter().collect();
    for (index, item) in stored.iter().enumerate().filter(|(index, _)| !seen.contains(index)) {
        let before = merged.iter().rposition(|(origin, _)| origin.is_some_and(|origin| origin < index));
        merged.insert(before.map_or(0, |at| at + 1), (Some(index), item.clone()));
    }
    Value::Array(merged.into_iter().map(|(_, value)| value).collect())
}

/// For each sent item the visible item that it was: an equal one, else the next one that shares something with it,
/// else, when as many are left of both, the next one.
fn pair(visible: &[Value], sent: &[Value]) -> Vec<Option<usize>> {
    let mut equal: HashMap<String, VecDeque<usize>> = HashMap::new();
    for (at, item) in visible.iter().enumerate() {
        equal.entry(item.to_string()).or_default().push_back(at);
    }
    let mut pairs: Vec<Option<usize>> =
        sent.iter().map(|item| equal.get_mut(&item.to_string()).and_then(VecDeque::pop_front)).collect();
    let taken: BTreeSet<usize> = pairs.iter().copied().flatten().collect();
    let mut left: VecDeque<usize> = (0..visible.len()).filter(|at| !taken.contains(at)).collect();
    let open: Vec<usize> = (0..sent.len()).filter(|at| pairs[*at].is_none()).collect();
    let as_many = open.len() == left.len();
    for at in open {
        let related = left.iter().position(|candidate| shares(&visible[*candidate], &sent[at]));
        pairs[at] = match related {
            Some(position) => left.remove(position),
            None if as_many => left.pop_front(),
            None => None,
        };
    }
    pairs
}

fn shares(one: &Value, other: &Value) -> bool {
    one.as_object().is_some_and(|fields| fields.iter().any(|(name, value)| other.get(name) == Some(value)))
}
