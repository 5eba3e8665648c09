//! Specimens: for a row of the access matrix a product that has its element, made from the listing of FHIR elements.
//!
//! Every text in the element is a mark that stands nowhere else, so that whoever reads an answer can tell by its bytes
//! whether the element was shown. A new row gets its specimen without anybody writing one.

mod class;
mod plant;
mod press;
mod skeleton;
mod value;

use fhir_model::access::Cell;
use serde_json::Value;

pub(crate) use self::press::Press;
use crate::catalogue::{self, bundle};

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
