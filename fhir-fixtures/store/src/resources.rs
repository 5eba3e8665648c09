//! Resources and their versions: reading them, and writing the next one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use database::{Database, DatabaseError, Db, on_db};
use fhir_model::{
    Product, ResourceKey, ResourceType,
    json::{Fields, Json},
};
use serde_json::Value;
use sqlx::AssertSqlSafe;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    StoreError,
    statement::{Statement, bound, rows_at_once},
};

/// How many keys go into one statement.
const BATCH: usize = 200;

/// One version of a resource as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredResource {
    /// Which resource.
    pub key: ResourceKey,
    /// 1, 2, 3… without gaps.
    pub version_id: i64,
    /// When this version was stored.
    pub last_updated: OffsetDateTime,
    /// The tree, complete with `meta.versionId` and `meta.lastUpdated`.
    pub body: Value,
}

/// The key in a stored row.
pub(crate) fn stored_key(resource_type: &str, id: String) -> Result<ResourceKey, DatabaseError> {
    match resource_type.parse::<ResourceType>() {
        Ok(resource_type) => Ok(ResourceKey { resource_type, id }),
        Err(_) => Err(DatabaseError::Corrupt {
            table: "resource_versions",
            column: "resource_type",
            row: format!("{resource_type}/{id}"),
        }),
    }
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct VersionRow {
    resource_type: String,
    resource_id: String,
    version_id: i64,
    last_updated: i64,
    body: String,
}

impl VersionRow {
    /// The tree, complete as that of a [`StoredResource`] is: for whoever needs nothing else, and it only once.
    pub(crate) fn read(&self) -> Result<Json<'_>, StoreError> {
        let mut body = Json::read(&self.body).map_err(|source| self.corrupt(source))?;
        if let Some(resource) = body.as_object_mut() {
            let meta =
                stamped(resource.remove("meta"), self.version_id, database::instant(self.last_updated));
            resource.insert_at(PLACE_OF_META, "meta", meta);
        }
        Ok(body)
    }

    fn corrupt(&self, source: serde_json::Error) -> StoreError {
        let key = format!("{}/{}", self.resource_type, self.resource_id);
        StoreError::Corrupt { key, version_id: self.version_id, source }
    }

    pub(crate) fn into_resource(self) -> Result<StoredResource, StoreError> {
        let mut body: Value = serde_json::from_str(&self.body).map_err(|source| self.corrupt(source))?;
        let key = stored_key(&self.resource_type, self.resource_id)?;
        let last_updated = database::instant(self.last_updated);
        stamp(&mut body, self.version_id, last_updated);
        Ok(StoredResource { key, version_id: self.version_id, last_updated, body })
    }
}

/// An instant as FHIR writes it.
pub fn instant_text(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_else(|_| String::from("1970-01-01T00:00:00Z"))
}

/// After the type and the id of a resource.
const PLACE_OF_META: usize = 2;

/// Puts version and time into `meta`, and `meta` where it belongs.
fn stamp(body: &mut Value, version_id: i64, last_updated: OffsetDateTime) {
    let Value::Object(resource) = body else { return };
    let meta = resource.shift_remove("meta");
    let meta = stamped(meta.as_ref().map(Json::from), version_id, last_updated);
    let place = resource.len().min(PLACE_OF_META);
    resource.shift_insert(place, "meta".to_owned(), meta.into());
}

/// `meta` with version and time, first among its elements.
fn stamped(meta: Option<Json<'_>>, version_id: i64, last_updated: OffsetDateTime) -> Json<'_> {
    let ours = [
        ("versionId".into(), Json::text(version_id.to_string())),
        ("lastUpdated".into(), Json::text(instant_text(last_updated))),
    ];
    let rest = match meta {
        Some(Json::Object(rest)) => rest,
        _ => Fields::new(),
    };
    Json::Object(ours.into_iter().chain(rest.into_iter().filter(|(name, _)| !is_ours(name))).collect())
}

/// Takes version and time out of `meta`: they are the server's, not the sender's.
pub(crate) fn unstamp(body: &mut Value) {
    let Value::Object(resource) = body else { return };
    let empty = match resource.get_mut("meta") {
        Some(Value::Object(meta)) => {
            meta.retain(|name, _| !is_ours(name));
            meta.is_empty()
        }
        _ => false,
    };
    if empty {
        resource.shift_remove("meta");
    }
}

/// Versions and times of resources that are written in the same unit of work: what is derived from a product is derived
/// from its resources as they will be read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stamps(HashMap<ResourceKey, (i64, OffsetDateTime)>);

impl Stamps {
    /// Of several for one resource the first counts.
    pub(crate) fn note(&mut self, key: &ResourceKey, version_id: i64, last_updated: OffsetDateTime) {
        self.0.entry(key.clone()).or_insert((version_id, last_updated));
    }

    /// Puts them into the resources that are not stamped yet.
    pub(crate) fn apply(&self, product: &mut Product) {
        for resource in std::iter::once(&mut product.root).chain(&mut product.parts) {
            let is_stamped = resource.get("meta").is_some_and(|meta| meta.get("versionId").is_some());
            let stamp_of = fhir_model::resource_key(resource).and_then(|key| self.0.get(&key).copied());
            if let (false, Some((version_id, last_updated))) = (is_stamped, stamp_of) {
                stamp(resource, version_id, last_updated);
            }
        }
    }
}

fn is_ours(name: &str) -> bool {
    matches!(name, "versionId" | "lastUpdated" | "_versionId" | "_lastUpdated")
}

/// One version of a resource.
pub async fn find_version(
    database: &Database,
    key: &ResourceKey,
    version_id: i64,
) -> Result<Option<StoredResource>, StoreError> {
    let mut reader = database.read().await?;
    version(&mut reader.db(), key, version_id).await
}

pub(crate) async fn version(
    db: &mut Db<'_>,
    key: &ResourceKey,
    version_id: i64,
) -> Result<Option<StoredResource>, StoreError> {
    let row = on_db!(db, conn => sqlx::query_as::<_, VersionRow>(
        "SELECT resource_type, resource_id, version_id, last_updated, body FROM resource_versions
         WHERE resource_type = $1 AND resource_id = $2 AND version_id = $3"
    ).bind(key.resource_type.as_str()).bind(key.id.as_str()).bind(version_id).fetch_optional(conn).await)?;
    row.map(VersionRow::into_resource).transpose()
}

/// These versions of these resources, as far as they are stored, in no order.
pub async fn find_versions(
    database: &Database,
    wanted: &[(ResourceKey, i64)],
) -> Result<Vec<StoredResource>, StoreError> {
    let mut reader = database.read().await?;
    let mut db = reader.db();
    let mut found = Vec::with_capacity(wanted.len());
    for batch in wanted.chunks(BATCH) {
        let mut statement = Statement::new(
            "SELECT resource_type, resource_id, version_id, last_updated, body FROM resource_versions
             WHERE (resource_type, resource_id, version_id) IN (VALUES ",
        );
        for (n, (key, version_id)) in batch.iter().enumerate() {
            statement.push(if n == 0 { "(" } else { ", (" }).text(key.resource_type.as_str());
            statement.push(", ").text(&key.id).push(", ").integer(*version_id).push(")");
        }
        statement.push(")");
        let rows = on_db!(&mut db, conn => bound!(
            sqlx::query_as::<_, VersionRow>(AssertSqlSafe(statement.sql.clone())), statement
        ).fetch_all(conn).await)?;
        for row in rows {
            found.push(row.into_resource()?);
        }
    }
    Ok(found)
}

/// Versions of a resource, newest first: those stored at `since` or later, older than version `before`, at most
/// `limit`.
pub async fn versions(
    database: &Database,
    key: &ResourceKey,
    since: Option<OffsetDateTime>,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<StoredResource>, StoreError> {
    let since = since.map_or(i64::MIN, database::micros);
    let mut reader = database.read().await?;
    let mut db = reader.db();
    let mut statement = Statement::new(
        "SELECT resource_type, resource_id, version_id, last_updated, body FROM resource_versions
         WHERE resource_type = ",
    );
    statement.text(key.resource_type.as_str()).push(" AND resource_id = ").text(&key.id);
    statement.push(" AND last_updated >= ").integer(since);
    statement.push(" AND version_id < ").integer(before.unwrap_or(i64::MAX));
    statement.push(" ORDER BY version_id DESC").limit(limit);
    let rows = on_db!(&mut db, conn => bound!(
        sqlx::query_as::<_, VersionRow>(AssertSqlSafe(statement.sql.clone())), statement
    ).fetch_all(conn).await)?;
    rows.into_iter().map(VersionRow::into_resource).collect()
}

/// The current versions of those of `keys` that are stored.
pub(crate) async fn current(
    db: &mut Db<'_>,
    keys: &[ResourceKey],
) -> Result<Vec<StoredResource>, StoreError> {
    current_rows(db, keys).await?.into_iter().map(VersionRow::into_resource).collect()
}

/// The stored texts of resources, by their keys alone: what an answer costs at least.
pub async fn current_bodies(database: &Database, keys: &[ResourceKey]) -> Result<Vec<String>, StoreError> {
    let mut reader = database.read().await?;
    Ok(current_rows(&mut reader.db(), keys).await?.into_iter().map(|row| row.body).collect())
}

async fn current_rows(db: &mut Db<'_>, keys: &[ResourceKey]) -> Result<Vec<VersionRow>, StoreError> {
    let mut found = Vec::with_capacity(keys.len());
    for batch in keys.chunks(rows_at_once(db, 2)) {
        let mut statement = Statement::new(
            "SELECT v.resource_type, v.resource_id, v.version_id, v.last_updated, v.body
             FROM resources r JOIN resource_versions v ON v.resource_type = r.resource_type
                 AND v.resource_id = r.resource_id AND v.version_id = r.version_id
             WHERE (r.resource_type, r.resource_id) IN (VALUES ",
        );
        statement.keys(batch).push(")");
        found.extend(on_db!(db, conn => bound!(
            sqlx::query_as::<_, VersionRow>(AssertSqlSafe(statement.sql.clone())), statement
        ).fetch_all(conn).await)?);
    }
    Ok(found)
}

/// A current version as it is stored, not read into a tree.
#[derive(Clone, Debug)]
pub(crate) struct CurrentText {
    pub(crate) version_id: i64,
    pub(crate) last_updated: OffsetDateTime,
    pub(crate) text: String,
}

/// The current versions of those of `keys` that are stored.
pub(crate) async fn current_texts(
    db: &mut Db<'_>,
    keys: &[ResourceKey],
) -> Result<HashMap<ResourceKey, CurrentText>, StoreError> {
    let mut found = HashMap::with_capacity(keys.len());
    for row in current_rows(db, keys).await? {
        let key = stored_key(&row.resource_type, row.resource_id)?;
        let last_updated = database::instant(row.last_updated);
        found.insert(key, CurrentText { version_id: row.version_id, last_updated, text: row.body });
    }
    Ok(found)
}

/// The current versions of all members of a product, in the order of types and ids.
pub(crate) async fn members(db: &mut Db<'_>, product_id: &str) -> Result<Vec<StoredResource>, StoreError> {
    let mut rows = on_db!(db, conn => sqlx::query_as::<_, VersionRow>(
        "SELECT v.resource_type, v.resource_id, v.version_id, v.last_updated, v.body
         FROM product_members m
         JOIN resources r ON r.resource_type = m.resource_type AND r.resource_id = m.resource_id
         JOIN resource_versions v ON v.resource_type = r.resource_type AND v.resource_id = r.resource_id
             AND v.version_id = r.version_id
         WHERE m.product_id = $1 AND m.present"
    ).bind(product_id).fetch_all(conn).await)?;
    // Here, as databases sort texts by their own collations.
    rows.sort_unstable_by(|a, b| (&a.resource_type, &a.resource_id).cmp(&(&b.resource_type, &b.resource_id)));
    rows.into_iter().map(VersionRow::into_resource).collect()
}

/// The keys of all members of a product.
pub(crate) async fn member_keys(
    db: &mut Db<'_>,
    product_id: &str,
) -> Result<BTreeSet<ResourceKey>, StoreError> {
    let rows = on_db!(db, conn => sqlx::query_as::<_, (String, String)>(
        "SELECT resource_type, resource_id FROM product_members WHERE product_id = $1 AND present"
    ).bind(product_id).fetch_all(conn).await)?;
    Ok(rows
        .into_iter()
        .map(|(resource_type, id)| stored_key(&resource_type, id))
        .collect::<Result<_, _>>()?)
}

/// A version about to be stored; `body` carries no version of its own.
#[derive(Clone, Debug)]
pub(crate) struct NextVersion {
    pub(crate) key: ResourceKey,
    pub(crate) version_id: i64,
    pub(crate) body: Value,
}

/// Stores the next versions of some resources.
pub(crate) async fn write(
    db: &mut Db<'_>,
    versions: &[NextVersion],
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let texts: Vec<String> = versions.iter().map(|next| next.body.to_string()).collect();
    let rows: Vec<VersionText<'_>> = versions
        .iter()
        .zip(&texts)
        .map(|(next, text)| VersionText {
            key: &next.key,
            version_id: next.version_id,
            last_updated: now,
            text,
        })
        .collect();
    write_texts(db, &rows).await
}

/// A version about to be stored, already written out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VersionText<'a> {
    pub(crate) key: &'a ResourceKey,
    pub(crate) version_id: i64,
    pub(crate) last_updated: OffsetDateTime,
    /// Without the meta.versionId and meta.lastUpdated that stand in columns.
    pub(crate) text: &'a str,
}

/// Stores versions; the last of each resource among them becomes the current one.
pub(crate) async fn write_texts(db: &mut Db<'_>, versions: &[VersionText<'_>]) -> Result<(), StoreError> {
    for batch in versions.chunks(rows_at_once(db, 5)) {
        let mut bodies = Statement::new(
            "INSERT INTO resource_versions (resource_type, resource_id, version_id, last_updated, body) VALUES ",
        );
        for (n, next) in batch.iter().enumerate() {
            bodies.push(if n == 0 { "(" } else { ", (" }).text(next.key.resource_type.as_str());
            bodies.push(", ").text(&next.key.id).push(", ").integer(next.version_id);
            bodies.push(", ").integer(database::micros(next.last_updated));
            bodies.push(", ").text(next.text).push(")");
        }
        bodies.execute(db).await?;
    }
    let current: BTreeMap<&ResourceKey, i64> =
        versions.iter().map(|next| (next.key, next.version_id)).collect();
    for batch in Vec::from_iter(current).chunks(rows_at_once(db, 3)) {
        let mut pointers =
            Statement::new("INSERT INTO resources (resource_type, resource_id, version_id) VALUES ");
        for (n, (key, version_id)) in batch.iter().enumerate() {
            pointers.push(if n == 0 { "(" } else { ", (" }).text(key.resource_type.as_str());
            pointers.push(", ").text(&key.id).push(", ").integer(*version_id).push(")");
        }
        pointers
            .push(" ON CONFLICT (resource_type, resource_id) DO UPDATE SET version_id = excluded.version_id");
        pointers.execute(db).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn version_and_time_stand_first_in_meta_and_meta_after_id() {
        let mut body = json!({"resourceType": "Organization", "id": "o1", "name": "N", "meta": {"tag": [{"code": "x"}], "versionId": "9"}});
        stamp(&mut body, 3, OffsetDateTime::UNIX_EPOCH);
        assert_eq!(
            body.to_string(),
            r#"{"resourceType":"Organization","id":"o1","meta":{"versionId":"3","lastUpdated":"1970-01-01T00:00:00Z","tag":[{"code":"x"}]},"name":"N"}"#
        );
        unstamp(&mut body);
        assert_eq!(
            body,
            json!({"resourceType": "Organization", "id": "o1", "meta": {"tag": [{"code": "x"}]}, "name": "N"})
        );
    }

    #[test]
    fn a_meta_that_holds_only_our_own_words_goes() {
        let mut body = json!({"resourceType": "Organization", "id": "o1", "meta": {"versionId": "9"}});
        unstamp(&mut body);
        assert_eq!(body, json!({"resourceType": "Organization", "id": "o1"}));
    }
}
