//! Versions: all are kept, and read back by number, time and page.

use fhir_model::{ResourceKey, ResourceType};
use time::{Duration, OffsetDateTime};

use crate::sample::{NOW, Sample, databases, import_at};

fn at(n: i64) -> OffsetDateTime {
    NOW + Duration::hours(n)
}

#[tokio::test]
async fn every_version_is_kept_and_read_back_newest_first() {
    for td in databases().await {
        let db = td.database();
        for n in 1..=4 {
            import_at(db, vec![Sample::new("600000000001", &format!("Name {n}")).bundle()], at(n)).await;
        }
        let key = ResourceKey::new(ResourceType::MedicinalProductDefinition, "600000000001");
        let second = fhir_store::find_version(db, &key, 2).await.unwrap().unwrap();
        assert_eq!(second.body["name"][0]["productName"], "Name 2");
        assert_eq!(second.body["meta"]["versionId"], "2");
        assert_eq!(second.last_updated, at(2));
        assert!(fhir_store::find_version(db, &key, 5).await.unwrap().is_none());

        let ids = |versions: &[fhir_store::StoredResource]| {
            versions.iter().map(|v| v.version_id).collect::<Vec<_>>()
        };
        let all = fhir_store::versions(db, &key, None, None, 10).await.unwrap();
        assert_eq!(ids(&all), [4, 3, 2, 1]);
        let page = fhir_store::versions(db, &key, None, Some(4), 2).await.unwrap();
        assert_eq!(ids(&page), [3, 2]);
        let since = fhir_store::versions(db, &key, Some(at(3)), None, 10).await.unwrap();
        assert_eq!(ids(&since), [4, 3]);
        assert_eq!(fhir_store::status(db).await.unwrap().versions, 6 + 3);
    }
}
