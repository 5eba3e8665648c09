//! One SQL text on SQLite and PostgreSQL: connections, units of work, migrations, test databases.
//!
//! # How to write a repository function
//!
//! ```ignore
//! pub async fn find(db: &mut Db<'_>, id: &str) -> Result<Option<Row>, DatabaseError> {
//!     let row = on_db!(db, conn => {
//!         sqlx::query_as::<_, Row>("SELECT id, label FROM things WHERE id = $1").bind(id).fetch_optional(conn).await
//!     })?;
//!     Ok(row)
//! }
//! ```
//!
//! The same expression is compiled for both drivers. The portable subset: `TEXT`, `BIGINT`, `BOOLEAN` columns,
//! `$1` placeholders, `ON CONFLICT`, `RETURNING`; instants are `BIGINT` microseconds since the epoch ([`micros`],
//! [`instant()`]), because the text form of an instant does not sort; columns are listed, never `*`; no arrays, `JSONB`,
//! `SERIAL`, `ILIKE`, `SKIP LOCKED`. Every function is tested on both databases with [`testing::TestDatabase`].

mod connect;
mod copy;
mod error;
mod instant;
mod migrate;
#[cfg(feature = "testing")]
pub mod testing;
mod work;

pub use connect::{Database, DatabaseKind};
pub use copy::CopyError;
pub use error::DatabaseError;
pub use instant::{instant, micros};
pub use migrate::{Migration, MigrationStatus, migrate, migration_status};
pub use work::{Db, Reader, UnitOfWork};
