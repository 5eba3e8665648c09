//! Lengths of time as people write them: `30s`, `5m`, `30d`; and calendar lifetimes: `2y`, `90d`.

use std::{fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A length of time, written like `30s`, `5m`, `1h 30m`, `30d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// So many seconds.
    pub const fn seconds(n: u64) -> Self {
        Self(Duration::from_secs(n))
    }

    /// So many milliseconds.
    pub const fn millis(n: u64) -> Self {
        Self(Duration::from_millis(n))
    }

    /// So many days of 24 hours.
    pub const fn days(n: u64) -> Self {
        Self(Duration::from_secs(n * 86_400))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In one unit where there is one: nobody thinks of ninety days as two months and some.
        let seconds = self.0.as_secs();
        let units = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
        match units.into_iter().find(|(unit, _)| seconds.is_multiple_of(*unit)) {
            Some((unit, letter)) if self.0.subsec_nanos() == 0 && seconds > 0 => {
                write!(f, "{}{letter}", seconds / unit)
            }
            _ => humantime::format_duration(self.0).fmt(f),
        }
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |_| format!("{text:?} is no length of time: write for example 30s, 5m, 1h or 30d");
        humantime::parse_duration(text).map(Self).map_err(wrong)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "a length of time, for example 30s, 5m, 1h, 30d" })
    }
}

/// How far a sandbox's clock is moved, written like `+729d` or `-2h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockOffset {
    /// Seconds, forward or (negative) back.
    pub seconds: i64,
}

impl fmt::Display for ClockOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.seconds < 0 { '-' } else { '+' };
        write!(f, "{sign}{}", humantime::format_duration(Duration::from_secs(self.seconds.unsigned_abs())))
    }
}

impl FromStr for ClockOffset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no clock offset: write for example +729d or -2h");
        let (sign, rest) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
            (Some(rest), _) => (1, rest),
            (_, Some(rest)) => (-1, rest),
            _ => return Err(wrong()),
        };
        let span = humantime::parse_duration(rest).map_err(|_| wrong())?;
        // A hundred years either way keeps every date in the calendar.
        let seconds =
            i64::try_from(span.as_secs()).ok().filter(|n| *n <= 100 * 366 * 86_400).ok_or_else(wrong)?;
        Ok(Self { seconds: sign * seconds })
    }
}

impl Serialize for ClockOffset {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ClockOffset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for ClockOffset {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ClockOffset".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[+-]", "description": "for example +729d or -2h" })
    }
}

/// How long a credential lives: whole calendar years (29 February ends on 28 February) or days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// `2y`
    Years(u16),
    /// `90d`
    Days(u16),
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Years(n) => write!(f, "{n}y"),
            Self::Days(n) => write!(f, "{n}d"),
        }
    }
}

impl FromStr for Lifetime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no lifetime: write for example 2y or 90d");
        let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
        let number: u16 = number.parse().map_err(|_| wrong())?;
        match (number, unit) {
            (1..=10, "y") => Ok(Self::Years(number)),
            (1..=3650, "d") => Ok(Self::Days(number)),
            _ => Err(wrong()),
        }
    }
}

impl Serialize for Lifetime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Lifetime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Lifetime {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Lifetime".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+[yd]$", "description": "calendar years or days: 2y, 90d" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_offset_has_a_sign() {
        assert_eq!("+2h".parse(), Ok(ClockOffset { seconds: 7200 }));
        assert_eq!("-1d".parse(), Ok(ClockOffset { seconds: -86_400 }));
        assert_eq!(
            "+729d".parse::<ClockOffset>().unwrap().to_string().parse(),
            "+729d".parse::<ClockOffset>()
        );
        for wrong in ["", "2h", "+", "+soon", "+1000y", "--1d"] {
            assert!(wrong.parse::<ClockOffset>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_lifetime_is_years_or_days_within_reason() {
        assert_eq!("2y".parse(), Ok(Lifetime::Years(2)));
        assert_eq!("90d".parse(), Ok(Lifetime::Days(90)));
        for wrong in ["", "y", "2", "0y", "11y", "2 y", "-1d", "2ä", "99999d"] {
            assert!(wrong.parse::<Lifetime>().is_err(), "{wrong}");
        }
    }
}
