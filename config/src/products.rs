//! The API products as data: base path, FHIR version, audience, and the map from an EP to method, path, role, scope.

use std::collections::{BTreeMap, BTreeSet};

use pms_terms::{FhirVersion, Stakeholder};
use serde::Deserialize;

use crate::{
    ConfigError,
    data::DataFile,
    foreign::{self, Enforce, Foreign},
};

/// All API products.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiProducts {
    products: Vec<ApiProduct>,
    parameters: ParameterTexts,
}

/// What the documents say about query parameters, by name.
pub type ParameterTexts = BTreeMap<String, ParameterText>;

/// What the documents say about a query parameter of any operation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParameterText {
    /// For people, in Markdown.
    pub description: String,
    /// A value that makes sense.
    pub example: Option<String>,
    /// All values that it may have, where they are few.
    #[serde(default)]
    pub values: Vec<String>,
}

/// One API product (seed: Chapter 1 §4, Annex B §3.1).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiProduct {
    /// Short name in logs, metrics and caller contexts, for example `pms-read-v3`.
    pub id: String,
    /// Name for people.
    pub title: String,
    /// Path before every operation, for example `/pms/api/v3`.
    pub base_path: String,
    /// The FHIR version it speaks.
    pub fhir_version: FhirVersion,
    /// The audience its tokens name, and the first part of its `.default` scope.
    pub resource: String,
    /// Roles (catalogue ids) that may call it.
    pub roles: Vec<String>,
    /// Its own backends, `http://host:port` each, that answer alike. Default: the one of the settings.
    #[serde(default)]
    pub upstreams: Vec<String>,
    /// Who decides what a caller sees: our own backend, or the gateway in front of any other FHIR server.
    #[serde(default)]
    pub enforce: Enforce,
    /// More about that other server.
    #[serde(default)]
    pub foreign: Option<Foreign>,
    /// What can be done.
    #[serde(rename = "operation")]
    pub operations: Vec<Operation>,
}

/// One operation of a product.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// The agency's endpoint number, for example `EP301`.
    pub ep: String,
    /// A few words for people.
    pub title: String,
    /// HTTP method.
    pub method: Method,
    /// Path below the base path; `{id}` and `{vid}` stand for one segment.
    pub path: String,
    /// What kind of FHIR interaction it is.
    pub interaction: Interaction,
    /// The resource type it is about.
    pub resource_type: String,
    /// The SMART scope it needs, for example `system/MedicinalProductDefinition.s`.
    pub scope: String,
    /// Parameters admitted for everybody.
    #[serde(default)]
    pub parameters: Vec<String>,
    /// Parameters admitted for some stakeholder groups only.
    #[serde(default)]
    pub restricted_parameters: BTreeMap<String, Vec<Stakeholder>>,
    /// Where the same search may be sent as a form (FHIR "http", search by POST).
    #[serde(default)]
    pub form_path: Option<String>,
    /// Its parameters come in a form, too: the twin of an operation with a `form_path`, made when the file is read.
    #[serde(skip)]
    pub form: bool,
}

impl Operation {
    /// The operation that answers forms for this one, if it has such a path.
    fn twin(&self) -> Option<Self> {
        let path = self.form_path.clone()?;
        let (ep, title) = (format!("{}-form", self.ep), format!("{} (form)", self.title));
        Some(Self { ep, title, method: Method::Post, path, form_path: None, form: true, ..self.clone() })
    }
}

/// The HTTP methods of operations. `HEAD` goes wherever `GET` goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// `GET`
    Get,
    /// `POST`
    Post,
}

impl Method {
    /// The name in a request line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// The kinds of FHIR interaction that operations offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interaction {
    /// Search a type.
    Search,
    /// Read the current version.
    Read,
    /// Read one version.
    Vread,
    /// All versions of one resource.
    History,
    /// `$everything`.
    Everything,
    /// `$merge`.
    Merge,
    /// Outcome of an asynchronous merge.
    TransactionResponse,
}

impl Interaction {
    /// Whether the answer is a Bundle.
    pub const fn answers_bundle(self) -> bool {
        !matches!(self, Self::Read | Self::Vread)
    }
}

impl ApiProducts {
    /// Reads and checks a data file.
    pub(crate) fn read(file: &DataFile) -> Result<Self, ConfigError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Whole {
            #[serde(rename = "product")]
            products: Vec<ApiProduct>,
            #[serde(rename = "parameter", default)]
            parameters: ParameterTexts,
        }
        let Whole { mut products, parameters } = file.parse()?;
        let wrong = |key: String, problem: &str| ConfigError::Value {
            place: file.place.clone(),
            key,
            problem: problem.to_owned(),
        };
        let mut ids = BTreeSet::new();
        for product in &products {
            if !ids.insert(&product.id) {
                return Err(wrong(product.id.clone(), "this product id is used twice"));
            }
            if !product.base_path.starts_with('/') || product.base_path.ends_with('/') {
                return Err(wrong(
                    format!("{}.base_path", product.id),
                    "must start with a slash and not end with one",
                ));
            }
            let shadowed = products
                .iter()
                .filter(|other| other.id != product.id)
                .any(|other| format!("{}/", other.base_path).starts_with(&format!("{}/", product.base_path)));
            if shadowed {
                return Err(wrong(
                    format!("{}.base_path", product.id),
                    "another product lies under this path",
                ));
            }
            for operation in &product.operations {
                if !operation.path.starts_with('/') {
                    return Err(wrong(
                        format!("{}.{}.path", product.id, operation.ep),
                        "must start with a slash",
                    ));
                }
                let form_path = || format!("{}.{}.form_path", product.id, operation.ep);
                match &operation.form_path {
                    Some(path) if !path.starts_with('/') => {
                        return Err(wrong(form_path(), "must start with a slash"));
                    }
                    Some(_) if operation.interaction != Interaction::Search => {
                        return Err(wrong(form_path(), "is for searches only"));
                    }
                    _ => {}
                }
            }
        }
        for product in &mut products {
            foreign::settle(product).map_err(|(key, problem)| wrong(key, &problem))?;
            let twins: Vec<Operation> = product.operations.iter().filter_map(Operation::twin).collect();
            product.operations.extend(twins);
        }
        Ok(Self { products, parameters })
    }

    /// The products, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &ApiProduct> {
        self.products.iter()
    }

    /// What the documents say about query parameters.
    pub const fn parameter_texts(&self) -> &ParameterTexts {
        &self.parameters
    }

    /// The product with this id.
    pub fn find(&self, id: &str) -> Option<&ApiProduct> {
        self.products.iter().find(|product| product.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Data, DataFiles, HeaderSecret};

    fn read(product: &str, operation: &str) -> Result<ApiProducts, ConfigError> {
        let text = format!(
            r#"[[product]]
id = "partner"
title = "Partner"
base_path = "/partner/r5"
resource = "api://pmsgate/pms"
roles = []
{product}
[[product.operation]]
ep = "P1"
title = "Read"
path = "/MedicinalProductDefinition/{{id}}"
resource_type = "MedicinalProductDefinition"
scope = "system/MedicinalProductDefinition.r"
{operation}
"#
        );
        ApiProducts::read(&DataFile { place: "products.toml".to_owned(), text })
    }

    #[test]
    fn a_foreign_server_is_described_completely_or_refused() {
        const READ: &str = "method = \"GET\"\ninteraction = \"read\"";
        const WHOLE: &str =
            "fhir_version = \"5.0.0\"\nenforce = \"gateway\"\nupstreams = [\"http://127.0.0.1:1\"]";
        let products = read(WHOLE, READ).unwrap();
        let foreign = products.find("partner").unwrap().foreign.as_ref().unwrap();
        assert_eq!((foreign.path.as_deref(), foreign.max_answer), (None, 8 * 1024 * 1024));
        let with = |more: &str| format!("{WHOLE}\n[product.foreign]\n{more}");
        for (product, operation, key) in [
            (WHOLE.replace("5.0.0", "4.4.0"), READ, "partner.fhir_version"),
            (WHOLE.replace("[\"http://127.0.0.1:1\"]", "[]"), READ, "partner.upstreams"),
            (WHOLE.replace("\"gateway\"", "\"backend\"") + "\n[product.foreign]", READ, "partner.foreign"),
            (WHOLE.to_owned(), "method = \"GET\"\ninteraction = \"vread\"", "partner.P1.interaction"),
            (WHOLE.to_owned(), "method = \"POST\"\ninteraction = \"merge\"", "partner.P1.interaction"),
            (WHOLE.to_owned(), "method = \"POST\"\ninteraction = \"read\"", "partner.P1.method"),
            (with("path = \"/fhir/\""), READ, "partner.foreign.path"),
            (with("header = \"X-Key\""), READ, "partner.foreign.header"),
            (with("header = \"X-Key\"\nheader_file = \"/nowhere\""), READ, "partner.foreign.header_file"),
        ] {
            let error = read(&product, operation).unwrap_err().to_string();
            assert!(error.contains(key), "{product}: {error}");
        }
        let secret = HeaderSecret::new("s3cret".to_owned());
        assert!(!format!("{secret:?}").contains("s3cret"));
    }

    #[test]
    fn every_parameter_that_is_shipped_is_described() {
        let files = DataFiles::load(&Data::default()).unwrap();
        let known = files.products.parameter_texts();
        let mut used = BTreeSet::new();
        for operation in files.products.iter().flat_map(|product| &product.operations) {
            used.extend(operation.parameters.iter().chain(operation.restricted_parameters.keys()));
        }
        let described: BTreeSet<&String> = known.keys().collect();
        assert_eq!(
            used, described,
            "[parameter.NAME] in products.toml: used on the left, described on the right"
        );
        for (name, text) in known {
            assert!(text.description.ends_with('.') && text.description.len() > 20, "{name}: {text:?}");
        }
    }
}
