//! Real products and the FHIR checker, where they lie beside the checkout.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The root of the checkout.
pub fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The folder with real products and the checker. Where it is missing, says so and answers none: the caller's test
/// then has nothing to check.
pub fn shared() -> Option<PathBuf> {
    let folder = checkout().parent().unwrap().join("shared");
    if folder.join("data/products").is_dir() && folder.join("tools/check_fhir.py").is_file() {
        return Some(folder);
    }
    println!("NOT CHECKED: no real products beside the checkout ({})", folder.display());
    None
}

/// All product files, sorted.
pub fn product_files(shared: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for folder in ["data/products", "data/products/fhir-4.4.0"] {
        for entry in fs::read_dir(shared.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "json") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Runs the checker over a folder of answers; its errors, one a line.
pub fn check_fhir(shared: &Path, version: &str, folder: &Path) -> Vec<String> {
    let files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!files.is_empty(), "nothing to check in {}", folder.display());
    let output = Command::new("python3")
        .arg(shared.join("tools/check_fhir.py"))
        .args(["--no-warnings", version])
        .args(&files)
        .output()
        .unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}
