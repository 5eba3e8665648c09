//! Accounts of people, with what proves who they are.

use std::collections::{BTreeMap, BTreeSet};

use authz_domain::{Account, AccountStatus, PhoneNumber};
use database::{DatabaseError, Db, instant, micros, on_db};
use time::OffsetDateTime;

use crate::{
    batch::{batches, in_batch},
    convert::Cell,
};

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    user_name: String,
    email: String,
    first_name: String,
    last_name: String,
    phone: Option<String>,
    phone_confirmed: bool,
    second_contact: Option<String>,
    language: String,
    notifications: bool,
    status: String,
    totp_enrolled: bool,
    created_at: i64,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT a.id, a.user_name, a.email, a.first_name, a.last_name, a.phone, a.phone_confirmed,
                 a.second_contact, a.language, a.notifications, a.status, a.totp_enrolled, a.created_at
             FROM accounts a ",
            $rest
        )
    };
}

impl TryFrom<Row> for Account {
    type Error = DatabaseError;

    fn try_from(row: Row) -> Result<Self, DatabaseError> {
        let cell = |column| Cell { table: "accounts", column, row: &row.id };
        Ok(Self {
            user_name: row.user_name,
            email: row.email.parse().map_err(|_| cell("email").corrupt())?,
            first_name: row.first_name,
            last_name: row.last_name,
            phone: row
                .phone
                .map(|phone| phone.parse::<PhoneNumber>().map_err(|_| cell("phone").corrupt()))
                .transpose()?,
            phone_confirmed: row.phone_confirmed,
            second_contact: row.second_contact,
            language: row.language,
            notifications: row.notifications,
            status: cell("status").parse(&row.status)?,
            totp_enrolled: row.totp_enrolled,
            created_at: instant(row.created_at),
            id: row.id,
        })
    }
}

/// What proves who somebody is. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct AccountSecrets {
    /// The password's hash (PHC string).
    pub password_hash: String,
    /// The authenticator app's secret, sealed.
    pub totp_secret: Option<String>,
    /// The last step whose code was used.
    pub totp_last_step: i64,
}

impl std::fmt::Debug for AccountSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccountSecrets(…)")
    }
}

/// Opens an account. A known address or user name is a conflict.
pub async fn insert(db: &mut Db<'_>, account: &Account, password_hash: &str) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query(
        "INSERT INTO accounts (id, user_name, email, email_key, first_name, last_name, phone, phone_confirmed,
             second_contact, language, notifications, status, password_hash, totp_secret, totp_enrolled,
             totp_last_step, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, NULL, $14, 0, $15)"
    )
    .bind(account.id.as_str()).bind(account.user_name.as_str()).bind(account.email.as_str())
    .bind(account.email.key()).bind(account.first_name.as_str()).bind(account.last_name.as_str())
    .bind(account.phone.as_ref().map(PhoneNumber::as_str)).bind(account.phone_confirmed)
    .bind(account.second_contact.as_deref()).bind(account.language.as_str()).bind(account.notifications)
    .bind(account.status.as_str()).bind(password_hash).bind(false).bind(micros(account.created_at))
    .execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// The account with this id.
pub async fn find(db: &mut Db<'_>, id: &str) -> Result<Option<Account>, DatabaseError> {
    let row = on_db!(db, conn => sqlx::query_as::<_, Row>(select!("WHERE a.id = $1"))
        .bind(id).fetch_optional(conn).await)?;
    row.map(Account::try_from).transpose()
}

/// The accounts with these ids, by id. Those that are not there are left out.
pub async fn find_all<'i>(
    db: &mut Db<'_>,
    ids: impl IntoIterator<Item = &'i str>,
) -> Result<BTreeMap<String, Account>, DatabaseError> {
    let mut found = BTreeMap::new();
    for batch in batches(ids.into_iter().collect::<BTreeSet<_>>()) {
        let rows = on_db!(db, conn => {
            let mut query = sqlx::query_as::<_, Row>(concat!(select!("WHERE a.id IN "), in_batch!()));
            for id in batch {
                query = query.bind(id);
            }
            query.fetch_all(conn).await
        })?;
        for row in rows {
            let account = Account::try_from(row)?;
            found.insert(account.id.clone(), account);
        }
    }
    Ok(found)
}

/// The account with this user name or address.
pub async fn find_by_name(db: &mut Db<'_>, name: &str) -> Result<Option<Account>, DatabaseError> {
    let key = name.trim().to_lowercase();
    let row = on_db!(db, conn => sqlx::query_as::<_, Row>(
        select!("WHERE a.email_key = $1 OR a.user_name = $1 ORDER BY a.id LIMIT 1")
    ).bind(key.as_str()).fetch_optional(conn).await)?;
    row.map(Account::try_from).transpose()
}

/// What proves who somebody is.
pub async fn secrets(db: &mut Db<'_>, id: &str) -> Result<Option<AccountSecrets>, DatabaseError> {
    let row = on_db!(db, conn => sqlx::query_as::<_, (String, Option<String>, i64)>(
        "SELECT password_hash, totp_secret, totp_last_step FROM accounts WHERE id = $1"
    ).bind(id).fetch_optional(conn).await)?;
    Ok(row.map(|(password_hash, totp_secret, totp_last_step)| AccountSecrets {
        password_hash,
        totp_secret,
        totp_last_step,
    }))
}

/// Writes a new password's hash.
pub async fn set_password(db: &mut Db<'_>, id: &str, hash: &str) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query("UPDATE accounts SET password_hash = $2 WHERE id = $1")
        .bind(id).bind(hash).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Writes whether somebody may sign in.
pub async fn set_status(db: &mut Db<'_>, id: &str, status: AccountStatus) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query("UPDATE accounts SET status = $2 WHERE id = $1")
        .bind(id).bind(status.as_str()).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Writes what its owner can change: phone, second contact, language, notifications.
pub async fn set_preferences(db: &mut Db<'_>, account: &Account) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query(
        "UPDATE accounts SET phone = $2, phone_confirmed = $3, second_contact = $4, language = $5,
             notifications = $6 WHERE id = $1"
    )
    .bind(account.id.as_str()).bind(account.phone.as_ref().map(PhoneNumber::as_str))
    .bind(account.phone_confirmed).bind(account.second_contact.as_deref())
    .bind(account.language.as_str()).bind(account.notifications)
    .execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Writes the authenticator app's sealed secret, and whether it was proven to work; none removes it.
pub async fn set_totp(
    db: &mut Db<'_>,
    id: &str,
    sealed: Option<&str>,
    enrolled: bool,
) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query(
        "UPDATE accounts SET totp_secret = $2, totp_enrolled = $3 WHERE id = $1"
    ).bind(id).bind(sealed).bind(enrolled).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Notes that the code of `step` was used. Whether it was the first time: a code works once, also for two at once.
pub async fn use_totp_step(db: &mut Db<'_>, id: &str, step: i64) -> Result<bool, DatabaseError> {
    let changed = on_db!(db, conn => sqlx::query(
        "UPDATE accounts SET totp_last_step = $2 WHERE id = $1 AND totp_last_step < $2"
    ).bind(id).bind(step).execute(conn).await.map(|done| done.rows_affected()))?;
    Ok(changed == 1)
}

/// Replaces the recovery codes' hashes.
pub async fn set_recovery_codes(db: &mut Db<'_>, id: &str, hashes: &[String]) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query("DELETE FROM recovery_codes WHERE account_id = $1")
        .bind(id).execute(conn).await.map(|_| ()))?;
    for hash in hashes {
        on_db!(db, conn => sqlx::query(
            "INSERT INTO recovery_codes (code_hash, account_id, used_at) VALUES ($1, $2, NULL)"
        ).bind(hash.as_str()).bind(id).execute(conn).await.map(|_| ()))?;
    }
    Ok(())
}

/// Uses a recovery code up. Whether it was there and unused.
pub async fn use_recovery_code(
    db: &mut Db<'_>,
    id: &str,
    hash: &str,
    now: OffsetDateTime,
) -> Result<bool, DatabaseError> {
    let changed = on_db!(db, conn => sqlx::query(
        "UPDATE recovery_codes SET used_at = $3 WHERE account_id = $1 AND code_hash = $2 AND used_at IS NULL"
    ).bind(id).bind(hash).bind(micros(now)).execute(conn).await.map(|done| done.rows_affected()))?;
    Ok(changed == 1)
}

/// How many recovery codes are left.
pub async fn recovery_codes_left(db: &mut Db<'_>, id: &str) -> Result<i64, DatabaseError> {
    Ok(on_db!(db, conn => sqlx::query_scalar::<_, i64>(
        "SELECT COUNT(*) FROM recovery_codes WHERE account_id = $1 AND used_at IS NULL"
    ).bind(id).fetch_one(conn).await)?)
}

/// The questions of an account with their answers' hashes, in order.
pub async fn answers(db: &mut Db<'_>, id: &str) -> Result<Vec<(String, String)>, DatabaseError> {
    Ok(on_db!(db, conn => sqlx::query_as::<_, (String, String)>(
        "SELECT question, answer_hash FROM authentication_answers WHERE account_id = $1 ORDER BY position"
    ).bind(id).fetch_all(conn).await)?)
}

/// Replaces the questions of an account.
pub async fn set_answers(
    db: &mut Db<'_>,
    id: &str,
    answers: &[(String, String)],
) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query("DELETE FROM authentication_answers WHERE account_id = $1")
        .bind(id).execute(conn).await.map(|_| ()))?;
    for (position, (question, hash)) in (0_i64..).zip(answers) {
        on_db!(db, conn => sqlx::query(
            "INSERT INTO authentication_answers (account_id, position, question, answer_hash) VALUES ($1, $2, $3, $4)"
        ).bind(id).bind(position).bind(question.as_str()).bind(hash.as_str()).execute(conn).await.map(|_| ()))?;
    }
    Ok(())
}

/// People who hold a role in an organisation, by name.
pub async fn of_organisation(
    db: &mut Db<'_>,
    organisation: &str,
    limit: i64,
) -> Result<Vec<Account>, DatabaseError> {
    let rows = on_db!(db, conn => sqlx::query_as::<_, Row>(select!(
        "WHERE a.id IN (SELECT g.account_id FROM granted_roles g
                        WHERE g.organisation_id = $1 AND g.revoked_at IS NULL)
         ORDER BY a.last_name, a.first_name, a.id LIMIT $2"
    )).bind(organisation).bind(limit).fetch_all(conn).await)?;
    rows.into_iter().map(Account::try_from).collect()
}

/// People who hold one of these roles in an organisation (none: anywhere), by name. At most four roles are looked at.
pub async fn holders(
    db: &mut Db<'_>,
    roles: &[&str],
    organisation: Option<&str>,
    limit: i64,
) -> Result<Vec<Account>, DatabaseError> {
    let at = |n: usize| roles.get(n).copied().unwrap_or("");
    let rows = on_db!(db, conn => sqlx::query_as::<_, Row>(select!(
        "WHERE a.status = 'active' AND a.id IN
             (SELECT g.account_id FROM granted_roles g
              WHERE g.role IN ($1, $2, $3, $4) AND ($5 = '' OR g.organisation_id = $5) AND g.revoked_at IS NULL)
         ORDER BY a.last_name, a.first_name, a.id LIMIT $6"
    ))
    .bind(at(0)).bind(at(1)).bind(at(2)).bind(at(3)).bind(organisation.unwrap_or("")).bind(limit)
    .fetch_all(conn).await)?;
    rows.into_iter().map(Account::try_from).collect()
}

/// Characters that a search needs at least: what the index on the beginning of addresses covers.
const SHORTEST_SEARCH: usize = 3;

/// People whose address begins with `text`, or whose user name it is, by address. Fewer than three characters find nobody.
pub async fn search(db: &mut Db<'_>, text: &str, limit: i64) -> Result<Vec<Account>, DatabaseError> {
    let key = text.trim().to_lowercase();
    if key.chars().count() < SHORTEST_SEARCH {
        return Ok(Vec::new());
    }
    let beginning: String = key.chars().take(SHORTEST_SEARCH).collect();
    let escaped = key.replace('!', "!!").replace('%', "!%").replace('_', "!_");
    let rows = on_db!(db, conn => sqlx::query_as::<_, Row>(select!(
        "WHERE (SUBSTR(a.email_key, 1, 3) = $1 AND a.email_key LIKE $2 ESCAPE '!') OR a.user_name = $3
         ORDER BY a.email_key LIMIT $4"
    ))
    .bind(beginning.as_str()).bind(format!("{escaped}%")).bind(key.as_str()).bind(limit)
    .fetch_all(conn).await)?;
    rows.into_iter().map(Account::try_from).collect()
}
