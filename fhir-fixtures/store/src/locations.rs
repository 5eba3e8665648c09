//! Locations of organisations (OMS): who holds an authorisation that names a location only.

use std::collections::BTreeSet;

use database::{Database, on_db};
use fhir_model::access::AccessMatrix;
use pms_terms::{LocationId, OrganisationId};

use crate::{StoreError, index};

/// How many locations or products one unit of work takes.
const BATCH: usize = 200;

/// Learns which organisation each location belongs to, and decides anew about the products whose owners that
/// changes. Answers how many products were looked at again.
///
/// # Errors
/// When the database fails; locations and products up to there are then done, and doing it all again is harmless.
pub async fn upsert(
    database: &Database,
    matrix: &AccessMatrix,
    locations: &[(LocationId, OrganisationId)],
) -> Result<usize, StoreError> {
    let mut looked_at = 0;
    for batch in locations.chunks(BATCH) {
        let mut work = database.begin().await?;
        let mut db = work.db();
        index::lock(&mut db).await?;
        let mut products = BTreeSet::new();
        for (location, organisation) in batch {
            let changed = on_db!(&mut db, conn => sqlx::query(
                "INSERT INTO locations (location_id, organisation) VALUES ($1, $2)
                 ON CONFLICT (location_id) DO UPDATE SET organisation = excluded.organisation
                     WHERE locations.organisation <> excluded.organisation"
            ).bind(location.as_str()).bind(organisation.as_str()).execute(conn).await.map(|done| done.rows_affected()))?;
            if changed > 0 {
                products.extend(on_db!(&mut db, conn => sqlx::query_scalar::<_, String>(
                    "SELECT product_id FROM product_locations WHERE location_id = $1"
                ).bind(location.as_str()).fetch_all(conn).await)?);
            }
        }
        for product_id in &products {
            index::look_again(&mut db, matrix, product_id).await?;
        }
        looked_at += products.len();
        work.commit().await?;
    }
    Ok(looked_at)
}
