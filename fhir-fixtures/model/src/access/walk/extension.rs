//! Extensions: each needs a row that opens it, or a cleared column.

use std::{borrow::Cow, cell::LazyCell};

use serde_json::{Map, Value};

use super::{
    Inherited, MARK, NO_RULES, Outcome, Walk,
    remainder::{Items, value_of},
};
use crate::access::matrix::ExtensionRow;

impl<'c, 'v> Walk<'c, 'v, '_> {
    /// What is left of a reference whose target is hidden: extensions that have a row for this very element, such as
    /// the country of a master file.
    pub(super) fn without_target(&self, mut reference: Map<String, Value>) -> Option<Value> {
        let here = self.element_path();
        let mut extensions = reference.swap_remove("extension")?;
        extensions.as_array_mut()?.retain(|extension| {
            let rows = self.context.matrix.extensions.get(url_of(extension));
            rows.into_iter().flatten().any(|row| row.path.as_ref() == Some(&here))
        });
        let some = extensions.as_array().is_some_and(|extensions| !extensions.is_empty());
        some.then(|| Value::Object(Map::from_iter([("extension".to_owned(), extensions)])))
    }

    /// Extensions: those with an open row, and all of them for cleared columns. Also whether one was lost.
    pub(super) fn extensions(
        &mut self,
        value: &'v Value,
        name: &'static str,
    ) -> (Option<Cow<'v, Value>>, bool) {
        let Some(items) = value.as_array() else { return (None, true) };
        let Some(node) = self.listing.type_node("Extension") else { return (None, true) };
        let (mut left, mut lost) = (Items::of(items), false);
        for (index, item) in items.iter().enumerate() {
            self.path.push((name, Some(index)));
            let row = self.extension_row(item);
            let open =
                row.map_or(self.context.is_cleared(), |row| row.permissions[self.context.column as usize]);
            let out = match item.as_object() {
                Some(object) if open => {
                    self.note_extension(item, row, Outcome::Kept);
                    self.object(object, node, &NO_RULES, Inherited::Open)
                }
                _ => {
                    self.removed += 1;
                    self.note_extension(item, row, Outcome::Removed);
                    None
                }
            };
            self.path.pop();
            // An extension that lost its value says nothing.
            let Some(mut out) = out.filter(|out| out.len() > 1) else {
                left.leave_out();
                lost = true;
                continue;
            };
            if self.marks {
                out.to_mut().insert(MARK.to_owned(), index.into());
            }
            left.next(Some(value_of(item, out)));
        }
        (left.finish(Some(value)), lost)
    }

    /// The row that decides about an extension. One inside another needs a row of its own.
    fn extension_row(&self, extension: &Value) -> Option<&'c ExtensionRow> {
        let rows = self.context.matrix.extensions.get(url_of(extension))?;
        let here = LazyCell::new(|| self.element_path());
        let holds = |path: &String| {
            here.strip_prefix(path.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        rows.iter().find(|row| row.path.as_ref().is_none_or(holds))
    }

    fn note_extension(&mut self, extension: &Value, row: Option<&ExtensionRow>, outcome: Outcome) {
        if self.journal.is_none() {
            return;
        }
        let rule = match row {
            Some(row) => format!("extension {}, line {}", row.url, row.line),
            None => format!("extension {}: no row", url_of(extension)),
        };
        let reason = match outcome {
            Outcome::Removed => "no row opens the extension to this column",
            Outcome::Kept | Outcome::Partly => "the extension's row or the clearance of the column",
        };
        self.note(&rule, outcome, reason);
    }
}

fn url_of(extension: &Value) -> &str {
    extension.get("url").and_then(Value::as_str).unwrap_or_default()
}
