//! The members of an object.

use std::borrow::Cow;

use super::Json;

/// The members of an object, in their order.
#[derive(Clone, Debug, Default)]
pub struct Fields<'t>(pub(super) Vec<(Cow<'t, str>, Json<'t>)>);

impl<'t> Fields<'t> {
    /// None.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json<'t>)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// Names, and values to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Json<'t>)> {
        self.0.iter_mut().map(|(name, value)| (&**name, value))
    }

    /// The names.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }

    /// The value of this name.
    pub fn get(&self, name: &str) -> Option<&Json<'t>> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The value of this name, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Json<'t>> {
        self.0.iter_mut().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Whether there is one of this name.
    pub fn contains_key(&self, name: &str) -> bool {
        self.place(name).is_some()
    }

    /// Sets a value: where the name stands already, else at the end.
    pub fn insert(&mut self, name: impl Into<Cow<'t, str>>, value: Json<'t>) {
        let name = name.into();
        match self.get_mut(&name) {
            Some(known) => *known = value,
            None => self.0.push((name, value)),
        }
    }

    /// Puts a member of another name than all others at a place, or at the end where that comes sooner.
    pub fn insert_at(&mut self, place: usize, name: impl Into<Cow<'t, str>>, value: Json<'t>) {
        self.0.insert(place.min(self.0.len()), (name.into(), value));
    }

    /// Gives a member another name, where it stands. One that has the name already goes.
    pub fn rename(&mut self, from: &str, to: impl Into<Cow<'t, str>>) {
        if !self.contains_key(from) {
            return;
        }
        let to = to.into();
        self.remove(&to);
        if let Some((name, _)) = self.0.iter_mut().find(|(name, _)| name == from) {
            *name = to;
        }
    }

    /// Takes a member out; the others keep their order.
    pub fn remove(&mut self, name: &str) -> Option<Json<'t>> {
        self.place(name).map(|place| self.0.remove(place).1)
    }

    /// Leaves the members that are to be kept.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &Json<'t>) -> bool) {
        self.0.retain(|(name, value)| keep(name, value));
    }

    /// Brings the members into the order of what is said of their names; leaves out those of which nothing is said.
    /// What was said of those that are left, in order, and the names of the others.
    pub(crate) fn order_by<K: Copy + Ord>(
        &mut self,
        key: impl Fn(&str) -> Option<K>,
    ) -> (Vec<K>, Vec<Cow<'t, str>>) {
        let mut keys = Vec::with_capacity(self.0.len());
        let mut unknown = Vec::new();
        self.0.retain_mut(|(name, _)| {
            let known = key(name);
            match known {
                Some(key) => keys.push(key),
                None => unknown.push(std::mem::take(name)),
            }
            known.is_some()
        });
        if !keys.is_sorted() {
            let mut members: Vec<_> = keys.into_iter().zip(std::mem::take(&mut self.0)).collect();
            members.sort_by_key(|(key, _)| *key);
            keys = members.iter().map(|(key, _)| *key).collect();
            self.0.extend(members.into_iter().map(|(_, member)| member));
        }
        (keys, unknown)
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|(known, _)| known == name)
    }
}

/// Whatever their order is.
impl PartialEq for Fields<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(name, value)| other.get(name) == Some(value))
    }
}

/// Names must differ.
impl<'t, N: Into<Cow<'t, str>>> FromIterator<(N, Json<'t>)> for Fields<'t> {
    fn from_iter<I: IntoIterator<Item = (N, Json<'t>)>>(members: I) -> Self {
        Self(members.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }
}

impl<'t> IntoIterator for Fields<'t> {
    type Item = (Cow<'t, str>, Json<'t>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
