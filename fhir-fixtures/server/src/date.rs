//! Dates of search parameters: the span of time that a date, dateTime or instant stands for, and prefixes.

use fhir_store::search::TimeMatch;
use time::{Date, Duration, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

/// What a person is told.
pub(crate) const EXPECTED: &str =
    "must be a date or time such as 2026, 2026-01, 2026-01-15 or 2026-01-15T09:30:00Z";

/// FHIR search §date: prefix and value. What is searched is an instant. `now`: for `ap`, which is the vaguer the
/// farther away.
pub(crate) fn time_match(value: &str, now: OffsetDateTime) -> Result<TimeMatch, String> {
    let prefix =
        value.get(..2).filter(|two| two.bytes().all(|b| b.is_ascii_alphabetic())).unwrap_or_default();
    let rest = value.get(prefix.len()..).unwrap_or_default();
    let (from, until) = span(rest).ok_or_else(|| EXPECTED.to_owned())?;
    let (from, until) = (database::micros(from), database::micros(until));
    let now = database::micros(now);
    let within = |from, until| TimeMatch { from, until, outside: false };
    Ok(match prefix {
        "" | "eq" => within(Some(from), Some(until)),
        "ne" => TimeMatch { outside: true, ..within(Some(from), Some(until)) },
        "gt" | "sa" => within(Some(until), None),
        "ge" => within(Some(from), None),
        "lt" | "eb" => within(None, Some(from)),
        "le" => within(None, Some(until)),
        // "10% of the gap between now and the date" (FHIR search, prefixes).
        "ap" => {
            let vague = |at: i64| now.saturating_sub(at).saturating_abs() / 10;
            within(Some(from.saturating_sub(vague(from))), Some(until.saturating_add(vague(until))))
        }
        other => {
            return Err(format!("does not take the prefix {other}; there are eq ne gt ge lt le sa eb ap"));
        }
    })
}

/// The span of time that a FHIR date, dateTime or instant stands for; its end does not belong to it.
pub(crate) fn span(text: &str) -> Option<(OffsetDateTime, OffsetDateTime)> {
    // A plus sign that was not encoded arrives as a space.
    let text = text.replace(' ', "+");
    let (date, clock) = match text.split_once('T') {
        Some((date, clock)) => (date, Some(clock)),
        None => (text.as_str(), None),
    };
    let mut parts = date.split('-');
    let year: i32 = number(parts.next()?, 4)?;
    let month = parts.next().map(|part| number::<u8>(part, 2)).map_or(Some(None), |part| part.map(Some))?;
    let day = parts.next().map(|part| number::<u8>(part, 2)).map_or(Some(None), |part| part.map(Some))?;
    if parts.next().is_some() || year == 0 {
        return None;
    }
    let first = Month::try_from(month.unwrap_or(1)).ok()?;
    let start = Date::from_calendar_date(year, first, day.unwrap_or(1)).ok()?;
    let Some(clock) = clock else {
        let last = match (month, day) {
            (None, _) => Date::from_calendar_date(year, Month::December, 31).ok()?,
            (Some(_), None) => Date::from_calendar_date(year, first, first.length(year)).ok()?,
            (Some(_), Some(_)) => start,
        };
        // The last day of the calendar has no next one.
        let end = last.next_day().map_or_else(|| last.with_time(Time::MAX), Date::midnight);
        return Some((start.midnight().assume_utc(), end.assume_utc()));
    };
    day?;
    let (clock, offset) = zone(clock)?;
    let (clock, fraction) =
        clock.split_once('.').map_or((clock, None), |(clock, fraction)| (clock, Some(fraction)));
    let mut parts = clock.split(':');
    let hour: u8 = number(parts.next()?, 2)?;
    let minute: u8 = number(parts.next()?, 2)?;
    let second = parts.next().map(|part| number::<u8>(part, 2)).map_or(Some(None), |part| part.map(Some))?;
    if parts.next().is_some() || (second.is_none() && fraction.is_some()) {
        return None;
    }
    let (micros, width) = match fraction {
        None if second.is_none() => (0, Duration::minutes(1)),
        None => (0, Duration::seconds(1)),
        Some(digits) if (1..=9).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) => {
            let padded: u32 = format!("{digits:0<6}").get(..6)?.parse().ok()?;
            let width = 10_i64.checked_pow(6_u32.saturating_sub(u32::try_from(digits.len()).ok()?))?;
            (padded, Duration::microseconds(width))
        }
        Some(_) => return None,
    };
    let clock = Time::from_hms_micro(hour, minute, second.unwrap_or(0), micros).ok()?;
    let start = PrimitiveDateTime::new(start, clock).assume_offset(offset);
    let start = start.checked_to_offset(UtcOffset::UTC)?;
    Some((start, start.saturating_add(width)))
}

/// The time of day and the offset behind it; without one, UTC.
fn zone(clock: &str) -> Option<(&str, UtcOffset)> {
    if let Some(clock) = clock.strip_suffix('Z') {
        return Some((clock, UtcOffset::UTC));
    }
    let Some(at) = clock.rfind(['+', '-']) else { return Some((clock, UtcOffset::UTC)) };
    let (clock, zone) = clock.split_at_checked(at)?;
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let (hours, minutes): (i8, i8) = (number(hours, 2)?, number(minutes, 2)?);
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    Some((clock, UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok()?))
}

fn number<N: std::str::FromStr>(digits: &str, length: usize) -> Option<N> {
    (digits.len() == length && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_date_stands_for_the_span_it_names() {
        for (text, from, until) in [
            ("2026", datetime!(2026-01-01 0:00 UTC), datetime!(2027-01-01 0:00 UTC)),
            ("2026-12", datetime!(2026-12-01 0:00 UTC), datetime!(2027-01-01 0:00 UTC)),
            ("2026-02", datetime!(2026-02-01 0:00 UTC), datetime!(2026-03-01 0:00 UTC)),
            ("2026-01-15", datetime!(2026-01-15 0:00 UTC), datetime!(2026-01-16 0:00 UTC)),
            ("9999", datetime!(9999-01-01 0:00 UTC), datetime!(9999-12-31 23:59:59.999_999_999 UTC)),
            ("9999-12", datetime!(9999-12-01 0:00 UTC), datetime!(9999-12-31 23:59:59.999_999_999 UTC)),
            ("9999-12-31", datetime!(9999-12-31 0:00 UTC), datetime!(9999-12-31 23:59:59.999_999_999 UTC)),
            ("2026-01-15T09:30", datetime!(2026-01-15 9:30 UTC), datetime!(2026-01-15 9:31 UTC)),
            ("2026-01-15T09:30:00Z", datetime!(2026-01-15 9:30 UTC), datetime!(2026-01-15 9:30:01 UTC)),
            ("2026-01-15T09:30:00 02:00", datetime!(2026-01-15 7:30 UTC), datetime!(2026-01-15 7:30:01 UTC)),
            (
                "2026-01-15T09:30:00.25-01:00",
                datetime!(2026-01-15 10:30:00.25 UTC),
                datetime!(2026-01-15 10:30:00.26 UTC),
            ),
        ] {
            assert_eq!(span(text), Some((from, until)), "{text}");
        }
        for wrong in [
            "",
            "26",
            "2026-13",
            "2026-02-30",
            "2026-1-1",
            "2026-01T10:00",
            "2026-01-15T25:00",
            "yesterday",
            "2026-01-15T09",
            "2026-01-15T09:30:00.Z",
            "9999-12-31T23:59:59-14:00",
        ] {
            assert_eq!(span(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn prefixes_open_and_close_the_span() {
        let now = datetime!(2026-02-04 0:00 UTC);
        let from = database::micros(datetime!(2026-01-15 0:00 UTC));
        let until = database::micros(datetime!(2026-01-16 0:00 UTC));
        let day = |prefix: &str| time_match(&format!("{prefix}2026-01-15"), now).unwrap();
        let within = |from, until| TimeMatch { from, until, outside: false };
        assert_eq!(day(""), within(Some(from), Some(until)));
        assert_eq!(day("eq"), day(""));
        assert_eq!(day("ne"), TimeMatch { outside: true, ..day("") });
        assert_eq!(day("gt"), within(Some(until), None));
        assert_eq!(day("sa"), day("gt"));
        assert_eq!(day("ge"), within(Some(from), None));
        assert_eq!(day("lt"), within(None, Some(from)));
        assert_eq!(day("eb"), day("lt"));
        assert_eq!(day("le"), within(None, Some(until)));
        // Twenty days away: two days on one side, not quite two on the other.
        let day_long = 86_400_000_000;
        assert_eq!(day("ap"), within(Some(from - 2 * day_long), Some(until + 19 * day_long / 10)));
        assert!(time_match("zz2026", now).unwrap_err().contains("there are eq ne"));
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(256))]
        #[test]
        fn no_text_panics_and_every_span_has_a_length(text in "[0-9TZ:+. eqgtle-]{0,32}|\\PC{0,12}") {
            if let Some((from, until)) = span(&text) {
                proptest::prop_assert!(from < until, "{text}");
            }
            let _ = time_match(&text, datetime!(2026-02-04 0:00 UTC));
        }
    }
}
