//! Instants as they are stored: whole microseconds since 1970-01-01T00:00:00Z.

use time::{Duration, OffsetDateTime};

/// The stored form of an instant: microseconds since the epoch, cut off, not rounded.
pub fn micros(at: OffsetDateTime) -> i64 {
    let since = at - OffsetDateTime::UNIX_EPOCH;
    since.whole_seconds() * 1_000_000 + i64::from(since.subsec_microseconds())
}

/// The instant that a stored number means. Numbers outside the calendar mean its nearest end.
pub fn instant(micros: i64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH.saturating_add(Duration::microseconds(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_survives_to_the_microsecond() {
        for n in [0, 1, -1, 1_795_000_000_123_456, -62_135_596_800_000_000] {
            assert_eq!(micros(instant(n)), n);
        }
        assert_eq!(micros(OffsetDateTime::UNIX_EPOCH + Duration::nanoseconds(1_999)), 1);
    }
}
