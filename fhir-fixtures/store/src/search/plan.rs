//! How the products that match are come by: what a search costs hangs on it, what it finds does not.

use database::{Db, on_db};
use sqlx::AssertSqlSafe;

use crate::{
    Audience, StoreError,
    statement::{Statement, bound},
};

use super::{Clause, Query, Sort, conditions};

/// Which condition leads to the products that the others are tested on. It hangs on the query and on what the viewer may
/// see, never on what others see: a total that is there or not would tell of it.
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
        let enough = |clause: &Clause| {
            let times = if clause.is_in_order() { 1 } else { OF_A_RANGE };
            i64::try_from(query.broad_from.saturating_mul(times)).unwrap_or(i64::MAX)
        };
        let mut statement = Statement::new("");
        for (n, (at, clause)) in indexed.iter().enumerate() {
            // The place goes with the number, so that the rows may come in any order.
            statement.push(if n == 0 { "SELECT " } else { " UNION ALL SELECT " });
            statement.push(&format!("CAST({at} AS BIGINT), COUNT(*) FROM (SELECT 1 AS one FROM "));
            clause.values(&mut statement, audience, "s", None, None);
            statement.limit(enough(clause)).push(&format!(") c{n}"));
        }
        let counted = on_db!(db, conn => bound!(
            sqlx::query_as::<_, (i64, i64)>(AssertSqlSafe(statement.sql.clone())), statement
        ).fetch_all(conn).await)?;
        let many = |at: usize| {
            counted.iter().find(|(place, _)| usize::try_from(*place) == Ok(at)).map(|(_, many)| *many)
        };
        let few = indexed
            .iter()
            .filter_map(|(at, clause)| {
                many(*at).filter(|many| *many < enough(clause)).map(|many| (many, *at))
            })
            .min();
        let in_order = indexed.iter().find(|(_, clause)| order.is_by_id() && clause.is_in_order());
        Ok(match (few, in_order) {
            (Some((many, at)), _) => Self::Listed(at, many),
            (None, Some((at, _))) => Self::Along(*at),
            (None, None) => Self::Walked,
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
        clause.values(statement, audience, "s", None, only);
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
        Some(clause) if matches!(plan, Plan::Along(_)) && stretch.is_some() && clause.alternatives() > 1 => {
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
