//! A signing key's life: next → active → retiring → retired → gone, by the clock alone, so that every instance of
//! the server changes keys in the same second.

use access_token::Algorithm;
use time::{Duration, OffsetDateTime};

/// What a key does at some instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SigningKeyState {
    /// Published, so that verifiers know it before it signs.
    Next,
    /// It signs.
    Active,
    /// It signs no more; tokens it signed are still alive.
    Retiring,
    /// Its last token is dead; it stays published for one more cache lifetime.
    Retired,
    /// No longer published. The private part can be destroyed.
    Gone,
}

impl SigningKeyState {
    /// The word used in lists.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Retired => "retired",
            Self::Gone => "gone",
        }
    }

    /// Whether the key stands in the JWK Set.
    pub const fn is_published(self) -> bool {
        !matches!(self, Self::Gone)
    }
}

/// The times of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKeyLife {
    /// RFC 7638 thumbprint.
    pub kid: String,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// When it was made and first published.
    pub created_at: OffsetDateTime,
    /// From when it signs.
    pub not_before: OffsetDateTime,
    /// From when it signs no more; known once there is a successor.
    pub not_after: Option<OffsetDateTime>,
}

/// How keys follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SigningKeyPolicy {
    /// What new keys sign with.
    pub algorithm: Algorithm,
    /// How long a key signs.
    pub signs_for: Duration,
    /// How long a key is published before it signs: at least two lifetimes of a cached JWK Set.
    pub lead: Duration,
    /// How long the longest-lived token lives, with the leeway that verifiers give.
    pub token_lifetime: Duration,
    /// How long verifiers may keep the JWK Set.
    pub cache_lifetime: Duration,
}

impl SigningKeyLife {
    /// What the key does at `now`.
    pub fn state(&self, policy: &SigningKeyPolicy, now: OffsetDateTime) -> SigningKeyState {
        let Some(not_after) = self.not_after else {
            return if self.not_before <= now { SigningKeyState::Active } else { SigningKeyState::Next };
        };
        let dead_at = not_after.saturating_add(policy.token_lifetime);
        if now >= dead_at.saturating_add(policy.cache_lifetime) {
            SigningKeyState::Gone
        } else if now >= dead_at {
            SigningKeyState::Retired
        } else if now >= not_after {
            SigningKeyState::Retiring
        } else if now >= self.not_before {
            SigningKeyState::Active
        } else {
            SigningKeyState::Next
        }
    }
}

/// One thing to do so that there is always a key that signs and one that will.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SigningKeyStep {
    /// Make a key of the policy's algorithm that signs from then on.
    Create {
        /// From when it signs.
        not_before: OffsetDateTime,
    },
    /// Note from when a key signs no more.
    End {
        /// The key.
        kid: String,
        /// From when it signs no more.
        not_after: OffsetDateTime,
    },
    /// Note from when a key signs (a rotation ahead of schedule).
    Begin {
        /// The key.
        kid: String,
        /// From when it signs.
        not_before: OffsetDateTime,
    },
    /// Destroy a key that is gone.
    Remove {
        /// The key.
        kid: String,
    },
}

/// What has to be done with `keys` at `now`. Doing it and asking again gives nothing more to do.
pub fn plan(keys: &[SigningKeyLife], policy: &SigningKeyPolicy, now: OffsetDateTime) -> Vec<SigningKeyStep> {
    let mut steps = Vec::new();
    let state = |key: &SigningKeyLife| key.state(policy, now);
    for key in keys {
        if state(key) == SigningKeyState::Gone {
            steps.push(SigningKeyStep::Remove { kid: key.kid.clone() });
        }
        // The algorithm was changed by configuration: what signed with the old one ends.
        let stays = matches!(state(key), SigningKeyState::Active | SigningKeyState::Next);
        if key.algorithm != policy.algorithm && stays && key.not_after.is_none_or(|at| at > now) {
            steps.push(SigningKeyStep::End { kid: key.kid.clone(), not_after: now });
        }
    }
    let usable = || keys.iter().filter(|key| key.algorithm == policy.algorithm);
    let active =
        usable().filter(|key| state(key) == SigningKeyState::Active).max_by_key(|key| key.not_before);
    let next = usable().find(|key| state(key) == SigningKeyState::Next);

    let began_at = if let Some(active) = active {
        active.not_before
    } else {
        // First start, a changed algorithm, or a server that slept through its schedule with no successor made.
        steps.push(SigningKeyStep::Create { not_before: now });
        now
    };
    let follows_at = if let Some(next) = next {
        next.not_before
    } else {
        let not_before = began_at.saturating_add(policy.signs_for).max(now.saturating_add(policy.lead));
        steps.push(SigningKeyStep::Create { not_before });
        not_before
    };
    if let Some(active) = active
        && active.not_after != Some(follows_at)
    {
        steps.push(SigningKeyStep::End { kid: active.kid.clone(), not_after: follows_at });
    }
    steps
}

/// When a rotation ahead of schedule takes place, and what it changes.
///
/// The next key begins to sign as soon as it has been published for the lead time, or at `now` when `immediately`
/// (after a compromise: verifiers that do not refetch for an unknown key refuse new tokens until their cache ends).
pub fn rotate_keys(
    keys: &[SigningKeyLife],
    policy: &SigningKeyPolicy,
    immediately: bool,
    now: OffsetDateTime,
) -> Option<(OffsetDateTime, Vec<SigningKeyStep>)> {
    let usable = || keys.iter().filter(|key| key.algorithm == policy.algorithm);
    let next = usable().find(|key| key.state(policy, now) == SigningKeyState::Next)?;
    // A sandbox's clock may have been moved ahead when it was made, and back since.
    let known_at = next.created_at.min(now).saturating_add(policy.lead);
    let begins_at = if immediately { now } else { known_at.max(now) }.min(next.not_before);
    let mut steps = vec![SigningKeyStep::Begin { kid: next.kid.clone(), not_before: begins_at }];
    for active in usable().filter(|key| key.state(policy, now) == SigningKeyState::Active) {
        steps.push(SigningKeyStep::End { kid: active.kid.clone(), not_after: begins_at });
    }
    Some((begins_at, steps))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    const POLICY: SigningKeyPolicy = SigningKeyPolicy {
        algorithm: Algorithm::Es256,
        signs_for: Duration::days(90),
        lead: Duration::minutes(10),
        token_lifetime: Duration::minutes(61),
        cache_lifetime: Duration::minutes(5),
    };

    fn apply(
        keys: &mut Vec<SigningKeyLife>,
        steps: Vec<SigningKeyStep>,
        algorithm: Algorithm,
        now: OffsetDateTime,
    ) {
        for step in steps {
            match step {
                SigningKeyStep::Create { not_before } => keys.push(SigningKeyLife {
                    kid: format!("k{}-{}", keys.len(), now.unix_timestamp()),
                    algorithm,
                    created_at: now,
                    not_before,
                    not_after: None,
                }),
                SigningKeyStep::End { kid, not_after } => {
                    keys.iter_mut().find(|key| key.kid == kid).unwrap().not_after = Some(not_after);
                }
                SigningKeyStep::Begin { kid, not_before } => {
                    keys.iter_mut().find(|key| key.kid == kid).unwrap().not_before = not_before;
                }
                SigningKeyStep::Remove { kid } => keys.retain(|key| key.kid != kid),
            }
        }
    }

    /// Plans until there is nothing to do; the first start needs two passes, because the key made first gets its
    /// successor's beginning as its end in the second.
    fn settle(keys: &mut Vec<SigningKeyLife>, policy: &SigningKeyPolicy, now: OffsetDateTime) {
        for _ in 0..4 {
            let steps = plan(keys, policy, now);
            if steps.is_empty() {
                return;
            }
            apply(keys, steps, policy.algorithm, now);
        }
        panic!("planning does not settle: {keys:?}");
    }

    fn states(keys: &[SigningKeyLife], now: OffsetDateTime) -> Vec<&'static str> {
        keys.iter().map(|key| key.state(&POLICY, now).as_str()).collect()
    }

    #[test]
    fn the_first_start_makes_an_active_and_a_next_key() {
        let now = datetime!(2026-01-01 0:00 UTC);
        let mut keys = Vec::new();
        settle(&mut keys, &POLICY, now);
        assert_eq!(states(&keys, now), ["active", "next"]);
        assert_eq!(keys[0].not_after, Some(keys[1].not_before));
        assert_eq!(keys[1].not_before, now + Duration::days(90));
    }

    #[test]
    fn a_key_goes_through_all_its_states_by_the_clock_alone() {
        let now = datetime!(2026-01-01 0:00 UTC);
        let mut keys = Vec::new();
        settle(&mut keys, &POLICY, now);
        let switch = keys[1].not_before;
        assert_eq!(states(&keys, switch - Duration::SECOND), ["active", "next"]);
        assert_eq!(states(&keys, switch), ["retiring", "active"]);
        assert_eq!(states(&keys, switch + Duration::minutes(61)), ["retired", "active"]);
        assert_eq!(states(&keys, switch + Duration::minutes(66)), ["gone", "active"]);
        settle(&mut keys, &POLICY, switch + Duration::minutes(66));
        assert_eq!(states(&keys, switch + Duration::minutes(66)), ["active", "next"]);
    }

    #[test]
    fn an_early_rotation_waits_until_the_next_key_is_known_everywhere() {
        let now = datetime!(2026-01-01 0:00 UTC);
        let mut keys = Vec::new();
        settle(&mut keys, &POLICY, now);
        let (begins_at, steps) = rotate_keys(&keys, &POLICY, false, now).unwrap();
        assert_eq!(begins_at, now + POLICY.lead);
        apply(&mut keys, steps, Algorithm::Es256, now);
        settle(&mut keys, &POLICY, now);
        assert_eq!(states(&keys, now), ["active", "next"]);
        assert_eq!(states(&keys, begins_at), ["retiring", "active"]);

        let later = now + Duration::days(30);
        let mut keys = Vec::new();
        settle(&mut keys, &POLICY, now);
        assert_eq!(rotate_keys(&keys, &POLICY, false, later).unwrap().0, later);
        assert_eq!(rotate_keys(&keys, &POLICY, true, now).unwrap().0, now);
    }

    #[test]
    fn after_a_journey_of_the_clock_a_rotation_waits_no_longer_than_ever() {
        let now = datetime!(2026-01-01 0:00 UTC);
        let mut keys = Vec::new();
        settle(&mut keys, &POLICY, now);
        settle(&mut keys, &POLICY, now + Duration::days(729));
        settle(&mut keys, &POLICY, now);
        let (begins_at, _) = rotate_keys(&keys, &POLICY, false, now).unwrap();
        assert!(begins_at <= now + POLICY.lead, "{begins_at}");
    }

    #[test]
    fn another_algorithm_ends_the_keys_of_the_old_one() {
        let now = datetime!(2026-01-01 0:00 UTC);
        let mut keys = Vec::new();
        settle(&mut keys, &POLICY, now);
        let policy = SigningKeyPolicy { algorithm: Algorithm::Rs256, ..POLICY };
        let later = now + Duration::days(1);
        settle(&mut keys, &policy, later);
        assert_eq!(states(&keys, later), ["retiring", "retiring", "active", "next"]);
        assert!(keys[2..].iter().all(|key| key.algorithm == Algorithm::Rs256));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn one_key_signs_and_one_will_at_every_instant(
            steps in prop::collection::vec((0_i64..200 * 86_400, prop::option::of(any::<bool>())), 1..20)
        ) {
            let mut now = datetime!(2026-01-01 0:00 UTC);
            let mut keys = Vec::new();
            for (seconds, rotation) in steps {
                now += Duration::seconds(seconds);
                settle(&mut keys, &POLICY, now);
                if let Some((_, steps)) = rotation.and_then(|immediately| rotate_keys(&keys, &POLICY, immediately, now)) {
                    apply(&mut keys, steps, Algorithm::Es256, now);
                    settle(&mut keys, &POLICY, now);
                }
                let count = |state| keys.iter().filter(|key| key.state(&POLICY, now) == state).count();
                prop_assert_eq!(count(SigningKeyState::Active), 1);
                prop_assert_eq!(count(SigningKeyState::Next), 1);
                // Whoever signs now has been published for the lead time, unless it had to begin at once.
                let next = keys.iter().find(|key| key.state(&POLICY, now) == SigningKeyState::Next).unwrap();
                let active = keys.iter().find(|key| key.state(&POLICY, now) == SigningKeyState::Active).unwrap();
                prop_assert!(next.not_before >= next.created_at + POLICY.lead);
                prop_assert_eq!(active.not_after, Some(next.not_before));
            }
        }
    }
}
