//! Products written out as NDJSON, one Bundle a line, as an import reads them.

use std::collections::{BTreeMap, HashSet};

use database::{Database, Db, on_db};
use fhir_model::{ResourceKey, ResourceType};
use pms_terms::OrganisationId;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::{
    StoreError,
    compartment::stands_in_several,
    products,
    resources::{self, StoredResource, unstamp},
    statement::{Statement, bound},
};

/// How many products are read by their ids at once.
const BATCH: i64 = 500;

/// How many keys go into one statement.
const KEYS: usize = 200;

/// What is written out.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only products of this holder.
    pub organisation: Option<OrganisationId>,
    /// With all versions, their numbers and times: Bundles of type history. Without, the current resources alone, and
    /// no number or time, which are the store's.
    pub history: bool,
}

/// How many were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Exported {
    /// Products: lines.
    pub products: u64,
    /// Resources; versions of them in a history.
    pub resources: u64,
}

/// A failed export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was written could not be taken.
    #[error("the export could not be written")]
    Write(#[from] std::io::Error),
}

/// Writes products out in the order of their ids, a line for each. What several products share stands in the first
/// Bundle that needs it. `base` stands before `Type/id` in each fullUrl; `progress` is told how many products were
/// written, and of how many.
pub async fn export(
    database: &Database,
    selection: &Selection,
    base: &str,
    write: &mut (dyn FnMut(&str) -> std::io::Result<()> + Send),
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<Exported, ExportError> {
    let owner = selection.organisation.as_ref();
    let total = {
        let mut reader = database.read().await.map_err(StoreError::from)?;
        products::count_of(&mut reader.db(), owner).await?
    };
    let mut exported = Exported::default();
    let mut shared: HashSet<ResourceKey> = HashSet::new();
    let mut after = String::new();
    loop {
        let mut reader = database.read().await.map_err(StoreError::from)?;
        let mut db = reader.db();
        let ids = products::ids_after(&mut db, &after, owner, BATCH).await?;
        let Some(last) = ids.last() else { break };
        after.clone_from(last);
        for product_id in &ids {
            let keys: Vec<ResourceKey> = resources::member_keys(&mut db, product_id)
                .await?
                .into_iter()
                .filter(|key| !stands_in_several(key) || shared.insert(key.clone()))
                .collect();
            let versions = if selection.history {
                all_versions(&mut db, &keys).await?
            } else {
                resources::current(&mut db, &keys).await?
            };
            exported.products += 1;
            exported.resources += versions.len() as u64;
            write(&line(base, product_id, versions, selection.history))?;
            progress(exported.products, total);
        }
    }
    Ok(exported)
}

/// The root first, then by type and id; of one resource, the oldest version first.
fn line(base: &str, product_id: &str, mut versions: Vec<StoredResource>, history: bool) -> String {
    let is_part = |one: &StoredResource| {
        one.key.resource_type != ResourceType::MedicinalProductDefinition || one.key.id != product_id
    };
    versions.sort_by(|a, b| (is_part(a), &a.key, a.version_id).cmp(&(is_part(b), &b.key, b.version_id)));
    let entries: Vec<Value> = versions
        .into_iter()
        .map(|mut one| {
            if !history {
                unstamp(&mut one.body);
            }
            let mut entry = json!({"fullUrl": format!("{base}/{}", one.key)});
            if let Value::Object(members) = &mut entry {
                members.insert("resource".to_owned(), one.body);
                if history {
                    let method = if one.version_id == 1 { "POST" } else { "PUT" };
                    members
                        .insert("request".to_owned(), json!({"method": method, "url": one.key.to_string()}));
                    members.insert("response".to_owned(), json!({"status": "200"}));
                }
            }
            entry
        })
        .collect();
    let kind = if history { "history" } else { "collection" };
    let mut text = json!({"resourceType": "Bundle", "type": kind, "entry": entries}).to_string();
    text.push('\n');
    text
}

async fn all_versions(db: &mut Db<'_>, keys: &[ResourceKey]) -> Result<Vec<StoredResource>, StoreError> {
    let mut numbers: BTreeMap<ResourceKey, Vec<i64>> = BTreeMap::new();
    for batch in keys.chunks(KEYS) {
        let mut statement = Statement::new(
            "SELECT resource_type, resource_id, version_id FROM resource_versions
             WHERE (resource_type, resource_id) IN (VALUES ",
        );
        statement.keys(batch).push(")");
        let rows = on_db!(db, conn => bound!(
            sqlx::query_as::<_, (String, String, i64)>(AssertSqlSafe(statement.sql.clone())), statement
        ).fetch_all(conn).await)?;
        for (resource_type, id, version_id) in rows {
            numbers.entry(resources::stored_key(&resource_type, id)?).or_default().push(version_id);
        }
    }
    let mut all = resources::current(db, keys).await?;
    let last: BTreeMap<ResourceKey, i64> = all.iter().map(|one| (one.key.clone(), one.version_id)).collect();
    for (key, versions) in numbers {
        for version_id in versions {
            if last.get(&key) != Some(&version_id) {
                all.extend(resources::version(db, &key, version_id).await?);
            }
        }
    }
    Ok(all)
}
