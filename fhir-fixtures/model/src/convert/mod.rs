//! Back from FHIR 4.4.0: what an import of 4.4.0 resources becomes in 5.0.0, and what has no home there.
use pms_terms::FhirVersion;
use serde_json::Value;
/// v
pub fn version_of(_resource: &Value) -> FhirVersion {
    FhirVersion::V5_0_0
}
/// Something that did not come over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The resource: `Type/id`.
    pub resource: String,
    /// The element.
    pub path: String,
    /// What happened to it.
    pub message: String,
}
/// The outcome of a conversion.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Converted {
    /// The resources in 5.0.0.
    pub resources: Vec<Value>,
    /// Elements that had no home and were left out.
    pub notes: Vec<Note>,
    /// Resources that could not be converted, with the reason.
    pub refused: Vec<Note>,
}
/// f
pub fn from_4_4_0(resources: &[Value]) -> Converted {
    Converted { resources: resources.to_vec(), ..Converted::default() }
}
