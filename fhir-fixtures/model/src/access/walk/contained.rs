//! Contained resources: each by the rules of its type, and only while something kept mentions it.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{Rules, Walk, resource_gate};

impl<'c, 'v> Walk<'c, 'v, '_> {
    /// Contained resources, each by the rules of its type. Fills `kept_contained`, which decides about `#` references.
    pub(super) fn contained(&mut self, items: &'v Value, rules: &'c Rules) -> Option<Value> {
        let open = rules
            .child("contained")
            .and_then(|rules| self.row(&rules.rows))
            .map_or(self.context.is_cleared(), |row| self.permits(row));
        let mut kept = Vec::new();
        for item in items.as_array()? {
            let walked = if open && resource_gate(self.context, item, self.old) {
                let mut inner = Walk::new(self.context, self.old, None);
                let value = inner.resource(item);
                self.removed += inner.removed;
                value
            } else {
                None
            };
            match walked {
                Some(value) => {
                    self.kept_contained.extend(item.get("id").and_then(Value::as_str));
                    kept.push(value.into_owned());
                }
                None => self.hide("contained", "contained resources have no row or one that hides them"),
            }
        }
        (!kept.is_empty()).then_some(Value::Array(kept))
    }
}

/// Removes contained resources whose last mention was removed.
pub(super) fn drop_unmentioned(before: &Map<String, Value>, out: &mut Map<String, Value>) {
    let (mut mentioned_before, mut mentioned) = (HashSet::new(), HashSet::new());
    before.values().for_each(|value| collect_fragments(value, &mut mentioned_before));
    out.values().for_each(|value| collect_fragments(value, &mut mentioned));
    let lost: HashSet<String> = mentioned_before.difference(&mentioned).map(|id| (*id).to_owned()).collect();
    if lost.is_empty() {
        return;
    }
    if let Some(items) = out.get_mut("contained").and_then(Value::as_array_mut) {
        items.retain(|item| !item.get("id").and_then(Value::as_str).is_some_and(|id| lost.contains(id)));
        if items.is_empty() {
            out.shift_remove("contained");
        }
    }
}

fn collect_fragments<'v>(value: &'v Value, found: &mut HashSet<&'v str>) {
    match value {
        Value::Object(object) => {
            if let Some(id) =
                object.get("reference").and_then(Value::as_str).and_then(|text| text.strip_prefix('#'))
            {
                found.insert(id);
            }
            object.values().for_each(|value| collect_fragments(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_fragments(item, found)),
        _ => {}
    }
}
