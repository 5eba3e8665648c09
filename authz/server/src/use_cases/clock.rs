//! A sandbox's clock: shown, moved and set right while the server runs.

use authz_domain::{Act, Actor};
use authz_store::{changes, changes::Change, sandbox_clock};
use database::{Database, DatabaseError};
use time::{Duration, OffsetDateTime};

use super::{UseCaseError, UseCases};

/// What a sandbox's clock shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockView {
    /// The time by it.
    pub now: OffsetDateTime,
    /// How far it is moved.
    pub offset: Duration,
    /// Whether by command, rather than by the configuration.
    pub by_command: bool,
}

/// How far a sandbox's clock is moved by command, for parts that do not follow the authorization server's database
/// otherwise. None when it is not, or when the schema is not there yet.
pub async fn sandbox_offset(database: &Database) -> Result<Option<Duration>, DatabaseError> {
    let status = crate::migration_status(database).await?;
    if !status.pending.is_empty() {
        return Ok(None);
    }
    sandbox_clock::offset(&mut database.read().await?.db()).await
}

impl UseCases {
    /// What the clock shows. Also outside of a sandbox, where it is never moved.
    pub async fn show_clock(&self) -> Result<ClockView, UseCaseError> {
        let by_command = if self.settings.sandbox {
            sandbox_clock::offset(&mut self.database.read().await?.db()).await?
        } else {
            None
        };
        let offset = by_command.unwrap_or(self.settings.clock_offset);
        Ok(ClockView { now: self.now(), offset, by_command: by_command.is_some() })
    }

    /// Moves the clock to so far from the real time; with none, leaves it where the configuration has it. In force on
    /// every server within a second. Messages that wait are sent by the new time.
    pub async fn move_clock(
        &self,
        actor: Actor,
        offset: Option<Duration>,
    ) -> Result<ClockView, UseCaseError> {
        if !self.settings.sandbox {
            return Err(UseCaseError::NotASandbox);
        }
        let before = self.show_clock().await?;
        let after = offset.unwrap_or(self.settings.clock_offset);
        let now = self.now().saturating_add(after - before.offset);
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        sandbox_clock::set(&mut db, offset).await?;
        sandbox_clock::release_messages(&mut db, now).await?;
        let details = vec![
            ("from", format!("{}s", before.offset.whole_seconds())),
            ("to", format!("{}s", after.whole_seconds())),
        ];
        self.audit(&mut db, &actor, Act::ClockMoved, "", details).await?;
        changes::append(&mut db, &Change::Everything, now).await?;
        work.commit().await?;
        self.clock.set_offset(after);
        self.committed().await;
        Ok(ClockView { now, offset: after, by_command: offset.is_some() })
    }
}
