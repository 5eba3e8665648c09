//! JSON trees that borrow their texts from where they were read: for what is read to be shown once.
//!
//! `serde_json::Value` owns every text and hashes every name, which is most of what it costs to read a resource, change
//! little of it and write it again. Here a text without escapes is a slice of what was read, a number is what stands
//! there, and an object is a list of its members: few have more than ten.

mod fields;
mod read;
pub mod strict;
mod value;
mod write;

use std::borrow::Cow;

pub use fields::Fields;

/// The name by which `serde_json`, which keeps numbers as they are written, hands over a number as a map.
const NUMBER: &str = "$serde_json::private::Number";

/// A JSON value.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Json<'t> {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number as it is written: 1.0 and 1.00 are two (FHIR "decimal").
    Number(Cow<'t, str>),
    /// A text, without quotes and escapes.
    String(Cow<'t, str>),
    /// A list.
    Array(Vec<Self>),
    /// An object.
    Object(Fields<'t>),
}

impl<'t> Json<'t> {
    /// A text.
    pub fn text(text: impl Into<Cow<'t, str>>) -> Self {
        Self::String(text.into())
    }

    /// An object of these members, whose names differ.
    pub fn object<const N: usize>(members: [(&'static str, Self); N]) -> Self {
        Self::Object(members.into_iter().collect())
    }

    /// The member of this name, of an object that has it.
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.as_object()?.get(name)
    }

    /// What these names lead to, one below the other.
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |json, name| json.get(name))
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The items, if it is a list.
    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The members, if it is an object.
    pub const fn as_object(&self) -> Option<&Fields<'t>> {
        match self {
            Self::Object(fields) => Some(fields),
            _ => None,
        }
    }

    /// The members to be changed, if it is an object.
    pub const fn as_object_mut(&mut self) -> Option<&mut Fields<'t>> {
        match self {
            Self::Object(fields) => Some(fields),
            _ => None,
        }
    }

    /// Whether it is `null`.
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// What it was; `null` is left.
    #[must_use]
    pub fn take(&mut self) -> Self {
        std::mem::take(self)
    }
}

/// Whether a text has such a byte. All are looked at, many at a time: texts are short, and most have none.
pub(crate) fn has(text: &str, is_such: impl Fn(u8) -> bool) -> bool {
    text.bytes().fold(false, |found, byte| found | is_such(byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn trees() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,2})?"
                .prop_map(|number| serde_json::from_str(&number).unwrap()),
            any::<String>().prop_map(Value::from),
            "[a-z\"\\\\\n\u{7f}\u{2028}é\u{0}]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 48, 14, |inner| {
            let name = "[a-c\"\\\\\té]{0,2}";
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                prop::collection::vec((name, inner), 0..14).prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_tree_is_read_and_written_as_serde_json_does(value in trees()) {
            for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                let read = Json::read(&text).unwrap();
                prop_assert_eq!(&read, &Json::from(&value));
                prop_assert_eq!(read.to_string(), value.to_string());
                prop_assert_eq!(Value::from(read).to_string(), value.to_string());
            }
        }

        #[test]
        fn what_serde_json_does_not_read_is_not_read(text in "[\\[\\]{}\",:0-9.eE+\\- a\\\\u]{0,12}") {
            let other = serde_json::from_str::<Value>(&text).ok();
            prop_assert_eq!(Json::read(&text).ok().map(Value::from), other, "{}", text);
        }
    }

    #[test]
    fn the_last_member_of_a_name_counts_where_the_first_stood() {
        for text in [
            r#"{"a":1,"b":2,"a":3}"#,
            r#"{"a":1,"b":2,"c":0,"d":0,"e":0,"f":0,"g":0,"h":0,"i":0,"j":0,"k":0,"l":0,"m":0,"\u0061":3}"#,
        ] {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(Json::read(text).unwrap().to_string(), value.to_string());
            assert_eq!(value["a"], 3);
        }
    }

    #[test]
    fn what_is_nested_too_deep_is_not_read() {
        for (depth, is_read) in [(100, true), (127, true), (129, false), (100_000, false)] {
            let text = "[".repeat(depth) + &"]".repeat(depth);
            assert_eq!(Json::read(&text).is_ok(), is_read, "{depth}");
            assert_eq!(serde_json::from_str::<Value>(&text).is_ok(), is_read, "{depth}");
        }
        assert!(Json::read("[1,2").unwrap_err().is_eof());
    }

    #[test]
    fn members_are_found_renamed_and_put_into_order() {
        let value = json!({"b": 1, "a": {"x": ["y"]}, "c": null, "d": 2});
        let Json::Object(mut fields) = Json::from(&value) else { panic!() };
        assert_eq!(Json::from(&value).at(&["a", "x"]), Some(&Json::Array(vec![Json::text("y")])));
        fields.rename("b", "c");
        fields.rename("z", "a");
        assert_eq!(Json::Object(fields.clone()).to_string(), r#"{"c":1,"a":{"x":["y"]},"d":2}"#);
        let places = |name: &str| ["a", "b", "c"].iter().position(|known| *known == name);
        let before = fields.clone();
        let (order, unknown) = fields.order_by(places);
        assert_eq!((order, unknown), (vec![0, 2], vec![Cow::from("d")]));
        assert_eq!(Json::Object(fields.clone()).to_string(), r#"{"a":{"x":["y"]},"c":1}"#);
        fields.insert_at(9, "d", Json::Number("2".into()));
        assert_eq!(fields, before, "order makes no difference");
    }
}
