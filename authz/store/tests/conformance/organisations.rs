//! Organisations and locations.

use authz_domain::OrganisationCategory;
use authz_store::organisations::{self, Upserted};

use crate::{NOW, on_each, organisation, work};

#[tokio::test]
async fn an_organisation_is_imported_then_unchanged_then_updated() {
    on_each(|database| async move {
        let mut work = work(&database).await;
        let mut db = work.db();
        let first = organisation("ORG-100000001", &["LOC-100000001", "LOC-100000002"]);
        assert_eq!(organisations::upsert(&mut db, &first, NOW).await.unwrap(), Upserted::Imported);
        assert_eq!(organisations::upsert(&mut db, &first, NOW).await.unwrap(), Upserted::Unchanged);
        let mut moved = organisation("ORG-100000001", &["LOC-100000002", "LOC-100000003"]);
        moved.name = "Fable Pharma B.V.".to_owned();
        moved.category = OrganisationCategory::Authority;
        assert_eq!(organisations::upsert(&mut db, &moved, NOW).await.unwrap(), Upserted::Updated);
        assert_eq!(organisations::find(&mut db, &moved.id).await.unwrap(), Some(moved.clone()));
        assert_eq!(
            organisations::category(&mut db, &moved.id).await.unwrap(),
            Some(OrganisationCategory::Authority)
        );
        assert_eq!(organisations::category(&mut db, &"ORG-999999999".parse().unwrap()).await.unwrap(), None);
        work.commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_location_belongs_to_one_organisation() {
    on_each(|database| async move {
        let (one, other) = (
            organisation("ORG-100000001", &["LOC-100000001"]),
            organisation("ORG-100000002", &["LOC-100000002"]),
        );
        let mut work = work(&database).await;
        organisations::upsert(&mut work.db(), &one, NOW).await.unwrap();
        organisations::upsert(&mut work.db(), &other, NOW).await.unwrap();
        let claimed =
            organisations::claimed_by_others(&mut work.db(), &other.id, &one.locations).await.unwrap();
        assert_eq!(claimed, Some((one.locations[0].id.clone(), "ORG-100000001".to_owned())));
        let free = organisations::claimed_by_others(&mut work.db(), &one.id, &one.locations).await.unwrap();
        assert_eq!(free, None);
        work.commit().await.unwrap();
        assert_eq!(
            organisations::list(&mut database.read().await.unwrap().db()).await.unwrap(),
            [one, other]
        );
    })
    .await;
}

#[tokio::test]
async fn what_is_not_committed_did_not_happen() {
    on_each(|database| async move {
        let mut work = work(&database).await;
        organisations::upsert(&mut work.db(), &organisation("ORG-100000001", &[]), NOW).await.unwrap();
        work.rollback().await.unwrap();
        assert_eq!(organisations::list(&mut database.read().await.unwrap().db()).await.unwrap(), []);
    })
    .await;
}
