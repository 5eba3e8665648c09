//! What one client has used up: a rate that refills (GCRA), and a count for the day.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, Reference as _},
    middleware::StateInformationMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed},
};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::Policy;

/// Bits of a day's count in the packed word; the day's number has the rest.
const COUNT_BITS: u32 = 40;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
const SECONDS_OF_DAY: i64 = 86_400;

/// A clock that only runs forward: budgets must not hang on somebody setting the time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steady(Instant);

impl Steady {
    /// Starts now.
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for Steady {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.elapsed().into()
    }
}

/// A rate: so many at once, refilled evenly.
pub(super) type Rate = RateLimiter<NotKeyed, InMemoryState, Steady, StateInformationMiddleware>;

/// A rate that is full.
pub(super) fn rate(budget: config::Budget, clock: Steady) -> Rate {
    let quota = Quota::per_minute(budget.per_minute).allow_burst(budget.burst);
    RateLimiter::direct_with_clock(quota, clock).with_middleware()
}

/// Which budget is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    /// Burst and sustained rate.
    Rate,
    /// The day's quota.
    Day,
    /// Failed authentications of an address.
    Address,
}

/// What is left after an admitted request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Requests that would be admitted at once.
    pub burst: u32,
    /// Seconds until the burst is whole again.
    pub burst_in: u64,
    /// Requests left on this day, and the seconds that it lasts; none: no quota.
    pub day: Option<(u64, u32)>,
}

/// One client under one policy.
#[derive(Debug)]
pub(super) struct Meter {
    rate: Rate,
    /// The number of the day and the requests on it, in one word, so that they change together.
    day: AtomicU64,
}

impl Meter {
    /// Nothing used up yet.
    pub(super) fn new(policy: &Policy, clock: Steady) -> Self {
        Self { rate: rate(policy.budget, clock), day: AtomicU64::new(0) }
    }

    /// Takes one request, or tells what is used up and in how many seconds to come back. What is refused takes nothing.
    pub(super) fn take(
        &self,
        policy: &Policy,
        now: OffsetDateTime,
        clock: Steady,
    ) -> Result<Left, (Exceeded, u32)> {
        let today = day_of(now);
        let quota = policy.per_day.map(std::num::NonZeroU64::get);
        let used = match quota {
            None => 0,
            Some(quota) => self.count(today, quota).ok_or((Exceeded::Day, rest_of_day(now)))?,
        };
        match self.rate.check() {
            Ok(state) => {
                let burst = state.remaining_burst_capacity();
                Ok(Left {
                    burst,
                    burst_in: policy.refill(burst),
                    day: quota.map(|quota| (quota.saturating_sub(used), rest_of_day(now))),
                })
            }
            Err(until) => {
                if quota.is_some() {
                    self.give_back(today);
                }
                Err((Exceeded::Rate, whole_seconds(until.wait_time_from(clock.now()))))
            }
        }
    }

    /// Counts one more request of a day; none: the quota is used up.
    fn count(&self, today: u64, quota: u64) -> Option<u64> {
        let counted = |word: u64| if word >> COUNT_BITS == today { word & COUNT_MASK } else { 0 };
        let more = |word| {
            let used = counted(word);
            (used < quota.min(COUNT_MASK)).then_some(today << COUNT_BITS | (used + 1))
        };
        self.day.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|word| counted(word) + 1)
    }

    fn give_back(&self, today: u64) {
        let less = |word: u64| {
            (word >> COUNT_BITS == today && word & COUNT_MASK > 0).then(|| word.saturating_sub(1))
        };
        // Err: the day has changed since, and with it the count.
        let _ = self.day.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

/// The number of a day (UTC).
pub(super) fn day_of(now: OffsetDateTime) -> u64 {
    u64::try_from(now.unix_timestamp().div_euclid(SECONDS_OF_DAY)).unwrap_or(0)
}

/// Seconds until the next day (UTC), at least 1.
pub(super) fn rest_of_day(now: OffsetDateTime) -> u32 {
    u32::try_from(SECONDS_OF_DAY - now.unix_timestamp().rem_euclid(SECONDS_OF_DAY)).unwrap_or(1)
}

/// Rounded up, at least 1: a `Retry-After` that is too short costs another refusal.
pub(super) fn whole_seconds(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1)
}

/// Nanoseconds of a steady clock, for marks in atomic words.
pub(super) fn nanos(clock: Steady) -> u64 {
    u64::from(clock.now().duration_since(Nanos::default()))
}
