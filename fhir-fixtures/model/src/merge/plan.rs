//! From a transaction Bundle to what is to be stored, or to the rules that it breaks.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    Product, ResourceKey, ResourceType,
    access::{AccessMatrix, Column, Targets, View, Viewer, column},
    facts::{AuthorisationKind, ProductFacts, authorisation_kind},
    links, resource_key, schema,
    tree::get,
};

use super::{
    Rejection, Rule,
    entry::{Entry, MAX_REJECTIONS, Method, product_entry, read},
    invariant::{Fault, faults},
    reference::{Reach, relative, texts},
};

/// A merge and all that decides about it.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The transaction Bundle, in FHIR 5.0.0.
    pub bundle: &'a Value,
    /// The product as stored, complete, current, with its versions in `meta`.
    pub product: &'a Product,
    /// On whose behalf. The gates have been asked.
    pub viewer: &'a Viewer,
    /// Who may see what.
    pub matrix: &'a AccessMatrix,
    /// The facts of the stored product.
    pub facts: &'a ProductFacts,
    /// Other products that the viewer may learn of.
    pub targets: &'a Targets,
    /// Those of [`super::outside`] that exist.
    pub known: &'a BTreeSet<ResourceKey>,
}

/// A new version of an existing resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Index of its entry in the Bundle.
    pub entry: usize,
    /// Its key.
    pub key: ResourceKey,
    /// The version that must still be current when the new one is stored.
    pub expected_version: String,
    /// The whole resource, hidden parts included. Its `meta` is the stored one, with the old version; links to new
    /// resources are still temporary.
    pub body: Value,
}

/// A new resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Creation {
    /// Index of its entry in the Bundle.
    pub entry: usize,
    /// Its temporary name, `urn:uuid:…`.
    pub temporary: String,
    /// Its type.
    pub resource_type: ResourceType,
    /// The whole resource, without id and `meta`; links to new resources are still temporary.
    pub body: Value,
}

/// What a merge does.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The product.
    pub product_id: String,
    /// New versions. When anything changes, the product is among them, if need be with the same content: its version
    /// guards the whole.
    pub changed: Vec<Change>,
    /// New resources.
    pub created: Vec<Creation>,
    /// Entries that say nothing new.
    pub unchanged: Vec<(usize, ResourceKey)>,
    /// What does not stand in the way, but is to be told.
    pub warnings: Vec<Rejection>,
}

/// A resource ready to be stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// Index of its entry in the Bundle.
    pub entry: usize,
    /// Its key, final.
    pub key: ResourceKey,
    /// The version it replaces; none for a new one.
    pub expected_version: Option<String>,
    /// The whole resource with its id and final links.
    pub body: Value,
}

impl Plan {
    /// Nothing would be stored.
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.created.is_empty()
    }

    /// Gives the new resources ids and everything its final links; in the order of the Bundle.
    pub fn resolve(&self, new_id: &mut dyn FnMut(ResourceType) -> String) -> Vec<Resolved> {
        let keys: BTreeMap<&str, ResourceKey> = self
            .created
            .iter()
            .map(|it| (it.temporary.as_str(), ResourceKey::new(it.resource_type, new_id(it.resource_type))))
            .collect();
        let link = |body: &Value| {
            let mut body = body.clone();
            links::map_references(&mut body, &mut |text| keys.get(text).map(ToString::to_string));
            body
        };
        let changed = self.changed.iter().map(|it| Resolved {
            entry: it.entry,
            key: it.key.clone(),
            expected_version: Some(it.expected_version.clone()),
            body: link(&it.body),
        });
        let created = self.created.iter().filter_map(|it| {
            let key = keys.get(it.temporary.as_str())?.clone();
            let mut body = link(&it.body);
            body.as_object_mut()?.shift_insert(1, "id".to_owned(), key.id.clone().into());
            Some(Resolved { entry: it.entry, key, expected_version: None, body })
        });
        let mut all: Vec<Resolved> = changed.chain(created).collect();
        all.sort_by_key(|it| it.entry);
        all
    }
}

/// Works out a merge.
///
/// # Errors
/// Every rule that it breaks, at most 100 of them.
pub fn plan(request: &Request<'_>) -> Result<Plan, Vec<Rejection>> {
    let entries = read(request.bundle)?;
    let root = product_entry(&entries)?;
    if root.id != request.product.id() {
        return Err(vec![not_a_member(root)]);
    }
    let column = column(request.viewer, request.facts);
    if !matches!(column, Column::IndustryOwner | Column::IndustryOwnerQualified | Column::Ema) {
        let message = "only the holder of the marketing authorisation and the agency write a product";
        return Err(vec![Rejection::new(Rule::Ownership, "", message)]);
    }
    let Some(view) = View::new(request.matrix, column, request.facts, request.product, request.targets)
    else {
        return Err(vec![not_a_member(root)]);
    };
    let members = view.filtered().product.resources().filter_map(resource_key).collect();
    let temporary =
        entries.iter().filter(|entry| entry.method == Method::Post).map(|entry| entry.full_url).collect();
    let base = root.full_url.strip_suffix(&root.key().to_string()).unwrap_or_default();
    let mut merger = Merger {
        request,
        column,
        view,
        base,
        reach: Reach { members, known: request.known, temporary },
        plan: Plan {
            product_id: root.id.to_owned(),
            changed: Vec::new(),
            created: Vec::new(),
            unchanged: Vec::new(),
            warnings: Vec::new(),
        },
        rejections: Vec::new(),
    };
    for entry in &entries {
        match entry.method {
            Method::Put => merger.put(entry),
            Method::Post => merger.post(entry),
            Method::Delete => merger.delete(entry),
        }
    }
    merger.activities(&entries, root);
    merger.finish(root)
}

fn not_a_member(entry: &Entry<'_>) -> Rejection {
    // One text for what does not exist, what is another's and what the caller may not see.
    let message = format!("{} does not belong to the product", entry.key());
    Rejection::new(Rule::Membership, format!("Bundle.entry[{}].request.url", entry.index), message)
}

/// What may be written; the rest is read only.
const fn is_writable(resource_type: ResourceType) -> bool {
    matches!(
        resource_type,
        ResourceType::MedicinalProductDefinition
            | ResourceType::PackagedProductDefinition
            | ResourceType::ActivityDefinition
            | ResourceType::RegulatedAuthorization
    )
}

struct Merger<'a> {
    request: &'a Request<'a>,
    column: Column,
    view: View<'a>,
    /// What absolute links to this server begin with, in the words of the sender.
    base: &'a str,
    reach: Reach<'a>,
    plan: Plan,
    rejections: Vec<Rejection>,
}

impl Merger<'_> {
    fn reject(&mut self, rule: Rule, expression: impl Into<String>, message: impl Into<String>) {
        self.rejections.push(Rejection::new(rule, expression, message));
    }

    /// Says no to types that are read only.
    fn writable(&mut self, entry: &Entry<'_>) -> bool {
        let writable = is_writable(entry.resource_type);
        if !writable {
            let message = format!(
                "a {} is read only; products, packs, activities and authorisations can be merged",
                entry.resource_type
            );
            self.reject(Rule::Writable, format!("Bundle.entry[{}]", entry.index), message);
        }
        writable
    }

    fn put(&mut self, entry: &Entry<'_>) {
        if !self.writable(entry) {
            return;
        }
        let stored = self.request.product.find(&entry.key());
        let Some((stored, seen)) = stored.and_then(|stored| Some((stored, self.view.resource(stored)?)))
        else {
            return self.rejections.push(not_a_member(entry));
        };
        let version =
            |value: &Value| get(value, &["meta", "versionId"]).and_then(Value::as_str).map(str::to_owned);
        let expected_version = version(stored).unwrap_or_default();
        let sent_version = version(entry.resource);
        if sent_version.as_deref() != Some(&expected_version) {
            let message = match sent_version {
                Some(sent) => format!(
                    "version {:?} was sent and {expected_version:?} is stored; read again and repeat the change",
                    sent.chars().take(20).collect::<String>()
                ),
                None => {
                    "meta.versionId says on which version the change was made; send the one that was read"
                        .to_owned()
                }
            };
            let place = format!("{}.meta.versionId", entry.expression());
            return self.reject(Rule::R1, place, message);
        }
        let mut sent = entry.resource.clone();
        relative(&mut sent, self.base);
        let mut body = self.view.merge(stored, &sent);
        keep_meta(&mut body, stored);
        if is_same(&body, stored) {
            return self.plan.unchanged.push((entry.index, entry.key()));
        }
        let before = self.rejections.len();
        self.check(entry, &sent, Some(&seen));
        if entry.resource_type == ResourceType::RegulatedAuthorization
            && authorisation_kind(stored) != authorisation_kind(&body)
        {
            let message = "a marketing authorisation stays one, and so does a manufacturing authorisation";
            self.reject(Rule::R2, entry.expression(), message);
        }
        self.qualified(entry, &sent, Some(&seen));
        if self.rejections.len() == before && !schema::check(&body).is_empty() {
            let message = "together with what is stored, the resource would not be valid FHIR";
            self.reject(Rule::Schema, entry.expression(), message);
        }
        self.plan.changed.push(Change { entry: entry.index, key: entry.key(), expected_version, body });
    }

    fn post(&mut self, entry: &Entry<'_>) {
        if !self.writable(entry) {
            return;
        }
        let manufacturing = entry.resource_type == ResourceType::ActivityDefinition
            || (entry.resource_type == ResourceType::RegulatedAuthorization
                && self.is_manufacturing(entry.resource));
        if !manufacturing {
            let message = "only activities and manufacturing authorisations are created by a merge; products, packs \
                           and marketing authorisations come from the procedures that grant them";
            let place = format!("Bundle.entry[{}].request.method", entry.index);
            return self.reject(Rule::R2, place, message);
        }
        let mut sent = entry.resource.clone();
        relative(&mut sent, self.base);
        self.check(entry, &sent, None);
        self.qualified(entry, &sent, None);
        if entry.resource_type == ResourceType::RegulatedAuthorization {
            if sent.get("meta").is_some() {
                let message = "meta cannot be written; leave it out of a new authorisation";
                self.reject(Rule::Restrictions, format!("{}.meta", entry.expression()), message);
            }
            let subjects =
                sent.get("subject").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            if subjects.is_empty() {
                let message = "a manufacturing authorisation has an activity of the product as its subject";
                self.reject(Rule::R5, format!("{}.subject", entry.expression()), message);
            }
        }
        if let Some(fields) = sent.as_object_mut() {
            fields.shift_remove("id");
            fields.shift_remove("meta");
        }
        self.plan.created.push(Creation {
            entry: entry.index,
            temporary: entry.full_url.to_owned(),
            resource_type: entry.resource_type,
            body: sent,
        });
    }

    /// A new authorisation is one of manufacturing when it has such a number or an activity as its subject, which
    /// may be a new one.
    fn is_manufacturing(&self, authorisation: &Value) -> bool {
        let subjects =
            authorisation.get("subject").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let on_new = subjects
            .iter()
            .filter_map(|subject| subject.get("reference")?.as_str())
            .any(|text| self.reach.temporary.contains(text));
        let marketing = authorisation.get("type").is_some_and(|kind| {
            crate::terms::codes_in_list(kind, crate::terms::ENTITLEMENT_TYPE)
                .any(|code| code == crate::terms::MARKETING_AUTHORISATION)
        });
        !marketing && (on_new || authorisation_kind(authorisation) == AuthorisationKind::Manufacturing)
    }

    fn delete(&mut self, entry: &Entry<'_>) {
        let place = format!("Bundle.entry[{}].request.method", entry.index);
        let message =
            "nothing is deleted by a merge; to end a manufacturing operation, take it out of the product";
        self.reject(Rule::R2, place, message);
    }

    /// Schema, rules about one resource, links.
    fn check(&mut self, entry: &Entry<'_>, sent: &Value, seen: Option<&Value>) {
        let place = entry.expression();
        let problems = schema::check(sent);
        if !problems.is_empty() {
            for problem in problems {
                let inside = problem.path.strip_prefix(entry.resource_type.as_str()).unwrap_or_default();
                let mut rejection = Rejection::new(Rule::Schema, format!("{place}{inside}"), problem.message);
                rejection.code = problem.kind.issue_code();
                self.rejections.push(rejection);
            }
            return;
        }
        let product_id = self.request.product.id();
        let mut known: Vec<Fault> =
            seen.map(|seen| faults(entry.resource_type, seen, product_id)).unwrap_or_default();
        for fault in faults(entry.resource_type, sent, product_id) {
            let same = |other: &Fault| other.rule == fault.rule && other.subject == fault.subject;
            let known_at = known.iter().position(same);
            let mut told = Rejection::new(fault.rule, format!("{place}{}", fault.place), fault.message);
            match known_at {
                Some(at) => {
                    known.swap_remove(at);
                    told.message.push_str(" (it was so before; left as it is)");
                    self.plan.warnings.push(told);
                }
                None if fault.rule == Rule::Placeholder => self.plan.warnings.push(told),
                None => self.rejections.push(told),
            }
        }
        self.rejections.extend(self.reach.refusals(&place, sent, seen));
    }

    /// Manufacturing is for the qualified and the agency.
    fn qualified(&mut self, entry: &Entry<'_>, sent: &Value, seen: Option<&Value>) {
        if matches!(self.column, Column::IndustryOwnerQualified | Column::Ema) {
            return;
        }
        let touched = match entry.resource_type {
            ResourceType::ActivityDefinition => true,
            ResourceType::RegulatedAuthorization => {
                seen.is_none_or(|seen| authorisation_kind(seen) == AuthorisationKind::Manufacturing)
            }
            ResourceType::MedicinalProductDefinition => {
                seen.is_some_and(|seen| seen.get("operation") != sent.get("operation"))
            }
            _ => false,
        };
        if touched {
            let message =
                "manufacturers are commercially sensitive: this needs a client with the qualified flag";
            self.reject(Rule::Qualified, entry.expression(), message);
        }
    }

    /// R5 over the whole Bundle: a new activity stands in an operation of the product, and a new authorisation on an
    /// activity. What leaves its last operation is told of.
    fn activities(&mut self, entries: &[Entry<'_>], root: &Entry<'_>) {
        let operations = |product: &Value| -> BTreeSet<String> {
            let operations = product.get("operation").and_then(Value::as_array).into_iter().flatten();
            let links = operations
                .filter_map(|operation| get(operation, &["type", "reference", "reference"])?.as_str());
            links
                .map(|text| {
                    links::parse_reference(text).map_or_else(|| text.to_owned(), |key| key.to_string())
                })
                .collect()
        };
        let sent = operations(root.resource);
        let shown =
            self.view.resource(&self.request.product.root).map(|seen| operations(&seen)).unwrap_or_default();
        let new: Vec<&Entry<'_>> = entries.iter().filter(|entry| entry.method == Method::Post).collect();
        for entry in &new {
            if entry.resource_type == ResourceType::ActivityDefinition && !sent.contains(entry.full_url) {
                let message =
                    "this activity names a manufacturer, and no operation of the product refers to it";
                self.reject(Rule::R5, entry.expression(), message);
            }
        }
        let types: BTreeMap<&str, ResourceType> =
            new.iter().map(|entry| (entry.full_url, entry.resource_type)).collect();
        let mut wrong = Vec::new();
        for entry in entries {
            for (path, text) in texts(entry.resource) {
                let due = match entry.resource_type {
                    ResourceType::MedicinalProductDefinition => path.starts_with(".operation"),
                    ResourceType::RegulatedAuthorization => path.starts_with(".subject"),
                    _ => false,
                };
                let fits =
                    types.get(text).is_none_or(|kind| due && *kind == ResourceType::ActivityDefinition);
                if !fits {
                    wrong.push((entry.index, format!("{}{path}", entry.expression())));
                }
            }
        }
        for (_, place) in wrong {
            let message = "new activities are linked to as the type of an operation and as the subject of an authorisation";
            self.reject(Rule::References, place, message);
        }
        if self.plan.changed.iter().any(|change| change.entry == root.index) {
            for key in shown.difference(&sent) {
                let message =
                    format!("{key} is in no operation any more and will not be shown with the product");
                let place = format!("{}.operation", root.expression());
                self.plan.warnings.push(Rejection::new(Rule::Detached, place, message));
            }
        }
    }

    fn finish(mut self, root: &Entry<'_>) -> Result<Plan, Vec<Rejection>> {
        if !self.rejections.is_empty() {
            self.rejections.truncate(MAX_REJECTIONS);
            return Err(self.rejections);
        }
        if !self.plan.is_empty() && self.plan.changed.iter().all(|change| change.entry != root.index) {
            self.plan.unchanged.retain(|(entry, _)| *entry != root.index);
            let body = self.request.product.root.clone();
            let version = get(&body, &["meta", "versionId"]).and_then(Value::as_str).unwrap_or_default();
            self.plan.changed.push(Change {
                entry: root.index,
                key: root.key(),
                expected_version: version.to_owned(),
                body,
            });
            self.plan.changed.sort_by_key(|change| change.entry);
        }
        Ok(self.plan)
    }
}

/// `meta` is the server's: whatever was sent, the stored one stays.
fn keep_meta(body: &mut Value, stored: &Value) {
    let Some(fields) = body.as_object_mut() else { return };
    match stored.get("meta") {
        Some(meta) => {
            fields.insert("meta".to_owned(), meta.clone());
        }
        None => {
            fields.shift_remove("meta");
        }
    }
}

/// Equal but for the narrative, which nobody writes by merging.
fn is_same(body: &Value, stored: &Value) -> bool {
    let (Some(body), Some(stored)) = (body.as_object(), stored.as_object()) else { return body == stored };
    let content = |name: &&String| name.as_str() != "text";
    body.keys().filter(content).count() == stored.keys().filter(content).count()
        && body.iter().filter(|(name, _)| content(name)).all(|(name, value)| stored.get(name) == Some(value))
}
