//! Query parameters: which are admitted, and what the search ones mean.

use std::collections::BTreeSet;

use config::Operation;
use fhir_model::search::{self as index, ParameterKind};
use fhir_store::search::{Clause, Query, SystemMatch, TextMatch, TokenMatch};
use http::HeaderMap;
use pms_terms::{FhirVersion, Stakeholder};
use time::OffsetDateTime;

use crate::{
    answer::{self, Look},
    date,
    outcome::Refusal,
};

/// The longest URL that is looked at, and the longest that is given as a link (ePI API specification: 2048 characters).
pub(crate) const MAX_TARGET: usize = 2048;

/// Search parameters of one request (ePI API specification: 10).
const MAX_PARAMETERS: usize = 10;

/// Alternatives of one parameter.
const MAX_ALTERNATIVES: usize = 100;

/// Parameters that say how the answer looks, not what it holds; they may stand once.
const RESULT_PARAMETERS: [&str; 10] = [
    "_count",
    "_cursor",
    "_elements",
    "_format",
    "_pretty",
    "_since",
    "_sort",
    "_summary",
    "_total",
    "_validate-only",
];

/// Parameters that add to what was found; they may stand several times and count as search parameters.
const INCLUSIONS: [&str; 2] = ["_include", "_revinclude"];

/// The parameters of one request, as far as the operation takes them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parameters {
    /// Name, modifier (or nothing) and value, in the order given.
    taken: Vec<(String, String, String)>,
    /// Names of those that were ignored at the caller's wish.
    pub(crate) ignored: Vec<String>,
}

/// Name and value of each parameter as given.
pub(crate) type Pairs = Vec<(String, String)>;

/// The parameters of a query or a form.
pub(crate) fn pairs(encoded: &[u8]) -> Pairs {
    form_urlencoded::parse(encoded).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

impl Parameters {
    /// Reads what was given to `operation`.
    pub(crate) fn read(
        given: Pairs,
        headers: &HeaderMap,
        operation: &Operation,
        stakeholder: Stakeholder,
    ) -> Result<Self, Refusal> {
        let mut parameters = Self::default();
        let mut unsupported = BTreeSet::new();
        let mut searched = 0;
        for (name, value) in given {
            let (base, modifier) = name.split_once(':').unwrap_or((&name, ""));
            match operation.restricted_parameters.get(base) {
                Some(groups) if groups.contains(&stakeholder) => {}
                // Never ignored: the answer would be about more than was asked for.
                Some(_) => return Err(Refusal::ParameterOfOthers(base.to_owned())),
                None if operation.parameters.iter().any(|one| one == base) => {}
                None => {
                    unsupported.insert(name);
                    continue;
                }
            }
            if modifier.is_empty() && name.ends_with(':') {
                return Err(wrong(&name, "has a colon and no modifier behind it"));
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
            parameters.taken.push((base.to_owned(), modifier.to_owned(), value));
        }
        if searched > MAX_PARAMETERS {
            return Err(Refusal::TooMuch("More than 10 search parameters in one request."));
        }
        if !unsupported.is_empty() && !prefers_lenient(headers) {
            return Err(Refusal::UnsupportedParameters(Vec::from_iter(unsupported)));
        }
        // Those that the gateway left out already, at the same wish.
        let left_out = headers.get(caller_context::IGNORED_HEADER).map(http::HeaderValue::as_bytes);
        unsupported.extend(pairs(left_out.unwrap_or_default()).into_iter().map(|(name, _)| name));
        parameters.ignored = Vec::from_iter(unsupported);
        Ok(parameters)
    }

    /// How the answer is to be written.
    pub(crate) fn look(&self, headers: &HeaderMap, version: FhirVersion) -> Result<Look, Refusal> {
        let format = answer::negotiate(self.one("_format"), headers)?;
        let pretty = match self.one("_pretty") {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(wrong("_pretty", "must be true or false")),
        };
        Ok(Look { format, pretty, version })
    }

    /// Each `_include` and `_revinclude`: name, modifier and value.
    pub(crate) fn inclusions(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let all = self
            .taken
            .iter()
            .map(|(name, modifier, value)| (name.as_str(), modifier.as_str(), value.as_str()));
        all.filter(|(name, _, _)| INCLUSIONS.contains(name))
    }

    /// The value of a parameter that stands once.
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        self.taken.iter().find(|(taken, _, _)| taken == name).map(|(_, _, value)| value.as_str())
    }

    /// `_count`, cut to `most`; `default` when it is not given.
    pub(crate) fn count(&self, default: usize, most: usize) -> Result<usize, Refusal> {
        match self.one("_count") {
            None => Ok(default.min(most)),
            // What is too long to be counted is more than the most.
            Some(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
                Ok(text.parse::<usize>().map_or(most, |count| count.min(most)))
            }
            Some(_) => Err(wrong("_count", "must be a whole number, 0 or more")),
        }
    }

    /// `_since`.
    pub(crate) fn since(&self) -> Result<Option<OffsetDateTime>, Refusal> {
        self.one("_since")
            .map(|text| date::span(text).map(|(from, _)| from).ok_or_else(|| wrong("_since", date::EXPECTED)))
            .transpose()
    }

    /// What was taken, as a query string again, without `but`.
    pub(crate) fn query_without(&self, but: &[&str]) -> String {
        self.query(|name| !but.contains(&name))
    }

    /// Of what was taken only these, as a query string.
    pub(crate) fn query_of(&self, only: &[&str]) -> String {
        self.query(|name| only.contains(&name))
    }

    /// Of what was taken the conditions, as a query string.
    pub(crate) fn conditions(&self) -> String {
        self.query(|name| !RESULT_PARAMETERS.contains(&name) && !INCLUSIONS.contains(&name))
    }

    fn query(&self, wanted: impl Fn(&str) -> bool) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, modifier, value) in &self.taken {
            if wanted(name) {
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
    pub(crate) fn search(&self, now: OffsetDateTime) -> Result<Query, Refusal> {
        let mut clauses = Vec::new();
        for (name, modifier, value) in &self.taken {
            if !RESULT_PARAMETERS.contains(&name.as_str()) && !INCLUSIONS.contains(&name.as_str()) {
                clauses.push(clause(name, modifier, value, now)?);
            }
        }
        Ok(Query::new(clauses))
    }
}

/// FHIR search §errors: `Prefer: handling=lenient` has unknown parameters ignored. Of several the first counts
/// (RFC 7240 §2).
pub(crate) fn prefers_lenient(headers: &HeaderMap) -> bool {
    headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']))
        .filter_map(|preference| preference.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("handling"))
        .is_some_and(|(_, value)| value.trim().trim_matches('"').eq_ignore_ascii_case("lenient"))
}

pub(crate) fn wrong(parameter: &str, problem: &str) -> Refusal {
    Refusal::Parameter { parameter: parameter.to_owned(), problem: problem.to_owned() }
}

fn clause(name: &str, modifier: &str, value: &str, now: OffsetDateTime) -> Result<Clause, Refusal> {
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
            Ok(Clause::LastUpdated(
                alternatives
                    .iter()
                    .map(|one| date::time_match(one, now).map_err(|problem| wrong(name, &problem)))
                    .collect::<Result<_, _>>()?,
            ))
        }
        _ => {
            let Some((parameter, kind, _)) = index::PARAMETERS.iter().find(|(known, _, _)| *known == name)
            else {
                return Err(Refusal::UnsupportedParameters(vec![name.to_owned()]));
            };
            match kind {
                ParameterKind::Token => {
                    let not = match modifier {
                        "" => false,
                        "not" => true,
                        other => {
                            let problem = format!("does not take the modifier :{other}; there is :not");
                            return Err(wrong(name, &problem));
                        }
                    };
                    let any_of = alternatives.iter().map(|one| token(name, one)).collect::<Result<_, _>>()?;
                    Ok(Clause::Token { parameter, any_of, not })
                }
                ParameterKind::Reference => {
                    no_modifier()?;
                    let any_of = alternatives.iter().map(|one| reference(&unescape(one))).collect();
                    Ok(Clause::Token { parameter, any_of, not: false })
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

#[cfg(test)]
mod tests {
    use super::*;

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

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(256))]
        #[test]
        fn escaping_comes_back_as_it_was(texts in proptest::collection::vec("[a-z,|$\\\\é]{1,8}", 1..4)) {
            let escaped: Vec<String> = texts
                .iter()
                .map(|text| text.chars().flat_map(|c| ",|$\\".contains(c).then_some('\\').into_iter().chain([c])).collect())
                .collect();
            let back: Vec<String> = split(&escaped.join(","), ',').iter().map(|part| unescape(part)).collect();
            proptest::prop_assert_eq!(back, texts);
        }
    }
}
