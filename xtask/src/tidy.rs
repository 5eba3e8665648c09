//! The house's own rules, which no compiler knows: crate edges, module docs, markers, lock files.

mod dependency_tree;
mod edges;
mod lock_files;
mod manifest;
mod text;

use std::fmt;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::workspace::Workspace;

/// One broken rule: where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    path: PathBuf,
    line: Option<usize>,
    message: String,
}

impl Violation {
    fn in_file(path: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self { path: path.into(), line: None, message: message.into() }
    }

    fn on_line(path: impl Into<PathBuf>, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.into(), line: Some(line), message: message.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "{}:{line}: {}", self.path.display(), self.message),
            None => write!(formatter, "{}: {}", self.path.display(), self.message),
        }
    }
}

/// Checks all rules and fails with the list of violations.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let violations = violations(workspace)?;
    if !violations.is_empty() {
        bail!("tidy:\n{}", listed(&violations));
    }
    println!("tidy: ok");
    Ok(())
}

/// Every rule broken anywhere in the repository, sorted by place.
pub(crate) fn violations(workspace: &Workspace) -> Result<Vec<Violation>> {
    let mut violations = Vec::new();
    let mut manifests = Vec::new();
    for path in workspace.files()? {
        if path.ends_with("Cargo.toml") {
            let source = workspace.read(&path)?;
            violations.extend(text::violations(&path, &source));
            match manifest::Manifest::parse(&path, &source) {
                Ok(Some(manifest)) => manifests.push(manifest),
                Ok(None) => {}
                Err(error) => violations.push(Violation::in_file(&path, format!("{error:#}"))),
            }
        } else if path.file_name().is_some_and(|name| name == "package-lock.json") {
            violations.extend(lock_files::violations(&path, &workspace.read(&path)?));
        } else if text::is_checked(&path) {
            violations.extend(text::violations(&path, &workspace.read(&path)?));
        }
    }
    violations.extend(edges::violations(&manifests));
    violations.extend(dependency_tree::violations(workspace)?);
    violations.sort();
    Ok(violations)
}

/// One violation per line.
pub(crate) fn listed(violations: &[Violation]) -> String {
    violations.iter().map(|violation| format!("  {violation}")).collect::<Vec<_>>().join("\n")
}
