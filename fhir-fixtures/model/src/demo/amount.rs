//! Amounts as the catalogue writes them: `5 mg`, and `5 mg / 1 tablet` for a ratio.

use serde_json::{Number, Value, json};

use super::{catalogue::CatalogueError, terms::Words};

/// A Quantity from a number and a unit word, such as `0.4 ml`, `28 tablet`, `15 d`.
pub(crate) fn quantity(words: &Words<'_>, text: &str) -> Result<Value, CatalogueError> {
    let malformed = || CatalogueError::Amount(text.to_owned());
    let (number, unit) = text.trim().split_once(' ').ok_or_else(malformed)?;
    let number = if let Ok(whole) = number.parse::<i64>() {
        Number::from(whole)
    } else {
        number.parse::<f64>().ok().and_then(Number::from_f64).ok_or_else(malformed)?
    };
    let unit = words.unit(unit.trim())?;
    Ok(json!({"value": number, "unit": unit.display, "system": unit.system, "code": unit.code}))
}

/// A Ratio of two quantities: `5 mg / 1 tablet`.
pub(crate) fn ratio(words: &Words<'_>, text: &str) -> Result<Value, CatalogueError> {
    let (numerator, denominator) =
        text.split_once(" / ").ok_or_else(|| CatalogueError::Amount(text.to_owned()))?;
    Ok(json!({"numerator": quantity(words, numerator)?, "denominator": quantity(words, denominator)?}))
}

/// A RatioRange: `4 - 6 mg / 1 ml` has numerators from 4 to 6 mg.
pub(crate) fn ratio_range(words: &Words<'_>, text: &str) -> Result<Value, CatalogueError> {
    let malformed = || CatalogueError::Amount(text.to_owned());
    let (low, rest) = text.split_once(" - ").ok_or_else(malformed)?;
    let (high, denominator) = rest.split_once(" / ").ok_or_else(malformed)?;
    let (_, unit) = high.split_once(' ').ok_or_else(malformed)?;
    Ok(json!({
        "lowNumerator": quantity(words, &format!("{low} {unit}"))?,
        "highNumerator": quantity(words, high)?,
        "denominator": quantity(words, denominator)?,
    }))
}
