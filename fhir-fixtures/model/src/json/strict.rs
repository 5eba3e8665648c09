//! Reading JSON so that nothing is lost in silence: an object that has a member twice is refused, not half read
//! (RFC 8259 §4 leaves what it means to the reader).

use std::{cell::RefCell, fmt, str::FromStr as _};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::NUMBER;

/// The document.
///
/// # Errors
/// What is wrong, where in the text, and with a member that is there twice in which element.
pub fn parse(bytes: &[u8]) -> Result<Value, ParseError> {
    let path = RefCell::new(Vec::new());
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let read = Tree { path: &path }.deserialize(&mut deserializer);
    let value = read.and_then(|value| deserializer.end().map(|()| value));
    value.map_err(|error| {
        // serde_json appends the place, counted from the start of what it was given.
        let text = error.to_string();
        let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what).to_owned();
        ParseError { what, line: error.line(), column: error.column() }
    })
}

/// Why a text is no JSON that can be kept.
#[derive(Debug, PartialEq, Eq)]
pub struct ParseError {
    /// What is wrong, in plain words.
    pub what: String,
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at line {}, column {}", self.what, self.line, self.column)
    }
}

/// A step on the way to where the reader is.
#[derive(Clone, Debug)]
enum Step {
    Member(String),
    Item(usize),
}

/// Reads one value, keeping `path` true on the way.
#[derive(Clone, Copy)]
struct Tree<'p> {
    path: &'p RefCell<Vec<Step>>,
}

impl Tree<'_> {
    fn place(self, last: &str) -> String {
        let mut text = String::new();
        for step in self.path.borrow().iter() {
            match step {
                Step::Member(name) => {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(name);
                }
                Step::Item(index) => {
                    text.push('[');
                    text.push_str(&index.to_string());
                    text.push(']');
                }
            }
        }
        if text.is_empty() { last.to_owned() } else { format!("{text}.{last}") }
    }
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        loop {
            self.path.borrow_mut().push(Step::Item(array.len()));
            let Some(item) = items.next_element_seed(self)? else { break };
            self.path.borrow_mut().pop();
            array.push(item);
        }
        self.path.borrow_mut().pop();
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if name == NUMBER && object.is_empty() {
                let digits: String = members.next_value()?;
                return Number::from_str(&digits).map(Value::Number).map_err(A::Error::custom);
            }
            if object.contains_key(&name) {
                return Err(A::Error::custom(format_args!("{} is there twice", self.place(&name))));
            }
            self.path.borrow_mut().push(Step::Member(name.clone()));
            let value = members.next_value_seed(self)?;
            self.path.borrow_mut().pop();
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal(text: &str) -> String {
        parse(text.as_bytes()).unwrap_err().what
    }

    #[test]
    fn a_member_that_is_there_twice_is_named_with_its_path() {
        assert_eq!(refusal(r#"{"id": "1", "id": "2"}"#), "id is there twice");
        assert_eq!(
            refusal(r#"{"entry": [{}, {"resource": {"name": [{"part": 1, "a": [], "part": 2}]}}]}"#),
            "entry[1].resource.name[0].part is there twice"
        );
    }

    #[test]
    fn other_faults_are_told_with_their_place() {
        assert_eq!(
            parse(b"{\n \"a\": }"),
            Err(ParseError { what: "expected value".to_owned(), line: 2, column: 7 })
        );
        assert!(refusal("{} {}").contains("trailing"), "{}", refusal("{} {}"));
        let deep = "[".repeat(500);
        assert!(refusal(&deep).contains("recursion"), "{}", refusal(&deep));
    }

    #[test]
    fn numbers_stay_as_they_are_written() {
        for text in ["0.10", "1e5", "-7", "123456789012345678901234567890"] {
            assert_eq!(parse(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn what_has_no_member_twice_is_read_as_serde_json_reads_it(text in "[\\[\\]{}:,\"a-c0-9 .]{0,24}") {
            match (parse(text.as_bytes()), serde_json::from_str::<Value>(&text)) {
                (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs),
                (Err(error), Ok(_)) => prop_assert!(error.what.contains("twice"), "{}", error.what),
                (Ok(_), Err(error)) => prop_assert!(false, "{error}"),
                (Err(_), Err(_)) => {}
            }
        }
    }
}
