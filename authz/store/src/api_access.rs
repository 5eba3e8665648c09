//! What requests about API credentials say beyond what every request says.

use database::{DatabaseError, Db, on_db};
use pms_terms::Domains;

/// The particulars of a request for API access, or for a renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiAccess {
    /// The request.
    pub request: String,
    /// The technical contact's address.
    pub contact: String,
    /// What the client is to be called.
    pub label: String,
    /// Whether it is to see what only qualified users may.
    pub qualified: bool,
    /// The domains of products it is to see.
    pub domains: Domains,
    /// A narrower scope than its role's.
    pub scope: Option<String>,
    /// The environment that a renewal names.
    pub environment: Option<String>,
    /// The client that was made, or whose secret is to be renewed.
    pub client: Option<String>,
}

#[derive(sqlx::FromRow)]
struct Row {
    request_id: String,
    contact: String,
    label: String,
    qualified: bool,
    sees_human: bool,
    sees_veterinary: bool,
    scope: Option<String>,
    environment: Option<String>,
    client_id: Option<String>,
}

/// Keeps the particulars of a request.
pub async fn insert(db: &mut Db<'_>, access: &ApiAccess) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query(
        "INSERT INTO api_access_requests
             (request_id, contact, label, qualified, sees_human, sees_veterinary, scope, environment, client_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
    )
    .bind(access.request.as_str()).bind(access.contact.as_str()).bind(access.label.as_str())
    .bind(access.qualified).bind(access.domains.human).bind(access.domains.veterinary)
    .bind(access.scope.as_deref()).bind(access.environment.as_deref()).bind(access.client.as_deref())
    .execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// The particulars of a request, when it is about credentials.
pub async fn find(db: &mut Db<'_>, request: &str) -> Result<Option<ApiAccess>, DatabaseError> {
    let row = on_db!(db, conn => sqlx::query_as::<_, Row>(
        "SELECT request_id, contact, label, qualified, sees_human, sees_veterinary, scope, environment, client_id
         FROM api_access_requests WHERE request_id = $1"
    ).bind(request).fetch_optional(conn).await)?;
    Ok(row.map(|row| ApiAccess {
        request: row.request_id,
        contact: row.contact,
        label: row.label,
        qualified: row.qualified,
        domains: Domains { human: row.sees_human, veterinary: row.sees_veterinary },
        scope: row.scope,
        environment: row.environment,
        client: row.client_id,
    }))
}

/// Notes which client was made for a request.
pub async fn set_client(db: &mut Db<'_>, request: &str, client: &str) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query("UPDATE api_access_requests SET client_id = $2 WHERE request_id = $1")
        .bind(request).bind(client).execute(conn).await.map(|_| ()))?;
    Ok(())
}
