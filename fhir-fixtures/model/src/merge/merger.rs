//! From a transaction Bundle to a plan, or to the rules that it breaks.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    ResourceKey, ResourceType,
    access::{Column, View, column},
    facts::{AuthorisationKind, authorisation_kind},
    links,
    schema::{self, Problem},
};

use super::{
    Change, Creation, Plan, Rejection, Request, Rule,
    entry::{Entry, MAX_REJECTIONS, Method, not_yours, product_entry, read},
    invariant::{Fault, Organisations, faults, restricted, says_marketing},
    reference::{Reach, element, relative, texts},
};

/// What an authority grants and the owner of a product cannot change by writing it; who owns a product and who may
/// see it follows from these.
const fn granted(resource_type: ResourceType) -> &'static [&'static str] {
    match resource_type {
        ResourceType::MedicinalProductDefinition => &["domain", "status"],
        ResourceType::RegulatedAuthorization => &[
            "identifier",
            "subject",
            "type",
            "region",
            "status",
            "statusDate",
            "holder",
            "regulator",
            "case",
        ],
        _ => &[],
    }
}

/// Whether who sees a product by this column may write it: its holder and the agency.
pub const fn writes(column: Column) -> bool {
    matches!(column, Column::IndustryOwner | Column::IndustryOwnerQualified | Column::Ema)
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
    let view = View::new(request.matrix, column, request.facts, request.product, request.targets)
        .filter(|_| writes(column));
    let Some(view) = view else { return Err(not_yours(request.bundle)) };
    let shown = view.shown().map(|shown| shown.resource);
    let organisations = Organisations::of(shown.chain(request.organisations));
    let members = view.shown().map(|shown| shown.key.clone()).collect();
    let temporary =
        entries.iter().filter(|entry| entry.method == Method::Post).map(|entry| entry.full_url).collect();
    let base = root.full_url.strip_suffix(&root.key().to_string()).unwrap_or_default();
    let mut merger = Merger {
        request,
        column,
        view,
        base,
        organisations,
        reach: Reach { members, targets: request.targets, known: request.known, temporary },
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
    organisations: Organisations,
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
            |value: &Value| value.pointer("/meta/versionId").and_then(Value::as_str).map(str::to_owned);
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
        restore(&mut sent, &seen);
        // What was sent is judged before the filter, which would take it away without a word.
        let (wrong, known) = malformed(entry, &sent, Some(&seen));
        if !wrong.is_empty() {
            return self.rejections.extend(wrong);
        }
        if is_same(&sent, &seen) {
            return self.plan.unchanged.push((entry.index, entry.key()));
        }
        self.plan.warnings.extend(known);
        let before = self.rejections.len();
        self.links(entry, &sent, Some(&seen));
        let Some(mut body) = self.view.merge(stored, &sent) else {
            let message =
                "as it is sent you could not see it yourself; send what you read, and change only that";
            return self.reject(Rule::Restrictions, entry.expression(), message);
        };
        keep_meta(&mut body, stored);
        if is_same(&body, stored) {
            return self.plan.unchanged.push((entry.index, entry.key()));
        }
        if self.request.shared.contains(&entry.key()) {
            let message = "this stands in more than one product, and a merge of one of them does not change it; send it as \
                           it was read";
            self.reject(Rule::Shared, entry.expression(), message);
        }
        self.check(entry, &sent, Some(&seen));
        if entry.resource_type == ResourceType::RegulatedAuthorization
            && authorisation_kind(stored) != authorisation_kind(&body)
        {
            let message = "a marketing authorisation stays one, and so does a manufacturing authorisation";
            self.reject(Rule::R2, entry.expression(), message);
        }
        self.granted(entry, &sent, &seen);
        self.qualified(entry, &sent, Some(&seen));
        if self.rejections.len() == before && !malformed(entry, &body, Some(stored)).0.is_empty() {
            let message = "together with what is stored, the resource would not be valid FHIR";
            self.reject(Rule::Schema, entry.expression(), message);
        }
        self.plan.changed.push(Change { entry: entry.index, key: entry.key(), expected_version, body });
    }

    fn post(&mut self, entry: &Entry<'_>) {
        if !self.writable(entry) {
            return;
        }
        let (wrong, _) = malformed(entry, entry.resource, None);
        if !wrong.is_empty() {
            return self.rejections.extend(wrong);
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
        self.links(entry, &sent, None);
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
    /// may be a new one; nothing else is its subject, and it says nowhere that it is one of marketing.
    fn is_manufacturing(&self, authorisation: &Value) -> bool {
        let on_new = |text: &str| self.reach.temporary.contains(text);
        let on_activity = |text: &str| {
            on_new(text)
                || links::parse_reference(text)
                    .is_some_and(|key| key.resource_type == ResourceType::ActivityDefinition)
        };
        let mut subjects = subjects(authorisation);
        let any_new = subjects.clone().flatten().any(on_new);
        subjects.all(|text| text.is_some_and(on_activity))
            && !says_marketing(authorisation)
            && (any_new || authorisation_kind(authorisation) == AuthorisationKind::Manufacturing)
    }

    fn delete(&mut self, entry: &Entry<'_>) {
        let place = format!("Bundle.entry[{}].request.method", entry.index);
        let message =
            "nothing is deleted by a merge; to end a manufacturing operation, take it out of the product";
        self.reject(Rule::R2, place, message);
    }

    /// Where links lead that the caller could read back.
    fn links(&mut self, entry: &Entry<'_>, sent: &Value, seen: Option<&Value>) {
        let said = if seen.is_some() { self.view.said(sent) } else { Some(sent.clone()) };
        let refusals = self.reach.refusals(&entry.expression(), sent, &said.unwrap_or_default(), seen);
        self.rejections.extend(refusals);
    }

    /// Rules about one resource, and where its links upward lead.
    fn check(&mut self, entry: &Entry<'_>, sent: &Value, seen: Option<&Value>) {
        let place = entry.expression();
        let product_id = self.request.product.id();
        let mut known: Vec<Fault> = seen
            .map(|seen| faults(entry.resource_type, seen, product_id, &self.organisations))
            .unwrap_or_default();
        for fault in faults(entry.resource_type, sent, product_id, &self.organisations) {
            let same = |other: &Fault| other.rule == fault.rule && other.subject == fault.subject;
            let known_at = known.iter().position(same);
            let mut told = Rejection::new(fault.rule, format!("{place}{}", fault.place), fault.message);
            match known_at {
                Some(at) => {
                    known.swap_remove(at);
                    told.message.push_str(AS_BEFORE);
                    self.plan.warnings.push(told);
                }
                None if fault.rule == Rule::Placeholder => self.plan.warnings.push(told),
                None => self.rejections.push(told),
            }
        }
        self.upward(&place, sent, seen);
    }

    /// A link upward makes a resource a part of what it leads to: it must not put a part of this product into another.
    fn upward(&mut self, place: &str, sent: &Value, seen: Option<&Value>) {
        let before = seen.map(links::parents).unwrap_or_default();
        let own = self.request.product.id();
        let strange = |key: &ResourceKey| {
            key.resource_type == ResourceType::MedicinalProductDefinition
                && key.id != own
                && !before.contains(key)
        };
        if links::parents(sent).iter().any(strange) {
            let message = "this would make it a part of another product; one merge is about one product";
            self.reject(Rule::References, place, message);
        }
    }

    /// What the authorities grant stays as it is, unless the agency itself writes.
    fn granted(&mut self, entry: &Entry<'_>, sent: &Value, seen: &Value) {
        let manufacturing = entry.resource_type == ResourceType::RegulatedAuthorization
            && authorisation_kind(seen) == AuthorisationKind::Manufacturing;
        if self.column == Column::Ema || manufacturing {
            return;
        }
        for name in granted(entry.resource_type).iter().filter(|name| sent.get(*name) != seen.get(*name)) {
            let message = format!("{name} is granted by an authority; send it as it was read");
            self.reject(Rule::Granted, format!("{}.{name}", entry.expression()), message);
        }
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
            let links =
                operations.filter_map(|operation| operation.pointer("/type/reference/reference")?.as_str());
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
            let subjects = entry.resource.get("subject").and_then(Value::as_array).into_iter().flatten();
            let mut subjects = subjects.filter_map(|subject| subject.get("reference")?.as_str()).peekable();
            let is_kept = |text: &str| match links::parse_reference(text) {
                Some(key) => {
                    key.resource_type != ResourceType::ActivityDefinition || sent.contains(&key.to_string())
                }
                None => sent.contains(text),
            };
            if entry.resource_type == ResourceType::RegulatedAuthorization
                && subjects.peek().is_some()
                && !subjects.any(is_kept)
            {
                let message = "no operation of the product refers to the activity that this authorises";
                self.reject(Rule::R5, format!("{}.subject", entry.expression()), message);
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
            let version = body.pointer("/meta/versionId").and_then(Value::as_str).unwrap_or_default();
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

/// Said of a fault that the caller was shown, and so did not make.
const AS_BEFORE: &str = " (it was so before; left as it is)";

/// What the schema has against a resource: first what is new, then what was so before.
fn malformed(
    entry: &Entry<'_>,
    resource: &Value,
    before: Option<&Value>,
) -> (Vec<Rejection>, Vec<Rejection>) {
    let (mut new, mut known) = (Vec::new(), Vec::new());
    let problems = schema::check(resource);
    if problems.is_empty() {
        return (new, known);
    }
    let mut old = before.map(schema::check).unwrap_or_default();
    for problem in problems {
        let same = |other: &Problem| {
            other.message == problem.message && element(&other.path) == element(&problem.path)
        };
        let inside = problem.path.strip_prefix(entry.resource_type.as_str()).unwrap_or_default();
        let place = format!("{}{inside}", entry.expression());
        let was_so = old.iter().position(same);
        let mut told = Rejection::new(Rule::Schema, place, problem.message);
        told.code = problem.kind.issue_code();
        match was_so {
            Some(at) => {
                old.swap_remove(at);
                told.message.push_str(AS_BEFORE);
                known.push(told);
            }
            None => new.push(told),
        }
    }
    (new, known)
}

/// What cannot be written need not be sent: it is taken from what was shown.
fn restore(sent: &mut Value, seen: &Value) {
    let Some(fields) = sent.as_object_mut() else { return };
    let resource_type = crate::resource_type(seen);
    for name in resource_type.map(restricted).unwrap_or_default() {
        if let (false, Some(value)) = (fields.contains_key(*name), seen.get(name)) {
            fields.insert((*name).to_owned(), value.clone());
        }
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

/// What an authorisation is about: the link of each subject, none where it is not one by its text.
fn subjects(authorisation: &Value) -> impl Iterator<Item = Option<&str>> + Clone {
    let subjects =
        authorisation.get("subject").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    subjects.iter().map(|subject| subject.get("reference").and_then(Value::as_str))
}

/// Equal but for `meta` and the narrative, which nobody writes by merging.
fn is_same(body: &Value, stored: &Value) -> bool {
    let (Some(body), Some(stored)) = (body.as_object(), stored.as_object()) else { return body == stored };
    let content = |name: &&String| !matches!(name.as_str(), "meta" | "text");
    body.keys().filter(content).count() == stored.keys().filter(content).count()
        && body.iter().filter(|(name, _)| content(name)).all(|(name, value)| stored.get(name) == Some(value))
}
