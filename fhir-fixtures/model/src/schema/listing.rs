//! The listing of elements, parsed once from `definitions/*.txt` into nodes that a walk can follow.

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use pms_terms::FhirVersion;

use super::primitive::Primitive;

const TEXT_5_0_0: &str = include_str!("../../definitions/5.0.0.txt");
const TEXT_4_4_0: &str = include_str!("../../definitions/4.4.0.txt");

static LISTING_5_0_0: LazyLock<Listing> = LazyLock::new(|| Listing::parse(&[TEXT_5_0_0]));
static LISTING_4_4_0: LazyLock<Listing> = LazyLock::new(|| Listing::parse(&[TEXT_5_0_0, TEXT_4_4_0]));

/// All types of one version.
pub(crate) struct Listing {
    nodes: Vec<Node>,
    types: HashMap<&'static str, usize>,
    /// Lines that could not be read.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test keeps it empty"))]
    pub(crate) unreadable: Vec<String>,
}

/// One object: a resource, a datatype, or an element with elements of its own.
#[derive(Default)]
pub(crate) struct Node {
    /// The elements in the order of the specification, inherited ones first.
    pub(crate) elements: Vec<Element>,
    /// JSON property name (for a choice: one for each type) to element and type.
    properties: HashMap<String, (usize, usize)>,
    /// Derived from Resource: has a `resourceType` property.
    pub(crate) is_resource: bool,
}

/// One element of a node.
pub(crate) struct Element {
    /// Its name, without `[x]`.
    pub(crate) name: &'static str,
    /// Several types, of which one is present.
    pub(crate) choice: bool,
    /// Must be present.
    pub(crate) required: bool,
    /// A JSON array.
    pub(crate) repeats: bool,
    /// Part of `_summary=true`.
    pub(crate) summary: bool,
    /// An attribute in XML: the id of anything but a resource, the url of an extension. Has no `_` form in JSON.
    pub(crate) attribute: bool,
    /// The allowed types; exactly one unless a choice.
    pub(crate) types: Vec<ElementType>,
}

/// One allowed type of an element.
pub(crate) struct ElementType {
    /// Its name: `CodeableConcept`, `code`, `BackboneElement`.
    pub(crate) name: &'static str,
    /// JSON property name under which a value of this type stands.
    pub(crate) property: String,
    /// What a value looks like.
    pub(crate) content: Content,
    /// Of a reference: the resource types that it may lead to; none when it may lead to any.
    pub(crate) targets: Vec<&'static str>,
}

/// What a value looks like.
pub(crate) enum Content {
    /// A JSON string, number or boolean, of a closed list when one is given.
    Primitive(Primitive, Option<Vec<&'static str>>),
    /// An object with the elements of this node.
    Node(usize),
    /// Any resource.
    Resource,
}

impl Listing {
    /// The listing of a version.
    pub(crate) fn of(version: FhirVersion) -> &'static Self {
        match version {
            FhirVersion::V4_4_0 => &LISTING_4_4_0,
            FhirVersion::V5_0_0 => &LISTING_5_0_0,
        }
    }

    /// The node of a resource type or datatype.
    pub(crate) fn type_node(&self, name: &str) -> Option<&Node> {
        self.nodes.get(*self.types.get(name)?)
    }

    /// The node of a resource type of which there are resources.
    pub(crate) fn resource_node(&self, name: &str) -> Option<&Node> {
        let is_abstract = matches!(name, "Resource" | "DomainResource");
        self.type_node(name).filter(|node| node.is_resource && !is_abstract)
    }

    /// The node of a value with this content.
    pub(crate) fn node_of(&self, content: &Content) -> Option<&Node> {
        match content {
            Content::Node(index) => self.nodes.get(*index),
            Content::Primitive(..) | Content::Resource => None,
        }
    }

    /// All type names.
    #[cfg(test)]
    pub(crate) fn type_names(&self) -> impl Iterator<Item = &'static str> {
        self.types.keys().copied()
    }

    fn parse(texts: &[&'static str]) -> Self {
        let mut raw = Raw::default();
        for text in texts {
            raw.read(text);
        }
        raw.resolve()
    }
}

/// Where a member of an object stands among those of its node, in the order of the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) element: usize,
    pub(crate) kind: usize,
    /// The member whose name begins with `_`: extensions of a primitive value (FHIR "json").
    pub(crate) companion: bool,
}

impl Node {
    /// The place of the member of this name.
    pub(crate) fn place(&self, name: &str) -> Option<Place> {
        let (property, companion) = name.strip_prefix('_').map_or((name, false), |property| (property, true));
        let (element, kind) = *self.properties.get(property)?;
        let place = Place { element, kind, companion };
        let has_companion =
            || self.at(place).is_some_and(|(_, kind)| matches!(kind.content, Content::Primitive(..)));
        (!companion || has_companion()).then_some(place)
    }

    /// The element and the type at a place.
    pub(crate) fn at(&self, place: Place) -> Option<(&Element, &ElementType)> {
        let element = self.elements.get(place.element)?;
        Some((element, element.types.get(place.kind)?))
    }

    /// The element and the type that a JSON property stands for.
    pub(crate) fn property(&self, name: &str) -> Option<(&Element, &ElementType)> {
        let (element, kind) = *self.properties.get(name)?;
        let element = self.elements.get(element)?;
        Some((element, element.types.get(kind)?))
    }
}

/// What the text says before names are resolved.
#[derive(Default)]
struct Raw {
    nodes: Vec<RawNode>,
    types: HashMap<&'static str, usize>,
    paths: HashMap<String, usize>,
    codes: HashMap<&'static str, Vec<&'static str>>,
    unreadable: Vec<String>,
}

struct RawNode {
    base: &'static str,
    /// The node of the type that it is part of; the type may have been replaced by a later text.
    whole: usize,
    elements: Vec<RawElement>,
}

struct RawElement {
    name: &'static str,
    choice: bool,
    required: bool,
    repeats: bool,
    summary: bool,
    types: &'static str,
    node: Option<usize>,
}

impl Raw {
    fn read(&mut self, text: &'static str) {
        // The open nodes, outermost first: index and path.
        let mut open: Vec<(usize, String)> = Vec::new();
        for line in text.lines() {
            let content = line.trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            let depth = (line.len() - line.trim_start().len()) / 2;
            let understood = if depth == 0 {
                self.read_type(content, &mut open)
            } else {
                self.read_element(content, depth, &mut open)
            };
            if understood.is_none() {
                self.unreadable.push(line.to_owned());
            }
        }
    }

    fn read_type(&mut self, content: &'static str, open: &mut Vec<(usize, String)>) -> Option<()> {
        open.clear();
        if let Some(list) = content.strip_prefix("codes ") {
            let mut words = list.split_whitespace();
            self.codes.insert(words.next()?, words.collect());
            return Some(());
        }
        let (name, base) = content.split_once(" : ")?;
        if base == "gone" {
            self.types.remove(name);
            return Some(());
        }
        self.nodes.push(RawNode { base, whole: self.nodes.len(), elements: Vec::new() });
        self.types.insert(name, self.nodes.len() - 1);
        open.push((self.nodes.len() - 1, name.to_owned()));
        Some(())
    }

    fn read_element(
        &mut self,
        content: &'static str,
        depth: usize,
        open: &mut Vec<(usize, String)>,
    ) -> Option<()> {
        open.truncate(depth);
        let (parent, path) = open.get(depth - 1)?.clone();
        let mut words = content.split_whitespace();
        let (name, cardinality, types) = (words.next()?, words.next()?, words.next()?);
        let (cardinality, summary) = match cardinality.strip_suffix('-') {
            Some(cardinality) => (cardinality, false),
            None => (cardinality, true),
        };
        let (required, repeats) = match cardinality {
            "?" => (false, false),
            "1" => (true, false),
            "*" => (false, true),
            "+" => (true, true),
            _ => return None,
        };
        let (name, choice) = match name.strip_suffix("[x]") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let mut node = None;
        if let Some(base) = types.strip_prefix('{') {
            let base = base.strip_suffix('}')?;
            let base = if base.is_empty() { "BackboneElement" } else { base };
            self.nodes.push(RawNode { base, whole: open.first()?.0, elements: Vec::new() });
            node = Some(self.nodes.len() - 1);
            let path = format!("{path}.{name}");
            self.paths.insert(path.clone(), self.nodes.len() - 1);
            open.push((self.nodes.len() - 1, path));
        }
        let element = RawElement { name, choice, required, repeats, summary, types, node };
        self.nodes.get_mut(parent)?.elements.push(element);
        words.next().is_none().then_some(())
    }

    fn resolve(mut self) -> Listing {
        let mut unreadable = std::mem::take(&mut self.unreadable);
        let current: HashSet<usize> = self.types.values().copied().collect();
        let nodes = (0..self.nodes.len())
            .map(|index| {
                let mut node = Node::default();
                if !current.contains(&self.nodes[index].whole) {
                    return node;
                }
                self.inherit(index, &mut node, &mut unreadable, 0);
                for (at, element) in node.elements.iter().enumerate() {
                    for (kind, each) in element.types.iter().enumerate() {
                        node.properties.insert(each.property.clone(), (at, kind));
                    }
                }
                node
            })
            .collect();
        Listing { nodes, types: self.types, unreadable }
    }

    /// Adds the elements of the base, then the node's own.
    fn inherit(&self, index: usize, node: &mut Node, unreadable: &mut Vec<String>, depth: usize) {
        let Some(raw) = self.nodes.get(index) else { return };
        if raw.base != "-" {
            match self.types.get(raw.base) {
                Some(&base) if depth < 8 => self.inherit(base, node, unreadable, depth + 1),
                _ => unreadable.push(format!("unknown base {}", raw.base)),
            }
        }
        node.is_resource |= self.types.get("Resource") == Some(&index);
        let type_name =
            ["Element", "Extension"].into_iter().find(|name| self.types.get(name) == Some(&index));
        for element in &raw.elements {
            let types = match element.node {
                Some(own) => {
                    let name = if self.nodes[own].base == "Element" { "Element" } else { "BackboneElement" };
                    let (property, content) = (element.name.to_owned(), Content::Node(own));
                    vec![ElementType { name, property, content, targets: Vec::new() }]
                }
                None => element
                    .types
                    .split('|')
                    .filter_map(|kind| self.element_type(element, kind, unreadable))
                    .collect(),
            };
            node.elements.push(Element {
                name: element.name,
                choice: element.choice,
                required: element.required,
                repeats: element.repeats,
                summary: element.summary,
                attribute: matches!(
                    (element.name, type_name),
                    ("id", Some("Element")) | ("url", Some("Extension"))
                ),
                types,
            });
        }
    }

    fn element_type(
        &self,
        element: &RawElement,
        kind: &'static str,
        unreadable: &mut Vec<String>,
    ) -> Option<ElementType> {
        let mut property = element.name.to_owned();
        if let Some(path) = kind.strip_prefix('=') {
            let Some(&node) = self.paths.get(path) else {
                unreadable.push(format!("unknown path {path}"));
                return None;
            };
            let content = Content::Node(node);
            return Some(ElementType { name: "BackboneElement", property, content, targets: Vec::new() });
        }
        let (kind, targets) = match kind.split_once('(') {
            Some((kind, targets)) => (kind, targets.trim_end_matches(')').split(',').collect()),
            None => (kind, Vec::new()),
        };
        let (name, list) = match kind.split_once('{') {
            Some((name, list)) => (name, Some(list.trim_end_matches('}'))),
            None => (kind, None),
        };
        if element.choice {
            property.extend(name.chars().next().map(|first| first.to_ascii_uppercase()));
            property.push_str(&name[1..]);
        }
        let content = if name == "Resource" {
            Content::Resource
        } else if let Some(primitive) = Primitive::of(name) {
            let members = list.and_then(|list| self.codes.get(list).cloned());
            if list.is_some() != members.is_some() {
                unreadable.push(format!("unknown list {list:?}"));
            }
            Content::Primitive(primitive, members)
        } else if let Some(&node) = self.types.get(name) {
            Content::Node(node)
        } else {
            unreadable.push(format!("unknown type {name} of {}", element.name));
            return None;
        };
        Some(ElementType { name, property, content, targets })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_both_listings_is_understood() {
        for version in [FhirVersion::V4_4_0, FhirVersion::V5_0_0] {
            assert_eq!(Listing::of(version).unreadable, Vec::<String>::new(), "{version}");
        }
    }

    #[test]
    fn a_choice_has_one_property_for_each_type() {
        let node = Listing::of(FhirVersion::V5_0_0).type_node("ProductShelfLife").unwrap();
        let (element, kind) = node.property("periodDuration").unwrap();
        assert_eq!((element.name, kind.name), ("period", "Duration"));
        assert!(node.property("periodString").is_some());
        assert!(node.property("period").is_none());
    }
}
