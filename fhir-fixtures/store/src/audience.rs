//! Classes of callers: which bit of a product's gates, and which column of the matrix, a viewer reads by.

use fhir_model::{
    access::{self, AccessMatrix, Column, ColumnSet, Viewer},
    facts::ProductFacts,
};
use pms_terms::{Domains, OrganisationId, Stakeholder};

/// One bit per class of callers that the record gates can tell apart.
mod bit {
    pub(super) const PUBLIC: i64 = 1;
    pub(super) const INDUSTRY_OTHER: i64 = 1 << 1;
    pub(super) const INDUSTRY_OWNER: i64 = 1 << 2;
    pub(super) const INDUSTRY_OWNER_QUALIFIED: i64 = 1 << 3;
    /// Times one of four sets of domains.
    pub(super) const NCA: i64 = 1 << 4;
    /// Times one of four sets of domains.
    pub(super) const EMA: i64 = 1 << 8;
    /// The first of the marks of owners.
    pub(super) const OWNERS: u32 = 12;
}

/// So many marks there are for owners, one bit each.
const MARKS: u64 = 48;

/// The mark of an organisation, which stands in the bits of each product that it owns, and in those of others that some
/// other organisation owns: without it, a product is not the organisation's, and nobody needs to look who owns it.
fn mark(organisation: &OrganisationId) -> i64 {
    let number =
        organisation.as_str().bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(byte));
    1 << (u64::from(bit::OWNERS) + number % MARKS)
}

/// The four sets of domains, in the order of their bits.
const DOMAINS: [Domains; 4] = [Domains::NONE, Domains::HUMAN, Domains::VETERINARY, Domains::BOTH];

fn domain_shift(domains: Domains) -> u32 {
    u32::from(domains.human) + 2 * u32::from(domains.veterinary)
}

/// All gate bits of a product: each class of callers is asked for at the one gate there is, [`access::gate`]. With them
/// stand the marks of its owners.
pub(crate) fn gates(matrix: &AccessMatrix, facts: &ProductFacts) -> i64 {
    let opens = |stakeholder, qualified, domains, organisation| {
        access::gate(matrix, &Viewer { stakeholder, qualified, domains, organisation }, facts).visible
    };
    let mut gates = 0;
    let mut set = |open: bool, bit: i64| {
        if open {
            gates |= bit;
        }
    };
    set(opens(Stakeholder::Public, false, Domains::BOTH, None), bit::PUBLIC);
    set(opens(Stakeholder::Industry, false, Domains::BOTH, None), bit::INDUSTRY_OTHER);
    if let Some(owner) = facts.owners.first() {
        set(opens(Stakeholder::Industry, false, Domains::BOTH, Some(owner.clone())), bit::INDUSTRY_OWNER);
        set(
            opens(Stakeholder::Industry, true, Domains::BOTH, Some(owner.clone())),
            bit::INDUSTRY_OWNER_QUALIFIED,
        );
    }
    for owner in &facts.owners {
        set(true, mark(owner));
    }
    for domains in DOMAINS {
        set(opens(Stakeholder::Nca, false, domains, None), bit::NCA << domain_shift(domains));
        set(opens(Stakeholder::Ema, false, domains, None), bit::EMA << domain_shift(domains));
    }
    gates
}

/// The classes for which `gates` is open and whose column is one of these: of a product as a whole, those that can read
/// anything of it (what cannot be read must not be counted); of a value, those that may find the product by it.
pub(crate) fn seeing(gates: i64, columns: ColumnSet) -> i64 {
    const DOMAIN_SETS: i64 = 0b1111;
    let classes = [
        (Column::Public, bit::PUBLIC),
        (Column::IndustryOther, bit::INDUSTRY_OTHER),
        (Column::IndustryOwner, bit::INDUSTRY_OWNER),
        (Column::IndustryOwnerQualified, bit::INDUSTRY_OWNER_QUALIFIED),
        (Column::Nca, bit::NCA * DOMAIN_SETS),
        (Column::Ema, bit::EMA * DOMAIN_SETS),
    ];
    classes
        .into_iter()
        .filter(|(column, _)| !columns.contains(*column))
        .fold(gates, |gates, (_, bits)| gates & !bits)
}

/// The same bits without the marks of owners where owning the product makes no difference.
pub(crate) fn without_needless_marks(bits: i64) -> i64 {
    const CLASSES: i64 = (1 << bit::OWNERS) - 1;
    const INDUSTRY: i64 = bit::INDUSTRY_OTHER | bit::INDUSTRY_OWNER | bit::INDUSTRY_OWNER_QUALIFIED;
    if matches!(bits & INDUSTRY, 0 | INDUSTRY) { bits & CLASSES } else { bits }
}

/// A viewer as the index knows it: two ways to look at a product, as one of its owners or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audience {
    viewer: Viewer,
}

/// By which gate bit and which column a viewer reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sight {
    pub(crate) gate: i64,
    pub(crate) column: Column,
}

impl Audience {
    /// The audience that `viewer` belongs to.
    pub fn new(viewer: Viewer) -> Self {
        Self { viewer }
    }

    /// Who looks.
    pub fn viewer(&self) -> &Viewer {
        &self.viewer
    }

    /// The column by which the viewer sees a product with these gates and owners; nothing when it does not see it.
    pub fn sees(&self, gates: i64, owners: &[OrganisationId]) -> Option<Column> {
        let owns = self.organisation().is_some_and(|own| owners.contains(own));
        let sight = self.sight(owns);
        (gates & sight.gate != 0).then_some(sight.column)
    }

    /// The columns by which the viewer may come to see products: one, or two for industry.
    pub fn columns(&self) -> Vec<Column> {
        let mut columns = vec![self.sight(false).column];
        if self.organisation().is_some() {
            columns.push(self.sight(true).column);
        }
        columns
    }

    /// The organisation whose products are the viewer's own: of industry only.
    pub(crate) fn organisation(&self) -> Option<&OrganisationId> {
        match self.viewer.stakeholder {
            Stakeholder::Industry => self.viewer.organisation.as_ref(),
            Stakeholder::Public | Stakeholder::Nca | Stakeholder::Ema => None,
        }
    }

    /// The mark that the bits of the viewer's own products have.
    pub(crate) fn mark(&self) -> i64 {
        self.organisation().map_or(0, mark)
    }

    /// How the viewer looks at a product that it owns or does not own.
    pub(crate) fn sight(&self, owns: bool) -> Sight {
        let shift = domain_shift(self.viewer.domains);
        let (gate, column) = match (self.viewer.stakeholder, owns, self.viewer.qualified) {
            (Stakeholder::Public, _, _) => (bit::PUBLIC, Column::Public),
            (Stakeholder::Industry, false, _) => (bit::INDUSTRY_OTHER, Column::IndustryOther),
            (Stakeholder::Industry, true, false) => (bit::INDUSTRY_OWNER, Column::IndustryOwner),
            (Stakeholder::Industry, true, true) => {
                (bit::INDUSTRY_OWNER_QUALIFIED, Column::IndustryOwnerQualified)
            }
            (Stakeholder::Nca, _, _) => (bit::NCA << shift, Column::Nca),
            (Stakeholder::Ema, _, _) => (bit::EMA << shift, Column::Ema),
        };
        Sight { gate, column }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use fhir_model::facts::{AuthorisationStatus, MarketingAuthorisation, RecordStatus};

    use super::*;

    fn organisation(text: &str) -> OrganisationId {
        text.parse().unwrap()
    }

    /// The bits and columns read off a row must say what the matrix's own functions say of the whole product.
    #[test]
    fn every_viewer_reads_the_same_from_the_row_as_from_the_product() {
        let matrix = AccessMatrix::parse(access::DEFAULT_MATRIX, "default").unwrap();
        let owner = organisation("ORG-100000001");
        let mut seen = 0;
        for domains in DOMAINS {
            for record_status in [RecordStatus::Current, RecordStatus::Provisional, RecordStatus::Missing] {
                for status in
                    [AuthorisationStatus::Valid, AuthorisationStatus::Pending, AuthorisationStatus::Withdrawn]
                {
                    for owners in [BTreeSet::new(), BTreeSet::from([owner.clone()])] {
                        let facts = ProductFacts {
                            domains,
                            record_status,
                            authorisations: vec![MarketingAuthorisation {
                                id: "ra".into(),
                                status,
                                holder: None,
                            }],
                            owners: owners.clone(),
                            centrally_authorised: false,
                        };
                        let gates = gates(&matrix, &facts);
                        let owners: Vec<_> = owners.into_iter().collect();
                        for stakeholder in Stakeholder::ALL {
                            for qualified in [false, true] {
                                for viewer_domains in DOMAINS {
                                    for organisation in
                                        [None, Some(owner.clone()), Some(organisation("ORG-100000002"))]
                                    {
                                        let viewer = Viewer {
                                            stakeholder,
                                            qualified,
                                            domains: viewer_domains,
                                            organisation,
                                        };
                                        let expected = access::gate(&matrix, &viewer, &facts)
                                            .visible
                                            .then(|| access::column(&viewer, &facts));
                                        let found = Audience::new(viewer.clone()).sees(gates, &owners);
                                        assert_eq!(found, expected, "{viewer:?} {facts:?}");
                                        seen += usize::from(found.is_some());
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
        assert!(seen > 100, "{seen}");
    }
}
