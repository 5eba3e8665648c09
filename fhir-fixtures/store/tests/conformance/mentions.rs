//! Other products that a product mentions: which of them an audience may know of, whatever was stored when.

use std::collections::BTreeSet;

use pms_terms::Domains;
use serde_json::json;

use crate::sample::{
    LATER, Sample, agency, authority, bundle, databases, import, import_at, industry, public,
};

const MENTIONED: [&str; 4] = ["600000000002", "600000000003", "600000000004", "600000000009"];

#[tokio::test]
async fn a_product_lists_what_it_mentions_and_each_audience_knows_its_own_part_of_it() {
    for td in databases().await {
        let db = td.database();
        let mut resources = Sample::new("600000000001", "A").resources();
        resources[0]["crossReference"] = MENTIONED
            .iter()
            .map(|id| json!({"product": {"reference": {"reference": format!("MedicinalProductDefinition/{id}")}}}))
            .collect();
        import(db, vec![bundle(&resources)]).await;
        import(
            db,
            vec![
                Sample::new("600000000002", "B").bundle(),
                Sample::new("600000000003", "C").pending().held_by("ORG-100000009").bundle(),
                Sample::new("600000000004", "D").veterinary().bundle(),
            ],
        )
        .await;
        let head = fhir_store::find_head(db, "600000000001").await.unwrap().unwrap();
        assert_eq!(head.mentions, MENTIONED);
        let revision = head.revision;
        let known = async |audience: &fhir_store::Audience| {
            fhir_store::known_to(db, audience, &MENTIONED).await.unwrap().visible
        };
        let set = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<String>>();
        assert_eq!(known(&public()).await, set(&["600000000002"]));
        assert_eq!(known(&industry("ORG-100000008")).await, set(&["600000000002"]));
        assert_eq!(known(&industry("ORG-100000009")).await, set(&["600000000002", "600000000003"]));
        assert_eq!(known(&authority(Domains::HUMAN)).await, set(&["600000000002", "600000000003"]));
        assert_eq!(known(&authority(Domains::VETERINARY)).await, set(&["600000000004"]));
        assert_eq!(known(&agency()).await, set(&["600000000002", "600000000003", "600000000004"]));
        assert_eq!(fhir_store::find_heads(db, &MENTIONED).await.unwrap().len(), 3);
        assert_eq!(fhir_store::known_to(db, &agency(), &[]).await.unwrap().visible, set(&[]));

        // A changed gate is known at once, and nothing was written for the product that mentions it.
        let valid = Sample::new("600000000003", "C").held_by("ORG-100000009").bundle();
        import_at(db, vec![valid], LATER).await;
        assert_eq!(known(&public()).await, set(&["600000000002", "600000000003"]));
        assert_eq!(fhir_store::find_head(db, "600000000001").await.unwrap().unwrap().revision, revision);
        // A product that stops to mention others lists none.
        import_at(db, vec![Sample::new("600000000001", "A").bundle()], LATER).await;
        let head = fhir_store::find_head(db, "600000000001").await.unwrap().unwrap();
        assert_eq!(head.mentions, Vec::<String>::new());
    }
}
