//! From a tree that owns its texts, and to one.

use std::borrow::Cow;

use serde_json::Value;

use super::Json;

/// Borrows the texts.
impl<'v> From<&'v Value> for Json<'v> {
    fn from(value: &'v Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(bool) => Self::Bool(*bool),
            Value::Number(number) => Self::Number(Cow::Borrowed(number.as_str())),
            Value::String(text) => Self::String(Cow::Borrowed(text)),
            Value::Array(items) => Self::Array(items.iter().map(Self::from).collect()),
            Value::Object(object) => {
                Self::Object(object.iter().map(|(name, value)| (name.as_str(), Self::from(value))).collect())
            }
        }
    }
}

/// A number that is none becomes `null`; no tree that was read has one.
impl From<Json<'_>> for Value {
    fn from(json: Json<'_>) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(bool) => Self::Bool(bool),
            Json::Number(number) => number.parse().map_or(Self::Null, Self::Number),
            Json::String(text) => Self::String(text.into_owned()),
            Json::Array(items) => Self::Array(items.into_iter().map(Self::from).collect()),
            Json::Object(fields) => Self::Object(
                fields.into_iter().map(|(name, value)| (name.into_owned(), Self::from(value))).collect(),
            ),
        }
    }
}
