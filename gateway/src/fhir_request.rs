//! Pure: method, raw path and raw query → product, operation, id, version id, parameters; or why not.
//!
//! Normalisation is strict. What two programs could read in two ways (dot segments, encoded slashes, double
//! encoding, matrix parameters, empty segments) is refused instead of repaired: the path that was authorised is,
//! byte for byte, the path that is forwarded.

use std::borrow::Cow;

use http::Method;

use crate::routes::{Document, Located, Operation, Product, Routes};

/// The longest path and query that are read, together, in bytes (EMA house rule for FHIR APIs: 2,048 characters).
pub const MAX_TARGET_LENGTH: usize = 2048;
/// The longest form that is read, in bytes: ten parameters with their alternatives fit in many times over.
pub const MAX_FORM: usize = 64 * 1024;
/// The most search parameters in one request (EMA house rule for FHIR APIs).
pub const MAX_SEARCH_PARAMETERS: usize = 10;
/// The longest FHIR id (FHIR datatype `id`).
const MAX_ID_LENGTH: usize = 64;

/// Parameters that say how to answer, not what to search: they do not count towards the limit.
const PRESENTATION: [&str; 10] =
    ["_format", "_pretty", "_count", "_sort", "_summary", "_elements", "_total", "_cursor", "_page", "page"];

/// What a request asks for.
#[derive(Debug)]
pub enum Target<'t, 'r> {
    /// An open document about a product that the gateway answers itself; needs no token.
    Document {
        /// The product that the document is about.
        product: &'t Product,
        /// Which document.
        document: Document,
    },
    /// An operation of a product; needs a token.
    Operation(FhirRequest<'t, 'r>),
}

/// A FHIR interaction that the route table knows, with its arguments checked for form.
#[derive(Debug)]
pub struct FhirRequest<'t, 'r> {
    /// The API product that is called.
    pub product: &'t Product,
    /// The operation of that product.
    pub operation: &'t Operation,
    /// The canonical path: decoded once, nothing in it needs encoding.
    pub path: Cow<'r, str>,
    /// The query as it came, without its question mark.
    pub raw_query: Option<&'r str>,
    /// The parameters of the query, then of the form, in their order, decoded.
    pub parameters: Vec<Parameter<'r>>,
}

impl<'t, 'r> FhirRequest<'t, 'r> {
    /// With the parameters of a form: they are judged like those of the query, and together with them.
    pub fn with_form<'f>(self, form: &'f str) -> Result<FhirRequest<'t, 'f>, RequestRefusal>
    where
        'r: 'f,
    {
        let FhirRequest { product, operation, path, raw_query, parameters } = self;
        let parameters = parsed(form, true, parameters)?;
        Ok(FhirRequest { product, operation, path, raw_query, parameters })
    }
}

impl FhirRequest<'_, '_> {
    /// The resource id, where the path template has one.
    pub fn id(&self) -> Option<&str> {
        self.operation.arguments(self.product.rest_of(&self.path)?)?.id
    }

    /// The version id, where the path template has one.
    pub fn version_id(&self) -> Option<&str> {
        self.operation.arguments(self.product.rest_of(&self.path)?)?.version_id
    }
}

/// One `name=value` of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter<'r> {
    /// The name with its modifier, decoded: `name:contains`.
    pub name: Cow<'r, str>,
    /// The value, decoded.
    pub value: Cow<'r, str>,
    /// The pair as it stood in the query or the form.
    pub raw: &'r str,
    /// It stood in the form.
    pub in_form: bool,
}

impl Parameter<'_> {
    /// The parameter that must be admitted: the name without modifier. A chain (`contact.name`, `subject:Type.x`)
    /// and a reverse chain (`_has:…`) reach elsewhere, so a chain keeps its whole name and only a table that lists
    /// it as such admits it.
    pub fn base_name(&self) -> &str {
        if self.name.contains('.') { &self.name } else { self.name.split(':').next().unwrap_or(&self.name) }
    }

    /// Whether it belongs to the agency's former access scheme: clients may still send it; it is neither read nor
    /// sent on (domain facts §3.2).
    pub fn is_relic(&self) -> bool {
        self.name.eq_ignore_ascii_case("subscription-key")
    }

    /// Whether it says how to answer and not what to search.
    pub fn is_presentation(&self) -> bool {
        PRESENTATION.contains(&self.name.as_ref())
    }
}

/// Why a request is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestRefusal {
    /// Path and query are too long together.
    #[error("the address has {length} bytes, at most {MAX_TARGET_LENGTH} are read")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// The path can be read in more than one way.
    #[error("the path {0}")]
    Path(PathFault),
    /// The query is malformed.
    #[error("the query {0}")]
    Query(QueryFault),
    /// The form is malformed.
    #[error("the form {0}")]
    Form(QueryFault),
    /// A format that is not served.
    #[error(
        "{0:?} is not served: ask for application/fhir+json or application/fhir+xml (header Accept, or parameter _format)"
    )]
    Format(String),
    /// A search by POST whose body is no form.
    #[error(
        "the body is no form: send the parameters as application/x-www-form-urlencoded, in UTF-8, without a content coding"
    )]
    NotAForm,
    /// The form did not arrive in time.
    #[error("the form did not arrive in the time allowed")]
    FormTooSlow,
    /// More search parameters than are read.
    #[error("the request has {count} search parameters, at most {MAX_SEARCH_PARAMETERS} are read")]
    TooManyParameters {
        /// How many it has.
        count: usize,
    },
    /// A presentation parameter that makes sense only once is repeated.
    #[error("the parameter {0} is repeated; it may stand once")]
    Repeated(String),
    /// A token in the address (RFC 6750 §2.3) ends up in logs.
    #[error("a token belongs into the Authorization header, never into the address")]
    TokenInQuery,
    /// An id that is no FHIR id.
    #[error("{0:?} is not a FHIR id: 1 to 64 of A-Z a-z 0-9 - .")]
    MalformedId(String),
    /// No operation has this path.
    #[error("no operation of this API has this path")]
    NotFound,
    /// The path exists, the method does not.
    #[error("the method is not offered for this path; offered: {allow}")]
    MethodNotAllowed {
        /// The value of the `Allow` header (RFC 9110 §15.5.6).
        allow: String,
    },
}

/// What is wrong with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// Not an absolute path.
    #[error("does not begin with a slash")]
    NotAbsolute,
    /// `.` or `..`.
    #[error("has a `.` or `..` segment")]
    DotSegment,
    /// Two slashes in a row or one at the end.
    #[error("has an empty segment (`//` or a `/` at its end)")]
    EmptySegment,
    /// `%` without two hexadecimal digits.
    #[error("has a malformed percent-encoding")]
    MalformedPercent,
    /// `%2F` or `%5C`.
    #[error("has an encoded slash or backslash")]
    EncodedSlash,
    /// `%25…`.
    #[error("is encoded twice")]
    DoubleEncoding,
    /// `;` in either form, `\`, NUL, other control characters, or characters outside ASCII that are not encoded.
    #[error("has a character that is not admitted (`;`, `\\`, a control character)")]
    Forbidden,
    /// Bytes that are no UTF-8.
    #[error("is not UTF-8")]
    NotUtf8,
}

/// What is wrong with a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryFault {
    /// `%` without two hexadecimal digits.
    #[error("has a malformed percent-encoding")]
    MalformedPercent,
    /// Bytes that are no UTF-8.
    #[error("is not UTF-8")]
    NotUtf8,
    /// NUL and other control characters, encoded or not.
    #[error("has a control character")]
    Forbidden,
    /// `;` is a separator to some programs and a character to others.
    #[error("has a bare `;`; write it as %3B")]
    BareSemicolon,
    /// `=value` or `&&`.
    #[error("has a parameter without a name")]
    EmptyName,
}

/// Reads method, path and query against the route table.
///
/// `HEAD` is read as `GET` (RFC 9110 §9.3.2).
pub fn read<'t, 'r>(
    routes: &'t Routes,
    method: &Method,
    raw_path: &'r str,
    raw_query: Option<&'r str>,
) -> Result<Target<'t, 'r>, RequestRefusal> {
    let length = raw_path.len() + raw_query.map_or(0, |query| query.len() + 1);
    if length > MAX_TARGET_LENGTH {
        return Err(RequestRefusal::TooLong { length });
    }
    let path = normalise(raw_path).map_err(RequestRefusal::Path)?;
    let (product, operation) = match routes.locate(method, &path)? {
        Located::Document { product, document } => return Ok(Target::Document { product, document }),
        Located::Operation { product, operation } => (product, operation),
    };
    let parameters = parsed(raw_query.unwrap_or_default(), false, Vec::new())?;
    Ok(Target::Operation(FhirRequest { product, operation, path, raw_query, parameters }))
}

/// Checks a path and decodes it once. Borrows when there is nothing to decode, which is the rule.
pub fn normalise(raw: &str) -> Result<Cow<'_, str>, PathFault> {
    if !raw.starts_with('/') {
        return Err(PathFault::NotAbsolute);
    }
    let path = if raw.as_bytes().contains(&b'%') {
        let mut decoded = Vec::with_capacity(raw.len());
        let mut bytes = raw.bytes();
        while let Some(byte) = bytes.next() {
            if byte != b'%' {
                decoded.push(byte);
                continue;
            }
            match decode_percent(&mut bytes).ok_or(PathFault::MalformedPercent)? {
                b'/' | b'\\' => return Err(PathFault::EncodedSlash),
                b'%' => return Err(PathFault::DoubleEncoding),
                byte => decoded.push(byte),
            }
        }
        Cow::Owned(String::from_utf8(decoded).map_err(|_| PathFault::NotUtf8)?)
    } else {
        if !raw.is_ascii() {
            return Err(PathFault::Forbidden);
        }
        Cow::Borrowed(raw)
    };
    // All bytes in one go: without a way out of the loop, sixteen are looked at at once.
    let forbidden = |byte: u8| byte < 0x20 || byte == 0x7f || byte == b';' || byte == b'\\';
    if path.bytes().fold(false, |found, byte| found | forbidden(byte)) {
        return Err(PathFault::Forbidden);
    }
    for segment in path.as_bytes().split(|byte| *byte == b'/').skip(1) {
        match segment {
            b"" => return Err(PathFault::EmptySegment),
            b"." | b".." => return Err(PathFault::DotSegment),
            _ => {}
        }
    }
    Ok(path)
}

/// Whether a text is a FHIR id. Dots alone are none: they would be a dot segment to the next reader.
pub fn is_fhir_id(text: &str) -> bool {
    (1..=MAX_ID_LENGTH).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
        && text.bytes().any(|byte| byte != b'.')
}

fn decode_percent(bytes: &mut std::str::Bytes<'_>) -> Option<u8> {
    let high = char::from(bytes.next()?).to_digit(16)?;
    let low = char::from(bytes.next()?).to_digit(16)?;
    u8::try_from(high * 16 + low).ok()
}

/// The parameters of a query or a form, behind those that were given `before`.
fn parsed<'r>(
    text: &'r str,
    in_form: bool,
    before: Vec<Parameter<'r>>,
) -> Result<Vec<Parameter<'r>>, RequestRefusal> {
    if text.is_empty() {
        return Ok(before);
    }
    let fault = if in_form { RequestRefusal::Form } else { RequestRefusal::Query };
    if text.contains(';') {
        return Err(fault(QueryFault::BareSemicolon));
    }
    let mut parameters = before;
    for raw in text.split('&') {
        let (name, value) = raw.split_once('=').unwrap_or((raw, ""));
        let parameter = Parameter {
            name: decode(name).map_err(fault)?,
            value: decode(value).map_err(fault)?,
            raw,
            in_form,
        };
        if parameter.name.is_empty() {
            return Err(fault(QueryFault::EmptyName));
        }
        if parameter.name == "access_token" {
            return Err(RequestRefusal::TokenInQuery);
        }
        if parameter.is_presentation() && parameters.iter().any(|earlier| earlier.name == parameter.name) {
            return Err(RequestRefusal::Repeated(parameter.name.into_owned()));
        }
        parameters.push(parameter);
    }
    let searched = parameters.iter().filter(|one| !one.is_presentation() && !one.is_relic()).count();
    if searched > MAX_SEARCH_PARAMETERS {
        return Err(RequestRefusal::TooManyParameters { count: searched });
    }
    Ok(parameters)
}

/// Decodes one name or value of a query (`application/x-www-form-urlencoded`).
fn decode(raw: &str) -> Result<Cow<'_, str>, QueryFault> {
    let text = if raw.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        let mut decoded = Vec::with_capacity(raw.len());
        let mut bytes = raw.bytes();
        while let Some(byte) = bytes.next() {
            decoded.push(match byte {
                b'%' => decode_percent(&mut bytes).ok_or(QueryFault::MalformedPercent)?,
                b'+' => b' ',
                byte => byte,
            });
        }
        Cow::Owned(String::from_utf8(decoded).map_err(|_| QueryFault::NotUtf8)?)
    } else {
        Cow::Borrowed(raw)
    };
    if text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
        return Err(QueryFault::Forbidden);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use http::Method;
    use proptest::prelude::*;

    use super::*;
    use crate::routes::testing::routes;

    fn operation<'t, 'r>(
        routes: &'t Routes,
        method: &Method,
        path: &'r str,
        query: Option<&'r str>,
    ) -> Result<FhirRequest<'t, 'r>, RequestRefusal> {
        match read(routes, method, path, query)? {
            Target::Operation(request) => Ok(request),
            Target::Document { document, .. } => panic!("a document: {document:?}"),
        }
    }

    #[test]
    fn every_operation_is_found_by_its_path() {
        let routes = routes();
        for (method, path, ep, id, vid) in [
            (Method::GET, "/pms/api/v3/MedicinalProductDefinition", "EP301", None, None),
            (
                Method::GET,
                "/pms/api/v3/MedicinalProductDefinition/600000000001",
                "EP303",
                Some("600000000001"),
                None,
            ),
            (
                Method::HEAD,
                "/pms/api/v3/MedicinalProductDefinition/600000000001",
                "EP303",
                Some("600000000001"),
                None,
            ),
            (Method::GET, "/pms/api/v3/MedicinalProductDefinition/1/$everything", "EP304", Some("1"), None),
            (Method::GET, "/pms/api/v3/MedicinalProductDefinition/1/%24everything", "EP304", Some("1"), None),
            (
                Method::GET,
                "/pms/api/v3/MedicinalProductDefinition/1/_history/7",
                "EP306",
                Some("1"),
                Some("7"),
            ),
            (Method::GET, "/pms/api/v3/MedicinalProductDefinition/1/_history", "EP307", Some("1"), None),
            (Method::POST, "/pms/api/v5-alpha/MedicinalProductDefinition/$merge", "EP502a", None, None),
        ] {
            let request = operation(&routes, &method, path, None).unwrap();
            assert_eq!(request.operation.ep, ep, "{path}");
            assert_eq!(request.id(), id, "{path}");
            assert_eq!(request.version_id(), vid, "{path}");
            assert!(!request.path.contains('%'));
        }
    }

    #[test]
    fn a_wrong_method_names_the_right_ones() {
        let routes = routes();
        let refusal = operation(&routes, &Method::DELETE, "/pms/api/v3/MedicinalProductDefinition/1", None)
            .unwrap_err();
        assert_eq!(refusal, RequestRefusal::MethodNotAllowed { allow: "GET, HEAD".into() });
        let refusal =
            operation(&routes, &Method::GET, "/pms/api/v5-alpha/MedicinalProductDefinition/$merge", None)
                .unwrap_err();
        assert_eq!(refusal, RequestRefusal::MethodNotAllowed { allow: "POST".into() });
    }

    #[test]
    fn unknown_paths_are_not_found() {
        let routes = routes();
        for path in [
            "/pms/api/v3",
            "/pms/api/v3/Patient",
            "/pms/api/v3/RegulatedAuthorization",
            "/pms/api/v3/MedicinalProductDefinition/1/2",
            "/pms/api/v3/medicinalproductdefinition",
            "/pms/api/v3x/MedicinalProductDefinition",
            "/elsewhere",
        ] {
            assert_eq!(
                operation(&routes, &Method::GET, path, None).unwrap_err(),
                RequestRefusal::NotFound,
                "{path}"
            );
        }
    }

    #[test]
    fn paths_with_two_readings_are_refused() {
        let base = "/pms/api/v3/MedicinalProductDefinition";
        for (tail, fault) in [
            ("/..", PathFault::DotSegment),
            ("/./1", PathFault::DotSegment),
            ("/%2e%2E/x", PathFault::DotSegment),
            ("/a%2Fb", PathFault::EncodedSlash),
            ("/a%5cb", PathFault::EncodedSlash),
            ("/a\\b", PathFault::Forbidden),
            ("/%252e%252e", PathFault::DoubleEncoding),
            ("/1;x=1", PathFault::Forbidden),
            ("/1%3bx", PathFault::Forbidden),
            ("/1%00", PathFault::Forbidden),
            ("//1", PathFault::EmptySegment),
            ("/", PathFault::EmptySegment),
            ("/%ff", PathFault::NotUtf8),
            ("/%f", PathFault::MalformedPercent),
            ("/%zz", PathFault::MalformedPercent),
        ] {
            let path = format!("{base}{tail}");
            let refusal = operation(&routes(), &Method::GET, &path, None).unwrap_err();
            assert_eq!(refusal, RequestRefusal::Path(fault), "{path}");
        }
    }

    #[test]
    fn a_malformed_id_is_said_to_be_one() {
        let long = format!("/pms/api/v3/MedicinalProductDefinition/{}", "1".repeat(65));
        for path in [
            long.as_str(),
            "/pms/api/v3/MedicinalProductDefinition/a_b",
            "/pms/api/v3/MedicinalProductDefinition/...",
        ] {
            let refusal = operation(&routes(), &Method::GET, path, None).unwrap_err();
            assert!(matches!(refusal, RequestRefusal::MalformedId(_)), "{path}: {refusal}");
        }
    }

    #[test]
    fn queries_are_decoded_and_counted() {
        let routes = routes();
        let path = "/pms/api/v3/MedicinalProductDefinition";
        let request =
            operation(&routes, &Method::GET, path, Some("name:contains=Pro+x%20y&_count=5&name=b")).unwrap();
        let read: Vec<_> = request.parameters.iter().map(|p| (p.base_name(), p.value.as_ref())).collect();
        assert_eq!(read, [("name", "Pro x y"), ("_count", "5"), ("name", "b")]);

        let many = ["name=a"; 11].join("&");
        let refusal = operation(&routes, &Method::GET, path, Some(&many)).unwrap_err();
        assert_eq!(refusal, RequestRefusal::TooManyParameters { count: 11 });
        for (query, expected) in [
            ("_count=1&_count=2", RequestRefusal::Repeated("_count".into())),
            ("name=%4", RequestRefusal::Query(QueryFault::MalformedPercent)),
            ("name=%ff", RequestRefusal::Query(QueryFault::NotUtf8)),
            ("name=%00", RequestRefusal::Query(QueryFault::Forbidden)),
            ("name=a;status=b", RequestRefusal::Query(QueryFault::BareSemicolon)),
            ("name=a&&status=b", RequestRefusal::Query(QueryFault::EmptyName)),
            ("access_token=x", RequestRefusal::TokenInQuery),
        ] {
            assert_eq!(operation(&routes, &Method::GET, path, Some(query)).unwrap_err(), expected, "{query}");
        }
        let long = format!("name={}", "a".repeat(2048));
        assert!(matches!(
            operation(&routes, &Method::GET, path, Some(&long)).unwrap_err(),
            RequestRefusal::TooLong { .. }
        ));
    }

    proptest! {
        #[test]
        fn no_input_panics_and_what_passes_is_canonical(path in "(/[%.;/a-zA-Z0-9$_\\\\\u{0}\u{e9}-]{0,24}){0,4}", query in proptest::option::of("[%&=+;a-z_:.0-9\u{0}]{0,40}")) {
            let routes = routes();
            let raw = format!("/pms/api/v3/MedicinalProductDefinition{path}");
            if let Ok(Target::Operation(request)) = read(&routes, &Method::GET, &raw, query.as_deref()) {
                prop_assert!(request.path.starts_with("/pms/api/v3/MedicinalProductDefinition"));
                prop_assert!(request.path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._$".contains(&b)));
                prop_assert!(request.path.split('/').skip(1).all(|s| !s.is_empty() && s != "." && s != ".."));
                prop_assert!(request.id().is_none_or(is_fhir_id));
            }
        }

        #[test]
        fn normalising_twice_changes_nothing(path in "/[a-zA-Z0-9%$/.-]{0,40}") {
            // What was decoded to more than ASCII fits no template, and is forwarded nowhere.
            if let Ok(once) = normalise(&path) && once.is_ascii() {
                prop_assert!(normalise(&once).is_ok_and(|twice| twice == once));
            }
        }
    }
}
