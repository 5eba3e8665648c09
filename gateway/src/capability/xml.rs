//! A CapabilityStatement in the order of its definition, and as XML (FHIR "xml"): elements in order, `id` and an
//! extension's `url` as attributes, every other value in `value`.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::outcome::attribute;

/// The order of the elements that a CapabilityStatement of a server has, by the element that holds them. XML knows
/// no other order, and 4.4.0 and 5.0.0 agree on it.
const ORDER: [(&str, &[&str]); 10] = [
    (
        "CapabilityStatement",
        &[
            "resourceType",
            "id",
            "meta",
            "implicitRules",
            "language",
            "text",
            "contained",
            "extension",
            "modifierExtension",
            "url",
            "identifier",
            "version",
            "versionAlgorithmString",
            "versionAlgorithmCoding",
            "name",
            "title",
            "status",
            "experimental",
            "date",
            "publisher",
            "contact",
            "description",
            "useContext",
            "jurisdiction",
            "purpose",
            "copyright",
            "copyrightLabel",
            "kind",
            "instantiates",
            "imports",
            "software",
            "implementation",
            "fhirVersion",
            "format",
            "patchFormat",
            "acceptLanguage",
            "implementationGuide",
            "rest",
            "messaging",
            "document",
        ],
    ),
    ("software", &["id", "extension", "name", "version", "releaseDate"]),
    ("implementation", &["id", "extension", "description", "url", "custodian"]),
    (
        "rest",
        &[
            "id",
            "extension",
            "mode",
            "documentation",
            "security",
            "resource",
            "interaction",
            "searchParam",
            "operation",
            "compartment",
        ],
    ),
    ("security", &["id", "extension", "cors", "service", "description"]),
    (
        "resource",
        &[
            "id",
            "extension",
            "type",
            "profile",
            "supportedProfile",
            "documentation",
            "interaction",
            "versioning",
            "readHistory",
            "updateCreate",
            "conditionalCreate",
            "conditionalRead",
            "conditionalUpdate",
            "conditionalPatch",
            "conditionalDelete",
            "referencePolicy",
            "searchInclude",
            "searchRevInclude",
            "searchParam",
            "operation",
        ],
    ),
    ("interaction", &["id", "extension", "code", "documentation"]),
    ("searchParam", &["id", "extension", "name", "definition", "type", "documentation"]),
    ("operation", &["id", "extension", "name", "definition", "documentation"]),
    ("coding", &["id", "extension", "system", "version", "code", "display", "userSelected"]),
];

/// Puts the elements into their order; what is not known stays where it is, at the end.
pub(super) fn put_in_order(statement: &mut Value) {
    sort("CapabilityStatement", statement);
}

fn sort(name: &str, value: &mut Value) {
    match value {
        Value::Array(elements) => elements.iter_mut().for_each(|element| sort(name, element)),
        Value::Object(members) => {
            if let Some((_, order)) = ORDER.iter().find(|(holder, _)| *holder == name) {
                let place = |key: &String| {
                    let key = key.trim_start_matches('_');
                    order.iter().position(|known| *known == key).unwrap_or(order.len())
                };
                let mut sorted: Vec<(String, Value)> = std::mem::take(members).into_iter().collect();
                sorted.sort_by_key(|(key, _)| place(key));
                members.extend(sorted);
            }
            members.iter_mut().for_each(|(key, value)| sort(key, value));
        }
        _ => {}
    }
}

/// The statement as XML.
pub(super) fn write(statement: &Value) -> String {
    let mut xml = String::from(r#"<?xml version="1.0" encoding="UTF-8"?>"#);
    if let Some(members) = statement.as_object() {
        xml.push_str(r#"<CapabilityStatement xmlns="http://hl7.org/fhir">"#);
        for (name, value) in members.iter().filter(|(name, _)| *name != "resourceType") {
            // A resource's id is an element; that of anything else is an attribute.
            if name == "id" {
                primitive(&mut xml, name, value, None);
            } else {
                member(&mut xml, members, name, value);
            }
        }
        xml.push_str("</CapabilityStatement>");
    }
    xml
}

fn member(xml: &mut String, siblings: &Map<String, Value>, name: &str, value: &Value) {
    if let Some(extended) = name.strip_prefix('_') {
        // Extensions of a primitive, which are written with its value where it has one.
        if !siblings.contains_key(extended) {
            primitive(xml, extended, &Value::Null, Some(value));
        }
        return;
    }
    let extended = siblings.get(&format!("_{name}"));
    match value {
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                single(xml, name, element, extended.and_then(|extended| extended.get(index)));
            }
        }
        value => single(xml, name, value, extended),
    }
}

fn single(xml: &mut String, name: &str, value: &Value, extended: Option<&Value>) {
    match value {
        // A narrative is XHTML already.
        Value::String(text) if name == "div" => xml.push_str(text),
        Value::Object(members) => {
            open(xml, name, members);
            xml.push('>');
            content(xml, members);
            let _ = write!(xml, "</{name}>");
        }
        value => primitive(xml, name, value, extended),
    }
}

fn open(xml: &mut String, name: &str, members: &Map<String, Value>) {
    let _ = write!(xml, "<{name}");
    let attributes =
        if matches!(name, "extension" | "modifierExtension") { &["id", "url"][..] } else { &["id"] };
    for name in attributes {
        if let Some(Value::String(text)) = members.get(*name) {
            let _ = write!(xml, r#" {name}="{}""#, attribute(text));
        }
    }
}

fn content(xml: &mut String, members: &Map<String, Value>) {
    let is_extension = members.contains_key("url")
        && members.keys().any(|key| key == "extension" || key.starts_with("value"));
    for (name, value) in members {
        if name != "id" && !(is_extension && name == "url") {
            member(xml, members, name, value);
        }
    }
}

fn primitive(xml: &mut String, name: &str, value: &Value, extended: Option<&Value>) {
    let _ = write!(xml, "<{name}");
    match value {
        Value::Null => {}
        Value::String(text) => {
            let _ = write!(xml, r#" value="{}""#, attribute(text));
        }
        other => {
            let _ = write!(xml, r#" value="{other}""#);
        }
    }
    match extended.and_then(Value::as_object) {
        Some(members) => {
            xml.push('>');
            content(xml, members);
            let _ = write!(xml, "</{name}>");
        }
        None => xml.push_str("/>"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_statement_becomes_xml_in_order() {
        let mut statement = json!({
            "id": "x",
            "rest": [{
                "resource": [{"interaction": [{"code": "read"}], "type": "Basic", "readHistory": true}],
                "security": {"service": [{"text": "a < b"}], "extension": [{"url": "u", "valueUri": "v"}]},
                "mode": "server",
            }],
            "_date": {"extension": [{"url": "w", "valueCode": "unknown"}]},
            "format": ["json", "xml"],
            "software": {"version": "1", "name": "n"},
            "resourceType": "CapabilityStatement",
            "status": "active",
        });
        put_in_order(&mut statement);
        insta::assert_snapshot!(write(&statement), @r#"<?xml version="1.0" encoding="UTF-8"?><CapabilityStatement xmlns="http://hl7.org/fhir"><id value="x"/><status value="active"/><date><extension url="w"><valueCode value="unknown"/></extension></date><software><name value="n"/><version value="1"/></software><format value="json"/><format value="xml"/><rest><mode value="server"/><security><extension url="u"><valueUri value="v"/></extension><service><text value="a &lt; b"/></service></security><resource><type value="Basic"/><interaction><code value="read"/></interaction><readHistory value="true"/></resource></rest></CapabilityStatement>"#);
    }
}
