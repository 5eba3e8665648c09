//! The shared sample products and the structural checker, where they lie beside the checkout.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use fhir_model::{Product, links};
use pms_terms::FhirVersion;
use serde_json::Value;

/// A file of the shared folder, or `None`, said aloud.
pub(crate) fn find(path: &str) -> Option<PathBuf> {
    let found = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(path);
    if !found.exists() {
        println!("skipped: {} is not there", found.display());
        return None;
    }
    Some(found)
}

/// The resources of every JSON file in a folder of the shared products: file name, resources.
pub(crate) fn files(folder: &str) -> Vec<(String, Vec<Value>)> {
    let Some(folder) = find(folder) else { return Vec::new() };
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), read(&path)))
        .collect()
}

fn read(path: &Path) -> Vec<Value> {
    let value: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    match value.get("entry").and_then(Value::as_array) {
        Some(entries) => entries.iter().map(|entry| entry["resource"].clone()).collect(),
        None => vec![value],
    }
}

/// The products among some resources.
pub(crate) fn products(resources: &[Value]) -> Vec<Product> {
    links::group(resources)
        .products
        .into_iter()
        .map(|group| {
            Product::new(
                resources[group.root].clone(),
                group.parts.iter().map(|at| resources[*at].clone()).collect(),
            )
        })
        .collect()
}

/// Runs the shared checker over resources; panics with its report when it finds errors. Says so when it cannot run.
pub(crate) fn check_with_python(version: FhirVersion, resources: &[(String, Value)]) {
    let Some(checker) = find("tools/check_fhir.py") else { return };
    if Command::new("python3").arg("--version").output().is_err() {
        println!("skipped: no python3");
        return;
    }
    let folder = std::env::temp_dir().join(format!("fhir-model-{}-{version}", std::process::id()));
    let folder = folder.join(format!("{:?}", std::thread::current().id()).replace(['(', ')'], "-"));
    std::fs::create_dir_all(&folder).unwrap();
    let entries: Vec<Value> =
        resources.iter().map(|(_, resource)| serde_json::json!({"resource": resource})).collect();
    let bundle = serde_json::json!({"resourceType":"Bundle","type":"collection","entry":entries});
    let file = folder.join("all.json");
    std::fs::write(&file, serde_json::to_vec_pretty(&bundle).unwrap()).unwrap();
    let output = Command::new("python3")
        .arg(checker)
        .arg("--no-warnings")
        .arg(version.as_str())
        .arg(&file)
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    std::fs::remove_dir_all(&folder).unwrap();
    let named: Vec<String> = report.lines().take(60).map(|line| name_entry(line, resources)).collect();
    assert!(output.status.success(), "{}\n{}", named.join("\n"), String::from_utf8_lossy(&output.stderr));
}

/// Puts the name of the resource in place of `entry[n]`.
fn name_entry(line: &str, resources: &[(String, Value)]) -> String {
    let index = line
        .split("entry[")
        .nth(1)
        .and_then(|rest| rest.split(']').next())
        .and_then(|n| n.parse::<usize>().ok());
    match index.and_then(|index| resources.get(index)) {
        Some((name, _)) => format!("{name}: {}", line.split("entry[").nth(1).unwrap_or(line)),
        None => line.to_owned(),
    }
}
