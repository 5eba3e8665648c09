//! Slowing guesses down: failures of a client id and of an address cost waiting, never those of anybody else.
//!
//! Three counters: one for a client id from one address, which blocks that pair before its secret is even looked
//! at; one for a client id from everywhere, which blocks addresses from which that client never succeeded, so that
//! a stranger cannot lock a client out; one for an address, which turns further wrong answers into 429 but lets a
//! right secret through, so that clients behind one proxy do not suffer for each other. Secrets have 256 bits:
//! this protects the machine and wakes the operator, the secrets need no protection.

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration as StdDuration,
};

use authz_domain::{SECRET_PREFIX, is_identifier};
use moka::sync::Cache;
use time::{Duration, OffsetDateTime};

/// Failures after which a client id waits at one address.
const PAIR_FAILURES: u32 = 10;
/// Failures after which a client id waits at addresses from which it never succeeded.
const CLIENT_FAILURES: u32 = 30;
/// Failures after which an address gets 429 for each further one.
const ADDRESS_FAILURES: u32 = 60;
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::seconds(60);
/// Without a failure for so long, counting starts again.
const FORGIVEN_AFTER: Duration = Duration::minutes(5);
/// Counters kept; the least used go first.
const CAPACITY: u64 = 50_000;

/// Counts failures.
#[derive(Debug)]
pub(crate) struct Throttle {
    hasher: RandomState,
    failures: Cache<u64, Arc<Mutex<Failures>>>,
    succeeded: Cache<u64, ()>,
    /// Whether anything was ever counted: until then nothing is looked up.
    any: AtomicBool,
}

#[derive(Debug)]
struct Failures {
    count: u32,
    last_at: OffsetDateTime,
    blocked_until: OffsetDateTime,
}

/// How far somebody is over a threshold.
struct Excess {
    over: u32,
    wait: Duration,
}

impl Excess {
    /// The first time, then ever more rarely: a guesser must not fill the log.
    fn is_worth_a_line(&self) -> bool {
        self.over == 0 || self.over.is_power_of_two()
    }
}

/// What may stand in the log of a presented client id: nothing that is not of the form of one, or of a secret in the
/// wrong place.
fn shown(client_id: &str) -> &str {
    if is_identifier(client_id) && !client_id.starts_with(SECRET_PREFIX) { client_id } else { "(malformed)" }
}

/// Who asks: what is presented as client id, and from where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) address: IpAddr,
}

impl Throttle {
    pub(crate) fn new() -> Self {
        let idle = StdDuration::from_mins(15);
        Self {
            hasher: RandomState::new(),
            failures: Cache::builder().max_capacity(CAPACITY).time_to_idle(idle).build(),
            succeeded: Cache::builder()
                .max_capacity(CAPACITY)
                .time_to_idle(StdDuration::from_hours(24))
                .build(),
            any: AtomicBool::new(false),
        }
    }

    /// Whether the asker must wait before its secret is looked at, and how long.
    pub(crate) fn must_wait(&self, asker: Asker<'_>, now: OffsetDateTime) -> Option<Duration> {
        if !self.any.load(Ordering::Relaxed) {
            return None;
        }
        let pair = self.pair(asker);
        self.wait(pair, now).or_else(|| {
            let wait = self.wait(self.client(asker), now)?;
            (!self.succeeded.contains_key(&pair)).then_some(wait)
        })
    }

    /// Notes a failure. How long the address must wait, if it failed too often.
    pub(crate) fn failed(&self, asker: Asker<'_>, now: OffsetDateTime) -> Option<Duration> {
        self.any.store(true, Ordering::Relaxed);
        let address = asker.address;
        if let Some(excess) = self.count(self.pair(asker), PAIR_FAILURES, now) {
            metrics::counter!("pmsgate_authz_throttled_total", "by" => "client").increment(1);
            if excess.is_worth_a_line() {
                let client_id = shown(asker.client_id);
                tracing::warn!(%address, client_id, "a client id fails repeatedly at one address and is slowed down");
            }
        }
        if let Some(excess) = self.count(self.client(asker), CLIENT_FAILURES, now)
            && excess.is_worth_a_line()
        {
            let client_id = shown(asker.client_id);
            tracing::warn!(
                client_id,
                "a client id fails repeatedly from several addresses and is slowed down"
            );
        }
        let excess = self.count(self.address(address), ADDRESS_FAILURES, now)?;
        metrics::counter!("pmsgate_authz_throttled_total", "by" => "address").increment(1);
        if excess.is_worth_a_line() {
            tracing::warn!(%address, "an address fails repeatedly and is slowed down");
        }
        Some(excess.wait)
    }

    /// Notes a success: the pair is forgiven and known.
    pub(crate) fn succeeded(&self, asker: Asker<'_>) {
        let pair = self.pair(asker);
        if self.any.load(Ordering::Relaxed) {
            self.failures.invalidate(&pair);
        }
        if !self.succeeded.contains_key(&pair) {
            self.succeeded.insert(pair, ());
        }
    }

    fn wait(&self, key: u64, now: OffsetDateTime) -> Option<Duration> {
        let failures = self.failures.get(&key)?;
        let failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = failures.blocked_until - now;
        // A longer one is from before a sandbox's clock was moved back.
        (wait.is_positive() && wait <= LONGEST_WAIT).then_some(wait)
    }

    fn count(&self, key: u64, threshold: u32, now: OffsetDateTime) -> Option<Excess> {
        let failures = self
            .failures
            .get_with(key, || Arc::new(Mutex::new(Failures { count: 0, last_at: now, blocked_until: now })));
        let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
        if (now - failures.last_at).abs() > FORGIVEN_AFTER {
            failures.count = 0;
        }
        failures.count = failures.count.saturating_add(1);
        failures.last_at = now;
        let excess = failures.count.checked_sub(threshold)?;
        let wait = Duration::seconds(1_i64 << excess.min(6)).min(LONGEST_WAIT);
        failures.blocked_until = now + wait;
        Some(Excess { over: excess, wait })
    }

    fn pair(&self, asker: Asker<'_>) -> u64 {
        self.hasher.hash_one((0_u8, asker.client_id, network(asker.address)))
    }

    fn client(&self, asker: Asker<'_>) -> u64 {
        self.hasher.hash_one((1_u8, asker.client_id))
    }

    fn address(&self, address: IpAddr) -> u64 {
        self.hasher.hash_one((2_u8, network(address)))
    }
}

/// What one party controls: an IPv4 address, or the /64 of an IPv6 address.
fn network(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => u64::try_from(address.to_bits() >> 64).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);

    fn asker<'a>(client_id: &'a str, address: &str) -> Asker<'a> {
        Asker { client_id, address: address.parse().unwrap() }
    }

    #[test]
    fn a_clock_that_is_moved_back_makes_nobody_wait() {
        let throttle = Throttle::new();
        let asker = asker("client", "192.0.2.1");
        let later = NOW + Duration::days(731);
        for _ in 0..=PAIR_FAILURES {
            throttle.failed(asker, later);
        }
        assert!(throttle.must_wait(asker, later).is_some());
        assert_eq!(throttle.must_wait(asker, NOW), None);
        throttle.failed(asker, NOW);
        assert_eq!(throttle.must_wait(asker, NOW), None, "counting starts again");
    }

    #[test]
    fn a_guesser_waits_ever_longer_and_is_forgiven() {
        let throttle = Throttle::new();
        let guesser = asker("c-1", "192.0.2.1");
        for _ in 0..PAIR_FAILURES - 1 {
            throttle.failed(guesser, NOW);
            assert_eq!(throttle.must_wait(guesser, NOW), None);
        }
        throttle.failed(guesser, NOW);
        assert_eq!(throttle.must_wait(guesser, NOW), Some(Duration::seconds(1)));
        let later = NOW + Duration::seconds(1);
        assert_eq!(throttle.must_wait(guesser, later), None);
        throttle.failed(guesser, later);
        assert_eq!(throttle.must_wait(guesser, later), Some(Duration::seconds(2)));
        let much_later = later + Duration::minutes(6);
        throttle.failed(guesser, much_later);
        assert_eq!(throttle.must_wait(guesser, much_later), None);
    }

    #[test]
    fn other_clients_at_the_same_address_are_not_slowed() {
        let throttle = Throttle::new();
        for n in 0..200 {
            throttle.failed(asker(&format!("guess-{n}"), "192.0.2.1"), NOW);
        }
        assert!(throttle.failed(asker("guess-x", "192.0.2.1"), NOW).is_some());
        assert_eq!(throttle.must_wait(asker("honest", "192.0.2.1"), NOW), None);
        assert!(throttle.failed(asker("guess-x", "192.0.2.2"), NOW).is_none());
    }

    #[test]
    fn a_stranger_cannot_lock_a_client_out_of_its_own_address() {
        let throttle = Throttle::new();
        throttle.succeeded(asker("c-1", "192.0.2.1"));
        for n in 0..40 {
            throttle.failed(asker("c-1", &format!("198.51.100.{n}")), NOW);
        }
        assert!(throttle.must_wait(asker("c-1", "198.51.100.77"), NOW).is_some());
        assert_eq!(throttle.must_wait(asker("c-1", "192.0.2.1"), NOW), None);
    }

    #[test]
    fn a_secret_in_the_place_of_the_id_is_not_logged() {
        assert_eq!(shown("3b5591bd-3a23"), "3b5591bd-3a23");
        assert_eq!(shown("pms_0123"), "(malformed)");
        assert_eq!(shown("a\nb"), "(malformed)");
    }

    #[test]
    fn the_addresses_of_one_network_count_as_one() {
        assert_eq!(network("2001:db8::1".parse().unwrap()), network("2001:db8::2".parse().unwrap()));
        assert_eq!(network("::ffff:192.0.2.1".parse().unwrap()), network("192.0.2.1".parse().unwrap()));
    }
}
