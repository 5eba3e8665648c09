//! The press: from rows to specimens.

use std::collections::{BTreeMap, BTreeSet};

use fhir_model::{
    ResourceType,
    access::{AccessMatrix, Cell, MatrixRow, RowSubject},
};
use serde_json::{Value, json};

use super::{
    Specimen, State,
    class::{Class, system},
    plant::CROSS_REFERENCE,
    skeleton::{holder, skeleton},
    value::{Marker, can_hold, fill, merge, names},
};
use crate::catalogue::term;

/// Makes specimens of the rows of one matrix.
pub(crate) struct Press {
    pub(super) classes: BTreeMap<String, Class>,
    pub(super) rows: Vec<MatrixRow>,
}

impl Press {
    /// `text` is the file that `matrix` was read from.
    pub(crate) fn new(matrix: &AccessMatrix, text: &str) -> Self {
        let file: toml::Table = text.parse().unwrap();
        let classes = file["class"].as_table().unwrap().iter().map(|(name, class)| {
            let first = |key: &str| -> Option<String> {
                Some(class.get(key)?.as_array()?.first()?.as_str()?.to_owned())
            };
            let path = |key: &str| class.get(key).and_then(toml::Value::as_str).map(str::to_owned);
            let in_target = path("target").is_some();
            let at = path("at").or_else(|| path("target")).unwrap();
            let (code, text) = (first("codes"), first("texts"));
            (name.clone(), Class { at, in_target, system: first("systems").map(system), code, text })
        });
        Self { classes: classes.collect(), rows: matrix.rows().to_vec() }
    }

    /// A specimen of each row in each state of its conditions, and one of each element that has no row.
    pub(crate) fn all(&self) -> Vec<Specimen> {
        let mut all = Vec::new();
        for row in &self.rows {
            let id = |state| format!("61{:09}{}", row.line, usize::from(state == State::Unmet));
            for state in [State::Met, State::Unmet] {
                let Some(specimen) = self.specimen(row, state, &id(state)) else { continue };
                if state == State::Met
                    || specimen.cells.iter().flatten().any(|cell| matches!(cell, Cell::If(_)))
                {
                    all.push(specimen);
                }
            }
        }
        for (n, row) in self.without_rows().iter().enumerate() {
            all.extend(self.specimen(row, State::Met, &format!("63{n:010}")));
        }
        all
    }

    /// A row as it would be for each element, at the top of a resource, of which the file says nothing.
    fn without_rows(&self) -> Vec<MatrixRow> {
        let spoken: Vec<&str> = self
            .rows
            .iter()
            .filter_map(|row| match &row.about {
                RowSubject::Element { path, .. } => Some(path.as_str()),
                RowSubject::Extension { .. } => None,
            })
            .collect();
        let mut rows = Vec::new();
        for kind in ResourceType::ALL.iter().map(|kind| kind.as_str()) {
            for name in names(kind) {
                let path = format!("{kind}.{name}");
                let any = format!("{kind}.*");
                let speaks = |row: &&str| {
                    **row == any
                        || row
                            .strip_prefix(&path)
                            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
                };
                if name != "language" && !spoken.iter().any(speaks) && can_hold(&path) {
                    let [removed, seen] = [Cell::Removed, Cell::Seen];
                    rows.push(MatrixRow {
                        about: RowSubject::Element { path, class: None },
                        line: 0,
                        cells: [removed.clone(), removed.clone(), removed, seen.clone(), seen.clone(), seen],
                    });
                }
            }
        }
        rows
    }

    /// The rows that decide about what the element stands in.
    fn above<'r>(&'r self, row: &'r MatrixRow) -> impl Iterator<Item = &'r MatrixRow> {
        let (path, class) = match &row.about {
            RowSubject::Element { path, class } => (path.trim_end_matches(".*"), class.as_deref()),
            RowSubject::Extension { path, .. } => (path.as_deref().unwrap_or_default(), None),
        };
        let whole =
            row.about == RowSubject::Element { path: path.to_owned(), class: class.map(str::to_owned) };
        self.rows.iter().filter(move |above| {
            let RowSubject::Element { path: up, class: of } = &above.about else { return false };
            let before = path
                .strip_prefix(up.as_str())
                .is_some_and(|rest| rest.starts_with('.') || rest.is_empty() && !whole);
            // Of several rows of a type, that of the specimen: a marketing authorisation, an adjuvant.
            let fits = match (up.as_str(), of.as_deref()) {
                ("RegulatedAuthorization", of) => of == Some("marketing"),
                ("Ingredient", of) => (of == Some("active")) == (class == Some("active")),
                _ => true,
            };
            before && fits
        })
    }

    /// `None` for rows whose element every product has: its id and version.
    pub(crate) fn specimen(&self, row: &MatrixRow, state: State, id: &str) -> Option<Specimen> {
        let mut cells = row.cells.clone().map(|cell| vec![cell]);
        for above in self.above(row) {
            for (cells, cell) in cells.iter_mut().zip(&above.cells) {
                cells.push(cell.clone());
            }
        }
        if matches!(&row.about, RowSubject::Element { path, .. } if path == CROSS_REFERENCE) {
            // Whatever its row says, a reference is for those only who may know of the product it leads to.
            for owner in &mut cells[2..4] {
                owner.push(Cell::If("target-visible".to_owned()));
            }
        }
        let conditions: BTreeSet<String> = cells
            .iter()
            .flatten()
            .filter_map(|cell| match cell {
                Cell::If(condition) => Some(condition.clone()),
                Cell::Seen | Cell::Removed => None,
            })
            .collect();
        let (open, closed) = self.below(row);
        let mut marker = Marker { id: id.to_owned(), part: 0, marks: Vec::new(), closed, open };
        let mut parts = skeleton(id);
        let (name, place) = self.plant(&mut parts, row, state, &mut marker)?;
        for condition in &conditions {
            self.settle(&mut parts, condition, state);
        }
        let place = place.filter(|_| marker.marks.is_empty());
        Some(Specimen {
            id: id.to_owned(),
            name,
            line: row.line,
            cells,
            state,
            resources: parts,
            marks: marker.marks,
            place,
        })
    }

    /// Puts the element of a row into the resource of its type; the row's name, and where a value without text stands.
    fn plant(
        &self,
        parts: &mut [Value],
        row: &MatrixRow,
        state: State,
        marker: &mut Marker,
    ) -> Option<(String, Option<(String, String)>)> {
        Some(match &row.about {
            RowSubject::Extension { url, path } => {
                let at = path.as_deref().unwrap_or("MedicinalProductDefinition");
                let extension = json!({"extension": [{"url": url, "valueString": marker.mark()}]});
                let holder = holder(parts, at);
                match path {
                    Some(path) if path.contains('.') => fill(holder, path, extension, marker),
                    Some(_) => merge(holder, extension),
                    // Anywhere: in the middle of an element.
                    None => merge(&mut holder["name"][0], extension),
                }
                (format!("extension {url}"), None)
            }
            RowSubject::Element { path, class } => {
                let name = match class {
                    Some(class) => format!("{path} ({class})"),
                    None => path.clone(),
                };
                let place = self.element(parts, path, class.as_deref(), state, marker)?;
                (name, place)
            }
        })
    }

    /// The rows whose elements can stand together in one product.
    pub(crate) fn mixable(&self) -> Vec<MatrixRow> {
        let mixable = |row: &&MatrixRow| match &row.about {
            RowSubject::Element { path, .. } => path.contains('.') && !path.starts_with("Resource."),
            RowSubject::Extension { .. } => true,
        };
        self.rows.iter().filter(mixable).cloned().collect()
    }

    /// A product of this domain and status with the elements of several rows.
    pub(crate) fn mixture(
        &self,
        rows: &[&MatrixRow],
        met: bool,
        id: &str,
        domain: &str,
        status: &str,
    ) -> Specimen {
        let state = if met { State::Met } else { State::Unmet };
        let mut parts = skeleton(id);
        parts[0]["domain"] = term("100000000004", domain);
        for authorisation in &mut parts[1..3] {
            authorisation["status"] = term("100000072049", status);
        }
        let mut marks = Vec::new();
        for (n, row) in rows.iter().enumerate() {
            let (open, closed) = (Vec::new(), Vec::new());
            let mut marker = Marker { id: id.to_owned(), part: n, marks: Vec::new(), closed, open };
            self.plant(&mut parts, row, state, &mut marker);
            marks.append(&mut marker.marks);
        }
        // Dates and numbers are marks of one element only.
        marks.retain(|mark| mark.starts_with("mark"));
        let name = rows.iter().map(|row| row.line.to_string()).collect::<Vec<_>>().join(", ");
        let cells = [const { Vec::new() }; 6];
        Specimen { id: id.to_owned(), name, line: 0, cells, state, resources: parts, marks, place: None }
    }

    /// The elements that other rows leave to everybody, and those that one takes away from somebody: a specimen of
    /// this row has none of the latter.
    fn below(&self, row: &MatrixRow) -> (Vec<String>, Vec<String>) {
        let (mut open, mut closed) = (Vec::new(), Vec::new());
        for other in &self.rows {
            if let RowSubject::Element { path, .. } = &other.about
                && other.about != row.about
            {
                let seen = other.cells.iter().all(|cell| *cell == Cell::Seen);
                if seen { &mut open } else { &mut closed }.push(path.clone());
            }
        }
        if let RowSubject::Element { path: own, .. } = &row.about {
            closed.retain(|path| path != own);
        }
        (open, closed)
    }
}
