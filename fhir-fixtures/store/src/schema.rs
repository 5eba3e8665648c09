//! The tables of component "products", step by step.

use database::{Database, DatabaseError, Migration, MigrationStatus};
use time::OffsetDateTime;

/// The name under which the database's ledger keeps these migrations.
pub const COMPONENT: &str = "products";

/// All steps, oldest first.
pub const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "products", sql: include_str!("../migrations/0001_products.sql") },
    Migration { version: 2, name: "mentions", sql: include_str!("../migrations/0002_mentions.sql") },
    Migration { version: 3, name: "merges", sql: include_str!("../migrations/0003_merges.sql") },
    Migration { version: 4, name: "order", sql: include_str!("../migrations/0004_order.sql") },
    Migration { version: 5, name: "outlines", sql: include_str!("../migrations/0005_outlines.sql") },
    Migration { version: 6, name: "seen", sql: include_str!("../migrations/0006_seen.sql") },
    Migration { version: 7, name: "marks", sql: include_str!("../migrations/0007_marks.sql") },
    Migration { version: 8, name: "knowing", sql: include_str!("../migrations/0008_knowing.sql") },
];

/// Applies what is missing; answers how many steps that were.
///
/// # Errors
/// [`DatabaseError::NewerSchema`] when a newer program made the tables.
pub async fn migrate(database: &Database, now: OffsetDateTime) -> Result<usize, DatabaseError> {
    database::migrate(database, COMPONENT, MIGRATIONS, now).await
}

/// What is applied and what is pending, without changing anything.
pub async fn migration_status(database: &Database) -> Result<MigrationStatus, DatabaseError> {
    database::migration_status(database, COMPONENT, MIGRATIONS).await
}
