//! Registered clients.

use access_token::Scope;
use authz_domain::{Client, ClientId, ClientStatus, OrganisationCategory};
use database::{DatabaseError, Db, instant, micros, on_db};
use pms_terms::{Domains, OrganisationId};
use time::OffsetDateTime;

use crate::convert::Cell;

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    label: String,
    contact: Option<String>,
    role: String,
    organisation_id: Option<String>,
    owner_account_id: Option<String>,
    external_key: Option<String>,
    qualified: bool,
    sees_human: bool,
    sees_veterinary: bool,
    allowed_scope: String,
    dpop_required: bool,
    status: String,
    created_at: i64,
    category: Option<String>,
}

/// A client with what its organisation is, as tokens need it.
#[derive(Clone, Debug)]
pub struct RegisteredClient {
    /// The client.
    pub client: Client,
    /// The category of its organisation, when it has one.
    pub category: Option<OrganisationCategory>,
}

impl TryFrom<Row> for RegisteredClient {
    type Error = DatabaseError;

    fn try_from(row: Row) -> Result<Self, DatabaseError> {
        let cell = |column| Cell { table: "clients", column, row: &row.id };
        let client = Client {
            id: cell("id").parse(&row.id)?,
            label: row.label,
            contact: row.contact,
            role: row.role,
            organisation: row
                .organisation_id
                .map(|id| cell("organisation_id").parse::<OrganisationId>(&id))
                .transpose()?,
            owner: row.owner_account_id,
            external_key: row.external_key,
            qualified: row.qualified,
            domains: Domains { human: row.sees_human, veterinary: row.sees_veterinary },
            allowed: Scope::parse(&row.allowed_scope).map_err(|_| cell("allowed_scope").corrupt())?,
            dpop_required: row.dpop_required,
            status: cell("status").parse(&row.status)?,
            created_at: instant(row.created_at),
        };
        let category = row
            .category
            .map(|word| Cell { table: "organisations", column: "category", row: &word }.parse(&word))
            .transpose()?;
        Ok(Self { client, category })
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT c.id, c.label, c.contact, c.role, c.organisation_id, c.owner_account_id, c.external_key,
                 c.qualified, c.sees_human, c.sees_veterinary, c.allowed_scope, c.dpop_required, c.status, c.created_at, o.category
             FROM clients c LEFT JOIN organisations o ON o.id = c.organisation_id ",
            $rest
        )
    };
}

/// Registers a client.
pub async fn insert(db: &mut Db<'_>, client: &Client) -> Result<(), DatabaseError> {
    let allowed = client.allowed.to_string();
    on_db!(db, conn => sqlx::query(
        "INSERT INTO clients (id, label, contact, role, organisation_id, qualified, sees_human, sees_veterinary,
             allowed_scope, status, created_at, owner_account_id, external_key, dpop_required)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
    )
    .bind(client.id.as_str()).bind(client.label.as_str()).bind(client.contact.as_deref())
    .bind(client.role.as_str()).bind(client.organisation.as_ref().map(OrganisationId::as_str))
    .bind(client.qualified).bind(client.domains.human).bind(client.domains.veterinary)
    .bind(allowed.as_str()).bind(client.status.as_str()).bind(micros(client.created_at))
    .bind(client.owner.as_deref()).bind(client.external_key.as_deref())
    .bind(client.dpop_required)
    .execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// The client, or none. Takes any text: what was never registered is not found.
pub async fn find(db: &mut Db<'_>, id: &str) -> Result<Option<RegisteredClient>, DatabaseError> {
    let row = on_db!(db, conn => sqlx::query_as::<_, Row>(select!("WHERE c.id = $1"))
    .bind(id).fetch_optional(conn).await)?;
    row.map(RegisteredClient::try_from).transpose()
}

/// All clients, oldest first.
pub async fn list(db: &mut Db<'_>) -> Result<Vec<RegisteredClient>, DatabaseError> {
    let rows = on_db!(db, conn => sqlx::query_as::<_, Row>(select!("ORDER BY c.created_at, c.id"))
    .fetch_all(conn).await)?;
    rows.into_iter().map(RegisteredClient::try_from).collect()
}

/// The clients of an organisation, oldest first.
pub async fn of_organisation(
    db: &mut Db<'_>,
    organisation: &OrganisationId,
) -> Result<Vec<RegisteredClient>, DatabaseError> {
    let rows = on_db!(db, conn => sqlx::query_as::<_, Row>(
        select!("WHERE c.organisation_id = $1 ORDER BY c.created_at, c.id")
    ).bind(organisation.as_str()).fetch_all(conn).await)?;
    rows.into_iter().map(RegisteredClient::try_from).collect()
}

/// The clients that belong to an account, oldest first.
pub async fn of_owner(db: &mut Db<'_>, account: &str) -> Result<Vec<RegisteredClient>, DatabaseError> {
    let rows = on_db!(db, conn => sqlx::query_as::<_, Row>(
        select!("WHERE c.owner_account_id = $1 ORDER BY c.created_at, c.id")
    ).bind(account).fetch_all(conn).await)?;
    rows.into_iter().map(RegisteredClient::try_from).collect()
}

/// The client that automation calls `key` within an organisation, or among those without one; revoked ones do not count.
pub async fn find_by_key(
    db: &mut Db<'_>,
    organisation: Option<&OrganisationId>,
    key: &str,
) -> Result<Option<RegisteredClient>, DatabaseError> {
    let row = on_db!(db, conn => sqlx::query_as::<_, Row>(
        select!("WHERE COALESCE(c.organisation_id, '') = $1 AND c.external_key = $2 AND c.status <> 'revoked'")
    ).bind(organisation.map_or("", OrganisationId::as_str)).bind(key).fetch_optional(conn).await)?;
    row.map(RegisteredClient::try_from).transpose()
}

/// Where a page of clients begins: after the client made at this time with this id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct After {
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// Its id.
    pub id: String,
}

/// At most `limit` clients, oldest first, of one organisation or of all.
pub async fn page(
    db: &mut Db<'_>,
    organisation: Option<&OrganisationId>,
    after: Option<&After>,
    limit: i64,
) -> Result<Vec<RegisteredClient>, DatabaseError> {
    let (since, id) = after.map_or((i64::MIN, ""), |after| (micros(after.created_at), after.id.as_str()));
    let rows = on_db!(db, conn => sqlx::query_as::<_, Row>(select!(
        "WHERE ($1 = '' OR c.organisation_id = $1) AND (c.created_at > $2 OR (c.created_at = $2 AND c.id > $3))
         ORDER BY c.created_at, c.id LIMIT $4"
    ))
    .bind(organisation.map_or("", OrganisationId::as_str)).bind(since).bind(id).bind(limit)
    .fetch_all(conn).await)?;
    rows.into_iter().map(RegisteredClient::try_from).collect()
}

/// Writes a client's label and contact. Whether it was there.
pub async fn set_particulars(
    db: &mut Db<'_>,
    id: &ClientId,
    label: &str,
    contact: Option<&str>,
) -> Result<bool, DatabaseError> {
    let changed = on_db!(db, conn => sqlx::query("UPDATE clients SET label = $2, contact = $3 WHERE id = $1")
        .bind(id.as_str()).bind(label).bind(contact).execute(conn).await.map(|done| done.rows_affected()))?;
    Ok(changed == 1)
}

/// Writes whether a client's tokens must be bound to a key. Whether it was there.
pub async fn set_dpop_required(
    db: &mut Db<'_>,
    id: &ClientId,
    required: bool,
) -> Result<bool, DatabaseError> {
    let changed = on_db!(db, conn => sqlx::query("UPDATE clients SET dpop_required = $2 WHERE id = $1")
        .bind(id.as_str()).bind(required).execute(conn).await.map(|done| done.rows_affected()))?;
    Ok(changed == 1)
}

/// Writes a client's new status. Whether it was there.
pub async fn set_status(db: &mut Db<'_>, id: &ClientId, status: ClientStatus) -> Result<bool, DatabaseError> {
    let changed = on_db!(db, conn => sqlx::query("UPDATE clients SET status = $2 WHERE id = $1")
        .bind(id.as_str()).bind(status.as_str()).execute(conn).await.map(|done| done.rows_affected()))?;
    Ok(changed == 1)
}

/// How many clients there are.
pub async fn count(db: &mut Db<'_>) -> Result<i64, DatabaseError> {
    Ok(
        on_db!(db, conn => sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM clients").fetch_one(conn).await)?,
    )
}

/// How many clients of an organisation are not revoked.
pub async fn count_of(db: &mut Db<'_>, organisation: &OrganisationId) -> Result<i64, DatabaseError> {
    Ok(on_db!(db, conn => sqlx::query_scalar::<_, i64>(
        "SELECT COUNT(*) FROM clients WHERE organisation_id = $1 AND status <> 'revoked'"
    ).bind(organisation.as_str()).fetch_one(conn).await)?)
}
