//! The rows derived from a product: gates, owners, members, search values. Written whenever the product changes.

use std::collections::{BTreeSet, HashMap};

use database::{Database, Db, on_db};
use fhir_model::{Product, ResourceKey, access::AccessMatrix};
use sqlx::AssertSqlSafe;
use time::OffsetDateTime;

use crate::{
    StoreError, compartment,
    derived::{self, Derived},
    products::{self, ProductHead},
    resources,
    statement::{Statement, bound, rows_at_once},
};

/// How many products one unit of work looks at again.
const REINDEX_BATCH: usize = 50;

/// Version and time of the product's MedicinalProductDefinition, as the head repeats them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RootVersion {
    pub(crate) version_id: i64,
    pub(crate) last_updated: OffsetDateTime,
}

/// Derives and writes the rows of a stored product anew.
pub(crate) async fn look_again(
    db: &mut Db<'_>,
    matrix: &AccessMatrix,
    product_id: &str,
) -> Result<(), StoreError> {
    if let Some((product, root, head)) = stored(db, product_id).await? {
        write(db, matrix, &product, root, Some(&head)).await?;
    }
    Ok(())
}

async fn stored(
    db: &mut Db<'_>,
    product_id: &str,
) -> Result<Option<(Product, RootVersion, ProductHead)>, StoreError> {
    let Some(head) = products::head(db, product_id).await? else { return Ok(None) };
    let gathered = compartment::gather(db, product_id, true, Vec::new()).await?;
    let root = RootVersion { version_id: head.version_id, last_updated: head.last_updated };
    Ok(gathered.map(|product| (product, root, head)))
}

/// Derives and writes all rows of `product`.
pub(crate) async fn write(
    db: &mut Db<'_>,
    matrix: &AccessMatrix,
    product: &Product,
    root: RootVersion,
    before: Option<&ProductHead>,
) -> Result<(), StoreError> {
    let facts = products::known_facts(db, product).await?;
    let derived = derived::derive(matrix, product, &facts);
    let product_id = product.id().to_owned();
    write_all(db, &[NextRows { product_id, root, derived, is_new: before.is_none() }]).await
}

/// A product's rows about to be written.
#[derive(Clone, Debug)]
pub(crate) struct NextRows {
    pub(crate) product_id: String,
    pub(crate) root: RootVersion,
    pub(crate) derived: Derived,
    /// Whether the product has no rows yet.
    pub(crate) is_new: bool,
}

/// Writes the rows of several products, each with its own place in the order of changes.
pub(crate) async fn write_all(db: &mut Db<'_>, all: &[NextRows]) -> Result<(), StoreError> {
    for batch in all.chunks(rows_at_once(db, 7)) {
        let mut change_seq = next_changes(db, batch.len()).await?;
        let mut statement = Statement::new(
            "INSERT INTO products
                 (product_id, revision, change_seq, gates, owners, mentions, version_id, last_updated) VALUES ",
        );
        for (n, next) in batch.iter().enumerate() {
            statement.push(if n == 0 { "(" } else { ", (" }).text(&next.product_id).push(", 1, ");
            statement.integer(change_seq).push(", ").integer(next.derived.gates).push(", ");
            statement.text(next.derived.owners.join(" ")).push(", ").text(next.derived.mentions.join(" "));
            statement.push(", ").integer(next.root.version_id).push(", ");
            statement.integer(database::micros(next.root.last_updated)).push(")");
            change_seq += 1;
        }
        statement.push(
            " ON CONFLICT (product_id) DO UPDATE SET revision = products.revision + 1,
                 change_seq = excluded.change_seq, gates = excluded.gates, owners = excluded.owners,
                 mentions = excluded.mentions, version_id = excluded.version_id,
                 last_updated = excluded.last_updated",
        );
        statement.execute(db).await?;
        for next in batch.iter().filter(|next| !next.is_new) {
            derived::forget(db, &next.product_id).await?;
        }
        let rows: Vec<(&str, &Derived)> =
            batch.iter().map(|next| (next.product_id.as_str(), &next.derived)).collect();
        derived::insert(db, &rows).await?;
    }
    Ok(())
}

/// Takes the next places in the order of changes, and answers the first. Other writers wait from here until this unit
/// of work ends, so that places become visible in order.
async fn next_changes(db: &mut Db<'_>, many: usize) -> Result<i64, StoreError> {
    let many = i64::try_from(many).unwrap_or(i64::MAX);
    let last = on_db!(db, conn => sqlx::query_scalar::<_, i64>(
        "UPDATE product_feed SET seq = seq + $1 WHERE id = 1 RETURNING seq"
    ).bind(many).fetch_one(conn).await)?;
    Ok(last - many + 1)
}

/// Keeps other writers out until this unit of work ends: what it reads stays true until it writes.
pub(crate) async fn lock(db: &mut Db<'_>) -> Result<(), StoreError> {
    on_db!(db, conn => sqlx::query("UPDATE product_feed SET seq = seq WHERE id = 1").execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// The products that have one of `keys` among their members, or miss it.
pub(crate) async fn products_with(
    db: &mut Db<'_>,
    keys: &[ResourceKey],
) -> Result<BTreeSet<String>, StoreError> {
    let mut found = BTreeSet::new();
    for batch in keys.chunks(rows_at_once(db, 2)) {
        let mut statement = Statement::new(
            "SELECT DISTINCT product_id FROM product_members WHERE (resource_type, resource_id) IN (VALUES ",
        );
        statement.keys(batch).push(")");
        found.extend(on_db!(db, conn => bound!(
            sqlx::query_scalar::<_, String>(AssertSqlSafe(statement.sql.clone())), statement
        ).fetch_all(conn).await)?);
    }
    Ok(found)
}

/// The products that have, or with `false` miss, each of `keys`.
pub(crate) async fn homes(
    db: &mut Db<'_>,
    keys: &[ResourceKey],
) -> Result<HashMap<ResourceKey, Vec<(String, bool)>>, StoreError> {
    let mut found: HashMap<ResourceKey, Vec<(String, bool)>> = HashMap::new();
    for batch in keys.chunks(rows_at_once(db, 2)) {
        let mut statement = Statement::new(
            "SELECT resource_type, resource_id, product_id, present FROM product_members
             WHERE (resource_type, resource_id) IN (VALUES ",
        );
        statement.keys(batch).push(")");
        let rows = on_db!(db, conn => bound!(
            sqlx::query_as::<_, (String, String, String, bool)>(AssertSqlSafe(statement.sql.clone())), statement
        ).fetch_all(conn).await)?;
        for (resource_type, id, product_id, present) in rows {
            found.entry(resources::stored_key(&resource_type, id)?).or_default().push((product_id, present));
        }
    }
    Ok(found)
}

/// Looks at all products again if the index was made by another matrix than this one; answers how many that were.
/// A crash in between repeats the work at the next call.
pub async fn ensure_current(database: &Database, matrix: &AccessMatrix) -> Result<usize, StoreError> {
    let digest = {
        let mut reader = database.read().await?;
        let mut db = reader.db();
        on_db!(&mut db, conn => sqlx::query_scalar::<_, String>("SELECT matrix_digest FROM product_feed WHERE id = 1")
            .fetch_one(conn).await)?
    };
    if digest == matrix.digest() {
        return Ok(0);
    }
    let ids = {
        let mut reader = database.read().await?;
        let mut db = reader.db();
        on_db!(&mut db, conn => sqlx::query_scalar::<_, String>("SELECT product_id FROM products ORDER BY product_id")
            .fetch_all(conn).await)?
    };
    for batch in ids.chunks(REINDEX_BATCH) {
        let mut work = database.begin().await?;
        let mut db = work.db();
        lock(&mut db).await?;
        for product_id in batch {
            look_again(&mut db, matrix, product_id).await?;
        }
        work.commit().await?;
    }
    let mut work = database.begin().await?;
    let mut db = work.db();
    on_db!(&mut db, conn => sqlx::query("UPDATE product_feed SET matrix_digest = $1 WHERE id = 1")
        .bind(matrix.digest()).execute(conn).await.map(|_| ()))?;
    work.commit().await?;
    Ok(ids.len())
}
