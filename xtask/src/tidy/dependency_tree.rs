//! Rules for what Cargo really builds: one cryptography library, chosen once.

use anyhow::Result;

use super::Violation;
use crate::command;
use crate::workspace::Workspace;

/// Crates that must not be built, and why.
const UNWANTED: [(&str, &str); 4] = [
    ("ring", "aws-lc-rs is the one cryptography library here; find who switched on a `ring` feature"),
    ("openssl", "TLS is rustls here; find who switched on a native-tls feature"),
    ("openssl-sys", "TLS is rustls here; find who switched on a native-tls feature"),
    ("native-tls", "TLS is rustls here; find who switched on a native-tls feature"),
];

/// A feature of `jsonwebtoken` that, beside `aws_lc_rs`, makes it panic at the first signature.
const UNWANTED_BACKEND: &str = "rust_crypto";

/// Asks Cargo for the resolved tree of all members, dev-dependencies included.
pub(super) fn violations(workspace: &Workspace) -> Result<Vec<Violation>> {
    let tree = command::stdout_of(workspace.cargo().command().args([
        "tree",
        "--workspace",
        "--locked",
        "--edges",
        "normal,build,dev",
        "--prefix",
        "none",
        "--format",
        "{p}|{f}",
    ]))?;
    Ok(violations_in(&tree))
}

/// Reads lines of the form `name vVERSION …|feature,feature`.
fn violations_in(tree: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    for line in tree.lines() {
        let (package, features) = line.split_once('|').unwrap_or((line, ""));
        let name = package.split(' ').next().unwrap_or_default();
        if let Some((_, advice)) = UNWANTED.iter().find(|(unwanted, _)| *unwanted == name) {
            violations.push(Violation::in_file("Cargo.lock", format!("`{name}` is built: {advice}")));
        }
        let features = features.trim_end_matches(" (*)").split(',');
        if name == "jsonwebtoken" && features.into_iter().any(|feature| feature == UNWANTED_BACKEND) {
            violations.push(Violation::in_file(
                "Cargo.lock",
                format!("`jsonwebtoken` is built with `{UNWANTED_BACKEND}`: with two backends it panics at the first signature"),
            ));
        }
    }
    violations.sort();
    violations.dedup();
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wanted_tree_passes() {
        let tree =
            "pmsgate v0.0.0 (/somewhere)|\njsonwebtoken v11.1.0|aws_lc_rs,use_pem\naws-lc-rs v1.19.0|\n";
        assert_eq!(violations_in(tree), []);
    }

    #[test]
    fn a_second_cryptography_library_is_found_once() {
        assert_eq!(violations_in("ring v0.17.14|alloc\nring v0.17.14|alloc\n").len(), 1);
    }

    #[test]
    fn a_second_token_backend_is_found() {
        let found = violations_in("jsonwebtoken v11.1.0|aws_lc_rs,rust_crypto,use_pem\n");
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string().contains("rust_crypto"));
    }

    #[test]
    fn names_that_only_begin_alike_pass() {
        assert_eq!(violations_in("ring-buffer v1.0.0|\nopenssl-probe v0.2.0|\n"), []);
    }
}
