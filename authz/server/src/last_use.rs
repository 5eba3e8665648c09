//! When secrets were last used: noted in memory by the token endpoint, written down in batches by a task.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering};

use authz_domain::SecretId;
use database::{instant, micros};
use time::OffsetDateTime;

use crate::{
    client_cache::{CachedClient, CachedSecret},
    use_cases::{UseCaseError, UseCases},
};

/// Secrets used since the last writing down. Each client's entry holds the time; this list says which to look at.
#[derive(Debug, Default)]
pub(crate) struct LastUse(Mutex<Vec<(Arc<CachedClient>, usize)>>);

impl LastUse {
    /// Notes that the client's secret at `place` was used. Takes the lock only for the first use since the last
    /// writing down.
    pub(crate) fn note(&self, client: &Arc<CachedClient>, place: usize, now: OffsetDateTime) {
        let Some(secret) = client.secrets.get(place) else { return };
        if secret.used_at.swap(micros(now), Ordering::AcqRel) == 0 {
            self.lock().push((Arc::clone(client), place));
        }
    }

    /// Writes down what was noted, in one unit of work. What cannot be written, or was used again meanwhile, is
    /// kept for the next time. Answers how many were written.
    pub(crate) async fn write_down(&self, acts: &UseCases) -> Result<usize, UseCaseError> {
        let noted = std::mem::take(&mut *self.lock());
        if noted.is_empty() {
            return Ok(0);
        }
        let uses: Vec<(&CachedSecret, i64)> = noted
            .iter()
            .filter_map(|(client, place)| client.secrets.get(*place))
            .map(|secret| (secret, secret.used_at.load(Ordering::Acquire)))
            .collect();
        let noted_at: Vec<(SecretId, OffsetDateTime)> =
            uses.iter().map(|(secret, used_at)| (secret.secret.id.clone(), instant(*used_at))).collect();
        let written = acts.note_uses(&noted_at).await;
        let count = uses.len();
        let again: Vec<bool> = uses
            .into_iter()
            .map(|(secret, used_at)| {
                written.is_err()
                    || secret
                        .used_at
                        .compare_exchange(used_at, 0, Ordering::AcqRel, Ordering::Acquire)
                        .is_err()
            })
            .collect();
        self.lock().extend(noted.into_iter().zip(again).filter_map(|(noted, again)| again.then_some(noted)));
        written.map(|()| count)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Arc<CachedClient>, usize)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
