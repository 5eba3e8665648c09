//! What a product is, for the purpose of deciding who may see it: domain, record status, authorisations, owners.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
};

use pms_terms::{Domains, LocationId, OrganisationId};
use serde_json::Value;

use crate::{
    Product, ResourceKey, ResourceType, links, resource_key, resource_type,
    terms::{self, codes_in_list, list_number},
};

/// Record status of a product (RMS list 200000005003).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordStatus {
    /// In use.
    Current,
    /// Not yet final.
    Provisional,
    /// Replaced or out of use.
    NonCurrent,
    /// Entered in error.
    Nullified,
    /// Absent or no term of the list: treated as the most restricted.
    Missing,
}

/// Status of an authorisation (RMS list 100000072049).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AuthorisationStatus {
    /// In force.
    Valid,
    /// In force, renewed or varied.
    Renewed,
    /// In force, transferred to its present holder.
    Transferred,
    /// Harmonised between member states.
    Harmonised,
    /// In existence, not usable for the time being.
    Suspended,
    /// Ended by time.
    Expired,
    /// Ended because nobody renewed it.
    NotRenewed,
    /// Ended at the holder's wish.
    Withdrawn,
    /// Ended by the authority.
    Revoked,
    /// Ended because never used.
    Sunset,
    /// Given back.
    Surrendered,
    /// Applied for.
    Pending,
    /// Refused.
    Rejected,
    /// Announced, not yet applied for.
    PreSubmission,
    /// Absent or no term of the list: treated as the most restricted.
    Missing,
}

impl AuthorisationStatus {
    /// All statuses.
    pub const ALL: [Self; 15] = [
        Self::Valid,
        Self::Renewed,
        Self::Transferred,
        Self::Harmonised,
        Self::Suspended,
        Self::Expired,
        Self::NotRenewed,
        Self::Withdrawn,
        Self::Revoked,
        Self::Sunset,
        Self::Surrendered,
        Self::Pending,
        Self::Rejected,
        Self::PreSubmission,
        Self::Missing,
    ];

    /// Valid in the sense of the public gate (G1): Valid, Renewed or varied, Transferred.
    pub const fn is_valid(self) -> bool {
        matches!(self, Self::Valid | Self::Renewed | Self::Transferred)
    }

    /// Never granted (G2): pending, rejected, before submission; a missing status counts as such.
    pub const fn is_tentative(self) -> bool {
        matches!(self, Self::Pending | Self::Rejected | Self::PreSubmission | Self::Missing)
    }

    /// Granted once, not in force now.
    pub const fn is_ended(self) -> bool {
        matches!(
            self,
            Self::Expired
                | Self::NotRenewed
                | Self::Withdrawn
                | Self::Revoked
                | Self::Sunset
                | Self::Surrendered
        )
    }

    /// The name in `access-levels.toml` and in explanations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Renewed => "renewed",
            Self::Transferred => "transferred",
            Self::Harmonised => "harmonised",
            Self::Suspended => "suspended",
            Self::Expired => "expired",
            Self::NotRenewed => "not-renewed",
            Self::Withdrawn => "withdrawn",
            Self::Revoked => "revoked",
            Self::Sunset => "sunset",
            Self::Surrendered => "surrendered",
            Self::Pending => "pending",
            Self::Rejected => "rejected",
            Self::PreSubmission => "pre-submission",
            Self::Missing => "missing",
        }
    }

    fn of_code(code: &str) -> Option<Self> {
        Some(match code {
            "100000072099" => Self::Valid,
            "200000017708" => Self::Renewed,
            "200000017707" => Self::Transferred,
            "200000029967" => Self::Harmonised,
            "100000072122" => Self::Suspended,
            "100000072100" => Self::Expired,
            "100000072112" => Self::NotRenewed,
            "100000072113" => Self::Withdrawn,
            "100000072121" => Self::Revoked,
            "100000072123" => Self::Sunset,
            "200000010409" => Self::Surrendered,
            "220000000066" => Self::Pending,
            "220000000067" => Self::Rejected,
            "200000026056" => Self::PreSubmission,
            _ => return None,
        })
    }
}

/// What an authorisation allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AuthorisationKind {
    /// To place the product on the market.
    Marketing,
    /// To carry out a manufacturing operation.
    Manufacturing,
    /// Anything else, an orphan designation for instance; has no row in the matrix and so the default of it.
    Other,
}

/// Who holds an authorisation, as far as its text says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    /// An organisation of OMS.
    Organisation(OrganisationId),
    /// A location of OMS, and the organisation it belongs to when that is known.
    Location {
        /// The location named.
        location: LocationId,
        /// Its organisation.
        organisation: Option<OrganisationId>,
    },
    /// A holder without an id of OMS.
    Unresolved,
}

impl Holder {
    /// The organisation, if known.
    pub const fn organisation(&self) -> Option<&OrganisationId> {
        match self {
            Self::Organisation(organisation) | Self::Location { organisation: Some(organisation), .. } => {
                Some(organisation)
            }
            Self::Location { organisation: None, .. } | Self::Unresolved => None,
        }
    }
}

/// One marketing authorisation of a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarketingAuthorisation {
    /// Id of the RegulatedAuthorization.
    pub id: String,
    /// Its status.
    pub status: AuthorisationStatus,
    /// Its holder, when it names one.
    pub holder: Option<Holder>,
}

/// What decides about a product as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductFacts {
    /// Human, veterinary, both; none when missing, which matches nobody's scope (G3, fail closed).
    pub domains: Domains,
    /// Status of the record.
    pub record_status: RecordStatus,
    /// All marketing authorisations, of the product and of its packs.
    pub authorisations: Vec<MarketingAuthorisation>,
    /// The organisations that own the product: holders of its current marketing authorisations.
    pub owners: BTreeSet<OrganisationId>,
    /// Authorised by the centralised procedure: an `EU/1/` or `EU/2/` number, or the procedure type says so.
    pub centrally_authorised: bool,
}

/// Reads the facts off a complete product. `resolve_location` answers from the register of locations.
///
/// Current authorisations are those in existence (in force or suspended). A product that has none of them belongs
/// to whoever applied; one that has only ended ones, to the last holders.
pub fn facts(
    product: &Product,
    resolve_location: &dyn Fn(&LocationId) -> Option<OrganisationId>,
) -> ProductFacts {
    let organisations: HashMap<ResourceKey, &Value> = organisations(product);
    let mut authorisations = Vec::new();
    let mut centrally_authorised = false;
    for resource in marketing_authorisations(product) {
        let status = authorisation_status(resource);
        centrally_authorised |= status.is_valid() && is_central(resource);
        authorisations.push(MarketingAuthorisation {
            id: resource.get("id").and_then(Value::as_str).unwrap_or_default().to_owned(),
            status,
            holder: resource
                .get("holder")
                .map(|holder| read_holder(holder, &organisations, resolve_location)),
        });
    }
    ProductFacts {
        domains: domains(&product.root),
        record_status: record_status(&product.root),
        owners: owners(&authorisations),
        authorisations,
        centrally_authorised,
    }
}

/// The locations named as holders: what `resolve_location` will be asked.
pub fn holder_locations(product: &Product) -> Vec<LocationId> {
    let organisations = organisations(product);
    marketing_authorisations(product)
        .filter_map(|resource| match read_holder(resource.get("holder")?, &organisations, &|_| None) {
            Holder::Location { location, .. } => Some(location),
            Holder::Organisation(_) | Holder::Unresolved => None,
        })
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

/// The locations that may turn out to hold an authorisation: those among them that [`facts`] asks about. `organisation`
/// finds an Organization.
pub fn locations_named<'v>(
    authorisation: &'v Value,
    organisation: &dyn Fn(&ResourceKey) -> Option<&'v Value>,
) -> Vec<LocationId> {
    let names = authorisation.get("holder").map(|holder| names(holder, organisation));
    names.into_iter().flatten().filter_map(|name| name.parse().ok()).collect()
}

/// Marketing by its type, manufacturing by its number, its subject or its wording, otherwise other.
pub fn authorisation_kind(authorisation: &Value) -> AuthorisationKind {
    let subjects = links::parents(authorisation);
    let numbered = authorisation.get("identifier").and_then(Value::as_array).is_some_and(|identifiers| {
        identifiers.iter().any(|identifier| {
            let system = identifier.get("system").and_then(Value::as_str).unwrap_or_default();
            let system = terms::canonical_system(system);
            system == terms::MANUFACTURING_AUTHORISATION_NUMBER || system.ends_with("/eudraGmpNumber")
        })
    });
    if numbered || subjects.iter().any(|key| key.resource_type == ResourceType::ActivityDefinition) {
        return AuthorisationKind::Manufacturing;
    }
    let marketing = authorisation.get("type").is_some_and(|kind| {
        codes_in_list(kind, terms::ENTITLEMENT_TYPE).any(|code| code == terms::MARKETING_AUTHORISATION)
    });
    if marketing { AuthorisationKind::Marketing } else { AuthorisationKind::Other }
}

/// The status of an authorisation; missing when absent, unknown or contradictory.
pub fn authorisation_status(authorisation: &Value) -> AuthorisationStatus {
    let Some(status) = authorisation.get("status") else { return AuthorisationStatus::Missing };
    let codes: BTreeSet<&str> = codes_in_list(status, terms::ENTITLEMENT_STATUS).collect();
    match (codes.first(), codes.len()) {
        (Some(code), 1) => AuthorisationStatus::of_code(code).unwrap_or(AuthorisationStatus::Missing),
        _ => AuthorisationStatus::Missing,
    }
}

fn marketing_authorisations(product: &Product) -> impl Iterator<Item = &Value> {
    product.parts.iter().filter(|resource| {
        resource_type(resource) == Some(ResourceType::RegulatedAuthorization)
            && authorisation_kind(resource) == AuthorisationKind::Marketing
    })
}

fn organisations(product: &Product) -> HashMap<ResourceKey, &Value> {
    product
        .parts
        .iter()
        .filter_map(|resource| Some((resource_key(resource)?, resource)))
        .filter(|(key, _)| key.resource_type == ResourceType::Organization)
        .collect()
}

fn domains(root: &Value) -> Domains {
    let Some(domain) = root.get("domain") else { return Domains::NONE };
    let mut found = Domains::NONE;
    for code in codes_in_list(domain, terms::DOMAIN) {
        match code {
            terms::HUMAN_USE => found.human = true,
            terms::VETERINARY_USE => found.veterinary = true,
            terms::HUMAN_AND_VETERINARY_USE => found = Domains::BOTH,
            _ => {}
        }
    }
    found
}

fn record_status(root: &Value) -> RecordStatus {
    let Some(status) = root.get("status") else { return RecordStatus::Missing };
    let codes: BTreeSet<&str> = codes_in_list(status, terms::RECORD_STATUS).collect();
    match (codes.first().copied(), codes.len()) {
        (Some("200000005004"), 1) => RecordStatus::Current,
        (Some("200000005005"), 1) => RecordStatus::Provisional,
        (Some("200000005006"), 1) => RecordStatus::NonCurrent,
        (Some("200000005007"), 1) => RecordStatus::Nullified,
        _ => RecordStatus::Missing,
    }
}

/// `EU/1/…` human, `EU/2/…` veterinary; `EU/3/…` is an orphan designation and authorises nothing.
fn is_central(authorisation: &Value) -> bool {
    let number = authorisation.get("identifier").and_then(Value::as_array).is_some_and(|identifiers| {
        identifiers
            .iter()
            .filter_map(|identifier| identifier.get("value")?.as_str())
            .any(|value| value.starts_with("EU/1/") || value.starts_with("EU/2/"))
    });
    number
        || authorisation.get("case").and_then(|case| case.get("type")).is_some_and(|kind| {
            terms::codings(kind).any(|coding| {
                coding.get("code").and_then(Value::as_str) == Some(terms::CENTRALISED_PROCEDURE)
                    && coding.get("system").and_then(Value::as_str).and_then(list_number).is_some()
            })
        })
}

fn owners(authorisations: &[MarketingAuthorisation]) -> BTreeSet<OrganisationId> {
    let in_existence = |a: &&MarketingAuthorisation| !a.status.is_ended() && !a.status.is_tentative();
    let current: Vec<_> = if authorisations.iter().any(|a| in_existence(&a)) {
        authorisations.iter().filter(in_existence).collect()
    } else if authorisations.iter().any(|a| a.status.is_tentative()) {
        authorisations.iter().filter(|a| a.status.is_tentative()).collect()
    } else {
        authorisations.iter().collect()
    };
    current.iter().filter_map(|a| a.holder.as_ref()?.organisation()).cloned().collect()
}

/// An organisation's id is preferred to a location's. Ids are known by their form: data exist that give an `ORG-` id under
/// the system of locations.
fn read_holder(
    holder: &Value,
    organisations: &HashMap<ResourceKey, &Value>,
    resolve_location: &dyn Fn(&LocationId) -> Option<OrganisationId>,
) -> Holder {
    let candidates = names(holder, &|key| organisations.get(key).copied());
    if let Some(organisation) = candidates.iter().find_map(|text| text.parse().ok()) {
        return Holder::Organisation(organisation);
    }
    match candidates.iter().find_map(|text| text.parse::<LocationId>().ok()) {
        Some(location) => Holder::Location { organisation: resolve_location(&location), location },
        None => Holder::Unresolved,
    }
}

/// The organisation of OMS that a reference to one names, in the same way as holders are named. `organisation` finds an
/// Organization.
pub fn named_organisation<'v>(
    reference: &'v Value,
    organisation: &dyn Fn(&ResourceKey) -> Option<&'v Value>,
) -> Option<OrganisationId> {
    names(reference, organisation).iter().find_map(|text| text.parse().ok())
}

/// What may be an id of OMS: in the reference itself, in its identifier, and in the Organization it points to.
fn names<'v>(
    reference: &'v Value,
    organisation: &dyn Fn(&ResourceKey) -> Option<&'v Value>,
) -> Vec<Cow<'v, str>> {
    let value = |identifier: &'v Value| identifier.get("value")?.as_str().map(Cow::Borrowed);
    let mut names: Vec<_> = reference.get("identifier").and_then(value).into_iter().collect();
    let link = reference.get("reference").and_then(Value::as_str);
    if let Some(key) = link.and_then(links::parse_reference) {
        let identifiers = organisation(&key).and_then(|found| found.get("identifier")?.as_array());
        names.push(Cow::Owned(key.id));
        names.extend(identifiers.into_iter().flatten().filter_map(value));
    }
    names
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn authorisation(id: &str, status: &str, holder: &Value) -> Value {
        json!({"resourceType":"RegulatedAuthorization","id":id,
            "subject":[{"reference":"MedicinalProductDefinition/1"}],
            "type":{"coding":[{"system":"https://spor.ema.europa.eu/v1/220000000060","code":"220000000061"}]},
            "status":{"coding":[{"system":"https://spor.ema.europa.eu/v1/lists/100000072049","code":status}]},
            "holder":holder})
    }

    fn product(parts: Vec<Value>) -> Product {
        Product::new(
            json!({"resourceType":"MedicinalProductDefinition","id":"1",
            "domain":{"coding":[{"system":"http://spor.ema.europa.eu/v1/lists/100000000004","code":"100000000014"}]},
            "status":{"coding":[{"system":"http://spor.ema.europa.eu/v1/100000000000","code":"x"},
                {"system":"http://spor.ema.europa.eu/v1/200000005003","code":"200000005004"}]}}),
            parts,
        )
    }

    fn org(text: &str) -> OrganisationId {
        text.parse().unwrap()
    }

    #[test]
    fn a_location_as_holder_resolves_to_its_organisation() {
        let product = product(vec![
            authorisation("ra1", "100000072099", &json!({"reference":"Organization/o1"})),
            json!({"resourceType":"Organization","id":"o1","identifier":[
                {"system":"https://spor.ema.europa.eu/v1/locations","value":"LOC-100000001"}]}),
        ]);
        assert_eq!(holder_locations(&product), vec!["LOC-100000001".parse().unwrap()]);
        let unresolved = facts(&product, &|_| None);
        assert!(unresolved.owners.is_empty());
        let resolved = facts(&product, &|_| Some(org("ORG-100000009")));
        assert_eq!(resolved.owners, BTreeSet::from([org("ORG-100000009")]));
        assert_eq!(resolved.domains, Domains::BOTH);
        assert_eq!(resolved.record_status, RecordStatus::Current);
    }

    #[test]
    fn an_organisation_id_counts_under_whatever_system_and_wins_over_a_location() {
        let product = product(vec![authorisation(
            "ra1",
            "100000072099",
            &json!({"reference":"Organization/LOC-100000001","identifier":{
                "system":"https://spor.ema.europa.eu/v1/locations","value":"ORG-100000002"}}),
        )]);
        assert_eq!(facts(&product, &|_| None).owners, BTreeSet::from([org("ORG-100000002")]));
    }

    #[test]
    fn a_former_holder_is_no_owner_and_an_applicant_only_of_what_nobody_holds() {
        let of = |id: &str| json!({"identifier":{"value":id}});
        let transferred = product(vec![
            authorisation("old", "100000072113", &of("ORG-100000001")),
            authorisation("new", "200000017707", &of("ORG-100000002")),
            authorisation("wish", "220000000066", &of("ORG-100000003")),
        ]);
        assert_eq!(facts(&transferred, &|_| None).owners, BTreeSet::from([org("ORG-100000002")]));
        let pending = product(vec![authorisation("wish", "220000000066", &of("ORG-100000003"))]);
        assert_eq!(facts(&pending, &|_| None).owners, BTreeSet::from([org("ORG-100000003")]));
        let ended = product(vec![authorisation("old", "100000072121", &of("ORG-100000001"))]);
        assert_eq!(facts(&ended, &|_| None).owners, BTreeSet::from([org("ORG-100000001")]));
    }

    #[test]
    fn every_term_of_the_status_list_is_read() {
        for (code, status) in [
            ("100000072099", AuthorisationStatus::Valid),
            ("200000017708", AuthorisationStatus::Renewed),
            ("200000017707", AuthorisationStatus::Transferred),
            ("100000072100", AuthorisationStatus::Expired),
            ("100000072112", AuthorisationStatus::NotRenewed),
            ("100000072113", AuthorisationStatus::Withdrawn),
            ("100000072121", AuthorisationStatus::Revoked),
            ("100000072122", AuthorisationStatus::Suspended),
            ("100000072123", AuthorisationStatus::Sunset),
            ("200000010409", AuthorisationStatus::Surrendered),
            ("220000000066", AuthorisationStatus::Pending),
            ("220000000067", AuthorisationStatus::Rejected),
            ("200000026056", AuthorisationStatus::PreSubmission),
            ("200000029967", AuthorisationStatus::Harmonised),
            ("1", AuthorisationStatus::Missing),
        ] {
            assert_eq!(authorisation_status(&authorisation("x", code, &json!({}))), status);
        }
        assert_eq!(authorisation_status(&json!({})), AuthorisationStatus::Missing);
    }

    #[test]
    fn central_authorisation_shows_in_the_number_or_the_procedure() {
        let mut central = authorisation("ra1", "100000072099", &json!({}));
        central["identifier"] = json!([{"value":"EU/1/00/134"}]);
        assert!(facts(&product(vec![central]), &|_| None).centrally_authorised);
        let mut by_case = authorisation("ra1", "100000072099", &json!({}));
        by_case["case"] = json!({"type":{"coding":[
            {"system":"http://spor.ema.europa.eu/v1/lists/100000154442","code":"100000155059"}]}});
        assert!(facts(&product(vec![by_case]), &|_| None).centrally_authorised);
        let mut orphan = authorisation("ra1", "100000072099", &json!({}));
        orphan["identifier"] = json!([{"value":"EU/3/00/134"}]);
        assert!(!facts(&product(vec![orphan]), &|_| None).centrally_authorised);
    }

    #[test]
    fn an_authorisation_of_an_activity_is_for_manufacturing_whatever_its_type() {
        let mut of_activity = authorisation("ra1", "100000072099", &json!({}));
        of_activity["subject"] = json!([{"reference":"ActivityDefinition/1"}]);
        assert_eq!(authorisation_kind(&of_activity), AuthorisationKind::Manufacturing);
        assert_eq!(
            authorisation_kind(&json!({"resourceType":"RegulatedAuthorization"})),
            AuthorisationKind::Other
        );
    }

    #[test]
    fn a_missing_domain_matches_nobody() {
        let product = Product::new(json!({"resourceType":"MedicinalProductDefinition","id":"1"}), vec![]);
        let facts = facts(&product, &|_| None);
        assert!(!facts.domains.meets(Domains::BOTH));
        assert_eq!(facts.record_status, RecordStatus::Missing);
    }
}
