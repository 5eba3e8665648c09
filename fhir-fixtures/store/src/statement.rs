//! SQL text put together at run time, with its values: only ever from our own words and numbered placeholders.

use std::fmt::Write as _;

use database::{Db, on_db};
use fhir_model::ResourceKey;
use sqlx::AssertSqlSafe;

use crate::StoreError;

/// `bound!(query, statement)`: the sqlx query of a [`Statement`] with its values bound, for use inside `on_db!`.
macro_rules! bound {
    ($query:expr, $statement:expr) => {{
        let mut query = $query;
        for bind in &$statement.binds {
            query = match bind {
                $crate::statement::Bind::Text(text) => query.bind(text.as_str()),
                $crate::statement::Bind::Integer(number) => query.bind(*number),
            };
        }
        query
    }};
}
pub(crate) use bound;

/// How many rows of so many `values` go into one statement. SQLite prepares one of each length; a PostgreSQL server is
/// asked as seldom as possible.
pub(crate) fn rows_at_once(db: &Db<'_>, values: usize) -> usize {
    let most = match db {
        Db::Sqlite(_) => 500,
        Db::Postgres(_) => 4000,
    };
    (most / values.max(1)).max(1)
}

/// A value for a placeholder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Bind {
    Text(String),
    Integer(i64),
}

/// A statement under construction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    pub(crate) binds: Vec<Bind>,
}

impl Statement {
    pub(crate) fn new(sql: &str) -> Self {
        Self { sql: sql.to_owned(), binds: Vec::new() }
    }

    /// Appends words of ours.
    pub(crate) fn push(&mut self, sql: &str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    /// Appends a placeholder for `text`.
    pub(crate) fn text(&mut self, text: impl Into<String>) -> &mut Self {
        self.binds.push(Bind::Text(text.into()));
        self.placeholder()
    }

    /// Appends a placeholder for `number`.
    pub(crate) fn integer(&mut self, number: i64) -> &mut Self {
        self.binds.push(Bind::Integer(number));
        self.placeholder()
    }

    /// Appends a placeholder for `value`.
    pub(crate) fn bind(&mut self, value: Bind) -> &mut Self {
        self.binds.push(value);
        self.placeholder()
    }

    /// Appends ` LIMIT` and the number itself: SQLite looks at a bound limit while it plans, and would plan anew for
    /// every execution, which costs more than the query.
    pub(crate) fn limit(&mut self, rows: i64) -> &mut Self {
        let _ = write!(self.sql, " LIMIT {}", rows.max(0));
        self
    }

    /// Appends `(…, …)` with a placeholder for each text. The last of them is repeated until they are 1, 2, 4, 8, …:
    /// each length is another statement to a database, which plans it and keeps only so many.
    pub(crate) fn list<'t>(&mut self, texts: impl IntoIterator<Item = &'t str>) -> &mut Self {
        let mut texts: Vec<&str> = texts.into_iter().collect();
        if let Some(last) = texts.last() {
            texts.resize(texts.len().next_power_of_two(), last);
        }
        self.push("(");
        for (n, text) in texts.into_iter().enumerate() {
            if n > 0 {
                self.push(", ");
            }
            self.text(text);
        }
        self.push(")")
    }

    /// Appends `(type, id), (type, id)…` with placeholders.
    pub(crate) fn keys<'k>(&mut self, keys: impl IntoIterator<Item = &'k ResourceKey>) -> &mut Self {
        for (n, key) in keys.into_iter().enumerate() {
            self.push(if n == 0 { "(" } else { ", (" });
            self.text(key.resource_type.as_str()).push(", ").text(&key.id).push(")");
        }
        self
    }

    /// Runs it; answers how many rows it touched.
    pub(crate) async fn execute(&self, db: &mut Db<'_>) -> Result<u64, StoreError> {
        let sql = match db {
            Db::Sqlite(_) => self.without_numbers(),
            Db::Postgres(_) => self.sql.clone(),
        };
        Ok(on_db!(db, conn => bound!(sqlx::query(AssertSqlSafe(sql)), self)
            .execute(conn).await.map(|done| done.rows_affected()))?)
    }

    /// With placeholders that stand for the values in their order, as they do here. To SQLite a number is a name, which it
    /// looks for among all those before it: with hundreds of values that takes longer than to store them.
    fn without_numbers(&self) -> String {
        let mut parts = self.sql.split('$');
        let mut sql = String::with_capacity(self.sql.len());
        sql.extend(parts.next());
        for part in parts {
            sql.push('?');
            sql.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
        }
        sql
    }

    fn placeholder(&mut self) -> &mut Self {
        let _ = write!(self.sql, "${}", self.binds.len());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_few_lengths() {
        let of = |texts: &[&str]| Statement::new("").list(texts.iter().copied()).clone();
        assert_eq!(of(&["a", "b", "c"]).sql, "($1, $2, $3, $4)");
        assert_eq!(of(&["a", "b", "c"]).binds[2..], [Bind::Text("c".into()), Bind::Text("c".into())]);
        assert_eq!((of(&[]).sql.as_str(), of(&["a"]).sql.as_str()), ("()", "($1)"));
    }

    #[test]
    fn placeholders_are_numbered_in_order() {
        let mut statement = Statement::new("SELECT a FROM t WHERE b = ");
        statement.text("x").push(" AND c IN ").list(["y", "z"]).push(" AND d > ").integer(4);
        assert_eq!(statement.sql, "SELECT a FROM t WHERE b = $1 AND c IN ($2, $3) AND d > $4");
        assert_eq!(statement.binds[3], Bind::Integer(4));
        assert_eq!(statement.without_numbers(), "SELECT a FROM t WHERE b = ? AND c IN (?, ?) AND d > ?");
    }
}
