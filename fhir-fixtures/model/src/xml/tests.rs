//! Round trips over arbitrary trees of every listed type, and what the reader says to hostile or sloppy text.

use std::sync::LazyLock;

use pms_terms::FhirVersion;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{MAX_DEPTH, XmlErrorKind, read, write, write_pretty};
use crate::{
    ResourceType,
    schema::{Content, Element, ElementType, Listing, Node, Primitive, check_in},
};

/// Choices drawn from a seed.
struct Chance(u64);

impl Chance {
    /// A number below `bound` (xorshift64*).
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(drawn).unwrap() % bound
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

struct Tree {
    version: FhirVersion,
    chance: Chance,
    left: usize,
}

impl Tree {
    fn resource(&mut self, name: &str, depth: usize) -> Value {
        let node = Listing::of(self.version).resource_node(name).unwrap();
        let mut object = self.object(node, depth);
        object.insert("resourceType".to_owned(), name.into());
        Value::Object(object)
    }

    fn object(&mut self, node: &'static Node, depth: usize) -> Map<String, Value> {
        let mut object = Map::new();
        let sparse = 3 + depth * 4;
        for element in &node.elements {
            if element.required || (self.left > 0 && depth < 12 && self.chance.one_in(sparse)) {
                self.element(element, depth, &mut object);
            }
        }
        while object.is_empty() {
            let element = &node.elements[self.chance.below(node.elements.len())];
            let leaf = element.types.iter().any(|kind| matches!(kind.content, Content::Primitive(..)));
            if leaf || depth < 4 {
                self.element(element, depth, &mut object);
            }
        }
        object
    }

    fn element(&mut self, element: &'static Element, depth: usize, object: &mut Map<String, Value>) {
        let kind = &element.types[self.chance.below(element.types.len())];
        let primitive = match &kind.content {
            Content::Primitive(primitive, _) => Some(*primitive),
            Content::Node(_) | Content::Resource => None,
        };
        let companions = primitive.is_some_and(|it| it != Primitive::Xhtml) && !element.attribute;
        let count = if element.repeats { 1 + self.chance.below(3) } else { 1 };
        let (mut plains, mut others) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let (both, only) = (companions && self.chance.one_in(8), companions && self.chance.one_in(16));
            let plain = if only { Value::Null } else { self.value(kind, depth) };
            plains.push(plain);
            let node = Listing::of(self.version).type_node("Element").unwrap();
            others.push(if both || only { self.object(node, depth + 2).into() } else { Value::Null });
        }
        for (name, mut items) in [(kind.property.clone(), plains), (format!("_{}", kind.property), others)] {
            if items.iter().any(|item| !item.is_null()) {
                let value = if element.repeats { Value::Array(items) } else { items.remove(0) };
                object.insert(name, value);
            }
        }
    }

    fn value(&mut self, kind: &'static ElementType, depth: usize) -> Value {
        self.left = self.left.saturating_sub(1);
        match &kind.content {
            Content::Resource => {
                let types: Vec<&str> =
                    ResourceType::ALL.iter().map(|each| each.as_str_in(self.version)).collect();
                let name = self.chance.pick(&types).to_owned();
                self.resource(&name, depth + 2)
            }
            Content::Primitive(_, Some(members)) => self.chance.pick(members).into(),
            Content::Primitive(primitive, None) => self.primitive(*primitive),
            content => {
                let node = Listing::of(self.version).node_of(content).unwrap();
                self.object(node, depth + 1).into()
            }
        }
    }

    fn primitive(&mut self, primitive: Primitive) -> Value {
        let of = |chance: &mut Chance, texts: &[&str]| Value::from(chance.pick(texts));
        let chance = &mut self.chance;
        match primitive {
            Primitive::Boolean => chance.one_in(2).into(),
            Primitive::Integer => (i32::try_from(chance.below(4_000_000)).unwrap() - 2_000_000).into(),
            Primitive::UnsignedInt | Primitive::PositiveInt => (chance.below(2_000_000) + 1).into(),
            Primitive::Integer64 => of(chance, &["0", "-9223372036854775808", "12"]),
            #[expect(clippy::cast_precision_loss, reason = "any number will do")]
            Primitive::Decimal => match chance.below(4) {
                0 => json!(chance.below(1000)),
                1 => json!(-(chance.below(1_000_000_007) as f64) / 1e7),
                2 => json!(f64::from_bits(chance.0 & 0x7FEF_FFFF_FFFF_FFFF)),
                _ => json!(chance.below(1_000_000_007) as f64 * 1e-19),
            },
            Primitive::String => of(
                chance,
                &[
                    "a",
                    "<&>\"'",
                    " spaces  ",
                    "line\nline\r\n\ttab",
                    "é ∑ 🜚",
                    "]]>",
                    "&amp;",
                    "&#10;",
                    "<!--",
                    "null",
                ],
            ),
            Primitive::Code => of(chance, &["x", "a b", "<=", "&"]),
            Primitive::Id => of(chance, &["1", "a-b.c"]),
            Primitive::Uri => of(chance, &["urn:x", "http://example.org/a?b=c&d=<e>", "#inside", "it's"]),
            Primitive::Oid => of(chance, &["urn:oid:1.2.3"]),
            Primitive::Uuid => of(chance, &["urn:uuid:0c0d0e0f-0000-4000-8000-000000000000"]),
            Primitive::Date => of(chance, &["2024", "2024-02", "2024-02-29"]),
            Primitive::DateTime => of(chance, &["2024", "2024-02-29T10:00:00.5+02:00"]),
            Primitive::Instant => of(chance, &["2024-02-29T10:00:00Z"]),
            Primitive::Time => of(chance, &["23:59:59", "00:00:00.123"]),
            Primitive::Base64Binary => of(chance, &["aGFsbG8=", "aGFs bG8="]),
            Primitive::Xhtml => of(
                chance,
                &[
                    r#"<div xmlns="http://www.w3.org/1999/xhtml"/>"#,
                    "<div xmlns=\"http://www.w3.org/1999/xhtml\" lang='en'>a &lt; b<br/>\n <p class=\"x\">é</p><!-- c --></div>",
                    r#"<div xmlns="http://www.w3.org/1999/xhtml"><div><div>&#160;</div></div> </div>"#,
                ],
            ),
        }
    }
}

fn types(version: FhirVersion) -> Vec<&'static str> {
    let messages = ["Bundle", "OperationOutcome", "CapabilityStatement", "Parameters"];
    ResourceType::ALL.iter().map(|each| each.as_str_in(version)).chain(messages).collect()
}

/// A product of the demo as XML.
static DEMO: LazyLock<String> = LazyLock::new(|| {
    let bundle = crate::demo::bundles().swap_remove(0);
    write_pretty(FhirVersion::V5_0_0, &bundle["entry"][0]["resource"]).unwrap()
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_valid_survives_xml(seed in 1_u64.., which in any::<proptest::sample::Index>(), older in any::<bool>()) {
        let version = if older { FhirVersion::V4_4_0 } else { FhirVersion::V5_0_0 };
        let types = types(version);
        let name = types[which.index(types.len())];
        let tree = Tree { version, chance: Chance(seed), left: 150 }.resource(name, 0);
        if name.parse::<ResourceType>().is_ok() {
            prop_assert_eq!(check_in(version, &tree), vec![], "{:#}", tree);
        }
        let xml = write(version, &tree);
        prop_assert!(xml.is_ok(), "{:?}\n{:#}", xml, tree);
        let xml = xml.unwrap();
        let back = read(version, &xml);
        prop_assert_eq!(back.as_ref(), Ok(&tree), "{}", xml);
        let pretty = write_pretty(version, &tree).unwrap();
        prop_assert_eq!(read(version, &pretty), Ok(tree), "{}", pretty);
        prop_assert_eq!(write(version, &back.unwrap()).unwrap(), xml);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "(<[?!/]?(Ingredient|status|text|div|id|x:y)?( (xmlns|value|id|x)=['\"][^<]{0,8}['\"]?)?/?>?|&[a-z#0-9]{0,4};|\\PC{0,3}|]]>|\n){0,12}") {
        let _ = read(FhirVersion::V5_0_0, &text);
        let inside = format!("<Ingredient xmlns=\"http://hl7.org/fhir\">{text}</Ingredient>");
        let _ = read(FhirVersion::V5_0_0, &inside);
    }

    #[test]
    fn a_spoilt_text_is_read_or_refused_with_a_line(at in any::<proptest::sample::Index>(), with in "[<>&\"'/ a\n]{0,2}") {
        let mut xml = DEMO.clone();
        let at = (at.index(xml.len())..=xml.len()).find(|at| xml.is_char_boundary(*at)).unwrap();
        xml.insert_str(at, &with);
        if let Err(error) = read(FhirVersion::V5_0_0, &xml) {
            let line = error.line.unwrap();
            prop_assert!(line >= 1 && line <= xml.lines().count() + 1, "{}", error);
        }
    }
}

fn fault(text: &str) -> (XmlErrorKind, Option<usize>, String) {
    let error = read(FhirVersion::V5_0_0, text).unwrap_err();
    (error.kind, error.line, error.path)
}

#[test]
fn the_form_is_that_of_the_specification() {
    let tree = json!({"resourceType":"Ingredient","id":"in1",
        "text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>a</p></div>"},
        "contained":[{"resourceType":"Organization","id":"o"}],
        "extension":[{"url":"urn:x","valueDecimal":1.5}],
        "status":"active","_status":{"id":"s"},
        "role":{"text":"a \"b\"\n"},
        "substance":{"id":"e","code":{"concept":{"text":"x"}}}});
    let xml = write(FhirVersion::V5_0_0, &tree).unwrap();
    assert_eq!(
        xml,
        concat!(
            r#"<?xml version="1.0" encoding="UTF-8"?><Ingredient xmlns="http://hl7.org/fhir"><id value="in1"/>"#,
            r#"<text><status value="generated"/><div xmlns="http://www.w3.org/1999/xhtml"><p>a</p></div></text>"#,
            r#"<contained><Organization><id value="o"/></Organization></contained>"#,
            r#"<extension url="urn:x"><valueDecimal value="1.5"/></extension><status value="active" id="s"/>"#,
            r#"<role><text value="a &quot;b&quot;&#10;"/></role>"#,
            r#"<substance id="e"><code><concept><text value="x"/></concept></code></substance></Ingredient>"#
        )
    );
    assert_eq!(read(FhirVersion::V5_0_0, &xml), Ok(tree));
}

#[test]
fn order_prefixes_and_comments_do_not_matter() {
    let xml = "\u{FEFF}<?xml version='1.0' encoding='utf-8'?>\n<!-- a -->\n<f:Organization xmlns:f='http://hl7.org/fhir' \
        xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' xsi:schemaLocation='a b'>\n<f:alias value='b'/>\
        <f:name value='n\n'></f:name><!-- c --><f:alias value='c&#x41;'/></f:Organization>\n<!-- d -->\n";
    let tree = json!({"resourceType":"Organization","name":"n ","alias":["b","cA"]});
    assert_eq!(read(FhirVersion::V5_0_0, xml), Ok(tree));
}

#[test]
fn hostile_text_is_refused() {
    use XmlErrorKind::{Forbidden, Limit, Structure, Syntax};
    let bomb = "<!DOCTYPE lolz [<!ENTITY lol \"lol\"><!ENTITY lol2 \"&lol;&lol;\">]>\n<Organization xmlns=\"http://hl7.org/fhir\"/>";
    assert_eq!(fault(bomb).0, Forbidden);
    let external = "<?xml version=\"1.0\"?>\n<!DOCTYPE o SYSTEM \"file:///etc/passwd\"><o/>";
    assert_eq!(fault(external), (Forbidden, Some(2), String::new()));
    let open = "<Organization xmlns=\"http://hl7.org/fhir\">";
    for (inside, kind) in [
        ("\n<name value=\"&xxe;\"/>", Syntax),
        ("\n<?php x?>", Forbidden),
        ("\n<![CDATA[x]]>", Structure),
        ("\n<name value=\"a\" value=\"b\"/>", Syntax),
        ("\n<name value=\"a\" onload=\"b\"/>", Structure),
        ("\n<name value=\"&#0;\"/>", Syntax),
        ("\n<name value=\"&#8;\"/>", Syntax),
        ("\n<name xmlns=\"urn:other\" value=\"x\"/>", Structure),
        ("\n<x:name value=\"x\"/>", Structure),
        ("\n<name></alias>", Syntax),
        ("\n<name value=\"x\"", Syntax),
    ] {
        let (found, line, path) = fault(&format!("{open}{inside}</Organization>"));
        assert_eq!((found, line), (kind, Some(2)), "{inside}");
        assert!(path.starts_with("Organization"), "{inside}");
    }
    let many = (0..20).fold(String::new(), |many, n| many + " xmlns:a" + &n.to_string() + "='urn:x'");
    assert_eq!(fault(&format!("{open}<name value='x'{many}/></Organization>")).0, Limit);
    let deep = "<extension url='u'>".repeat(MAX_DEPTH);
    assert_eq!(fault(&format!("{open}{deep}")).0, Limit);
    assert_eq!(fault(&" ".repeat(super::MAX_SIZE + 1)).0, Limit);
    for text in ["", "text", "<!-- c -->"] {
        assert!(read(FhirVersion::V5_0_0, text).is_err());
    }
    assert_eq!(fault("<?xml version='1.0' encoding='utf-16'?><a/>").0, Syntax);
    assert_eq!(fault("<Organization xmlns='http://hl7.org/fhir'/><a/>").0, Syntax);
}

#[test]
fn faults_name_their_place() {
    let text = "<Bundle xmlns=\"http://hl7.org/fhir\">\n<type value=\"collection\"/>\n<entry><resource><Organization>\n\
        <alias value=\"a\"/>\n<alias><period/></alias></Organization></resource></entry></Bundle>";
    let error = read(FhirVersion::V5_0_0, text).unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 5, Bundle.entry[0].resource.alias[1]: unknown element \"period\" in FHIR 5.0.0"
    );
    for (inside, path, kind) in [
        ("<name/>", "Organization.name", XmlErrorKind::Value),
        ("<name value=''/>", "Organization.name", XmlErrorKind::Value),
        ("<active value='yes'/>", "Organization.active", XmlErrorKind::Value),
        ("<name value='a'/><name value='b'/>", "Organization", XmlErrorKind::Structure),
        ("<extension><url value='u'/></extension>", "Organization.extension[0]", XmlErrorKind::Structure),
        ("<contact/>", "Organization.contact[0]", XmlErrorKind::Value),
        ("<contained></contained>", "Organization.contained[0]", XmlErrorKind::Structure),
        ("<contained><Resource/></contained>", "Organization.contained[0]", XmlErrorKind::Structure),
        (
            "<meta><extension url='u'><valueInteger value='+1'/></extension></meta>",
            "Organization.meta.extension[0].valueInteger",
            XmlErrorKind::Value,
        ),
        (
            "<text><status value='x'/><div>no namespace</div></text>",
            "Organization.text.div",
            XmlErrorKind::Value,
        ),
    ] {
        let (found, _, place) =
            fault(&format!("<Organization xmlns='http://hl7.org/fhir'>{inside}</Organization>"));
        assert_eq!((found, place.as_str()), (kind, path), "{inside}");
    }
}

#[test]
fn what_has_no_form_in_xml_is_not_written() {
    for tree in [
        json!({"resourceType":"Organization","name":"a\u{1}"}),
        json!({"resourceType":"Organization","name":1}),
        json!({"resourceType":"Organization","name":["a"]}),
        json!({"resourceType":"Organization","alias":"a"}),
        json!({"resourceType":"Organization","nonsense":"a"}),
        json!({"resourceType":"Organization","extension":[{"url":"u","_url":{"id":"x"}}]}),
        json!({"resourceType":"Organization","text":{"status":"generated","div":"<div>&nbsp;</div>"}}),
        json!({"resourceType":"Patient"}),
        json!(1),
    ] {
        assert!(write(FhirVersion::V5_0_0, &tree).is_err(), "{tree}");
    }
}

#[test]
fn numbers_are_those_of_json() {
    for good in
        ["0", "-0.0", "12", "1.50", "1e5", "1E-7", "18446744073709551615", "123456789012345678901234567890"]
    {
        assert!(read::number(good).is_some(), "{good}");
    }
    for bad in ["", "-", "+1", "01", ".5", "1.", "1e", "1e+", "0x1", " 1", "1 ", "NaN", "inf", "1.5.2"] {
        assert!(read::number(bad).is_none(), "{bad}");
    }
}

#[test]
fn decimals_keep_their_digits() {
    for digits in ["1.50", "0.10", "100", "1e-7", "12345678901234567890.123456789"] {
        let json = format!(
            r#"{{"resourceType":"Organization","extension":[{{"url":"u","valueDecimal":{digits}}}]}}"#
        );
        let tree: Value = serde_json::from_str(&json).unwrap();
        let xml = write(FhirVersion::V5_0_0, &tree).unwrap();
        assert!(xml.contains(&format!("value=\"{digits}\"")), "{xml}");
        assert_eq!(read(FhirVersion::V5_0_0, &xml).unwrap().to_string(), json);
    }
}
