//! Search: which products match, of those a viewer may know of, by elements the viewer may see.
//!
//! Gates and visibility are part of the SQL, so that nothing hidden is ever counted, paged over or skipped.

mod conditions;
mod plan;
mod sort;

use database::{Database, Db, on_db};
use sqlx::AssertSqlSafe;

use crate::{
    Audience, ProductHead, StoreError,
    statement::{Statement, bound},
};

use self::{
    plan::{Plan, Stretch, candidates},
    sort::SortedRow,
};

pub use self::sort::{Position, Sort, SortBy, SortKey};

/// Conditions that a product must meet, all of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// The conditions.
    pub clauses: Vec<Clause>,
    /// How many index rows make a condition a broad one: so many that to look at products one after the other finds a
    /// page sooner than to list all that match. It changes how long a search takes and whether it is counted when few
    /// match, never what it finds.
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

/// See [`Query::broad_from`]: so many are looked at one by one in a millisecond or two.
const BROAD_FROM: usize = 500;

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

/// How many matches are counted unless somebody asks for more: about as many as cost no more than a page.
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
    let search =
        Search { audience, query, order: sort, plan: Plan::of(&mut db, audience, query, sort).await? };
    let (page, listed) = search.page(&mut db, None, limit).await?;
    let total = match counting {
        Counting::Never => None,
        _ if !page.more => Some(i64::try_from(page.matches.len()).unwrap_or(i64::MAX)),
        _ if listed.is_some() => listed,
        Counting::WhenFew => search.count_if_few(&mut db).await?,
        Counting::Exact => Some(search.count(&mut db).await?),
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
    let search =
        Search { audience, query, order: sort, plan: Plan::of(&mut db, audience, query, sort).await? };
    Ok(search.page(&mut db, Some(after), limit).await?.0)
}

/// How many products match `query` that `audience` may know of.
pub async fn count(database: &Database, audience: &Audience, query: &Query) -> Result<i64, StoreError> {
    let mut reader = database.read().await?;
    let mut db = reader.db();
    let order = &Sort::default();
    let search = Search { audience, query, order, plan: Plan::of(&mut db, audience, query, order).await? };
    search.count(&mut db).await
}

/// What is looked for, by whom, in which order, and how.
struct Search<'s> {
    audience: &'s Audience,
    query: &'s Query,
    order: &'s Sort,
    plan: Plan,
}

impl Search<'_> {
    /// A page; and how many match in all, if they were counted on the way.
    async fn page(
        &self,
        db: &mut Db<'_>,
        after: Option<&Position>,
        limit: usize,
    ) -> Result<(Page, Option<i64>), StoreError> {
        // One more than fit, to know whether more follow.
        let rows = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        if self.plan == Plan::Walked
            && let Some(walk) = sort::walk(self.audience, self.order, after, rows, &self.query.clauses)
        {
            let (page, counted) = self.read(db, &walk, limit).await?;
            // It does not find products without a value, which come last: a page that it fills is right.
            if page.more {
                return Ok((page, counted));
            }
        }
        let statement = if self.order.is_by_id() {
            self.by_id(Stretch { order: self.order, after, limit: rows })
        } else {
            self.sorted(after, rows)
        };
        self.read(db, &statement, limit).await
    }

    /// A page in the order of ids: the ids are found first, then their heads.
    fn by_id(&self, stretch: Stretch<'_>) -> Statement {
        let mut statement =
            Statement::new(&format!("SELECT {}, '' AS name_key, '' AS status_key, ", sort::HEAD));
        if self.is_counted_on_the_way() && stretch.after.is_none() {
            // All are listed before they are sorted: then they are counted, too.
            statement.push("c.counted FROM (SELECT l.product_id, COUNT(*) OVER () AS counted FROM (");
            candidates(&mut statement, self.audience, self.query, self.plan, None);
            statement.push(") l WHERE 1 = 1");
            self.order.ids_from(&mut statement, "l", None);
            statement.limit(stretch.limit);
        } else {
            statement.push(sort::NOT_COUNTED).push(" FROM (");
            candidates(&mut statement, self.audience, self.query, self.plan, Some(stretch));
        }
        // CROSS JOIN keeps SQLite from starting at the products.
        statement.push(") c CROSS JOIN products p WHERE p.product_id = c.product_id");
        self.order.ids_from(&mut statement, "p", None);
        statement
    }

    /// A page in another order: all that match are sorted by their keys.
    fn sorted(&self, after: Option<&Position>, rows: i64) -> Statement {
        let mut statement = Statement::new(&format!(
            "SELECT {}, {} FROM (SELECT {}",
            sort::SORTED,
            sort::NOT_COUNTED,
            sort::HEAD
        ));
        sort::keys(&mut statement, self.audience, self.order);
        match self.plan {
            Plan::ByIds | Plan::Walked => {
                statement.push(" FROM products p WHERE ");
                conditions::seen(&mut statement, self.audience, "p", "gates");
                conditions::others(&mut statement, self.audience, &self.query.clauses, None, "p");
            }
            Plan::Listed(..) | Plan::Along(_) => {
                statement.push(" FROM (");
                candidates(&mut statement, self.audience, self.query, self.plan, None);
                statement.push(") c CROSS JOIN products p WHERE p.product_id = c.product_id");
            }
        }
        statement.push(") q");
        if let Some(after) = after {
            statement.push(" WHERE ");
            self.order.after(&mut statement, after);
        }
        self.order.order(&mut statement);
        statement.limit(rows);
        statement
    }

    async fn read(
        &self,
        db: &mut Db<'_>,
        statement: &Statement,
        limit: usize,
    ) -> Result<(Page, Option<i64>), StoreError> {
        let mut rows = on_db!(db, conn => bound!(
            sqlx::query_as::<_, SortedRow>(AssertSqlSafe(statement.sql.clone())), statement
        ).fetch_all(conn).await)?;
        let more = rows.len() > limit;
        let counted = rows.first().and_then(SortedRow::counted);
        rows.truncate(limit);
        let matches = rows
            .into_iter()
            .map(|row| Ok(Match { place: self.order.place(&row), head: row.into_head()? }))
            .collect::<Result<_, StoreError>>()?;
        Ok((Page { matches, more }, counted))
    }

    /// Whether all that a list leads to are looked at for a page: where nothing else is asked of them it costs nothing,
    /// and where they are few it costs little.
    fn is_counted_on_the_way(&self) -> bool {
        match self.plan {
            Plan::Listed(_, many) => self.query.clauses.len() == 1 || many <= COUNTED,
            Plan::ByIds | Plan::Along(_) | Plan::Walked => false,
        }
    }

    /// How many products match, if few products need to be looked at to know it. How many those are hangs on what the
    /// viewer sees alone.
    async fn count_if_few(&self, db: &mut Db<'_>) -> Result<Option<i64>, StoreError> {
        let (leads_alone, in_all) = match self.plan {
            Plan::Listed(..) if !self.is_counted_on_the_way() => return Ok(None),
            Plan::ByIds | Plan::Listed(..) => return Ok(Some(self.count(db).await?)),
            // More conditions than one, and many meet each.
            Plan::Along(_) if self.query.clauses.len() > 1 => return Ok(None),
            Plan::Along(_) => (true, self.query),
            Plan::Walked => (self.query.clauses.is_empty(), &Query::default()),
        };
        let seen = self.count_of(db, in_all, Some(COUNTED.saturating_add(1))).await?;
        Ok(match seen {
            many if many > COUNTED => None,
            few if leads_alone => Some(few),
            _ => Some(self.count(db).await?),
        })
    }

    /// How many products match.
    async fn count(&self, db: &mut Db<'_>) -> Result<i64, StoreError> {
        self.count_of(db, self.query, None).await
    }

    async fn count_of(&self, db: &mut Db<'_>, query: &Query, up_to: Option<i64>) -> Result<i64, StoreError> {
        let mut statement = Statement::new("SELECT COUNT(*) FROM (");
        candidates(&mut statement, self.audience, query, self.plan, None);
        if let Some(up_to) = up_to {
            statement.limit(up_to);
        }
        statement.push(") q");
        Ok(on_db!(db, conn => bound!(
            sqlx::query_scalar::<_, i64>(AssertSqlSafe(statement.sql.clone())), statement
        ).fetch_one(conn).await)?)
    }
}
