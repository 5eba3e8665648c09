//! Throw-away databases for tests: a temporary SQLite file always, a fresh PostgreSQL schema where a server is given.

use std::str::FromStr;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, postgres::PgConnectOptions};

use crate::{Database, DatabaseKind};

/// Names the variable that holds the URL of a PostgreSQL server on which tests may make schemas.
pub const POSTGRES_URL: &str = "PMSGATE_TEST_POSTGRES_URL";

/// A database that nobody else sees. The SQLite file goes when this is dropped; a PostgreSQL schema stays until
/// its throw-away server goes.
#[derive(Debug)]
pub struct TestDatabase {
    database: Database,
    url: String,
    _folder: Option<tempfile::TempDir>,
}

#[expect(clippy::unwrap_used, reason = "a test that cannot have its database must fail loudly")]
#[expect(clippy::missing_panics_doc, reason = "so do all its functions")]
impl TestDatabase {
    /// A fresh SQLite database.
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("test.db").display());
        let database = Database::connect(&url, 4).await.unwrap();
        Self { database, url, _folder: Some(folder) }
    }

    /// A fresh PostgreSQL schema, where [`POSTGRES_URL`] names a server.
    pub async fn postgres() -> Option<Self> {
        let server = std::env::var(POSTGRES_URL).ok()?;
        let schema = format!("test_{}", uuid::Uuid::now_v7().simple());
        let options = PgConnectOptions::from_str(&server).unwrap();
        let mut conn = PgConnection::connect_with(&options).await.unwrap();
        conn.execute(AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).await.unwrap();
        conn.close().await.unwrap();
        let separator = if server.contains('?') { '&' } else { '?' };
        let url = format!("{server}{separator}options=-c%20search_path%3D{schema}");
        let database = Database::connect(&url, 4).await.unwrap();
        Some(Self { database, url, _folder: None })
    }

    /// SQLite, and PostgreSQL where a server is given: what a conformance test runs on.
    pub async fn each() -> Vec<Self> {
        let mut all = vec![Self::sqlite().await];
        all.extend(Self::postgres().await);
        all
    }

    /// The open database.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Its address, for a program started by a test.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Which kind it is, for messages.
    pub fn kind(&self) -> DatabaseKind {
        self.database.kind()
    }
}
