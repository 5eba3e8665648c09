//! The columns of the matrix, and which of them a viewer of a product stands in.

use pms_terms::{Domains, OrganisationId, Stakeholder};
use serde::{Deserialize, Serialize};

use crate::facts::ProductFacts;

/// A column of the access-level matrix, least privileged first (`domain.md` §6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Column {
    /// A client of the public API.
    Public,
    /// Industry, on somebody else's product.
    IndustryOther,
    /// Industry, on a product of its own organisation.
    IndustryOwner,
    /// The same, with the right to see commercially sensitive data.
    IndustryOwnerQualified,
    /// A competent authority.
    Nca,
    /// The agency and the Commission.
    Ema,
}

impl Column {
    /// All columns, least privileged first.
    pub const ALL: [Self; 6] = [
        Self::Public,
        Self::IndustryOther,
        Self::IndustryOwner,
        Self::IndustryOwnerQualified,
        Self::Nca,
        Self::Ema,
    ];

    /// The name in `access-levels.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::IndustryOther => "industry",
            Self::IndustryOwner => "owner",
            Self::IndustryOwnerQualified => "qualified",
            Self::Nca => "nca",
            Self::Ema => "ema",
        }
    }

    /// The bit of this column in a [`ColumnSet`].
    pub const fn bit(self) -> i64 {
        1 << (self as u8)
    }

    /// Whether no gate is ever closed to the reader, so that there is no product it may not know of.
    pub const fn passes_every_gate(self) -> bool {
        matches!(self, Self::Ema)
    }

    /// Whether the reader owns nothing of the product and is no authority: the gates G1 and G2 are for those.
    pub const fn is_outsider(self) -> bool {
        matches!(self, Self::Public | Self::IndustryOther)
    }
}

impl std::fmt::Display for Column {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of columns, stored beside each search value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ColumnSet(u8);

impl ColumnSet {
    /// Nobody.
    pub const NONE: Self = Self(0);
    /// Everybody.
    pub const ALL: Self = Self(0b11_1111);

    /// Whether `column` is in the set.
    pub const fn contains(self, column: Column) -> bool {
        self.bits() & column.bit() != 0
    }

    /// Adds `column`.
    pub const fn insert(&mut self, column: Column) {
        self.0 |= 1 << (column as u8);
    }

    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The set as stored: the sum of the [`Column::bit`]s.
    pub const fn bits(self) -> i64 {
        self.0 as i64
    }

    /// Reads a stored set; unknown bits are dropped.
    pub const fn from_bits(bits: i64) -> Self {
        Self((bits & Self::ALL.bits()).to_le_bytes()[0])
    }
}

impl FromIterator<Column> for ColumnSet {
    fn from_iter<I: IntoIterator<Item = Column>>(columns: I) -> Self {
        let mut set = Self::NONE;
        columns.into_iter().for_each(|column| set.insert(column));
        set
    }
}

/// On whose behalf a product is looked at. From the caller context, never from the request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Viewer {
    /// The stakeholder group.
    pub stakeholder: Stakeholder,
    /// May see commercially sensitive data of its own products.
    pub qualified: bool,
    /// The domains an authority is in charge of.
    pub domains: Domains,
    /// The organisation, for all but the public.
    pub organisation: Option<OrganisationId>,
}

/// The column of this viewer for a product with these facts.
pub fn column(viewer: &Viewer, facts: &ProductFacts) -> Column {
    match viewer.stakeholder {
        Stakeholder::Public => Column::Public,
        Stakeholder::Industry => {
            let owns =
                viewer.organisation.as_ref().is_some_and(|organisation| facts.owners.contains(organisation));
            match (owns, viewer.qualified) {
                (false, _) => Column::IndustryOther,
                (true, false) => Column::IndustryOwner,
                (true, true) => Column::IndustryOwnerQualified,
            }
        }
        Stakeholder::Nca => Column::Nca,
        Stakeholder::Ema => Column::Ema,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_survives_storage() {
        let set: ColumnSet = [Column::Public, Column::Ema].into_iter().collect();
        assert_eq!(ColumnSet::from_bits(set.bits()), set);
        assert!(set.contains(Column::Ema) && !set.contains(Column::Nca));
        assert_eq!(Column::ALL.into_iter().collect::<ColumnSet>(), ColumnSet::ALL);
        assert_eq!(ColumnSet::from_bits(-1), ColumnSet::ALL);
    }
}
