//! The clock: the only place that asks the system for the time of day.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use time::{Duration, OffsetDateTime};

/// A clock that rules are given their `now` from. Clones show the same time. UTC, cut to microseconds.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Face>);

#[derive(Debug)]
enum Face {
    /// The system's time, moved by so many microseconds (a sandbox may travel).
    System { offset: AtomicI64 },
    /// Stands still until it is moved: microseconds since the epoch.
    Manual { at: AtomicI64 },
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(Arc::new(Face::System { offset: AtomicI64::new(0) }))
    }

    /// A clock that stands at `at` until [`Clock::advance`] moves it.
    pub fn manual(at: OffsetDateTime) -> Self {
        Self(Arc::new(Face::Manual { at: AtomicI64::new(to_micros(at)) }))
    }

    /// The present instant.
    pub fn now(&self) -> OffsetDateTime {
        match &*self.0 {
            Face::System { offset } => from_micros(
                to_micros(OffsetDateTime::now_utc()).saturating_add(offset.load(Ordering::Relaxed)),
            ),
            Face::Manual { at } => from_micros(at.load(Ordering::Relaxed)),
        }
    }

    /// The present instant as the rest of the world has it, however far a sandbox has travelled: for what others check
    /// by clocks of their own.
    pub fn unmoved(&self) -> OffsetDateTime {
        match &*self.0 {
            Face::System { .. } => from_micros(to_micros(OffsetDateTime::now_utc())),
            Face::Manual { .. } => self.now(),
        }
    }

    /// Moves the clock by `by`, forward or back.
    pub fn advance(&self, by: Duration) {
        let micros = i64::try_from(by.whole_microseconds()).unwrap_or(0);
        match &*self.0 {
            Face::System { offset } => offset.fetch_add(micros, Ordering::Relaxed),
            Face::Manual { at } => at.fetch_add(micros, Ordering::Relaxed),
        };
    }

    /// Sets how far a system clock is moved; a manual clock is left alone.
    pub fn set_offset(&self, by: Duration) {
        if let Face::System { offset } = &*self.0 {
            offset.store(i64::try_from(by.whole_microseconds()).unwrap_or(0), Ordering::Relaxed);
        }
    }
}

fn to_micros(at: OffsetDateTime) -> i64 {
    i64::try_from((at - OffsetDateTime::UNIX_EPOCH).whole_microseconds()).unwrap_or(i64::MAX)
}

fn from_micros(micros: i64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH.saturating_add(Duration::microseconds(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_stands_until_it_is_moved_and_clones_agree() {
        let clock = Clock::manual(OffsetDateTime::UNIX_EPOCH);
        let clone = clock.clone();
        clock.advance(Duration::days(731));
        assert_eq!(clone.now(), OffsetDateTime::UNIX_EPOCH + Duration::days(731));
        assert_eq!(clone.now(), clock.now());
    }

    #[test]
    fn a_system_clock_can_travel_and_come_back() {
        let clock = Clock::system();
        clock.set_offset(Duration::days(700));
        assert!(clock.now() > OffsetDateTime::now_utc() + Duration::days(699));
        assert!(clock.unmoved() <= OffsetDateTime::now_utc());
        clock.set_offset(Duration::ZERO);
        assert!(clock.now() <= OffsetDateTime::now_utc());
    }
}
