//! Slowing down who guesses: five failures are free, then each doubles the wait, never for good.
//!
//! Counted for a name at an address, for a name from everywhere (which spares addresses where its owner got in before)
//! and for an address. In memory: a restart forgives, and each instance counts for itself.

use std::{net::IpAddr, time::Duration as StdDuration};

use moka::sync::Cache;
use time::{Duration, OffsetDateTime};

/// Failures without a wait.
const FREE: u32 = 5;
/// The same for a name from everywhere, and for an address over all names.
const FREE_WIDE: u32 = 40;
/// The longest wait.
const LONGEST: Duration = Duration::minutes(5);
/// Without a failure for so long, counting starts again.
const FORGIVEN: Duration = Duration::hours(1);
/// Counters kept.
const CAPACITY: u64 = 100_000;

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last_at: OffsetDateTime,
    until: OffsetDateTime,
}

/// What is said to who must wait.
pub(crate) fn try_again(wait: Duration) -> String {
    format!("That was tried too often. Try again in {} seconds.", wait.whole_seconds().max(1))
}

/// Who is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Counted {
    Pair(String, IpAddr),
    Name(String),
    Address(IpAddr),
}

/// The counters.
#[derive(Debug)]
pub(crate) struct Slowdown {
    failures: Cache<Counted, Failures>,
    known: Cache<Counted, ()>,
}

impl Slowdown {
    pub(crate) fn new() -> Self {
        Self {
            failures: Cache::builder()
                .max_capacity(CAPACITY)
                .time_to_idle(StdDuration::from_hours(1))
                .build(),
            known: Cache::builder()
                .max_capacity(CAPACITY)
                .time_to_idle(StdDuration::from_hours(24 * 30))
                .build(),
        }
    }

    /// How long `name` must wait at `address`.
    pub(crate) fn must_wait(&self, name: &str, address: IpAddr, now: OffsetDateTime) -> Option<Duration> {
        let pair = Counted::Pair(name.to_owned(), address);
        let known = self.known.contains_key(&pair);
        let wide = [Counted::Name(name.to_owned()), Counted::Address(address)];
        std::iter::once(pair)
            .chain(wide.into_iter().filter(|_| !known))
            .filter_map(|counted| self.failures.get(&counted))
            .map(|failures| failures.until - now)
            // A longer one is from before a sandbox's clock was moved back.
            .filter(|wait| wait.is_positive() && *wait <= LONGEST)
            .max()
    }

    /// Notes a failure.
    pub(crate) fn failed(&self, name: &str, address: IpAddr, now: OffsetDateTime) {
        self.count(Counted::Pair(name.to_owned(), address), FREE, now);
        self.count(Counted::Name(name.to_owned()), FREE_WIDE, now);
        self.count(Counted::Address(address), FREE_WIDE, now);
    }

    /// Notes a success: the pair is forgiven and known.
    pub(crate) fn succeeded(&self, name: &str, address: IpAddr) {
        let pair = Counted::Pair(name.to_owned(), address);
        self.failures.invalidate(&pair);
        self.known.insert(pair, ());
    }

    fn count(&self, counted: Counted, free: u32, now: OffsetDateTime) {
        let before = self.failures.get(&counted).filter(|failures| (now - failures.last_at).abs() < FORGIVEN);
        let count = before.map_or(0, |failures| failures.count).saturating_add(1);
        let wait = if count < free {
            Duration::ZERO
        } else {
            Duration::seconds(1_i64 << (count - free).min(10)).min(LONGEST)
        };
        self.failures.insert(counted, Failures { count, last_at: now, until: now + wait });
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_fifth_failure_costs_a_second_and_each_further_twice_as_much() {
        let (slowdown, here) = (Slowdown::new(), at("192.0.2.1"));
        for _ in 0..4 {
            slowdown.failed("ana", here, NOW);
        }
        assert_eq!(slowdown.must_wait("ana", here, NOW), None);
        slowdown.failed("ana", here, NOW);
        assert_eq!(slowdown.must_wait("ana", here, NOW), Some(Duration::seconds(1)));
        slowdown.failed("ana", here, NOW);
        assert_eq!(slowdown.must_wait("ana", here, NOW), Some(Duration::seconds(2)));
        for _ in 0..1000 {
            slowdown.failed("ana", here, NOW);
        }
        assert_eq!(slowdown.must_wait("ana", here, NOW), Some(LONGEST));
        assert_eq!(slowdown.must_wait("ana", here, NOW + LONGEST), None);
    }

    #[test]
    fn the_owner_is_not_locked_out_by_strangers() {
        let slowdown = Slowdown::new();
        slowdown.succeeded("ana", at("192.0.2.1"));
        for n in 0..200 {
            slowdown.failed("ana", at(&format!("198.51.100.{n}")), NOW);
        }
        assert!(slowdown.must_wait("ana", at("203.0.113.9"), NOW).is_some());
        assert_eq!(slowdown.must_wait("ana", at("192.0.2.1"), NOW), None);
    }
}
