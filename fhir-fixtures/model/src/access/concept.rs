//! Deciding whether an identifier or a concept belongs to a class of the matrix file.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    search::normalise,
    terms::{canonical_system, codings, list_number},
};

/// A class as the file lists it. Fails closed: every coding present must be listed.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    /// The path looked at, in segments.
    pub(super) at: Vec<String>,
    /// Look at `at` in the resource that the element refers to.
    pub(super) in_target: bool,
    /// Canonical systems, and numbers of RMS lists.
    pub(super) systems: BTreeSet<String>,
    pub(super) codes: BTreeSet<String>,
    /// Normalised texts.
    pub(super) texts: BTreeSet<String>,
}

impl Listed {
    /// Whether an Identifier, Coding, CodeableConcept, or CodeableReference's concept belongs to the class.
    pub(super) fn holds(&self, value: &Value) -> bool {
        let concept = value.get("concept").unwrap_or(value);
        if let Some(text) = concept.get("text").and_then(Value::as_str)
            && self.texts.contains(&normalise(text))
        {
            return true;
        }
        let is_identifier = ["coding", "code", "text"].into_iter().all(|name| concept.get(name).is_none());
        if is_identifier {
            return self.codes.is_empty() && self.has_system(concept);
        }
        let mut some = false;
        codings(concept).all(|coding| {
            some = true;
            self.holds_coding(coding)
        }) && some
    }

    fn holds_coding(&self, coding: &Value) -> bool {
        let code = coding.get("code").and_then(Value::as_str);
        let listed = !(self.systems.is_empty() && self.codes.is_empty())
            && (self.systems.is_empty() || self.has_system(coding))
            && (self.codes.is_empty() || code.is_some_and(|code| self.codes.contains(code)));
        let worded = coding
            .get("display")
            .and_then(Value::as_str)
            .is_some_and(|text| self.texts.contains(&normalise(text)));
        listed || worded
    }

    fn has_system(&self, value: &Value) -> bool {
        let Some(system) = value.get("system").and_then(Value::as_str) else { return false };
        list_number(system).is_some_and(|number| self.systems.contains(number))
            || self.systems.contains(canonical_system(system).as_ref())
    }
}

/// The values at a path below `value`, through arrays; choices by the name of the element.
pub(super) fn descend<'v>(value: &'v Value, path: &[String]) -> Vec<&'v Value> {
    let mut values = vec![value];
    for segment in path {
        values = values
            .into_iter()
            .filter_map(|value| value.get(segment))
            .flat_map(|value| value.as_array().map_or_else(|| vec![value], |items| items.iter().collect()))
            .collect();
    }
    values
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn class(systems: &[&str], codes: &[&str], texts: &[&str]) -> Listed {
        let set = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
        Listed { at: vec![], in_target: false, systems: set(systems), codes: set(codes), texts: set(texts) }
    }

    #[test]
    fn every_coding_must_be_listed() {
        let atc = class(&["100000093533", "http://www.whocc.no/atc"], &[], &[]);
        let coding = |system: &str| json!({"system":system,"code":"x"});
        assert!(atc.holds(&json!({"coding":[coding("https://spor.ema.europa.eu/v1/100000093533"), coding("http://www.whocc.no/atc")]})));
        assert!(!atc.holds(&json!({"coding":[coding("http://www.whocc.no/atc"), coding("urn:secret")]})));
        assert!(!atc.holds(&json!({"text":"atc"})));
        assert!(!atc.holds(&json!({})));
    }

    #[test]
    fn texts_are_compared_without_case() {
        let leaflet = class(&[], &["1"], &["package leaflet"]);
        assert!(leaflet.holds(&json!({"text":"Package Leaflet"})));
        assert!(leaflet.holds(&json!({"coding":[{"code":"1"}]})));
        assert!(leaflet.holds(&json!({"concept":{"coding":[{"code":"9","display":"PACKAGE LEAFLET"}]}})));
        assert!(!leaflet.holds(&json!({"coding":[{"code":"2"}]})));
    }

    #[test]
    fn identifiers_belong_by_their_system() {
        let number = class(&["http://ema.europa.eu/fhir/mpId"], &[], &[]);
        assert!(number.holds(&json!({"system":"https://ema.europa.eu/fhir/mpId","value":"1"})));
        assert!(!number.holds(&json!({"system":"urn:internal","value":"1"})));
        assert!(!number.holds(&json!({"value":"1"})));
    }
}
