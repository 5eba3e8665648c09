//! The order of a search's answer, and places in it: keys that stay comparable while products come and go.

use crate::{
    Audience, ProductHead, StoreError,
    products::HeadRow,
    statement::{Bind, Statement},
};

use super::{Clause, conditions};

/// The columns of a product's head, of the product `p`.
pub(super) const HEAD: &str =
    "p.product_id, p.revision, p.gates, p.owners, p.mentions, p.version_id, p.last_updated";

/// The columns of a [`SortedRow`], of the rows `q`.
pub(super) const SORTED: &str = "q.product_id, q.revision, q.gates, q.owners, q.mentions, q.version_id, \
    q.last_updated, q.name_key, q.status_key";

/// What products can be ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortBy {
    /// The product's id.
    Id,
    /// When the product's MedicinalProductDefinition was stored.
    LastUpdated,
    /// The first of the names that the viewer sees, case and accents aside, by its first 100 bytes.
    Name,
    /// The code of the status, as the index holds it.
    Status,
}

/// The column of a [`SortedRow`] that says that nobody counted.
pub(super) const NOT_COUNTED: &str = "CAST(-1 AS BIGINT) AS counted";

/// One key of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortKey {
    /// What it compares.
    pub by: SortBy,
    /// Whether the greatest comes first.
    pub descending: bool,
}

/// A total order of products: it always ends with the id, which no two share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sort(Vec<SortKey>);

/// A place in an order: the values of its keys for the last product of a page, as that page showed them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position(Vec<Bind>);

impl Default for Sort {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl Sort {
    /// An order by these keys, each taken where it is named first, then by id.
    pub fn new(keys: &[SortKey]) -> Self {
        let mut whole: Vec<SortKey> = Vec::new();
        for key in keys.iter().take_while(|key| key.by != SortBy::Id) {
            if !whole.iter().any(|known| known.by == key.by) {
                whole.push(*key);
            }
        }
        let id = keys.iter().copied().find(|key| key.by == SortBy::Id);
        whole.push(id.unwrap_or(SortKey { by: SortBy::Id, descending: false }));
        Self(whole)
    }

    /// Whether a key compares this.
    pub(super) fn needs(&self, by: SortBy) -> Option<SortKey> {
        self.0.iter().copied().find(|key| key.by == by)
    }

    /// The position that [`Position::fields`] wrote, if it is one of this order.
    pub fn position(&self, fields: Vec<String>) -> Option<Position> {
        if fields.len() != self.0.len() {
            return None;
        }
        self.0
            .iter()
            .zip(fields)
            .map(|(key, field)| match key.by {
                SortBy::LastUpdated => field.parse().ok().map(Bind::Integer),
                SortBy::Id | SortBy::Name | SortBy::Status => Some(Bind::Text(field)),
            })
            .collect::<Option<_>>()
            .map(Position)
    }

    /// Where `row` stands.
    pub(super) fn place(&self, row: &SortedRow) -> Position {
        let of = |key: &SortKey| match key.by {
            SortBy::Id => Bind::Text(row.product_id.clone()),
            SortBy::LastUpdated => Bind::Integer(row.last_updated),
            SortBy::Name => Bind::Text(row.name_key.clone()),
            SortBy::Status => Bind::Text(row.status_key.clone()),
        };
        Position(self.0.iter().map(of).collect())
    }

    /// ` AND (…)`: rows of `q` after `position`. For keys a, b, c: a after, or a equal and b after, and so on.
    pub(super) fn after(&self, statement: &mut Statement, position: &Position) {
        let mut open = 0;
        for (n, (key, value)) in self.0.iter().zip(&position.0).enumerate() {
            if n > 0 {
                statement.push(" OR (");
                if let (Some(previous), Some(value)) = (self.0.get(n - 1), position.0.get(n - 1)) {
                    statement.push(previous.column()).push(" = ").bind(value.clone()).push(" AND ");
                }
                open += 1;
            }
            statement.push("(").push(key.column()).push(if key.descending { " < " } else { " > " });
            statement.bind(value.clone());
            open += 1;
        }
        statement.push(&")".repeat(open));
    }

    /// Whether ids alone decide.
    pub(super) fn is_by_id(&self) -> bool {
        matches!(*self.0.as_slice(), [SortKey { by: SortBy::Id, .. }])
    }

    /// ` AND … ORDER BY …`: the ids of `table` after `position` in an order [by id](Self::is_by_id).
    pub(super) fn ids_from(&self, statement: &mut Statement, table: &str, position: Option<&Position>) {
        let descending = self.needs(SortBy::Id).is_some_and(|key| key.descending);
        if let Some(id) = position.and_then(|Position(fields)| fields.last()) {
            statement.push(" AND ").push(table).push(".product_id").push(if descending {
                " < "
            } else {
                " > "
            });
            statement.bind(id.clone());
        }
        statement.push(" ORDER BY ").push(table).push(".product_id").push(if descending {
            " DESC"
        } else {
            ""
        });
    }

    /// ` ORDER BY …` over the columns of `q`.
    pub(super) fn order(&self, statement: &mut Statement) {
        for (n, key) in self.0.iter().enumerate() {
            statement.push(if n == 0 { " ORDER BY " } else { ", " }).push(key.column());
            if key.descending {
                statement.push(" DESC");
            }
        }
    }
}

impl SortKey {
    const fn column(self) -> &'static str {
        match self.by {
            SortBy::Id => "q.product_id",
            SortBy::LastUpdated => "q.last_updated",
            SortBy::Name => "q.name_key",
            SortBy::Status => "q.status_key",
        }
    }
}

impl Position {
    /// Its values as texts, the id last: all of them were on the page that it closes.
    pub fn fields(&self) -> Vec<String> {
        let text = |value: &Bind| match value {
            Bind::Text(text) => text.clone(),
            Bind::Integer(number) => number.to_string(),
        };
        self.0.iter().map(text).collect()
    }
}

/// A head with the keys it is sorted by.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct SortedRow {
    product_id: String,
    revision: i64,
    gates: i64,
    owners: String,
    mentions: String,
    version_id: i64,
    last_updated: i64,
    name_key: String,
    status_key: String,
    /// How many match in all, or less than nothing.
    counted: i64,
}

impl SortedRow {
    /// How many match in all, if they were counted.
    pub(super) fn counted(&self) -> Option<i64> {
        (self.counted >= 0).then_some(self.counted)
    }

    pub(super) fn into_head(self) -> Result<ProductHead, StoreError> {
        let Self { product_id, revision, gates, owners, mentions, version_id, last_updated, .. } = self;
        Ok(HeadRow { product_id, revision, gates, owners, mentions, version_id, last_updated }.into_head()?)
    }
}

/// Where the values stand that products are sorted by.
struct Values {
    table: &'static str,
    parameter: &'static str,
    /// What is compared: an index has it in order.
    key: &'static str,
    /// The order of a product's own values, of `t` and `v`, in which the one with the first key is the first.
    own: (&'static str, &'static str),
}

const NAMES: Values =
    Values { table: "search_strings", parameter: "name", key: "sort_key", own: ("t.place", "v.place") };

const STATUSES: Values = Values {
    table: "search_tokens",
    parameter: "status",
    key: "code",
    own: ("(t.code, t.system)", "(v.code, v.system)"),
};

impl Values {
    fn of(by: SortBy) -> Option<&'static Self> {
        match by {
            SortBy::Name => Some(&NAMES),
            SortBy::Status => Some(&STATUSES),
            SortBy::Id | SortBy::LastUpdated => None,
        }
    }
}

/// `, … AS name_key, … AS status_key`: from values that the viewer sees, of several the one that comes first in this
/// order; products without one come last.
pub(super) fn keys(statement: &mut Statement, audience: &Audience, sort: &Sort) {
    for (by, alias) in [(SortBy::Name, "name_key"), (SortBy::Status, "status_key")] {
        match (sort.needs(by), Values::of(by)) {
            (Some(SortKey { descending, .. }), Some(values)) => {
                let Values { table, parameter, key, .. } = values;
                let first = if descending { "MAX" } else { "MIN" };
                // The concatenation keeps SQLite from walking along all values of the parameter to the product's first.
                statement.push(&format!(
                    ", COALESCE((SELECT {first}(k.{key}) FROM {table} k \
                     WHERE k.product_id = p.product_id AND (k.parameter || '') = '{parameter}' AND "
                ));
                conditions::seen(statement, audience, "k", "seen_by");
                // 'g' follows every hexadecimal digit, and every code: those of the lists are digits.
                statement.push(if descending { "), '')" } else { "), 'g')" });
            }
            _ => {
                statement.push(", ''");
            }
        }
        statement.push(" AS ").push(alias);
    }
}

/// The statement that finds a page of at most `rows` by walking along the values of the first key, without looking at
/// products that stand elsewhere; nothing when the order is not one that can be walked. It does not find products
/// without a value.
pub(super) fn walk(
    audience: &Audience,
    sort: &Sort,
    after: Option<&Position>,
    rows: i64,
    clauses: &[Clause],
) -> Option<Statement> {
    let [SortKey { by, descending }, SortKey { by: SortBy::Id, descending: false }] = *sort.0.as_slice()
    else {
        return None;
    };
    let Values { table, parameter, key, own: (other, this) } = Values::of(by)?;
    let (name_key, status_key) = if by == SortBy::Name { ("w.key", "''") } else { ("''", "w.key") };
    let mut statement = Statement::new(&format!(
        "SELECT {HEAD}, {name_key} AS name_key, {status_key} AS status_key, {NOT_COUNTED} \
         FROM (SELECT v.product_id, v.{key} AS key FROM {table} v WHERE v.parameter = '{parameter}' AND "
    ));
    conditions::seen(&mut statement, audience, "v", "seen_by");
    conditions::others(&mut statement, audience, clauses, None, "v");
    if let Some(Position(fields)) = after {
        let (Some(value), Some(id)) = (fields.first(), fields.get(1)) else { return None };
        if descending {
            statement.push(&format!(" AND v.{key} <= ")).bind(value.clone());
            statement.push(&format!(" AND (v.{key} < ")).bind(value.clone());
            statement.push(" OR v.product_id > ").bind(id.clone()).push(")");
        } else {
            statement.push(&format!(" AND (v.{key}, v.product_id) > (")).bind(value.clone());
            statement.push(", ").bind(id.clone()).push(")");
        }
    }
    // A product stands where the first of its values stands that the viewer sees.
    statement.push(&format!(
        " AND NOT EXISTS (SELECT 1 FROM {table} t \
         WHERE t.product_id = v.product_id AND t.parameter = '{parameter}' AND "
    ));
    conditions::seen(&mut statement, audience, "t", "seen_by");
    let before = if descending { ">" } else { "<" };
    let direction = if descending { " DESC" } else { "" };
    statement.push(&format!(" AND {other} {before} {this}) ORDER BY v.{key}{direction}, v.product_id"));
    statement.limit(rows);
    // CROSS JOIN keeps SQLite from starting at the products.
    statement.push(&format!(
        ") w CROSS JOIN products p WHERE p.product_id = w.product_id ORDER BY w.key{direction}, w.product_id"
    ));
    Some(statement)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn by(by: SortBy, descending: bool) -> SortKey {
        SortKey { by, descending }
    }

    #[test]
    fn every_order_ends_with_the_id() {
        let id = by(SortBy::Id, false);
        assert_eq!(Sort::default().0, [id]);
        assert_eq!(Sort::new(&[by(SortBy::Name, true)]).0, [by(SortBy::Name, true), id]);
        let sort = Sort::new(&[by(SortBy::Id, true), by(SortBy::Name, true)]);
        assert_eq!(sort.0, [by(SortBy::Id, true)], "nothing is left to decide after the id");
    }

    #[test]
    fn what_follows_a_place_is_compared_key_by_key() {
        let sort = Sort::new(&[by(SortBy::Name, true), by(SortBy::LastUpdated, false)]);
        let position = sort.position(vec!["61".into(), "5".into(), "6000".into()]).unwrap();
        let mut statement = Statement::new("");
        sort.after(&mut statement, &position);
        assert_eq!(
            statement.sql,
            "(q.name_key < $1 OR (q.name_key = $2 AND (q.last_updated > $3 OR (q.last_updated = $4 AND \
             (q.product_id > $5)))))"
        );
        assert_eq!(position.fields(), ["61", "5", "6000"]);
    }

    #[test]
    fn a_place_of_another_order_is_none_of_this() {
        let sort = Sort::new(&[by(SortBy::LastUpdated, false)]);
        for fields in [vec!["1".to_owned()], vec!["x".to_owned(), "y".to_owned()]] {
            assert_eq!(sort.position(fields), None);
        }
    }
}
