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
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// The conditions.
    pub clauses: Vec<Clause>,
    /// How many index rows make a condition a broad one: so many that to look at products one after the other finds a
    /// page sooner than to list all that match. It changes how long a search takes, never what it finds.
    pub broad_from: usize,
}

impl Query {
    /// These conditions, all of them.
    pub fn new(clauses: Vec<Clause>) -> Self {
        Self { clauses, broad_from: BROAD_FROM }
    }
}

impl Default for Query {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

/// See [`Query::broad_from`]: a list of so many is made, and so many products are looked at, in a few milliseconds.
const BROAD_FROM: usize = 1000;

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

/// How many matches are counted unless somebody asks for more: in a broad search that costs about as much as a page.
const COUNTED: i64 = 500;

/// Whether a search says how many matches there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// It does not.
    Never,
    /// When they are few enough to be counted on the way.
    WhenFew,
    /// Always.
    Exact,
}

/// The first page, at most `limit` long, of the products that match `query` and that `audience` may know of; and how
/// many there are in all, as far as that is to be counted.
pub async fn first_page(
    database: &Database,
    audience: &Audience,
    query: &Query,
    sort: &Sort,
    limit: usize,
    counting: Counting,
) -> Result<(Page, Option<i64>), StoreError> {
    let mut reader = database.read().await?;
    let mut db = reader.db();
    let plan = Plan::of(&mut db, query).await?;
    let page = page_of(&mut db, audience, query, &plan, sort, None, limit).await?;
    let all = || i64::try_from(page.matches.len()).unwrap_or(i64::MAX);
    let total = match counting {
        Counting::Never => None,
        _ if !page.more => Some(all()),
        // Whatever the plan: that hangs on what others see, too, and must not be told by a total that is there or not.
        Counting::WhenFew => count_of(&mut db, audience, query, &plan, Some(COUNTED)).await?,
        Counting::Exact => count_of(&mut db, audience, query, &plan, None).await?,
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
    let mut db = reader.db();
    let plan = Plan::of(&mut db, query).await?;
    page_of(&mut db, audience, query, &plan, sort, Some(after), limit).await
}

/// How many products match `query` that `audience` may know of.
pub async fn count(database: &Database, audience: &Audience, query: &Query) -> Result<i64, StoreError> {
    let mut reader = database.read().await?;
    let mut db = reader.db();
    let plan = Plan::of(&mut db, query).await?;
    Ok(count_of(&mut db, audience, query, &plan, None).await?.unwrap_or_default())
}

/// Which of a query's conditions picks the products that the others are tested on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    /// The place of a condition that few products meet, if there is one.
    picks: Option<usize>,
    /// Whether ids pick them.
    by_ids: bool,
}

impl Plan {
    /// Looks into the index how many values meet each condition, but no further than matters.
    async fn of(db: &mut Db<'_>, query: &Query) -> Result<Self, StoreError> {
        let by_ids = query.clauses.iter().any(|clause| matches!(clause, Clause::Ids(_)));
        let indexed: Vec<usize> = query
            .clauses
            .iter()
            .enumerate()
            .filter(|(_, clause)| clause.is_indexed())
            .map(|(at, _)| at)
            .collect();
        if by_ids || indexed.is_empty() {
            return Ok(Self { picks: None, by_ids });
        }
        let broad_from = i64::try_from(query.broad_from).unwrap_or(i64::MAX);
        let mut statement = Statement::new("");
        for (n, at) in indexed.iter().enumerate() {
            let Some(clause) = query.clauses.get(*at) else { continue };
            // The place goes with the number, so that the rows may come in any order.
            statement.push(if n == 0 { "SELECT " } else { " UNION ALL SELECT " });
            statement.push(&format!("CAST({at} AS BIGINT), COUNT(*) FROM (SELECT 1 AS one FROM "));
            clause.values(&mut statement, None);
            statement.limit(broad_from).push(&format!(") c{n}"));
        }
        let counted = on_db!(db, conn => bound!(
            sqlx::query_as::<_, (i64, i64)>(AssertSqlSafe(statement.sql.clone())), statement
        ).fetch_all(conn).await)?;
        let fewest = counted.into_iter().min_by_key(|(_, many)| *many);
        let picks =
            fewest.filter(|(_, many)| *many < broad_from).and_then(|(at, _)| usize::try_from(at).ok());
        Ok(Self { picks, by_ids })
    }

    /// Whether products are to be walked through, since most meet the conditions.
    const fn is_broad(self) -> bool {
        self.picks.is_none() && !self.by_ids
    }
}

async fn page_of(
    db: &mut Db<'_>,
    audience: &Audience,
    query: &Query,
    plan: &Plan,
    order: &Sort,
    after: Option<&Position>,
    limit: usize,
) -> Result<Page, StoreError> {
    // Whoever looks for most of it gets it in the order of an index, if there is one.
    if plan.is_broad()
        && let Some(walk) =
            sort::walk(audience, order, after, |statement| conditions(statement, audience, query, plan))
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
    conditions(&mut statement, audience, query, plan);
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

/// How many products match; nothing when they are more than `up_to`.
async fn count_of(
    db: &mut Db<'_>,
    audience: &Audience,
    query: &Query,
    plan: &Plan,
    up_to: Option<i64>,
) -> Result<Option<i64>, StoreError> {
    let mut statement = Statement::new("SELECT COUNT(*) FROM (SELECT 1 AS one FROM products p WHERE ");
    conditions(&mut statement, audience, query, plan);
    if let Some(up_to) = up_to {
        statement.limit(up_to.saturating_add(1));
    }
    statement.push(") q");
    let counted = on_db!(db, conn => bound!(
        sqlx::query_scalar::<_, i64>(AssertSqlSafe(statement.sql.clone())), statement
    ).fetch_one(conn).await)?;
    Ok(Some(counted).filter(|counted| up_to.is_none_or(|up_to| *counted <= up_to)))
}

/// `(gates & bit) <> 0`, by ownership of each product.
fn gate(statement: &mut Statement, audience: &Audience) {
    by_ownership(statement, audience, "p.product_id", |statement, sight| {
        statement.push("p.gates & ").integer(sight.gate);
    });
}

/// Gate and conditions of the product `p`, each asked for as the plan says.
fn conditions(statement: &mut Statement, audience: &Audience, query: &Query, plan: &Plan) {
    gate(statement, audience);
    for (at, clause) in query.clauses.iter().enumerate() {
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
            Clause::Token { .. } | Clause::Text { .. }
                if plan.picks == Some(at) || clause.is_read_through(plan) =>
            {
                statement.push("p.product_id IN (SELECT s.product_id FROM ");
                clause.values(statement, None);
                visible(statement, audience, "s");
                statement.push(")");
            }
            Clause::Token { not, .. } => {
                statement.push(if *not { "NOT EXISTS (SELECT 1 FROM " } else { "EXISTS (SELECT 1 FROM " });
                clause.values(statement, Some("p.product_id"));
                visible(statement, audience, "s");
                statement.push(")");
            }
            Clause::Text { .. } => {
                statement.push("EXISTS (SELECT 1 FROM ");
                clause.values(statement, Some("p.product_id"));
                visible(statement, audience, "s");
                statement.push(")");
            }
        }
    }
}

impl Clause {
    /// Whether an index tells which products meet it.
    fn is_indexed(&self) -> bool {
        match self {
            Self::Token { not, any_of, .. } => !not && any_of.iter().all(|one| one.code.is_some()),
            Self::Text { any_of, .. } => any_of.iter().all(|one| !matches!(one, TextMatch::Contains(_))),
            Self::Ids(_) | Self::LastUpdated(_) => false,
        }
    }

    /// Whether all values must be read to know which products meet it, and nothing else picks these: once, then.
    fn is_read_through(&self, plan: &Plan) -> bool {
        matches!(self, Self::Text { any_of, .. } if any_of.iter().any(|one| matches!(one, TextMatch::Contains(_))))
            && plan.is_broad()
    }

    /// `search_… s WHERE …`: the values that meet it, of all products or of the `product`.
    fn values(&self, statement: &mut Statement, product: Option<&str>) {
        // Of one product, few values are to be looked at; an index by the value would lead to very many. The
        // concatenation keeps SQLite from taking it, unless it leads to the very product.
        let of = |statement: &mut Statement, parameter: &'static str, leads_there: bool| {
            match product {
                Some(product) if !leads_there => {
                    statement.push("s.product_id = ").push(product).push(" AND (s.parameter || '') = ");
                }
                Some(product) => {
                    statement.push("s.product_id = ").push(product).push(" AND s.parameter = ");
                }
                None => {
                    statement.push("s.parameter = ");
                }
            }
            statement.text(parameter).push(" AND ");
        };
        match self {
            Self::Token { parameter, any_of, .. } => {
                statement.push("search_tokens s WHERE ");
                let exact = matches!(
                    any_of.as_slice(),
                    [TokenMatch { system: SystemMatch::Is(_) | SystemMatch::Absent, code: Some(_) }]
                );
                of(statement, parameter, exact);
                alternatives(statement, any_of, token);
            }
            Self::Text { parameter, any_of } => {
                statement.push("search_strings s WHERE ");
                of(statement, parameter, false);
                alternatives(statement, any_of, text);
            }
            Self::Ids(_) | Self::LastUpdated(_) => {}
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
        let query = Query::new(vec![
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
        ]);
        for picks in [None, Some(1), Some(2)] {
            let mut statement = Statement::new("");
            conditions(&mut statement, &audience, &query, &Plan { picks, by_ids: picks.is_none() });
            assert!(!statement.sql.contains("DROP"), "{}", statement.sql);
            assert!(statement.binds.contains(&Bind::Text(hostile.clone())));
        }
    }
}
