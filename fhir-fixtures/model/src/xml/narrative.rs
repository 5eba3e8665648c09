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

/// Formatting: chapters 7 to 11 of HTML 4.0 but section 9.4, and chapter 15; links and images (FHIR "narrative",
/// invariant txt-1).
const ELEMENTS: [&str; 53] = [
    "a",
    "abbr",
    "acronym",
    "address",
    "area",
    "b",
    "bdo",
    "big",
    "blockquote",
    "br",
    "caption",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "dfn",
    "div",
    "dl",
    "dt",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "kbd",
    "li",
    "map",
    "ol",
    "p",
    "pre",
    "q",
    "samp",
    "small",
    "span",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "tt",
    "ul",
    "var",
];
/// Attributes that any of them may have: the general ones, and those of cells and columns.
const ATTRIBUTES: [&str; 22] = [
    "abbr",
    "accesskey",
    "align",
    "axis",
    "char",
    "charoff",
    "class",
    "colspan",
    "dir",
    "headers",
    "id",
    "lang",
    "rowspan",
    "scope",
    "span",
    "style",
    "tabindex",
    "title",
    "valign",
    "width",
    "xml:lang",
    "xml:space",
];

/// Attributes of one element.
fn own_attributes(element: &str) -> &'static [&'static str] {
    match element {
        "a" => &["charset", "coords", "href", "hreflang", "name", "rel", "rev", "shape", "type"],
        "area" => &["alt", "coords", "href", "nohref", "shape"],
        "blockquote" | "q" => &["cite"],
        "img" => &["alt", "border", "height", "ismap", "longdesc", "src", "usemap"],
        "map" => &["name"],
        "table" => &["border", "cellpadding", "cellspacing", "frame", "rules", "summary"],
        "td" | "th" => &["nowrap"],
        _ => &[],
    }
}

/// Why a text may not be taken in as a narrative: it is none, or has more than formatting in it, such as scripts,
/// forms, frames, or links that run something (FHIR "narrative", invariant txt-1).
pub(crate) fn check(text: &str) -> Result<(), String> {
    read(text, &mut formatting)
}

/// Why a text is no narrative that could stand in XML: one `div` of well-formed XHTML that declares its namespace
/// itself, with no entities but the five of XML.
pub(super) fn check_form(text: &str) -> Result<(), String> {
    read(text, &mut |_, _| Ok(()))
}

/// Whether an element, or a value of an attribute of it, is formatting.
fn formatting(element: &str, attribute: Option<(&str, &str)>) -> Result<(), String> {
    let Some((name, value)) = attribute else {
        return if ELEMENTS.contains(&element) {
            Ok(())
        } else {
            Err(format!("<{}> is not allowed in it", clip(element)))
        };
    };
    let is_namespace = name == "xmlns" || name.starts_with("xmlns:");
    if !is_namespace && !ATTRIBUTES.contains(&name) && !own_attributes(element).contains(&name) {
        return Err(format!("the attribute {} of <{element}> is not allowed in it", clip(name)));
    }
    // Browsers overlook white space and control characters in the schemes of URLs.
    let seen: String = value
        .chars()
        .filter(|it| !it.is_whitespace() && !it.is_control())
        .collect::<String>()
        .to_ascii_lowercase();
    let fine = match name {
        "href" | "src" | "cite" | "longdesc" | "usemap" => is_open_url(name, &seen),
        "style" => !["javascript:", "expression(", "behavior:", "-moz-binding", "\\"]
            .iter()
            .any(|it| seen.contains(it)),
        _ => true,
    };
    if fine {
        return Ok(());
    }
    Err(format!("{name}={:?} is not allowed in it", clip(value)))
}

/// Whether a URL, in small letters, leads somewhere and runs nothing.
fn is_open_url(name: &str, url: &str) -> bool {
    let before_path = url.split(['/', '?', '#']).next().unwrap_or_default();
    match before_path.split_once(':') {
        None => true,
        Some(("data", kind)) => name == "src" && kind.starts_with("image"),
        Some((scheme, _)) => matches!(scheme, "http" | "https" | "ftp" | "mailto" | "tel" | "urn"),
    }
}

fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}

/// What is asked of each element, and then of each of its attributes with its value.
type Ask<'a> = &'a mut dyn FnMut(&str, Option<(&str, &str)>) -> Result<(), String>;

fn read(text: &str, ask: Ask<'_>) -> Result<(), String> {
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
                element(&xml, &start, ask)?;
            }
            Event::Empty(start) => {
                if depth == 0 && (begun || start.name().into_inner() != "div") {
                    return Err(ONE_DIV.to_owned());
                }
                begun = true;
                element(&xml, &start, ask)?;
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

fn element(xml: &NsReader<&[u8]>, start: &BytesStart<'_>, ask: Ask<'_>) -> Result<(), String> {
    let (namespace, local) = xml.resolver().resolve_element(start.name());
    if namespace != ResolveResult::Bound(Namespace(XHTML)) || !is_name(start.name()) {
        return Err(format!("<{}> is not an element of {XHTML}", start.name().into_inner()));
    }
    let local = local.into_inner();
    ask(local, None)?;
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
        ask(local, Some((attribute.key.into_inner(), &value)))?;
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
        for (bad, why) in [
            ("<script>alert(1)</script>", "<script> is not allowed"),
            ("<p><iframe src='https://a.example'/></p>", "<iframe>"),
            ("<form/>", "<form>"),
            ("<SCRIPT/>", "<SCRIPT>"),
            ("<p onclick='x()'/>", "the attribute onclick of <p>"),
            ("<p href='https://a.example'/>", "the attribute href of <p>"),
            ("<a href='javascript:alert(1)'/>", "href=\"javascript:alert(1)\""),
            ("<a href=' java&#10;Script:alert(1)'/>", "href="),
            ("<a href='data:text/html,x'/>", "href="),
            ("<img src='vbscript:x'/>", "src="),
            ("<p style='width: expres sion(alert(1))'/>", "style="),
        ] {
            let text = format!(r#"<div xmlns="{XHTML}">{bad}</div>"#);
            assert!(check(&text).unwrap_err().contains(why), "{bad}: {:?}", check(&text));
            assert_eq!(check_form(&text), Ok(()), "{bad}");
        }
        for good in [
            "<a href='#top' name='top'>x</a><a href='https://a.example/?a=b:c'/><a href='mailto:a@b.example'/>",
            "<img src='data:image/png;base64,AA==' alt='x' width='1'/><img src='#a'/>",
            "<table class='grid' summary='x'><tr><td colspan='2' style='color: red'>x<br/></td></tr></table>",
            "<ul><li xml:lang='de'><var>x</var></li></ul>",
        ] {
            let text = format!(r#"<div xmlns="{XHTML}">{good}</div>"#);
            assert_eq!(check(&text), Ok(()), "{good}");
        }
        let deep = format!(r#"<div xmlns="{XHTML}">{}{}</div>"#, "<b>".repeat(99), "</b>".repeat(99));
        assert!(check(&deep).is_err());
    }
}
