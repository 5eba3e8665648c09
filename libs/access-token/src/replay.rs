//! Proofs that were seen, for as long as they could be accepted again: in memory, bounded, by the caller's clock.

use std::{
    collections::HashSet,
    fmt,
    sync::{Mutex, PoisonError},
};

use aws_lc_rs::digest;
use time::OffsetDateTime;

use crate::{
    DpopRefused,
    dpop::{DPOP_AGE, DPOP_AHEAD},
};

/// How long a proof can be accepted: from the first instant that it may come until it is too old.
const SPAN: i64 = DPOP_AGE.whole_seconds() + DPOP_AHEAD.whole_seconds();
/// Independent parts, so that threads seldom wait for each other. A power of two.
const SHARDS: usize = 16;
/// Proofs that are remembered in one span. More than this machine could verify; 32 bytes each when they are there.
const CAPACITY: usize = 1 << 20;

type Mark = [u8; 16];

/// The memory. Each proof stays for one to two spans.
pub struct SeenProofs {
    shards: Box<[Mutex<Shard>]>,
    capacity: usize,
}

#[derive(Default)]
struct Shard {
    present: HashSet<Mark>,
    past: HashSet<Mark>,
    /// When the present one began, in seconds since the epoch.
    began_at: i64,
}

impl Default for SeenProofs {
    fn default() -> Self {
        Self::with_capacity(CAPACITY)
    }
}

impl fmt::Debug for SeenProofs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SeenProofs(…)")
    }
}

impl SeenProofs {
    fn with_capacity(capacity: usize) -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), capacity: capacity / SHARDS }
    }

    /// Notes the proof `jti` of a key, seen at `now`.
    ///
    /// # Errors
    /// [`DpopRefused::Replayed`] when it was seen before; [`DpopRefused::TooMany`] when there is no room, because
    /// forgetting one would let it be used again.
    pub fn note(&self, thumbprint: &str, jti: &str, now: OffsetDateTime) -> Result<(), DpopRefused> {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(thumbprint.as_bytes());
        context.update(&[0]);
        context.update(jti.as_bytes());
        let hash = context.finish();
        let mut mark = Mark::default();
        mark.copy_from_slice(&hash.as_ref()[..16]);
        let shard = usize::from(hash.as_ref()[16]) % SHARDS;
        let mut shard = self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner);
        shard.turn(now.unix_timestamp());
        if shard.past.contains(&mark) || shard.present.contains(&mark) {
            return Err(DpopRefused::Replayed);
        }
        if shard.present.len() >= self.capacity {
            return Err(DpopRefused::TooMany);
        }
        shard.present.insert(mark);
        Ok(())
    }
}

impl Shard {
    /// Forgets what is too old by now. A clock that was set back forgets nothing.
    fn turn(&mut self, now: i64) {
        let age = now.saturating_sub(self.began_at);
        if age >= 2 * SPAN {
            self.past.clear();
            self.present.clear();
        } else if age >= SPAN {
            self.past = std::mem::take(&mut self.present);
        }
        if !(0..SPAN).contains(&age) {
            self.began_at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::{Duration, macros::datetime};

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-03-05 12:00 UTC);

    #[test]
    fn a_proof_is_good_once_for_each_key() {
        let seen = SeenProofs::default();
        assert_eq!(seen.note("key", "1", NOW), Ok(()));
        assert_eq!(seen.note("key", "1", NOW), Err(DpopRefused::Replayed));
        assert_eq!(seen.note("key", "2", NOW), Ok(()));
        assert_eq!(seen.note("other", "1", NOW), Ok(()));
    }

    #[test]
    fn when_there_is_no_room_nothing_is_forgotten_early() {
        let seen = SeenProofs::with_capacity(SHARDS);
        let taken = (0..200).filter(|n: &u32| seen.note("key", &n.to_string(), NOW).is_ok()).count();
        assert_eq!(taken, SHARDS);
        assert_eq!(seen.note("key", "0", NOW), Err(DpopRefused::Replayed));
        assert_eq!(seen.note("key", "new", NOW + Duration::seconds(2 * SPAN)), Ok(()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn nothing_is_taken_twice_within_its_span(steps in prop::collection::vec((0_i64..60, 0_u8..6), 1..60)) {
            let seen = SeenProofs::default();
            let mut now = NOW;
            let mut taken: Vec<(u8, OffsetDateTime)> = Vec::new();
            for (seconds, jti) in steps {
                now += Duration::seconds(seconds);
                if seen.note("key", &jti.to_string(), now).is_ok() {
                    let before = taken.iter().rfind(|(one, _)| *one == jti);
                    prop_assert!(before.is_none_or(|(_, at)| (now - *at).whole_seconds() >= SPAN));
                    taken.push((jti, now));
                }
            }
        }
    }
}
