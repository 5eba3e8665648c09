//! Data tools: what was exported comes back the same, and what is damaged is named.

use std::sync::LazyLock;

use database::{Database, Db, on_db};
use fhir_model::generate::{Generator, Seed};
use fhir_store::{
    export::{Exported, Selection},
    verify::{FaultKind, Verified},
};
use serde_json::{Value, json};

use crate::sample::{LATER, Sample, bundle, databases, import, import_at, import_files, matrix, write};

async fn export(database: &Database, selection: &Selection) -> (Exported, String) {
    let mut text = String::new();
    let mut write = |line: &str| {
        text.push_str(line);
        Ok(())
    };
    let base = "https://export.example/fhir";
    let exported =
        fhir_store::export::export(database, selection, base, &mut write, &mut |_, _| ()).await.unwrap();
    (exported, text)
}

async fn verify(database: &Database, repair: bool) -> Verified {
    fhir_store::verify::verify(database, &matrix(), repair, &mut |_, _| ()).await.unwrap()
}

fn generated(numbers: std::ops::Range<u32>) -> Vec<Value> {
    static GENERATOR: LazyLock<Generator> = LazyLock::new(|| Generator::new(Seed::try_from(5).unwrap()));
    numbers.map(|number| GENERATOR.bundle(number)).collect()
}

pub(crate) async fn execute(database: &Database, sql: &'static str) {
    let mut work = database.begin().await.unwrap();
    let mut db: Db<'_> = work.db();
    let rows = on_db!(&mut db, conn => sqlx::query(sql).execute(conn).await.unwrap().rows_affected());
    assert!(rows > 0, "{sql}");
    work.commit().await.unwrap();
}

#[tokio::test]
async fn what_was_exported_comes_back_the_same() {
    for history in [false, true] {
        let (from, to) = (databases().await, databases().await);
        for (from, to) in from.iter().zip(&to) {
            let (from, to) = (from.database(), to.database());
            // With histories of their own, and one that grew here; the demo's warts, too.
            import(from, generated(398..416)).await;
            import(from, fhir_model::demo::bundles()).await;
            import(from, vec![Sample::new("600000000001", "Examplol").bundle()]).await;
            import_at(from, vec![Sample::new("600000000001", "Examplol forte").bundle()], LATER).await;
            let selection = Selection { history, ..Selection::default() };
            let (exported, text) = export(from, &selection).await;
            let status = fhir_store::status(from).await.unwrap();
            assert_eq!(i64::try_from(exported.products).unwrap(), status.products);
            let written = if history { status.versions } else { status.resources };
            assert_eq!(i64::try_from(exported.resources).unwrap(), written);

            let folder = tempfile::tempdir().unwrap();
            let file = write(folder.path(), "export.ndjson", &text);
            let report = import_files(to, std::slice::from_ref(&file)).await;
            assert_eq!(report.refused, []);
            let (_, again) = export(to, &selection).await;
            assert!(again == text, "history: {history}");
            assert_eq!(fhir_store::status(to).await.unwrap().resources, status.resources);
            if history {
                assert_eq!(fhir_store::status(to).await.unwrap().versions, status.versions);
            }
            let second = import_files(to, &[file]).await;
            assert_eq!((second.imported, second.updated), (0, 0), "{:?}", second.refused);
        }
    }
}

#[tokio::test]
async fn one_holder_s_products_are_exported_alone() {
    for td in databases().await {
        let db = td.database();
        import(db, vec![Sample::new("600000000001", "A").bundle()]).await;
        import(db, vec![Sample::new("600000000002", "B").held_by("ORG-100000002").bundle()]).await;
        let organisation = Some("ORG-100000002".parse().unwrap());
        let (exported, text) = export(db, &Selection { organisation, history: false }).await;
        assert_eq!((exported.products, text.lines().count()), (1, 1));
        assert!(text.contains("600000000002") && !text.contains("600000000001"));
    }
}

#[tokio::test]
async fn a_history_is_taken_with_its_versions_and_times_and_only_into_a_store_without_it() {
    let organisation = |name: &str, version: u8| {
        json!({"resource": {"resourceType": "MedicinalProductDefinition", "id": "600000000009", "name": [{"productName": name}],
            "meta": {"versionId": version.to_string(), "lastUpdated": format!("2020-01-0{version}T00:00:00Z")}}})
    };
    let history = |names: &[&str]| {
        let entries: Vec<Value> =
            (1..).zip(names).map(|(version, name)| organisation(name, version)).collect();
        json!({"resourceType": "Bundle", "type": "history", "entry": entries})
    };
    for td in databases().await {
        let db = td.database();
        let report = import(db, vec![history(&["A", "B", "C"])]).await;
        assert_eq!((report.imported, report.refused.len()), (1, 0), "{:?}", report.refused);
        let head = fhir_store::find_head(db, "600000000009").await.unwrap().unwrap();
        assert_eq!(
            (head.version_id, fhir_store::instant_text(head.last_updated)),
            (3, "2020-01-03T00:00:00Z".into())
        );
        let same = import(db, vec![history(&["A", "B", "C"])]).await;
        assert_eq!((same.unchanged, same.refused.len()), (1, 0));
        let other = import(db, vec![history(&["A", "B", "C", "D"])]).await;
        assert!(other.refused[0].reason.contains("history"), "{:?}", other.refused);
        assert_eq!(verify(db, false).await.faults, []);
    }
}

#[tokio::test]
async fn a_part_is_not_moved_to_another_product() {
    for td in databases().await {
        let db = td.database();
        import(db, vec![Sample::new("600000000001", "Examplol").bundle()]).await;
        let before = fhir_store::find(db, "600000000001").await.unwrap().unwrap();
        let mut thief = Sample::new("600000000002", "Thief").resources();
        let mut stolen = Sample::new("600000000001", "Examplol").resources();
        let authorisation =
            stolen.iter_mut().find(|one| one["resourceType"] == "RegulatedAuthorization").unwrap();
        authorisation["subject"] = json!([{"reference": "MedicinalProductDefinition/600000000002"}]);
        let name = format!("RegulatedAuthorization/{}", authorisation["id"].as_str().unwrap());
        thief.push(authorisation.clone());
        let report = import_at(db, vec![bundle(&thief)], LATER).await;
        assert_eq!(report.refused.len(), 1, "{:?}", report.refused);
        assert_eq!(report.refused[0].resource, name);
        assert!(report.refused[0].reason.contains("MedicinalProductDefinition/600000000001"));
        let after = fhir_store::find(db, "600000000001").await.unwrap().unwrap();
        assert_eq!(after.product, before.product);
        // And alone, without the other product's record.
        let report = import_at(db, vec![bundle(&thief[thief.len() - 1..])], LATER).await;
        assert_eq!((report.updated, report.refused.len()), (0, 1), "{:?}", report.refused);
        assert_eq!(verify(db, false).await.faults, []);
    }
}

#[tokio::test]
async fn many_products_at_once_are_stored_as_if_one_after_the_other() {
    let bundles: Vec<Value> = generated(398..430).into_iter().chain(generated(394..400)).collect();
    for td in databases().await {
        let (at_once, one_by_one) = (td.database(), databases().await);
        let other = one_by_one.iter().find(|other| other.kind() == td.kind()).unwrap().database();
        let report = import(at_once, bundles.clone()).await;
        assert_eq!(report.refused, []);
        for one in &bundles {
            assert_eq!(import(other, vec![one.clone()]).await.refused, []);
        }
        assert_eq!(verify(at_once, false).await, verify(other, false).await);
        let everything = Selection { history: true, ..Selection::default() };
        assert!(export(at_once, &everything).await == export(other, &everything).await);
        let status = fhir_store::status(at_once).await.unwrap();
        let again = import(at_once, bundles.clone()).await;
        assert_eq!((again.imported, again.updated), (0, 0), "{:?}", again.refused);
        assert_eq!(fhir_store::status(at_once).await.unwrap(), status);
    }
}

#[tokio::test]
async fn the_demo_and_generated_products_have_no_fault() {
    for td in databases().await {
        import(td.database(), fhir_model::demo::bundles()).await;
        import(td.database(), generated(0..8)).await;
        let verified = verify(td.database(), false).await;
        assert_eq!(verified.faults, []);
        assert_eq!(
            i64::try_from(verified.products).unwrap(),
            fhir_store::status(td.database()).await.unwrap().products
        );
    }
}

#[tokio::test]
async fn every_kind_of_damage_is_named_and_derived_rows_are_mended() {
    use FaultKind::{Audience, Body, Head, Index, Link, Outline, Versions};
    let product = "MedicinalProductDefinition/600000000001";
    let damages: [(&str, FaultKind, &str, bool); 15] = [
        (
            "DELETE FROM resource_versions WHERE resource_id = '600000000001' AND version_id = 1",
            Versions,
            product,
            false,
        ),
        (
            "UPDATE resource_versions SET last_updated = 1 WHERE resource_id = '600000000001' AND version_id = 2",
            Versions,
            product,
            false,
        ),
        ("UPDATE resources SET version_id = 1 WHERE resource_id = '600000000001'", Versions, product, false),
        (
            "UPDATE resource_versions SET body = '{' WHERE resource_id = '600000000001' AND version_id = 2",
            Body,
            product,
            false,
        ),
        (
            "UPDATE resource_versions SET body = '{\"resourceType\":\"Organization\",\"id\":\"x\"}' WHERE resource_id = '600000000001' AND version_id = 2",
            Body,
            product,
            false,
        ),
        ("UPDATE products SET version_id = 9 WHERE product_id = '600000000001'", Head, product, true),
        ("UPDATE products SET gates = 0 WHERE product_id = '600000000001'", Audience, product, true),
        ("DELETE FROM product_owners WHERE product_id = '600000000001'", Audience, product, true),
        (
            "UPDATE search_tokens SET seen_by = 4095 WHERE product_id = '600000000001' AND parameter = 'identifier'",
            Index,
            product,
            true,
        ),
        ("DELETE FROM search_strings WHERE product_id = '600000000001'", Index, product, true),
        (
            "INSERT INTO search_tokens (product_id, parameter, code, system, seen_by) VALUES ('7', 'status', 'x', '', 63)",
            Index,
            "MedicinalProductDefinition/7",
            true,
        ),
        (
            "UPDATE product_outlines SET outline = '{}' WHERE product_id = '600000000001'",
            Outline,
            product,
            true,
        ),
        ("DELETE FROM product_outlines WHERE product_id = '600000000001'", Outline, product, true),
        (
            "INSERT INTO product_outlines (product_id, outline) VALUES ('7', '{}')",
            Index,
            "MedicinalProductDefinition/7",
            true,
        ),
        (
            "DELETE FROM product_members WHERE product_id = '600000000001' AND resource_type = 'RegulatedAuthorization'",
            Link,
            "RegulatedAuthorization/600000000001-ra",
            true,
        ),
    ];
    for (damage, kind, resource, mends) in damages {
        for td in databases().await {
            let db = td.database();
            import(db, vec![Sample::new("600000000001", "Examplol").bundle()]).await;
            import_at(db, vec![Sample::new("600000000001", "Examplol forte").bundle()], LATER).await;
            import(db, vec![Sample::new("600000000002", "Beside").bundle()]).await;
            assert_eq!(verify(db, false).await.faults, []);
            execute(db, damage).await;
            let found = verify(db, true).await;
            assert!(
                found.faults.iter().any(|fault| fault.kind == kind && fault.resource == resource),
                "{damage}: {:?}",
                found.faults
            );
            assert!(
                found.faults.iter().all(|fault| !fault.resource.contains("600000000002")),
                "{:?}",
                found.faults
            );
            let left = verify(db, false).await.faults;
            assert_eq!(left.is_empty(), mends, "{damage}: {left:?}");
        }
    }
}
