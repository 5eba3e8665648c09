//! XML to JSON tree.

use pms_terms::FhirVersion;
use quick_xml::{
    NsReader, XmlVersion,
    events::{BytesStart, Event},
    name::{Namespace, ResolveResult},
};
use serde_json::{Map, Number, Value};

use crate::schema::{Content, Element, ElementType, Listing, Node, Primitive};

use super::{
    FHIR, MAX_ATTRIBUTES, MAX_DEPTH, MAX_SIZE, SCHEMA_INSTANCE, XHTML, XmlError, XmlErrorKind, is_character,
    narrative,
};

/// Reads one resource.
///
/// # Errors
/// The first fault found, with its line and path. Elements may stand in any order; values are taken as they are,
/// except that numbers and booleans must be such.
pub fn read(version: FhirVersion, text: &str) -> Result<Value, XmlError> {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let mut xml = NsReader::from_str(text);
    let config = xml.config_mut();
    config.expand_empty_elements = true;
    config.check_comments = true;
    let mut input =
        Input { text, xml, version, listing: Listing::of(version), path: String::new(), at: 0, depth: 0 };
    if text.len() > MAX_SIZE {
        return Err(input.error(XmlErrorKind::Limit, format!("longer than {MAX_SIZE} bytes")));
    }
    let Token::Start(start) = input.next()? else {
        return Err(input.error(XmlErrorKind::Syntax, "no element at all"));
    };
    let resource = input.resource(&start)?;
    match input.next()? {
        Token::Eof => Ok(resource),
        _ => Err(input.error(XmlErrorKind::Syntax, "one element is due, and here is a second")),
    }
}

enum Token<'t> {
    Start(BytesStart<'t>),
    End,
    Eof,
}

/// The attributes of an element, namespace declarations left out.
type Attributes = Vec<(String, String)>;

struct Input<'t> {
    text: &'t str,
    xml: NsReader<&'t [u8]>,
    version: FhirVersion,
    listing: &'static Listing,
    path: String,
    /// Where the last token began.
    at: usize,
    depth: usize,
}

impl<'t> Input<'t> {
    fn error(&self, kind: XmlErrorKind, message: impl Into<String>) -> XmlError {
        let before = self.text.get(..self.at).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        XmlError { kind, line: Some(line), path: self.path.clone(), message: message.into() }
    }

    fn structure(&self, message: impl Into<String>) -> XmlError {
        self.error(XmlErrorKind::Structure, message)
    }

    /// The next start or end of an element; what may stand between is skipped, what may not is refused.
    fn next(&mut self) -> Result<Token<'t>, XmlError> {
        loop {
            let begin = self.position();
            self.at = begin;
            let event = self.xml.read_event().map_err(|error| {
                self.at = usize::try_from(self.xml.error_position()).unwrap_or(begin);
                self.error(XmlErrorKind::Syntax, error.to_string())
            })?;
            match event {
                Event::Start(start) => {
                    self.depth += 1;
                    if self.depth > MAX_DEPTH {
                        let message = format!("nested deeper than {MAX_DEPTH} levels");
                        return Err(self.error(XmlErrorKind::Limit, message));
                    }
                    return Ok(Token::Start(start));
                }
                Event::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    return Ok(Token::End);
                }
                Event::Eof if self.depth > 0 => {
                    return Err(self.error(XmlErrorKind::Syntax, "the text ends in the middle"));
                }
                Event::Eof => return Ok(Token::Eof),
                Event::Comment(_) => {}
                Event::Text(text) if text.bytes().all(|byte| byte.is_ascii_whitespace()) => {}
                Event::Decl(declaration) if begin == 0 => {
                    let encoding = declaration.encoding().transpose();
                    let encoding =
                        encoding.map_err(|error| self.error(XmlErrorKind::Syntax, error.to_string()))?;
                    let fine = |name: &str| matches!(&*name.to_ascii_lowercase(), "utf-8" | "us-ascii");
                    if !encoding.is_none_or(|encoding| fine(&encoding)) {
                        return Err(self.error(XmlErrorKind::Syntax, "an encoding other than UTF-8"));
                    }
                }
                Event::DocType(_) => {
                    return Err(self.error(XmlErrorKind::Forbidden, "a document type is not taken"));
                }
                Event::PI(_) | Event::Decl(_) => {
                    return Err(self.error(XmlErrorKind::Forbidden, "processing instructions are not taken"));
                }
                Event::GeneralRef(_) | Event::Text(_) | Event::CData(_) => {
                    return Err(self.structure("text between elements; values are attributes in FHIR XML"));
                }
                Event::Empty(_) => {
                    return Err(self.error(XmlErrorKind::Syntax, "an element without an end"));
                }
            }
        }
    }

    fn position(&self) -> usize {
        usize::try_from(self.xml.buffer_position()).unwrap_or(usize::MAX)
    }

    /// The name of an element of FHIR.
    fn name(&self, start: &BytesStart<'_>) -> Result<String, XmlError> {
        let (namespace, name) = self.xml.resolver().resolve_element(start.name());
        if namespace != ResolveResult::Bound(Namespace(FHIR)) {
            let message = format!("<{}> is not in the namespace {FHIR}", start.name().into_inner());
            return Err(self.structure(message));
        }
        Ok(name.into_inner().to_owned())
    }

    /// The attributes of an element, of which only these are allowed.
    fn attributes(&self, start: &BytesStart<'_>, allowed: &[&str]) -> Result<Attributes, XmlError> {
        let syntax = |message: String| self.error(XmlErrorKind::Syntax, message);
        let mut found = Vec::new();
        for (count, attribute) in start.attributes().enumerate() {
            let attribute = attribute.map_err(|error| syntax(error.to_string()))?;
            if count == MAX_ATTRIBUTES {
                let message = format!("more than {MAX_ATTRIBUTES} attributes on one element");
                return Err(self.error(XmlErrorKind::Limit, message));
            }
            let name = attribute.key.into_inner();
            let (namespace, _) = self.xml.resolver().resolve_attribute(attribute.key);
            if attribute.key.as_namespace_binding().is_some()
                || namespace == ResolveResult::Bound(Namespace(SCHEMA_INSTANCE))
            {
                continue;
            }
            if !allowed.contains(&name) {
                return Err(self.structure(format!("no attribute {name:?} is allowed here")));
            }
            if attribute.value.contains('<') {
                return Err(syntax(format!("the sign < in the attribute {name} is to be written &lt;")));
            }
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|error| syntax(error.to_string()))?;
            if let Some(character) = value.chars().find(|character| !is_character(*character)) {
                let message = format!("the character U+{:04X} has no place in XML", u32::from(character));
                return Err(syntax(message));
            }
            if value.is_empty() {
                let message = format!("the attribute {name} is empty; leave it out instead");
                return Err(self.error(XmlErrorKind::Value, message));
            }
            found.push((name.to_owned(), value.into_owned()));
        }
        Ok(found)
    }

    fn resource(&mut self, start: &BytesStart<'_>) -> Result<Value, XmlError> {
        let name = self.name(start)?;
        let top = self.path.is_empty();
        if top {
            self.path.clone_from(&name);
        }
        let Some(node) = self.listing.resource_node(&name) else {
            let message =
                format!("{name:?} is no resource type that this server knows in FHIR {}", self.version);
            return Err(self.structure(message));
        };
        self.attributes(start, &[])?;
        let mut object = Map::new();
        object.insert("resourceType".to_owned(), name.into());
        self.children(node, &mut object)?;
        if top {
            self.path.clear();
        }
        Ok(Value::Object(object))
    }

    /// Reads the elements inside an object up to its end.
    fn children(&mut self, node: &'static Node, object: &mut Map<String, Value>) -> Result<(), XmlError> {
        let mut slots: Vec<Slot> = Vec::new();
        while let Token::Start(start) = self.next()? {
            let name = self.child_name(&start, node)?;
            let Some((element, kind)) = node.property(&name).filter(|(element, _)| !element.attribute) else {
                return Err(self.unknown(&name, node));
            };
            let index = slots.iter().position(|slot| slot.kind.property == name).unwrap_or_else(|| {
                slots.push(Slot { element, kind, plain: Vec::new(), companion: Vec::new() });
                slots.len() - 1
            });
            let count = slots[index].plain.len();
            if count > 0 && !element.repeats {
                return Err(self.structure(format!("{name} stands here twice, and may only once")));
            }
            let length = self.path.len();
            self.path.push('.');
            self.path.push_str(&name);
            if element.repeats {
                self.path.extend(["[", &count.to_string(), "]"]);
            }
            let (plain, companion) = self.value(&start, kind)?;
            self.path.truncate(length);
            slots[index].plain.push(plain.unwrap_or_default());
            slots[index].companion.push(companion.unwrap_or_default());
        }
        for slot in slots {
            slot.fill(object);
        }
        Ok(())
    }

    fn child_name(&self, start: &BytesStart<'_>, node: &Node) -> Result<String, XmlError> {
        let (namespace, name) = self.xml.resolver().resolve_element(start.name());
        let name = name.into_inner();
        let narrative = node
            .property(name)
            .is_some_and(|(_, kind)| matches!(kind.content, Content::Primitive(Primitive::Xhtml, _)));
        if narrative && namespace == ResolveResult::Bound(Namespace(XHTML)) {
            return Ok(name.to_owned());
        }
        self.name(start)
    }

    fn unknown(&self, name: &str, node: &Node) -> XmlError {
        if let Some((element, _)) = node.property(name) {
            return self.structure(format!("{} is an attribute, no element", element.name));
        }
        let choice = node.elements.iter().find(|element| element.choice && name.starts_with(element.name));
        match choice {
            Some(choice) => self.structure(format!("{name:?} is no allowed type of {}[x]", choice.name)),
            None => self.structure(format!("unknown element {name:?} in FHIR {}", self.version)),
        }
    }

    /// Reads one element: its value, and for a primitive what stands beside it in JSON.
    fn value(
        &mut self,
        start: &BytesStart<'t>,
        kind: &'static ElementType,
    ) -> Result<(Option<Value>, Option<Value>), XmlError> {
        match &kind.content {
            Content::Primitive(Primitive::Xhtml, _) => Ok((Some(self.narrative(start)?), None)),
            Content::Primitive(primitive, _) => self.primitive(start, *primitive),
            Content::Resource => {
                self.attributes(start, &[])?;
                let Token::Start(inner) = self.next()? else {
                    return Err(self.structure("a resource is due inside this element"));
                };
                let resource = self.resource(&inner)?;
                match self.next()? {
                    Token::End => Ok((Some(resource), None)),
                    _ => Err(self.structure("one resource is due inside this element, not two")),
                }
            }
            content @ Content::Node(_) => {
                let Some(node) = self.listing.node_of(content) else {
                    return Err(self.structure("the type of this element is not listed"));
                };
                let object = self.object(start, node)?;
                if object.is_empty() {
                    return Err(self.empty());
                }
                Ok((Some(Value::Object(object)), None))
            }
        }
    }

    fn empty(&self) -> XmlError {
        self.error(XmlErrorKind::Value, "an empty element; leave it out instead")
    }

    /// Reads an element with elements of its own.
    fn object(
        &mut self,
        start: &BytesStart<'_>,
        node: &'static Node,
    ) -> Result<Map<String, Value>, XmlError> {
        let allowed: Vec<&str> =
            node.elements.iter().filter(|element| element.attribute).map(|element| element.name).collect();
        let attributes = self.attributes(start, &allowed)?;
        let mut object: Map<String, Value> =
            attributes.into_iter().map(|(name, value)| (name, Value::from(value))).collect();
        self.children(node, &mut object)?;
        Ok(object)
    }

    fn primitive(
        &mut self,
        start: &BytesStart<'_>,
        primitive: Primitive,
    ) -> Result<(Option<Value>, Option<Value>), XmlError> {
        let mut value = None;
        let mut companion = Map::new();
        for (name, text) in self.attributes(start, &["value", "id"])? {
            if name == "value" {
                value = Some(self.parse(primitive, text)?);
            } else {
                companion.insert(name, text.into());
            }
        }
        if let Some(node) = self.listing.type_node("Element") {
            self.children(node, &mut companion)?;
        }
        if value.is_none() && companion.is_empty() {
            return Err(self.empty());
        }
        Ok((value, (!companion.is_empty()).then_some(Value::Object(companion))))
    }

    fn parse(&self, primitive: Primitive, text: String) -> Result<Value, XmlError> {
        let value = match primitive {
            Primitive::Boolean => text.parse::<bool>().ok().map(Value::from),
            _ if primitive.is_number() => number(&text).map(Value::Number),
            _ => return Ok(Value::String(text)),
        };
        value.ok_or_else(|| {
            let due = if primitive == Primitive::Boolean { "true or false" } else { "a number" };
            self.error(XmlErrorKind::Value, format!("{due} is due, not {:?}", clip(&text)))
        })
    }

    /// The text of a `div` as it stands.
    fn narrative(&mut self, start: &BytesStart<'t>) -> Result<Value, XmlError> {
        let begin = self.at;
        self.xml
            .read_to_end(start.name())
            .map_err(|error| self.error(XmlErrorKind::Syntax, error.to_string()))?;
        self.depth = self.depth.saturating_sub(1);
        let text = self.text.get(begin..self.position()).unwrap_or_default();
        narrative::check_form(text).map_err(|message| self.error(XmlErrorKind::Value, message))?;
        Ok(Value::from(text))
    }
}

/// What has been read of one property so far.
struct Slot {
    element: &'static Element,
    kind: &'static ElementType,
    plain: Vec<Value>,
    companion: Vec<Value>,
}

impl Slot {
    /// Puts the property and its companion into the object.
    fn fill(self, object: &mut Map<String, Value>) {
        let Self { element, kind, plain, companion } = self;
        for (name, mut items) in [(kind.property.clone(), plain), (format!("_{}", kind.property), companion)]
        {
            if items.iter().all(Value::is_null) {
                continue;
            }
            let value = if element.repeats { Value::Array(items) } else { items.swap_remove(0) };
            object.insert(name, value);
        }
    }
}

/// A JSON number (RFC 8259 §6), its digits as written.
pub(super) fn number(text: &str) -> Option<Number> {
    let begins = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    if begins && text.ends_with(|c: char| c.is_ascii_digit()) {
        serde_json::from_str(text).ok()
    } else {
        None
    }
}

fn clip(text: &str) -> String {
    text.chars().take(60).collect()
}
