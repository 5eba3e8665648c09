//! The order of changes: every changed product stands in it once, after everything older.

use crate::sample::{LATER, Sample, databases, import, import_at};

#[tokio::test]
async fn a_change_moves_its_product_to_the_end_of_the_feed() {
    for td in databases().await {
        let db = td.database();
        assert_eq!(fhir_store::latest_change(db).await.unwrap(), 0);
        import(
            db,
            vec![Sample::new("600000000001", "A").bundle(), Sample::new("600000000002", "B").bundle()],
        )
        .await;
        let ids = |changes: Vec<fhir_store::ProductChange>| {
            changes.into_iter().map(|one| one.product_id).collect::<Vec<_>>()
        };
        assert_eq!(
            ids(fhir_store::changes_after(db, 0, 10).await.unwrap()),
            ["600000000001", "600000000002"]
        );
        let seen = fhir_store::latest_change(db).await.unwrap();
        assert_eq!(ids(fhir_store::changes_after(db, seen, 10).await.unwrap()), Vec::<String>::new());
        import_at(db, vec![Sample::new("600000000001", "A2").bundle()], LATER).await;
        assert_eq!(ids(fhir_store::changes_after(db, seen, 10).await.unwrap()), ["600000000001"]);
        assert_eq!(ids(fhir_store::changes_after(db, 0, 1).await.unwrap()), ["600000000002"]);
    }
}
