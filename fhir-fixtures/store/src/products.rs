//! Products: the small row that decides visibility, the whole product, and the order of changes.

use std::collections::{BTreeMap, BTreeSet};

use database::{Database, DatabaseError, Db, on_db};
use fhir_model::{
    Product, ResourceType,
    access::{Column, Targets},
    facts::{self, ProductFacts},
    links,
};
use pms_terms::{LocationId, OrganisationId};
use sqlx::AssertSqlSafe;
use time::OffsetDateTime;

use crate::{
    Audience, StoreError, StoredResource,
    audience::REFERABLE,
    resources,
    statement::{Statement, bound},
};

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
        "SELECT product_id, revision, gates, owners, version_id, last_updated FROM products WHERE product_id = $1"
    ).bind(product_id).fetch_optional(conn).await)?;
    Ok(row.map(HeadRow::into_head).transpose()?)
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
    /// Which of the other products it refers to may be shown.
    pub targets: Targets,
}

/// Loads a product with everything that belongs to it.
pub async fn find(database: &Database, product_id: &str) -> Result<Option<StoredProduct>, StoreError> {
    let mut reader = database.read().await?;
    let mut db = reader.db();
    // Head first: should a change slip in between, the view is newer than its revision says, and is thrown away with it.
    let Some(head) = head(&mut db, product_id).await? else { return Ok(None) };
    let members = resources::members(&mut db, product_id).await?;
    let Some(product) = assemble(product_id, members) else { return Ok(None) };
    let facts = known_facts(&mut db, &product).await?;
    let targets = known_targets(&mut db, &product).await?;
    Ok(Some(StoredProduct { head, product, facts, targets }))
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
    let wanted: Vec<LocationId> = facts::holder_locations(product);
    let mut known = BTreeMap::new();
    if !wanted.is_empty() {
        let mut statement =
            Statement::new("SELECT location_id, organisation FROM locations WHERE location_id IN ");
        statement.list(wanted.iter().map(LocationId::as_str));
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
    Ok(facts::facts(product, &|location| known.get(location.as_str()).cloned()))
}

/// Which of the products that `product` refers to pass the public gate.
pub(crate) async fn known_targets(db: &mut Db<'_>, product: &Product) -> Result<Targets, StoreError> {
    let wanted: BTreeSet<String> = links::cross_references(product);
    if wanted.is_empty() {
        return Ok(Targets::default());
    }
    let mut statement = Statement::new("SELECT product_id FROM products WHERE (gates & ");
    statement.integer(REFERABLE).push(") <> 0 AND product_id IN ").list(wanted.iter().map(String::as_str));
    let visible = on_db!(db, conn => bound!(
        sqlx::query_scalar::<_, String>(AssertSqlSafe(statement.sql.clone())), statement
    ).fetch_all(conn).await)?;
    Ok(Targets { visible: visible.into_iter().collect() })
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
