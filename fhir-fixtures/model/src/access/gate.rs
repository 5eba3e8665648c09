//! The record gates: whether a product may be seen at all (`domain.md` §6.3).

use pms_terms::Stakeholder;

use crate::facts::{ProductFacts, RecordStatus};

use super::{AccessMatrix, Column, Viewer, column};

/// The outcome of the record gates. Who may not see a product gets the same answer as for one that does not exist;
/// rule and reason are for `pmsgate explain` and the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// The product may be seen, filtered.
    pub visible: bool,
    /// The gate that decided: `G1` public, `G3` domain, `owner`, `ema`.
    pub rule: &'static str,
    /// Why, in plain words.
    pub reason: String,
}

impl Gate {
    fn new(visible: bool, rule: &'static str, reason: impl Into<String>) -> Self {
        Self { visible, rule, reason: reason.into() }
    }
}

/// Whether the viewer may see the product at all.
pub fn gate(matrix: &AccessMatrix, viewer: &Viewer, facts: &ProductFacts) -> Gate {
    match (column(viewer, facts), viewer.stakeholder) {
        (Column::IndustryOther, _) if !matrix.industry_non_owner_sees_public_subset() => Gate::new(
            false,
            "industry_non_owner",
            "industry sees its own products only, and this is another's",
        ),
        (Column::Public | Column::IndustryOther, _) => public_gate(facts),
        (Column::IndustryOwner | Column::IndustryOwnerQualified, _) => {
            Gate::new(true, "owner", "the client's organisation holds the marketing authorisation")
        }
        (Column::Nca, Stakeholder::Nca) if viewer.domains.meets(facts.domains) => {
            Gate::new(true, "G3", "the product is in the authority's domain")
        }
        (Column::Nca, _) if facts.domains == pms_terms::Domains::NONE => {
            Gate::new(false, "G3", "the product has no domain, and so matches no authority's")
        }
        (Column::Nca, _) => Gate::new(false, "G3", "the product is not in the authority's domain"),
        (Column::Ema, _) => Gate::new(true, "ema", "the agency sees everything"),
    }
}

/// G1: for human use, a current record, and validly authorised somewhere.
pub fn passes_public_gate(facts: &ProductFacts) -> bool {
    public_gate(facts).visible
}

fn public_gate(facts: &ProductFacts) -> Gate {
    if !facts.domains.human {
        return Gate::new(false, "G1", "the product is not for human use");
    }
    if facts.record_status != RecordStatus::Current {
        return Gate::new(false, "G1", "the record is not current");
    }
    if !facts.authorisations.iter().any(|authorisation| authorisation.status.is_valid()) {
        return Gate::new(false, "G1", "no marketing authorisation of the product is valid");
    }
    Gate::new(true, "G1", "for human use, current and validly authorised")
}

/// G4: whether a column sees versions and history (EP306, EP307).
pub const fn may_see_history(matrix: &AccessMatrix, column: Column) -> bool {
    matrix.history[column as usize]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use pms_terms::{Domains, OrganisationId};

    use super::*;
    use crate::{
        access::DEFAULT_MATRIX,
        facts::{AuthorisationStatus, MarketingAuthorisation},
    };

    fn matrix() -> AccessMatrix {
        AccessMatrix::parse(DEFAULT_MATRIX, "default").unwrap()
    }

    fn facts() -> ProductFacts {
        let authorisation =
            MarketingAuthorisation { id: "1".to_owned(), status: AuthorisationStatus::Valid, holder: None };
        ProductFacts {
            domains: Domains::HUMAN,
            record_status: RecordStatus::Current,
            authorisations: vec![authorisation],
            owners: BTreeSet::from(["ORG-100000001".parse().unwrap()]),
            centrally_authorised: false,
        }
    }

    fn viewer(stakeholder: Stakeholder, organisation: &str, domains: Domains) -> Viewer {
        let organisation: Option<OrganisationId> = organisation.parse().ok();
        Viewer { stakeholder, qualified: false, domains, organisation }
    }

    fn sees(viewer: &Viewer, facts: &ProductFacts) -> bool {
        gate(&matrix(), viewer, facts).visible
    }

    #[test]
    fn the_public_gate_wants_human_current_and_valid() {
        let public = viewer(Stakeholder::Public, "", Domains::BOTH);
        let stranger = viewer(Stakeholder::Industry, "ORG-100000002", Domains::NONE);
        let owner = viewer(Stakeholder::Industry, "ORG-100000001", Domains::NONE);
        assert!(sees(&public, &facts()) && sees(&stranger, &facts()));
        let refused = [
            ProductFacts { domains: Domains::VETERINARY, ..facts() },
            ProductFacts { domains: Domains::NONE, ..facts() },
            ProductFacts { record_status: RecordStatus::Provisional, ..facts() },
            ProductFacts { record_status: RecordStatus::Missing, ..facts() },
            ProductFacts { authorisations: vec![], ..facts() },
            ProductFacts {
                authorisations: vec![MarketingAuthorisation {
                    status: AuthorisationStatus::Suspended,
                    ..facts().authorisations[0].clone()
                }],
                ..facts()
            },
        ];
        for each in &refused {
            assert!(!sees(&public, each) && !sees(&stranger, each), "{each:?}");
            assert!(sees(&owner, each));
        }
        assert!(sees(&public, &ProductFacts { domains: Domains::BOTH, ..facts() }));
    }

    #[test]
    fn authorities_see_their_domain_and_nothing_without_one() {
        let human = viewer(Stakeholder::Nca, "ORG-100000003", Domains::HUMAN);
        let veterinary = viewer(Stakeholder::Nca, "ORG-100000003", Domains::VETERINARY);
        assert!(sees(&human, &facts()) && !sees(&veterinary, &facts()));
        let both = ProductFacts { domains: Domains::BOTH, ..facts() };
        assert!(sees(&human, &both) && sees(&veterinary, &both));
        let missing = ProductFacts { domains: Domains::NONE, ..facts() };
        assert!(!sees(&human, &missing) && !sees(&viewer(Stakeholder::Nca, "", Domains::BOTH), &missing));
        assert!(sees(&viewer(Stakeholder::Ema, "", Domains::NONE), &missing));
    }

    #[test]
    fn the_switch_closes_other_peoples_products_to_industry() {
        let text = DEFAULT_MATRIX
            .replace(r#"industry_non_owner = "public_subset""#, r#"industry_non_owner = "none""#);
        let matrix = AccessMatrix::parse(&text, "none").unwrap();
        let stranger = viewer(Stakeholder::Industry, "ORG-100000002", Domains::NONE);
        assert!(!gate(&matrix, &stranger, &facts()).visible);
        assert!(
            gate(&matrix, &viewer(Stakeholder::Industry, "ORG-100000001", Domains::NONE), &facts()).visible
        );
    }

    #[test]
    fn history_is_for_owners_and_authorities() {
        let seen: Vec<Column> =
            Column::ALL.into_iter().filter(|column| may_see_history(&matrix(), *column)).collect();
        assert_eq!(seen, [Column::IndustryOwner, Column::IndustryOwnerQualified, Column::Nca, Column::Ema]);
    }
}
