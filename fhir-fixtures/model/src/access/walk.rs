//! Walking one resource along the rules of the matrix: what of it a column sees.
//!
//! The walk fails closed: an element without a row, an unknown element, an extension without a row, a contained
//! resource and a narrative are for cleared columns only. When a required child goes, its parent goes.

mod contained;
mod extension;
mod journal;
mod remainder;

use std::{borrow::Cow, collections::HashSet};

use pms_terms::FhirVersion;
use serde_json::{Map, Value};

use crate::{
    ResourceType, links,
    schema::{Content, Element, ElementType, Listing, Node},
};

use super::{
    Decision, Outcome,
    condition::{Place, in_class, permits},
    context::Context,
    matrix::{Row, Rules},
    merge::MARK,
    tag::tag_subsetted,
};
use remainder::{Items, Members, value_of};

/// Deeper trees are cut off; the schema refuses them at import.
const MAX_DEPTH: usize = 80;
/// Elements of every resource that `Type.*` does not stand for.
const OF_EVERY_RESOURCE: [&str; 6] = ["id", "meta", "implicitRules", "language", "text", "contained"];

static NULL: Value = Value::Null;
static NO_RULES: Rules = Rules::new();

/// What is left of a resource: itself when nothing is missing.
pub(super) struct Walked<'v> {
    pub(super) value: Cow<'v, Value>,
    /// How many elements are missing from it.
    pub(super) removed: usize,
}

/// Whether the column sees resources like this at all.
pub(super) fn resource_gate(context: &Context<'_>, resource: &Value, old: bool) -> bool {
    let place = Place { values: &[resource], old };
    resource_row(context, resource, old)
        .map_or_else(|| context.is_cleared(), |row| permits(context, row, place))
}

/// Which row says so.
pub(super) fn resource_rule(context: &Context<'_>, resource: &Value) -> String {
    resource_row(context, resource, false)
        .map_or_else(|| format!("{}: no row", type_name(resource)), Row::name)
}

fn resource_row<'c>(context: &Context<'c>, resource: &Value, old: bool) -> Option<&'c Row> {
    let place = Place { values: &[resource], old };
    context.matrix.rules(type_name(resource)).rows.iter().find(|row| in_class(context, row, place))
}

fn type_name(resource: &Value) -> &str {
    resource.get("resourceType").and_then(Value::as_str).unwrap_or_default()
}

/// Filters one resource, adding to the journal, when there is one, which row decided what. `None` when nothing may
/// be seen of it.
pub(super) fn walk<'v>(
    context: &Context<'_>,
    resource: &'v Value,
    old: bool,
    journal: Option<&mut Vec<Decision>>,
) -> Option<Walked<'v>> {
    if !resource_gate(context, resource, old) {
        return None;
    }
    let mut walk = Walk::new(context, old, journal);
    let mut value = walk.resource(resource)?;
    let removed = walk.removed;
    if removed > 0 {
        tag_subsetted(value.to_mut());
    }
    Some(Walked { value, removed })
}

/// The resource as the column sees it, without the tag; with `marks` every array item says where it stood.
pub(super) fn bare(context: &Context<'_>, resource: &Value, marks: bool) -> Option<Value> {
    if !resource_gate(context, resource, false) {
        return None;
    }
    let mut walk = Walk::new(context, false, None);
    walk.marks = marks;
    walk.resource(resource).map(Cow::into_owned)
}

/// The resource as the column sees it, but for links: they stay, wherever they lead.
pub(super) fn with_all_links(context: &Context<'_>, resource: &Value) -> Option<Value> {
    if !resource_gate(context, resource, false) {
        return None;
    }
    let mut walk = Walk::new(context, false, None);
    walk.all_links = true;
    walk.resource(resource).map(Cow::into_owned)
}

/// What an element without rows of its own takes over from above.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inherited {
    /// A row above opened it.
    Open,
    /// No row speaks of it: for cleared columns only.
    Closed,
}

struct Walk<'c, 'v, 'j> {
    context: &'c Context<'c>,
    listing: &'static Listing,
    old: bool,
    values: Vec<&'v Value>,
    path: Vec<(&'static str, Option<usize>)>,
    /// The objects that are open, with their rules.
    frames: Vec<(&'static Node, &'c Rules)>,
    kept_contained: HashSet<&'v str>,
    /// Note in each array item where it stood, for merging.
    marks: bool,
    /// Leave links as they are, wherever they lead.
    all_links: bool,
    /// How many things were taken away.
    removed: usize,
    journal: Option<&'j mut Vec<Decision>>,
}

impl<'c, 'v, 'j> Walk<'c, 'v, 'j> {
    fn new(context: &'c Context<'c>, old: bool, journal: Option<&'j mut Vec<Decision>>) -> Self {
        Self {
            context,
            listing: Listing::of(FhirVersion::V5_0_0),
            old,
            values: Vec::new(),
            path: Vec::new(),
            frames: Vec::new(),
            kept_contained: HashSet::new(),
            marks: false,
            all_links: false,
            removed: 0,
            journal,
        }
    }

    fn resource(&mut self, resource: &'v Value) -> Option<Cow<'v, Value>> {
        let object = resource.as_object()?;
        let type_name = object.get("resourceType")?.as_str()?;
        let Some(node) = self.listing.type_node(type_name).filter(|node| node.is_resource) else {
            return self.context.is_cleared().then_some(Cow::Borrowed(resource));
        };
        let rules = self.context.matrix.rules(type_name);
        self.values.push(resource);
        let contained = object.get("contained").and_then(|items| self.contained(items, rules));
        let out = self.object(object, node, rules, Inherited::Closed);
        self.values.pop();
        let mut out = out?;
        if let Some(contained) = contained {
            let out = out.to_mut();
            out.insert("contained".to_owned(), contained);
            contained::drop_unmentioned(object, out);
        }
        if self.removed > 0 && out.contains_key("text") {
            out.to_mut().shift_remove("text");
        }
        Some(value_of(resource, out))
    }

    fn object(
        &mut self,
        object: &'v Map<String, Value>,
        node: &'static Node,
        rules: &'c Rules,
        inherited: Inherited,
    ) -> Option<Cow<'v, Map<String, Value>>> {
        if self.frames.len() > MAX_DEPTH {
            self.hide("", "nested too deep");
            return None;
        }
        self.frames.push((node, rules));
        let out = self.members(object, node, rules, inherited);
        self.frames.pop();
        let out = out?;
        if let Cow::Owned(out) = &out
            && let Some(lost) = lost_requirement(node, object, out)
        {
            let reason = format!("its required {lost} is hidden");
            self.hide("", &reason);
            return None;
        }
        (!out.is_empty()).then_some(out)
    }

    fn members(
        &mut self,
        object: &'v Map<String, Value>,
        node: &'static Node,
        rules: &'c Rules,
        inherited: Inherited,
    ) -> Option<Cow<'v, Map<String, Value>>> {
        let mut left = Members::of(object);
        let has_companions = object.keys().any(|name| name.starts_with('_'));
        // Decided with the value or the companion that stands before them.
        let mut decided: Vec<(&str, Option<Cow<'v, Value>>)> = Vec::new();
        for (name, value) in object {
            if node.is_resource && name == "resourceType" {
                left.keep(name, value);
                continue;
            }
            if node.is_resource && name == "contained" {
                left.leave_out();
                continue;
            }
            if let Some(at) = decided.iter().position(|(other, _)| other == name) {
                left.next(name, decided.swap_remove(at).1);
                continue;
            }
            let bare = name.strip_prefix('_').unwrap_or(name);
            let Some((element, kind)) = node.property(bare) else {
                if self.context.is_cleared() {
                    left.keep(name, value);
                } else {
                    self.hide("", "an element that FHIR does not know");
                    left.leave_out();
                }
                continue;
            };
            if kind.name == "Extension" && element.repeats {
                let (kept, lost) = self.extensions(value, element.name);
                if lost && element.name == "modifierExtension" {
                    self.hide(
                        "modifierExtension",
                        "without its modifier the element would mean something else",
                    );
                    return None;
                }
                left.next(name, kept);
                continue;
            }
            let is_primitive = matches!(kind.content, Content::Primitive(..));
            let is_companion = bare.len() < name.len();
            let other = if is_companion {
                object.get_key_value(bare)
            } else if has_companions && is_primitive {
                object.get_key_value(&format!("_{bare}"))
            } else {
                None
            };
            if is_companion && !is_primitive {
                left.leave_out();
                continue;
            }
            let beside = other.map(|(_, value)| value);
            let (plain, companion) = if is_companion { (beside, Some(value)) } else { (Some(value), beside) };
            let before = self.removed;
            let of_every = node.is_resource && OF_EVERY_RESOURCE.contains(&element.name);
            let at = Property { element, kind, rules, inherited, of_every };
            let (plain, companion) = self.property(&at, plain, companion);
            if of_every && element.name == "implicitRules" && self.removed > before {
                self.hide("", "without its implicit rules the resource would mean something else");
                return None;
            }
            let (own, beside) = if is_companion { (companion, plain) } else { (plain, companion) };
            left.next(name, own);
            decided.extend(other.map(|(name, _)| (name.as_str(), beside)));
        }
        Some(left.finish())
    }

    fn property(
        &mut self,
        at: &Property<'c>,
        plain: Option<&'v Value>,
        companion: Option<&'v Value>,
    ) -> Left<'v> {
        let name = at.kind.property.as_str();
        if !at.element.repeats {
            self.path.push((name, None));
            let kept = self.item(at, plain, companion);
            self.path.pop();
            return kept.unwrap_or((None, None));
        }
        let items =
            |value: Option<&'v Value>| value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let (plains, companions) = (items(plain), items(companion));
        let (mut left, mut left_beside) = (Items::of(plains), Items::of(companions));
        for index in 0..plains.len().max(companions.len()) {
            let of = |items: &'v [Value]| items.get(index).filter(|item| !item.is_null());
            self.path.push((name, Some(index)));
            let item = self.item(at, of(plains), of(companions));
            self.path.pop();
            let Some((mut plain, beside)) = item else {
                left.leave_out();
                left_beside.leave_out();
                continue;
            };
            if self.marks
                && let Some(Value::Object(object)) = plain.as_mut().map(Cow::to_mut)
            {
                object.insert(MARK.to_owned(), index.into());
            }
            left.next(plain);
            if companion.is_some() {
                left_beside.next(beside);
            }
        }
        (left.finish(plain), left_beside.finish(companion))
    }

    fn item(
        &mut self,
        at: &Property<'c>,
        plain: Option<&'v Value>,
        companion: Option<&'v Value>,
    ) -> Option<Left<'v>> {
        self.values.push(plain.unwrap_or(&NULL));
        let kept = self.decide(at).and_then(|(inherited, rules, entry)| {
            let before = self.removed;
            let kept = self.content(at, rules, inherited, plain, companion);
            self.amend(entry, before, kept.is_some());
            kept
        });
        self.values.pop();
        kept
    }

    /// Whether the element stays, what its children take over, and the entry in the journal.
    fn decide(&mut self, at: &Property<'c>) -> Option<(Inherited, &'c Rules, Option<usize>)> {
        let own = at.rules.child(at.element.name);
        // The same content further down, as in packaging.packaging, has the same rules.
        let recursive = self
            .frames
            .iter()
            .rev()
            .find(|(node, _)| {
                at.kind.name == "BackboneElement"
                    && self.listing.node_of(&at.kind.content).is_some_and(|own| std::ptr::eq(*node, own))
            })
            .map(|(_, rules)| *rules);
        let rows = match own {
            Some(own) => &own.rows,
            None if recursive.is_some() || at.of_every => &NO_RULES.rows,
            None => &at.rules.rest,
        };
        let rules = recursive.or(own).unwrap_or(&NO_RULES);
        if rows.is_empty() {
            let container = own.is_some() || recursive.is_some();
            if container || at.inherited == Inherited::Open {
                return Some((at.inherited, rules, None));
            }
            let reason = "no row: qualified owners and authorities only";
            if self.context.is_cleared() {
                let entry = self.note("(no row)", Outcome::Kept, reason);
                return Some((Inherited::Open, rules, entry));
            }
            self.hide("", reason);
            return None;
        }
        let Some(row) = self.row(rows) else {
            let reason = "no row for an element of this kind: qualified owners and authorities only";
            if self.context.is_cleared() {
                let entry = self.note("(no row)", Outcome::Kept, reason);
                return Some((Inherited::Open, rules, entry));
            }
            self.hide("", reason);
            return None;
        };
        if self.permits(row) {
            let entry = self.note_row(row, Outcome::Kept);
            return Some((Inherited::Open, rules, entry));
        }
        self.removed += 1;
        self.note_row(row, Outcome::Removed);
        None
    }

    fn row(&self, rows: &'c [Row]) -> Option<&'c Row> {
        rows.iter().find(|row| in_class(self.context, row, Place { values: &self.values, old: self.old }))
    }

    fn permits(&self, row: &Row) -> bool {
        permits(self.context, row, Place { values: &self.values, old: self.old })
    }

    fn content(
        &mut self,
        at: &Property<'c>,
        rules: &'c Rules,
        inherited: Inherited,
        plain: Option<&'v Value>,
        companion: Option<&'v Value>,
    ) -> Option<Left<'v>> {
        match &at.kind.content {
            Content::Primitive(..) => {
                // Within a container without a row of its own the value was decided before; its companion holds
                // extensions, which have rows of their own.
                let companion = companion.and_then(|companion| {
                    let node = self.listing.type_node("Element")?;
                    let left = self.object(companion.as_object()?, node, rules, inherited)?;
                    Some(value_of(companion, left))
                });
                let plain = plain.filter(|plain| !plain.is_array() && !plain.is_object()).map(Cow::Borrowed);
                (plain.is_some() || companion.is_some()).then_some((plain, companion))
            }
            Content::Node(_) => {
                let stored = plain?;
                let object = stored.as_object()?;
                let node = self.listing.node_of(&at.kind.content)?;
                if at.kind.name == "CodeableReference"
                    && !self.all_links
                    && let Some(reference) = object.get("reference").and_then(Value::as_object)
                    && let Some(reason) = self.hidden_product(reference)
                {
                    // Its concept is another name of the same product.
                    self.hide("", reason);
                    return None;
                }
                let kept = self.object(object, node, rules, inherited)?;
                if at.kind.name == "Reference"
                    && !self.all_links
                    && let Some(reason) = self.hidden_target(&kept)
                {
                    self.hide("", reason);
                    let kept = self.without_target(kept.into_owned())?;
                    return Some((Some(Cow::Owned(kept)), None));
                }
                Some((Some(value_of(stored, kept)), None))
            }
            Content::Resource => None,
        }
    }

    /// The same, of references to products only.
    fn hidden_product(&self, reference: &Map<String, Value>) -> Option<&'static str> {
        let text = reference.get("reference").and_then(Value::as_str);
        let to_resource = text
            .and_then(links::parse_reference)
            .is_some_and(|key| key.resource_type != ResourceType::MedicinalProductDefinition);
        if to_resource { None } else { self.context.closed_reference(reference) }
    }

    /// Why a reference must not be seen, if so.
    fn hidden_target(&self, reference: &Map<String, Value>) -> Option<&'static str> {
        let inner =
            reference.get("reference").and_then(Value::as_str).and_then(|text| text.strip_prefix('#'));
        if let Some(id) = inner {
            return (!id.is_empty() && !self.kept_contained.contains(id))
                .then_some("it points to a hidden contained resource");
        }
        self.context.closed_reference(reference)
    }
}

/// The name of a required element that an object had and what is left of it has not.
fn lost_requirement(
    node: &'static Node,
    object: &Map<String, Value>,
    left: &Map<String, Value>,
) -> Option<&'static str> {
    let present = |map: &Map<String, Value>, element: &Element| {
        element.types.iter().any(|kind| {
            map.contains_key(&kind.property)
                || (matches!(kind.content, Content::Primitive(..))
                    && map.contains_key(&format!("_{}", kind.property)))
        })
    };
    node.elements
        .iter()
        .find(|element| element.required && present(object, element) && !present(left, element))
        .map(|element| element.name)
}

/// What is left of a value, and of what stands beside it.
type Left<'v> = (Option<Cow<'v, Value>>, Option<Cow<'v, Value>>);

/// A property being decided.
struct Property<'c> {
    element: &'static Element,
    kind: &'static ElementType,
    /// The rules of the object it stands in.
    rules: &'c Rules,
    inherited: Inherited,
    of_every: bool,
}
