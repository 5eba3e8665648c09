//! Whether an upstream is asked at all: a circuit breaker that opens after failures in a row and lets one probe through.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// So many failures in a row open it.
const THRESHOLD: u32 = 5;
/// How long it stays open the first time; twice as long after each probe that fails.
const FIRST_REST: Duration = Duration::from_secs(1);
/// The longest rest.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// Failures of one upstream, as all workers saw them.
#[derive(Debug)]
pub(super) struct Breaker {
    began: Instant,
    failures: AtomicU32,
    /// 0: closed. Else the milliseconds since `began` at which a probe may go.
    probe_at: AtomicU64,
    /// Rests in a row.
    rests: AtomicU32,
}

impl Breaker {
    /// Closed.
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            failures: AtomicU32::new(0),
            probe_at: AtomicU64::new(0),
            rests: AtomicU32::new(0),
        }
    }

    /// Whether it is closed.
    pub(super) fn is_closed(&self) -> bool {
        self.probe_at.load(Ordering::Relaxed) == 0
    }

    /// How long it will refuse: nothing when it is closed, or when the next request may be the probe.
    pub(super) fn rest(&self) -> Duration {
        Duration::from_millis(self.probe_at.load(Ordering::Relaxed).saturating_sub(self.elapsed()))
    }

    /// Whether this request may go: always when closed; of all that come after the rest, one, as the probe.
    pub(super) fn admits(&self) -> bool {
        let probe_at = self.probe_at.load(Ordering::Relaxed);
        if probe_at == 0 {
            return true;
        }
        let now = self.elapsed();
        // A probe that is never heard of again (its caller went away) is followed by another one after this rest.
        now >= probe_at
            && self
                .probe_at
                .compare_exchange(probe_at, now + self.next_rest(), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// It answered. True when that closed the breaker.
    pub(super) fn succeeded(&self) -> bool {
        // Read first: the word is shared by all workers, and nearly always as it should be.
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        if self.probe_at.load(Ordering::Relaxed) == 0 {
            return false;
        }
        self.rests.store(0, Ordering::Relaxed);
        self.probe_at.swap(0, Ordering::Relaxed) != 0
    }

    /// It did not. True when that opened the breaker.
    pub(super) fn failed(&self) -> bool {
        if self.is_closed() {
            let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
            if failures < THRESHOLD {
                return false;
            }
            let until = self.elapsed() + self.next_rest();
            return self.probe_at.compare_exchange(0, until, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        }
        self.rests.fetch_add(1, Ordering::Relaxed);
        self.probe_at.fetch_max(self.elapsed() + self.next_rest(), Ordering::Relaxed);
        false
    }

    fn next_rest(&self) -> u64 {
        let rest = FIRST_REST.saturating_mul(1 << self.rests.load(Ordering::Relaxed).min(16));
        milliseconds(rest.min(LONGEST_REST))
    }

    fn elapsed(&self) -> u64 {
        // From 1 on: 0 means closed.
        milliseconds(self.began.elapsed()) + 1
    }
}

fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> Breaker {
        let breaker = Breaker::new();
        for _ in 1..THRESHOLD {
            assert!(!breaker.failed());
        }
        assert!(breaker.failed(), "told once");
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_between_failures_keeps_it_closed() {
        let breaker = Breaker::new();
        for _ in 0..4 * THRESHOLD {
            assert!(!breaker.failed());
            assert!(!breaker.succeeded());
        }
        assert!(breaker.is_closed() && breaker.admits());
    }

    #[tokio::test(start_paused = true)]
    async fn after_its_rest_one_probe_goes_and_its_success_closes() {
        let breaker = opened();
        assert!(!breaker.admits() && !breaker.rest().is_zero());
        tokio::time::advance(FIRST_REST).await;
        assert!(breaker.admits(), "the probe");
        assert!(!breaker.admits(), "one only");
        assert!(breaker.succeeded(), "told once");
        assert!(breaker.admits() && breaker.is_closed());
    }

    #[tokio::test(start_paused = true)]
    async fn every_failed_probe_doubles_the_rest_up_to_a_bound() {
        let breaker = opened();
        let mut rests = Vec::new();
        for _ in 0..8 {
            rests.push(breaker.rest().as_secs());
            tokio::time::advance(breaker.rest()).await;
            assert!(breaker.admits());
            assert!(!breaker.failed());
        }
        assert_eq!(rests, [1, 2, 4, 8, 16, 30, 30, 30]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_never_heard_of_again_is_followed_by_another() {
        let breaker = opened();
        tokio::time::advance(breaker.rest()).await;
        assert!(breaker.admits());
        tokio::time::advance(breaker.rest()).await;
        assert!(breaker.admits());
    }
}
