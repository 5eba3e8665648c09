//! Reading a tree from a text.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{Fields, Json, NUMBER};

/// So few names are compared each with all others sooner than sorted.
const FEW: usize = 12;

impl<'t> Json<'t> {
    /// Reads a text (RFC 8259), of which the last of several members of one name counts, as `serde_json` has it.
    ///
    /// # Errors
    /// When it is not JSON, or nested too deep.
    pub fn read(text: &'t str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

impl<'de: 't, 't> Deserialize<'de> for Json<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tree)
    }
}

/// Makes a tree of what is read, and slices of texts without escapes.
struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Json<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(Cow::Owned(value.to_string())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(Cow::Owned(value.to_string())))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'de>, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json<'de>, A::Error> {
        let mut read = Vec::new();
        while let Some(Text(name)) = members.next_key()? {
            if name == NUMBER && read.is_empty() {
                return members.next_value().map(|Text(digits)| Json::Number(digits));
            }
            read.push((name, members.next_value()?));
        }
        Ok(Json::Object(each_once(read)))
    }
}

/// A text alone: serde's own borrowed ones are none where there is an escape.
struct Text<'t>(Cow<'t, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_str(Tree)? {
            Json::String(text) => Ok(Self(text)),
            _ => Err(D::Error::custom("no text")),
        }
    }
}

/// The members of an object, where it has several of one name the last of them where the first stood.
fn each_once<'t>(members: Vec<(Cow<'t, str>, Json<'t>)>) -> Fields<'t> {
    let twice = if members.len() <= FEW {
        members
            .iter()
            .enumerate()
            .any(|(at, (name, _))| members[..at].iter().any(|(before, _)| before == name))
    } else {
        let mut names: Vec<&str> = members.iter().map(|(name, _)| &**name).collect();
        names.sort_unstable();
        names.windows(2).any(|pair| pair[0] == pair[1])
    };
    if !twice {
        return Fields(members);
    }
    let mut fields = Fields::new();
    for (name, value) in members {
        fields.insert(name, value);
    }
    fields
}
