//! Putting one element into a product, and making the conditions of its rows hold or not.

use fhir_model::access::RowSubject;
use serde_json::{Value, json};

use super::{
    HIDDEN, Press, State, VISIBLE,
    class::{settle_class, with_text},
    skeleton::{holder, rename},
    value::{Marker, content, fallback, fill, leaf, merge, names},
};
use crate::catalogue::term;

/// The element that leads to other products.
pub(super) const CROSS_REFERENCE: &str = "MedicinalProductDefinition.crossReference";

impl Press {
    /// Puts the element into the resource of its type.
    #[expect(clippy::option_option, reason = "no specimen, or one without a place to look at")]
    pub(super) fn element(
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
    pub(super) fn settle(&self, parts: &mut [Value], condition: &str, state: State) {
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
