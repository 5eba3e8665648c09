//! Reading a tree from a text.

use std::borrow::Cow;

use memchr::memchr2;
use serde::de::Error as _;
use serde_json::Number;

use super::{Fields, Json, has};

/// Deeper trees are not read: as deep as `serde_json` reads.
const MAX_DEPTH: usize = 127;

/// So few names are compared each with all others sooner than sorted.
const FEW: usize = 12;

impl<'t> Json<'t> {
    /// Reads a text (RFC 8259), of which the last of several members of one name counts, as `serde_json` has it.
    ///
    /// # Errors
    /// When it is not JSON, or nested too deep.
    pub fn read(text: &'t str) -> Result<Self, serde_json::Error> {
        let mut reader = Reader { text, at: 0 };
        let json = reader.value(0);
        let json = json.filter(|_| reader.peek().is_none());
        json.ok_or_else(|| serde_json::Error::custom(format_args!("no JSON at byte {}", reader.at)))
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let blank = rest.iter().position(|byte| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t'))?;
        self.at += blank;
        rest.get(blank).copied()
    }

    /// Whether the next byte is this one, which is left behind then.
    fn goes_on_with(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn value(&mut self, depth: usize) -> Option<Json<'t>> {
        match self.peek()? {
            _ if depth > MAX_DEPTH => None,
            b'{' => self.object(depth).map(Json::Object),
            b'[' => self.array(depth).map(Json::Array),
            b'"' => self.string().map(Json::String),
            b'-' | b'0'..=b'9' => self.number(),
            _ => [("null", Json::Null), ("true", Json::Bool(true)), ("false", Json::Bool(false))]
                .into_iter()
                .find(|(word, _)| self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)))
                .map(|(word, json)| {
                    self.at += word.len();
                    json
                }),
        }
    }

    fn object(&mut self, depth: usize) -> Option<Fields<'t>> {
        self.at += 1;
        let mut members: Vec<(Cow<'t, str>, Json<'t>)> = Vec::new();
        while !self.goes_on_with(b'}') {
            if !members.is_empty() && !self.goes_on_with(b',') || self.peek() != Some(b'"') {
                return None;
            }
            let name = self.string()?;
            if !self.goes_on_with(b':') {
                return None;
            }
            let value = self.value(depth + 1)?;
            members.push((name, value));
        }
        Some(each_once(members))
    }

    fn array(&mut self, depth: usize) -> Option<Vec<Json<'t>>> {
        self.at += 1;
        let mut items = Vec::new();
        while !self.goes_on_with(b']') {
            if !items.is_empty() && !self.goes_on_with(b',') {
                return None;
            }
            items.push(self.value(depth + 1)?);
        }
        Some(items)
    }

    /// The text whose quote is next.
    fn string(&mut self) -> Option<Cow<'t, str>> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut end = start + 1;
        end += memchr2(b'"', b'\\', bytes.get(end..)?)?;
        if bytes[end] == b'"' {
            self.at = end + 1;
            let text = self.text.get(start + 1..end)?;
            return (!has(text, |byte| byte < b' ')).then_some(Cow::Borrowed(text));
        }
        while *bytes.get(end)? != b'"' {
            end += 1 + usize::from(bytes[end] == b'\\');
        }
        self.at = end + 1;
        serde_json::from_str(self.text.get(start..=end)?).ok().map(Cow::Owned)
    }

    fn number(&mut self) -> Option<Json<'t>> {
        let rest = self.text.get(self.at..)?;
        let is_part = |byte: u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
        let end = rest.bytes().position(|byte| !is_part(byte)).unwrap_or(rest.len());
        let number = rest.get(..end).filter(|text| text.parse::<Number>().is_ok())?;
        self.at += end;
        Some(Json::Number(number.into()))
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
