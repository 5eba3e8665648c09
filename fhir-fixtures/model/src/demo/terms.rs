//! The words of the catalogue and the code lists they stand for: `tablet`, `oral`, `EE`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::catalogue::{CatalogueError, parse_toml};

/// How a product's source spelt the URIs of RMS lists. All of them name the list by its trailing number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Spelling {
    /// `http://spor.ema.europa.eu/v1/lists/{list}`
    #[default]
    Http,
    /// `https://spor.ema.europa.eu/v1/lists/{list}`
    Https,
    /// `https://spor.ema.europa.eu/v1/{list}`, without `/lists/`
    Bare,
    /// A different one from list to list, as after a migration from several sources.
    Mixed,
}

impl Spelling {
    fn uri(self, list: &str) -> String {
        match self {
            Self::Http => format!("http://spor.ema.europa.eu/v1/lists/{list}"),
            Self::Https => format!("https://spor.ema.europa.eu/v1/lists/{list}"),
            Self::Bare => format!("https://spor.ema.europa.eu/v1/{list}"),
            Self::Mixed => {
                let digits: u32 = list.bytes().map(u32::from).sum();
                [Self::Http, Self::Https, Self::Bare][(digits % 3) as usize].uri(list)
            }
        }
    }
}

/// One code list: its number (or whole URI) and its terms.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    list: String,
    terms: BTreeMap<String, Row>,
}

/// A term as `terms.toml` has it: code, display, and where the source also gives it the text of the concept.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Vec<String>")]
struct Row {
    code: String,
    display: String,
    text: Option<String>,
}

impl TryFrom<Vec<String>> for Row {
    type Error = &'static str;

    fn try_from(columns: Vec<String>) -> Result<Self, Self::Error> {
        let mut columns = columns.into_iter();
        match (columns.next(), columns.next(), columns.next(), columns.next()) {
            (Some(code), Some(display), text, None) => Ok(Self { code, display, text }),
            _ => Err("a term is a code, a display and perhaps a text"),
        }
    }
}

/// All code lists, by the kind of word that is looked up in them.
#[derive(Debug)]
pub(crate) struct Terms(BTreeMap<String, List>);

impl Terms {
    pub(crate) fn parse(file: &'static str, text: &str) -> Result<Self, CatalogueError> {
        parse_toml(file, text).map(Self)
    }

    /// The terms in one spelling.
    pub(crate) const fn spelt(&self, spelling: Spelling) -> Words<'_> {
        Words { terms: self, spelling }
    }
}

/// A term as a coding has it.
pub(crate) struct Term {
    pub(crate) system: String,
    pub(crate) code: String,
    pub(crate) display: String,
    text: Option<String>,
}

/// Look-ups in one spelling of the list URIs.
pub(crate) struct Words<'t> {
    terms: &'t Terms,
    spelling: Spelling,
}

impl Words<'_> {
    /// The term that `word` stands for in lists of `kind`.
    pub(crate) fn term(&self, kind: &'static str, word: &str) -> Result<Term, CatalogueError> {
        self.find(kind, word).ok_or_else(|| CatalogueError::UnknownTerm { kind, word: word.to_owned() })
    }

    fn find(&self, kind: &str, word: &str) -> Option<Term> {
        let list = self.terms.0.get(kind)?;
        let row = list.terms.get(word)?;
        let system = if list.list.contains(':') { list.list.clone() } else { self.spelling.uri(&list.list) };
        Some(Term { system, code: row.code.clone(), display: row.display.clone(), text: row.text.clone() })
    }

    /// A unit of measurement, or else a unit of presentation, or else a unit of time.
    pub(crate) fn unit(&self, word: &str) -> Result<Term, CatalogueError> {
        ["measure", "presentation", "time"]
            .iter()
            .find_map(|kind| self.find(kind, word))
            .ok_or_else(|| CatalogueError::UnknownTerm { kind: "unit", word: word.to_owned() })
    }

    /// A Coding.
    pub(crate) fn coding(&self, kind: &'static str, word: &str) -> Result<Value, CatalogueError> {
        let term = self.term(kind, word)?;
        Ok(json!({"system": term.system, "code": term.code, "display": term.display}))
    }

    /// A CodeableConcept; a word that begins with `text:` is a concept with a text and no code.
    pub(crate) fn concept(&self, kind: &'static str, word: &str) -> Result<Value, CatalogueError> {
        if let Some(text) = word.strip_prefix("text:") {
            return Ok(json!({ "text": text }));
        }
        let text = self.term(kind, word)?.text;
        Ok(json!({"coding": [self.coding(kind, word)?], "text": text}))
    }

    /// A CodeableConcept, or null.
    pub(crate) fn maybe(&self, kind: &'static str, word: Option<&str>) -> Result<Value, CatalogueError> {
        word.map_or(Ok(Value::Null), |word| self.concept(kind, word))
    }

    /// A list of CodeableConcepts.
    pub(crate) fn each(&self, kind: &'static str, words: &[String]) -> Result<Vec<Value>, CatalogueError> {
        words.iter().map(|word| self.concept(kind, word)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_ends_with_the_number_of_the_list() {
        for spelling in [Spelling::Http, Spelling::Https, Spelling::Bare, Spelling::Mixed] {
            assert!(spelling.uri("100000000004").ends_with("/100000000004"), "{spelling:?}");
        }
    }
}
