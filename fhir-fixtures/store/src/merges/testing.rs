//! Outcomes for tests of what is told of a merge: any product's, also of one that no merge could make.

use database::Database;
use fhir_model::{Product, access::Viewer, resource_key};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::{AppliedResource, Limits, Outcome, Submission, rows};
use crate::StoreError;

/// Keeps the outcome of a merge that has touched all resources of a stored product, in their first versions.
///
/// # Errors
/// When the database fails.
pub async fn keep_applied(
    database: &Database,
    (merge_id, client_id, viewer): (&str, &str, &Viewer),
    product: &Product,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let id = product.root.get("id").and_then(Value::as_str).unwrap_or_default();
    let resources = product.resources().filter_map(resource_key).enumerate();
    let outcome = Outcome::Applied {
        product_id: id.to_owned(),
        resources: resources.map(|(entry, key)| AppliedResource::new(entry, &key, 1, false)).collect(),
        told: None,
    };
    let submission = Submission {
        merge_id,
        client_id,
        viewer,
        bundle: &json!({}),
        request_digest: "",
        idempotency_key: None,
    };
    let limits = Limits {
        waiting_per_client: i64::MAX,
        waiting: i64::MAX,
        key_lifetime: Duration::DAY,
        outcome_lifetime: Duration::DAY,
    };
    let mut work = database.begin().await?;
    let mut db = work.db();
    let place = rows::next_place(&mut db).await?;
    rows::insert(&mut db, &submission, place, id, None, &limits, now).await?;
    rows::finish(&mut db, merge_id, &outcome, now + Duration::DAY, now).await?;
    work.commit().await?;
    Ok(())
}
