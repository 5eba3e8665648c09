//! Forward-only migrations, applied under a lock, one ledger for all components of a database.

use sqlx::{AssertSqlSafe, Executor};
use time::OffsetDateTime;

use crate::{Database, DatabaseError, DatabaseKind, Db, micros, on_db};

/// Any number; every instance of ours takes this PostgreSQL advisory lock before it looks at the ledger.
const LOCK: i64 = 0x706d_7367_6174_6500;

const LEDGER: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    component TEXT NOT NULL,
    version BIGINT NOT NULL,
    name TEXT NOT NULL,
    applied_at BIGINT NOT NULL,
    PRIMARY KEY (component, version)
)";

/// One step of a schema. A released step is never edited.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// 1, 2, 3… without gaps.
    pub version: i64,
    /// A few words for the operator.
    pub name: &'static str,
    /// One or more statements in the portable subset. ` WITHOUT ROWID` after a table is for SQLite only: PostgreSQL,
    /// which has nothing like it, is not told.
    pub sql: &'static str,
}

/// Where a component's schema stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Applied steps: version and name.
    pub applied: Vec<(i64, String)>,
    /// Steps this program would apply.
    pub pending: Vec<(i64, &'static str)>,
}

/// Applies what is missing of `component`, all in one transaction and under a lock: two instances starting at
/// once are fine, a crash leaves the schema as it was. Answers how many steps were applied.
///
/// # Errors
/// [`DatabaseError::NewerSchema`] when the ledger holds a version that `migrations` does not.
pub async fn migrate(
    database: &Database,
    component: &str,
    migrations: &[Migration],
    now: OffsetDateTime,
) -> Result<usize, DatabaseError> {
    let mut work = database.begin().await?;
    let mut db = work.db();
    if let Db::Postgres(conn) = &mut db {
        sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut **conn).await?;
    }
    on_db!(&mut db, conn => conn.execute(LEDGER).await.map(|_| ()))?;
    let applied = applied(&mut db, component).await?;
    let pending = pending(component, &applied, migrations)?;
    let steps = pending.len();
    for migration in pending {
        let sql = in_dialect(migration.sql, database.kind());
        on_db!(&mut db, conn => sqlx::raw_sql(AssertSqlSafe(sql)).execute(conn).await.map(|_| ()))?;
        on_db!(&mut db, conn => sqlx::query(
            "INSERT INTO schema_migrations (component, version, name, applied_at) VALUES ($1, $2, $3, $4)"
        ).bind(component).bind(migration.version).bind(migration.name).bind(micros(now)).execute(conn).await.map(|_| ()))?;
    }
    work.commit().await?;
    Ok(steps)
}

/// A step's text without what only the other database understands.
fn in_dialect(sql: &str, kind: DatabaseKind) -> String {
    match kind {
        DatabaseKind::Sqlite => sql.to_owned(),
        DatabaseKind::Postgres => sql.replace(" WITHOUT ROWID", ""),
    }
}

/// What is applied and what is pending, without changing anything.
pub async fn migration_status(
    database: &Database,
    component: &str,
    migrations: &[Migration],
) -> Result<MigrationStatus, DatabaseError> {
    let mut reader = database.read().await?;
    let mut db = reader.db();
    let known =
        on_db!(&mut db, conn => sqlx::query_scalar::<_, i64>(ledger_exists(database)).fetch_one(conn).await)?;
    let applied = if known == 0 { Vec::new() } else { applied(&mut db, component).await? };
    let pending = pending(component, &applied, migrations)?.iter().map(|m| (m.version, m.name)).collect();
    Ok(MigrationStatus { applied, pending })
}

fn ledger_exists(database: &Database) -> &'static str {
    match database {
        Database::Sqlite { .. } => {
            "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema_migrations'"
        }
        Database::Postgres(_) => {
            "SELECT COUNT(*) FROM information_schema.tables
             WHERE table_schema = current_schema() AND table_name = 'schema_migrations'"
        }
    }
}

async fn applied(db: &mut Db<'_>, component: &str) -> Result<Vec<(i64, String)>, DatabaseError> {
    Ok(on_db!(db, conn => sqlx::query_as::<_, (i64, String)>(
        "SELECT version, name FROM schema_migrations WHERE component = $1 ORDER BY version"
    ).bind(component).fetch_all(conn).await)?)
}

fn pending<'m>(
    component: &str,
    applied: &[(i64, String)],
    migrations: &'m [Migration],
) -> Result<&'m [Migration], DatabaseError> {
    let known = migrations.last().map_or(0, |m| m.version);
    match applied.last() {
        Some((found, _)) if *found > known => {
            Err(DatabaseError::NewerSchema { component: component.to_owned(), found: *found, known })
        }
        Some((found, _)) => {
            let first = migrations.iter().position(|m| m.version > *found).unwrap_or(migrations.len());
            Ok(&migrations[first..])
        }
        None => Ok(migrations),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestDatabase;

    const ONE: Migration = Migration {
        version: 1,
        name: "things",
        sql: "CREATE TABLE things (id TEXT PRIMARY KEY) WITHOUT ROWID; CREATE TABLE more (n BIGINT)",
    };
    const TWO: Migration =
        Migration { version: 2, name: "flag", sql: "ALTER TABLE things ADD COLUMN flag BOOLEAN" };
    const BROKEN: Migration =
        Migration { version: 2, name: "broken", sql: "CREATE TABLE half (n BIGINT); CREATE NONSENSE" };

    #[tokio::test]
    async fn steps_are_applied_once_and_in_order() {
        for test in TestDatabase::each().await {
            let database = test.database();
            assert_eq!(migration_status(database, "a", &[ONE]).await.unwrap().pending, [(1, "things")]);
            assert_eq!(migrate(database, "a", &[ONE], OffsetDateTime::UNIX_EPOCH).await.unwrap(), 1);
            assert_eq!(migrate(database, "a", &[ONE, TWO], OffsetDateTime::UNIX_EPOCH).await.unwrap(), 1);
            assert_eq!(migrate(database, "a", &[ONE, TWO], OffsetDateTime::UNIX_EPOCH).await.unwrap(), 0);
            let status = migration_status(database, "a", &[ONE, TWO]).await.unwrap();
            assert_eq!(status.applied, [(1, "things".to_owned()), (2, "flag".to_owned())]);
            assert_eq!(status.pending, []);
        }
    }

    #[tokio::test]
    async fn a_newer_schema_is_refused() {
        for test in TestDatabase::each().await {
            migrate(test.database(), "a", &[ONE, TWO], OffsetDateTime::UNIX_EPOCH).await.unwrap();
            let refused =
                migrate(test.database(), "a", &[ONE], OffsetDateTime::UNIX_EPOCH).await.unwrap_err();
            assert!(matches!(refused, DatabaseError::NewerSchema { found: 2, known: 1, .. }), "{refused}");
        }
    }

    #[tokio::test]
    async fn a_step_that_fails_leaves_the_schema_as_it_was() {
        for test in TestDatabase::each().await {
            migrate(test.database(), "a", &[ONE], OffsetDateTime::UNIX_EPOCH).await.unwrap();
            migrate(test.database(), "a", &[ONE, BROKEN], OffsetDateTime::UNIX_EPOCH).await.unwrap_err();
            let status = migration_status(test.database(), "a", &[ONE, TWO]).await.unwrap();
            assert_eq!(status.pending, [(2, "flag")]);
            migrate(test.database(), "a", &[ONE, TWO], OffsetDateTime::UNIX_EPOCH).await.unwrap();
        }
    }

    #[tokio::test]
    async fn two_instances_starting_at_once_are_fine() {
        for test in TestDatabase::each().await {
            let database = test.database();
            let steps = [ONE, TWO];
            let (a, b) = tokio::join!(
                migrate(database, "a", &steps, OffsetDateTime::UNIX_EPOCH),
                migrate(database, "a", &steps, OffsetDateTime::UNIX_EPOCH),
            );
            assert_eq!(a.unwrap() + b.unwrap(), 2);
        }
    }
}
