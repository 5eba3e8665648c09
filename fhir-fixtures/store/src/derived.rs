//! The rows derived from a product, as one value: worked out without a database, written for many products at once,
//! and compared with what stands there when the store is verified.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use aws_lc_rs::digest::{SHA256, digest};
use database::{Db, on_db};
use fhir_model::{
    Product, ResourceKey, ResourceType,
    access::AccessMatrix,
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
const VALUES: usize = 7;

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
    pub(crate) code: String,
    pub(crate) system: String,
    pub(crate) seen_by: i64,
}

/// A text by which a product is found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, sqlx::FromRow)]
pub(crate) struct StringRow {
    pub(crate) parameter: String,
    pub(crate) sort_key: String,
    pub(crate) normalised: String,
    pub(crate) original: String,
    pub(crate) seen_by: i64,
}

impl Derived {
    /// What the product refers to and misses.
    pub(crate) fn missed(&self) -> impl Iterator<Item = ResourceKey> {
        self.members.iter().filter(|(_, _, present)| !present).filter_map(|(resource_type, id, _)| {
            Some(ResourceKey::new(resource_type.parse().ok()?, id.as_str()))
        })
    }
}

/// Works out what is derived from a complete, current product, each resource with its version and time. None of it hangs on another product: what is shown of
/// those it mentions is decided for each reader, so the index takes the view of a reader who knows none of them, and the outline
/// has that and the view of one who knows them all.
pub(crate) fn derive(matrix: &AccessMatrix, product: &Product, facts: &ProductFacts) -> Derived {
    let mentions = links::cross_references(product);
    let Indexed { values, seeing, outline } = search::index(matrix, facts, product, &mentions);
    let gates = audience::seeing(audience::gates(matrix, facts), seeing);
    let (tokens, strings) = rows(values, gates);
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
        mentions: mentions.into_iter().collect(),
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
        .flat_map(links::targets)
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

fn rows(values: Vec<IndexedValue>, gates: i64) -> (Vec<TokenRow>, Vec<StringRow>) {
    let (mut tokens, mut strings) = (BTreeMap::new(), Vec::new());
    for IndexedValue { parameter, value, visible_to } in values {
        let seen_by = audience::without_needless_marks(audience::seeing(gates, visible_to));
        let parameter = parameter.to_owned();
        let (system, code) = match value {
            SearchValue::Token { system, code } => (system.unwrap_or_default(), code),
            SearchValue::Reference { resource_type, id } => (resource_type, id),
            SearchValue::Text { normalised, exact } => {
                let sort_key = sort_key(&normalised);
                strings.push(StringRow { parameter, sort_key, normalised, original: exact, seen_by });
                continue;
            }
        };
        // An empty system and none are one.
        *tokens.entry((parameter, code_key(&code).into_owned(), system)).or_default() |= seen_by;
    }
    strings.sort_unstable();
    let token = |((parameter, code, system), seen_by)| TokenRow { parameter, code, system, seen_by };
    (tokens.into_iter().map(token).collect(), strings)
}

/// A text's key has no more than so many bytes of it: an index cannot take any length, and few texts are longer.
const KEY_BYTES: usize = 100;

/// The start of a text in hexadecimal: keys sort alike under every collation, and a prefix of the text that is not longer
/// is a prefix of its key.
pub(crate) fn sort_key(normalised: &str) -> String {
    let bytes = normalised.as_bytes();
    hex::encode(bytes.get(..KEY_BYTES).unwrap_or(bytes))
}

/// Whether the key says all of the text.
pub(crate) const fn is_whole_in_key(normalised: &str) -> bool {
    normalised.len() <= KEY_BYTES
}

/// A code as the index holds it: itself, or of a very long one its start and its digest.
pub(crate) fn code_key(code: &str) -> Cow<'_, str> {
    const LONG: usize = 200;
    if code.len() <= LONG {
        return Cow::Borrowed(code);
    }
    let start = &code[..code.floor_char_boundary(LONG)];
    Cow::Owned(format!("{start}…{}", hex::encode(digest(&SHA256, code.as_bytes()))))
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
    let columns = "search_tokens (product_id, parameter, code, system, seen_by)";
    insert_into(db, columns, &tokens, |row, token| {
        row.push(", ").text(&token.parameter).push(", ").text(&token.code);
        row.push(", ").text(&token.system).push(", ").integer(token.seen_by);
    })
    .await?;
    let strings: Vec<(&str, (usize, &StringRow))> = all
        .iter()
        .flat_map(|&(product_id, derived)| {
            derived.strings.iter().enumerate().map(move |row| (product_id, row))
        })
        .collect();
    let strings: Vec<_> = strings.iter().map(|(product_id, row)| (*product_id, row)).collect();
    let columns = "search_strings (product_id, parameter, place, sort_key, normalised, original, seen_by)";
    insert_into(db, columns, &strings, |row, (place, string)| {
        row.push(", ").text(&string.parameter).push(", ").integer(i64::try_from(*place).unwrap_or(i64::MAX));
        row.push(", ").text(&string.sort_key).push(", ").text(&string.normalised);
        row.push(", ").text(&string.original).push(", ").integer(string.seen_by);
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
        "SELECT parameter, code, system, seen_by FROM search_tokens WHERE product_id = $1"
    ).bind(product_id).fetch_all(conn).await)?;
    let strings = on_db!(db, conn => sqlx::query_as::<_, StringRow>(
        "SELECT parameter, sort_key, normalised, original, seen_by FROM search_strings WHERE product_id = $1
         ORDER BY place"
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
        assert_eq!(sort_key(&"a".repeat(101)), "61".repeat(100));
        assert!(is_whole_in_key(&"a".repeat(100)) && !is_whole_in_key(&"a".repeat(101)));
    }

    #[test]
    fn very_long_codes_are_told_apart_by_a_short_key() {
        let (one, other) = ("é".repeat(500), format!("{}x", "é".repeat(500)));
        assert_eq!(code_key("SECRET-1"), "SECRET-1");
        assert_ne!(code_key(&one), code_key(&other));
        assert!(code_key(&one).len() < 300);
    }
}
