//! A lent connection, a unit of work, and the one expression for two drivers.

use sqlx::{PgConnection, Postgres, Sqlite, SqliteConnection, Transaction, pool::PoolConnection};

use crate::DatabaseError;

/// A connection lent for reading; it goes back when dropped.
#[derive(Debug)]
pub enum Reader {
    /// SQLite.
    Sqlite(PoolConnection<Sqlite>),
    /// PostgreSQL.
    Postgres(PoolConnection<Postgres>),
}

impl Reader {
    /// The connection, for repository functions.
    pub fn db(&mut self) -> Db<'_> {
        match self {
            Self::Sqlite(conn) => Db::Sqlite(conn),
            Self::Postgres(conn) => Db::Postgres(conn),
        }
    }
}

/// A transaction. Dropped without [`UnitOfWork::commit`], nothing of it happened.
#[derive(Debug)]
pub enum UnitOfWork {
    /// SQLite.
    Sqlite(Transaction<'static, Sqlite>),
    /// PostgreSQL.
    Postgres(Transaction<'static, Postgres>),
}

impl UnitOfWork {
    /// The connection, for repository functions.
    pub fn db(&mut self) -> Db<'_> {
        match self {
            Self::Sqlite(work) => Db::Sqlite(work),
            Self::Postgres(work) => Db::Postgres(work),
        }
    }

    /// Makes everything done in it durable.
    pub async fn commit(self) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(work) => work.commit().await?,
            Self::Postgres(work) => work.commit().await?,
        }
        Ok(())
    }

    /// Undoes everything done in it, now rather than when dropped.
    pub async fn rollback(self) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(work) => work.rollback().await?,
            Self::Postgres(work) => work.rollback().await?,
        }
        Ok(())
    }
}

/// A connection of either kind, as repository functions take it: `db: &mut Db<'_>`.
#[derive(Debug)]
pub enum Db<'c> {
    /// SQLite.
    Sqlite(&'c mut SqliteConnection),
    /// PostgreSQL.
    Postgres(&'c mut PgConnection),
}

/// Runs one expression on whichever database `$db: &mut Db<'_>` is; `$conn` is `&mut SqliteConnection` or
/// `&mut PgConnection` in it.
#[macro_export]
macro_rules! on_db {
    ($db:expr, $conn:ident => $body:expr) => {
        match &mut *$db {
            $crate::Db::Sqlite(connection) => {
                let $conn = &mut **connection;
                $body
            }
            $crate::Db::Postgres(connection) => {
                let $conn = &mut **connection;
                $body
            }
        }
    };
}
