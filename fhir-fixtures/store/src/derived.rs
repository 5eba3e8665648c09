//! The rows derived from a product, as one value: worked out without a database, written for many products at once,
//! and compared with what stands there when the store is verified.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use database::{Db, on_db};
use fhir_model::{
    Product, ResourceKey, ResourceType,
    access::{AccessMatrix, Targets},
    facts::{self, ProductFacts},
    links,
    search::{self, Indexed, IndexedValue, SearchValue},
};
use pms_terms::OrganisationId;

use crate::{
    ProductHead, StoreError, audience,
    statement::{Statement, rows_at_once},
};

/// The most values that a row here has.
const VALUES: usize = 6;

/// Everything that is kept beside a product so that it can be found and decided about. Rows are in order, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Derived {
    pub(crate) gates: i64,
    /// Organisations.
    pub(crate) owners: Vec<String>,
    /// Type, id, and whether it is there: what a product refers to and misses is kept with `false`.
    pub(crate) members: Vec<(String, String, bool)>,
    /// Locations that hold an authorisation.
    pub(crate) locations: Vec<String>,
    /// Other products that this one refers to; they stand in its head.
    pub(crate) mentions: Vec<String>,
    pub(crate) tokens: Vec<TokenRow>,
    pub(crate) strings: Vec<StringRow>,
    /// How its root looks to each column: one text.
    pub(crate) outline: Vec<String>,
}

/// A code, an identifier or a reference by which a product is found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, sqlx::FromRow)]
pub(crate) struct TokenRow {
    pub(crate) parameter: String,
    pub(crate) system: String,
    pub(crate) code: String,
    pub(crate) visible_to: i64,
}

/// A text by which a product is found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, sqlx::FromRow)]
pub(crate) struct StringRow {
    pub(crate) parameter: String,
    pub(crate) sort_key: String,
    pub(crate) normalised: String,
    pub(crate) original: String,
    pub(crate) visible_to: i64,
}

/// Works out what is derived from a complete, current product, each resource with its version and time. None of it hangs on another product: what is shown of
/// those it mentions is decided for each reader, so index and outline take the view of a reader who knows none of them.
pub(crate) fn derive(matrix: &AccessMatrix, product: &Product, facts: &ProductFacts) -> Derived {
    let Indexed { values, seeing, outline } = search::index(matrix, facts, product, &Targets::default());
    let gates = audience::readable(audience::gates(matrix, facts), |column| seeing.contains(column));
    let (tokens, strings) = rows(values);
    Derived {
        gates,
        owners: facts.owners.iter().map(|owner| owner.as_str().to_owned()).collect(),
        members: members(product),
        locations: facts::holder_locations(product)
            .into_iter()
            .map(|location| location.as_str().to_owned())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
        mentions: links::cross_references(product).into_iter().collect(),
        tokens,
        strings,
        outline: vec![outline.text()],
    }
}

/// The facts of a product whose holders' locations belong to these organisations.
pub(crate) fn facts_with(product: &Product, locations: &BTreeMap<String, OrganisationId>) -> ProductFacts {
    facts::facts(product, &|location| locations.get(location.as_str()).cloned())
}

/// The product's resources, and with `false` those that it refers to and that are not there.
fn members(product: &Product) -> Vec<(String, String, bool)> {
    let present: BTreeSet<ResourceKey> = product.resources().filter_map(fhir_model::resource_key).collect();
    let missing: BTreeSet<ResourceKey> = product
        .resources()
        .flat_map(links::references)
        .map(|link| link.key)
        .filter(|key| key.resource_type != ResourceType::MedicinalProductDefinition && !present.contains(key))
        .collect();
    let row = |key: ResourceKey, there| (key.resource_type.as_str().to_owned(), key.id, there);
    let mut rows: Vec<_> = present
        .into_iter()
        .map(|key| row(key, true))
        .chain(missing.into_iter().map(|key| row(key, false)))
        .collect();
    rows.sort_unstable();
    rows
}

fn rows(values: Vec<IndexedValue>) -> (Vec<TokenRow>, Vec<StringRow>) {
    let (mut tokens, mut strings) = (Vec::new(), Vec::new());
    for IndexedValue { parameter, value, visible_to } in values {
        let (parameter, visible_to) = (parameter.to_owned(), visible_to.bits());
        match value {
            SearchValue::Token { system, code } => {
                tokens.push(TokenRow { parameter, system: system.unwrap_or_default(), code, visible_to });
            }
            SearchValue::Reference { resource_type, id } => {
                tokens.push(TokenRow { parameter, system: resource_type, code: id, visible_to });
            }
            SearchValue::Text { normalised, exact } => {
                let sort_key = sort_key(&normalised);
                strings.push(StringRow { parameter, sort_key, normalised, original: exact, visible_to });
            }
        }
    }
    tokens.sort_unstable();
    strings.sort_unstable();
    (tokens, strings)
}

/// A text in hexadecimal: a prefix of the text is a prefix of its key, and keys sort alike under every collation.
pub(crate) fn sort_key(normalised: &str) -> String {
    normalised.bytes().fold(String::with_capacity(normalised.len() * 2), |mut key, byte| {
        let _ = write!(key, "{byte:02x}");
        key
    })
}

/// Writes the rows of products that have none: their ids, and what was derived from them.
pub(crate) async fn insert(db: &mut Db<'_>, all: &[(&str, &Derived)]) -> Result<(), StoreError> {
    let members = each(all, |derived| &derived.members);
    insert_into(
        db,
        "product_members (product_id, resource_type, resource_id, present)",
        &members,
        |row, (resource_type, id, present)| {
            row.push(", ").text(resource_type).push(", ").text(id);
            row.push(if *present { ", TRUE" } else { ", FALSE" });
        },
    )
    .await?;
    let one = |row: &mut Statement, value: &String| {
        row.push(", ").text(value);
    };
    let owners = each(all, |derived| &derived.owners);
    insert_into(db, "product_owners (product_id, organisation)", &owners, one).await?;
    let locations = each(all, |derived| &derived.locations);
    insert_into(db, "product_locations (product_id, location_id)", &locations, one).await?;
    let outlines = each(all, |derived| &derived.outline);
    insert_into(db, "product_outlines (product_id, outline)", &outlines, one).await?;
    let tokens = each(all, |derived| &derived.tokens);
    let columns = "search_tokens (product_id, parameter, system, code, visible_to)";
    insert_into(db, columns, &tokens, |row, token| {
        row.push(", ").text(&token.parameter).push(", ").text(&token.system);
        row.push(", ").text(&token.code).push(", ").integer(token.visible_to);
    })
    .await?;
    let strings = each(all, |derived| &derived.strings);
    let columns = "search_strings (product_id, parameter, sort_key, normalised, original, visible_to)";
    insert_into(db, columns, &strings, |row, string| {
        row.push(", ").text(&string.parameter).push(", ").text(&string.sort_key);
        row.push(", ").text(&string.normalised).push(", ").text(&string.original);
        row.push(", ").integer(string.visible_to);
    })
    .await
}

/// All rows of one kind, each with its product.
fn each<'d, T>(
    all: &[(&'d str, &'d Derived)],
    rows: impl Fn(&'d Derived) -> &'d Vec<T>,
) -> Vec<(&'d str, &'d T)> {
    all.iter()
        .flat_map(|&(product_id, derived)| rows(derived).iter().map(move |row| (product_id, row)))
        .collect()
}

async fn insert_into<T>(
    db: &mut Db<'_>,
    table: &str,
    rows: &[(&str, &T)],
    values: impl Fn(&mut Statement, &T),
) -> Result<(), StoreError> {
    for batch in rows.chunks(rows_at_once(db, VALUES)) {
        let mut statement = Statement::new("INSERT INTO ");
        statement.push(table).push(" VALUES ");
        for (n, (product_id, row)) in batch.iter().enumerate() {
            statement.push(if n == 0 { "(" } else { ", (" }).text(*product_id);
            values(&mut statement, row);
            statement.push(")");
        }
        statement.execute(db).await?;
    }
    Ok(())
}

/// Removes the derived rows of a product, all but its head.
pub(crate) async fn forget(db: &mut Db<'_>, product_id: &str) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM product_members WHERE product_id = $1",
        "DELETE FROM product_owners WHERE product_id = $1",
        "DELETE FROM product_locations WHERE product_id = $1",
        "DELETE FROM product_outlines WHERE product_id = $1",
        "DELETE FROM search_tokens WHERE product_id = $1",
        "DELETE FROM search_strings WHERE product_id = $1",
    ] {
        on_db!(db, conn => sqlx::query(sql).bind(product_id).execute(conn).await.map(|_| ()))?;
    }
    Ok(())
}

/// What stands in the tables for a product, in the order of [`derive()`]; gates and what it mentions are in its head.
pub(crate) async fn stored(db: &mut Db<'_>, head: &ProductHead) -> Result<Derived, StoreError> {
    let product_id = head.product_id.as_str();
    let mut members = on_db!(db, conn => sqlx::query_as::<_, (String, String, bool)>(
        "SELECT resource_type, resource_id, present FROM product_members WHERE product_id = $1"
    ).bind(product_id).fetch_all(conn).await)?;
    let mut tokens = on_db!(db, conn => sqlx::query_as::<_, TokenRow>(
        "SELECT parameter, system, code, visible_to FROM search_tokens WHERE product_id = $1"
    ).bind(product_id).fetch_all(conn).await)?;
    let mut strings = on_db!(db, conn => sqlx::query_as::<_, StringRow>(
        "SELECT parameter, sort_key, normalised, original, visible_to FROM search_strings WHERE product_id = $1"
    ).bind(product_id).fetch_all(conn).await)?;
    let mut owners =
        texts(db, "SELECT organisation FROM product_owners WHERE product_id = $1", product_id).await?;
    let mut locations =
        texts(db, "SELECT location_id FROM product_locations WHERE product_id = $1", product_id).await?;
    let outline = texts(db, "SELECT outline FROM product_outlines WHERE product_id = $1", product_id).await?;
    owners.sort_unstable();
    members.sort_unstable();
    locations.sort_unstable();
    tokens.sort_unstable();
    strings.sort_unstable();
    let (gates, mentions) = (head.gates, head.mentions.clone());
    Ok(Derived { gates, owners, members, locations, mentions, tokens, strings, outline })
}

async fn texts(db: &mut Db<'_>, sql: &'static str, product_id: &str) -> Result<Vec<String>, StoreError> {
    Ok(on_db!(db, conn => sqlx::query_scalar::<_, String>(sql).bind(product_id).fetch_all(conn).await)?)
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
