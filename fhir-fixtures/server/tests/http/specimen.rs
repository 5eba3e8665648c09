//! Specimens: for a row of the access matrix a product that has its element, made from the listing of FHIR elements.
//!
//! Every text in the element is a mark that stands nowhere else, so that whoever reads an answer can tell by its bytes
//! whether the element was shown. A new row gets its specimen without anybody writing one.

use std::collections::{BTreeMap, BTreeSet};

use fhir_model::{
    ResourceType,
    access::{AccessMatrix, Cell, MatrixRow, RowSubject},
    schema,
};
use pms_terms::FhirVersion;
use serde_json::{Map, Value, json};

use crate::{
    catalogue::{self, bundle, term},
    harness::OWNER,
};

const V5: FhirVersion = FhirVersion::V5_0_0;

/// The element that leads to other products.
const CROSS_REFERENCE: &str = "MedicinalProductDefinition.crossReference";

/// How deep an element is filled.
const DEPTH: usize = 3;

/// Elements that say something about the object, not by it.
const ASIDE: [&str; 7] =
    ["id", "meta", "implicitRules", "text", "contained", "extension", "modifierExtension"];

/// In which of its states a condition of the row is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It holds for those whom the default switches let through.
    Met,
    /// It holds for nobody who is bound by it.
    Unmet,
}

/// A product that has the element of a row.
#[derive(Clone, Debug)]
pub(crate) struct Specimen {
    /// The product's id.
    pub(crate) id: String,
    /// The row, for messages.
    pub(crate) name: String,
    pub(crate) line: usize,
    /// What its row and the rows above say to each column; all must open it.
    pub(crate) cells: [Vec<Cell>; 6],
    pub(crate) state: State,
    /// The resources, the root first.
    pub(crate) resources: Vec<Value>,
    /// Each stands in the element and nowhere else.
    pub(crate) marks: Vec<String>,
    /// For an element without any text: the type of its resource, and where it stands.
    pub(crate) place: Option<(String, String)>,
}

impl Specimen {
    pub(crate) fn bundle(&self) -> Value {
        bundle(&self.resources)
    }

    /// The type of the resource with the element; `Resource` and `extension` stand for themselves.
    pub(crate) fn kind(&self) -> &str {
        self.name.split(['.', ' ']).next().unwrap_or_default()
    }
}

/// A class of the matrix file, as written.
#[derive(Clone, Debug, Default)]
struct Class {
    at: String,
    in_target: bool,
    system: Option<String>,
    code: Option<String>,
    text: Option<String>,
}

/// Makes specimens of the rows of one matrix.
pub(crate) struct Press {
    classes: BTreeMap<String, Class>,
    rows: Vec<MatrixRow>,
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
                if name != "language" && !spoken.iter().any(|row| speaks(&row)) && can_hold(&path) {
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

    /// Puts the element into the resource of its type.
    #[expect(clippy::option_option, reason = "no specimen, or one without a place to look at")]
    fn element(
        &self,
        parts: &mut [Value],
        path: &str,
        class: Option<&str>,
        state: State,
        marker: &mut Marker,
    ) -> Option<Option<(String, String)>> {
        let of_every = path.strip_prefix("Resource.");
        let path = match of_every {
            Some("language") => "Organization.language",
            Some(_) => return None,
            None => path,
        };
        let type_name = path.split('.').next().unwrap().to_owned();
        let kind = if class == Some("manufacturing") { "Manufacturing" } else { type_name.as_str() };
        let resource = holder(parts, kind);
        if class == Some("active") || path == "Ingredient" && class.is_none() {
            let code = if class.is_some() { "100000072072" } else { "100000072082" };
            resource["role"] = term("100000072050", code);
        }
        if !path.contains('.') {
            // A whole resource: its id is the mark.
            let mark = marker.mark();
            let old = format!("{type_name}/{}", resource["id"].as_str().unwrap());
            if type_name == "MedicinalProductDefinition" {
                marker.marks.clear();
                return Some(Some((type_name, "id".to_owned())));
            }
            resource["id"] = mark.clone().into();
            rename(parts, &old, &format!("{type_name}/{mark}"));
            return Some(None);
        }
        if let Some(parent) = path.strip_suffix(".*") {
            let taken: Vec<&str> = self
                .rows
                .iter()
                .filter_map(|row| match &row.about {
                    RowSubject::Element { path, .. } => path.strip_prefix(parent)?.strip_prefix('.'),
                    RowSubject::Extension { .. } => None,
                })
                .filter_map(|rest| rest.split('.').next())
                .collect();
            for name in names(parent) {
                let own = format!("{parent}.{name}");
                let address = parent.ends_with("masterFile") && name == "reference";
                if !taken.contains(&name.as_str())
                    && !address
                    && let Some(content) = content(&own, 1, marker)
                {
                    fill(resource, &own, content, marker);
                }
            }
            return Some(None);
        }
        let listed = class.and_then(|class| self.classes.get(class));
        if let Some(listed) = listed.filter(|listed| listed.in_target) {
            let (document, code) = (format!("{}-doc", marker.id), listed.code.clone().unwrap());
            let reference =
                json!({"reference": format!("DocumentReference/{document}"), "display": marker.mark()});
            fill(resource, path, reference, marker);
            holder(parts, "DocumentReference")["type"] = term("100000155531", &code);
            return Some(None);
        }
        if type_name != "MedicinalProductDefinition" && path.ends_with("attachedDocument")
            || path == "MedicinalProductDefinition.attachedDocument"
        {
            // Any document but a public one.
            let reference = json!({"reference": format!("DocumentReference/{}-report", marker.id), "display": marker.mark()});
            fill(resource, path, reference, marker);
            return Some(None);
        }
        if path == CROSS_REFERENCE {
            let other = if state == State::Met { VISIBLE } else { HIDDEN };
            let reference =
                json!({"reference": format!("MedicinalProductDefinition/{other}"), "display": marker.mark()});
            fill(resource, path, json!({"product": {"reference": reference}}), marker);
            return Some(None);
        }
        if path == "RegulatedAuthorization.indication" {
            // The words of the indication have a row of their own.
            let mut reference = json!({"display": marker.mark()});
            if state == State::Met {
                reference["reference"] = format!("ClinicalUseDefinition/{}-cud", marker.id).into();
            }
            fill(resource, path, json!({"reference": reference}), marker);
            return Some(None);
        }
        let leaf = leaf(path);
        let value = match listed.filter(|listed| listed.at == path) {
            Some(listed) => listed.example(path, marker),
            None => content(path, 0, marker)
                .or_else(|| fallback(path))
                .unwrap_or_else(|| panic!("no value for {path}")),
        };
        fill(resource, path, value, marker);
        if let Some(listed) = listed.filter(|listed| listed.at != path) {
            settle_class(resource, path, listed);
        }
        Some(Some((type_name, leaf)))
    }

    /// Makes a condition of the row met or not.
    fn settle(&self, parts: &mut [Value], condition: &str, state: State) {
        let met = state == State::Met;
        match condition {
            "central-only" => {
                let number = if met { "EU/1/24/001" } else { "NAT/24/001" };
                let more = json!({"identifier": [
                    {"system": "http://ema.europa.eu/fhir/marketingAuthorizationNumber", "value": number}]});
                merge(holder(parts, "RegulatedAuthorization"), more);
            }
            "marketing-status" => {
                let code = if met { "100000072083" } else { "999999999999" };
                for part in parts {
                    for status in
                        part.get_mut("marketingStatus").and_then(Value::as_array_mut).into_iter().flatten()
                    {
                        status["status"] = with_text(term("100000072052", code), &status["status"]);
                        if status["country"].is_null() {
                            status["country"] = term("100000000002", "100000000403");
                        }
                    }
                }
            }
            "unless-confidential" => {
                if let Some(operation) = holder(parts, "MedicinalProductDefinition").get_mut("operation") {
                    for operation in operation.as_array_mut().unwrap() {
                        operation["confidentialityIndicator"] =
                            json!({"text": if met { "Not confidential" } else { "Confidential" }});
                    }
                }
                if !met {
                    holder(parts, "Ingredient")["meta"] = json!({"security": [
                        {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]});
                }
            }
            "authorisation-status" => {
                let code = if met { "100000072099" } else { "100000072122" };
                // The product stays visible by its other authorisation.
                let authorisation = holder(parts, "RegulatedAuthorization");
                authorisation["status"] = with_text(term("100000072049", code), &authorisation["status"]);
            }
            "not-hidden-ingredient" => {
                let name = holder(parts, "AdministrableProductDefinition")["ingredient"][0].clone();
                let ingredient = holder(parts, "Ingredient");
                ingredient["role"] = term("100000072050", "100000072082");
                if !met {
                    ingredient["substance"]["code"]["concept"] = name;
                    ingredient["meta"] = json!({"security": [
                        {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]});
                }
            }
            // Settled with the element, or closed whatever the product says.
            "target-visible" | "already-public" | "batch-release" => {}
            class => {
                let class = &self.classes[class];
                if met {
                    let organisation = holder(parts, "Organization");
                    let contact = &mut organisation["contact"][0]["purpose"];
                    *contact = with_text(json!({"coding": [{"code": class.code}]}), contact);
                }
            }
        }
    }
}

/// A public product that specimens refer to, and one that only its owner and authorities may know of.
pub(crate) const VISIBLE: &str = "620000000001";
pub(crate) const HIDDEN: &str = "620000000002";

/// The products that specimens refer to.
pub(crate) fn others() -> Vec<Value> {
    vec![
        catalogue::product(VISIBLE, "Visible", "ORG-100000098"),
        catalogue::with_status(HIDDEN, "Hidden", "ORG-100000098", "100000000012", "220000000066"),
    ]
}

/// Whether rows that say this open the element to a column, by the default switches.
pub(crate) fn opens(cells: &[Cell], state: State, is_public: bool) -> bool {
    cells.iter().all(|cell| match cell {
        Cell::Seen => true,
        Cell::Removed => false,
        Cell::If(condition) => {
            state == State::Met
                && match condition.as_str() {
                    // Open to industry, closed to the public; closed to both.
                    "marketing-status" => !is_public,
                    "batch-release" => false,
                    _ => true,
                }
        }
    })
}

/// Hands out texts that stand nowhere else.
#[derive(Default)]
struct Marker {
    id: String,
    /// Which of several elements of a product it is for.
    part: usize,
    marks: Vec<String>,
    /// What is not to be filled, and what is although the rest beside it is not.
    closed: Vec<String>,
    open: Vec<String>,
}

impl Marker {
    fn mark(&mut self) -> String {
        let mark = format!("mark{}x{}x{}x", self.id, self.part, self.marks.len());
        self.marks.push(mark.clone());
        mark
    }

    /// A date of long ago.
    fn date(&mut self) -> String {
        let date = format!("1{:03}-01-01", self.marks.len());
        self.marks.push(date.clone());
        date
    }

    /// A number that is no other's.
    fn number(&mut self) -> Value {
        let number = 87_000_000 + self.marks.len();
        self.marks.push(number.to_string());
        number.into()
    }

    /// Whether another row takes this element away from somebody.
    fn leaves_out(&self, parent: &str, path: &str) -> bool {
        let in_list = |list: &[String], wanted: &str| list.iter().any(|named| named == wanted);
        in_list(&self.closed, path)
            || in_list(&self.closed, &format!("{parent}.*")) && !in_list(&self.open, path)
    }
}

impl Class {
    /// An instance of the class at `path`, with a mark that does not take it out of the class.
    fn example(&self, path: &str, marker: &mut Marker) -> Value {
        if schema::type_of(V5, path) == Some("Identifier") {
            return json!({"system": self.system, "value": marker.mark()});
        }
        match (&self.code, &self.text) {
            (None, Some(text)) => json!({"coding": [{"code": marker.mark(), "display": text}]}),
            (code, _) => json!({"text": marker.mark(), "coding": [
                {"system": self.system, "code": code.clone().unwrap_or_else(|| "x".to_owned()), "display": marker.mark()}]}),
        }
    }
}

/// Sets the element that makes the instance at `path` one of the class: inside it, around it or beside it.
fn settle_class(resource: &mut Value, path: &str, class: &Class) {
    let mut concept = json!({"coding": [{"code": class.code}]});
    if let Some(system) = &class.system {
        concept["coding"][0]["system"] = system.as_str().into();
    }
    let at: Vec<&str> = class.at.split('.').skip(1).collect();
    let of: Vec<&str> = path.split('.').skip(1).collect();
    let common = at.iter().zip(&of).take_while(|(at, of)| at == of).count();
    let mut here = resource;
    for name in &of[..common] {
        here = &mut here[*name];
        if here.is_array() {
            here = here.as_array_mut().unwrap().last_mut().unwrap();
        }
    }
    let names = &at[common..];
    for name in &names[..names.len() - 1] {
        here = &mut here[*name];
    }
    let slot = &mut here[names[names.len() - 1]];
    *slot = if class.code.is_some() {
        with_text(concept, slot)
    } else {
        // Its text makes it one of the class; the mark stands beside it.
        json!({"text": class.text, "coding": [{"display": slot["text"]}]})
    };
}

/// An RMS list by its URL; any other system as it is.
fn system(listed: String) -> String {
    let is_list = listed.bytes().all(|byte| byte.is_ascii_digit());
    if is_list { format!("http://spor.ema.europa.eu/v1/lists/{listed}") } else { listed }
}

fn with_text(mut concept: Value, of: &Value) -> Value {
    if let Some(text) = of.get("text") {
        concept["text"] = text.clone();
    }
    concept
}

/// The resource that specimens of a type are put into.
fn holder<'p>(parts: &'p mut [Value], path: &str) -> &'p mut Value {
    let type_name = path.split('.').next().unwrap();
    let wanted = if type_name == "Manufacturing" { "RegulatedAuthorization" } else { type_name };
    let manufacturing = type_name == "Manufacturing";
    parts
        .iter_mut()
        .filter(|part| part["resourceType"] == wanted)
        .find(|part| {
            manufacturing == (part["subject"][0]["reference"].as_str().unwrap_or_default().starts_with("Act"))
        })
        .unwrap_or_else(|| panic!("no {type_name}"))
}

/// Follows a resource's new id.
fn rename(parts: &mut [Value], old: &str, new: &str) {
    for part in parts {
        fhir_model::links::map_references(part, &mut |text| (text == old).then(|| new.to_owned()));
    }
}

/// The elements below a path, choices without `[x]`.
fn names(path: &str) -> Vec<String> {
    // A child of a type's node: the type's own elements.
    let at = match schema::type_of(V5, path) {
        Some(kind) if !matches!(kind, "BackboneElement" | "Element") => kind,
        _ => path,
    };
    schema::element_names(V5, at)
        .into_iter()
        .filter(|name| !ASIDE.contains(name))
        .map(str::to_owned)
        .collect()
}

/// The JSON property of an element: of a choice the first whose value can hold a text.
fn property(path: &str) -> String {
    if schema::type_of(V5, path).is_some() {
        return path.to_owned();
    }
    let (parent, name) = path.rsplit_once('.').unwrap();
    let choices: Vec<&str> = schema::xml_order(V5, parent)
        .into_iter()
        .filter(|property| {
            property.strip_prefix(name).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
        })
        .collect();
    let wordy = ["String", "Markdown", "CodeableConcept", "CodeableReference", "Reference"];
    let choice =
        choices.iter().find(|choice| wordy.iter().any(|end| choice.ends_with(end))).or(choices.first());
    format!("{parent}.{}", choice.unwrap_or_else(|| panic!("no element {path}")))
}

fn leaf(path: &str) -> String {
    let property = property(path);
    property.split_once('.').unwrap().1.replace('.', "/")
}

/// The last segment of a path.
fn last(path: &str) -> String {
    path.rsplit('.').next().unwrap().to_owned()
}

/// Whether there is a value for an element at all.
fn can_hold(path: &str) -> bool {
    let mut nothing = Marker::default();
    content(path, 0, &mut nothing).or_else(|| fallback(path)).is_some()
}

/// A value for an element, every text in it a mark; `None` for what cannot hold one.
fn content(path: &str, depth: usize, marker: &mut Marker) -> Option<Value> {
    let path = property(path);
    let kind = schema::type_of(V5, &path)?;
    let before = marker.marks.len();
    let one = match kind {
        "string" | "markdown" => marker.mark().into(),
        "uri" | "url" | "canonical" => format!("https://marks.example/{}", marker.mark()).into(),
        "date" | "dateTime" => marker.date().into(),
        "instant" => format!("{}T00:00:00Z", marker.date()).into(),
        "decimal" | "integer" | "positiveInt" | "unsignedInt" => marker.number(),
        "Period" => json!({"start": marker.date()}),
        "Reference" => json!({"display": marker.mark()}),
        "CodeableConcept" => json!({"text": marker.mark()}),
        "CodeableReference" => json!({"concept": {"text": marker.mark()}}),
        "Identifier" => json!({"value": marker.mark()}),
        "Coding" => json!({"display": marker.mark()}),
        "Quantity" | "SimpleQuantity" | "Duration" => json!({"value": 1, "unit": marker.mark()}),
        "Ratio" => json!({"numerator": {"value": 1, "unit": marker.mark()}, "denominator": {"value": 1}}),
        "Annotation" | "HumanName" | "Address" => json!({"text": marker.mark()}),
        "ContactPoint" => json!({"system": "email", "value": marker.mark()}),
        "Attachment" => json!({"title": marker.mark()}),
        "BackboneElement"
        | "Element"
        | "MarketingStatus"
        | "ProductShelfLife"
        | "ContactDetail"
        | "ExtendedContactDetail"
        | "UsageContext"
            if depth < DEPTH =>
        {
            let required = schema::mandatory_names(V5, &path);
            let mut object = Map::new();
            for name in names(&path) {
                let own = format!("{path}.{name}");
                let name = last(&property(&own));
                let is_required = required.contains(&name.as_str());
                if marker.leaves_out(&path, &own) && !is_required {
                    continue;
                }
                match content(&own, depth + 1, marker).or_else(|| fallback(&own).filter(|_| is_required)) {
                    Some(value) => {
                        object.insert(name, value);
                    }
                    None if is_required => {
                        marker.marks.truncate(before);
                        return None;
                    }
                    None => {}
                }
            }
            if marker.marks.len() == before {
                return None;
            }
            Value::Object(object)
        }
        _ => return None,
    };
    Some(if schema::repeats(V5, &path) == Some(true) { json!([one]) } else { one })
}

/// A value for an element that cannot hold a text.
fn fallback(path: &str) -> Option<Value> {
    let path = property(path);
    let one = match schema::type_of(V5, &path).unwrap_or_default() {
        "boolean" => json!(true),
        "code" => match path.as_str() {
            "ClinicalUseDefinition.type" => json!("indication"),
            "DocumentReference.status" => json!("current"),
            "DocumentReference.docStatus" => json!("final"),
            "Ingredient.manufacturer.role" => json!("actual"),
            "Organization.language" => json!("en"),
            "Practitioner.gender" => json!("other"),
            "ActivityDefinition.kind" => json!("Task"),
            "ActivityDefinition.intent" => json!("plan"),
            "ActivityDefinition.priority" => json!("routine"),
            _ => json!("active"),
        },
        _ => return None,
    };
    Some(if schema::repeats(V5, &path) == Some(true) { json!([one]) } else { one })
}

/// Puts a value at a path, with the objects around it and what they require.
fn fill(resource: &mut Value, path: &str, value: Value, marker: &Marker) {
    let property = property(path);
    let mut segments: Vec<&str> = property.split('.').collect();
    let last = segments.pop().unwrap();
    let mut here = resource;
    let mut walked = segments[0].to_owned();
    for name in &segments[1..] {
        walked = format!("{walked}.{name}");
        let repeats = schema::repeats(V5, &walked) == Some(true);
        let slot = &mut here[*name];
        if slot.is_null() {
            let mut object = Map::new();
            for required in schema::mandatory_names(V5, &walked) {
                let own = format!("{walked}.{required}");
                let mut aside = Marker { id: format!("{}aside", marker.id), ..Marker::default() };
                if let Some(value) = content(&own, DEPTH - 1, &mut aside).or_else(|| fallback(&own)) {
                    object.entry(required).or_insert(value);
                }
            }
            *slot = if repeats { json!([object]) } else { Value::Object(object) };
        }
        here = if repeats { &mut slot[0] } else { slot };
    }
    let value = if schema::repeats(V5, &property) == Some(true) && !value.is_array() {
        json!([value])
    } else {
        value
    };
    let mut wrapped = json!({});
    wrapped[last] = value;
    merge(here, wrapped);
}

/// Adds to an object: items to arrays, members to objects, else in place.
fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (name, value) in more {
                match into.get_mut(&name) {
                    Some(known) => merge(known, value),
                    None => {
                        into.insert(name, value);
                    }
                }
            }
        }
        (Value::Array(into), Value::Array(more)) => into.extend(more),
        (into, more) => *into = more,
    }
}

/// A human, current, validly authorised product of [`OWNER`] with one resource of every type, every one of them led to
/// by an element that everybody sees, where there is one.
fn skeleton(id: &str) -> Vec<Value> {
    let key = |kind: &str, suffix: &str| format!("{kind}/{id}-{suffix}");
    let product = format!("MedicinalProductDefinition/{id}");
    let authorisation = |suffix: &str| {
        json!({"resourceType": "RegulatedAuthorization", "id": format!("{id}-{suffix}"),
            "subject": [{"reference": product}], "type": term("220000000060", "220000000061"),
            "status": term("100000072049", "100000072099"), "holder": {"reference": key("Organization", "org")}})
    };
    vec![
        json!({"resourceType": "MedicinalProductDefinition", "id": id,
            "domain": term("100000000004", "100000000012"), "status": term("200000005003", "200000005004"),
            "name": [{"productName": "Specimen"}],
            "attachedDocument": [{"reference": key("DocumentReference", "doc")}, {"reference": key("DocumentReference", "report")}],
            "contact": [{"type": {"coding": [{"code": "200000017719"}]}, "contact": {"reference": key("Organization", "org")}},
                {"type": {"coding": [{"code": "100000155057"}]}, "contact": {"reference": key("PractitionerRole", "role")}}],
            "operation": [{"type": {"reference": {"reference": key("ActivityDefinition", "act")}}}]}),
        authorisation("ra"),
        authorisation("spare"),
        json!({"resourceType": "RegulatedAuthorization", "id": format!("{id}-ma"),
            "subject": [{"reference": key("ActivityDefinition", "act")}]}),
        json!({"resourceType": "PackagedProductDefinition", "id": format!("{id}-ppd"),
            "packageFor": [{"reference": product}],
            "packaging": {"containedItem": [{"item": {"reference": {"reference": key("ManufacturedItemDefinition", "mid")}}}]}}),
        json!({"resourceType": "AdministrableProductDefinition", "id": format!("{id}-apd"), "status": "active",
            "formOf": [{"reference": product}], "routeOfAdministration": [{"code": {"text": "Oral"}}]}),
        json!({"resourceType": "ManufacturedItemDefinition", "id": format!("{id}-mid"), "status": "active",
            "manufacturedDoseForm": {"text": "Tablet"}}),
        json!({"resourceType": "Ingredient", "id": format!("{id}-in"), "status": "active",
            "for": [{"reference": product}], "role": {"text": "Adjuvant"},
            "substance": {"code": {"reference": {"reference": key("SubstanceDefinition", "sub")}}}}),
        json!({"resourceType": "SubstanceDefinition", "id": format!("{id}-sub")}),
        json!({"resourceType": "ClinicalUseDefinition", "id": format!("{id}-cud"), "type": "indication",
            "subject": [{"reference": product}]}),
        json!({"resourceType": "Organization", "id": format!("{id}-org"), "name": "Holder", "identifier": [
            {"system": "https://spor.ema.europa.eu/v1/organisations", "value": OWNER}]}),
        json!({"resourceType": "PractitionerRole", "id": format!("{id}-role"),
            "practitioner": {"reference": key("Practitioner", "who")}}),
        json!({"resourceType": "Practitioner", "id": format!("{id}-who")}),
        json!({"resourceType": "DocumentReference", "id": format!("{id}-doc"), "status": "current",
            "type": term("100000155531", "100000155532"), "content": [{"attachment": {"title": "SmPC"}}]}),
        json!({"resourceType": "DocumentReference", "id": format!("{id}-report"), "status": "current",
            "type": {"text": "Report"}, "content": [{"attachment": {"title": "Report"}}]}),
        json!({"resourceType": "ActivityDefinition", "id": format!("{id}-act"), "status": "active"}),
    ]
}
