//! Bringing the authorization server up, and what it does by itself.

use std::{sync::Arc, time::Duration};

use authz_store::{COMPONENT, MIGRATIONS, changes, revocations};
use axum::Router;
use database::{Database, DatabaseError};
use http_service::{Clock, PartHealth};
use thiserror::Error;
use time::OffsetDateTime;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    AuthzKeys, AuthzSettings, UseCaseError, UseCases,
    certificate_issuers::{CertificateIssuers, CertificateIssuersError},
    figures, jobs,
    key_sets::{KeySets, KeySetsError},
    router,
    state::{FollowError, State},
};

/// How often other instances' changes are looked for: one query by primary key.
const FOLLOW_EVERY: Duration = Duration::from_millis(150);
/// How often last uses are written down.
const WRITE_DOWN_EVERY: Duration = Duration::from_secs(5);
/// How often the signing keys' schedule is looked at.
const PLAN_KEYS_EVERY: Duration = Duration::from_secs(30);
/// How often dead revocations and old changes are forgotten.
const FORGET_EVERY: Duration = Duration::from_hours(1);
/// How long changes are kept for instances to see.
const CHANGES_KEPT: time::Duration = time::Duration::hours(1);

/// The running authorization server. Clones share everything.
#[derive(Clone)]
pub struct Authz {
    state: Arc<State>,
}

impl std::fmt::Debug for Authz {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authz").field("issuer", &self.state.settings.issuer).finish_non_exhaustive()
    }
}

/// Why it does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The database.
    #[error("the authorization server's database cannot be used")]
    Database(#[from] DatabaseError),
    /// The signing keys.
    #[error("the signing keys cannot be used: is this the master key that the database was made with?")]
    SigningKeys(#[source] UseCaseError),
    /// Clients' keys cannot be read.
    #[error(transparent)]
    ClientKeys(#[from] KeySetsError),
    /// The issuers of clients' certificates cannot be used.
    #[error(transparent)]
    CertificateIssuers(#[from] CertificateIssuersError),
    /// A stored signing key does not open.
    #[error("the signing keys cannot be read: is this the master key that the database was made with?")]
    Sealed(#[source] crate::SealError),
}

impl From<FollowError> for StartError {
    fn from(error: FollowError) -> Self {
        match error {
            FollowError::Database(error) => Self::Database(error),
            FollowError::Seal(error) => Self::Sealed(error),
        }
    }
}

/// Brings the authorization server's schema up to date. Answers how many steps were applied.
pub async fn migrate(database: &Database, now: OffsetDateTime) -> Result<usize, DatabaseError> {
    database::migrate(database, COMPONENT, MIGRATIONS, now).await
}

/// What is applied of the authorization server's schema and what is pending, without changing anything.
pub async fn migration_status(database: &Database) -> Result<database::MigrationStatus, DatabaseError> {
    database::migration_status(database, COMPONENT, MIGRATIONS).await
}

impl Authz {
    /// Brings the schema up to date, makes signing keys if there are none, and takes in what is stored. `stop` ends
    /// its tasks and the streams of the revocation feed.
    pub async fn start(
        settings: AuthzSettings,
        keys: AuthzKeys,
        database: Database,
        clock: Clock,
        stop: CancellationToken,
    ) -> Result<Self, StartError> {
        figures::describe();
        migrate(&database, clock.now()).await?;
        let settings = Arc::new(settings);
        let use_cases =
            UseCases::shared(Arc::clone(&settings), keys.clone(), database.clone(), clock.clone());
        use_cases.maintain_signing_keys().await.map_err(StartError::SigningKeys)?;
        let key_sets = Box::pin(KeySets::new(&settings.client_keys)).await?;
        let issuers = settings.mutual_tls.as_ref().and_then(|tls| tls.issuers_file.clone());
        let issuers = CertificateIssuers::new(issuers)?;
        let state = Arc::new(State::new(settings, keys, database, clock, key_sets, issuers, stop));
        state.catch_up().await?;
        Ok(Self { state })
    }

    /// Everything it answers.
    pub fn router(&self) -> Router {
        router::router(Arc::clone(&self.state))
    }

    /// Its acts without HTTP. What they change is in force here when they return, elsewhere within 200 ms.
    pub fn use_cases(&self) -> UseCases {
        UseCases::of(Arc::clone(&self.state))
    }

    /// Starts its tasks on the present runtime. They end when the token given to [`Authz::start`] is cancelled;
    /// last uses are written down before.
    pub fn spawn_tasks(&self, tasks: &TaskTracker) {
        tasks.spawn(follow(Arc::clone(&self.state)));
        tasks.spawn(write_down(Arc::clone(&self.state)));
        tasks.spawn(plan_keys(Arc::clone(&self.state)));
        tasks.spawn(forget(Arc::clone(&self.state)));
        tasks.spawn(follow_issuers(Arc::clone(&self.state)));
        jobs::spawn(&self.state, tasks);
    }

    /// Tells the program's health whether the database is followed. The first handle given is kept.
    pub fn report_to(&self, health: PartHealth) {
        self.state.health.get_or_init(|| health);
    }

    /// Sends the mails and text messages that wait, now rather than within half a second.
    pub async fn deliver_messages(&self) {
        jobs::deliver_now(&self.state).await;
    }

    /// Writes down when secrets were used, now rather than within five seconds.
    pub async fn write_down_uses(&self) -> Result<usize, UseCaseError> {
        self.state.last_use.write_down(&self.use_cases()).await
    }

    /// Calls the webhooks that have something to hear, now rather than within a second.
    pub async fn call_webhooks(&self) {
        jobs::call_webhooks_now(&self.state).await;
    }

    /// Takes in what other processes changed, now rather than within 150 ms.
    pub async fn catch_up(&self) -> Result<(), StartError> {
        Ok(self.state.catch_up().await?)
    }
}

/// Waits for `period`; false when it is time to stop.
async fn pause(state: &State, period: Duration) -> bool {
    tokio::select! {
        () = tokio::time::sleep(period) => true,
        () = state.stop.cancelled() => false,
    }
}

async fn follow(state: Arc<State>) {
    let mut was_lost = false;
    while pause(&state, FOLLOW_EVERY).await {
        match state.catch_up().await {
            Ok(()) if was_lost => {
                tracing::info!("the database is followed again");
                was_lost = false;
                if let Some(health) = state.health.get() {
                    health.ready();
                }
            }
            // Said once, not seven times a second.
            Err(error) if !was_lost => {
                tracing::error!(error = &error as &dyn std::error::Error, "changes are not followed");
                was_lost = true;
                if let Some(health) = state.health.get() {
                    health.not_ready("the database does not answer");
                }
            }
            Ok(()) | Err(_) => {}
        }
        metrics::gauge!("pmsgate_authz_following").set(i32::from(!was_lost));
    }
}

async fn write_down(state: Arc<State>) {
    let acts = UseCases::of(Arc::clone(&state));
    loop {
        let goes_on = pause(&state, WRITE_DOWN_EVERY).await;
        if let Err(error) = state.last_use.write_down(&acts).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "last uses are not written down");
        }
        if !goes_on {
            return;
        }
    }
}

async fn plan_keys(state: Arc<State>) {
    let use_cases = UseCases::of(Arc::clone(&state));
    loop {
        tokio::select! {
            () = tokio::time::sleep(PLAN_KEYS_EVERY) => {}
            () = state.plan_keys.notified() => {}
            () = state.stop.cancelled() => return,
        }
        if let Err(error) = use_cases.maintain_signing_keys().await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the signing keys' schedule is not kept"
            );
        }
    }
}

async fn follow_issuers(state: Arc<State>) {
    if let Some(tls) = &state.settings.mutual_tls {
        state.certificate_issuers.follow(tls.check_every, state.stop.clone()).await;
    }
}

async fn forget(state: Arc<State>) {
    while pause(&state, FORGET_EVERY).await {
        if let Err(error) = forget_once(&state).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "old rows are not removed");
        }
    }
}

async fn forget_once(state: &State) -> Result<(), DatabaseError> {
    let now = state.clock.now();
    let mut work = authz_store::begin(&state.database).await?;
    revocations::forget_dead(&mut work.db(), now).await?;
    changes::forget_before(&mut work.db(), now - CHANGES_KEPT).await?;
    work.commit().await
}
