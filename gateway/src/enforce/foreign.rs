//! A FHIR server that is not ours, compiled from the configuration: what it has, where it is, which links lead to it.

use std::collections::BTreeSet;

use config::{ApiProduct, DataFile, Enforce, Interaction};
use fhir_model::{ResourceType, access::AccessMatrix, links, search};
use http::{HeaderName, HeaderValue};
use serde_json::Value;

use super::server::LOCATION;
use crate::{fhir_request::normalise, routes::RouteTableError, upstream::Address};

/// The types that name the product to which they belong by links upward.
const NAMING_THEIR_PRODUCT: [ResourceType; 6] = [
    ResourceType::MedicinalProductDefinition,
    ResourceType::RegulatedAuthorization,
    ResourceType::PackagedProductDefinition,
    ResourceType::AdministrableProductDefinition,
    ResourceType::Ingredient,
    ResourceType::ClinicalUseDefinition,
];
/// Parameters that say how to answer and that the gateway heeds by itself.
const PRESENTATION: [&str; 2] = ["_format", "_pretty"];
/// The same of a search.
const OF_A_SEARCH: [&str; 3] = ["_count", "_cursor", "_sort"];
/// The longest link that is followed, in bytes.
const MAX_LINK: usize = 4096;

/// A FHIR server that tells everything to whoever asks.
#[derive(Debug)]
pub(crate) struct Foreign {
    /// Path before everything there, without a slash at its end.
    pub(crate) path: String,
    /// What its answers are filtered by.
    pub(crate) matrix: AccessMatrix,
    /// What its links begin with: path included.
    bases: Vec<String>,
    /// The types that it has.
    pub(crate) types: BTreeSet<ResourceType>,
    /// Whether it is asked for locations.
    pub(crate) has_locations: bool,
    /// What lets the gateway in.
    pub(crate) header: Option<(HeaderName, HeaderValue)>,
    /// The largest answer that is read, in bytes.
    pub(crate) max_answer: usize,
    /// How much is read for one request, in bytes.
    pub(crate) max_answers: usize,
    /// How often it is asked for one request.
    pub(crate) max_questions: usize,
}

impl Foreign {
    /// Compiles what a product says about its server; `None` when its backend is ours.
    pub(crate) fn compile(
        product: &ApiProduct,
        upstreams: &[Address],
        access_levels: &DataFile,
    ) -> Result<Option<Self>, RouteTableError> {
        if product.enforce == Enforce::Backend {
            return Ok(None);
        }
        let wrong = |what: &str, value: &str, reason: &'static str| RouteTableError::Foreign {
            product: product.id.clone(),
            what: what.to_owned(),
            value: value.to_owned(),
            reason,
        };
        check_operations(product)?;
        let settings = product.foreign.clone().unwrap_or_default();
        let path = settings.path.unwrap_or_else(|| product.base_path.clone());
        let bases = match settings.base_url {
            Some(base) => vec![base.trim_end_matches('/').to_owned()],
            None => upstreams.iter().map(|upstream| format!("{upstream}{path}")).collect(),
        };
        let parsed = |name: &String| {
            name.parse().map_err(|_| wrong("types", name, "a product has no resources of this type"))
        };
        let types = match &settings.types {
            None => ResourceType::ALL.into_iter().collect(),
            Some(names) => {
                let of_products = names.iter().filter(|name| *name != LOCATION);
                of_products.map(parsed).collect::<Result<BTreeSet<_>, _>>()?
            }
        };
        if !types.contains(&ResourceType::MedicinalProductDefinition) {
            return Err(wrong("types", "MedicinalProductDefinition", "the server must have products"));
        }
        let header = match (&settings.header, &settings.header_value) {
            (Some(name), Some(value)) => {
                let parsed =
                    name.parse::<HeaderName>().map_err(|_| wrong("header", name, "it is no name"))?;
                let mut value = HeaderValue::from_str(value.expose())
                    .map_err(|_| wrong("header_file", name, "what stands in it is no value of a header"))?;
                value.set_sensitive(true);
                Some((parsed, value))
            }
            _ => None,
        };
        Ok(Some(Self {
            matrix: AccessMatrix::parse(&access_levels.text, &access_levels.place)?,
            path,
            bases,
            types,
            has_locations: settings.types.is_none_or(|names| names.iter().any(|name| name == LOCATION)),
            header,
            max_answer: settings.max_answer,
            max_answers: settings.max_answers,
            max_questions: settings.max_questions,
        }))
    }

    /// What its links begin with.
    pub(crate) fn base(&self) -> &str {
        self.bases.first().map_or("", String::as_str)
    }

    /// Where a link of its answers leads, below its base. `None` when it leads anywhere else: another host, another
    /// path, or a path that can be read in two ways. Such a link is not followed.
    pub(crate) fn follow<'l>(&self, link: &'l str) -> Option<&'l str> {
        if link.len() > MAX_LINK || link.contains('#') {
            return None;
        }
        let below = |base: &str| {
            link.strip_prefix(base).filter(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
        };
        let target = match self.bases.iter().find_map(|base| below(base)) {
            Some(target) => target,
            None if link.starts_with('/') && !link.starts_with("//") => below(&self.path)?,
            None => return None,
        };
        let path = target.split('?').next().unwrap_or_default();
        (path.is_empty() || normalise(path).is_ok_and(|normal| normal == path)).then_some(target)
    }

    /// Makes its absolute references to resources of its own relative, wherever they stand.
    pub(crate) fn localise(&self, resource: &mut Value) {
        links::map_references(resource, &mut |text| {
            self.bases
                .iter()
                .find_map(|base| text.strip_prefix(base.as_str())?.strip_prefix('/').map(str::to_owned))
        });
    }
}

/// Only what can be judged is offered.
fn check_operations(product: &ApiProduct) -> Result<(), RouteTableError> {
    for operation in &product.operations {
        let wrong = |what: &str, value: &str, reason: &'static str| RouteTableError::Foreign {
            product: product.id.clone(),
            what: format!("operation {}: {what}", operation.ep),
            value: value.to_owned(),
            reason,
        };
        let resource_type = operation.resource_type.parse::<ResourceType>().ok();
        let is_judged = resource_type.is_some_and(|kind| match operation.interaction {
            Interaction::Read => NAMING_THEIR_PRODUCT.contains(&kind),
            _ => kind == ResourceType::MedicinalProductDefinition,
        });
        if !is_judged {
            return Err(wrong(
                "resource_type",
                &operation.resource_type,
                "products are searched, and read are they and what names its product by a link; the rest is in $everything",
            ));
        }
        let search = operation.interaction == Interaction::Search;
        let known = |name: &str| {
            PRESENTATION.contains(&name)
                || (search && (OF_A_SEARCH.contains(&name) || search::elements(name).is_some()))
        };
        let mut parameters = operation.parameters.iter().chain(operation.restricted_parameters.keys());
        if let Some(name) = parameters.find(|name| !known(name)) {
            return Err(wrong("parameter", name, "the gateway does not know which elements it looks at"));
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{access_levels, partner};

    pub(crate) fn foreign(change: impl FnOnce(&mut ApiProduct)) -> Result<Foreign, RouteTableError> {
        let mut product = partner("http://10.0.0.1:8080").product;
        change(&mut product);
        let upstreams = ["http://10.0.0.1:8080".parse().unwrap()];
        Foreign::compile(&product, &upstreams, &access_levels()).map(Option::unwrap)
    }

    #[test]
    fn only_links_to_the_server_itself_are_followed() {
        let foreign = foreign(|_| {}).unwrap();
        for (link, target) in [
            (
                "http://10.0.0.1:8080/fhir/MedicinalProductDefinition?page=2",
                "/MedicinalProductDefinition?page=2",
            ),
            ("http://10.0.0.1:8080/fhir?_getpages=x%2Fy", "?_getpages=x%2Fy"),
            ("/fhir/X?y", "/X?y"),
        ] {
            assert_eq!(foreign.follow(link), Some(target), "{link}");
        }
        for link in [
            "http://10.0.0.2:8080/fhir/X?page=2",
            "http://10.0.0.1:80800/fhir/X",
            "http://10.0.0.1:8080@evil.example/fhir/X",
            "https://10.0.0.1:8080/fhir/X",
            "http://10.0.0.1:8080/fhirevil/X",
            "http://10.0.0.1:8080/other/X",
            "http://10.0.0.1:8080/fhir/../admin",
            "http://10.0.0.1:8080/fhir/%2e%2e/admin",
            "http://10.0.0.1:8080/fhir//X",
            "http://10.0.0.1:8080/fhir/X#y",
            "//evil.example/fhir/X",
            "/admin",
            "file:///etc/passwd",
            "?page=2",
            "",
        ] {
            assert_eq!(foreign.follow(link), None, "{link}");
        }
        let long = format!("/fhir/X?{}", "y".repeat(MAX_LINK));
        assert_eq!(foreign.follow(&long), None);
    }

    #[test]
    fn absolute_references_to_the_server_become_relative() {
        let foreign = foreign(|_| {}).unwrap();
        let mut resource = json!({"resourceType": "Ingredient", "for": [
            {"reference": "http://10.0.0.1:8080/fhir/MedicinalProductDefinition/1"},
            {"reference": "http://elsewhere.example/MedicinalProductDefinition/1"}]});
        foreign.localise(&mut resource);
        assert_eq!(resource["for"][0]["reference"], "MedicinalProductDefinition/1");
        assert_eq!(resource["for"][1]["reference"], "http://elsewhere.example/MedicinalProductDefinition/1");
    }

    #[test]
    fn what_cannot_be_judged_is_not_offered() {
        let refused = |change: fn(&mut ApiProduct)| foreign(change).unwrap_err().to_string();
        let text = refused(|product| product.operations[0].parameters.push("_include".to_owned()));
        assert!(text.contains("_include"), "{text}");
        let text = refused(|product| product.operations[1].parameters.push("name".to_owned()));
        assert!(text.contains("name"), "{text}");
        let text = refused(|product| product.operations[1].resource_type = "Organization".to_owned());
        assert!(text.contains("Organization"), "{text}");
        let text = refused(|product| product.operations[0].resource_type = "Ingredient".to_owned());
        assert!(text.contains("Ingredient"), "{text}");
        let types = |names: &[&str]| config::Foreign {
            types: Some(names.iter().map(|name| (*name).to_owned()).collect()),
            ..config::Foreign::default()
        };
        for (names, word) in [(vec!["Patient"], "Patient"), (vec!["Ingredient"], "must have products")] {
            let text = foreign(|product| product.foreign = Some(types(&names))).unwrap_err().to_string();
            assert!(text.contains(word), "{text}");
        }
    }
}
