//! What can go wrong in the store.

use database::DatabaseError;

/// A failed operation of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed.
    #[error("the product database failed")]
    Database(#[from] DatabaseError),
    /// A stored resource is not JSON.
    #[error("the stored body of {key} version {version_id} is corrupt")]
    Corrupt {
        /// `Type/id`.
        key: String,
        /// The version.
        version_id: i64,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// A mistake of ours.
    #[error("the program met a case that it holds to be impossible: {0}")]
    Panicked(String),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}
