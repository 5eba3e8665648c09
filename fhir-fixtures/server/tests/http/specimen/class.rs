//! Classes of the matrix file, and instances of them.

use fhir_model::schema;
use serde_json::{Value, json};

use super::value::{Marker, V5};

/// A class of the matrix file, as written.
#[derive(Clone, Debug, Default)]
pub(super) struct Class {
    pub(super) at: String,
    pub(super) in_target: bool,
    pub(super) system: Option<String>,
    pub(super) code: Option<String>,
    pub(super) text: Option<String>,
}

impl Class {
    /// An instance of the class at `path`, with a mark that does not take it out of the class.
    pub(super) fn example(&self, path: &str, marker: &mut Marker) -> Value {
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
pub(super) fn settle_class(resource: &mut Value, path: &str, class: &Class) {
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
pub(super) fn system(listed: String) -> String {
    let is_list = listed.bytes().all(|byte| byte.is_ascii_digit());
    if is_list { format!("http://spor.ema.europa.eu/v1/lists/{listed}") } else { listed }
}

pub(super) fn with_text(mut concept: Value, of: &Value) -> Value {
    if let Some(text) = of.get("text") {
        concept["text"] = text.clone();
    }
    concept
}
