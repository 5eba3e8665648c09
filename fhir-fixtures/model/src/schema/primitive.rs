//! FHIR's primitive datatypes: which JSON value stands for each, and the form its text must have.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::is_valid_id;
use crate::{
    json::{Json, has},
    xml,
};

/// The longest string, in characters (FHIR "datatypes", string: 1 MB, which is 1024 · 1024 characters).
const MAX_STRING: usize = 1024 * 1024;

/// A primitive datatype (FHIR "datatypes").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Primitive {
    Boolean,
    Integer,
    UnsignedInt,
    PositiveInt,
    Integer64,
    Decimal,
    String,
    Code,
    Id,
    Uri,
    Oid,
    Uuid,
    Date,
    DateTime,
    Instant,
    Time,
    Base64Binary,
    Xhtml,
}

/// What is wrong with a primitive value.
pub(crate) enum Fault {
    /// Another JSON type is due: its name.
    JsonType(&'static str),
    /// The form is wrong: the rule in words.
    Form(Cow<'static, str>),
}

impl Primitive {
    /// The datatype of this name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "boolean" => Self::Boolean,
            "integer" => Self::Integer,
            "unsignedInt" => Self::UnsignedInt,
            "positiveInt" => Self::PositiveInt,
            "integer64" => Self::Integer64,
            "decimal" => Self::Decimal,
            "string" | "markdown" => Self::String,
            "code" => Self::Code,
            "id" => Self::Id,
            "uri" | "url" | "canonical" => Self::Uri,
            "oid" => Self::Oid,
            "uuid" => Self::Uuid,
            "date" => Self::Date,
            "dateTime" => Self::DateTime,
            "instant" => Self::Instant,
            "time" => Self::Time,
            "base64Binary" => Self::Base64Binary,
            "xhtml" => Self::Xhtml,
            _ => return None,
        })
    }

    /// Whether its JSON value is a number.
    pub(crate) const fn is_number(self) -> bool {
        matches!(self, Self::Decimal | Self::Integer | Self::UnsignedInt | Self::PositiveInt)
    }

    /// Whether its JSON value is a string.
    pub(crate) const fn is_text(self) -> bool {
        !self.is_number() && !matches!(self, Self::Boolean)
    }

    /// Checks a JSON value. `zone_due`: a time of day in a dateTime carries its zone, as both versions ask; what was
    /// stored in former times may lack it.
    pub(crate) fn check(self, value: &Json<'_>, zone_due: bool) -> Result<(), Fault> {
        let form = |fine: bool, rule: &'static str| if fine { Ok(()) } else { Err(Fault::Form(rule.into())) };
        match self {
            Self::Boolean => matches!(value, Json::Bool(_)).then_some(()).ok_or(Fault::JsonType("boolean")),
            Self::Decimal => {
                let Json::Number(number) = value else { return Err(Fault::JsonType("number")) };
                let rule =
                    "a decimal has at most 18 digits before the point, 17 behind it and 9 in its exponent";
                form(is_decimal(number), rule)
            }
            Self::Integer | Self::UnsignedInt | Self::PositiveInt => {
                let Json::Number(number) = value else { return Err(Fault::JsonType("whole number")) };
                let number: i64 = number.parse().map_err(|_| Fault::JsonType("whole number"))?;
                let least = match self {
                    Self::UnsignedInt => 0,
                    Self::PositiveInt => 1,
                    _ => i64::from(i32::MIN),
                };
                form((least..=i64::from(i32::MAX)).contains(&number), "out of the range of its type")
            }
            _ => {
                let text = value.as_str().ok_or(Fault::JsonType("string"))?;
                if text.is_empty() {
                    return Err(Fault::Form("an empty string; leave the element out instead".into()));
                }
                if has(text, |byte| !matches!(byte, b' '..=b'~')) && !text.chars().all(xml::is_character) {
                    return Err(Fault::Form("a control character, which neither FHIR nor XML has".into()));
                }
                if self == Self::Xhtml {
                    let told =
                        |why| format!("a narrative is one <div> of XHTML, for formatting only: {why}").into();
                    return xml::check_narrative(text).map_err(|why| Fault::Form(told(why)));
                }
                let (fine, rule) = self.check_text(text, zone_due);
                form(fine, rule)
            }
        }
    }

    fn check_text(self, text: &str, zone_due: bool) -> (bool, &'static str) {
        match self {
            Self::Code => (
                !text.contains(char::is_whitespace) || single_spaced(text),
                "a code has no white space at either end and single spaces inside",
            ),
            Self::Id => {
                (is_valid_id(text), "an id is 1 to 64 letters, digits, hyphens and dots, and not . or ..")
            }
            Self::Uri => (!text.contains(char::is_whitespace), "a URI has no white space"),
            Self::Oid => (is_oid(text), "an OID is urn:oid: and numbers with dots"),
            Self::Uuid => {
                (is_uuid(text), "a UUID is urn:uuid: and 32 lower-case hexadecimal digits in five groups")
            }
            Self::Date => (
                date_length(text) == Some(text.len()),
                "a date is YYYY, YYYY-MM or YYYY-MM-DD, a day that exists",
            ),
            Self::DateTime => (
                is_date_time(text, zone_due),
                "a dateTime is a date, or YYYY-MM-DDThh:mm:ss with a time zone, at a moment that exists",
            ),
            Self::Instant => (
                text.len() > 10 && text.as_bytes()[10] == b'T' && is_date_time(text, true),
                "an instant is YYYY-MM-DDThh:mm:ss and a time zone, at a moment that exists",
            ),
            Self::Time => (time_length(text) == Some(text.len()), "a time is hh:mm:ss"),
            Self::Base64Binary => (
                STANDARD.decode(text.split_ascii_whitespace().collect::<String>()).is_ok(),
                "not base64 (RFC 4648 §4)",
            ),
            Self::Integer64 => {
                let digits = text.trim_start_matches(['-', '+']);
                let fine = text.parse::<i64>().is_ok() && (digits == "0" || !digits.starts_with('0'));
                (fine, "an integer64 is a whole number written as a string, without leading zeros")
            }
            Self::String => {
                if text.trim().is_empty() {
                    (false, "nothing but white space; leave the element out instead")
                } else {
                    // Bytes first: they cost nothing to count.
                    let fine = text.len() <= MAX_STRING || text.chars().nth(MAX_STRING).is_none();
                    (fine, "longer than 1,048,576 characters, which a string may have")
                }
            }
            Self::Xhtml
            | Self::Boolean
            | Self::Decimal
            | Self::Integer
            | Self::UnsignedInt
            | Self::PositiveInt => (true, ""),
        }
    }
}

fn single_spaced(text: &str) -> bool {
    text.split(' ').all(|word| !word.is_empty() && !word.contains(char::is_whitespace))
}

/// The form of 5.0.0, which every decimal of 4.4.0 that can be kept has, too (FHIR "datatypes", decimal).
fn is_decimal(text: &str) -> bool {
    let (number, exponent) =
        text.split_once(['e', 'E']).map_or((text, None), |(number, e)| (number, Some(e)));
    let (whole, fraction) = number.split_once('.').map_or((number, None), |(whole, f)| (whole, Some(f)));
    let whole = whole.strip_prefix('-').unwrap_or(whole);
    let exponent = exponent.map(|exponent| exponent.trim_start_matches(['-', '+']));
    whole.len() <= 18 && fraction.is_none_or(|it| it.len() <= 17) && exponent.is_none_or(|it| it.len() <= 9)
}

fn is_oid(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("urn:oid:") else { return false };
    let mut arcs = rest.split('.');
    let first = arcs.next().is_some_and(|arc| matches!(arc, "0" | "1" | "2"));
    let mut some = false;
    let rest = arcs.all(|arc| {
        some = true;
        !arc.is_empty() && arc.bytes().all(|b| b.is_ascii_digit()) && (arc == "0" || !arc.starts_with('0'))
    });
    first && rest && some
}

fn is_uuid(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("urn:uuid:") else { return false };
    rest.len() == 36
        && rest.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_digit() || (b'a'..=b'f').contains(&b),
        })
}

/// A run of `count` digits at `at`, as a number.
fn digits(text: &str, at: usize, count: usize) -> Option<u32> {
    let run = text.get(at..at + count)?;
    if run.bytes().all(|b| b.is_ascii_digit()) { run.parse().ok() } else { None }
}

fn days_of(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// How many bytes at the start are a date: 4, 7 or 10.
fn date_length(text: &str) -> Option<usize> {
    let year = digits(text, 0, 4).filter(|year| *year > 0)?;
    if text.as_bytes().get(4) != Some(&b'-') {
        return Some(4);
    }
    let month = digits(text, 5, 2).filter(|month| (1..=12).contains(month))?;
    if text.as_bytes().get(7) != Some(&b'-') {
        return Some(7);
    }
    digits(text, 8, 2).filter(|day| (1..=days_of(year, month)).contains(day)).map(|_| 10)
}

/// How many bytes at the start are a time of day with an optional fraction of at most nine digits.
fn time_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    digits(text, 0, 2).filter(|hour| *hour < 24)?;
    digits(text, 3, 2).filter(|minute| *minute < 60)?;
    digits(text, 6, 2).filter(|second| *second <= 60)?;
    if bytes.get(2) != Some(&b':') || bytes.get(5) != Some(&b':') {
        return None;
    }
    if bytes.get(8) != Some(&b'.') {
        return Some(8);
    }
    let fraction = bytes[9..].iter().take_while(|b| b.is_ascii_digit()).count();
    (1..=9).contains(&fraction).then_some(9 + fraction)
}

fn is_zone(text: &str) -> bool {
    if text == "Z" {
        return true;
    }
    let signed = text.starts_with(['+', '-']) && text.len() == 6 && text.as_bytes()[3] == b':';
    let hour = digits(text, 1, 2);
    let minute = digits(text, 4, 2);
    signed
        && matches!((hour, minute), (Some(hour), Some(minute)) if (hour < 14 && minute < 60) || (hour == 14 && minute == 0))
}

fn is_date_time(text: &str, zone_due: bool) -> bool {
    let Some(date) = date_length(text) else { return false };
    if date == text.len() {
        return true;
    }
    if date != 10 || text.as_bytes()[10] != b'T' {
        return false;
    }
    let rest = &text[11..];
    match time_length(rest) {
        Some(time) if time == rest.len() => !zone_due,
        Some(time) => is_zone(&rest[time..]),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn fits(kind: &str, value: &Value) -> bool {
        Primitive::of(kind).unwrap().check(&value.into(), true).is_ok()
    }

    #[test]
    fn dates_have_a_form_and_exist() {
        for good in ["2024", "2024-02", "2024-02-29", "2000-02-29"] {
            assert!(fits("date", &json!(good)) && fits("dateTime", &json!(good)), "{good}");
        }
        for bad in [
            "",
            "24",
            "2024-13",
            "2023-02-29",
            "1900-02-29",
            "2024-00-01",
            "2024-1-1",
            "0000",
            "2024-02-29T",
            "é024",
        ] {
            assert!(!fits("date", &json!(bad)), "{bad}");
        }
        for good in ["2024-02-29T10:00:00Z", "2024-02-29T10:00:00.123456+02:00", "2016-12-31T23:59:60Z"] {
            assert!(fits("dateTime", &json!(good)), "{good}");
        }
        for bad in [
            "2024-02-29T10:00:00",
            "2024-02-29T10:00Z",
            "2024-02T10:00:00Z",
            "2024-02-29T24:00:00Z",
            "2024-02-29T10:00:00+15:00",
        ] {
            assert!(!fits("dateTime", &json!(bad)), "{bad}");
        }
        assert!(fits("instant", &json!("2024-02-29T10:00:00Z")));
        assert!(!fits("instant", &json!("2024-02-29")) && !fits("instant", &json!("2024-02-29T10:00:00")));
        assert!(Primitive::DateTime.check(&Json::text("2024-02-29T10:00:00"), false).is_ok());
    }

    #[test]
    fn numbers_and_texts_have_their_json_type() {
        assert!(
            fits("positiveInt", &json!(1))
                && !fits("positiveInt", &json!(0))
                && !fits("positiveInt", &json!("1"))
        );
        assert!(
            fits("integer", &json!(-1))
                && !fits("integer", &json!(1.5))
                && !fits("integer", &json!(3_000_000_000_i64))
        );
        assert!(fits("decimal", &json!(1.5)) && !fits("decimal", &json!("1.5")));
        for (text, fine) in [
            ("1e2", true),
            ("-0.10", true),
            ("123456789012345678.12345678901234567", true),
            ("1E-999999999", true),
            ("1e9999999999", false),
            ("1234567890123456789", false),
            ("0.123456789012345678", false),
        ] {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(fits("decimal", &value), fine, "{text}");
        }
        assert!(fits("integer64", &json!("12")) && !fits("integer64", &json!(12)));
        assert!(fits("integer64", &json!("0")) && !fits("integer64", &json!("012")));
        for kind in ["string", "markdown"] {
            assert!(
                fits(kind, &json!(" a\n")) && !fits(kind, &json!("   ")) && !fits(kind, &json!("\u{a0}\t"))
            );
            assert!(fits(kind, &json!("é".repeat(MAX_STRING))));
            assert!(!fits(kind, &json!("é".repeat(MAX_STRING + 1))));
        }
        assert!(fits("boolean", &json!(true)) && !fits("boolean", &json!("true")));
        assert!(fits("code", &json!("a b")) && !fits("code", &json!("a  b")) && !fits("code", &json!(" a")));
        assert!(fits("uri", &json!("urn:x")) && !fits("uri", &json!("a b")));
        assert!(fits("uuid", &json!("urn:uuid:0c0d0e0f-0000-4000-8000-000000000000")));
        assert!(fits("oid", &json!("urn:oid:1.2.840")) && !fits("oid", &json!("urn:oid:3")));
        assert!(fits("base64Binary", &json!("aGFsbG8=")) && !fits("base64Binary", &json!("!")));
    }
}
