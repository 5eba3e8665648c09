//! Roles that people hold, and held.

use authz_domain::HeldRole;
use database::{DatabaseError, Db, instant, micros, on_db};
use pms_terms::OrganisationId;
use time::OffsetDateTime;

use crate::convert::Cell;

/// A role that somebody was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantedRole {
    /// Its id.
    pub id: String,
    /// Who holds it.
    pub account: String,
    /// The role.
    pub role: String,
    /// Where.
    pub organisation: Option<OrganisationId>,
    /// The language of a translator.
    pub language: Option<String>,
    /// What its holder chose at the first sign-in.
    pub preference: Option<String>,
    /// The request it was asked for with.
    pub request: Option<String>,
    /// When it was given.
    pub granted_at: OffsetDateTime,
    /// By whom; none for the system.
    pub granted_by: Option<String>,
}

impl GrantedRole {
    /// As the rules see it.
    pub fn held(&self) -> HeldRole {
        HeldRole { role: self.role.clone(), organisation: self.organisation.clone() }
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    account_id: String,
    role: String,
    organisation_id: Option<String>,
    language: Option<String>,
    preference: Option<String>,
    request_id: Option<String>,
    granted_at: i64,
    granted_by: Option<String>,
}

impl TryFrom<Row> for GrantedRole {
    type Error = DatabaseError;

    fn try_from(row: Row) -> Result<Self, DatabaseError> {
        let cell = Cell { table: "granted_roles", column: "organisation_id", row: &row.id };
        Ok(Self {
            organisation: row.organisation_id.map(|id| cell.parse(&id)).transpose()?,
            account: row.account_id,
            role: row.role,
            language: row.language,
            preference: row.preference,
            request: row.request_id,
            granted_at: instant(row.granted_at),
            granted_by: row.granted_by,
            id: row.id,
        })
    }
}

/// Gives a role. Whether it was new: somebody who holds it keeps it.
pub async fn grant(db: &mut Db<'_>, role: &GrantedRole) -> Result<bool, DatabaseError> {
    let added = on_db!(db, conn => sqlx::query(
        "INSERT INTO granted_roles (id, account_id, role, organisation_id, language, preference, request_id, granted_at,
             granted_by, revoked_at, revoked_by, revoke_reason)
         VALUES ($1, $2, $3, $4, $5, NULL, $6, $7, $8, NULL, NULL, NULL) ON CONFLICT DO NOTHING"
    )
    .bind(role.id.as_str()).bind(role.account.as_str()).bind(role.role.as_str())
    .bind(role.organisation.as_ref().map(OrganisationId::as_str)).bind(role.language.as_deref())
    .bind(role.request.as_deref()).bind(micros(role.granted_at)).bind(role.granted_by.as_deref())
    .execute(conn).await.map(|done| done.rows_affected()))?;
    Ok(added == 1)
}

/// Roles that an account holds, oldest first.
pub async fn of_account(db: &mut Db<'_>, account: &str) -> Result<Vec<GrantedRole>, DatabaseError> {
    let rows = on_db!(db, conn => sqlx::query_as::<_, Row>(
        "SELECT id, account_id, role, organisation_id, language, preference, request_id, granted_at, granted_by
         FROM granted_roles WHERE account_id = $1 AND revoked_at IS NULL ORDER BY granted_at, id"
    ).bind(account).fetch_all(conn).await)?;
    rows.into_iter().map(GrantedRole::try_from).collect()
}

/// Roles that are held in an organisation.
pub async fn of_organisation(
    db: &mut Db<'_>,
    organisation: &OrganisationId,
) -> Result<Vec<GrantedRole>, DatabaseError> {
    let rows = on_db!(db, conn => sqlx::query_as::<_, Row>(
        "SELECT id, account_id, role, organisation_id, language, preference, request_id, granted_at, granted_by
         FROM granted_roles WHERE organisation_id = $1 AND revoked_at IS NULL ORDER BY granted_at, id"
    ).bind(organisation.as_str()).fetch_all(conn).await)?;
    rows.into_iter().map(GrantedRole::try_from).collect()
}

/// A role that is held, by its id.
pub async fn find(db: &mut Db<'_>, id: &str) -> Result<Option<GrantedRole>, DatabaseError> {
    let row = on_db!(db, conn => sqlx::query_as::<_, Row>(
        "SELECT id, account_id, role, organisation_id, language, preference, request_id, granted_at, granted_by
         FROM granted_roles WHERE id = $1 AND revoked_at IS NULL"
    ).bind(id).fetch_optional(conn).await)?;
    row.map(GrantedRole::try_from).transpose()
}

/// How many active people other than `account` hold `role` in an organisation (none: anywhere).
pub async fn count_others(
    db: &mut Db<'_>,
    role: &str,
    organisation: Option<&OrganisationId>,
    account: &str,
) -> Result<i64, DatabaseError> {
    Ok(on_db!(db, conn => sqlx::query_scalar::<_, i64>(
        "SELECT COUNT(*) FROM granted_roles g JOIN accounts a ON a.id = g.account_id
         WHERE g.role = $1 AND ($2 = '' OR g.organisation_id = $2) AND g.account_id <> $3 AND g.revoked_at IS NULL
           AND a.status = 'active'"
    ).bind(role).bind(organisation.map_or("", OrganisationId::as_str)).bind(account)
    .fetch_one(conn).await)?)
}

/// How often `role` was ever given in an organisation, whether or not it is still held.
pub async fn count_ever(
    db: &mut Db<'_>,
    role: &str,
    organisation: &OrganisationId,
) -> Result<i64, DatabaseError> {
    Ok(on_db!(db, conn => sqlx::query_scalar::<_, i64>(
        "SELECT COUNT(*) FROM granted_roles WHERE role = $1 AND organisation_id = $2"
    ).bind(role).bind(organisation.as_str()).fetch_one(conn).await)?)
}

/// Writes what its holder chose at the first sign-in.
pub async fn set_preference(db: &mut Db<'_>, id: &str, choice: &str) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query("UPDATE granted_roles SET preference = $2 WHERE id = $1")
        .bind(id).bind(choice).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Takes a role away. Whether it was held: of two reviewers at once, one gets true.
pub async fn revoke(
    db: &mut Db<'_>,
    id: &str,
    by: Option<&str>,
    reason: &str,
    now: OffsetDateTime,
) -> Result<bool, DatabaseError> {
    let changed = on_db!(db, conn => sqlx::query(
        "UPDATE granted_roles SET revoked_at = $2, revoked_by = $3, revoke_reason = $4
         WHERE id = $1 AND revoked_at IS NULL"
    ).bind(id).bind(micros(now)).bind(by).bind(reason).execute(conn).await.map(|done| done.rows_affected()))?;
    Ok(changed == 1)
}
