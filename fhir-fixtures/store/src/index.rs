//! The rows derived from a product: gates, owners, members, search values. Written whenever the product changes.

use std::{collections::BTreeSet, fmt::Write as _};

use database::{Database, Db, on_db};
use fhir_model::{
    Product, ResourceKey, ResourceType,
    access::{AccessMatrix, View},
    facts, links,
    search::{self, IndexedValue, SearchValue},
};
use sqlx::AssertSqlSafe;
use time::OffsetDateTime;

use crate::{
    StoreError,
    audience::{self, REFERABLE},
    compartment,
    products::{self, ProductHead},
    statement::{Statement, bound},
};

/// How many rows go into one statement.
const BATCH: usize = 500;

/// How many products one unit of work looks at again.
const REINDEX_BATCH: usize = 50;

/// Version and time of the product's MedicinalProductDefinition, as the head repeats them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RootVersion {
    pub(crate) version_id: i64,
    pub(crate) last_updated: OffsetDateTime,
}

/// Writes all derived rows of `product`, and of the products that show a reference to it if that now matters.
pub(crate) async fn write(
    db: &mut Db<'_>,
    matrix: &AccessMatrix,
    product: &Product,
    root: RootVersion,
    before: Option<&ProductHead>,
) -> Result<(), StoreError> {
    let gates = write_one(db, matrix, product, root, before).await?;
    let referable_before = before.map_or(0, |head| head.gates & REFERABLE);
    if referable_before != gates & REFERABLE {
        for referrer in
            column(db, "SELECT product_id FROM product_targets WHERE target_id = $1", product.id()).await?
        {
            if referrer != product.id() {
                look_again_one(db, matrix, &referrer).await?;
            }
        }
    }
    Ok(())
}

/// Derives and writes the rows of a stored product anew, with everything that hangs on it.
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

async fn look_again_one(db: &mut Db<'_>, matrix: &AccessMatrix, product_id: &str) -> Result<(), StoreError> {
    if let Some((product, root, head)) = stored(db, product_id).await? {
        write_one(db, matrix, &product, root, Some(&head)).await?;
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

async fn write_one(
    db: &mut Db<'_>,
    matrix: &AccessMatrix,
    product: &Product,
    root: RootVersion,
    before: Option<&ProductHead>,
) -> Result<i64, StoreError> {
    let product_id = product.id();
    let facts = products::known_facts(db, product).await?;
    let targets = products::known_targets(db, product).await?;
    let gates = audience::readable(audience::gates(matrix, &facts), |column| {
        View::new(matrix, column, &facts, product, &targets).is_some()
    });
    let owners: Vec<&str> = facts.owners.iter().map(pms_terms::OrganisationId::as_str).collect();
    let change_seq = next_change(db).await?;
    on_db!(db, conn => sqlx::query(
        "INSERT INTO products (product_id, revision, change_seq, gates, owners, version_id, last_updated)
         VALUES ($1, 1, $2, $3, $4, $5, $6)
         ON CONFLICT (product_id) DO UPDATE SET revision = products.revision + 1, change_seq = excluded.change_seq,
             gates = excluded.gates, owners = excluded.owners, version_id = excluded.version_id,
             last_updated = excluded.last_updated"
    ).bind(product_id).bind(change_seq).bind(gates).bind(owners.join(" ")).bind(root.version_id)
     .bind(database::micros(root.last_updated)).execute(conn).await.map(|_| ()))?;
    if before.is_some() {
        forget(db, product_id).await?;
    }
    insert(
        db,
        "product_members (product_id, resource_type, resource_id, present)",
        &members(product),
        |row, key| {
            row.text(product_id).push(", ").text(key.0.resource_type.as_str()).push(", ").text(&key.0.id);
            row.push(if key.1 { ", TRUE" } else { ", FALSE" });
        },
    )
    .await?;
    insert(db, "product_owners (organisation, product_id)", &owners, |row, owner| {
        row.text(*owner).push(", ").text(product_id);
    })
    .await?;
    let locations: BTreeSet<_> = facts::holder_locations(product).into_iter().collect();
    insert(db, "product_locations (location_id, product_id)", &Vec::from_iter(locations), |row, location| {
        row.text(location.as_str()).push(", ").text(product_id);
    })
    .await?;
    let mentioned = Vec::from_iter(links::cross_references(product));
    insert(db, "product_targets (target_id, product_id)", &mentioned, |row, target| {
        row.text(target).push(", ").text(product_id);
    })
    .await?;
    write_values(db, product_id, &search::values(matrix, &facts, product, &targets)).await?;
    Ok(gates)
}

/// The product's resources, and with `false` those that it refers to and that are not there.
fn members(product: &Product) -> Vec<(ResourceKey, bool)> {
    let present: BTreeSet<ResourceKey> = product.resources().filter_map(fhir_model::resource_key).collect();
    let mentioned: BTreeSet<ResourceKey> = product
        .resources()
        .flat_map(links::references)
        .map(|link| link.key)
        .filter(|key| key.resource_type != ResourceType::MedicinalProductDefinition && !present.contains(key))
        .collect();
    present.into_iter().map(|key| (key, true)).chain(mentioned.into_iter().map(|key| (key, false))).collect()
}

async fn write_values(db: &mut Db<'_>, product_id: &str, values: &[IndexedValue]) -> Result<(), StoreError> {
    let mut tokens = Vec::new();
    let mut strings = Vec::new();
    for value in values {
        let visible_to = value.visible_to.bits();
        match &value.value {
            SearchValue::Token { system, code } => {
                tokens.push((value.parameter, system.clone().unwrap_or_default(), code.clone(), visible_to));
            }
            SearchValue::Reference { resource_type, id } => {
                tokens.push((value.parameter, resource_type.clone(), id.clone(), visible_to));
            }
            SearchValue::Text { normalised, exact } => {
                strings.push((value.parameter, normalised.as_str(), exact.as_str(), visible_to));
            }
        }
    }
    insert(db, "search_tokens (product_id, parameter, system, code, visible_to)", &tokens, |row, token| {
        row.text(product_id).push(", ").text(token.0).push(", ").text(&token.1).push(", ").text(&token.2);
        row.push(", ").integer(token.3);
    })
    .await?;
    let columns = "search_strings (product_id, parameter, sort_key, normalised, original, visible_to)";
    insert(db, columns, &strings, |row, string| {
        row.text(product_id).push(", ").text(string.0).push(", ").text(sort_key(string.1));
        row.push(", ").text(string.1).push(", ").text(string.2).push(", ").integer(string.3);
    })
    .await
}

/// A text in hexadecimal: a prefix of the text is a prefix of its key, and keys sort alike under every collation.
pub(crate) fn sort_key(normalised: &str) -> String {
    normalised.bytes().fold(String::with_capacity(normalised.len() * 2), |mut key, byte| {
        let _ = write!(key, "{byte:02x}");
        key
    })
}

async fn insert<T>(
    db: &mut Db<'_>,
    table: &str,
    rows: &[T],
    mut row: impl FnMut(&mut Statement, &T),
) -> Result<(), StoreError> {
    for batch in rows.chunks(BATCH) {
        let mut statement = Statement::new("INSERT INTO ");
        statement.push(table).push(" VALUES ");
        for (n, item) in batch.iter().enumerate() {
            statement.push(if n == 0 { "(" } else { ", (" });
            row(&mut statement, item);
            statement.push(")");
        }
        statement.execute(db).await?;
    }
    Ok(())
}

/// Removes the derived rows of a product, all but its head.
async fn forget(db: &mut Db<'_>, product_id: &str) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM product_members WHERE product_id = $1",
        "DELETE FROM product_owners WHERE product_id = $1",
        "DELETE FROM product_locations WHERE product_id = $1",
        "DELETE FROM product_targets WHERE product_id = $1",
        "DELETE FROM search_tokens WHERE product_id = $1",
        "DELETE FROM search_strings WHERE product_id = $1",
    ] {
        on_db!(db, conn => sqlx::query(sql).bind(product_id).execute(conn).await.map(|_| ()))?;
    }
    Ok(())
}

/// Takes the next place in the order of changes. Other writers wait from here until this unit of work ends, so that
/// places become visible in order.
async fn next_change(db: &mut Db<'_>) -> Result<i64, StoreError> {
    Ok(on_db!(db, conn => sqlx::query_scalar::<_, i64>(
        "UPDATE product_feed SET seq = seq + 1 WHERE id = 1 RETURNING seq"
    ).fetch_one(conn).await)?)
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
    for batch in keys.chunks(BATCH) {
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

async fn column(db: &mut Db<'_>, sql: &'static str, value: &str) -> Result<Vec<String>, StoreError> {
    Ok(on_db!(db, conn => sqlx::query_scalar::<_, String>(sql).bind(value).fetch_all(conn).await)?)
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
    // One pass is enough: `write` follows a changed public gate to the products that refer to it.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_of_a_text_is_a_prefix_of_its_key() {
        assert_eq!(sort_key("añ"), "61c3b1");
        assert!(sort_key("examplol 5 mg").starts_with(&sort_key("examplol")));
    }
}
