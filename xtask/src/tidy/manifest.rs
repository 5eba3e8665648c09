//! What tidy reads from a member's `Cargo.toml`: its name and what it depends on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use toml::{Table, Value};

/// A package's manifest, reduced to what the rules look at.
#[derive(Debug)]
pub(super) struct Manifest {
    pub(super) path: PathBuf,
    pub(super) name: String,
    /// Whether `[lints] workspace = true` is there.
    pub(super) inherits_lints: bool,
    /// Every dependency of every section: normal, dev, build and per target.
    pub(super) dependencies: Vec<Dependency>,
    /// How many integration test binaries it names, but for one that counts allocations, and whether Cargo may find more by itself.
    pub(super) test_binaries: usize,
    pub(super) finds_tests_itself: bool,
}

/// One line of a dependency section.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dependency {
    /// The package's name, not the alias it is used under.
    pub(super) package: String,
    /// `dependencies`, `dev-dependencies` or `build-dependencies`.
    pub(super) section: &'static str,
    /// Whether version and features come from the root manifest.
    pub(super) inherited: bool,
}

/// A test that counts allocations is a program of its own: the allocator that counts is the whole program's.
const COUNTS_ALLOCATIONS: &str = "allocations";

const SECTIONS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

impl Manifest {
    /// Reads a manifest; `None` for a virtual one, which has no package.
    pub(super) fn parse(path: &Path, source: &str) -> Result<Option<Self>> {
        let table: Table = source.parse().context("not valid TOML")?;
        let Some(package) = table.get("package").and_then(Value::as_table) else {
            return Ok(None);
        };
        let name = package.get("name").and_then(Value::as_str).context("package without a name")?.to_owned();
        let mut dependencies = Vec::new();
        collect_dependencies(&table, &mut dependencies);
        if let Some(targets) = table.get("target").and_then(Value::as_table) {
            for target in targets.values().filter_map(Value::as_table) {
                collect_dependencies(target, &mut dependencies);
            }
        }
        let lints = table.get("lints").and_then(Value::as_table);
        Ok(Some(Self {
            path: path.to_owned(),
            name,
            inherits_lints: lints.and_then(|lints| lints.get("workspace")) == Some(&Value::Boolean(true)),
            dependencies,
            test_binaries: test_binaries(&table),
            finds_tests_itself: package.get("autotests") != Some(&Value::Boolean(false)),
        }))
    }
}

/// Without [`COUNTS_ALLOCATIONS`].
fn test_binaries(table: &Table) -> usize {
    let named = table.get("test").and_then(Value::as_array).into_iter().flatten();
    named.filter(|test| test.get("name").and_then(Value::as_str) != Some(COUNTS_ALLOCATIONS)).count()
}

fn collect_dependencies(table: &Table, into: &mut Vec<Dependency>) {
    for section in SECTIONS {
        let Some(entries) = table.get(section).and_then(Value::as_table) else { continue };
        for (alias, value) in entries {
            let details: BTreeMap<&str, &Value> = value
                .as_table()
                .map(|table| table.iter().map(|(key, value)| (key.as_str(), value)).collect())
                .unwrap_or_default();
            let package = details.get("package").and_then(|package| package.as_str()).unwrap_or(alias);
            into.push(Dependency {
                package: package.to_owned(),
                section,
                inherited: details.get("workspace") == Some(&&Value::Boolean(true)),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sections_and_aliases_are_read() {
        let source = r#"
            [package]
            name = "gateway"
            autotests = false
            [lints]
            workspace = true
            [dependencies]
            config.workspace = true
            renamed = { package = "authz-store", path = "../authz/store" }
            [dev-dependencies]
            insta = "1"
            [target.'cfg(unix)'.dependencies]
            database = { workspace = true }
            [[test]]
            name = "http"
        "#;
        let manifest = Manifest::parse(Path::new("gateway/Cargo.toml"), source).unwrap().unwrap();
        assert_eq!(manifest.name, "gateway");
        assert!(manifest.inherits_lints);
        assert!(!manifest.finds_tests_itself);
        assert_eq!(manifest.test_binaries, 1);
        let read: Vec<_> =
            manifest.dependencies.iter().map(|d| (d.package.as_str(), d.section, d.inherited)).collect();
        assert_eq!(
            read,
            [
                ("config", "dependencies", true),
                ("authz-store", "dependencies", false),
                ("insta", "dev-dependencies", false),
                ("database", "dependencies", true),
            ]
        );
    }

    #[test]
    fn a_virtual_manifest_is_no_package() {
        assert!(Manifest::parse(Path::new("Cargo.toml"), "[workspace]\nmembers = []").unwrap().is_none());
    }

    #[test]
    fn broken_toml_is_an_error() {
        assert!(Manifest::parse(Path::new("x/Cargo.toml"), "[package").is_err());
    }

    #[test]
    fn a_test_that_counts_allocations_is_not_counted() {
        let tests = |names: &[&str]| {
            let named = names.iter().map(|name| format!("[[test]]\nname = \"{name}\"\n"));
            let source = "[package]\nname = \"a\"\n".to_owned() + &named.collect::<Vec<_>>().concat();
            Manifest::parse(Path::new("Cargo.toml"), &source).unwrap().unwrap().test_binaries
        };
        assert_eq!(tests(&["http", "more"]), 2);
        assert_eq!(tests(&["http", "allocations"]), 1);
    }
}
