//! JSON tree to XML.

use std::borrow::Cow;

use pms_terms::FhirVersion;
use quick_xml::{
    Writer,
    events::{BytesDecl, BytesStart, BytesText, Event, attributes::Attribute},
    name::QName,
};
use serde_json::{Map, Value};

use crate::schema::{Content, Element, ElementType, Listing, Node, Primitive};

use super::{FHIR, MAX_DEPTH, XmlError, XmlErrorKind, is_character, narrative};

/// Writes a resource as XML, on one line.
///
/// # Errors
/// The tree is not of this version's shape (see [`crate::schema::check_in`]), too deep, or holds characters that XML
/// does not have.
pub fn write(version: FhirVersion, resource: &Value) -> Result<String, XmlError> {
    finish(Writer::new(Vec::new()), version, resource)
}

/// The same with line breaks and indentation, for people.
///
/// # Errors
/// As for [`write()`].
pub fn write_pretty(version: FhirVersion, resource: &Value) -> Result<String, XmlError> {
    finish(Writer::new_with_indent(Vec::new(), b' ', 2), version, resource)
}

fn finish(xml: Writer<Vec<u8>>, version: FhirVersion, resource: &Value) -> Result<String, XmlError> {
    let mut output = Output { xml, version, listing: Listing::of(version), path: String::new(), depth: 0 };
    output.event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    output.resource(resource)?;
    String::from_utf8(output.xml.into_inner())
        .map_err(|_| output_error(XmlErrorKind::Syntax, "", "the output is not UTF-8"))
}

fn output_error(kind: XmlErrorKind, path: &str, message: impl Into<String>) -> XmlError {
    XmlError { kind, line: None, path: path.to_owned(), message: message.into() }
}

struct Output {
    xml: Writer<Vec<u8>>,
    version: FhirVersion,
    listing: &'static Listing,
    path: String,
    depth: usize,
}

impl Output {
    fn error(&self, kind: XmlErrorKind, message: impl Into<String>) -> XmlError {
        output_error(kind, &self.path, message)
    }

    fn structure(&self, message: impl Into<String>) -> XmlError {
        self.error(XmlErrorKind::Structure, message)
    }

    fn event(&mut self, event: Event<'_>) -> Result<(), XmlError> {
        self.xml.write_event(event).map_err(|error| self.error(XmlErrorKind::Syntax, error.to_string()))
    }

    fn attribute(&self, start: &mut BytesStart<'_>, name: &'static str, value: &str) -> Result<(), XmlError> {
        if let Some(character) = value.chars().find(|character| !is_character(*character)) {
            let message = format!("the character U+{:04X} has no place in XML", u32::from(character));
            return Err(self.error(XmlErrorKind::Value, message));
        }
        start.push_attribute(Attribute { key: QName(name), value: escape(value) });
        Ok(())
    }

    fn resource(&mut self, resource: &Value) -> Result<(), XmlError> {
        let name = resource.get("resourceType").and_then(Value::as_str).unwrap_or_default();
        let (Some(object), Some(node)) = (resource.as_object(), self.listing.resource_node(name)) else {
            return Err(self.structure(format!("{name:?} is no resource type of FHIR {} here", self.version)));
        };
        let top = self.path.is_empty();
        let mut start = BytesStart::new(name);
        if top {
            name.clone_into(&mut self.path);
            self.attribute(&mut start, "xmlns", FHIR)?;
        }
        self.object(start, object, node)?;
        if top {
            self.path.clear();
        }
        Ok(())
    }

    /// Writes an element with these attributes and the content of an object.
    fn object(
        &mut self,
        mut start: BytesStart<'_>,
        object: &Map<String, Value>,
        node: &'static Node,
    ) -> Result<(), XmlError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error(XmlErrorKind::Limit, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        let mut written = usize::from(node.is_resource && object.contains_key("resourceType"));
        for element in node.elements.iter().filter(|element| element.attribute) {
            if let Some(value) = object.get(element.name) {
                let text = value
                    .as_str()
                    .ok_or_else(|| self.structure(format!("{} is a string, not {value}", element.name)))?;
                self.attribute(&mut start, element.name, text)?;
                written += 1;
            }
        }
        if written == object.len() {
            self.event(Event::Empty(start))?;
        } else {
            let end = start.to_end().into_owned();
            self.event(Event::Start(start))?;
            for element in node.elements.iter().filter(|element| !element.attribute) {
                for kind in &element.types {
                    written += self.property(object, element, kind)?;
                }
            }
            self.event(Event::End(end))?;
        }
        if written < object.len() {
            return Err(self.unknown(object, node));
        }
        self.depth -= 1;
        Ok(())
    }

    fn unknown(&self, object: &Map<String, Value>, node: &Node) -> XmlError {
        let known = |name: &str| match name.strip_prefix('_') {
            Some(name) => node.property(name).is_some_and(|(element, kind)| {
                !element.attribute && matches!(kind.content, Content::Primitive(..))
            }),
            None => node.property(name).is_some() || (node.is_resource && name == "resourceType"),
        };
        let names: Vec<&str> = object.keys().map(String::as_str).filter(|name| !known(name)).collect();
        self.structure(format!("FHIR {} has no element {} here", self.version, names.join(", ")))
    }

    /// Writes the elements of one JSON property and its companion; returns how many of the two there were.
    fn property(
        &mut self,
        object: &Map<String, Value>,
        element: &'static Element,
        kind: &'static ElementType,
    ) -> Result<usize, XmlError> {
        let plain = object.get(&kind.property);
        let companion = match kind.content {
            Content::Primitive(Primitive::Xhtml, _) | Content::Node(_) | Content::Resource => None,
            Content::Primitive(..) => object.get(&format!("_{}", kind.property)),
        };
        let count = usize::from(plain.is_some()) + usize::from(companion.is_some());
        if count == 0 {
            return Ok(0);
        }
        let length = self.path.len();
        self.path.push('.');
        self.path.push_str(&kind.property);
        if element.repeats {
            let list = |value: Option<&'_ Value>| value.is_none_or(Value::is_array);
            if !list(plain) || !list(companion) {
                return Err(self.structure("a single value where an array is due"));
            }
            let items = |value: Option<&Value>| value.and_then(Value::as_array).map_or(0, Vec::len);
            let base = self.path.len();
            for at in 0..items(plain).max(items(companion)) {
                self.path.extend(["[", &at.to_string(), "]"]);
                self.value(kind, plain.and_then(|it| it.get(at)), companion.and_then(|it| it.get(at)))?;
                self.path.truncate(base);
            }
        } else {
            self.value(kind, plain, companion)?;
        }
        self.path.truncate(length);
        Ok(count)
    }

    fn value(
        &mut self,
        kind: &'static ElementType,
        plain: Option<&Value>,
        companion: Option<&Value>,
    ) -> Result<(), XmlError> {
        let start = BytesStart::new(kind.property.as_str());
        match (&kind.content, plain) {
            (Content::Primitive(Primitive::Xhtml, _), Some(Value::String(text))) => {
                narrative::check_form(text).map_err(|message| self.error(XmlErrorKind::Value, message))?;
                self.event(Event::Text(BytesText::from_escaped(text.trim())))
            }
            (Content::Primitive(primitive, _), plain) => self.primitive(start, *primitive, plain, companion),
            (Content::Resource, Some(resource)) => {
                let end = start.to_end().into_owned();
                self.event(Event::Start(start))?;
                self.resource(resource)?;
                self.event(Event::End(end))
            }
            (content, Some(Value::Object(object))) => match self.listing.node_of(content) {
                Some(node) => self.object(start, object, node),
                None => Err(self.structure("the type of this element is not listed")),
            },
            (_, _) => Err(self.structure("an object is due")),
        }
    }

    fn primitive(
        &mut self,
        mut start: BytesStart<'_>,
        primitive: Primitive,
        plain: Option<&Value>,
        companion: Option<&Value>,
    ) -> Result<(), XmlError> {
        let text: Option<Cow<'_, str>> = match plain {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) if primitive.is_text() => Some(Cow::Borrowed(text)),
            Some(Value::Bool(flag)) if primitive == Primitive::Boolean => Some(flag.to_string().into()),
            Some(Value::Number(number)) if primitive.is_number() => Some(number.to_string().into()),
            Some(_) => return Err(self.structure("a value of another JSON type is due")),
        };
        let companion = match companion {
            None | Some(Value::Null) => None,
            Some(Value::Object(companion)) => Some(companion),
            Some(_) => return Err(self.structure("beside a primitive stands an object")),
        };
        if text.is_none() && companion.is_none() {
            return Err(self.structure("null stands for nothing here"));
        }
        if let Some(text) = text {
            self.attribute(&mut start, "value", &text)?;
        }
        match (companion, self.listing.type_node("Element")) {
            (Some(companion), Some(node)) => self.object(start, companion, node),
            _ => self.event(Event::Empty(start)),
        }
    }
}

/// Escapes an attribute value; white space too, which parsers would turn into spaces (XML §3.3.3).
fn escape(value: &str) -> Cow<'_, str> {
    let special = |c: char| matches!(c, '&' | '<' | '>' | '"' | '\t' | '\n' | '\r');
    if !value.contains(special) {
        return Cow::Borrowed(value);
    }
    let mut escaped = String::with_capacity(value.len() + 16);
    for character in value.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\t' => escaped.push_str("&#9;"),
            '\n' => escaped.push_str("&#10;"),
            '\r' => escaped.push_str("&#13;"),
            other => escaped.push(other),
        }
    }
    Cow::Owned(escaped)
}
