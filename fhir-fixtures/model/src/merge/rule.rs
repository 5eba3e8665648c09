//! The rules of `$merge` by name, and how a broken one is told.

use serde_json::{Value, json};

/// The code system of rule ids in `OperationOutcome.issue.details`.
pub const RULES: &str = "https://pmsgate.example/fhir/merge-rules";

const GUIDE: &str = "EMA Write PMS API Implementation Guide, Enrichments v1.2.0";
const CHAPTER_3: &str = "EU IG Chapter 3 v3.6";

/// A rule that a merge can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The body is a transaction Bundle.
    Transaction,
    /// Each entry says consistently what it is.
    Entry,
    /// The product is always among the entries, once.
    Product,
    /// Only these types can be written.
    Writable,
    /// The client's organisation holds the marketing authorisation, or is the agency.
    Ownership,
    /// Manufacturing is for clients with the qualified flag.
    Qualified,
    /// Everything sent belongs to the named product.
    Membership,
    /// What stands in several products is not changed by a merge of one of them.
    Shared,
    /// Links lead to the product, to shared resources, or to new ones of the same Bundle.
    References,
    /// Elements, cardinalities, types and closed lists of FHIR 5.0.0.
    Schema,
    /// The version sent is the version stored.
    R1,
    /// Products, packs and marketing authorisations are neither created nor deleted.
    R2,
    /// No manufacturer twice in one operation.
    R3,
    /// No operation without manufacturer.
    R4,
    /// No manufacturer without operation.
    R5,
    /// The product has at least one authorised dose form.
    AuthorisedDoseForm,
    /// The product's identifiers: at most three, one of each admitted system.
    ProductIdentifiers,
    /// An operation of the product is an ActivityDefinition.
    OperationActivity,
    /// The pack's identifiers: at most two, one of each admitted system.
    PackIdentifiers,
    /// The pack has one data carrier at most.
    OnlyOneDataCarrierIdentifier,
    /// The pack belongs to one product.
    PackageFor,
    /// The activity is active.
    ActivityStatus,
    /// The activity says which manufacturing activity it is.
    ActivityCode,
    /// The activity has one participant, an organisation.
    ActivityParticipant,
    /// The authorisation's identifiers: one of each admitted system.
    AuthorisationIdentifiers,
    /// A manufacturing authorisation has a regulator.
    RegulatorIsMandatory,
    /// A manufacturing authorisation has a validity period.
    ValidityPeriodIsMandatory,
    /// A manufacturing authorisation has no region.
    RegionIsEmpty,
    /// A manufacturing authorisation has no date of status.
    StatusDateIsEmpty,
    /// Elements that a caller does not write.
    Restrictions,
    /// What an authority grants is not changed by writing it.
    Granted,
    /// A placeholder stands where a value is due: accepted for the time being, with a warning.
    Placeholder,
    /// Something loses its place in the product: accepted with a warning.
    Detached,
}

impl Rule {
    /// All rules.
    pub const ALL: [Self; 33] = [
        Self::Transaction,
        Self::Entry,
        Self::Product,
        Self::Writable,
        Self::Ownership,
        Self::Qualified,
        Self::Membership,
        Self::Shared,
        Self::References,
        Self::Schema,
        Self::R1,
        Self::R2,
        Self::R3,
        Self::R4,
        Self::R5,
        Self::AuthorisedDoseForm,
        Self::ProductIdentifiers,
        Self::OperationActivity,
        Self::PackIdentifiers,
        Self::OnlyOneDataCarrierIdentifier,
        Self::PackageFor,
        Self::ActivityStatus,
        Self::ActivityCode,
        Self::ActivityParticipant,
        Self::AuthorisationIdentifiers,
        Self::RegulatorIsMandatory,
        Self::ValidityPeriodIsMandatory,
        Self::RegionIsEmpty,
        Self::StatusDateIsEmpty,
        Self::Restrictions,
        Self::Granted,
        Self::Placeholder,
        Self::Detached,
    ];

    /// Its stable name: the number in the implementation guide, the name of the profile's invariant, or ours.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Transaction => "transaction",
            Self::Entry => "entry",
            Self::Product => "product",
            Self::Writable => "writable",
            Self::Ownership => "ownership",
            Self::Qualified => "qualified",
            Self::Membership => "membership",
            Self::Shared => "shared",
            Self::References => "references",
            Self::Schema => "schema",
            Self::R1 => "R1",
            Self::R2 => "R2",
            Self::R3 => "R3",
            Self::R4 => "R4",
            Self::R5 => "R5",
            Self::AuthorisedDoseForm => "authorisedDoseForm",
            Self::ProductIdentifiers => "productIdentifiers",
            Self::OperationActivity => "operationActivity",
            Self::PackIdentifiers => "packIdentifiers",
            Self::OnlyOneDataCarrierIdentifier => "onlyOneDataCarrierIdentifier",
            Self::PackageFor => "packageFor",
            Self::ActivityStatus => "activityStatus",
            Self::ActivityCode => "activityCode",
            Self::ActivityParticipant => "activityParticipant",
            Self::AuthorisationIdentifiers => "authorisationIdentifiers",
            Self::RegulatorIsMandatory => "regulatorIsMandatoryIfManufacturingIdentifierExists",
            Self::ValidityPeriodIsMandatory => "validityPeriodIsMandatoryIfManufacturingIdentifierExists",
            Self::RegionIsEmpty => "regionIsEmptyForManAuth",
            Self::StatusDateIsEmpty => "statusDateIsEmptyForManAuth",
            Self::Restrictions => "restrictions",
            Self::Granted => "granted",
            Self::Placeholder => "placeholder",
            Self::Detached => "detached",
        }
    }

    /// The code for `OperationOutcome.issue.code`; of the schema rule, that of its usual case.
    pub const fn issue_code(self) -> &'static str {
        match self {
            Self::Transaction | Self::Schema => "structure",
            Self::Entry => "value",
            Self::Product
            | Self::AuthorisedDoseForm
            | Self::ActivityCode
            | Self::ActivityParticipant
            | Self::PackageFor
            | Self::RegulatorIsMandatory
            | Self::ValidityPeriodIsMandatory => "required",
            Self::Writable | Self::R2 => "not-supported",
            Self::Ownership | Self::Qualified => "forbidden",
            Self::Membership | Self::References => "not-found",
            Self::R1 => "conflict",
            Self::R3 => "duplicate",
            Self::R4 | Self::R5 | Self::Granted | Self::Shared => "business-rule",
            Self::ProductIdentifiers
            | Self::OperationActivity
            | Self::PackIdentifiers
            | Self::OnlyOneDataCarrierIdentifier
            | Self::ActivityStatus
            | Self::AuthorisationIdentifiers
            | Self::RegionIsEmpty
            | Self::StatusDateIsEmpty
            | Self::Restrictions => "invariant",
            Self::Placeholder | Self::Detached => "informational",
        }
    }

    /// Where the rule can be read.
    pub const fn sections(self) -> &'static [&'static str] {
        match self {
            Self::Transaction | Self::Entry | Self::Product | Self::Writable => {
                &[GUIDE, "FHIR 5.0.0, RESTful API, transaction", "docs/merge-examples/README.md"]
            }
            Self::Ownership | Self::Qualified | Self::Membership | Self::Shared | Self::References => {
                &["EU IG Chapter 1 v8, sections 3.2 and 4", "docs/merge-examples/README.md"]
            }
            Self::Schema => &["FHIR 5.0.0, resource definitions"],
            Self::R1 | Self::R2 | Self::R3 | Self::R4 | Self::R5 => {
                &[GUIDE, "its page on $merge, business rules", "docs/merge-examples/README.md"]
            }
            Self::AuthorisedDoseForm | Self::ProductIdentifiers | Self::OperationActivity => {
                &[GUIDE, "profile emaWriteApiMedicinalProductDefinition"]
            }
            Self::PackIdentifiers | Self::OnlyOneDataCarrierIdentifier | Self::PackageFor => {
                &[GUIDE, "profile emaWriteApiPackagedProductDefinition"]
            }
            Self::ActivityStatus | Self::ActivityCode | Self::ActivityParticipant => {
                &[GUIDE, "profile emaWriteApiActivityDefinition"]
            }
            Self::AuthorisationIdentifiers
            | Self::RegulatorIsMandatory
            | Self::ValidityPeriodIsMandatory
            | Self::RegionIsEmpty
            | Self::StatusDateIsEmpty => &[GUIDE, "profile emaWriteApiRegulatedAuthorization"],
            Self::Restrictions => &[GUIDE, "profiles emaWriteApi…Restrictions and emaReferenceRestrictions"],
            Self::Placeholder => &[CHAPTER_3, "manufacturers: placeholders"],
            Self::Granted | Self::Detached => &["docs/merge-examples/README.md"],
        }
    }
}

/// A broken rule; among the warnings of a plan, one that does not stand in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The rule.
    pub rule: Rule,
    /// The code for `OperationOutcome.issue.code`.
    pub code: &'static str,
    /// Where in the Bundle, as FHIRPath: `Bundle.entry[0].resource.operation[1]`.
    pub expression: String,
    /// What is wrong and what to do, in plain words.
    pub message: String,
}

impl Rejection {
    pub(super) fn new(rule: Rule, expression: impl Into<String>, message: impl Into<String>) -> Self {
        Self { rule, code: rule.issue_code(), expression: expression.into(), message: message.into() }
    }

    pub(super) fn issue(&self, severity: &str) -> Value {
        let sections = self.rule.sections();
        let mut issue = json!({
            "severity": severity,
            "code": self.code,
            "details": {
                "coding": [{"system": RULES, "code": self.rule.id()}],
                "text": self.message,
            },
            "diagnostics": format!("Rule {}. Read: {}.", self.rule.id(), sections.join("; ")),
        });
        if !self.expression.is_empty() {
            issue["expression"] = json!([self.expression]);
        }
        issue
    }
}

/// The OperationOutcome of what does not stand in a merge's way and is to be told; nothing when there is nothing.
pub fn told(warnings: &[Rejection]) -> Option<Value> {
    let issues: Vec<Value> = warnings.iter().map(|warning| warning.issue("warning")).collect();
    (!issues.is_empty()).then(|| json!({"resourceType": "OperationOutcome", "issue": issues}))
}

/// The OperationOutcome of a refused merge.
pub fn outcome(rejections: &[Rejection]) -> Value {
    let issues: Vec<Value> = rejections.iter().map(|rejection| rejection.issue("error")).collect();
    json!({"resourceType": "OperationOutcome", "issue": issues})
}

/// The HTTP status of a refused merge: 400 when it was no readable transaction, 403 when the caller may not do this,
/// else 422 (EMA's table has no 409 and no 412).
pub fn status(rejections: &[Rejection]) -> u16 {
    let any = |rules: &[Rule]| rejections.iter().any(|rejection| rules.contains(&rejection.rule));
    if any(&[Rule::Transaction, Rule::Entry]) {
        400
    } else if any(&[Rule::Ownership, Rule::Qualified]) {
        403
    } else {
        422
    }
}
