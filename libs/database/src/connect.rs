//! Opening a database: SQLite with one writer and several readers, or a PostgreSQL pool.

use std::{str::FromStr, time::Duration};

use sqlx::{
    PgPool, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{
        SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
    },
};
use time::OffsetDateTime;

use crate::{DatabaseError, Reader, UnitOfWork, instant};

/// How long a request waits for a connection or for another process's write before it is told so.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a reading connection to SQLite keeps of the file, in KiB: the upper levels of large indexes at least. What it does not
/// keep is copied from the system for each use.
const READER_CACHE: &str = "-16384";

/// The same for the writing connection: what a large unit of work changes, with the leaves of indexes that it goes to at
/// random.
const WRITER_CACHE: &str = "-65536";

/// After how many pages of 4 KiB changes go from the log to their places: pages that change all the time go once for many
/// units of work.
const CHECKPOINT: &str = "4000";

/// Which of the two databases it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseKind {
    /// Embedded, one file.
    Sqlite,
    /// A server, shared by many instances.
    Postgres,
}

/// An open database. Cheap to clone; all clones share their connections.
#[derive(Clone, Debug)]
pub enum Database {
    /// SQLite in WAL mode: readers never wait, writers queue for the one writing connection of this process and
    /// by `BEGIN IMMEDIATE` for other processes.
    Sqlite {
        /// Connections that only read.
        readers: SqlitePool,
        /// The one connection that writes.
        writer: SqlitePool,
    },
    /// PostgreSQL.
    Postgres(PgPool),
}

impl Database {
    /// Opens `url` (`sqlite:///path/file.db`, `sqlite://relative.db` or `postgres://…`); a missing SQLite file is
    /// made. `connections` bounds readers on SQLite and the pool on PostgreSQL.
    ///
    /// # Errors
    /// [`DatabaseError::UnknownUrl`] for anything else, [`DatabaseError::Unavailable`] when it does not answer.
    pub async fn connect(url: &str, connections: u32) -> Result<Self, DatabaseError> {
        let unknown = || DatabaseError::UnknownUrl(redacted(url));
        if url.starts_with("sqlite:") {
            Self::connect_sqlite(SqliteConnectOptions::from_str(url).map_err(|_| unknown())?, connections)
                .await
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            Self::connect_postgres(PgConnectOptions::from_str(url).map_err(|_| unknown())?, connections).await
        } else {
            Err(unknown())
        }
    }

    /// Opens an SQLite file with our settings on top of `options`.
    pub(crate) async fn connect_sqlite(
        options: SqliteConnectOptions,
        readers: u32,
    ) -> Result<Self, DatabaseError> {
        let options = options
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // FULL: an acknowledged commit survives a power cut, not only a crash of the program.
            .synchronous(SqliteSynchronous::Full)
            .auto_vacuum(SqliteAutoVacuum::None)
            .foreign_keys(true)
            .busy_timeout(PATIENCE);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(PATIENCE)
            // A file does not hang up: no ping each time a connection is lent.
            .test_before_acquire(false)
            .connect_with(
                options.clone().pragma("cache_size", WRITER_CACHE).pragma("wal_autocheckpoint", CHECKPOINT),
            )
            .await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(readers.max(1))
            .acquire_timeout(PATIENCE)
            .test_before_acquire(false)
            .idle_timeout(Duration::from_secs(60))
            .connect_lazy_with(
                options.read_only(true).create_if_missing(false).pragma("cache_size", READER_CACHE),
            );
        Ok(Self::Sqlite { readers, writer })
    }

    /// Opens a PostgreSQL pool.
    pub(crate) async fn connect_postgres(
        options: PgConnectOptions,
        connections: u32,
    ) -> Result<Self, DatabaseError> {
        let pool = PgPoolOptions::new()
            .max_connections(connections.max(2))
            .acquire_timeout(PATIENCE)
            .connect_with(options)
            .await?;
        Ok(Self::Postgres(pool))
    }

    /// Which database it is.
    pub fn kind(&self) -> DatabaseKind {
        match self {
            Self::Sqlite { .. } => DatabaseKind::Sqlite,
            Self::Postgres(_) => DatabaseKind::Postgres,
        }
    }

    /// Lends a connection for reading.
    pub async fn read(&self) -> Result<Reader, DatabaseError> {
        Ok(match self {
            Self::Sqlite { readers, .. } => Reader::Sqlite(readers.acquire().await?),
            Self::Postgres(pool) => Reader::Postgres(pool.acquire().await?),
        })
    }

    /// Opens a unit of work: everything in it happens, or nothing. On SQLite it holds the write lock from the
    /// start (`BEGIN IMMEDIATE`), so that what it reads cannot change before it writes.
    pub async fn begin(&self) -> Result<UnitOfWork, DatabaseError> {
        Ok(match self {
            Self::Sqlite { writer, .. } => UnitOfWork::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(pool) => UnitOfWork::Postgres(pool.begin().await?),
        })
    }

    /// What time it is where the database runs: on SQLite, here.
    pub async fn server_time(&self) -> Result<OffsetDateTime, DatabaseError> {
        let Self::Postgres(pool) = self else { return Ok(OffsetDateTime::now_utc()) };
        let now = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)";
        Ok(instant(sqlx::query_scalar(now).fetch_one(pool).await?))
    }

    /// Closes all connections, waiting for those in use.
    pub async fn close(&self) {
        match self {
            Self::Sqlite { readers, writer } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// The URL without what stands before `@`, which may hold a password.
fn redacted(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_url_of_another_kind_is_refused_without_its_password() {
        let error = Database::connect("mysql://me:hush@host/db", 1).await.unwrap_err();
        assert!(error.to_string().contains("mysql://…@host/db"), "{error}");
        assert!(!format!("{error:?}").contains("hush"));
    }
}
