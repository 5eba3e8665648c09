//! The rules about one resource: R3 to R5 and the invariants of the write profiles.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    ResourceKey, ResourceType,
    facts::{AuthorisationKind, authorisation_kind},
    links, resource_key,
    search::normalise,
    terms,
};

use super::Rule;

const AUTHORISED_DOSE_FORM: &str = "http://ema.europa.eu/fhir/extension/authorisedDoseForm";
/// Deeper parts are not looked at; the schema refuses such resources.
const MAX_DEPTH: usize = 64;
const DATA_ABSENT: &str = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";

/// A fault of one resource.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) rule: Rule,
    /// Where, behind the resource: `.operation[1]`.
    pub(super) place: String,
    /// What it is about, without its place: the same fault in what was shown has the same subject.
    pub(super) subject: String,
    pub(super) message: String,
}

/// Organisations by their identifiers, `system|value`: who is named in two ways is still one.
#[derive(Debug, Default)]
pub(super) struct Organisations(BTreeMap<String, ResourceKey>);

impl Organisations {
    /// Of all organisations among these resources.
    pub(super) fn of<'r>(resources: impl Iterator<Item = &'r Value>) -> Self {
        let keyed = resources.filter_map(|resource| Some((resource_key(resource)?, resource)));
        let organisations = keyed.filter(|(key, _)| key.resource_type == ResourceType::Organization);
        let named = organisations.flat_map(|(key, resource)| {
            let names = items(resource, "identifier").iter().filter_map(identifier_name);
            names.map(move |name| (name, key.clone()))
        });
        Self(named.collect())
    }

    /// How an organisation is recognised again: by its key, else by its identifier. Nothing when a reference names
    /// none: neither by a literal link to an Organization, nor by an identifier of one.
    fn named_by(&self, reference: &Value) -> Option<String> {
        let text = |name: &str| reference.get(name).and_then(Value::as_str);
        if let Some(link) = text("reference") {
            let key = links::parse_reference(link)?;
            return (key.resource_type == ResourceType::Organization).then(|| key.to_string());
        }
        if text("type").is_some_and(|kind| !kind.ends_with("Organization")) {
            return None;
        }
        let name = identifier_name(reference.get("identifier")?)?;
        Some(self.0.get(&name).map_or(name, ToString::to_string))
    }
}

/// `system|value`; nothing without a value.
fn identifier_name(identifier: &Value) -> Option<String> {
    let text = |name: &str| identifier.get(name).and_then(Value::as_str);
    Some(format!("{}|{}", terms::canonical_system(text("system").unwrap_or_default()), text("value")?))
}

/// All faults of a resource of the product `product_id`.
pub(super) fn faults(
    resource_type: ResourceType,
    resource: &Value,
    product_id: &str,
    organisations: &Organisations,
) -> Vec<Fault> {
    let mut found = Faults(Vec::new());
    match resource_type {
        ResourceType::MedicinalProductDefinition => found.product(resource, organisations),
        ResourceType::PackagedProductDefinition => found.pack(resource, product_id),
        ResourceType::ActivityDefinition => found.activity(resource),
        ResourceType::RegulatedAuthorization => found.authorisation(resource),
        _ => {}
    }
    found.restrictions(resource_type, resource);
    found.0
}

/// The elements that nobody writes.
pub(super) const fn restricted(resource_type: ResourceType) -> &'static [&'static str] {
    match resource_type {
        ResourceType::RegulatedAuthorization => &[
            "implicitRules",
            "language",
            "contained",
            "modifierExtension",
            "description",
            "indication",
            "intendedUse",
            "basis",
        ],
        _ => &["implicitRules", "language", "contained", "modifierExtension"],
    }
}

struct Faults(Vec<Fault>);

fn items<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A closed slice of identifiers.
type SliceOf = fn(&str) -> Option<&'static str>;

impl Faults {
    fn add(
        &mut self,
        rule: Rule,
        place: impl Into<String>,
        subject: &(impl ToString + ?Sized),
        message: impl Into<String>,
    ) {
        let (place, subject, message) = (place.into(), subject.to_string(), message.into());
        self.0.push(Fault { rule, place, subject, message });
    }

    fn product(&mut self, product: &Value, organisations: &Organisations) {
        let has_form = items(product, "extension").iter().any(|extension| {
            let url = extension.get("url").and_then(Value::as_str).unwrap_or_default();
            terms::canonical_system(url) == AUTHORISED_DOSE_FORM && extension.get("valueCoding").is_some()
        });
        if !has_form {
            let message =
                format!("the product has an extension {AUTHORISED_DOSE_FORM} with a Coding, at least one");
            self.add(Rule::AuthorisedDoseForm, ".extension", "", message);
        }
        self.identifiers(Rule::ProductIdentifiers, product, 3, product_slice);
        let mut seen = BTreeSet::new();
        for (index, operation) in items(product, "operation").iter().enumerate() {
            self.operation(index, operation, organisations, &mut seen);
        }
    }

    fn operation(
        &mut self,
        index: usize,
        operation: &Value,
        organisations: &Organisations,
        seen: &mut BTreeSet<(String, String)>,
    ) {
        let place = format!(".operation[{index}]");
        let kind = operation.get("type");
        let reference = kind.and_then(|kind| kind.pointer("/reference/reference")?.as_str());
        let manufacturers = items(operation, "organization");
        if let Some(kind) = kind
            && !reference.is_some_and(is_activity)
        {
            let message =
                "the type of an operation refers to an ActivityDefinition of the product or of this Bundle";
            self.add(Rule::OperationActivity, format!("{place}.type"), kind, message);
        }
        match (kind, manufacturers.is_empty()) {
            (Some(kind), true) => {
                let message = "an operation has at least one manufacturer in operation.organization";
                self.add(Rule::R4, &place, kind, message);
            }
            (None, false) => {
                let message =
                    "a manufacturer stands here without its operation; operation.type says which it is";
                self.add(Rule::R5, &place, &format!("{manufacturers:?}"), message);
            }
            _ => {}
        }
        let name = kind.map_or_else(
            || format!("#{index}"),
            |kind| reference.map_or_else(|| kind.to_string(), str::to_owned),
        );
        for (at, manufacturer) in manufacturers.iter().enumerate() {
            let place = format!("{place}.organization[{at}]");
            let Some(who) = organisations.named_by(manufacturer) else {
                let message =
                    "a manufacturer is a reference to an Organization, or its identifier; this names none";
                self.add(Rule::R4, place, &format!("{name} {manufacturer}"), message);
                continue;
            };
            if !seen.insert((name.clone(), who.clone())) {
                let message = format!("{who} is a manufacturer of this operation already; name each once");
                self.add(Rule::R3, place, &format!("{name} {who}"), message);
            }
        }
    }

    fn identifiers(&mut self, rule: Rule, resource: &Value, most: usize, slice_of: SliceOf) {
        let identifiers = items(resource, "identifier");
        let mut slices = BTreeSet::new();
        for (index, identifier) in identifiers.iter().enumerate() {
            let system = identifier.get("system").and_then(Value::as_str).unwrap_or_default();
            let place = format!(".identifier[{index}]");
            match slice_of(&terms::canonical_system(system)) {
                None => {
                    let message =
                        format!("identifiers of the system {:?} are not written here", clip(system));
                    self.add(rule, place, identifier, message);
                }
                Some(slice) if !slices.insert(slice) && slice != DATA_CARRIER => {
                    self.add(
                        rule,
                        place,
                        identifier,
                        format!("there is one identifier for {slice}, not two"),
                    );
                }
                Some(_) => {}
            }
        }
        if identifiers.len() > most {
            let message = format!("there are {} identifiers, and {most} are allowed", identifiers.len());
            self.add(rule, ".identifier", &identifiers.len(), message);
        }
    }

    fn pack(&mut self, pack: &Value, product_id: &str) {
        self.identifiers(Rule::PackIdentifiers, pack, 2, pack_slice);
        let carriers: Vec<(usize, &Value)> = items(pack, "identifier")
            .iter()
            .enumerate()
            .filter(|(_, identifier)| {
                let system = identifier.get("system").and_then(Value::as_str).unwrap_or_default();
                pack_slice(&terms::canonical_system(system)) == Some(DATA_CARRIER)
            })
            .collect();
        for (index, identifier) in carriers.iter().skip(1) {
            let message = "a pack has one data carrier: a GS1, a pharmacy or a national trade number";
            self.add(
                Rule::OnlyOneDataCarrierIdentifier,
                format!(".identifier[{index}]"),
                identifier,
                message,
            );
        }
        let products = items(pack, "packageFor");
        let own =
            products.first().and_then(|product| links::parse_reference(product.get("reference")?.as_str()?));
        let is_own = own.is_some_and(|key| {
            key.resource_type == ResourceType::MedicinalProductDefinition && key.id == product_id
        });
        if products.len() != 1 || !is_own {
            let message = "packageFor is one reference, to the product of this merge";
            self.add(Rule::PackageFor, ".packageFor", &format!("{products:?}"), message);
        }
    }

    fn activity(&mut self, activity: &Value) {
        let status = activity.get("status").and_then(Value::as_str).unwrap_or_default();
        if status != "active" {
            let message = format!("the status of an activity is active, not {:?}", clip(status));
            self.add(Rule::ActivityStatus, ".status", status, message);
        }
        if activity.get("code").is_none() {
            self.add(Rule::ActivityCode, ".code", "", "code says which manufacturing activity it is");
        }
        let participants = items(activity, "participant");
        let organisation = |participant: &Value| {
            let reference = participant.get("typeReference")?;
            let literal = reference.get("reference").and_then(Value::as_str).and_then(links::parse_reference);
            let logical = reference.get("identifier").is_some();
            (literal.is_some_and(|key| key.resource_type == ResourceType::Organization) || logical)
                .then_some(())
        };
        if participants.len() != 1 || organisation(&participants[0]).is_none() {
            let message =
                "an activity has one participant, whose typeReference is the manufacturing Organization";
            self.add(Rule::ActivityParticipant, ".participant", &format!("{participants:?}"), message);
        }
    }

    fn authorisation(&mut self, authorisation: &Value) {
        self.identifiers(Rule::AuthorisationIdentifiers, authorisation, 3, authorisation_slice);
        if authorisation_kind(authorisation) != AuthorisationKind::Manufacturing {
            return;
        }
        for (name, rule, what) in [
            ("regulator", Rule::RegulatorIsMandatory, "a regulator"),
            ("validityPeriod", Rule::ValidityPeriodIsMandatory, "a validity period"),
        ] {
            match authorisation.get(name) {
                None => {
                    let message = format!("a manufacturing authorisation has {what}");
                    self.add(rule, format!(".{name}"), "", message);
                }
                Some(value) if is_placeholder(value) => self.placeholder(&format!(".{name}"), value),
                Some(_) => {}
            }
        }
        for (name, rule) in [("region", Rule::RegionIsEmpty), ("statusDate", Rule::StatusDateIsEmpty)] {
            if let Some(value) = authorisation.get(name) {
                let message = format!("a manufacturing authorisation has no {name}; leave it out");
                self.add(rule, format!(".{name}"), value, message);
            }
        }
        for (index, identifier) in items(authorisation, "identifier").iter().enumerate() {
            let text = identifier.get("value").and_then(Value::as_str).unwrap_or_default();
            if text.eq_ignore_ascii_case("placeholder")
                || identifier.get("_value").is_some_and(is_placeholder)
            {
                self.placeholder(&format!(".identifier[{index}]"), identifier);
            }
        }
    }

    fn placeholder(&mut self, place: &str, value: &Value) {
        let message = "a placeholder is taken for the time being; send the value when it is known";
        self.add(Rule::Placeholder, place, value, message);
    }

    fn restrictions(&mut self, resource_type: ResourceType, resource: &Value) {
        for name in restricted(resource_type) {
            if let Some(value) = resource.get(name) {
                let message = format!("{name} cannot be written; leave it out, or send it as it was read");
                self.add(Rule::Restrictions, format!(".{name}"), &format!("{name} {value}"), message);
            }
        }
        for (name, value) in resource.as_object().into_iter().flatten() {
            self.modifiers(value, &format!(".{name}"), 0);
        }
    }

    /// Modifiers within elements: who does not see one does not see what it modifies, and would lose it.
    fn modifiers(&mut self, value: &Value, place: &str, depth: usize) {
        match value {
            Value::Object(fields) if depth < MAX_DEPTH => {
                for (name, inner) in fields {
                    let place = format!("{place}.{name}");
                    if name == "modifierExtension" {
                        let message =
                            "modifierExtension cannot be written; leave it out, or send it as it was read";
                        self.add(Rule::Restrictions, &place, &format!("{name} {inner}"), message);
                    }
                    self.modifiers(inner, &place, depth + 1);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.modifiers(item, &format!("{place}[{index}]"), depth);
                }
            }
            _ => {}
        }
    }
}

/// A reference to an ActivityDefinition, or to something new in the Bundle, whose type is checked there.
fn is_activity(text: &str) -> bool {
    text.starts_with("urn:uuid:")
        || links::parse_reference(text)
            .is_some_and(|key| key.resource_type == ResourceType::ActivityDefinition)
}

/// Whether an authorisation says, in any of its words, that it is one to market a product.
pub(super) fn says_marketing(authorisation: &Value) -> bool {
    let kind = authorisation.get("type");
    let coded = kind.is_some_and(|kind| {
        terms::codes_in_list(kind, terms::ENTITLEMENT_TYPE).any(|code| code == terms::MARKETING_AUTHORISATION)
    });
    let mut words = kind.into_iter().flat_map(|kind| {
        let displays = terms::codings(kind).filter_map(|coding| coding.get("display")?.as_str());
        displays.chain(kind.get("text").and_then(Value::as_str))
    });
    let marketing = |word: &str| normalise(word).starts_with("marketing");
    let numbered = items(authorisation, "identifier").iter().any(|identifier| {
        let system = identifier.get("system").and_then(Value::as_str).unwrap_or_default();
        authorisation_slice(&terms::canonical_system(system)) == Some(MARKETING_NUMBER)
    });
    coded || numbered || words.any(marketing)
}

/// Nothing but the statement that the value is missing.
fn is_placeholder(value: &Value) -> bool {
    value
        .as_object()
        .is_some_and(|fields| fields.keys().all(|name| matches!(name.as_str(), "extension" | "id")))
        && items(value, "extension").iter().any(|extension| extension.get("url") == Some(&DATA_ABSENT.into()))
}

const DATA_CARRIER: &str = "data carriers";
const MARKETING_NUMBER: &str = "the marketing authorisation";

fn product_slice(system: &str) -> Option<&'static str> {
    Some(match system {
        "http://ema.europa.eu/fhir/mpId" => "the MPID",
        "http://ema.europa.eu/fhir/pmsId" | "http://spor.azure-api.net/pms/api/v2" => "the PMS id",
        "http://spor.ema.europa.eu/v1/lists/100000000009/terms/100000075665" => "the EV code",
        _ => return None,
    })
}

fn pack_slice(system: &str) -> Option<&'static str> {
    let name = system.rsplit('/').next().unwrap_or_default();
    Some(match name {
        "pcId" if system == "http://ema.europa.eu/fhir/pcId" => "the PCID",
        "gtin"
        | "gs1"
        | "dataCarrierIdentifier"
        | "pharmacyNumber"
        | "nationalTradeNumber"
        | "national-trade-number" => DATA_CARRIER,
        _ => return None,
    })
}

fn authorisation_slice(system: &str) -> Option<&'static str> {
    Some(match system.strip_prefix("http://ema.europa.eu/fhir/")? {
        "marketingAuthorizationNumber" => MARKETING_NUMBER,
        "manufacturingAuthorizationNumber" => "the manufacturing authorisation",
        "eudraGmpNumber" => "EudraGMDP",
        _ => return None,
    })
}

fn clip(text: &str) -> String {
    text.chars().take(80).collect()
}
