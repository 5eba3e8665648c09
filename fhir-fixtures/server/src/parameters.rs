//! Query parameters: which are admitted, and what the search ones mean.

use std::collections::BTreeSet;

use config::Operation;
use fhir_model::search::{self as index, ParameterKind};
use fhir_store::search::{Clause, Query, SystemMatch, TextMatch, TimeMatch, TokenMatch};
use http::HeaderMap;
use pms_terms::Stakeholder;
use time::{Date, Duration, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

use crate::{answer, outcome::Refusal};

/// The longest URL that is looked at (ePI API specification: 2048 characters).
const MAX_TARGET: usize = 2048;

/// Search parameters of one request (ePI API specification: 10).
const MAX_PARAMETERS: usize = 10;

/// Alternatives of one parameter.
const MAX_ALTERNATIVES: usize = 100;

/// Parameters that say how the answer looks, not what it holds; they may stand once.
const RESULT_PARAMETERS: [&str; 5] = ["_count", "_cursor", "_format", "_pretty", "_since"];

/// The parameters of one request, as far as the operation takes them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parameters {
    /// Name, modifier (or nothing) and value, in the order given.
    taken: Vec<(String, String, String)>,
    /// Names of those that were ignored at the caller's wish.
    pub(crate) ignored: Vec<String>,
    pub(crate) pretty: bool,
}

impl Parameters {
    /// Reads the query of a request for `operation`, and whether JSON will do.
    pub(crate) fn read(
        target: &http::Uri,
        headers: &HeaderMap,
        operation: &Operation,
        stakeholder: Stakeholder,
    ) -> Result<Self, Refusal> {
        let Some(query) = target.query().filter(|query| !query.is_empty()) else {
            answer::negotiate(None, headers)?;
            return Ok(Self::default());
        };
        if target.path().len() + 1 + query.len() > MAX_TARGET {
            return Err(Refusal::TooMuch("The URL is longer than 2048 characters."));
        }
        let mut parameters = Self::default();
        let mut unsupported = BTreeSet::new();
        let mut searched = 0;
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let (base, modifier) = name.split_once(':').unwrap_or((&name, ""));
            let admitted = operation.parameters.iter().any(|one| one == base)
                || operation
                    .restricted_parameters
                    .get(base)
                    .is_some_and(|groups| groups.contains(&stakeholder));
            if !admitted {
                unsupported.insert(name.into_owned());
                continue;
            }
            if value.is_empty() {
                return Err(wrong(&name, "has no value: leave it out, or say what to look for"));
            }
            if RESULT_PARAMETERS.contains(&base) {
                if !modifier.is_empty() {
                    return Err(wrong(&name, "takes no modifier"));
                }
                if parameters.one(base).is_some() {
                    return Err(wrong(base, "is given more than once"));
                }
            } else {
                searched += 1;
            }
            parameters.taken.push((base.to_owned(), modifier.to_owned(), value.into_owned()));
        }
        if searched > MAX_PARAMETERS {
            return Err(Refusal::TooMuch("More than 10 search parameters in one request."));
        }
        if !unsupported.is_empty() {
            let unsupported = Vec::from_iter(unsupported);
            if !is_lenient(headers) {
                return Err(Refusal::UnsupportedParameters(unsupported));
            }
            parameters.ignored = unsupported;
        }
        answer::negotiate(parameters.one("_format"), headers)?;
        parameters.pretty = match parameters.one("_pretty") {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(wrong("_pretty", "must be true or false")),
        };
        Ok(parameters)
    }

    /// The value of a parameter that stands once.
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        self.taken.iter().find(|(taken, _, _)| taken == name).map(|(_, _, value)| value.as_str())
    }

    /// `_count`, cut to `most`; `default` when it is not given.
    pub(crate) fn count(&self, default: usize, most: usize) -> Result<usize, Refusal> {
        match self.one("_count") {
            None => Ok(default.min(most)),
            Some(text) if text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit()) => {
                Ok(text.parse::<usize>().map_or(most, |count| count.min(most)))
            }
            Some(_) => Err(wrong("_count", "must be a whole number, 0 or more")),
        }
    }

    /// `_since`.
    pub(crate) fn since(&self) -> Result<Option<OffsetDateTime>, Refusal> {
        self.one("_since")
            .map(|text| span(text).map(|(from, _)| from).ok_or_else(|| wrong("_since", NOT_AN_INSTANT)))
            .transpose()
    }

    /// What was taken, as a query string again, without `but`.
    pub(crate) fn query_without(&self, but: &[&str]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, modifier, value) in &self.taken {
            if !but.contains(&name.as_str()) {
                if modifier.is_empty() {
                    query.append_pair(name, value);
                } else {
                    query.append_pair(&format!("{name}:{modifier}"), value);
                }
            }
        }
        query.finish()
    }

    /// What is searched for.
    pub(crate) fn search(&self) -> Result<Query, Refusal> {
        let mut query = Query::default();
        for (name, modifier, value) in &self.taken {
            if !RESULT_PARAMETERS.contains(&name.as_str()) {
                query.clauses.push(clause(name, modifier, value)?);
            }
        }
        Ok(query)
    }
}

/// FHIR search §errors: `Prefer: handling=lenient` has unknown parameters ignored.
fn is_lenient(headers: &HeaderMap) -> bool {
    headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']))
        .any(|wish| wish.trim().eq_ignore_ascii_case("handling=lenient"))
}

fn wrong(parameter: &str, problem: &str) -> Refusal {
    Refusal::Parameter { parameter: parameter.to_owned(), problem: problem.to_owned() }
}

fn clause(name: &str, modifier: &str, value: &str) -> Result<Clause, Refusal> {
    let alternatives = split(value, ',');
    if alternatives.len() > MAX_ALTERNATIVES {
        return Err(wrong(name, "has more than 100 alternatives"));
    }
    if alternatives.iter().any(String::is_empty) {
        return Err(wrong(name, "has an empty alternative: a comma too many?"));
    }
    let no_modifier = || match modifier {
        "" => Ok(()),
        _ => Err(wrong(name, &format!("does not take the modifier :{modifier}"))),
    };
    match name {
        "_id" => {
            no_modifier()?;
            Ok(Clause::Ids(alternatives.iter().map(|one| unescape(one)).collect()))
        }
        "_lastUpdated" => {
            no_modifier()?;
            Ok(Clause::LastUpdated(alternatives.iter().map(|one| time_match(one)).collect::<Result<_, _>>()?))
        }
        _ => {
            let Some((parameter, kind, _)) = index::PARAMETERS.iter().find(|(known, _, _)| *known == name)
            else {
                return Err(Refusal::UnsupportedParameters(vec![name.to_owned()]));
            };
            match kind {
                ParameterKind::Token => {
                    no_modifier()?;
                    let any_of = alternatives.iter().map(|one| token(name, one)).collect::<Result<_, _>>()?;
                    Ok(Clause::Token { parameter, any_of })
                }
                ParameterKind::Reference => {
                    no_modifier()?;
                    let any_of = alternatives.iter().map(|one| reference(&unescape(one))).collect();
                    Ok(Clause::Token { parameter, any_of })
                }
                ParameterKind::Text => {
                    let any_of = alternatives.iter().map(|one| text(name, modifier, &unescape(one)));
                    Ok(Clause::Text { parameter, any_of: any_of.collect::<Result<_, _>>()? })
                }
            }
        }
    }
}

fn token(name: &str, value: &str) -> Result<TokenMatch, Refusal> {
    let mut parts = split(value, '|').into_iter().map(|part| unescape(&part));
    let (first, second) = (parts.next().unwrap_or_default(), parts.next());
    if parts.next().is_some() {
        return Err(wrong(name, "has more than one bar: write system|code"));
    }
    Ok(match second {
        None => TokenMatch { system: SystemMatch::Any, code: Some(first) },
        Some(code) if first.is_empty() && code.is_empty() => {
            return Err(wrong(name, "names neither system nor code: write system|code"));
        }
        Some(code) => TokenMatch {
            system: if first.is_empty() {
                SystemMatch::Absent
            } else {
                SystemMatch::Is(index::canonical_system(&first).into_owned())
            },
            code: (!code.is_empty()).then_some(code),
        },
    })
}

fn reference(value: &str) -> TokenMatch {
    match value.rsplit_once('/') {
        None => TokenMatch { system: SystemMatch::Any, code: Some(value.to_owned()) },
        Some((before, id)) => {
            let resource_type = before.rsplit('/').next().unwrap_or(before);
            TokenMatch { system: SystemMatch::Is(resource_type.to_owned()), code: Some(id.to_owned()) }
        }
    }
}

fn text(name: &str, modifier: &str, value: &str) -> Result<TextMatch, Refusal> {
    let normalised = index::normalise(value);
    match modifier {
        "exact" => Ok(TextMatch::Exact(value.to_owned())),
        "" | "contains" if normalised.is_empty() => {
            Err(wrong(name, "holds nothing that could be looked for"))
        }
        "" => Ok(TextMatch::StartsWith(normalised)),
        "contains" => Ok(TextMatch::Contains(normalised)),
        other => {
            Err(wrong(name, &format!("does not take the modifier :{other}; there are :exact and :contains")))
        }
    }
}

/// Cuts at every `at` that has no backslash before it (FHIR search §escaping); backslashes stay.
fn split(value: &str, at: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for c in value.chars() {
        if c == at && !escaped {
            parts.push(String::new());
            continue;
        }
        escaped = c == '\\' && !escaped;
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts
}

fn unescape(value: &str) -> String {
    let mut plain = String::with_capacity(value.len());
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some(next @ ('\\' | ',' | '|' | '$'))) => {
                plain.push(*next);
                chars.next();
            }
            _ => plain.push(c),
        }
    }
    plain
}

const NOT_AN_INSTANT: &str =
    "must be a date or time such as 2026, 2026-01, 2026-01-15 or 2026-01-15T09:30:00Z";

/// FHIR search §date: prefix and value. What is searched is an instant.
fn time_match(value: &str) -> Result<TimeMatch, Refusal> {
    let prefix =
        value.get(..2).filter(|two| two.bytes().all(|b| b.is_ascii_alphabetic())).unwrap_or_default();
    let rest = value.get(prefix.len()..).unwrap_or_default();
    let (from, until) = span(rest).ok_or_else(|| wrong("_lastUpdated", NOT_AN_INSTANT))?;
    let (from, until) = (database::micros(from), database::micros(until));
    let within = |from, until| TimeMatch { from, until, outside: false };
    Ok(match prefix {
        "" | "eq" => within(Some(from), Some(until)),
        "ne" => TimeMatch { outside: true, ..within(Some(from), Some(until)) },
        "gt" | "sa" => within(Some(until), None),
        "ge" => within(Some(from), None),
        "lt" | "eb" => within(None, Some(from)),
        "le" => within(None, Some(until)),
        other => {
            let problem = format!("does not take the prefix {other}; there are eq ne gt ge lt le sa eb");
            return Err(wrong("_lastUpdated", &problem));
        }
    })
}

/// The span of time that a FHIR date, dateTime or instant stands for; its end does not belong to it.
fn span(text: &str) -> Option<(OffsetDateTime, OffsetDateTime)> {
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
        let end = match (month, day) {
            (None, _) => Date::from_calendar_date(year.checked_add(1)?, Month::January, 1).ok()?,
            (Some(_), None) if first == Month::December => {
                Date::from_calendar_date(year.checked_add(1)?, Month::January, 1).ok()?
            }
            (Some(_), None) => Date::from_calendar_date(year, first.next(), 1).ok()?,
            (Some(_), Some(_)) => start.next_day()?,
        };
        return Some((start.midnight().assume_utc(), end.midnight().assume_utc()));
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
    let start = PrimitiveDateTime::new(start, clock).assume_offset(offset).to_offset(UtcOffset::UTC);
    Some((start, start.checked_add(width)?))
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
            "9999",
            "2026-01-15T09:30:00.Z",
        ] {
            assert_eq!(span(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn prefixes_open_and_close_the_span() {
        let from = database::micros(datetime!(2026-01-15 0:00 UTC));
        let until = database::micros(datetime!(2026-01-16 0:00 UTC));
        let day = |prefix: &str| time_match(&format!("{prefix}2026-01-15")).unwrap();
        assert_eq!(day(""), TimeMatch { from: Some(from), until: Some(until), outside: false });
        assert_eq!(day("ne"), TimeMatch { from: Some(from), until: Some(until), outside: true });
        assert_eq!(day("gt"), TimeMatch { from: Some(until), until: None, outside: false });
        assert_eq!(day("le"), TimeMatch { from: None, until: Some(until), outside: false });
        assert_eq!(day("lt"), TimeMatch { from: None, until: Some(from), outside: false });
        assert!(time_match("ap2026").is_err());
    }

    #[test]
    fn commas_and_bars_can_be_escaped() {
        assert_eq!(split(r"a\,b,c", ','), [r"a\,b", "c"]);
        assert_eq!(unescape(r"a\,b\|c\\d\e"), r"a,b|c\d\e");
        assert_eq!(
            token("identifier", r"sys\|tem|1\,2").unwrap(),
            TokenMatch { system: SystemMatch::Is("sys|tem".to_owned()), code: Some("1,2".to_owned()) }
        );
        assert_eq!(token("identifier", "|x").unwrap().system, SystemMatch::Absent);
        assert_eq!(token("identifier", "s|").unwrap().code, None);
        assert!(token("identifier", "a|b|c").is_err());
        assert!(token("identifier", "|").is_err());
    }
}
