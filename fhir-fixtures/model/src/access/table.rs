//! The matrix as a table, row by row as the file has it: for documentation, explanations and tests.

use std::fmt::Write as _;

use super::{AccessMatrix, Column, matrix::Permission};

/// One row as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatrixRow {
    /// What it decides about.
    pub about: RowSubject,
    /// Its line in the file.
    pub line: usize,
    /// What it says to each column, in the order of [`Column::ALL`].
    pub cells: [Cell; 6],
}

/// What a row decides about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowSubject {
    /// An element, a whole resource, or `Type.element.*`; of one class only, if a class is named.
    Element {
        /// The path as written.
        path: String,
        /// The class.
        class: Option<String>,
    },
    /// An extension, within an element or anywhere.
    Extension {
        /// Its URL.
        url: String,
        /// The element, if it matters.
        path: Option<String>,
    },
}

/// What a row says to a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// The column sees it.
    Seen,
    /// The column does not see it.
    Removed,
    /// The column sees it where this condition holds.
    If(String),
}

impl From<&Permission> for Cell {
    fn from(permission: &Permission) -> Self {
        match permission {
            Permission::Yes => Self::Seen,
            Permission::No => Self::Removed,
            Permission::If(condition) => Self::If(condition.name().to_owned()),
        }
    }
}

impl From<&bool> for Cell {
    fn from(open: &bool) -> Self {
        if *open { Self::Seen } else { Self::Removed }
    }
}

impl AccessMatrix {
    /// All rows, in the order of the file: elements after extensions.
    pub fn rows(&self) -> &[MatrixRow] {
        &self.table
    }

    /// The rows as a table in Markdown.
    pub fn markdown(&self) -> String {
        let mut text =
            String::from("| element | class | public | industry | owner | qualified | nca | ema |\n");
        text.push_str("|---|---|---|---|---|---|---|---|\n");
        for row in &self.table {
            let (what, class) = match &row.about {
                RowSubject::Element { path, class } => (path.clone(), class.clone().unwrap_or_default()),
                RowSubject::Extension { url, path } => (
                    format!("extension {url}"),
                    path.as_ref().map(|path| format!("at {path}")).unwrap_or_default(),
                ),
            };
            let _ = write!(text, "| {what} | {class} |");
            for column in Column::ALL {
                let _ = match &row.cells[column as usize] {
                    Cell::Seen => write!(text, " yes |"),
                    Cell::Removed => write!(text, " – |"),
                    Cell::If(condition) => write!(text, " *{condition}* |"),
                };
            }
            text.push('\n');
        }
        text
    }
}
