//! What a merge may touch and draw in, as far as the database knows: who else has a resource, and who may use it.

use std::collections::BTreeSet;

use database::{Db, on_db};
use fhir_model::{Product, ResourceKey, ResourceType};
use pms_terms::Stakeholder;
use serde_json::Value;
use sqlx::AssertSqlSafe;

use crate::{
    Audience, StoreError, resources,
    statement::{Statement, bound},
};

/// How many keys go into one statement.
const BATCH: usize = 200;

/// Those of `keys` that exist and that `audience` may link to: organisations, which everybody may know; substances and
/// persons of its own products, as linking to another's would show what is kept there.
pub(super) async fn usable(
    db: &mut Db<'_>,
    audience: &Audience,
    keys: BTreeSet<ResourceKey>,
) -> Result<BTreeSet<ResourceKey>, StoreError> {
    let is_agency = audience.viewer().stakeholder == Stakeholder::Ema;
    let (open, bound_ones): (Vec<ResourceKey>, Vec<ResourceKey>) =
        keys.into_iter().partition(|key| is_agency || key.resource_type == ResourceType::Organization);
    let exists = Statement::new(
        "SELECT resource_type, resource_id FROM resources WHERE (resource_type, resource_id) IN (VALUES ",
    );
    let mut usable = those(db, &exists, &open).await?;
    if let Some(organisation) = audience.organisation() {
        let mut owned = Statement::new(
            "SELECT DISTINCT m.resource_type, m.resource_id FROM product_owners o
             JOIN product_members m ON m.product_id = o.product_id
             WHERE m.present AND o.organisation = ",
        );
        owned.text(organisation.as_str()).push(" AND (m.resource_type, m.resource_id) IN (VALUES ");
        usable.extend(those(db, &owned, &bound_ones).await?);
    }
    Ok(usable)
}

/// The organisations among these.
pub(super) async fn organisations(
    db: &mut Db<'_>,
    keys: &BTreeSet<ResourceKey>,
) -> Result<Vec<Value>, StoreError> {
    let organisations = keys.iter().filter(|key| key.resource_type == ResourceType::Organization);
    let found = resources::current(db, &organisations.cloned().collect::<Vec<_>>()).await?;
    Ok(found.into_iter().map(|stored| stored.body).collect())
}

/// The resources of a product that could be written and that belong to another product, too.
pub(super) async fn shared(db: &mut Db<'_>, product: &Product) -> Result<BTreeSet<ResourceKey>, StoreError> {
    let written = |key: &ResourceKey| {
        matches!(
            key.resource_type,
            ResourceType::PackagedProductDefinition
                | ResourceType::ActivityDefinition
                | ResourceType::RegulatedAuthorization
        )
    };
    let keys: Vec<ResourceKey> =
        product.resources().filter_map(fhir_model::resource_key).filter(written).collect();
    let mut elsewhere = Statement::new(
        "SELECT DISTINCT resource_type, resource_id FROM product_members WHERE present AND product_id <> ",
    );
    elsewhere.text(product.id()).push(" AND (resource_type, resource_id) IN (VALUES ");
    those(db, &elsewhere, &keys).await
}

/// Runs a statement that ends before a list of keys.
async fn those(
    db: &mut Db<'_>,
    before: &Statement,
    keys: &[ResourceKey],
) -> Result<BTreeSet<ResourceKey>, StoreError> {
    let mut found = BTreeSet::new();
    for batch in keys.chunks(BATCH) {
        let mut statement = before.clone();
        statement.keys(batch).push(")");
        let rows = on_db!(db, conn => bound!(
            sqlx::query_as::<_, (String, String)>(AssertSqlSafe(statement.sql.clone())), statement
        ).fetch_all(conn).await)?;
        for (resource_type, id) in rows {
            found.insert(resources::stored_key(&resource_type, id)?);
        }
    }
    Ok(found)
}
