//! Who may use whom: the table of ARCHITECTURE.md, checked against every member's manifest.

use std::collections::BTreeMap;

use super::Violation;
use super::manifest::Manifest;

/// Each crate of the house and the crates of the house it may depend on, in any section:
/// a dev-dependency is an edge like any other, because tests that reach across rooms hold them together.
/// A new edge is argued in the commit that adds it here and in ARCHITECTURE.md.
const ALLOWED: [(&str, &[&str]); 17] = [
    ("pms-terms", &[]),
    ("access-token", &["pms-terms"]),
    ("audit-chain", &[]),
    ("caller-context", &["pms-terms"]),
    ("http-service", &[]),
    ("database", &[]),
    ("config", &["pms-terms"]),
    ("authz-domain", &["access-token", "audit-chain", "pms-terms"]),
    ("authz-store", &["access-token", "authz-domain", "database", "pms-terms"]),
    (
        "authz-server",
        &["access-token", "authz-domain", "authz-store", "config", "database", "http-service", "pms-terms"],
    ),
    // Never authz, never a database: the gateway knows the other side by its published keys only.
    (
        "gateway",
        &[
            "access-token",
            "audit-chain",
            "caller-context",
            "config",
            "fhir-model",
            "http-service",
            "pms-terms",
        ],
    ),
    ("fhir-model", &["pms-terms"]),
    ("fhir-store", &["database", "fhir-model", "pms-terms"]),
    (
        "fhir-server",
        &["caller-context", "config", "database", "fhir-model", "fhir-store", "http-service", "pms-terms"],
    ),
    (
        "pmsgate",
        &[
            "access-token",
            "audit-chain",
            "authz-domain",
            "authz-server",
            "authz-store",
            "caller-context",
            "config",
            "database",
            "fhir-model",
            "fhir-server",
            "fhir-store",
            "gateway",
            "http-service",
            "pms-terms",
        ],
    ),
    // Starts the shipped program; `database` lends it throw-away schemas.
    ("house-tests", &["access-token", "database", "pms-terms", "pmsgate"]),
    ("xtask", &[]),
];

/// Edges that are not in the table, members that are not, and manifests that go their own way.
pub(super) fn violations(manifests: &[Manifest]) -> Vec<Violation> {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.into_iter().collect();
    let mut violations = Vec::new();
    for manifest in manifests {
        let path = &manifest.path;
        let Some(may_use) = allowed.get(manifest.name.as_str()) else {
            violations.push(Violation::in_file(
                path,
                format!(
                    "crate `{}` is not in the table of crate edges (xtask/src/tidy/edges.rs)",
                    manifest.name
                ),
            ));
            continue;
        };
        // A crate that names itself switches on a feature for its own tests: no edge.
        for dependency in
            manifest.dependencies.iter().filter(|dependency| dependency.package != manifest.name)
        {
            let package = dependency.package.as_str();
            if allowed.contains_key(package) && !may_use.contains(&package) {
                violations.push(Violation::in_file(
                    path,
                    format!(
                        "`{}` may not use `{package}` ({}); see the table of crate edges in ARCHITECTURE.md",
                        manifest.name, dependency.section
                    ),
                ));
            }
            if !dependency.inherited {
                violations.push(Violation::in_file(
                    path,
                    format!("`{package}` names its own version; write `{package}.workspace = true`"),
                ));
            }
        }
        if !manifest.inherits_lints {
            violations.push(Violation::in_file(path, "`[lints] workspace = true` is missing"));
        }
        if manifest.test_binaries > 1 || (manifest.test_binaries == 1 && manifest.finds_tests_itself) {
            violations.push(Violation::in_file(
                path,
                "one integration test binary per crate: `autotests = false` and a single [[test]]",
            ));
        }
    }
    for (name, _) in ALLOWED {
        if !manifests.iter().any(|manifest| manifest.name == name) {
            violations.push(Violation::in_file(
                "xtask/src/tidy/edges.rs",
                format!("crate `{name}` is in the table of crate edges but not in the repository"),
            ));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    /// Manifests of all crates in the table, each with nothing but its name.
    fn bare_house() -> Vec<Manifest> {
        ALLOWED.iter().map(|(name, _)| with_dependencies(name, "")).collect()
    }

    fn with_dependencies(name: &str, sections: &str) -> Manifest {
        let source = format!("[package]\nname = \"{name}\"\n[lints]\nworkspace = true\n{sections}");
        let path = PathBuf::from(name).join("Cargo.toml");
        Manifest::parse(Path::new(&path), &source).unwrap().unwrap()
    }

    /// What tidy says when one crate of the house has these sections.
    fn complaints(name: &str, sections: &str) -> Vec<String> {
        let mut house = bare_house();
        house.retain(|manifest| manifest.name != name);
        house.push(with_dependencies(name, sections));
        violations(&house).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_house_without_edges_is_tidy() {
        assert_eq!(violations(&bare_house()), []);
    }

    #[test]
    fn an_allowed_edge_passes() {
        let edge = "[dependencies]\naccess-token.workspace = true\nserde.workspace = true";
        assert_eq!(complaints("gateway", edge), Vec::<String>::new());
    }

    #[test]
    fn a_forbidden_edge_is_found() {
        let edge = "[dependencies]\nauthz-store.workspace = true";
        let complaints = complaints("gateway", edge);
        assert_eq!(complaints.len(), 1);
        assert!(complaints[0].starts_with("gateway/Cargo.toml: `gateway` may not use `authz-store`"));
    }

    #[test]
    fn a_forbidden_edge_of_tests_only_is_found() {
        assert_eq!(complaints("gateway", "[dev-dependencies]\ndatabase.workspace = true").len(), 1);
    }

    #[test]
    fn a_forbidden_edge_behind_another_name_is_found() {
        let edge = "[dependencies]\nstore = { package = \"authz-store\", workspace = true }";
        assert_eq!(complaints("gateway", edge).len(), 1);
    }

    #[test]
    fn a_feature_for_own_tests_is_no_edge() {
        let itself = "[dev-dependencies]\ndatabase = { path = \".\", features = [\"testing\"] }";
        assert_eq!(complaints("database", itself), Vec::<String>::new());
    }

    #[test]
    fn an_own_version_is_found() {
        assert!(complaints("xtask", "[dependencies]\nserde = \"1\"")[0].contains("serde.workspace = true"));
    }

    #[test]
    fn a_crate_outside_the_table_is_found() {
        let mut house = bare_house();
        house.push(with_dependencies("helpers", ""));
        assert!(violations(&house)[0].to_string().contains("crate `helpers` is not in the table"));
    }

    #[test]
    fn a_crate_that_is_gone_is_found() {
        let mut house = bare_house();
        house.retain(|manifest| manifest.name != "database");
        assert!(violations(&house)[0].to_string().contains("crate `database` is in the table"));
    }

    #[test]
    fn a_second_test_binary_is_found() {
        let tests = "[[test]]\nname = \"http\"\n[[test]]\nname = \"more\"";
        assert!(complaints("gateway", tests)[0].contains("one integration test binary"));
    }

    #[test]
    fn the_table_names_only_crates_of_the_house() {
        for (_, may_use) in ALLOWED {
            for name in may_use {
                assert!(ALLOWED.iter().any(|(known, _)| known == name), "{name}");
            }
        }
    }
}
