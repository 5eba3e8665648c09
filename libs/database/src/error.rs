//! What can go wrong between us and a database, as far as a caller can act on it.

/// A failed database operation.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The address names no database that this program speaks to.
    #[error(
        "database URL {0:?} is not understood: use sqlite:///path/to/file.db or postgres://user@host/name"
    )]
    UnknownUrl(String),
    /// The database did not answer, or not in time.
    #[error("the database is not reachable")]
    Unavailable(#[source] sqlx::Error),
    /// A uniqueness or reference rule of the schema was violated. On SQLite the text names `table.column`.
    #[error("the change conflicts with what is stored ({constraint})")]
    Conflict {
        /// The constraint's name (PostgreSQL) or the columns (SQLite).
        constraint: String,
    },
    /// A stored row does not mean what its column promises.
    #[error("stored row {row} of {table}.{column} is corrupt")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row's key.
        row: String,
    },
    /// The database's schema was made by a newer program.
    #[error(
        "the database has schema version {found} of {component:?}, this program knows versions up to {known}: \
         start the newer program, or restore a backup"
    )]
    NewerSchema {
        /// Which schema.
        component: String,
        /// The version found.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// Anything else the driver reports: a defect of ours, or of the database.
    #[error("the database refused the statement")]
    Failed(#[source] sqlx::Error),
}

impl DatabaseError {
    /// Whether a rule of the schema was violated by `constraint`'s columns or name.
    pub fn is_conflict_on(&self, name: &str) -> bool {
        matches!(self, Self::Conflict { constraint } if constraint.contains(name))
    }
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(cause)
                if cause.is_unique_violation() || cause.is_foreign_key_violation() =>
            {
                Self::Conflict { constraint: cause.constraint().unwrap_or(cause.message()).to_owned() }
            }
            sqlx::Error::Database(cause) if is_busy(cause.as_ref()) => Self::Unavailable(error),
            sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::Tls(_) => Self::Unavailable(error),
            _ => Self::Failed(error),
        }
    }
}

/// SQLITE_BUSY and its extended forms: somebody else wrote for longer than we wait.
fn is_busy(cause: &dyn sqlx::error::DatabaseError) -> bool {
    matches!(cause.code().as_deref(), Some("5" | "261" | "517"))
}
