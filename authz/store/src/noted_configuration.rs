//! What the configuration was at the last start, as a hash a section: so that a change can be told.

use std::collections::BTreeMap;

use database::{DatabaseError, Db, on_db};

/// The hashes by section.
pub async fn list(db: &mut Db<'_>) -> Result<BTreeMap<String, String>, DatabaseError> {
    let rows = on_db!(db, conn => sqlx::query_as::<_, (String, String)>(
        "SELECT section, hash FROM noted_configuration"
    ).fetch_all(conn).await)?;
    Ok(rows.into_iter().collect())
}

/// Notes a section's hash.
pub async fn set(db: &mut Db<'_>, section: &str, hash: &str) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query(
        "INSERT INTO noted_configuration (section, hash) VALUES ($1, $2)
         ON CONFLICT (section) DO UPDATE SET hash = $2"
    ).bind(section).bind(hash).execute(conn).await.map(|_| ()))?;
    Ok(())
}
