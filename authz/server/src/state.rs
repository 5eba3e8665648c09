//! What all handlers share, and how it follows changes made by other instances and by the command line.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use access_token::{DpopNonces, SeenProofs};
use arc_swap::ArcSwap;
use authz_store::{
    changes::{self, Change},
    revocations, sandbox_clock, signing_keys,
};
use database::{Database, DatabaseError, Db};
use http_service::{Clock, PartHealth};
use metrics::Counter;
use thiserror::Error;
use time::{Duration, OffsetDateTime};
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;

use crate::{
    AuthzKeys, AuthzSettings, SealError, certificate_issuers::CertificateIssuers, client_cache::ClientCache,
    documents::Documents, key_ring::KeyRing, key_sets::KeySets, last_use::LastUse, portal::PortalState,
    revocation_board::RevocationBoard, throttle::Throttle,
};

/// Everything the handlers share.
pub(crate) struct State {
    pub(crate) settings: Arc<AuthzSettings>,
    pub(crate) keys: AuthzKeys,
    pub(crate) database: Database,
    pub(crate) clock: Clock,
    pub(crate) clients: ClientCache,
    pub(crate) key_sets: KeySets,
    pub(crate) certificate_issuers: CertificateIssuers,
    pub(crate) seen_proofs: SeenProofs,
    pub(crate) ring: ArcSwap<KeyRing>,
    pub(crate) throttle: Throttle,
    pub(crate) last_use: LastUse,
    pub(crate) revocations: RevocationBoard,
    pub(crate) documents: Documents,
    pub(crate) portal: PortalState,
    pub(crate) meters: Meters,
    /// Where the program wants to hear whether the database is followed.
    pub(crate) health: OnceLock<PartHealth>,
    /// Ends the feed's streams, which would never end by themselves.
    pub(crate) stop: CancellationToken,
    /// Wakes the planner of signing keys.
    pub(crate) plan_keys: Notify,
    /// Wakes jobs.
    pub(crate) nudges: Nudges,
    /// Whether the database was followed at the last attempt. While it is not, the feed gives no sign of life, so that
    /// gateways know that they may be missing something.
    pub(crate) following: AtomicBool,
    seen: Mutex<Seen>,
}

/// What wakes jobs before their time.
#[derive(Debug, Default)]
pub(crate) struct Nudges {
    /// The one that watches secrets end.
    pub(crate) expiry: Notify,
    /// The one that calls webhooks.
    pub(crate) webhooks: Notify,
}

/// How far the changes were taken in.
struct Seen {
    /// The last number of the sequence.
    seq: i64,
    /// When that was found out.
    at: OffsetDateTime,
}

/// Changes are forgotten after an hour (see `authz.rs`); whoever did not look for so long reads everything anew.
const LOOKED_LATELY: Duration = Duration::minutes(30);

/// Counters of the hot path, looked up once: at their first use, when the program has installed its recorder.
#[derive(Default)]
pub(crate) struct Meters {
    issued: OnceLock<Counter>,
    refused: OnceLock<Counter>,
}

impl Meters {
    /// A token was issued.
    pub(crate) fn issued(&self) {
        self.issued.get_or_init(|| metrics::counter!("pmsgate_tokens_issued_total")).increment(1);
    }

    /// A token request was refused.
    pub(crate) fn refused(&self) {
        self.refused.get_or_init(|| metrics::counter!("pmsgate_token_requests_refused_total")).increment(1);
    }
}

/// Why the state cannot follow.
#[derive(Debug, Error)]
pub(crate) enum FollowError {
    /// The database.
    #[error("the database cannot be followed")]
    Database(#[from] DatabaseError),
    /// A signing key does not open.
    #[error("a stored signing key cannot be used")]
    Seal(#[from] SealError),
}

impl State {
    pub(crate) fn new(
        settings: Arc<AuthzSettings>,
        keys: AuthzKeys,
        database: Database,
        clock: Clock,
        key_sets: KeySets,
        certificate_issuers: CertificateIssuers,
        stop: CancellationToken,
    ) -> Self {
        Self {
            documents: Documents::new(&settings),
            ring: ArcSwap::from_pointee(KeyRing::empty(settings.signing_keys)),
            settings,
            keys,
            database,
            clock,
            clients: ClientCache::new(),
            key_sets,
            certificate_issuers,
            seen_proofs: SeenProofs::default(),
            throttle: Throttle::new(),
            last_use: LastUse::default(),
            portal: PortalState::new(),
            revocations: RevocationBoard::new(),
            meters: Meters::default(),
            health: OnceLock::new(),
            stop,
            plan_keys: Notify::new(),
            nudges: Nudges::default(),
            following: AtomicBool::new(true),
            seen: Mutex::new(Seen { seq: -1, at: OffsetDateTime::UNIX_EPOCH }),
        }
    }

    /// What makes the nonces that DPoP proofs must hold, where they must.
    pub(crate) fn dpop_nonces(&self) -> Option<&DpopNonces> {
        self.settings.dpop_nonces.then_some(&self.keys.dpop_nonces)
    }

    /// Takes in whatever changed since the last time: one cheap query when nothing did.
    ///
    /// The position is read first and moves on only when everything up to it was taken in, so that nothing is ever
    /// missed; taking something in twice does no harm.
    pub(crate) async fn catch_up(&self) -> Result<(), FollowError> {
        let caught_up = self.take_in().await;
        self.following.store(caught_up.is_ok(), Ordering::Relaxed);
        caught_up
    }

    async fn take_in(&self) -> Result<(), FollowError> {
        let mut seen = self.seen.lock().await;
        let mut reader = self.database.read().await?;
        let latest = changes::latest(&mut reader.db()).await?;
        let now = self.clock.now();
        let lately = seen.at <= now && now - seen.at < LOOKED_LATELY;
        if latest == seen.seq {
            seen.at = now;
            return Ok(());
        }
        // A restored backup has lower numbers; a machine that slept may have missed some: then everything is read anew.
        let from = if latest < seen.seq || !lately { -1 } else { seen.seq };
        let changed =
            if from < 0 { vec![Change::Everything] } else { changes::after(&mut reader.db(), from).await? };
        let revoked = revocations::after(&mut reader.db(), from.max(0), now).await?;
        self.revocations.add(revoked, now);
        for change in &changed {
            match change {
                Change::Client(id) => self.clients.forget(id),
                Change::Organisations => self.clients.forget_all(),
                Change::SigningKeys => {}
                Change::Everything => {
                    self.clients.forget_all();
                    self.follow_clock(&mut reader.db()).await?;
                    self.plan_keys.notify_one();
                    self.nudges.expiry.notify_one();
                    self.nudges.webhooks.notify_one();
                    self.portal.deliver.notify_one();
                }
            }
        }
        if changed.iter().any(|change| matches!(change, Change::SigningKeys | Change::Everything)) {
            let stored = signing_keys::list(&mut reader.db()).await?;
            let ring = KeyRing::open(&stored, &self.keys.seal, self.settings.signing_keys)?;
            metrics::gauge!("pmsgate_signing_keys").set(u32::try_from(ring.len()).unwrap_or(u32::MAX));
            self.ring.store(Arc::new(ring));
        }
        // By the clock as it is now: it may just have been moved.
        *seen = Seen { seq: latest, at: self.clock.now() };
        Ok(())
    }

    /// Sets a sandbox's clock as the last command or the configuration has it.
    async fn follow_clock(&self, db: &mut Db<'_>) -> Result<(), DatabaseError> {
        if self.settings.sandbox {
            let offset = sandbox_clock::offset(db).await?.unwrap_or(self.settings.clock_offset);
            self.clock.set_offset(offset);
        }
        Ok(())
    }
}
