//! Counting what is taken away, and telling which row decided, for those who want to know.

use std::fmt::Write as _;

use super::{Decision, Outcome, Row, Walk};
use crate::access::matrix::Permission;

impl<'v> Walk<'_, 'v, '_> {
    pub(super) fn type_name(&self) -> &'v str {
        self.values.first().and_then(|root| root.get("resourceType")?.as_str()).unwrap_or_default()
    }

    /// The path of the open element without indices.
    pub(super) fn element_path(&self) -> String {
        let mut path = self.type_name().to_owned();
        for (name, _) in &self.path {
            path.push('.');
            path.push_str(name);
        }
        path
    }

    /// The path of the open element for the journal: `MedicinalProductDefinition/1.contact[0]`.
    pub(super) fn place_name(&self, last: &str) -> String {
        let id = self.values.first().and_then(|root| root.get("id")?.as_str()).unwrap_or_default();
        let mut path = format!("{}/{id}", self.type_name());
        for (name, index) in &self.path {
            let _ = write!(path, ".{name}");
            if let Some(index) = index {
                let _ = write!(path, "[{index}]");
            }
        }
        if !last.is_empty() {
            let _ = write!(path, ".{last}");
        }
        path
    }

    /// Counts a removal and notes it.
    pub(super) fn hide(&mut self, last: &str, reason: &str) {
        self.removed += 1;
        if self.journal.is_some() {
            let path = self.place_name(last);
            self.push(path, "(closed)", Outcome::Removed, reason);
        }
    }

    /// Notes what a row decided about the open element.
    pub(super) fn note_row(&mut self, row: &Row, outcome: Outcome) -> Option<usize> {
        self.journal.as_ref()?;
        let column = self.context.column;
        let reason = match row.permission(column) {
            Permission::If(condition) => format!("{column}: {}", condition.name()),
            Permission::Yes => format!("{column}: yes"),
            Permission::No => format!("{column}: no"),
        };
        self.note(&row.name(), outcome, &reason)
    }

    pub(super) fn note(&mut self, rule: &str, outcome: Outcome, reason: &str) -> Option<usize> {
        self.journal.as_ref()?;
        let path = self.place_name("");
        self.push(path, rule, outcome, reason);
        self.journal.as_ref().map(|journal| journal.len() - 1)
    }

    pub(super) fn push(&mut self, path: String, rule: &str, outcome: Outcome, reason: &str) {
        if let Some(journal) = &mut self.journal {
            journal.push(Decision { path, rule: rule.to_owned(), outcome, reason: reason.to_owned() });
        }
    }

    /// Corrects an entry once it is known what became of the children.
    pub(super) fn amend(&mut self, entry: Option<usize>, before: usize, kept: bool) {
        let partly = self.removed > before;
        if let (Some(entry), Some(journal)) = (entry, &mut self.journal)
            && let Some(decision) = journal.get_mut(entry)
        {
            decision.outcome = match (kept, partly) {
                (true, false) => Outcome::Kept,
                (true, true) => Outcome::Partly,
                (false, _) => Outcome::Removed,
            };
        }
    }
}
