//! Import: what goes in, what is refused and why, what a second time does.

use serde_json::{Value, json};

use crate::sample::{
    LATER, Sample, agency, bundle, databases, found, import, import_at, import_files, industry, matrix,
    organisation, public, write,
};

fn reasons(report: &fhir_store::import::Report) -> Vec<String> {
    report.refused.iter().map(|one| format!("{} {}: {}", one.file, one.resource, one.reason)).collect()
}

#[tokio::test]
async fn a_bundle_becomes_a_product_and_the_same_again_changes_nothing() {
    for td in databases().await {
        let db = td.database();
        let first = import(db, vec![Sample::new("600000000001", "Examplol").bundle()]).await;
        assert_eq!((first.imported, first.updated, first.unchanged), (6, 0, 0), "{:?}", first.refused);
        let before = fhir_store::find(db, "600000000001").await.unwrap().unwrap();
        assert_eq!(before.product.parts.len(), 5);
        assert_eq!(before.product.root["meta"]["versionId"], "1");
        assert_eq!(before.product.root["meta"]["lastUpdated"], "2026-03-01T12:00:00Z");
        assert_eq!(before.head.owners, ["ORG-100000001".parse().unwrap()]);

        let again = import_at(db, vec![Sample::new("600000000001", "Examplol").bundle()], LATER).await;
        assert_eq!((again.imported, again.updated, again.unchanged), (0, 0, 6));
        let after = fhir_store::find(db, "600000000001").await.unwrap().unwrap();
        assert_eq!(after.head, before.head);
        assert_eq!(after.product, before.product);
    }
}

#[tokio::test]
async fn only_what_changed_gets_a_new_version() {
    for td in databases().await {
        let db = td.database();
        import(db, vec![Sample::new("600000000001", "Examplol").bundle()]).await;
        let report = import_at(db, vec![Sample::new("600000000001", "Examplol forte").bundle()], LATER).await;
        assert_eq!((report.imported, report.updated, report.unchanged), (0, 1, 5));
        let stored = fhir_store::find(db, "600000000001").await.unwrap().unwrap();
        assert_eq!(stored.product.root["meta"]["versionId"], "2");
        assert_eq!((stored.head.version_id, stored.head.last_updated), (2, LATER));
        assert!(stored.product.parts.iter().all(|part| part["meta"]["versionId"] == "1"));
    }
}

#[tokio::test]
async fn versions_and_times_of_the_sender_are_not_taken_over() {
    for td in databases().await {
        let db = td.database();
        let mut resources = Sample::new("600000000001", "Examplol").resources();
        resources[0]["meta"] = json!({"versionId": "99", "lastUpdated": "2001-01-01T00:00:00Z", "profile": ["http://p.example/p"]});
        import(db, vec![bundle(&resources)]).await;
        let stored = fhir_store::find(db, "600000000001").await.unwrap().unwrap();
        assert_eq!(
            stored.product.root["meta"],
            json!({"versionId": "1", "lastUpdated": "2026-03-01T12:00:00Z", "profile": ["http://p.example/p"]})
        );
        resources[0]["meta"]["versionId"] = json!("100");
        let again = import(db, vec![bundle(&resources)]).await;
        assert_eq!(again.updated, 0);
    }
}

#[tokio::test]
async fn a_shared_organisation_is_stored_once_and_its_change_reaches_every_product() {
    for td in databases().await {
        let db = td.database();
        let two = ["600000000001", "600000000002"].map(|id| Sample::new(id, "Examplol").bundle());
        let report = import(db, two.to_vec()).await;
        assert_eq!((report.imported, report.unchanged), (11, 0));
        let revision =
            |id: &'static str| async move { fhir_store::find_head(db, id).await.unwrap().unwrap().revision };
        let before = (revision("600000000001").await, revision("600000000002").await);
        let mut renamed = Sample::new("600000000001", "Examplol").resources();
        renamed[5]["name"] = json!("Renamed");
        import(db, vec![bundle(&renamed)]).await;
        let after = (revision("600000000001").await, revision("600000000002").await);
        assert!(after.0 > before.0 && after.1 > before.1, "{before:?} {after:?}");
        let other = fhir_store::find(db, "600000000002").await.unwrap().unwrap();
        assert!(other.product.parts.iter().any(|part| part["name"] == "Renamed"));
    }
}

#[tokio::test]
async fn lines_far_apart_and_in_several_files_become_products() {
    let folder = tempfile::tempdir().unwrap();
    let mut lines: Vec<Value> = ["600000000001", "600000000002"]
        .iter()
        .flat_map(|id| Sample::new(id, "Examplol").resources())
        .collect();
    lines.reverse();
    let (roots, parts): (Vec<Value>, Vec<Value>) =
        lines.into_iter().partition(|line| line["resourceType"] == "MedicinalProductDefinition");
    let text = |lines: &[Value]| lines.iter().map(Value::to_string).collect::<Vec<_>>().join("\n\n");
    let paths = [
        write(folder.path(), "parts.ndjson", &text(&parts)),
        write(folder.path(), "roots.txt", &text(&roots)),
    ];
    for td in databases().await {
        let report = import_files(td.database(), &paths).await;
        assert_eq!(reasons(&report), Vec::<String>::new());
        assert_eq!(report.imported, 11);
        for id in ["600000000001", "600000000002"] {
            let stored = fhir_store::find(td.database(), id).await.unwrap().unwrap();
            assert_eq!(stored.product.parts.len(), 5, "{id}");
        }
        let again = import_files(td.database(), &paths).await;
        assert_eq!((again.imported, again.updated, again.unchanged), (0, 0, 11));
    }
}

#[tokio::test]
async fn a_part_alone_finds_its_product_in_the_store() {
    let folder = tempfile::tempdir().unwrap();
    for td in databases().await {
        let db = td.database();
        let resources = Sample::new("600000000001", "Examplol").resources();
        // Root and authorisation first; the pack, its item and the item's ingredient one by one, deepest first.
        import(db, vec![bundle(&[resources[0].clone(), resources[1].clone(), resources[5].clone()])]).await;
        let paths = [2, 4, 3].map(|n| write(folder.path(), &format!("{n}.json"), &resources[n].to_string()));
        let report = import_files(db, &paths).await;
        assert_eq!(reasons(&report), Vec::<String>::new());
        assert_eq!(report.imported, 3);
        let stored = fhir_store::find(db, "600000000001").await.unwrap().unwrap();
        assert_eq!(stored.product.parts.len(), 5);
    }
}

#[tokio::test]
async fn a_missing_part_that_comes_later_joins_the_products_that_miss_it() {
    for td in databases().await {
        let db = td.database();
        let resources = Sample::new("600000000001", "Examplol").resources();
        import(db, vec![bundle(&resources[..5])]).await;
        let before = fhir_store::find(db, "600000000001").await.unwrap().unwrap();
        assert_eq!(before.product.parts.len(), 4);
        let report = import(db, vec![bundle(&resources[5..])]).await;
        assert_eq!(reasons(&report), Vec::<String>::new());
        let after = fhir_store::find(db, "600000000001").await.unwrap().unwrap();
        assert_eq!(after.product.parts.len(), 5);
        assert!(after.head.revision > before.head.revision);
    }
}

#[tokio::test]
async fn refusals_say_what_and_where() {
    let folder = tempfile::tempdir().unwrap();
    let good = Sample::new("600000000001", "Examplol");
    let mut broken = good.resources();
    broken[2]["strenght"] = json!("5 mg");
    broken[4].as_object_mut().unwrap().remove("status");
    let lost = json!({"resourceType": "PackagedProductDefinition", "id": "lost", "packageFor": [{"reference": "MedicinalProductDefinition/nowhere"}]});
    let paths = [
        write(folder.path(), "broken.json", &bundle(&broken).to_string()),
        write(folder.path(), "syntax.json", "{\n  \"resourceType\": oops\n}"),
        write(folder.path(), "lines.ndjson", "{\"resourceType\": \"Patient\", \"id\": \"p\"}\nnot json\n"),
        write(folder.path(), "lost.json", &lost.to_string()),
        write(folder.path(), "alone.json", &organisation("ORG-100000009").to_string()),
        write(folder.path(), "noid.json", r#"{"resourceType": "Organization", "name": "X"}"#),
        write(folder.path(), "empty.json", ""),
        write(folder.path(), "page.xml", "<Bundle xmlns=\"http://hl7.org/fhir\"/>"),
        write(
            folder.path(),
            "twice.ndjson",
            "{\"resourceType\":\"Organization\",\"id\":\"o\",\"name\":\"A\"}\n{\"resourceType\":\"Organization\",\"id\":\"o\",\"name\":\"B\"}\n",
        ),
        folder.path().join("absent.json"),
    ];
    for td in databases().await {
        let report = import_files(td.database(), &paths).await;
        let all = reasons(&report).join("\n").replace(&folder.path().display().to_string(), "");
        for expected in [
            "broken.json Ingredient/600000000001-in:",
            "strenght",
            "broken.json ManufacturedItemDefinition/600000000001-mid:",
            "syntax.json : is not valid JSON: expected value at line 2, column 19",
            "lines.ndjson Patient/p: Patient is no resource type",
            "lines.ndjson line 2: is not valid JSON",
            "lost.json PackagedProductDefinition/lost: its product is neither in this import nor in the store: MedicinalProductDefinition/nowhere",
            "alone.json Organization/ORG-100000009: belongs to no product",
            "noid.json Organization: has no id",
            "empty.json : is empty",
            "page.xml : looks like XML",
            "twice.ndjson Organization/o: comes again at line 2",
            "absent.json : cannot be read",
        ] {
            assert!(all.contains(expected), "{expected}\n--\n{all}");
        }
        // What was sound of the broken file is stored all the same.
        assert_eq!(report.imported, 4, "{all}");
    }
}

#[tokio::test]
async fn a_refused_root_takes_its_parts_with_it_and_they_say_so() {
    for td in databases().await {
        let mut resources = Sample::new("600000000001", "Examplol").resources();
        resources[0].as_object_mut().unwrap().remove("name");
        let report = import(td.database(), vec![bundle(&resources)]).await;
        assert_eq!(report.imported, 0);
        let all = reasons(&report).join("\n");
        assert!(all.contains("RegulatedAuthorization/600000000001-ra: its product is neither in this import nor in the store: MedicinalProductDefinition/600000000001 (refused, see there)"), "{all}");
        assert_eq!(fhir_store::status(td.database()).await.unwrap().resources, 0);
    }
}

#[tokio::test]
async fn a_location_gives_its_products_an_owner_when_it_becomes_known() {
    for td in databases().await {
        let db = td.database();
        import(db, vec![Sample::new("600000000001", "Examplol").pending().held_by("LOC-100000777").bundle()])
            .await;
        let owner = industry("ORG-100000005");
        assert_eq!(found(db, &owner, &fhir_store::search::Query::default()).await, Vec::<String>::new());
        let known = [("LOC-100000777".parse().unwrap(), "ORG-100000005".parse().unwrap())];
        assert_eq!(fhir_store::locations::upsert(db, &matrix(), &known).await.unwrap(), 1);
        assert_eq!(fhir_store::locations::upsert(db, &matrix(), &known).await.unwrap(), 0);
        assert_eq!(found(db, &owner, &fhir_store::search::Query::default()).await, ["600000000001"]);
        assert_eq!(found(db, &public(), &fhir_store::search::Query::default()).await, Vec::<String>::new());
        let moved = [("LOC-100000777".parse().unwrap(), "ORG-100000006".parse().unwrap())];
        fhir_store::locations::upsert(db, &matrix(), &moved).await.unwrap();
        assert_eq!(found(db, &owner, &fhir_store::search::Query::default()).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn the_demo_catalogue_imports_without_a_refusal() {
    for td in databases().await {
        let report = import(td.database(), fhir_model::demo::bundles()).await;
        assert_eq!(reasons(&report), Vec::<String>::new());
        let status = fhir_store::status(td.database()).await.unwrap();
        assert!(status.products >= 40, "{status:?}");
        assert_eq!(u64::try_from(status.resources).unwrap(), report.imported);
        let seen = found(td.database(), &agency(), &fhir_store::search::Query::default()).await;
        assert_eq!(i64::try_from(seen.len()).unwrap(), status.products);
        let again = import(td.database(), fhir_model::demo::bundles()).await;
        assert_eq!((again.imported, again.updated), (0, 0));
        assert_eq!(again.unchanged, report.imported);
    }
}

#[tokio::test]
async fn a_new_matrix_has_every_product_looked_at_again() {
    for td in databases().await {
        let db = td.database();
        import(db, vec![Sample::new("600000000001", "Examplol").bundle()]).await;
        assert_eq!(fhir_store::ensure_current(db, &matrix()).await.unwrap(), 0);
        let text = format!("# another edition\n{}", fhir_model::access::DEFAULT_MATRIX);
        let other = fhir_model::access::AccessMatrix::parse(&text, "other").unwrap();
        if other.digest() == matrix().digest() {
            continue;
        }
        let before = fhir_store::find_head(db, "600000000001").await.unwrap().unwrap();
        assert_eq!(fhir_store::ensure_current(db, &other).await.unwrap(), 1);
        assert_eq!(fhir_store::ensure_current(db, &other).await.unwrap(), 0);
        let after = fhir_store::find_head(db, "600000000001").await.unwrap().unwrap();
        assert_eq!(after.revision, before.revision + 1);
        assert_eq!((after.gates, after.version_id), (before.gates, before.version_id));
    }
}

#[tokio::test]
async fn a_bundle_in_4_4_0_is_kept_in_5_0_0_with_its_links_turned_round() {
    let term = |list: &str, code: &str| json!({"coding": [{"system": format!("http://spor.ema.europa.eu/v1/lists/{list}"), "code": code}]});
    let old = [
        json!({
            "resourceType": "MedicinalProductDefinition", "id": "600000000001",
            "domain": term("100000000004", "100000000012"),
            "status": term("200000005003", "200000005004"),
            "productClassification": [term("100000093533", "100000095065")],
            "name": [{"productName": "Examplol", "namePart": [{"part": "Examplol", "type": term("220000000000", "220000000002")}]}],
            "packagedMedicinalProduct": [{"reference": "PackagedProductDefinition/600000000001-ppd"}],
        }),
        json!({
            "resourceType": "PackagedProductDefinition", "id": "600000000001-ppd",
            "subject": [{"reference": "MedicinalProductDefinition/600000000001"}],
            "package": [{"type": term("100000073346", "100000073498")}],
        }),
        json!({"resourceType": "ClinicalUseIssue", "id": "600000000001-cui", "type": "indication",
            "subject": [{"reference": "MedicinalProductDefinition/600000000001"}]}),
    ];
    for td in databases().await {
        let report = import(td.database(), vec![bundle(&old)]).await;
        assert_eq!(reasons(&report), Vec::<String>::new());
        let stored = fhir_store::find(td.database(), "600000000001").await.unwrap().unwrap().product;
        assert!(stored.root.get("classification").is_some() && stored.root["name"][0].get("part").is_some());
        let types: Vec<_> = stored.parts.iter().map(|part| part["resourceType"].as_str().unwrap()).collect();
        assert_eq!(types, ["ClinicalUseDefinition", "PackagedProductDefinition"]);
        assert_eq!(stored.parts[1]["packageFor"][0]["reference"], "MedicinalProductDefinition/600000000001");
        // What lacks a status in a Bundle of 5.0.0 is no 4.4.0: no status is made up for it.
        let mut new = Sample::new("600000000002", "Second").resources();
        new[4].as_object_mut().unwrap().remove("status");
        let report = import(td.database(), vec![bundle(&new)]).await;
        assert!(reasons(&report)[0].contains("ManufacturedItemDefinition.status"), "{:?}", reasons(&report));
    }
}

/// The files that lie beside a full checkout: every one imports, or says why not.
#[tokio::test]
async fn the_shared_sample_products_import_or_are_refused_with_a_reason() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/products");
    if !folder.is_dir() {
        println!("NOT CHECKED: {} is not there", folder.display());
        return;
    }
    let mut paths: Vec<_> = [folder.clone(), folder.join("fhir-4.4.0")]
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    paths.sort();
    for td in databases().await {
        let report = import_files(td.database(), &paths).await;
        for line in reasons(&report) {
            println!("{line}");
        }
        for note in &report.notes {
            println!("note: {} {}: {}", note.file, note.resource, note.text);
        }
        assert!(report.refused.iter().all(|one| one.reason.len() > 20), "{:?}", report.refused);
        let status = fhir_store::status(td.database()).await.unwrap();
        assert!(status.products >= 27, "{status:?} {:?}", reasons(&report));
        assert!(report.refused.len() <= 8, "{:?}", reasons(&report));
    }
}
