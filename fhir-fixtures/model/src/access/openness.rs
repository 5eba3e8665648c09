//! How much of an element a column sees, whatever the product: what a search parameter over it may be used for at a
//! server that does not know columns.

use super::{
    AccessMatrix, Column,
    matrix::{Permission, Row, Rules},
};

/// How much of an element a column sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Openness {
    /// Nothing, in no product.
    Closed,
    /// Some of it, or under conditions.
    Partly,
    /// All of it wherever the product is seen.
    Open,
}

/// Elements of every resource that `Type.*` does not stand for; those that have no row are closed.
const OF_EVERY_RESOURCE: [&str; 6] = ["id", "meta", "implicitRules", "language", "text", "contained"];

impl AccessMatrix {
    /// How much `column` sees of the element at `path`, such as `MedicinalProductDefinition.contact.contact`, with
    /// all that is below it. Does not look at extensions, which have rows of their own.
    pub fn openness(&self, column: Column, path: &str) -> Openness {
        let mut names = path.split('.');
        let mut rules = self.rules(names.next().unwrap_or_default());
        let cleared = column >= Column::IndustryOwnerQualified;
        let unruled = if cleared { Openness::Open } else { Openness::Closed };
        let mut openness = verdict(&rules.rows, column).unwrap_or(unruled);
        // What the element takes over from above: nothing is open because its resource is.
        let mut inherited = unruled;
        for (depth, name) in names.enumerate() {
            let own = rules.child(name);
            let rows = match own {
                Some(own) => own.rows.as_slice(),
                None if depth == 0 && OF_EVERY_RESOURCE.contains(&name) => &[],
                None => &rules.rest,
            };
            if let Some(decided) = verdict(rows, column) {
                openness = openness.min(decided);
                inherited = Openness::Open;
            } else if own.is_none() {
                openness = openness.min(inherited);
            }
            rules = match own {
                Some(own) => own,
                None if openness == Openness::Closed => return Openness::Closed,
                None => return openness,
            };
            if openness == Openness::Closed {
                return Openness::Closed;
            }
        }
        below(rules, column, inherited, openness)
    }
}

/// The element with all that has rows below it: closed only when every row is.
fn below(rules: &Rules, column: Column, inherited: Openness, openness: Openness) -> Openness {
    let mut found = Vec::new();
    collect(rules, column, &mut found);
    let container = rules.rows.is_empty() && inherited == Openness::Closed;
    let all = |wanted: Openness| found.iter().all(|one| *one == wanted);
    match (container, found.is_empty()) {
        (true, true) => Openness::Closed,
        (true, false) if all(Openness::Closed) => Openness::Closed,
        (true, false) => Openness::Partly,
        (false, _) if all(Openness::Open) => openness,
        (false, _) => openness.min(Openness::Partly),
    }
}

fn collect(rules: &Rules, column: Column, found: &mut Vec<Openness>) {
    found.extend(verdict(&rules.rest, column));
    for child in rules.children.iter().flatten().map(|(_, child)| child) {
        found.extend(verdict(&child.rows, column));
        collect(child, column, found);
    }
}

/// What the rows of one element say together; `None` when there are none.
fn verdict(rows: &[Row], column: Column) -> Option<Openness> {
    let of = |row: &Row| match row.permission(column) {
        Permission::Yes => Openness::Open,
        Permission::No => Openness::Closed,
        Permission::If(_) => Openness::Partly,
    };
    let (least, most) = (rows.iter().map(of).min()?, rows.iter().map(of).max()?);
    // Instances of no class are for cleared columns only.
    let all_decided = rows.iter().any(|row| row.class.is_none()) || column >= Column::IndustryOwnerQualified;
    let least = if all_decided { least } else { Openness::Closed };
    Some(if least == most { least } else { Openness::Partly })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::DEFAULT_MATRIX;

    #[test]
    fn the_shipped_rows_say_which_elements_may_be_searched() {
        use Openness::{Closed, Open, Partly};
        let matrix = AccessMatrix::parse(DEFAULT_MATRIX, "default").unwrap();
        let of = |path: &str| {
            Column::ALL.map(|column| matrix.openness(column, &format!("MedicinalProductDefinition.{path}")))
        };
        for (path, expected) in [
            ("id", [Open; 6]),
            ("meta.lastUpdated", [Open; 6]),
            ("meta.security", [Closed, Closed, Closed, Open, Open, Open]),
            ("text", [Closed, Closed, Closed, Open, Open, Open]),
            ("name", [Open; 6]),
            ("name.usage.language", [Open; 6]),
            ("identifier", [Partly, Partly, Open, Open, Open, Open]),
            ("classification", [Partly, Partly, Open, Open, Open, Open]),
            ("characteristic", [Closed, Closed, Open, Open, Open, Open]),
            ("contact.contact", [Partly, Partly, Partly, Open, Open, Open]),
            ("masterFile.reference", [Closed, Closed, Open, Open, Open, Open]),
            ("marketingStatus.dateRange", [Closed, Closed, Open, Open, Open, Open]),
            ("marketingStatus.country", [Partly, Partly, Open, Open, Open, Open]),
            ("operation", [Partly, Partly, Partly, Open, Open, Open]),
            ("operation.type", [Closed, Closed, Partly, Open, Open, Open]),
            ("nothingLikeThis", [Closed, Closed, Closed, Open, Open, Open]),
        ] {
            assert_eq!(of(path), expected, "{path}");
        }
    }
}
