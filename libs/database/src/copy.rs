//! Whole copies of an SQLite file: taken while others write, looked at before they take the place of another.

use std::path::Path;

use sqlx::SqlitePool;

use crate::{Database, DatabaseError};

/// How long it is waited for others to let go of a file, in milliseconds.
const PATIENCE: &str = "PRAGMA busy_timeout = 1000";

/// Why a database cannot be copied or laid aside.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// PostgreSQL has tools of its own.
    #[error("the database is on PostgreSQL, which copies with its own tools")]
    Postgres,
    /// Somebody has the file open.
    #[error("the database is in use")]
    InUse,
    /// The file is damaged; this is the first thing that SQLite found.
    #[error("the file is damaged: {0}")]
    Damaged(String),
    /// The database did not do what was asked.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl From<sqlx::Error> for CopyError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

impl Database {
    /// Writes a whole copy into `file`, which must not be there, as everything is at one instant, while others read and
    /// write (`VACUUM INTO`). The copy has what the log held, and needs no other file.
    ///
    /// # Errors
    /// [`CopyError::Postgres`], and whatever the database reports: a full disk, a file that is there.
    pub async fn copy_into(&self, file: &Path) -> Result<(), CopyError> {
        let file = file.display().to_string();
        sqlx::query("VACUUM INTO $1").bind(file).execute(self.writer()?).await?;
        Ok(())
    }

    /// Looks at every page (`PRAGMA quick_check`).
    ///
    /// # Errors
    /// [`CopyError::Damaged`], also for a file that is no SQLite database at all.
    pub async fn check_pages(&self) -> Result<(), CopyError> {
        let found: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(self.writer()?).await?;
        if found == "ok" { Ok(()) } else { Err(CopyError::Damaged(found)) }
    }

    /// Closes it for good: what its log holds goes into the file, which needs no other then and may be moved.
    ///
    /// # Errors
    /// [`CopyError::InUse`] while any other connection has it open, of this process or another.
    pub async fn lay_aside(self) -> Result<(), CopyError> {
        let Self::Sqlite { readers, .. } = &self else { return Err(CopyError::Postgres) };
        readers.close().await;
        let mut writer = self.writer()?.acquire().await?;
        sqlx::query(PATIENCE).execute(&mut *writer).await?;
        // SQLite leaves its log only when it is alone with the file.
        let mode =
            sqlx::query_scalar::<_, String>("PRAGMA journal_mode = DELETE").fetch_one(&mut *writer).await;
        drop(writer);
        self.close().await;
        match mode.map_err(DatabaseError::from) {
            Ok(mode) if mode == "delete" => Ok(()),
            Ok(_) | Err(DatabaseError::Unavailable(_)) => Err(CopyError::InUse),
            Err(error) => Err(error.into()),
        }
    }

    fn writer(&self) -> Result<&SqlitePool, CopyError> {
        match self {
            Self::Sqlite { writer, .. } => Ok(writer),
            Self::Postgres(_) => Err(CopyError::Postgres),
        }
    }
}

#[cfg(test)]
mod tests {
    use sqlx::AssertSqlSafe;

    use super::*;

    async fn open(path: &Path) -> Database {
        Database::connect(&format!("sqlite://{}", path.display()), 2).await.unwrap()
    }

    async fn run(database: &Database, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(database.writer().unwrap()).await.unwrap();
    }

    async fn count(database: &Database) -> i64 {
        sqlx::query_scalar("SELECT COUNT(*) FROM t").fetch_one(database.writer().unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn a_copy_is_taken_while_others_write_and_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (original, copy) = (folder.path().join("a.db"), folder.path().join("b.db"));
        let [ours, theirs] = [open(&original).await, open(&original).await];
        run(&ours, "CREATE TABLE t (n BIGINT); INSERT INTO t VALUES (1), (2)").await;
        theirs.copy_into(&copy).await.unwrap();
        run(&ours, "INSERT INTO t VALUES (3)").await;
        assert!(theirs.copy_into(&copy).await.is_err(), "nothing is written over");
        let copy = open(&copy).await;
        copy.check_pages().await.unwrap();
        assert_eq!((count(&copy).await, count(&ours).await), (2, 3));
    }

    #[tokio::test]
    async fn a_file_that_somebody_has_open_is_not_laid_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let [ours, theirs] = [open(&path).await, open(&path).await];
        run(&ours, "CREATE TABLE t (n BIGINT); INSERT INTO t VALUES (1)").await;
        assert_eq!(count(&theirs).await, 1);
        assert!(matches!(ours.lay_aside().await, Err(CopyError::InUse)));
        theirs.close().await;
        open(&path).await.lay_aside().await.unwrap();
        assert!(!path.with_extension("db-wal").exists() && path.exists());
    }

    #[tokio::test]
    async fn damage_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let database = open(&path).await;
        run(&database, "CREATE TABLE t (n BIGINT)").await;
        for _ in 0..50 {
            run(
                &database,
                "INSERT INTO t SELECT 1 FROM (VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9))",
            )
            .await;
        }
        database.lay_aside().await.unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[4096..4196].fill(0xff);
        std::fs::write(&path, bytes).unwrap();
        assert!(open(&path).await.check_pages().await.is_err());
    }
}
