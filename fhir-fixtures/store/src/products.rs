//! Products: the small row that decides visibility, the whole product, and the order of changes.

use std::collections::BTreeMap;

use database::{Database, DatabaseError, Db, on_db};
use fhir_model::{
    Product, ResourceType,
    access::{Column, Targets},
    facts::{self, ProductFacts},
    json::Json,
};
use pms_terms::{LocationId, OrganisationId};
use sqlx::AssertSqlSafe;
use time::OffsetDateTime;

use crate::{
    Audience, StoreError, StoredResource, derived,
    resources::{self, VersionRow},
    statement::{Statement, bound},
};

/// How many heads one statement asks for.
const HEADS_BATCH: usize = 500;

/// What is known of a product without looking at its resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductHead {
    /// The product's id: that of its MedicinalProductDefinition.
    pub product_id: String,
    /// Grows with every change of anything that an answer about the product could show.
    pub revision: i64,
    /// One bit per class of callers ([`Audience`]).
    pub gates: i64,
    /// The organisations that hold its marketing authorisations.
    pub owners: Vec<OrganisationId>,
    /// The other products that its resources refer to ([`known_to`] tells which of them a caller may hear of).
    pub mentions: Vec<String>,
    /// The version of its MedicinalProductDefinition.
    pub version_id: i64,
    /// When that version was stored.
    pub last_updated: OffsetDateTime,
}

impl ProductHead {
    /// The column by which `audience` sees the product; nothing when it must not know of it.
    pub fn seen_by(&self, audience: &Audience) -> Option<Column> {
        audience.sees(self.gates, &self.owners)
    }
}

#[derive(Debug, sqlx::FromRow)]
pub(crate) struct HeadRow {
    pub(crate) product_id: String,
    pub(crate) revision: i64,
    pub(crate) gates: i64,
    pub(crate) owners: String,
    pub(crate) mentions: String,
    pub(crate) version_id: i64,
    pub(crate) last_updated: i64,
}

impl HeadRow {
    pub(crate) fn into_head(self) -> Result<ProductHead, DatabaseError> {
        let owners =
            self.owners.split_ascii_whitespace().map(str::parse).collect::<Result<_, _>>().map_err(|_| {
                DatabaseError::Corrupt { table: "products", column: "owners", row: self.product_id.clone() }
            })?;
        Ok(ProductHead {
            product_id: self.product_id,
            revision: self.revision,
            gates: self.gates,
            owners,
            mentions: self.mentions.split_ascii_whitespace().map(str::to_owned).collect(),
            version_id: self.version_id,
            last_updated: database::instant(self.last_updated),
        })
    }
}

/// The head of one product.
pub async fn find_head(database: &Database, product_id: &str) -> Result<Option<ProductHead>, StoreError> {
    let mut reader = database.read().await?;
    head(&mut reader.db(), product_id).await
}

pub(crate) async fn head(db: &mut Db<'_>, product_id: &str) -> Result<Option<ProductHead>, StoreError> {
    let row = on_db!(db, conn => sqlx::query_as::<_, HeadRow>(
        "SELECT product_id, revision, gates, owners, mentions, version_id, last_updated FROM products
         WHERE product_id = $1"
    ).bind(product_id).fetch_optional(conn).await)?;
    Ok(row.map(HeadRow::into_head).transpose()?)
}

/// The heads of those of `ids` that name products.
pub async fn find_heads(database: &Database, ids: &[&str]) -> Result<Vec<ProductHead>, StoreError> {
    let mut reader = database.read().await?;
    heads(&mut reader.db(), ids).await
}

pub(crate) async fn heads(db: &mut Db<'_>, ids: &[&str]) -> Result<Vec<ProductHead>, StoreError> {
    let mut found = Vec::with_capacity(ids.len());
    for batch in ids.chunks(HEADS_BATCH) {
        let mut statement = Statement::new(
            "SELECT product_id, revision, gates, owners, mentions, version_id, last_updated FROM products
             WHERE product_id IN ",
        );
        statement.list(batch.iter().copied());
        let rows = on_db!(db, conn => bound!(
            sqlx::query_as::<_, HeadRow>(AssertSqlSafe(statement.sql.clone())), statement
        ).fetch_all(conn).await)?;
        for row in rows {
            found.push(row.into_head()?);
        }
    }
    Ok(found)
}

/// Those of the products `ids` that `audience` may know of: what a view of a product that mentions them hangs on.
pub async fn known_to(database: &Database, audience: &Audience, ids: &[&str]) -> Result<Targets, StoreError> {
    let mut reader = database.read().await?;
    targets(&mut reader.db(), audience, ids).await
}

/// The same within a unit of work.
pub(crate) async fn targets(
    db: &mut Db<'_>,
    audience: &Audience,
    ids: &[&str],
) -> Result<Targets, StoreError> {
    let found = heads(db, ids).await?;
    let seen = found.into_iter().filter(|head| head.seen_by(audience).is_some());
    Ok(Targets { visible: seen.map(|head| head.product_id).collect() })
}

/// A whole product as stored, with what is needed to decide about it.
#[derive(Clone, Debug)]
pub struct StoredProduct {
    /// Its head, read in the same moment.
    pub head: ProductHead,
    /// The complete product, current versions.
    pub product: Product,
    /// What the matrix's conditions ask about it.
    pub facts: ProductFacts,
}

/// Loads a product with everything that belongs to it.
pub async fn find(database: &Database, product_id: &str) -> Result<Option<StoredProduct>, StoreError> {
    let mut reader = database.read().await?;
    let mut db = reader.db();
    // Head first: should a change slip in between, the view is newer than its revision says, and is thrown away with it.
    let Some(head) = head(&mut db, product_id).await? else { return Ok(None) };
    let found = whole(&mut db, product_id).await?;
    Ok(found.map(|(product, facts)| StoredProduct { head, product, facts }))
}

/// The same for whoever has the head already: the product, and what the matrix's conditions ask about it.
pub async fn find_whole(
    database: &Database,
    head: &ProductHead,
) -> Result<Option<(Product, ProductFacts)>, StoreError> {
    let mut reader = database.read().await?;
    whole(&mut reader.db(), &head.product_id).await
}

async fn whole(db: &mut Db<'_>, product_id: &str) -> Result<Option<(Product, ProductFacts)>, StoreError> {
    let members = resources::members(db, product_id).await?;
    let Some(product) = assemble(product_id, members) else { return Ok(None) };
    let facts = known_facts(db, &product).await?;
    Ok(Some((product, facts)))
}

/// A product's root without the rest, and how it looks to each column: all of one moment.
#[derive(Clone, Debug)]
pub struct StoredRoot {
    /// The product's id.
    pub product_id: String,
    /// The revision of the product that both belong to.
    pub revision: i64,
    /// For [`fhir_model::access::Outline::read`].
    pub outline: String,
    version: VersionRow,
}

impl StoredRoot {
    /// The current version, complete with `meta.versionId` and `meta.lastUpdated`. To read its text is left to whoever
    /// needs it.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it is not JSON.
    pub fn read(&self) -> Result<Json<'_>, StoreError> {
        self.version.read()
    }
}

#[derive(Debug, sqlx::FromRow)]
struct RootRow {
    product_id: String,
    revision: i64,
    outline: String,
    #[sqlx(flatten)]
    version: VersionRow,
}

/// The roots of those of `ids` that name products, in no order. A product that was not looked at since outlines are
/// kept is left out; [`find`] finds it.
pub async fn find_roots(database: &Database, ids: &[&str]) -> Result<Vec<StoredRoot>, StoreError> {
    let mut found = Vec::with_capacity(ids.len());
    let mut reader = database.read().await?;
    let mut db = reader.db();
    for batch in ids.chunks(HEADS_BATCH) {
        // One statement sees one moment: no change can slip in between.
        let mut statement = Statement::new(
            "SELECT p.product_id, p.revision, o.outline,
                 v.resource_type, v.resource_id, v.version_id, v.last_updated, v.body
             FROM products p
             JOIN product_outlines o ON o.product_id = p.product_id
             JOIN resource_versions v ON v.resource_type = 'MedicinalProductDefinition'
                 AND v.resource_id = p.product_id AND v.version_id = p.version_id
             WHERE p.product_id IN ",
        );
        statement.list(batch.iter().copied());
        let rows = on_db!(&mut db, conn => bound!(
            sqlx::query_as::<_, RootRow>(AssertSqlSafe(statement.sql.clone())), statement
        ).fetch_all(conn).await)?;
        found.extend(rows.into_iter().map(|RootRow { product_id, revision, outline, version }| StoredRoot {
            product_id,
            revision,
            outline,
            version,
        }));
    }
    Ok(found)
}

/// Root and parts from members in any order.
pub(crate) fn assemble(product_id: &str, members: Vec<StoredResource>) -> Option<Product> {
    let (mut roots, parts): (Vec<_>, Vec<_>) = members.into_iter().partition(|member| {
        member.key.resource_type == ResourceType::MedicinalProductDefinition && member.key.id == product_id
    });
    let root = roots.pop()?;
    Some(Product::new(root.body, parts.into_iter().map(|part| part.body).collect()))
}

/// The facts of a product, with its holders' locations looked up.
pub(crate) async fn known_facts(db: &mut Db<'_>, product: &Product) -> Result<ProductFacts, StoreError> {
    let wanted = facts::holder_locations(product);
    Ok(derived::facts_with(product, &organisations_of(db, &wanted).await?))
}

/// The organisations that locations belong to, as far as they are known.
pub(crate) async fn organisations_of(
    db: &mut Db<'_>,
    wanted: &[LocationId],
) -> Result<BTreeMap<String, OrganisationId>, StoreError> {
    let mut known = BTreeMap::new();
    for batch in wanted.chunks(HEADS_BATCH) {
        let mut statement =
            Statement::new("SELECT location_id, organisation FROM locations WHERE location_id IN ");
        statement.list(batch.iter().map(LocationId::as_str));
        let rows = on_db!(db, conn => bound!(
            sqlx::query_as::<_, (String, String)>(AssertSqlSafe(statement.sql.clone())), statement
        ).fetch_all(conn).await)?;
        for (location, organisation) in rows {
            let organisation: OrganisationId = organisation.parse().map_err(|_| DatabaseError::Corrupt {
                table: "locations",
                column: "organisation",
                row: location.clone(),
            })?;
            known.insert(location, organisation);
        }
    }
    Ok(known)
}

/// A product that changed, and its place in the order of changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductChange {
    /// The product.
    pub product_id: String,
    /// Its place.
    pub change_seq: i64,
}

/// The place of the latest change.
pub async fn latest_change(database: &Database) -> Result<i64, StoreError> {
    let mut reader = database.read().await?;
    let mut db = reader.db();
    Ok(on_db!(&mut db, conn => sqlx::query_scalar::<_, i64>("SELECT seq FROM product_feed WHERE id = 1")
        .fetch_one(conn).await)?)
}

/// The products changed after `after`, in order, at most `limit`; a product stands at its latest change only.
pub async fn changes_after(
    database: &Database,
    after: i64,
    limit: i64,
) -> Result<Vec<ProductChange>, StoreError> {
    let mut reader = database.read().await?;
    let mut db = reader.db();
    let mut statement = Statement::new("SELECT product_id, change_seq FROM products WHERE change_seq > ");
    statement.integer(after).push(" ORDER BY change_seq").limit(limit);
    let rows = on_db!(&mut db, conn => bound!(
        sqlx::query_as::<_, (String, i64)>(AssertSqlSafe(statement.sql.clone())), statement
    ).fetch_all(conn).await)?;
    Ok(rows.into_iter().map(|(product_id, change_seq)| ProductChange { product_id, change_seq }).collect())
}

/// The ids of the products after `after`, in order, at most `limit`: all, or those of one holder.
pub(crate) async fn ids_after(
    db: &mut Db<'_>,
    after: &str,
    owner: Option<&OrganisationId>,
    limit: i64,
) -> Result<Vec<String>, StoreError> {
    let mut statement = match owner {
        None => Statement::new("SELECT product_id FROM products WHERE "),
        Some(owner) => {
            let mut statement = Statement::new("SELECT product_id FROM product_owners WHERE organisation = ");
            statement.text(owner.as_str()).push(" AND ");
            statement
        }
    };
    statement.push("product_id > ").text(after).push(" ORDER BY product_id").limit(limit);
    Ok(on_db!(db, conn => bound!(
        sqlx::query_scalar::<_, String>(AssertSqlSafe(statement.sql.clone())), statement
    ).fetch_all(conn).await)?)
}

/// How many products there are, or one holder has.
pub(crate) async fn count_of(db: &mut Db<'_>, owner: Option<&OrganisationId>) -> Result<u64, StoreError> {
    let mut statement = Statement::new("SELECT COUNT(*) FROM ");
    match owner {
        None => statement.push("products"),
        Some(owner) => statement.push("product_owners WHERE organisation = ").text(owner.as_str()),
    };
    let counted = on_db!(db, conn => bound!(
        sqlx::query_scalar::<_, i64>(AssertSqlSafe(statement.sql.clone())), statement
    ).fetch_one(conn).await)?;
    Ok(u64::try_from(counted).unwrap_or_default())
}

/// Every `step`-th id of all products.
pub async fn ids_by_steps(database: &Database, step: usize) -> Result<Vec<String>, StoreError> {
    let mut reader = database.read().await?;
    let mut db = reader.db();
    let ids = on_db!(&mut db, conn => sqlx::query_scalar::<_, String>(
        "SELECT product_id FROM products ORDER BY product_id"
    ).fetch_all(conn).await)?;
    Ok(ids.into_iter().step_by(step.max(1)).collect())
}

/// The greatest id of a product from `from` to `to`, both included.
pub async fn last_id_between(
    database: &Database,
    from: &str,
    to: &str,
) -> Result<Option<String>, StoreError> {
    let mut reader = database.read().await?;
    let mut db = reader.db();
    Ok(on_db!(&mut db, conn => sqlx::query_scalar::<_, Option<String>>(
        "SELECT MAX(product_id) FROM products WHERE product_id >= $1 AND product_id <= $2"
    ).bind(from).bind(to).fetch_one(conn).await)?)
}

/// How much is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreStatus {
    /// Products.
    pub products: i64,
    /// Resources, shared ones once.
    pub resources: i64,
    /// Versions of resources.
    pub versions: i64,
}

/// Counts what is stored.
pub async fn status(database: &Database) -> Result<StoreStatus, StoreError> {
    let mut reader = database.read().await?;
    let mut db = reader.db();
    let (products, resources, versions) = on_db!(&mut db, conn => sqlx::query_as::<_, (i64, i64, i64)>(
        "SELECT (SELECT COUNT(*) FROM products), (SELECT COUNT(*) FROM resources),
                (SELECT COUNT(*) FROM resource_versions)"
    ).fetch_one(conn).await)?;
    Ok(StoreStatus { products, resources, versions })
}
