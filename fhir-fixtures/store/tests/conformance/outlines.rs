//! Outlines: what is kept about a root is what the whole product says, whatever was written to it.

use database::Database;
use fhir_model::{
    access::{self, Column, Outline, Targets},
    generate::{Generator, Seed},
    render,
};
use fhir_store::StoredRoot;
use serde_json::{Value, json};
use time::Duration;

use crate::{
    sample::{LATER, NOW, Sample, bundle, databases, import, import_at, matrix},
    tools::execute,
};

const ID: &str = "600000000001";

/// Compares what outlines show with what whole products show; answers how many of them were compared.
pub(crate) async fn compare(database: &Database) -> usize {
    let matrix = matrix();
    let ids = fhir_store::ids_by_steps(database, 1).await.unwrap();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let roots = fhir_store::find_roots(database, &ids).await.unwrap();
    assert_eq!(roots.len(), ids.len());
    let mut compared = 0;
    for found in roots {
        let StoredRoot { product_id, revision, outline, .. } = found.clone();
        let root = found.read().unwrap();
        let stored = fhir_store::find(database, &product_id).await.unwrap().unwrap();
        assert_eq!(revision, stored.head.revision);
        assert_eq!(root.to_string(), stored.product.root.to_string());
        // Who may know of none of the products that this one mentions, and who may know of all of them.
        let all = Targets { visible: stored.head.mentions.iter().cloned().collect() };
        let readers = [Targets::default(), all];
        for (column, reader) in
            Column::ALL.iter().flat_map(|column| readers.iter().map(|reader| (*column, reader)))
        {
            assert!(Outline::is_for(column, reader, &stored.head.mentions));
            let whole = access::filter(&matrix, column, &stored.facts, &stored.product, reader);
            let outline = Outline::read(&outline, &matrix).unwrap();
            let shown = outline.shown(column, reader, root.clone());
            assert_eq!(shown.is_some(), whole.is_some(), "{product_id} for {column}");
            let (Some(shown), Some(whole)) = (shown, whole) else { continue };
            assert_eq!(shown.root.to_string(), whole.product.root.to_string(), "{product_id} for {column}");
            let times = whole.product.resources().filter_map(|one| one["meta"]["lastUpdated"].as_str());
            let youngest = times.map(|time| format!("{}Z", &time[..19])).max();
            assert_eq!(shown.youngest, youngest, "{product_id} for {column}");
            let rendered = render::root_to_4_4_0(shown.root, &shown.links);
            let all = render::product_to_4_4_0(&whole.product);
            assert_eq!(rendered.to_string(), all.root.to_string(), "{product_id} for {column}");
            compared += 1;
        }
    }
    compared
}

/// A product with a document that everybody sees when it is of the right kind, and an activity that its owner sees.
pub(crate) fn product(kind: &str) -> Vec<Value> {
    let mut resources = Sample::new(ID, "Examplol").resources();
    resources[0]["attachedDocument"] = json!([{"reference": format!("DocumentReference/{ID}-doc")}]);
    resources[0]["operation"] = json!([{
        "type": {"reference": {"reference": format!("ActivityDefinition/{ID}-act")}},
        "confidentialityIndicator": {"text": "Not confidential"},
    }]);
    resources.extend([
        json!({
            "resourceType": "DocumentReference", "id": format!("{ID}-doc"), "status": "current",
            "type": {"text": kind}, "content": [{"attachment": {"url": "https://documents.example/1"}}],
        }),
        json!({
            "resourceType": "ActivityDefinition", "id": format!("{ID}-act"), "status": "active",
            "code": {"text": "Packing"},
        }),
    ]);
    resources
}

/// Whether a column sees the document in the root, by the outline, and when the youngest that it sees was stored.
pub(crate) async fn seen_by(database: &Database, column: Column) -> (bool, String) {
    let root = fhir_store::find_roots(database, &[ID]).await.unwrap().remove(0);
    let outline = Outline::read(&root.outline, &matrix()).unwrap();
    let shown = outline.shown(column, &Targets::default(), root.read().unwrap()).unwrap();
    (shown.root.get("attachedDocument").is_some(), shown.youngest.unwrap())
}

#[tokio::test]
async fn every_root_is_shown_as_the_whole_product_shows_it_on_every_database() {
    let generator = Generator::new(Seed::try_from(11).unwrap());
    for td in databases().await {
        let database = td.database();
        import(database, fhir_model::demo::bundles()).await;
        import(database, (396..420).map(|number| generator.bundle(number)).collect()).await;
        // Once more, one by one, and some of it with other content.
        let mut again = fhir_model::demo::bundles();
        for entry in again[0]["entry"].as_array_mut().unwrap() {
            entry["resource"]["language"] = "en".into();
        }
        import_at(database, again, LATER).await;
        let compared = compare(database).await;
        assert!(compared > 600, "{compared}");
    }
}

#[tokio::test]
async fn what_changes_beside_a_root_changes_its_outline() {
    for td in databases().await {
        let database = td.database();
        let text = |at| fhir_store::instant_text(at);
        import(database, vec![bundle(&product("Package leaflet"))]).await;
        assert_eq!(seen_by(database, Column::Public).await, (true, text(NOW)));
        // A part alone.
        import_at(database, vec![bundle(&product("Report")[6..7])], LATER).await;
        assert_eq!(seen_by(database, Column::Public).await, (false, text(NOW)));
        // All of it again: only the part is new.
        let later = LATER + Duration::HOUR;
        import_at(database, vec![bundle(&product("Package leaflet"))], later).await;
        assert_eq!(seen_by(database, Column::Public).await, (true, text(later)));
        // Something shared, with another product.
        let later = LATER + Duration::DAY;
        let mut other = Sample::new("600000000002", "Beside").resources();
        other[5]["name"] = "Renamed".into();
        import_at(database, vec![bundle(&other)], later).await;
        assert_eq!(seen_by(database, Column::Public).await, (true, text(later)));
        compare(database).await;
        let verified = fhir_store::verify::verify(database, &matrix(), false, &mut |_, _| ()).await.unwrap();
        assert_eq!(verified.faults, []);
    }
}

#[tokio::test]
async fn roots_without_an_outline_are_left_out() {
    for td in databases().await {
        let database = td.database();
        import(database, vec![Sample::new(ID, "Examplol").bundle()]).await;
        let mut found = fhir_store::find_roots(database, &[ID, "600000000009"]).await.unwrap();
        assert_eq!(found.len(), 1);
        let root = Value::from(found.remove(0).read().unwrap());
        assert_eq!(root["name"][0]["productName"], "Examplol");
        assert!(fhir_store::find_roots(database, &[]).await.unwrap().is_empty());
        // As between a migration and the first start after it.
        execute(database, "DELETE FROM product_outlines").await;
        assert!(fhir_store::find_roots(database, &[ID]).await.unwrap().is_empty());
    }
}
