//! How the products that match are come by: what a search costs hangs on it, what it finds does not.

use database::{Db, on_db};
use sqlx::AssertSqlSafe;

use crate::{
    Audience, StoreError,
    statement::{Statement, bound},
};

use super::{Clause, Query, Sort, conditions};

/// Which condition leads to the products that the others are tested on. Whether it is a list hangs on the query and on
/// what the viewer may see, never on what others see: a total that is there or not would tell of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Ids name them.
    ByIds,
    /// Few meet the condition at this place: all of them are listed, then sorted. How many values meet it.
    Listed(usize, i64),
    /// Many meet the condition at this place; an index has them in the order of their ids, and is left when the page is
    /// full.
    Along(usize),
    /// All products, one after the other, until the page is full.
    Walked,
}

/// A list of values found by their start is made in one go, one of products needs each looked at: so many times as many.
const OF_A_RANGE: usize = 4;

/// Conditions that many meet are compared by so many times as many values.
const TO_COMPARE: usize = 4;

impl Plan {
    /// Looks into the index how many values meet each condition, but no further than matters.
    pub(super) async fn of(
        db: &mut Db<'_>,
        audience: &Audience,
        query: &Query,
        order: &Sort,
    ) -> Result<Self, StoreError> {
        let clauses = &query.clauses;
        if clauses.iter().any(|clause| matches!(clause, Clause::Ids(_))) {
            return Ok(Self::ByIds);
        }
        if let [clause] = clauses.as_slice()
            && clause.is_in_order()
            && order.is_by_id()
        {
            return Ok(Self::Along(0));
        }
        let indexed: Vec<(usize, &Clause)> =
            clauses.iter().enumerate().filter(|(_, clause)| clause.is_indexed()).collect();
        if indexed.is_empty() {
            return Ok(Self::Walked);
        }
        let counted = values_of(db, Some(audience), &indexed, query.broad_from, OF_A_RANGE).await?;
        if let Some((many, at)) = counted.iter().filter(|one| one.is_all).map(|one| (one.many, one.at)).min()
        {
            return Ok(Self::Listed(at, many));
        }
        if !order.is_by_id() {
            return Ok(Self::Walked);
        }
        let mut in_order = indexed;
        in_order.retain(|(_, clause)| clause.is_in_order());
        Ok(match in_order.as_slice() {
            [] => Self::Walked,
            [(at, _)] => Self::Along(*at),
            // Of several that many meet, the one that fewest do: the others are tested until the page is full. Nothing
            // but time hangs on it, so that all values may count.
            _ => {
                let enough = query.broad_from.saturating_mul(TO_COMPARE);
                let counted = values_of(db, None, &in_order, enough, 1).await?;
                counted
                    .iter()
                    .map(|one| (one.many, one.at))
                    .min()
                    .map_or(Self::Walked, |(_, at)| Self::Along(at))
            }
        })
    }

    /// The place of the condition that leads to the products.
    const fn leads(self) -> Option<usize> {
        match self {
            Self::Listed(at, _) | Self::Along(at) => Some(at),
            Self::ByIds | Self::Walked => None,
        }
    }
}

/// So many alternatives are followed apart. Each repeats all other conditions, and a statement takes only so many values.
const APART: usize = 8;

/// How many values meet a condition, as far as they were counted.
struct Values {
    at: usize,
    many: i64,
    /// Whether those are all.
    is_all: bool,
}

/// Counts the values that the audience sees, or all, that meet each of some conditions: up to `enough`, of conditions that an
/// index has not in the order of ids so many `times` as many.
async fn values_of(
    db: &mut Db<'_>,
    audience: Option<&Audience>,
    clauses: &[(usize, &Clause)],
    enough: usize,
    times: usize,
) -> Result<Vec<Values>, StoreError> {
    let limit = |clause: &Clause| {
        let times = if clause.is_in_order() { 1 } else { times };
        i64::try_from(enough.saturating_mul(times)).unwrap_or(i64::MAX)
    };
    let mut statement = Statement::new("");
    for (n, (_, clause)) in clauses.iter().enumerate() {
        // The place goes with the number, so that the rows may come in any order.
        statement.push(if n == 0 { "SELECT " } else { " UNION ALL SELECT " });
        statement.push(&format!("CAST({n} AS BIGINT), COUNT(*) FROM (SELECT 1 AS one FROM "));
        clause.values(&mut statement, audience, "s", None, None);
        statement.limit(limit(clause)).push(&format!(") c{n}"));
    }
    let counted = on_db!(db, conn => bound!(
        sqlx::query_as::<_, (i64, i64)>(AssertSqlSafe(statement.sql.clone())), statement
    ).fetch_all(conn).await)?;
    Ok(counted
        .into_iter()
        .filter_map(|(n, many)| {
            let (at, clause) = clauses.get(usize::try_from(n).ok()?)?;
            Some(Values { at: *at, many, is_all: many < limit(clause) })
        })
        .collect())
}

/// The part of the ids in their order that a page shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch<'s> {
    pub(super) order: &'s Sort,
    pub(super) after: Option<&'s super::Position>,
    pub(super) limit: i64,
}

/// `SELECT product_id …`: each product that matches once; of them those of the stretch, in order.
pub(super) fn candidates(
    statement: &mut Statement,
    audience: &Audience,
    query: &Query,
    plan: Plan,
    stretch: Option<Stretch<'_>>,
) {
    let clauses = &query.clauses;
    let leader = plan.leads().and_then(|at| clauses.get(at));
    let end = |statement: &mut Statement, table: &str| {
        if let Some(Stretch { order, after, limit }) = stretch {
            order.ids_from(statement, table, after);
            statement.limit(limit);
        }
    };
    let led = |statement: &mut Statement, clause: &Clause, only: Option<usize>| {
        statement.push("SELECT DISTINCT s.product_id FROM ");
        clause.values(statement, Some(audience), "s", None, only);
        conditions::others(statement, audience, clauses, plan.leads(), "s");
        end(statement, "s");
    };
    match leader {
        None => {
            statement.push("SELECT p.product_id FROM products p WHERE ");
            conditions::seen(statement, audience, "p", "gates");
            conditions::others(statement, audience, clauses, None, "p");
            end(statement, "p");
        }
        // Each alternative has its own stretch of the index, and what is first of all is first of one.
        Some(clause)
            if matches!(plan, Plan::Along(_))
                && stretch.is_some()
                && (2..=APART).contains(&clause.alternatives()) =>
        {
            statement.push("SELECT s.product_id FROM (");
            for n in 0..clause.alternatives() {
                statement.push(if n == 0 { "SELECT * FROM (" } else { " UNION SELECT * FROM (" });
                led(statement, clause, Some(n));
                statement.push(&format!(") a{n}"));
            }
            statement.push(") s WHERE 1 = 1");
            end(statement, "s");
        }
        Some(clause) => led(statement, clause, None),
    }
}
