//! Base URLs in Bundles, rewritten structurally in one pass over a stream: where a Bundle names addresses of the
//! upstream, it names ours afterwards. No other string is touched, however it looks.
//!
//! Rewritten are `link[].url`, `entry[].fullUrl`, `entry[].link[].url`, `entry[].response.location` and
//! `entry[].request.url`. Everything inside `entry[].resource` is skipped at the speed of a string search. Input that
//! is no JSON passes unchanged: judging it is not our task.

/// The longest string that is held back to be looked at whole; of a longer one only the beginning is judged.
const MAX_CANDIDATE: usize = 8 * 1024;
/// The longest key that can be one of ours, every letter written as a backslash, `u` and four hexadecimal digits.
const MAX_KEY: usize = 64;

/// Rewrites one JSON document, given in chunks of any size.
#[derive(Debug)]
pub struct LinkRewriter {
    from: Box<[u8]>,
    to: Box<[u8]>,
    /// The containers around the current position that can hold an address; innermost last.
    stack: Vec<Node>,
    state: State,
    /// What the value after the current key is to us.
    next: Child,
    /// The bytes of a key, or of a string that may be an address.
    held: Vec<u8>,
    /// The held bytes have a backslash.
    escaped: bool,
    /// The last byte was a backslash that is not itself escaped.
    after_backslash: bool,
}

/// A container that can hold an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Bundle,
    Links,
    Link,
    Entries,
    Entry,
    Response,
    Request,
}

impl Node {
    const fn is_array(self) -> bool {
        matches!(self, Self::Links | Self::Entries)
    }

    /// What the value of a key means in this object.
    fn child(self, key: &[u8]) -> Child {
        match (self, key) {
            (Self::Bundle | Self::Entry, b"link") => Child::Into(Self::Links),
            (Self::Bundle, b"entry") => Child::Into(Self::Entries),
            (Self::Entry, b"response") => Child::Into(Self::Response),
            (Self::Entry, b"request") => Child::Into(Self::Request),
            (Self::Entry, b"fullUrl")
            | (Self::Link | Self::Request, b"url")
            | (Self::Response, b"location") => Child::Address,
            _ => Child::Other,
        }
    }

    /// What an element means in this array.
    const fn element(self) -> Child {
        match self {
            Self::Links => Child::Into(Self::Link),
            Self::Entries => Child::Into(Self::Entry),
            _ => Child::Other,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Child {
    Into(Node),
    Address,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before a value; a closing bracket is possible after `[`.
    BeforeValue,
    /// Before a key or `}`.
    BeforeKey,
    /// In a key.
    Key,
    /// Before the colon.
    AfterKey,
    /// Before `,` or a closing bracket.
    AfterValue,
    /// In a string that may be an address.
    Candidate,
    /// In a string that is none.
    OtherString,
    /// In a number, `true`, `false` or `null`.
    Scalar,
    /// In a container that holds no address.
    Inside { depth: usize, in_string: bool },
    /// Behind the document, or lost in something that is no JSON.
    Verbatim,
}

impl LinkRewriter {
    /// A rewriter that turns addresses at `from` into addresses at `to`. Both are base URLs without a slash at
    /// their end.
    pub fn new(from: &str, to: &str) -> Self {
        Self {
            from: from.as_bytes().into(),
            to: json_escaped(to).into(),
            stack: Vec::with_capacity(6),
            state: State::BeforeValue,
            next: Child::Into(Node::Bundle),
            held: Vec::new(),
            escaped: false,
            after_backslash: false,
        }
    }

    /// Rewrites the next chunk. What cannot be decided yet is held back.
    pub fn push(&mut self, chunk: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(chunk.len() + self.held.len() + 128);
        let mut at = 0;
        // Up to here the chunk has been written out or is held.
        let mut done = 0;
        while at < chunk.len() {
            match self.state {
                State::Verbatim => at = chunk.len(),
                State::Inside { depth, in_string } => at = self.skip_inside(chunk, at, depth, in_string),
                State::OtherString => at = self.skip_string(chunk, at),
                State::Candidate => {
                    let (next, closed) = self.hold_string(chunk, at);
                    at = next;
                    done = next;
                    if closed {
                        self.write_candidate(&mut out);
                        out.push(b'"');
                        self.state = State::AfterValue;
                    } else if self.held.len() > MAX_CANDIDATE {
                        self.write_beginning(&mut out);
                        self.state = State::OtherString;
                    }
                }
                State::Key => {
                    let (next, closed) = self.hold_string(chunk, at);
                    at = next;
                    if closed {
                        self.next = self.child_of_key();
                        self.state = State::AfterKey;
                    } else if self.held.len() > MAX_KEY {
                        // Too long to be ours: only its end matters now.
                        self.held.truncate(MAX_KEY + 1);
                    }
                }
                _ => {
                    let was = self.state;
                    self.step(chunk[at]);
                    at += usize::from(!(was == State::Scalar && self.state == State::AfterValue));
                    if self.state == State::Candidate {
                        out.extend_from_slice(&chunk[done..at]);
                        done = at;
                    }
                }
            }
        }
        if self.state != State::Candidate {
            out.extend_from_slice(&chunk[done..]);
        }
        out
    }

    /// What was held back when the document ended in the middle of a string.
    pub fn finish(&mut self) -> Vec<u8> {
        if self.state == State::Candidate { std::mem::take(&mut self.held) } else { Vec::new() }
    }

    /// One byte outside of strings.
    fn step(&mut self, byte: u8) {
        if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            if self.state == State::Scalar {
                self.state = State::AfterValue;
            }
            return;
        }
        self.state = match (self.state, byte) {
            (State::BeforeValue, b'{' | b'[') => match self.next {
                Child::Into(node) if node.is_array() == (byte == b'[') => {
                    self.stack.push(node);
                    if node.is_array() {
                        self.next = node.element();
                        State::BeforeValue
                    } else {
                        State::BeforeKey
                    }
                }
                _ => State::Inside { depth: 1, in_string: false },
            },
            (State::BeforeValue, b'"') => {
                self.hold_nothing();
                if self.next == Child::Address { State::Candidate } else { State::OtherString }
            }
            (State::BeforeValue | State::AfterValue, b']') => self.close(true),
            (State::BeforeKey | State::AfterValue, b'}') => self.close(false),
            (State::Scalar, b',' | b']' | b'}') => State::AfterValue,
            (State::BeforeValue, b't' | b'f' | b'n' | b'-' | b'0'..=b'9') | (State::Scalar, _) => {
                State::Scalar
            }
            (State::BeforeKey, b'"') => {
                self.hold_nothing();
                State::Key
            }
            (State::AfterKey, b':') => State::BeforeValue,
            (State::AfterValue, b',') => match self.stack.last() {
                Some(node) if node.is_array() => {
                    self.next = node.element();
                    State::BeforeValue
                }
                Some(_) => State::BeforeKey,
                None => State::Verbatim,
            },
            _ => State::Verbatim,
        };
    }

    /// Leaves the innermost container.
    fn close(&mut self, array: bool) -> State {
        match self.stack.pop() {
            Some(node) if node.is_array() == array && !self.stack.is_empty() => State::AfterValue,
            _ => State::Verbatim,
        }
    }

    fn hold_nothing(&mut self) {
        self.held.clear();
        self.escaped = false;
        self.after_backslash = false;
    }

    /// Takes string bytes up to the closing quote into `held`; says where it stopped and whether at the quote.
    fn hold_string(&mut self, chunk: &[u8], start: usize) -> (usize, bool) {
        let (end, closed) = self.string_end(chunk, start);
        self.held.extend_from_slice(&chunk[start..end - usize::from(closed)]);
        (end, closed)
    }

    /// Finds the end of a string: the position behind its quote, or the end of the chunk.
    fn string_end(&mut self, chunk: &[u8], start: usize) -> (usize, bool) {
        let mut at = start;
        while at < chunk.len() {
            if self.after_backslash {
                self.after_backslash = false;
                at += 1;
                continue;
            }
            let Some(hit) = quote_or_backslash(&chunk[at..]) else { break };
            at += hit + 1;
            if chunk[at - 1] == b'"' {
                return (at, true);
            }
            self.after_backslash = true;
            self.escaped = true;
        }
        (chunk.len(), false)
    }

    fn skip_string(&mut self, chunk: &[u8], start: usize) -> usize {
        let (end, closed) = self.string_end(chunk, start);
        if closed {
            self.state = State::AfterValue;
        }
        end
    }

    /// Skips what is inside a container without addresses: most bytes of a Bundle, so this is written for speed.
    fn skip_inside(&mut self, chunk: &[u8], start: usize, mut depth: usize, mut in_string: bool) -> usize {
        let mut at = start;
        if in_string && self.after_backslash {
            self.after_backslash = false;
            at += 1;
        }
        loop {
            if in_string {
                let Some(hit) = chunk.get(at..).and_then(quote_or_backslash) else { break };
                at += hit + 1;
                if chunk[at - 1] == b'"' {
                    in_string = false;
                } else if at == chunk.len() {
                    self.after_backslash = true;
                    break;
                } else {
                    // Whatever is escaped, it is one byte for us: the rest of `\u0041` holds no quote.
                    at += 1;
                }
                continue;
            }
            // Between strings only brackets count; most bytes are `:` and `,`.
            let Some(byte) = chunk.get(at) else { break };
            at += 1;
            match byte {
                b'"' => in_string = true,
                b'{' | b'[' => depth += 1,
                b'}' | b']' => {
                    depth -= 1;
                    if depth == 0 {
                        self.state = if self.stack.is_empty() { State::Verbatim } else { State::AfterValue };
                        return at;
                    }
                }
                _ => {}
            }
        }
        self.state = State::Inside { depth, in_string };
        chunk.len()
    }

    fn child_of_key(&self) -> Child {
        let Some(node) = self.stack.last() else { return Child::Other };
        if self.held.len() > MAX_KEY {
            return Child::Other;
        }
        if !self.escaped {
            return node.child(&self.held);
        }
        json_unescaped(&self.held).map_or(Child::Other, |key| node.child(key.as_bytes()))
    }

    fn write_candidate(&mut self, out: &mut Vec<u8>) {
        if !self.escaped {
            match self.rest_of(&self.held) {
                Some(rest) => {
                    out.extend_from_slice(&self.to);
                    out.extend_from_slice(rest);
                }
                None => out.extend_from_slice(&self.held),
            }
            return;
        }
        // `http:\/\/…` is the same string; decode, decide, encode.
        let decoded = json_unescaped(&self.held);
        match decoded.as_deref().and_then(|text| self.rest_of(text.as_bytes())) {
            Some(rest) => {
                out.extend_from_slice(&self.to);
                out.extend_from_slice(&json_escaped(&String::from_utf8_lossy(rest)));
            }
            None => out.extend_from_slice(&self.held),
        }
    }

    fn write_beginning(&mut self, out: &mut Vec<u8>) {
        let judged = &self.held[..self.held.len().min(self.from.len() + 1)];
        if judged.contains(&b'\\') || self.rest_of(judged).is_none() {
            out.extend_from_slice(&self.held);
        } else {
            out.extend_from_slice(&self.to);
            out.extend_from_slice(&self.held[self.from.len()..]);
        }
        self.held.clear();
    }

    /// What follows the upstream's base, when the base ends where a path segment does.
    fn rest_of<'a>(&self, address: &'a [u8]) -> Option<&'a [u8]> {
        rest_of(&self.from, address)
    }
}

/// An address in a header, rewritten; `None` when it is not the upstream's.
pub fn rewrite_address(address: &str, from: &str, to: &str) -> Option<String> {
    let rest = rest_of(from.as_bytes(), address.as_bytes())?;
    Some(format!("{to}{}", &address[address.len() - rest.len()..]))
}

fn rest_of<'a>(base: &[u8], address: &'a [u8]) -> Option<&'a [u8]> {
    address.strip_prefix(base).filter(|rest| matches!(rest.first(), None | Some(b'/' | b'?' | b'#')))
}

/// The inside of a JSON string.
fn json_escaped(text: &str) -> Vec<u8> {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.as_bytes()[1..quoted.len() - 1].to_vec()
}

fn json_unescaped(inside: &[u8]) -> Option<String> {
    let mut quoted = Vec::with_capacity(inside.len() + 2);
    quoted.push(b'"');
    quoted.extend_from_slice(inside);
    quoted.push(b'"');
    serde_json::from_slice(&quoted).ok()
}

/// The position of the first `"` or `\`, eight bytes at a time.
#[inline]
fn quote_or_backslash(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    const QUOTES: u64 = ONES * 0x22;
    const BACKSLASHES: u64 = ONES * 0x5c;
    // Marks the zero bytes of a word; marks above the lowest may be wrong, the lowest never is.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let mut rest = bytes;
    while let Some((word, behind)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*word);
        let hits = zeros(word ^ QUOTES) | zeros(word ^ BACKSLASHES);
        if hits != 0 {
            return Some(bytes.len() - rest.len() + (hits.trailing_zeros() / 8) as usize);
        }
        rest = behind;
    }
    let at = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    Some(bytes.len() - rest.len() + at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const FROM: &str = "http://127.0.0.1:8081/pms/api/v3";
    const TO: &str = "https://gate.example/pms/api/v3";

    fn rewrite(text: &[u8], cuts: &[usize]) -> Vec<u8> {
        let mut rewriter = LinkRewriter::new(FROM, TO);
        let mut out = Vec::new();
        let mut start = 0;
        for cut in cuts {
            let cut = (*cut).clamp(start, text.len());
            out.extend(rewriter.push(&text[start..cut]));
            start = cut;
        }
        out.extend(rewriter.push(&text[start..]));
        out.extend(rewriter.finish());
        out
    }

    fn reference(document: &mut Value) {
        fn address(holder: &mut Value, key: &str) {
            if let Some(Value::String(text)) = holder.as_object_mut().and_then(|members| members.get_mut(key))
                && let Some(new) = rewrite_address(text, FROM, TO)
            {
                *text = new;
            }
        }
        fn links(holder: &mut Value) {
            for link in holder.get_mut("link").and_then(Value::as_array_mut).into_iter().flatten() {
                address(link, "url");
            }
        }
        links(document);
        for entry in document.get_mut("entry").and_then(Value::as_array_mut).into_iter().flatten() {
            address(entry, "fullUrl");
            links(entry);
            for (member, key) in [("response", "location"), ("request", "url")] {
                if let Some(holder) = entry.get_mut(member) {
                    address(holder, key);
                }
            }
        }
    }

    #[test]
    fn addresses_of_a_bundle_are_ours_and_nothing_else_is_touched() {
        let bundle = json!({
            "resourceType": "Bundle",
            "link": [{"relation": "self", "url": format!("{FROM}/X?name=a")}, {"relation": "next", "url": FROM}],
            "entry": [
                {"fullUrl": format!("{FROM}/X/1"), "resource": {"id": "1", "url": format!("{FROM}/X/1"), "link": [{"url": FROM}], "text": "\\\"}]"},
                 "response": {"location": format!("{FROM}/X/1/_history/2"), "etag": FROM}},
                {"fullUrl": format!("{FROM}9/X/1")},
                {"fullUrl": "urn:uuid:0", "request": {"url": format!("{FROM}/X")}},
            ],
        });
        let out = rewrite(bundle.to_string().as_bytes(), &[]);
        let mut expected = bundle;
        reference(&mut expected);
        assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), expected);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches(TO).count(), 5);
    }

    #[test]
    fn another_spelling_of_the_same_string_is_recognised() {
        let text = r#"{ "l\u0069nk" : [ { "url" : "http:\/\/127.0.0.1:8081\/pms\/api\/v3\/X?a=\"b" } ] }"#;
        let out = rewrite(text.as_bytes(), &[]);
        let value: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["link"][0]["url"], format!("{TO}/X?a=\"b"));
    }

    #[test]
    fn a_very_long_address_is_rewritten_by_its_beginning() {
        let bundle =
            json!({"link": [{"url": format!("{FROM}/{}", "a".repeat(3 * MAX_CANDIDATE))}]}).to_string();
        let cuts: Vec<usize> = (0..bundle.len()).step_by(1000).collect();
        let out = String::from_utf8(rewrite(bundle.as_bytes(), &cuts)).unwrap();
        assert_eq!(out, bundle.replace(FROM, TO));
    }

    #[test]
    fn what_is_no_bundle_passes_unchanged() {
        for text in [
            "",
            "null",
            "[1,2]",
            "<html>",
            "{\"link\":",
            "{\"link\":[{\"url\":\"http",
            "{]}",
            "{\"a\":1}}{\"link\":[]}",
            "\"x",
            "{,}",
            "7",
        ] {
            assert_eq!(rewrite(text.as_bytes(), &[]), text.as_bytes(), "{text}");
        }
    }

    fn address() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(json!(FROM)),
            "[a-z/?\"\\\\\u{e9}]{0,12}".prop_map(|tail| json!(format!("{FROM}{tail}"))),
            "[a-z/?\"\\\\]{0,12}".prop_map(|tail| json!(format!("{FROM}/{tail}"))),
            "[a-z:/\"\\\\]{0,12}".prop_map(Value::from),
            Just(json!(null)),
            Just(json!(-1.5e3)),
            Just(json!([FROM])),
            Just(json!({"url": FROM})),
        ]
    }

    fn document() -> impl Strategy<Value = Value> {
        let leaf =
            prop_oneof![address(), any::<bool>().prop_map(Value::from), any::<i32>().prop_map(Value::from)];
        let keys = prop::sample::select(vec![
            "link", "url", "entry", "fullUrl", "response", "location", "request", "resource", "a\"b\\", "",
        ]);
        leaf.prop_recursive(6, 48, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((keys.clone(), inner), 0..5).prop_map(|members| Value::Object(
                    members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
                )),
            ]
        })
    }

    fn bundle() -> impl Strategy<Value = Value> {
        let link =
            || prop::collection::vec(address().prop_map(|url| json!({"relation": "self", "url": url})), 0..3);
        let entry = (address(), document(), address(), link()).prop_map(|(url, resource, location, links)| {
            json!({"fullUrl": url, "link": links, "resource": resource, "response": {"status": "200", "location": location}})
        });
        (link(), prop::collection::vec(prop_oneof![entry, document()], 0..4)).prop_map(
            |(links, entries)| json!({"resourceType": "Bundle", "link": links, "total": 3, "entry": entries}),
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn streaming_agrees_with_the_reference(document in prop_oneof![bundle(), document()], pretty in any::<bool>(), mut cuts in prop::collection::vec(0usize..600, 0..12)) {
            let text = if pretty { serde_json::to_string_pretty(&document).unwrap() } else { document.to_string() };
            cuts.sort_unstable();
            let out = rewrite(text.as_bytes(), &cuts);
            let mut expected = document;
            reference(&mut expected);
            prop_assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), expected);
        }

        #[test]
        fn any_bytes_pass_without_panic_and_one_by_one_as_well(bytes in prop::collection::vec(prop::sample::select(br#"{}[]":,\ link1urentyfs"#.to_vec()), 0..80)) {
            let whole = rewrite(&bytes, &[]);
            let cuts: Vec<usize> = (0..bytes.len()).collect();
            prop_assert_eq!(rewrite(&bytes, &cuts), whole);
        }
    }
}
