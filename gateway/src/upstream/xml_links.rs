//! Base URLs in XML Bundles, rewritten structurally: the same addresses as in JSON ([`super::links`]), and no other
//! value, however it looks.
//!
//! XML is asked for seldom, so a Bundle is read whole, within [`MAX_BUNDLE`], instead of being rewritten as it
//! streams. Everything but the addresses keeps its bytes.

use quick_xml::{
    Reader, Writer, XmlVersion,
    events::{BytesStart, Event},
};

use super::links::rewrite_address;

/// The largest XML Bundle that is rewritten, in bytes; pages of the backend are much smaller.
pub const MAX_BUNDLE: usize = 32 * 1024 * 1024;

/// How deep elements are followed.
const MAX_DEPTH: usize = 200;

/// Where addresses stand: the elements from the outside in.
const ADDRESSES: [&[&str]; 5] = [
    &["Bundle", "link", "url"],
    &["Bundle", "entry", "fullUrl"],
    &["Bundle", "entry", "link", "url"],
    &["Bundle", "entry", "response", "location"],
    &["Bundle", "entry", "request", "url"],
];

/// A document that is not the XML of a Bundle. What cannot be read cannot be rewritten, and is not passed on.
#[derive(Debug, thiserror::Error)]
#[error("not XML that can be rewritten: {0}")]
pub struct Unreadable(String);

impl From<quick_xml::Error> for Unreadable {
    fn from(error: quick_xml::Error) -> Self {
        Self(error.to_string())
    }
}

/// Turns addresses at `from` into addresses at `to`; both are base URLs without a slash at their end.
///
/// # Errors
/// The document is not well-formed UTF-8 XML, or has a document type, whose entities could hide an address.
pub fn rewrite(document: &[u8], from: &str, to: &str) -> Result<Vec<u8>, Unreadable> {
    let text = std::str::from_utf8(document).map_err(|error| Unreadable(error.to_string()))?;
    let mut reader = Reader::from_str(text);
    let mut out = Vec::with_capacity(text.len() + text.len() / 16);
    let mut path: Vec<String> = Vec::new();
    let (mut copied, mut is_empty) = (0, true);
    loop {
        let begin = position(&reader);
        let event = reader.read_event()?;
        let (start, opens) = match event {
            Event::Start(start) => (start, true),
            Event::Empty(start) => (start, false),
            Event::End(_) => {
                path.pop();
                continue;
            }
            Event::DocType(_) => return Err(Unreadable("it has a document type".to_owned())),
            Event::Eof if path.is_empty() && !is_empty => break,
            Event::Eof => return Err(Unreadable("it ends in the middle".to_owned())),
            _ => continue,
        };
        is_empty = false;
        path.push(start.local_name().into_inner().to_owned());
        if path.len() > MAX_DEPTH {
            return Err(Unreadable(format!("it is nested deeper than {MAX_DEPTH} levels")));
        }
        if ADDRESSES.iter().any(|address| path == *address)
            && let Some(ours) = with_our_address(&start, from, to)?
        {
            out.extend_from_slice(&document[copied..begin]);
            let event = if opens { Event::Start(ours) } else { Event::Empty(ours) };
            Writer::new(&mut out).write_event(event).map_err(|error| Unreadable(error.to_string()))?;
            copied = position(&reader);
        }
        if !opens {
            path.pop();
        }
    }
    out.extend_from_slice(&document[copied..]);
    Ok(out)
}

fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

/// The element with its `value` rewritten; nothing when it holds no address of the upstream.
fn with_our_address<'s>(
    start: &BytesStart<'s>,
    from: &str,
    to: &str,
) -> Result<Option<BytesStart<'s>>, Unreadable> {
    let mut ours = None;
    for attribute in start.attributes() {
        let attribute = attribute.map_err(quick_xml::Error::from)?;
        if attribute.key.as_ref() == "value" {
            let address = attribute.normalized_value(XmlVersion::Implicit1_0)?;
            ours = rewrite_address(&address, from, to);
        }
    }
    let Some(ours) = ours else { return Ok(None) };
    let mut rewritten = BytesStart::new(start.name().as_ref().to_owned());
    for attribute in start.attributes() {
        let attribute = attribute.map_err(quick_xml::Error::from)?;
        if attribute.key.as_ref() == "value" {
            rewritten.push_attribute(("value", ours.as_str()));
        } else {
            rewritten.push_attribute(attribute);
        }
    }
    Ok(Some(rewritten))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FROM: &str = "http://127.0.0.1:8081/pms/api/v3";
    const TO: &str = "https://gate.example/pms/api/v3";

    fn rewritten(text: &str) -> Result<String, Unreadable> {
        rewrite(text.as_bytes(), FROM, TO).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn addresses_of_a_bundle_are_ours_and_nothing_else_is_touched() {
        let bundle = format!(
            r#"<?xml version="1.0" encoding="UTF-8"?><Bundle xmlns="http://hl7.org/fhir"><!-- {FROM} -->
<link><relation value="self"/><url id="u" value="{FROM}/X?a=1&amp;b=2"></url></link><link><url value='{FROM}'/></link>
<entry><link><url value="{FROM}/Y"/></link><fullUrl value="{FROM}/X/1"/><resource><Bundle><link><url value="{FROM}/X"/></link>
<text><div xmlns="http://www.w3.org/1999/xhtml"><a href="{FROM}">{FROM}</a></div></text></Bundle></resource>
<request><method value="GET"/><url value="http&#58;//127.0.0.1:8081/pms/api/v3/X"/></request>
<response><location value="{FROM}/X/1/_history/2"/><etag value="{FROM}"/></response></entry>
<entry><fullUrl value="{FROM}9/X/1"/></entry><url value="{FROM}"/></Bundle>
"#
        );
        let out = rewritten(&bundle).unwrap();
        let expected = [
            (
                format!(r#"<url id="u" value="{FROM}/X?a=1&amp;b=2">"#),
                format!(r#"<url id="u" value="{TO}/X?a=1&amp;b=2">"#),
            ),
            (format!("<url value='{FROM}'/>"), format!(r#"<url value="{TO}"/>"#)),
            (format!(r#"<url value="{FROM}/Y"/>"#), format!(r#"<url value="{TO}/Y"/>"#)),
            (format!(r#"<fullUrl value="{FROM}/X/1"/>"#), format!(r#"<fullUrl value="{TO}/X/1"/>"#)),
            (
                r#"<url value="http&#58;//127.0.0.1:8081/pms/api/v3/X"/>"#.to_owned(),
                format!(r#"<url value="{TO}/X"/>"#),
            ),
            (
                format!(r#"<location value="{FROM}/X/1/_history/2"/>"#),
                format!(r#"<location value="{TO}/X/1/_history/2"/>"#),
            ),
        ];
        let expected = expected.iter().fold(bundle, |text, (old, new)| {
            assert!(text.contains(old.as_str()), "{old}");
            text.replacen(old.as_str(), new, 1)
        });
        assert_eq!(out, expected);
    }

    #[test]
    fn another_prefix_of_the_same_namespace_is_the_same_bundle() {
        let text = format!(
            r#"<f:Bundle xmlns:f="http://hl7.org/fhir"><f:link><f:url value="{FROM}"/></f:link></f:Bundle>"#
        );
        assert_eq!(rewritten(&text).unwrap(), text.replace(FROM, TO));
    }

    #[test]
    fn what_cannot_be_read_is_not_passed_on() {
        for text in [
            "",
            "{}",
            "<Bundle>",
            "<Bundle></bundle>",
            "<!DOCTYPE Bundle [<!ENTITY a 'b'>]><Bundle/>",
            "<Bundle><link><url value=\"a\" value=\"b\"/></link></Bundle>",
            "<Bundle><link><url value=\"&nope;\"/></link></Bundle>",
        ] {
            assert!(rewritten(text).is_err(), "{text}");
        }
        assert!(rewrite(b"<Bundle a=\"\xff\"/>", FROM, TO).is_err());
        assert!(rewritten(&"<a>".repeat(300)).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn no_bytes_panic_and_what_has_no_address_keeps_its_bytes(text in "(<[/!?]?(Bundle|link|url|entry)( value=\"[a-z&;<]{0,5}\")?/?>|[a-z<>&\"' ]){0,12}") {
            if let Ok(out) = rewritten(&text) {
                prop_assert_eq!(out, text);
            }
        }
    }
}
