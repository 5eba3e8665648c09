//! Reminders that went out: a row is added in the unit of work that posts the letters.

use std::collections::HashMap;

use authz_domain::{ReminderStep, SecretId};
use database::{DatabaseError, Db, micros, on_db};
use time::OffsetDateTime;

use crate::convert::Cell;

/// Notes that a reminder goes out. Whether it is the first time: only then may letters be posted.
pub async fn note(
    db: &mut Db<'_>,
    secret: &SecretId,
    step: ReminderStep,
    now: OffsetDateTime,
) -> Result<bool, DatabaseError> {
    let step = step.to_string();
    let added = on_db!(db, conn => sqlx::query(
        "INSERT INTO expiry_reminders (secret_id, step, sent_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
    ).bind(secret.as_str()).bind(step.as_str()).bind(micros(now)).execute(conn).await
        .map(|done| done.rows_affected()))?;
    Ok(added == 1)
}

/// Every reminder that went out, by secret, in the order in which they did.
pub async fn list(db: &mut Db<'_>) -> Result<HashMap<String, Vec<ReminderStep>>, DatabaseError> {
    let rows = on_db!(db, conn => sqlx::query_as::<_, (String, String)>(
        "SELECT secret_id, step FROM expiry_reminders ORDER BY secret_id, sent_at"
    ).fetch_all(conn).await)?;
    let mut sent: HashMap<String, Vec<ReminderStep>> = HashMap::new();
    for (secret, step) in rows {
        let step = Cell { table: "expiry_reminders", column: "step", row: &secret }.parse(&step)?;
        sent.entry(secret).or_default().push(step);
    }
    Ok(sent)
}

/// The reminders of one secret that went out.
pub async fn of_secret(db: &mut Db<'_>, secret: &SecretId) -> Result<Vec<ReminderStep>, DatabaseError> {
    let words = on_db!(db, conn => sqlx::query_scalar::<_, String>(
        "SELECT step FROM expiry_reminders WHERE secret_id = $1 ORDER BY sent_at"
    ).bind(secret.as_str()).fetch_all(conn).await)?;
    let cell = Cell { table: "expiry_reminders", column: "step", row: secret.as_str() };
    words.iter().map(|word| cell.parse(word)).collect()
}
