//! The route table: products and operations from configuration, compiled at start, matched per request.

use access_token::Scope;
use config::Interaction;
use http::{HeaderValue, Method};
use pms_terms::{FhirVersion, Stakeholder};

use crate::{
    enforce::Foreign,
    fhir_request::{RequestRefusal, is_fhir_id},
    settings::{GatewaySettings, ProductSettings},
    swagger::SwaggerFile,
    upstream::{Address, UnfitWay},
};

/// Where protected-resource metadata lives (RFC 9728 §3).
pub const WELL_KNOWN_RESOURCE: &str = "/.well-known/oauth-protected-resource";

/// The compiled table.
#[derive(Debug)]
pub struct Routes {
    products: Vec<Product>,
    /// The distinct sets of upstreams, in the order in which products name them.
    clusters: Vec<Vec<Address>>,
}

/// One API product, compiled.
#[derive(Debug)]
pub struct Product {
    /// `pms-read-v3`.
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// `/pms/api/v3`.
    pub base_path: String,
    /// The FHIR version that it speaks.
    pub fhir_version: FhirVersion,
    /// The audience of its tokens.
    pub resource: String,
    /// The token roles that may call it.
    pub roles: Vec<String>,
    /// What it offers.
    pub operations: Vec<Operation>,
    /// Its place in the configuration: the index of its metrics and documents.
    pub index: usize,
    /// The index of its upstreams among the distinct sets of them.
    pub cluster: usize,
    /// Its public address: public base URL and base path.
    pub public_base: String,
    /// The upstreams' address with the base path: what their links begin with.
    pub upstream_base: String,
    /// The upstreams' addresses.
    pub upstreams: Vec<Address>,
    /// The first one as `Host` header.
    pub upstream_host: HeaderValue,
    /// The server behind it, where that is not ours and the gateway filters.
    pub(crate) foreign: Option<Foreign>,
    /// Where its protected-resource metadata is (RFC 9728 §3.1).
    pub resource_metadata: String,
}

/// One operation, compiled.
#[derive(Debug)]
pub struct Operation {
    /// `EP301`.
    pub ep: String,
    /// Its name for people.
    pub title: String,
    /// Product and number, for logs: `pms-read-v3 EP301`.
    pub label: String,
    /// The one method that it is called with.
    pub method: Method,
    /// The kind of interaction.
    pub interaction: Interaction,
    /// The resource type that it is about.
    pub resource_type: String,
    /// The path template as configured.
    pub template: String,
    /// The scope it needs, as configured.
    pub scope_text: String,
    /// The scope it needs.
    pub scope: Scope,
    /// Its parameters come in a form, too (FHIR "http", search by POST).
    pub form: bool,
    /// Its place among all operations of all products: the index of its metrics.
    pub index: usize,
    segments: Vec<Segment>,
    /// Sorted by name.
    parameters: Vec<AdmittedParameter>,
}

#[derive(Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Id,
    VersionId,
}

#[derive(Debug)]
struct AdmittedParameter {
    name: String,
    groups: u8,
}

/// An open document about a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// `/metadata`: the CapabilityStatement.
    Metadata,
    /// RFC 9728 protected-resource metadata.
    ProtectedResource,
    /// `/.well-known/smart-configuration` (SMART App Launch, conformance).
    SmartConfiguration,
    /// `/openapi.json`: the OpenAPI description.
    OpenApi,
    /// `/swagger` and what that page is made of: the description for people.
    Swagger(SwaggerFile),
}

/// Where a path led.
#[derive(Debug)]
pub enum Located<'t> {
    /// To an open document.
    Document {
        /// About this product.
        product: &'t Product,
        /// This one.
        document: Document,
    },
    /// To an operation.
    Operation {
        /// Of this product.
        product: &'t Product,
        /// This one.
        operation: &'t Operation,
    },
}

/// Whether a parameter may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// This group may use it.
    Admitted,
    /// Other groups may.
    OtherGroups,
    /// The operation has no such parameter.
    Unknown,
}

/// A route table that makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum RouteTableError {
    /// A path template is not understood.
    #[error("product {product}, operation {ep}: path {path:?}: {reason}")]
    Path {
        /// The product.
        product: String,
        /// The operation.
        ep: String,
        /// The template.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A scope does not parse.
    #[error("product {product}, operation {ep}: scope {scope:?} is no SMART system scope")]
    Scope {
        /// The product.
        product: String,
        /// The operation.
        ep: String,
        /// The scope.
        scope: String,
    },
    /// Two operations answer the same method and path.
    #[error("product {product}: operations {first} and {second} have the same method and path")]
    Ambiguous {
        /// The product.
        product: String,
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// A base path or a base URL is malformed.
    #[error("product {product}: {what} {value:?} is malformed: {reason}")]
    Address {
        /// The product.
        product: String,
        /// Which value.
        what: &'static str,
        /// The value.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A foreign server is not described rightly, or more is offered of it than can be judged.
    #[error("product {product}, enforce = \"gateway\": {what} {value:?}: {reason}")]
    Foreign {
        /// The product.
        product: String,
        /// Which value.
        what: String,
        /// The value.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The access levels by which a foreign server's answers are filtered.
    #[error(transparent)]
    AccessLevels(#[from] fhir_model::access::MatrixError),
    /// An upstream that cannot be spoken to.
    #[error(transparent)]
    Upstream(#[from] UnfitWay),
}

impl Routes {
    /// Compiles the table.
    pub fn compile(settings: &GatewaySettings) -> Result<Self, RouteTableError> {
        let mut operations = 0;
        let mut products = settings
            .products
            .iter()
            .enumerate()
            .map(|(index, product)| Product::compile(settings, product, index, &mut operations))
            .collect::<Result<Vec<_>, _>>()?;
        let mut clusters: Vec<Vec<Address>> = Vec::new();
        for product in &mut products {
            let known = clusters.iter().position(|cluster| *cluster == product.upstreams);
            product.cluster = known.unwrap_or_else(|| {
                clusters.push(product.upstreams.clone());
                clusters.len() - 1
            });
        }
        // The longest base path first: `/a/b` must win over `/a`.
        products.sort_by_key(|product| std::cmp::Reverse(product.base_path.len()));
        Ok(Self { products, clusters })
    }

    /// The products, longest base path first.
    pub fn products(&self) -> &[Product] {
        &self.products
    }

    /// The distinct sets of upstreams; [`Product::cluster`] is an index into them.
    pub fn clusters(&self) -> &[Vec<Address>] {
        &self.clusters
    }

    /// Whether a raw path is the gateway's to answer, were it only with a refusal.
    pub fn owns(&self, path: &str) -> bool {
        let path = path.strip_prefix(WELL_KNOWN_RESOURCE).unwrap_or(path);
        self.products.iter().any(|product| product.rest_of(path).is_some())
    }

    /// Finds what a normalised path leads to.
    pub fn locate(&self, method: &Method, path: &str) -> Result<Located<'_>, RequestRefusal> {
        let (path, well_known) = match path.strip_prefix(WELL_KNOWN_RESOURCE) {
            Some(rest) => (rest, true),
            None => (path, false),
        };
        let (product, rest) = self
            .products
            .iter()
            .find_map(|product| product.rest_of(path).map(|rest| (product, rest)))
            .ok_or(RequestRefusal::NotFound)?;
        let document = match rest {
            "" if well_known => Some(Document::ProtectedResource),
            _ if well_known => return Err(RequestRefusal::NotFound),
            "/metadata" => Some(Document::Metadata),
            "/.well-known/oauth-protected-resource" => Some(Document::ProtectedResource),
            "/.well-known/smart-configuration" => Some(Document::SmartConfiguration),
            "/openapi.json" => Some(Document::OpenApi),
            rest => SwaggerFile::at(rest).map(Document::Swagger),
        };
        if let Some(document) = document {
            return if *method == Method::GET || *method == Method::HEAD {
                Ok(Located::Document { product, document })
            } else {
                Err(RequestRefusal::MethodNotAllowed { allow: "GET, HEAD".to_owned() })
            };
        }
        product.locate(method, rest)
    }
}

impl Product {
    fn compile(
        all: &GatewaySettings,
        settings: &ProductSettings,
        index: usize,
        operation_index: &mut usize,
    ) -> Result<Self, RouteTableError> {
        let product = &settings.product;
        let address = |what, value: &str, reason| RouteTableError::Address {
            product: product.id.clone(),
            what,
            value: value.to_owned(),
            reason,
        };
        let base_path = &product.base_path;
        if !base_path.starts_with('/') || base_path.ends_with('/') {
            return Err(address("base path", base_path, "it begins with a slash and does not end with one"));
        }
        let upstream =
            |text: &String| text.parse::<Address>().map_err(|reason| address("upstream", text, reason));
        let upstreams = settings.upstreams.iter().map(upstream).collect::<Result<Vec<_>, _>>()?;
        let first = upstreams.first().ok_or_else(|| address("upstream", "", "there must be at least one"))?;
        let foreign = Foreign::compile(product, &upstreams, &all.access_levels)?;
        let upstream_base = match &foreign {
            Some(foreign) => foreign.base().to_owned(),
            None => format!("{first}{base_path}"),
        };
        let upstream_host = HeaderValue::from_str(first.authority.as_str()).map_err(|_| {
            address("upstream", first.authority.as_str(), "its host has no place in a header")
        })?;
        let public_base_url = all.public_base_url.trim_end_matches('/');
        let mut operations: Vec<Operation> = Vec::with_capacity(product.operations.len());
        for operation in &product.operations {
            let compiled = Operation::compile(operation, &product.id, *operation_index)?;
            *operation_index += 1;
            if let Some(twin) =
                operations.iter().find(|o| o.method == compiled.method && o.segments == compiled.segments)
            {
                return Err(RouteTableError::Ambiguous {
                    product: product.id.clone(),
                    first: twin.ep.clone(),
                    second: compiled.ep,
                });
            }
            operations.push(compiled);
        }
        Ok(Self {
            id: product.id.clone(),
            title: product.title.clone(),
            base_path: base_path.clone(),
            fhir_version: product.fhir_version,
            resource: product.resource.clone(),
            roles: settings.token_roles.clone(),
            operations,
            index,
            cluster: 0,
            public_base: format!("{public_base_url}{base_path}"),
            upstream_base,
            upstreams,
            upstream_host,
            foreign,
            resource_metadata: format!("{public_base_url}{WELL_KNOWN_RESOURCE}{base_path}"),
        })
    }

    /// The path before everything at its upstream.
    pub(crate) fn upstream_path(&self) -> &str {
        self.foreign.as_ref().map_or(self.base_path.as_str(), |foreign| foreign.path.as_str())
    }

    /// What follows the base path: empty or beginning with a slash. `None` when the path is another product's.
    pub(crate) fn rest_of<'p>(&self, path: &'p str) -> Option<&'p str> {
        path.strip_prefix(self.base_path.as_str()).filter(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    fn locate(&self, method: &Method, rest: &str) -> Result<Located<'_>, RequestRefusal> {
        let wanted = if *method == Method::HEAD { &Method::GET } else { method };
        let mut allowed: Vec<&str> = Vec::new();
        let mut malformed = None;
        for operation in &self.operations {
            let Some(arguments) = operation.arguments(rest) else { continue };
            if operation.method != *wanted {
                allowed.push(operation.method.as_str());
                continue;
            }
            match arguments.malformed {
                None => return Ok(Located::Operation { product: self, operation }),
                Some(text) => malformed = Some(text),
            }
        }
        if let Some(text) = malformed {
            return Err(RequestRefusal::MalformedId(text.to_owned()));
        }
        if allowed.is_empty() {
            return Err(RequestRefusal::NotFound);
        }
        if allowed.contains(&"GET") {
            allowed.push("HEAD");
        }
        allowed.sort_unstable();
        allowed.dedup();
        Err(RequestRefusal::MethodNotAllowed { allow: allowed.join(", ") })
    }
}

/// What the placeholders of a path template stand for in one path.
#[derive(Default)]
pub(crate) struct Arguments<'p> {
    pub(crate) id: Option<&'p str>,
    pub(crate) version_id: Option<&'p str>,
    /// An argument that is no FHIR id.
    malformed: Option<&'p str>,
}

impl Operation {
    fn compile(operation: &config::Operation, product: &str, index: usize) -> Result<Self, RouteTableError> {
        let path = |reason| RouteTableError::Path {
            product: product.to_owned(),
            ep: operation.ep.clone(),
            path: operation.path.clone(),
            reason,
        };
        let method = match operation.method {
            config::Method::Get => Method::GET,
            config::Method::Post => Method::POST,
        };
        let scope = Scope::parse(&operation.scope).map_err(|_| RouteTableError::Scope {
            product: product.to_owned(),
            ep: operation.ep.clone(),
            scope: operation.scope.clone(),
        })?;
        let segments = operation
            .path
            .strip_prefix('/')
            .ok_or_else(|| path("it begins with a slash"))?
            .split('/')
            .map(|segment| match segment {
                "" => Err(path("it has an empty segment")),
                "{id}" => Ok(Segment::Id),
                "{vid}" => Ok(Segment::VersionId),
                literal if literal.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._$".contains(&b)) => {
                    Ok(Segment::Literal(literal.to_owned()))
                }
                _ => Err(path("a segment is {id}, {vid} or made of A-Z a-z 0-9 - . _ $")),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let everybody = operation.parameters.iter().map(|name| (name, &Stakeholder::ALL[..]));
        let some = operation.restricted_parameters.iter().map(|(name, groups)| (name, &groups[..]));
        let mut parameters: Vec<_> = everybody
            .chain(some)
            .map(|(name, groups)| AdmittedParameter {
                name: name.clone(),
                groups: groups.iter().fold(0, |bits, group| bits | bit(*group)),
            })
            .collect();
        parameters.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self {
            ep: operation.ep.clone(),
            title: operation.title.clone(),
            label: format!("{product} {}", operation.ep),
            method,
            interaction: operation.interaction,
            resource_type: operation.resource_type.clone(),
            template: operation.path.clone(),
            scope_text: operation.scope.clone(),
            scope,
            form: operation.form,
            index,
            segments,
            parameters,
        })
    }

    /// Whether a stakeholder group may use a parameter of this operation. `_format` and `_pretty` belong to the
    /// protocol, not to the search (FHIR "http", general parameters), and are everybody's.
    pub fn admits(&self, name: &str, group: Stakeholder) -> Admission {
        if matches!(name, "_format" | "_pretty") {
            return Admission::Admitted;
        }
        match self.parameters.binary_search_by(|parameter| parameter.name.as_str().cmp(name)) {
            Ok(at) if self.parameters[at].groups & bit(group) != 0 => Admission::Admitted,
            Ok(_) => Admission::OtherGroups,
            Err(_) => Admission::Unknown,
        }
    }

    /// The parameters that any group may use, by name, with the groups.
    pub fn admitted_parameters(&self) -> impl Iterator<Item = (&str, Vec<Stakeholder>)> {
        self.parameters.iter().filter(|parameter| parameter.groups != 0).map(|parameter| {
            let groups = Stakeholder::ALL.into_iter().filter(|group| parameter.groups & bit(*group) != 0);
            (parameter.name.as_str(), groups.collect())
        })
    }

    /// The parameters that any group may use, by name.
    pub fn parameter_names(&self) -> impl Iterator<Item = &str> {
        self.parameters.iter().filter(|p| p.groups != 0).map(|p| p.name.as_str())
    }

    /// The arguments in a path below the base path, when the template fits.
    pub(crate) fn arguments<'p>(&self, rest: &'p str) -> Option<Arguments<'p>> {
        let mut given = segments(rest);
        let mut arguments = Arguments::default();
        for segment in &self.segments {
            let text = given.next()?;
            let place = match segment {
                Segment::Literal(literal) if literal == text => continue,
                Segment::Literal(_) => return None,
                // `/Type/$merge` and `/Type/_history` are other operations, known or not, never ids.
                Segment::Id | Segment::VersionId if text.starts_with(['$', '_']) => return None,
                Segment::Id => &mut arguments.id,
                Segment::VersionId => &mut arguments.version_id,
            };
            *place = Some(text);
            if !is_fhir_id(text) {
                arguments.malformed = Some(text);
            }
        }
        given.next().is_none().then_some(arguments)
    }
}

/// What stands behind each slash. For pieces as short as these, to look at each byte is quicker than any search.
fn segments(mut rest: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let behind = rest.strip_prefix('/')?;
        let end = behind.bytes().position(|byte| byte == b'/').unwrap_or(behind.len());
        let (segment, others) = behind.split_at(end);
        rest = others;
        Some(segment)
    })
}

const fn bit(group: Stakeholder) -> u8 {
    match group {
        Stakeholder::Public => 1,
        Stakeholder::Industry => 2,
        Stakeholder::Nca => 4,
        Stakeholder::Ema => 8,
    }
}

/// A small table for the tests of this crate.
#[cfg(test)]
pub(crate) mod testing {
    use super::Routes;
    use crate::testing::settings;

    /// The table of [`settings`].
    pub(crate) fn routes() -> Routes {
        Routes::compile(&settings("http://127.0.0.1:9")).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::routes, *};
    use crate::testing::settings;

    #[test]
    fn a_path_is_owned_by_prefix_only_at_a_segment_border() {
        let routes = routes();
        for owned in [
            "/pms/api/v3",
            "/pms/api/v3/x",
            "/public/v1/metadata",
            "/.well-known/oauth-protected-resource/public/v1",
        ] {
            assert!(routes.owns(owned), "{owned}");
        }
        for foreign in
            ["/", "/pms/api/v30/x", "/oauth2/token", "/.well-known/oauth-protected-resource", "/pms"]
        {
            assert!(!routes.owns(foreign), "{foreign}");
        }
    }

    #[test]
    fn parameters_are_admitted_per_group() {
        let routes = routes();
        let search = routes.products().iter().flat_map(|p| &p.operations).find(|o| o.ep == "EP301").unwrap();
        assert_eq!(search.admits("name", Stakeholder::Industry), Admission::Admitted);
        assert_eq!(search.admits("contact", Stakeholder::Industry), Admission::OtherGroups);
        assert_eq!(search.admits("contact", Stakeholder::Nca), Admission::Admitted);
        assert_eq!(search.admits("shoe-size", Stakeholder::Nca), Admission::Unknown);
        assert_eq!(search.admits("_format", Stakeholder::Public), Admission::Admitted);
    }

    #[test]
    fn a_senseless_table_is_refused_with_its_place() {
        let with = |change: &dyn Fn(&mut GatewaySettings)| {
            let mut settings = settings("http://127.0.0.1:9");
            change(&mut settings);
            Routes::compile(&settings).unwrap_err().to_string()
        };
        insta::assert_snapshot!(with(&|s| s.products[0].product.operations[0].path = "/Medicinal/{name}".into()), @r#"product pms-read-v3, operation EP301: path "/Medicinal/{name}": a segment is {id}, {vid} or made of A-Z a-z 0-9 - . _ $"#);
        insta::assert_snapshot!(with(&|s| s.products[0].product.operations[0].scope = "everything".into()), @r#"product pms-read-v3, operation EP301: scope "everything" is no SMART system scope"#);
        insta::assert_snapshot!(with(&|s| s.products[0].product.operations[2].path = "/MedicinalProductDefinition".into()), @"product pms-read-v3: operations EP301 and EP303 have the same method and path");
        insta::assert_snapshot!(with(&|s| s.products[0].upstreams = vec!["ftp://x".into()]), @r#"product pms-read-v3: upstream "ftp://x" is malformed: it is http://host:port or https://host:port"#);
    }
}
