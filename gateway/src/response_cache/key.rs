//! Pure: what an answer hangs on. Two requests with the same key get the same answer while nothing changes.

use http::{HeaderMap, HeaderName, header};
use pms_terms::{Domains, FhirVersion, OrganisationId, Stakeholder};

use crate::authorize::Permit;

/// The headers by which a caller chooses how an answer is written.
const REPRESENTATION: [HeaderName; 3] =
    [header::ACCEPT, header::ACCEPT_LANGUAGE, HeaderName::from_static("prefer")];

/// What an answer hangs on. Never the address alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    class: Class,
    fhir_version: FhirVersion,
    /// By [`crate::routes::Operation::index`]: product, method, interaction, type.
    operation: usize,
    path: Box<str>,
    /// What is sent on of query and form, decoded, in the order given: links repeat it in that order.
    parameters: Box<str>,
    /// The names of what is not, of which the answer tells.
    ignored: Box<str>,
    /// Names and values of [`REPRESENTATION`], as they came.
    representation: Box<[u8]>,
}

/// Everything about a caller that what it sees hangs on: all that the backend is told but for the client itself. The
/// backend seals the cursors of page links for the same: whoever is of the class may follow them, nobody else.
///
/// The organisation counts for every group. It decides what is seen for industry only, but cursors are sealed for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Class {
    stakeholder: Stakeholder,
    organisation: Option<OrganisationId>,
    qualified: bool,
    domains: Domains,
}

impl Key {
    /// The key of a request that was permitted.
    pub(super) fn of(permit: &Permit<'_>, headers: &HeaderMap) -> Self {
        let (request, caller) = (permit.request(), permit.caller());
        // No name and no value holds a control character (see `fhir_request`): NUL keeps them apart.
        let mut parameters = String::new();
        for one in permit.sent() {
            for text in [if one.in_form { "form" } else { "query" }, &one.name, &one.value] {
                parameters.push_str(text);
                parameters.push('\0');
            }
        }
        let mut representation = Vec::new();
        for name in &REPRESENTATION {
            for value in headers.get_all(name) {
                representation.extend_from_slice(name.as_str().as_bytes());
                representation.push(0);
                representation.extend_from_slice(value.as_bytes());
                representation.push(0);
            }
        }
        Self {
            class: Class {
                stakeholder: caller.grant.stakeholder,
                organisation: caller.organisation.clone(),
                qualified: caller.grant.qualified,
                domains: caller.grant.domains,
            },
            fhir_version: request.product.fhir_version,
            operation: request.operation.index,
            path: request.path.as_ref().into(),
            parameters: parameters.into(),
            ignored: permit.ignored().join("\0").into(),
            representation: representation.into(),
        }
    }

    /// Bytes outside of the struct itself.
    pub(super) fn bytes(&self) -> usize {
        let organisation = self.class.organisation.as_ref().map_or(0, |own| own.as_str().len());
        let texts = self.path.len() + self.parameters.len() + self.ignored.len();
        organisation + texts + self.representation.len()
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::{authorize::authorize, fhir_request, routes::Routes, settings::GatewaySettings, testing};

    /// The key of one and the same request, under this route table.
    fn key(change: impl FnOnce(&mut GatewaySettings)) -> Key {
        let mut settings = testing::settings("http://127.0.0.1:9");
        change(&mut settings);
        let routes = Routes::compile(&settings).unwrap();
        let path = "/pms/api/v3/MedicinalProductDefinition/1";
        let fhir_request::Target::Operation(request) =
            fhir_request::read(&routes, &Method::GET, path, None).unwrap()
        else {
            panic!("a read is an operation")
        };
        let caller = testing::caller(|claims| claims.roles = vec!["PMS.Industry.API".into()]);
        Key::of(&authorize(&caller, &request, false).unwrap(), &HeaderMap::new())
    }

    /// Of one route table the path says all of these; the property of the whole cache cannot see them.
    #[test]
    fn what_a_path_leads_to_counts_beside_the_path() {
        let usual = key(|_| {});
        assert_eq!(usual, key(|_| {}));
        assert_ne!(usual, key(|settings| settings.products[0].product.fhir_version = FhirVersion::V5_0_0));
        assert_ne!(
            usual,
            key(|settings| settings.products.rotate_right(1)),
            "an operation of another product"
        );
        let others = key(|settings| settings.products[0].product.operations.rotate_right(1));
        assert_ne!(usual, others, "another operation");
    }
}
