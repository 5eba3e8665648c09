//! Query parameters: which are admitted, and what the search ones mean.

use std::collections::BTreeSet;

use config::Operation;
use fhir_model::search::{self as index, ParameterKind};
use fhir_store::search::{Clause, Query, SystemMatch, TextMatch, TokenMatch};
use http::HeaderMap;
use pms_terms::Stakeholder;
use time::OffsetDateTime;

use crate::{answer, date, outcome::Refusal};

/// The longest URL that is looked at (ePI API specification: 2048 characters).
const MAX_TARGET: usize = 2048;

/// Search parameters of one request (ePI API specification: 10).
const MAX_PARAMETERS: usize = 10;

/// Alternatives of one parameter.
const MAX_ALTERNATIVES: usize = 100;

/// Parameters that say how the answer looks, not what it holds; they may stand once.
const RESULT_PARAMETERS: [&str; 9] =
    ["_count", "_cursor", "_elements", "_format", "_pretty", "_since", "_sort", "_summary", "_total"];

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
            match operation.restricted_parameters.get(base) {
                Some(groups) if groups.contains(&stakeholder) => {}
                // Never ignored: the answer would be about more than was asked for.
                Some(_) => return Err(Refusal::ParameterOfOthers(base.to_owned())),
                None if operation.parameters.iter().any(|one| one == base) => {}
                None => {
                    unsupported.insert(name.into_owned());
                    continue;
                }
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
            .map(|text| date::span(text).map(|(from, _)| from).ok_or_else(|| wrong("_since", date::EXPECTED)))
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

pub(crate) fn wrong(parameter: &str, problem: &str) -> Refusal {
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
            Ok(Clause::LastUpdated(
                alternatives
                    .iter()
                    .map(|one| date::time_match(one).map_err(|problem| wrong(name, &problem)))
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
