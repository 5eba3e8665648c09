//! A killed import: the database opens, each resource is fully there or absent, and doing it again finishes it.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use database::{Database, testing::TestDatabase};
use serde_json::Value;

use crate::sample::{NOW, Sample, import, matrix, write};

const URL: &str = "PMSGATE_TEST_CRASH_URL";
const FILE: &str = "PMSGATE_TEST_CRASH_FILE";
const PRODUCTS: usize = 1000;

/// In the child: imports, saying after each product how far it is, until it is killed.
async fn child(url: &str) {
    let database = Database::connect(url, 2).await.unwrap();
    let paths = [std::env::var(FILE).unwrap().into()];
    let mut progress = |at: fhir_store::import::Progress<'_>| println!("\nimported {}", at.resources);
    fhir_store::import::files(&database, &matrix(), &paths, &|| NOW, &mut progress).await.unwrap();
    println!("\nfinished");
}

#[tokio::test]
async fn a_killed_import_leaves_each_product_whole_or_absent() {
    if let Ok(url) = std::env::var(URL) {
        child(&url).await;
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let bundles: Vec<Value> = (0..PRODUCTS)
        .map(|n| Sample::new(&format!("6000{n:08}"), &format!("Examplol {n}")).bundle())
        .collect();
    let lines = bundles.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    let file = write(folder.path(), "many.ndjson", &lines);
    let td = TestDatabase::sqlite().await;
    fhir_store::migrate(td.database(), NOW).await.unwrap();
    for kill_after in [1, 300, 550, 900] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::a_killed_import_leaves_each_product_whole_or_absent", "--nocapture"])
            .env(URL, td.url())
            .env(FILE, &file)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let reached = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok)
            .filter(|line| line.starts_with("imported "))
            .take(kill_after)
            .count();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(reached, kill_after);
        whole(td.database()).await;
    }
    let before = fhir_store::status(td.database()).await.unwrap();
    assert!(before.products > 0 && before.products < i64::try_from(PRODUCTS).unwrap(), "{before:?}");
    let report = import(td.database(), bundles).await;
    assert_eq!(report.updated, 0);
    assert_eq!(i64::try_from(report.unchanged).unwrap(), before.resources);
    let after = fhir_store::status(td.database()).await.unwrap();
    assert_eq!(after.products, i64::try_from(PRODUCTS).unwrap());
    assert_eq!((after.resources, after.versions), (5 * after.products + 1, 5 * after.products + 1));
    whole(td.database()).await;
}

/// Every product has all its resources, each resource a version, and nothing stands without a product.
async fn whole(database: &Database) {
    let status = fhir_store::status(database).await.unwrap();
    let shared = i64::from(status.products > 0);
    assert_eq!(
        (status.resources, status.versions),
        (5 * status.products + shared, 5 * status.products + shared)
    );
    for change in fhir_store::changes_after(database, 0, 10_000).await.unwrap() {
        let stored = fhir_store::find(database, &change.product_id).await.unwrap().unwrap();
        assert_eq!(stored.product.parts.len(), 5, "{}", change.product_id);
        assert_eq!(stored.head.owners.len(), 1);
    }
}
