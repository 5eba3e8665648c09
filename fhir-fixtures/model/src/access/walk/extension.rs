//! Extensions: each needs a row that opens it, or a cleared column.

use serde_json::{Map, Value};

use super::{Inherited, MARK, NO_RULES, Outcome, Walk};

impl<'v> Walk<'_, 'v, '_> {
    /// What is left of a reference whose target is hidden: extensions that have a row for this very element, such as
    /// the country of a master file.
    pub(super) fn without_target(&self, mut reference: Map<String, Value>) -> Option<Value> {
        let here = self.element_path();
        let mut extensions = reference.swap_remove("extension")?;
        extensions.as_array_mut()?.retain(|extension| {
            let url = extension.get("url").and_then(Value::as_str).unwrap_or_default();
            let rows = self.context.matrix.extensions.get(url);
            rows.into_iter().flatten().any(|row| row.path.as_ref() == Some(&here))
        });
        let some = extensions.as_array().is_some_and(|extensions| !extensions.is_empty());
        some.then(|| Value::Object(Map::from_iter([("extension".to_owned(), extensions)])))
    }

    /// Extensions: those with an open row, and all of them for cleared columns. Also whether one was lost.
    pub(super) fn extensions(&mut self, value: &'v Value, name: &'static str) -> (Option<Value>, bool) {
        let Some(items) = value.as_array() else { return (None, true) };
        let Some(node) = self.listing.type_node("Extension") else { return (None, true) };
        let (mut kept, mut lost) = (Vec::new(), false);
        for (index, item) in items.iter().enumerate() {
            self.path.push((name, Some(index)));
            let (open, rule) = self.extension_gate(item);
            let out = match item.as_object() {
                Some(object) if open => {
                    self.note(&rule, Outcome::Kept, "the extension's row or the clearance of the column");
                    self.object(object, node, &NO_RULES, Inherited::Open)
                }
                _ => {
                    self.removed += 1;
                    self.note(&rule, Outcome::Removed, "no row opens the extension to this column");
                    None
                }
            };
            self.path.pop();
            match out {
                // An extension that lost its value says nothing.
                Some(mut out) if out.len() > 1 => {
                    if self.marks {
                        out.insert(MARK.to_owned(), index.into());
                    }
                    kept.push(Value::Object(out));
                }
                _ => lost = true,
            }
        }
        ((!kept.is_empty()).then_some(Value::Array(kept)), lost)
    }

    /// Whether an extension stays, and which row says so. One inside another needs a row of its own.
    pub(super) fn extension_gate(&self, extension: &Value) -> (bool, String) {
        let url = extension.get("url").and_then(Value::as_str).unwrap_or_default();
        let here = self.element_path();
        let holds = |path: &String| {
            here.strip_prefix(path.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let rows = self.context.matrix.extensions.get(url);
        match rows.into_iter().flatten().find(|row| row.path.as_ref().is_none_or(holds)) {
            Some(row) => {
                let rule = format!("extension {}, line {}", row.url, row.line);
                (row.permissions[self.context.column as usize], rule)
            }
            None => (self.context.is_cleared(), format!("extension {url}: no row")),
        }
    }
}
