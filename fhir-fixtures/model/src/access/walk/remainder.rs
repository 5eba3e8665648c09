//! What is left of an object or a list: the stored one itself while nothing is missing from it.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// What is left of an object, built up member by member in the order of the stored one. It is copied when the first
/// member is missing or other than stored.
pub(super) struct Members<'v> {
    stored: &'v Map<String, Value>,
    /// How many members of the stored object were looked at.
    seen: usize,
    changed: Option<Map<String, Value>>,
}

impl<'v> Members<'v> {
    pub(super) const fn of(stored: &'v Map<String, Value>) -> Self {
        Self { stored, seen: 0, changed: None }
    }

    /// The next stored member stays as it is.
    pub(super) fn keep(&mut self, name: &str, value: &'v Value) {
        self.next(name, Some(Cow::Borrowed(value)));
    }

    /// The next stored member does not stay.
    pub(super) fn leave_out(&mut self) {
        self.changed();
        self.seen += 1;
    }

    /// Of the next stored member this is left; borrowed, it is the member.
    pub(super) fn next(&mut self, name: &str, left: Option<Cow<'v, Value>>) {
        match left {
            Some(Cow::Borrowed(_)) if self.changed.is_none() => {}
            Some(left) => {
                self.changed().insert(name.to_owned(), left.into_owned());
            }
            None => return self.leave_out(),
        }
        self.seen += 1;
    }

    fn changed(&mut self) -> &mut Map<String, Value> {
        let (stored, seen) = (self.stored, self.seen);
        self.changed.get_or_insert_with(|| {
            let mut changed = Map::with_capacity(stored.len());
            changed.extend(stored.iter().take(seen).map(|(name, value)| (name.clone(), value.clone())));
            changed
        })
    }

    pub(super) fn finish(self) -> Cow<'v, Map<String, Value>> {
        self.changed.map_or(Cow::Borrowed(self.stored), Cow::Owned)
    }
}

/// What is left of a list.
pub(super) struct Items<'v> {
    stored: &'v [Value],
    seen: usize,
    changed: Option<Vec<Value>>,
}

impl<'v> Items<'v> {
    pub(super) const fn of(stored: &'v [Value]) -> Self {
        Self { stored, seen: 0, changed: None }
    }

    /// The next stored item does not stay.
    pub(super) fn leave_out(&mut self) {
        self.changed();
        self.seen += 1;
    }

    /// Of the next stored item this is left, or `null`; borrowed, it is the item.
    pub(super) fn next(&mut self, left: Option<Cow<'v, Value>>) {
        let is_stored = match (&left, self.stored.get(self.seen)) {
            (Some(Cow::Borrowed(_)), Some(_)) => true,
            (None, Some(stored)) => stored.is_null(),
            _ => false,
        };
        if self.changed.is_some() || !is_stored {
            self.changed().push(left.map(Cow::into_owned).unwrap_or_default());
        }
        self.seen += 1;
    }

    fn changed(&mut self) -> &mut Vec<Value> {
        let kept = self.stored.get(..self.seen).unwrap_or(self.stored);
        self.changed.get_or_insert_with(|| kept.to_vec())
    }

    /// Nothing when nothing is left but `null`.
    pub(super) fn finish(self, stored: Option<&'v Value>) -> Option<Cow<'v, Value>> {
        let left = self.changed.as_deref().unwrap_or(self.stored);
        if left.iter().all(Value::is_null) {
            return None;
        }
        match (self.changed, stored) {
            (None, Some(stored)) => Some(Cow::Borrowed(stored)),
            (changed, _) => Some(Cow::Owned(Value::Array(changed.unwrap_or_default()))),
        }
    }
}

/// What is left of a stored object, as a value.
pub(super) fn value_of<'v>(stored: &'v Value, left: Cow<'v, Map<String, Value>>) -> Cow<'v, Value> {
    match left {
        Cow::Borrowed(_) => Cow::Borrowed(stored),
        Cow::Owned(object) => Cow::Owned(Value::Object(object)),
    }
}
