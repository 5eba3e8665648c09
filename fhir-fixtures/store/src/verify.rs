//! Whether what is stored holds together: chains of versions, links, and everything that is derived from resources.

use std::collections::{BTreeMap, BTreeSet};

use database::{Database, Db, on_db};
use fhir_model::{Product, ResourceKey, ResourceType, access::AccessMatrix, links, schema};
use serde::Serialize;

use crate::{
    StoreError, StoredResource, compartment,
    derived::{self, Derived},
    index::{self, RootVersion},
    products::{self, ProductHead},
    resources,
};

/// How many products are read by their ids at once.
const BATCH: i64 = 500;

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Products looked at.
    pub products: u64,
    /// Versions of resources looked at.
    pub versions: u64,
    /// What is wrong.
    pub faults: Vec<Fault>,
    /// Links to resources that were never stored: as the source sent them, and no fault of the store.
    pub dangling: u64,
    /// Products whose derived rows were written anew.
    pub repaired: u64,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// `Type/id`.
    pub resource: String,
    /// Which promise is broken.
    pub kind: FaultKind,
    /// In words.
    pub text: String,
}

/// The promises of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Versions are 1, 2, 3… with times that do not go back, and the last is the current one.
    Versions,
    /// A body is a valid resource of its type and id.
    Body,
    /// Each resource stands in a product, and each product has its resources.
    Link,
    /// A product's row repeats version and time of its MedicinalProductDefinition.
    Head,
    /// Who may know of a product is what the access matrix says of it: gates and owners.
    Audience,
    /// The values by which a product is found, and who may find it by them.
    Index,
    /// What each column sees of its MedicinalProductDefinition.
    Outline,
}

impl FaultKind {
    /// Whether the rows are derived from resources and can be written anew.
    const fn is_derived(self) -> bool {
        matches!(self, Self::Link | Self::Head | Self::Audience | Self::Index | Self::Outline)
    }
}

/// Looks at everything. With `repair`, derived rows that are wrong are written anew; versions and bodies never are.
/// `progress` is told how many products were looked at, and of how many.
///
/// # Errors
/// When the database fails. What is wrong with what it holds is in the result.
pub async fn verify(
    database: &Database,
    matrix: &AccessMatrix,
    repair: bool,
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<Verified, StoreError> {
    let mut verified = Verified::default();
    let total = {
        let mut reader = database.read().await?;
        let mut db = reader.db();
        verified.versions = count(&mut db, "SELECT COUNT(*) FROM resource_versions").await?;
        verified.dangling = count(&mut db, "SELECT COUNT(*) FROM product_members WHERE NOT present").await?;
        chains(&mut db, &mut verified.faults).await?;
        strays(&mut db, &mut verified.faults).await?;
        count(&mut db, "SELECT COUNT(*) FROM products").await?
    };
    let mut after = String::new();
    loop {
        let ids = {
            let mut reader = database.read().await?;
            products::ids_after(&mut reader.db(), &after, None, BATCH).await?
        };
        let Some(last) = ids.last() else { break };
        after.clone_from(last);
        for product_id in &ids {
            let found = {
                let mut reader = database.read().await?;
                product(&mut reader.db(), matrix, product_id).await?
            };
            if repair && found.iter().any(|fault| fault.kind.is_derived()) {
                verified.repaired += u64::from(mend(database, matrix, product_id).await?);
            }
            verified.faults.extend(found);
            verified.products += 1;
            progress(verified.products, total);
        }
    }
    if repair {
        let lost: Vec<ResourceKey> = verified
            .faults
            .iter()
            .filter(|fault| fault.kind == FaultKind::Link)
            .filter_map(|fault| fault.resource.parse().ok())
            .collect();
        verified.repaired += bring_home(database, matrix, &lost).await?;
        verified.repaired += clear(database).await?;
    }
    Ok(verified)
}

async fn count(db: &mut Db<'_>, sql: &'static str) -> Result<u64, StoreError> {
    let counted = on_db!(db, conn => sqlx::query_scalar::<_, i64>(sql).fetch_one(conn).await)?;
    Ok(u64::try_from(counted).unwrap_or_default())
}

/// Chains of versions, all at once.
async fn chains(db: &mut Db<'_>, faults: &mut Vec<Fault>) -> Result<(), StoreError> {
    let checks = [
        (
            "SELECT resource_type, resource_id FROM resource_versions GROUP BY resource_type, resource_id
             HAVING COUNT(*) <> MAX(version_id) OR MIN(version_id) <> 1",
            "its versions are not 1, 2, 3… without gaps",
        ),
        (
            "SELECT a.resource_type, a.resource_id FROM resource_versions a
             JOIN resource_versions b ON b.resource_type = a.resource_type AND b.resource_id = a.resource_id
                 AND b.version_id = a.version_id + 1
             WHERE b.last_updated < a.last_updated GROUP BY a.resource_type, a.resource_id",
            "a later version has an earlier time than the one before it",
        ),
        (
            "SELECT r.resource_type, r.resource_id FROM resources r
             LEFT JOIN (SELECT resource_type, resource_id, MAX(version_id) AS last FROM resource_versions
                        GROUP BY resource_type, resource_id) v
                 ON v.resource_type = r.resource_type AND v.resource_id = r.resource_id
             WHERE v.last IS NULL OR v.last <> r.version_id",
            "its current version is not its last",
        ),
        (
            "SELECT v.resource_type, v.resource_id FROM resource_versions v
             LEFT JOIN resources r ON r.resource_type = v.resource_type AND r.resource_id = v.resource_id
             WHERE r.version_id IS NULL GROUP BY v.resource_type, v.resource_id",
            "it has versions and none of them is current",
        ),
    ];
    for (sql, text) in checks {
        let found = on_db!(db, conn => sqlx::query_as::<_, (String, String)>(sql).fetch_all(conn).await)?;
        faults.extend(found.into_iter().map(|(resource_type, id)| Fault {
            resource: format!("{resource_type}/{id}"),
            kind: FaultKind::Versions,
            text: text.to_owned(),
        }));
    }
    Ok(())
}

/// Tables whose rows belong to products.
const OF_PRODUCTS: [&str; 6] = [
    "product_members",
    "product_owners",
    "product_locations",
    "product_outlines",
    "search_tokens",
    "search_strings",
];

/// What belongs to nothing: resources of no product, rows of no product.
async fn strays(db: &mut Db<'_>, faults: &mut Vec<Fault>) -> Result<(), StoreError> {
    let lost = on_db!(db, conn => sqlx::query_as::<_, (String, String)>(
        "SELECT r.resource_type, r.resource_id FROM resources r
         WHERE NOT EXISTS (SELECT 1 FROM product_members m
             WHERE m.resource_type = r.resource_type AND m.resource_id = r.resource_id AND m.present)"
    ).fetch_all(conn).await)?;
    faults.extend(lost.into_iter().map(|(resource_type, id)| Fault {
        resource: format!("{resource_type}/{id}"),
        kind: FaultKind::Link,
        text: "it stands in no product".to_owned(),
    }));
    for table in OF_PRODUCTS {
        let sql = format!("SELECT DISTINCT product_id FROM {table} WHERE {}", of_none(table));
        let found = on_db!(db, conn => sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(sql.clone()))
            .fetch_all(conn).await)?;
        faults.extend(found.into_iter().map(|product_id| Fault {
            resource: format!("MedicinalProductDefinition/{product_id}"),
            kind: FaultKind::Index,
            text: format!("{table} has rows of it, and there is no such product"),
        }));
    }
    Ok(())
}

fn of_none(table: &str) -> String {
    format!("NOT EXISTS (SELECT 1 FROM products p WHERE p.product_id = {table}.product_id)")
}

/// Removes rows of products that are not there; answers of how many products that were.
async fn clear(database: &Database) -> Result<u64, StoreError> {
    let mut work = database.begin().await?;
    let mut db = work.db();
    index::lock(&mut db).await?;
    let mut gone = BTreeSet::new();
    for table in OF_PRODUCTS {
        let sql = format!("DELETE FROM {table} WHERE {} RETURNING product_id", of_none(table));
        gone.extend(
            on_db!(&mut db, conn => sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(sql.clone()))
            .fetch_all(conn).await)?,
        );
    }
    work.commit().await?;
    Ok(gone.len() as u64)
}

/// Gives resources of no product back to the products that they point up to; answers to how many products.
async fn bring_home(
    database: &Database,
    matrix: &AccessMatrix,
    lost: &[ResourceKey],
) -> Result<u64, StoreError> {
    let mut mended = BTreeSet::new();
    for key in lost.iter().filter(|key| key.resource_type != ResourceType::MedicinalProductDefinition) {
        let mut work = database.begin().await?;
        let mut db = work.db();
        index::lock(&mut db).await?;
        let Some(one) = resources::current(&mut db, std::slice::from_ref(key)).await?.pop() else { continue };
        let parents = links::parents(&one.body);
        let mut homes = index::products_with(&mut db, &parents).await?;
        homes.extend(
            parents
                .into_iter()
                .filter(|parent| parent.resource_type == ResourceType::MedicinalProductDefinition)
                .map(|parent| parent.id),
        );
        for product_id in homes {
            let body = vec![one.body.clone()];
            let Some(head) = products::head(&mut db, &product_id).await? else { continue };
            let Some(product) = compartment::gather(&mut db, &product_id, true, body).await? else {
                continue;
            };
            let root = RootVersion { version_id: head.version_id, last_updated: head.last_updated };
            index::write(&mut db, matrix, &product, root, Some(&head)).await?;
            mended.insert(product_id);
        }
        work.commit().await?;
    }
    Ok(mended.len() as u64)
}

/// What is wrong with one product.
async fn product(db: &mut Db<'_>, matrix: &AccessMatrix, product_id: &str) -> Result<Vec<Fault>, StoreError> {
    let mut faults = Vec::new();
    let Some(head) = products::head(db, product_id).await? else { return Ok(faults) };
    let root_name = format!("MedicinalProductDefinition/{product_id}");
    let mut say = |kind, text: String| faults.push(Fault { resource: root_name.clone(), kind, text });
    let stored = derived::stored(db, &head).await?;
    let members = match resources::members(db, product_id).await {
        Ok(members) => members,
        Err(StoreError::Corrupt { key, version_id, source }) => {
            let text = format!("the body of version {version_id} is no JSON: {source}");
            faults.push(Fault { resource: key, kind: FaultKind::Body, text });
            return Ok(faults);
        }
        Err(error) => return Err(error),
    };
    let there: BTreeMap<&ResourceKey, &StoredResource> = members.iter().map(|one| (&one.key, one)).collect();
    let missing = stored.members.iter().filter(|(resource_type, id, present)| {
        *present
            && resources::stored_key(resource_type, id.clone()).is_ok_and(|key| !there.contains_key(&key))
    });
    for (resource_type, id, _) in missing {
        say(FaultKind::Link, format!("its {resource_type}/{id} is not stored"));
    }
    match members.iter().find(|one| one.key.to_string() == root_name) {
        None => say(FaultKind::Link, "it has no MedicinalProductDefinition of its own".to_owned()),
        Some(root) if (root.version_id, root.last_updated) != (head.version_id, head.last_updated) => {
            say(
                FaultKind::Head,
                format!("its row says version {}, its last is version {}", head.version_id, root.version_id),
            );
        }
        Some(_) => {}
    }
    for one in &members {
        if let Some(text) = wrong_body(one) {
            faults.push(Fault { resource: one.key.to_string(), kind: FaultKind::Body, text });
        }
    }
    if let Some(product) = compartment::gather(db, product_id, true, Vec::new()).await? {
        let wanted = derive(db, matrix, &product).await?;
        faults.extend(differences(&stored, &wanted, &head).into_iter().map(|(kind, text)| Fault {
            resource: root_name.clone(),
            kind,
            text,
        }));
    }
    Ok(faults)
}

async fn derive(db: &mut Db<'_>, matrix: &AccessMatrix, product: &Product) -> Result<Derived, StoreError> {
    let facts = products::known_facts(db, product).await?;
    Ok(derived::derive(matrix, product, &facts))
}

fn wrong_body(one: &StoredResource) -> Option<String> {
    if fhir_model::resource_key(&one.body).as_ref() != Some(&one.key) {
        return Some("its body has another type or id".to_owned());
    }
    let problems = schema::check(&one.body);
    problems.first().map(|problem| format!("its body is not valid: {problem}"))
}

/// How the rows of a product differ from what they should be.
fn differences(stored: &Derived, wanted: &Derived, head: &ProductHead) -> Vec<(FaultKind, String)> {
    let mut found = Vec::new();
    let mut compare = |kind, what: &str, missing: usize, more: usize| {
        if missing + more > 0 {
            found.push((kind, format!("{what}: {missing} missing, {more} too many or different")));
        }
    };
    if stored.gates != wanted.gates {
        let differing = (stored.gates ^ wanted.gates).count_ones() as usize;
        compare(FaultKind::Audience, "the classes of callers that may know of it", 0, differing);
    }
    let owners: Vec<String> = head.owners.iter().map(|owner| owner.as_str().to_owned()).collect();
    let (missing, more) = apart(&stored.owners, &wanted.owners);
    compare(FaultKind::Audience, "its owners", missing, more);
    let (missing, more) = apart(&owners, &wanted.owners);
    compare(FaultKind::Audience, "the owners in its row", missing, more);
    let (missing, more) = apart(&stored.locations, &wanted.locations);
    compare(FaultKind::Audience, "the locations of its holders", missing, more);
    let (missing, more) = apart(&stored.members, &wanted.members);
    compare(FaultKind::Link, "its resources", missing, more);
    let (missing, more) = apart(&stored.mentions, &wanted.mentions);
    compare(FaultKind::Link, "the products that it mentions", missing, more);
    let (missing, more) = apart(&stored.tokens, &wanted.tokens);
    compare(FaultKind::Index, "its codes in the index", missing, more);
    let (missing, more) = apart(&stored.strings, &wanted.strings);
    compare(FaultKind::Index, "its texts in the index", missing, more);
    let (missing, more) = apart(&stored.outline, &wanted.outline);
    compare(FaultKind::Outline, "how its root looks to each column", missing, more);
    found
}

/// How many rows are wanted and not there, and how many are there and not wanted; both are in order.
fn apart<T: Ord>(stored: &[T], wanted: &[T]) -> (usize, usize) {
    let lacking = |from: &[T], of: &[T]| {
        let mut left: BTreeMap<&T, usize> = BTreeMap::new();
        for row in from {
            *left.entry(row).or_default() += 1;
        }
        of.iter()
            .filter(|row| match left.get_mut(row) {
                Some(many) if *many > 0 => {
                    *many -= 1;
                    false
                }
                _ => true,
            })
            .count()
    };
    (lacking(stored, wanted), lacking(wanted, stored))
}

/// Writes the derived rows of a product anew; whether there was a product to derive them from.
async fn mend(database: &Database, matrix: &AccessMatrix, product_id: &str) -> Result<bool, StoreError> {
    let mut work = database.begin().await?;
    let mut db = work.db();
    index::lock(&mut db).await?;
    let Some(head) = products::head(&mut db, product_id).await? else { return Ok(false) };
    let Some(product) = compartment::gather(&mut db, product_id, true, Vec::new()).await? else {
        return Ok(false);
    };
    let root_key = fhir_model::resource_key(&product.root);
    let root = resources::current(&mut db, root_key.as_slice()).await?.pop();
    let Some(root) = root else { return Ok(false) };
    let root = RootVersion { version_id: root.version_id, last_updated: root.last_updated };
    index::write(&mut db, matrix, &product, root, Some(&head)).await?;
    work.commit().await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_compared_as_often_as_they_occur() {
        assert_eq!(apart(&[1, 1, 2], &[1, 2, 3]), (1, 1));
        assert_eq!(apart::<u8>(&[], &[]), (0, 0));
    }
}
