//! Rules for the lock file of the third-party test clients.

use std::path::Path;

use serde_json::Value;

use super::Violation;

/// A lock file that installs the same bytes from whichever registry npm is set up for:
/// every package has an integrity hash, and none says where it came from.
pub(super) fn violations(path: &Path, source: &str) -> Vec<Violation> {
    let Ok(lock) = serde_json::from_str::<Value>(source) else {
        return vec![Violation::in_file(path, "not valid JSON")];
    };
    let Some(packages) = lock.get("packages").and_then(Value::as_object) else {
        return vec![Violation::in_file(path, "no `packages`: made by too old an npm")];
    };
    let mut violations = Vec::new();
    // The entry without a name is the project itself.
    for (name, package) in packages.iter().filter(|(name, _)| !name.is_empty()) {
        if package.get("resolved").is_some() {
            violations.push(Violation::in_file(
                path,
                format!("`{name}` names a registry; set omit-lockfile-registry-resolved=true and lock again"),
            ));
        }
        if package.get("integrity").and_then(Value::as_str).is_none_or(|hash| !hash.starts_with("sha512-")) {
            violations.push(Violation::in_file(path, format!("`{name}` has no SHA-512 integrity hash")));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(packages: &str) -> usize {
        violations(Path::new("package-lock.json"), &format!("{{\"packages\":{packages}}}")).len()
    }

    #[test]
    fn a_lock_with_hashes_alone_passes() {
        assert_eq!(
            complaints(r#"{"":{},"node_modules/a":{"version":"1.0.0","integrity":"sha512-eA=="}}"#),
            0
        );
    }

    #[test]
    fn a_registry_address_is_found() {
        let package =
            r#"{"node_modules/a":{"resolved":"https://registry.test/a","integrity":"sha512-eA=="}}"#;
        assert_eq!(complaints(package), 1);
    }

    #[test]
    fn a_missing_or_weak_hash_is_found() {
        assert_eq!(complaints(r#"{"node_modules/a":{"version":"1.0.0"}}"#), 1);
        assert_eq!(complaints(r#"{"node_modules/a":{"integrity":"sha1-eA=="}}"#), 1);
    }

    #[test]
    fn nonsense_is_found() {
        assert_eq!(violations(Path::new("package-lock.json"), "{").len(), 1);
        assert_eq!(violations(Path::new("package-lock.json"), "{}").len(), 1);
    }
}
