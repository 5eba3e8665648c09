//! The few EMA code systems and terms that decide something here (`domain.md` §4), and how their URIs are compared.

use std::borrow::Cow;

use serde_json::Value;

/// RMS list: domain of a product.
pub const DOMAIN: &str = "100000000004";
/// RMS term: human use.
pub const HUMAN_USE: &str = "100000000012";
/// RMS term: veterinary use.
pub const VETERINARY_USE: &str = "100000000013";
/// RMS term: human and veterinary use.
pub const HUMAN_AND_VETERINARY_USE: &str = "100000000014";
/// RMS list: record status.
pub const RECORD_STATUS: &str = "200000005003";
/// RMS list: regulatory entitlement type.
pub const ENTITLEMENT_TYPE: &str = "220000000060";
/// RMS term: marketing authorisation.
pub const MARKETING_AUTHORISATION: &str = "220000000061";
/// RMS list: regulatory entitlement status.
pub const ENTITLEMENT_STATUS: &str = "100000072049";
/// RMS list: procedure type.
pub const PROCEDURE_TYPE: &str = "100000154442";
/// RMS term: centralised procedure.
pub const CENTRALISED_PROCEDURE: &str = "100000155059";
/// RMS list: marketing status.
pub const MARKETING_STATUS: &str = "100000072052";
/// System of manufacturing authorisation numbers.
pub const MANUFACTURING_AUTHORISATION_NUMBER: &str =
    "http://ema.europa.eu/fhir/manufacturingAuthorizationNumber";

/// The trailing list number of an RMS system URI, whichever of the three published spellings it has:
/// `http://spor.ema.europa.eu/v1/lists/{n}`, the same with `https`, or `https://spor.ema.europa.eu/v1/{n}`
/// (HL7/emedicinal-product-info issue 39).
pub fn list_number(system: &str) -> Option<&str> {
    let rest = system.strip_prefix("https://").or_else(|| system.strip_prefix("http://"))?;
    let rest = rest.strip_prefix("spor.ema.europa.eu/v1/")?;
    let number = rest.strip_prefix("lists/").unwrap_or(rest).trim_end_matches('/');
    (number.len() >= 6 && number.bytes().all(|b| b.is_ascii_digit())).then_some(number)
}

/// One spelling for every system URI: RMS lists as `http://spor.ema.europa.eu/v1/lists/{n}`, EMA's other systems
/// with `http`, anything else unchanged. Comparing canonical spellings is how systems are compared here.
pub fn canonical_system(system: &str) -> Cow<'_, str> {
    if let Some(number) = list_number(system) {
        let canonical = format!("http://spor.ema.europa.eu/v1/lists/{number}");
        return if canonical == system { Cow::Borrowed(system) } else { Cow::Owned(canonical) };
    }
    match system.strip_prefix("https://") {
        Some(rest) if rest.starts_with("ema.europa.eu/") || rest.starts_with("spor.ema.europa.eu/") => {
            Cow::Owned(format!("http://{rest}"))
        }
        _ => Cow::Borrowed(system),
    }
}

/// The codings of a CodeableConcept, of a CodeableReference's concept, or a lone Coding.
pub fn codings(value: &Value) -> impl Iterator<Item = &Value> {
    let concept = value.get("concept").unwrap_or(value);
    let many = concept.get("coding").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let lone = (concept.get("coding").is_none() && concept.get("code").is_some_and(Value::is_string))
        .then_some(concept);
    many.iter().chain(lone)
}

/// The codes that a concept has in one RMS list.
pub fn codes_in_list<'v>(value: &'v Value, list: &'v str) -> impl Iterator<Item = &'v str> {
    codings(value).filter_map(move |coding| {
        let system = coding.get("system")?.as_str()?;
        if list_number(system)? != list {
            return None;
        }
        coding.get("code")?.as_str()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_spellings_of_an_rms_list_are_one() {
        for spelling in [
            "http://spor.ema.europa.eu/v1/lists/100000000004",
            "https://spor.ema.europa.eu/v1/lists/100000000004",
            "https://spor.ema.europa.eu/v1/100000000004",
            "https://spor.ema.europa.eu/v1/lists/100000000004/",
        ] {
            assert_eq!(list_number(spelling), Some("100000000004"), "{spelling}");
            assert_eq!(canonical_system(spelling), "http://spor.ema.europa.eu/v1/lists/100000000004");
        }
        for other in ["http://spor.ema.europa.eu/v1/locations", "http://www.whocc.no/atc", "100000000004", ""]
        {
            assert_eq!(list_number(other), None, "{other}");
        }
        assert_eq!(
            canonical_system("https://spor.ema.europa.eu/v1/locations"),
            "http://spor.ema.europa.eu/v1/locations"
        );
    }
}
