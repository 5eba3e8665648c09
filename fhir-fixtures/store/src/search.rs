//! Search: which products match, of those a viewer may know of, by elements the viewer may see.
//!
//! Gates and visibility are part of the SQL, so that nothing hidden is ever counted, paged over or skipped.

use database::{Database, Db, on_db};
use sqlx::AssertSqlSafe;

use crate::{
    Audience, ProductHead, StoreError,
    derived::sort_key,
    sort::{self, SortedRow, by_ownership, visible},
    statement::{Statement, bound},
};

pub use crate::sort::{Position, Sort, SortBy, SortKey};

/// Conditions that a product must meet, all of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// The conditions.
    pub clauses: Vec<Clause>,
}

/// One condition: any of its alternatives is enough.
#[derive(Clone, Debug, PartialEq)]
pub enum Clause {
    /// The product's id.
    Ids(Vec<String>),
    /// A token parameter of [`fhir_model::search::PARAMETERS`].
    Token {
        /// Its name.
        parameter: &'static str,
        /// What to look for.
        any_of: Vec<TokenMatch>,
        /// Whether the products without any of it are meant (`:not`), as far as the viewer sees.
        not: bool,
    },
    /// A string parameter of [`fhir_model::search::PARAMETERS`].
    Text {
        /// Its name.
        parameter: &'static str,
        /// What to look for.
        any_of: Vec<TextMatch>,
    },
    /// When the product's MedicinalProductDefinition was stored.
    LastUpdated(Vec<TimeMatch>),
}

/// A token to look for (FHIR search §token).
#[derive(Clone, Debug, PartialEq)]
pub struct TokenMatch {
    /// In which system.
    pub system: SystemMatch,
    /// The code; without one, any code of the system.
    pub code: Option<String>,
}

/// The part of a token before the bar.
#[derive(Clone, Debug, PartialEq)]
pub enum SystemMatch {
    /// `code`: any system or none.
    Any,
    /// `|code`: no system.
    Absent,
    /// `system|code`, in the spelling of [`fhir_model::search::canonical_system`].
    Is(String),
}

/// A text to look for (FHIR search §string).
#[derive(Clone, Debug, PartialEq)]
pub enum TextMatch {
    /// Starts with it, case and accents aside; already normalised.
    StartsWith(String),
    /// Has it anywhere, case and accents aside; already normalised.
    Contains(String),
    /// Is exactly it.
    Exact(String),
}

/// A span of time, in microseconds since the epoch; `from` belongs to it, `until` does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeMatch {
    /// Its start.
    pub from: Option<i64>,
    /// Its end.
    pub until: Option<i64>,
    /// Whether times outside the span are meant.
    pub outside: bool,
}

/// A product that matches.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// Its head.
    pub head: ProductHead,
    /// Where it stands in the order: a next page may start after it.
    pub place: Position,
}

/// One page of matches.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The products on it, in order.
    pub matches: Vec<Match>,
    /// Whether more follow.
    pub more: bool,
}

impl Page {
    /// Where the next page starts, if more follow.
    pub fn next(&self) -> Option<&Position> {
        self.matches.last().filter(|_| self.more).map(|last| &last.place)
    }
}

/// The first page, at most `limit` long, of the products that match `query` and that `audience` may know of; and how
/// many there are in all, if that is to be `counted`.
pub async fn first_page(
    database: &Database,
    audience: &Audience,
    query: &Query,
    sort: &Sort,
    limit: usize,
    counted: bool,
) -> Result<(Page, Option<i64>), StoreError> {
    let mut reader = database.read().await?;
    let mut db = reader.db();
    let page = page_of(&mut db, audience, query, sort, None, limit).await?;
    let total = match (counted, page.more) {
        (false, _) => None,
        (true, true) => Some(count_of(&mut db, audience, query).await?),
        (true, false) => Some(i64::try_from(page.matches.len()).unwrap_or(i64::MAX)),
    };
    Ok((page, total))
}

/// A further page: what comes `after` a place in the same order.
pub async fn page_after(
    database: &Database,
    audience: &Audience,
    query: &Query,
    sort: &Sort,
    after: &Position,
    limit: usize,
) -> Result<Page, StoreError> {
    let mut reader = database.read().await?;
    page_of(&mut reader.db(), audience, query, sort, Some(after), limit).await
}

/// How many products match `query` that `audience` may know of.
pub async fn count(database: &Database, audience: &Audience, query: &Query) -> Result<i64, StoreError> {
    let mut reader = database.read().await?;
    count_of(&mut reader.db(), audience, query).await
}

async fn page_of(
    db: &mut Db<'_>,
    audience: &Audience,
    query: &Query,
    order: &Sort,
    after: Option<&Position>,
    limit: usize,
) -> Result<Page, StoreError> {
    // Whoever looks for everything gets it in the order of an index, if there is one.
    if query.clauses.is_empty()
        && let Some(walk) = sort::walk(audience, order, after, |statement| gate(statement, audience))
    {
        let page = page_by(db, walk, order, limit).await?;
        if page.more {
            return Ok(page);
        }
    }
    let mut statement = Statement::new(
        "SELECT q.product_id, q.revision, q.gates, q.owners, q.mentions, q.version_id, q.last_updated, q.name_key, \
         q.status_key \
         FROM (SELECT p.product_id, p.revision, p.gates, p.owners, p.mentions, p.version_id, p.last_updated",
    );
    sort::keys(&mut statement, audience, order);
    statement.push(" FROM products p WHERE ");
    conditions(&mut statement, audience, query);
    statement.push(") q");
    if let Some(after) = after {
        statement.push(" WHERE ");
        order.after(&mut statement, after);
    }
    order.order(&mut statement);
    page_by(db, statement, order, limit).await
}

async fn page_by(
    db: &mut Db<'_>,
    mut statement: Statement,
    order: &Sort,
    limit: usize,
) -> Result<Page, StoreError> {
    statement.limit(i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1));
    let mut rows = on_db!(db, conn => bound!(
        sqlx::query_as::<_, SortedRow>(AssertSqlSafe(statement.sql.clone())), statement
    ).fetch_all(conn).await)?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let matches = rows
        .into_iter()
        .map(|row| Ok(Match { place: order.place(&row), head: row.into_head()? }))
        .collect::<Result<_, StoreError>>()?;
    Ok(Page { matches, more })
}

async fn count_of(db: &mut Db<'_>, audience: &Audience, query: &Query) -> Result<i64, StoreError> {
    let mut statement = Statement::new("SELECT COUNT(*) FROM products p WHERE ");
    conditions(&mut statement, audience, query);
    Ok(on_db!(db, conn => bound!(
        sqlx::query_scalar::<_, i64>(AssertSqlSafe(statement.sql.clone())), statement
    ).fetch_one(conn).await)?)
}

/// `(gates & bit) <> 0`, by ownership of each product.
fn gate(statement: &mut Statement, audience: &Audience) {
    by_ownership(statement, audience, "p.product_id", |statement, sight| {
        statement.push("p.gates & ").integer(sight.gate);
    });
}

fn conditions(statement: &mut Statement, audience: &Audience, query: &Query) {
    gate(statement, audience);
    for clause in &query.clauses {
        statement.push(" AND ");
        match clause {
            // PostgreSQL knows no empty list.
            Clause::Ids(ids) if ids.is_empty() => {
                statement.push("1 = 0");
            }
            Clause::Ids(ids) => {
                statement.push("p.product_id IN ").list(ids.iter().map(String::as_str));
            }
            Clause::LastUpdated(any_of) => alternatives(statement, any_of, time),
            Clause::Token { parameter, any_of, not } => {
                statement
                    .push(if *not { "p.product_id NOT IN " } else { "p.product_id IN " })
                    .push("(SELECT s.product_id FROM search_tokens s WHERE s.parameter = ");
                statement.text(*parameter).push(" AND ");
                alternatives(statement, any_of, token);
                visible(statement, audience, "s");
                statement.push(")");
            }
            Clause::Text { parameter, any_of } => {
                statement
                    .push("p.product_id IN (SELECT s.product_id FROM search_strings s WHERE s.parameter = ");
                statement.text(*parameter).push(" AND ");
                alternatives(statement, any_of, text);
                visible(statement, audience, "s");
                statement.push(")");
            }
        }
    }
}

fn alternatives<T>(statement: &mut Statement, any_of: &[T], one: impl Fn(&mut Statement, &T)) {
    statement.push("(");
    for (n, alternative) in any_of.iter().enumerate() {
        if n > 0 {
            statement.push(" OR ");
        }
        one(statement, alternative);
    }
    // No alternative at all matches nothing.
    statement.push(if any_of.is_empty() { "1 = 0)" } else { ")" });
}

fn token(statement: &mut Statement, wanted: &TokenMatch) {
    statement.push("(1 = 1");
    if let Some(code) = &wanted.code {
        statement.push(" AND s.code = ").text(code);
    }
    match &wanted.system {
        SystemMatch::Any => {}
        SystemMatch::Absent => {
            statement.push(" AND s.system = ''");
        }
        SystemMatch::Is(system) => {
            statement.push(" AND s.system = ").text(system);
        }
    }
    statement.push(")");
}

fn text(statement: &mut Statement, wanted: &TextMatch) {
    match wanted {
        TextMatch::StartsWith(prefix) => {
            let from = sort_key(prefix);
            // 'g' follows every hexadecimal digit.
            let until = format!("{from}g");
            statement.push("(s.sort_key >= ").text(from).push(" AND s.sort_key < ").text(until).push(")");
        }
        TextMatch::Contains(part) => {
            statement.push("s.normalised LIKE ").text(format!("%{}%", escape_like(part))).push(" ESCAPE '!'");
        }
        TextMatch::Exact(whole) => {
            statement.push("(s.sort_key = ").text(sort_key(&fhir_model::search::normalise(whole)));
            statement.push(" AND s.original = ").text(whole).push(")");
        }
    }
}

/// Makes `%`, `_` and the escape character itself mean themselves.
fn escape_like(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, c| {
        if matches!(c, '%' | '_' | '!') {
            escaped.push('!');
        }
        escaped.push(c);
        escaped
    })
}

fn time(statement: &mut Statement, span: &TimeMatch) {
    statement.push(if span.outside { "NOT (1 = 1" } else { "(1 = 1" });
    if let Some(from) = span.from {
        statement.push(" AND p.last_updated >= ").integer(from);
    }
    if let Some(until) = span.until {
        statement.push(" AND p.last_updated < ").integer(until);
    }
    statement.push(")");
}

#[cfg(test)]
mod tests {
    use fhir_model::access::Viewer;
    use pms_terms::{Domains, Stakeholder};

    use super::*;
    use crate::statement::Bind;

    #[test]
    fn wildcards_of_like_mean_themselves() {
        assert_eq!(escape_like("50%_a!"), "50!%!_a!!");
    }

    #[test]
    fn values_are_bound_and_never_part_of_the_text() {
        let audience = Audience::new(Viewer {
            stakeholder: Stakeholder::Industry,
            qualified: false,
            domains: Domains::HUMAN,
            organisation: Some("ORG-100000001".parse().unwrap()),
        });
        let hostile = "'; DROP TABLE products; --".to_owned();
        let query = Query {
            clauses: vec![
                Clause::Ids(vec![hostile.clone()]),
                Clause::Text { parameter: "name", any_of: vec![TextMatch::Contains(hostile.clone())] },
                Clause::Token {
                    parameter: "identifier",
                    any_of: vec![TokenMatch {
                        system: SystemMatch::Is(hostile.clone()),
                        code: Some(hostile.clone()),
                    }],
                    not: true,
                },
            ],
        };
        let mut statement = Statement::new("");
        conditions(&mut statement, &audience, &query);
        assert!(!statement.sql.contains("DROP"), "{}", statement.sql);
        assert!(statement.binds.contains(&Bind::Text(hostile)));
    }
}
