//! How far a sandbox's clock is moved by command, and putting right what was planned by the clock before.

use database::{DatabaseError, Db, micros, on_db};
use time::{Duration, OffsetDateTime};

/// How far it is moved by command; none when it is not.
pub async fn offset(db: &mut Db<'_>) -> Result<Option<Duration>, DatabaseError> {
    let seconds = on_db!(db, conn => sqlx::query_scalar::<_, i64>(
        "SELECT offset_seconds FROM sandbox_clock WHERE only_row = 1"
    ).fetch_optional(conn).await)?;
    Ok(seconds.map(Duration::seconds))
}

/// Moves it, or with none leaves it where the configuration has it.
pub async fn set(db: &mut Db<'_>, offset: Option<Duration>) -> Result<(), DatabaseError> {
    match offset {
        Some(offset) => {
            on_db!(db, conn => sqlx::query(
                "INSERT INTO sandbox_clock (only_row, offset_seconds) VALUES (1, $1)
                 ON CONFLICT (only_row) DO UPDATE SET offset_seconds = $1"
            ).bind(offset.whole_seconds()).execute(conn).await.map(|_| ()))?;
        }
        None => {
            on_db!(db, conn => sqlx::query("DELETE FROM sandbox_clock").execute(conn).await.map(|_| ()))?;
        }
    }
    Ok(())
}

/// Lets messages that wait be sent by a clock that stands at `now`: what was put off to a time that lies far ahead
/// since the clock went back would wait for years.
pub async fn release_messages(db: &mut Db<'_>, now: OffsetDateTime) -> Result<(), DatabaseError> {
    for sql in [
        "UPDATE outbox SET due_at = $1, claimed_until = 0 WHERE sent_at IS NULL AND (due_at > $1 OR claimed_until > $1)",
        "UPDATE webhook_deliveries SET due_at = $1, claimed_until = 0
         WHERE delivered_at IS NULL AND dead_at IS NULL AND (due_at > $1 OR claimed_until > $1)",
    ] {
        on_db!(db, conn => sqlx::query(sql).bind(micros(now)).execute(conn).await.map(|_| ()))?;
    }
    Ok(())
}
