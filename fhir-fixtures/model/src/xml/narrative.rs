//! Narrative: the one place where FHIR has XML inside JSON, a `div` of XHTML as a string.

use quick_xml::{
    NsReader, XmlVersion,
    events::{BytesStart, Event},
    name::{Namespace, QName, ResolveResult},
};

use super::{MAX_ATTRIBUTES, XHTML, is_character};

/// How deep XHTML may nest.
const MAX_DEPTH: usize = 64;

const ONE_DIV: &str = "a narrative is one <div> element";

/// Whether a text is one `div` of well-formed XHTML that declares its namespace itself, with no entities but the five
/// of XML (FHIR "narrative", invariant txt-1 without its list of tags).
pub(crate) fn is_narrative(text: &str) -> bool {
    check(text).is_ok()
}

/// Why a text is no narrative.
pub(super) fn check(text: &str) -> Result<(), String> {
    let text = text.trim();
    if !text.starts_with("<div") {
        return Err(ONE_DIV.to_owned());
    }
    if let Some(character) = text.chars().find(|character| !is_character(*character)) {
        return Err(format!("the character U+{:04X} has no place in XML", u32::from(character)));
    }
    let mut xml = NsReader::from_str(text);
    xml.config_mut().check_comments = true;
    let (mut depth, mut begun) = (0_usize, false);
    loop {
        match xml.read_event().map_err(|error| error.to_string())? {
            Event::Start(start) => {
                if depth == 0 && (begun || start.name().into_inner() != "div") {
                    return Err(ONE_DIV.to_owned());
                }
                begun = true;
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(format!("nested deeper than {MAX_DEPTH} levels"));
                }
                element(&xml, &start)?;
            }
            Event::Empty(start) => {
                if depth == 0 && (begun || start.name().into_inner() != "div") {
                    return Err(ONE_DIV.to_owned());
                }
                begun = true;
                element(&xml, &start)?;
            }
            Event::End(_) => depth = depth.saturating_sub(1),
            Event::Text(_) | Event::Comment(_) if depth > 0 => {}
            Event::GeneralRef(entity) if depth > 0 => {
                let known = matches!(&*entity, "amp" | "lt" | "gt" | "quot" | "apos");
                let character = || entity.resolve_char_ref().ok().flatten().is_some_and(is_character);
                if !known && !character() {
                    return Err(format!("the entity &{};, which XML does not have", &*entity));
                }
            }
            Event::Eof if depth == 0 => return Ok(()),
            Event::Eof => return Err("it ends in the middle".to_owned()),
            _ => {
                return Err(
                    "elements, text and comments within one <div> are allowed, nothing else".to_owned()
                );
            }
        }
    }
}

fn element(xml: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Result<(), String> {
    let (namespace, _) = xml.resolver().resolve_element(start.name());
    if namespace != ResolveResult::Bound(Namespace(XHTML)) || !is_name(start.name()) {
        return Err(format!("<{}> is not an element of {XHTML}", start.name().into_inner()));
    }
    for (count, attribute) in start.attributes().enumerate() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        if count == MAX_ATTRIBUTES {
            return Err(format!("more than {MAX_ATTRIBUTES} attributes on one element"));
        }
        let unknown = || {
            matches!(xml.resolver().resolve_attribute(attribute.key).0, ResolveResult::Unknown(_))
                && attribute.key.as_namespace_binding().is_none()
        };
        if !is_name(attribute.key) || unknown() || attribute.value.contains('<') {
            return Err(format!("the attribute {}", attribute.key.into_inner()));
        }
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| error.to_string())?;
        if !value.chars().all(is_character) {
            return Err(format!("the attribute {}", attribute.key.into_inner()));
        }
    }
    Ok(())
}

fn is_name(name: QName<'_>) -> bool {
    let name = name.into_inner();
    name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrative_is_one_div_of_well_formed_xhtml() {
        for good in [
            r#"<div xmlns="http://www.w3.org/1999/xhtml"/>"#,
            r#" <div xmlns="http://www.w3.org/1999/xhtml" class="a &gt; b"><p>a &amp; b &#160;</p><!-- c --><br/></div> "#,
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "text",
            "<div>no namespace</div>",
            r#"<div xmlns="http://hl7.org/fhir"/>"#,
            r#"<divx xmlns="http://www.w3.org/1999/xhtml"/>"#,
            r#"<div xmlns="http://www.w3.org/1999/xhtml"><p></div>"#,
            r#"<div xmlns="http://www.w3.org/1999/xhtml">"#,
            r#"<div xmlns="http://www.w3.org/1999/xhtml"/><div xmlns="http://www.w3.org/1999/xhtml"/>"#,
            r#"<div xmlns="http://www.w3.org/1999/xhtml"></div><div xmlns="http://www.w3.org/1999/xhtml"></div>"#,
            r#"<div xmlns="http://www.w3.org/1999/xhtml"></div> more"#,
            r#"<div xmlns="http://www.w3.org/1999/xhtml">&nbsp;</div>"#,
            r#"<div xmlns="http://www.w3.org/1999/xhtml">&#1;</div>"#,
            r#"<div xmlns="http://www.w3.org/1999/xhtml"><?php echo ?></div>"#,
            r#"<div xmlns="http://www.w3.org/1999/xhtml" a="1" a="2"/>"#,
            r#"<div xmlns="http://www.w3.org/1999/xhtml" a="<"/>"#,
            r#"<div xmlns="http://www.w3.org/1999/xhtml" x:a="1"/>"#,
            r#"<div xmlns="http://www.w3.org/1999/xhtml"><x:p/></div>"#,
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        let deep = format!(r#"<div xmlns="{XHTML}">{}{}</div>"#, "<b>".repeat(99), "</b>".repeat(99));
        assert!(check(&deep).is_err());
    }
}
