//! Why a client would be let through or refused: the gateway's decisions about one request, in order, by the same
//! pure functions that decide about real ones. The backend's decisions follow on these.

use access_token::AccessTokenClaims;
use http::Method;
use pms_terms::{Domains, Stakeholder};
use serde::Serialize;

use crate::{
    authorize,
    caller::Caller,
    fhir_request::{self, Target},
    routes::{Document, RouteTableError, Routes},
    settings::GatewaySettings,
};

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// What was decided about: the address, the product, a parameter.
    pub path: String,
    /// The rule that decided.
    pub rule: String,
    /// `permitted` or `refused`.
    pub outcome: &'static str,
    /// In plain words.
    pub reason: String,
}

/// What a client's tokens would say.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The audience of its tokens.
    pub resource: String,
    /// Its roles by their names in tokens.
    pub token_roles: Vec<String>,
    /// Its scopes, separated by spaces.
    pub scope: String,
    /// Its stakeholder group.
    pub stakeholder: Stakeholder,
}

/// Explains what the gateway would decide about `method` and `url` (a path, or a whole URL). After a refusal nothing
/// follows, as in a real request; only of parameters all are told.
///
/// # Errors
/// A route table that makes no sense.
pub fn explain(
    settings: &GatewaySettings,
    asker: &Asker,
    method: &str,
    url: &str,
) -> Result<Vec<Explained>, RouteTableError> {
    let routes = Routes::compile(settings)?;
    Ok(decisions(&routes, asker, method, url))
}

fn decisions(routes: &Routes, asker: &Asker, method: &str, url: &str) -> Vec<Explained> {
    let mut steps = Steps::default();
    let (path, query) = address(url);
    let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes()).unwrap_or_default();
    let request = match fhir_request::read(routes, &method, &path, query) {
        Err(refusal) => {
            steps.refused(&path, "route", &refusal.to_string());
            return steps.0;
        }
        Ok(Target::Document { product, document }) => {
            let what = match document {
                Document::Metadata => "the CapabilityStatement",
                Document::ProtectedResource => "the protected-resource metadata",
                Document::SmartConfiguration => "the SMART configuration",
                Document::OpenApi => "the OpenAPI description",
                Document::Swagger(_) => "the OpenAPI description for people",
            };
            steps.permitted(&path, "open", &format!("{what} of {} is open to everybody", product.title));
            return steps.0;
        }
        Ok(Target::Operation(request)) => request,
    };
    let (product, operation) = (request.product, request.operation);
    let found =
        format!("{}: {} of {}, FHIR {}", operation.ep, operation.title, product.title, product.fhir_version);
    steps.permitted(&request.path, "route", &found);
    if asker.resource != product.resource {
        let reason = format!(
            "its tokens are for {}, this API is {}; the answer is 401",
            asker.resource, product.resource
        );
        steps.refused(&product.id, "audience", &reason);
        return steps.0;
    }
    steps.permitted(&product.id, "audience", &format!("its tokens are for {}", product.resource));
    let caller = asker.caller();
    for (rule, decided, reason) in [
        (
            "role",
            authorize::role(&caller, &request),
            format!("it has one of the roles {}", product.roles.join(", ")),
        ),
        ("scope", authorize::scope(&caller, &request), format!("its scopes cover {}", operation.scope_text)),
    ] {
        match decided {
            Ok(()) => steps.permitted(&operation.ep, rule, &reason),
            Err(denial) => {
                steps.refused(&operation.ep, rule, &denial.to_string());
                return steps.0;
            }
        }
    }
    for parameter in request.parameters.iter().filter(|parameter| !parameter.is_relic()) {
        match authorize::parameter(&caller, operation, parameter) {
            Ok(()) => steps.permitted(
                &parameter.name,
                "parameter",
                &format!("open to the group {}", asker.stakeholder),
            ),
            Err(denial) => steps.refused(&parameter.name, "parameter", &denial.to_string()),
        }
    }
    steps.0
}

#[derive(Default)]
struct Steps(Vec<Explained>);

impl Steps {
    fn permitted(&mut self, path: &str, rule: &str, reason: &str) {
        self.push(path, rule, "permitted", reason);
    }

    fn refused(&mut self, path: &str, rule: &str, reason: &str) {
        self.push(path, rule, "refused", reason);
    }

    fn push(&mut self, path: &str, rule: &str, outcome: &'static str, reason: &str) {
        self.0.push(Explained {
            path: path.to_owned(),
            rule: rule.to_owned(),
            outcome,
            reason: reason.to_owned(),
        });
    }
}

impl Asker {
    fn caller(&self) -> Caller {
        let unsaid = String::new;
        Caller::new(
            AccessTokenClaims {
                iss: unsaid(),
                sub: unsaid(),
                aud: self.resource.clone(),
                exp: 0,
                nbf: 0,
                iat: 0,
                jti: unsaid(),
                client_id: unsaid(),
                azp: unsaid(),
                scope: self.scope.clone(),
                roles: self.token_roles.clone(),
                org_id: None,
                stakeholder: self.stakeholder,
                qualified: false,
                domains: Domains::NONE,
                tid: unsaid(),
                ver: unsaid(),
                secret_id: unsaid(),
                cnf: None,
            },
            unsaid(),
        )
    }
}

/// Path and query of a URL, or of what is one already.
fn address(url: &str) -> (String, Option<&str>) {
    let local = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => url,
    };
    let local = local.split('#').next().unwrap_or(local);
    let (path, query) = local.split_once('?').map_or((local, None), |(path, query)| (path, Some(query)));
    let slash = if path.starts_with('/') { "" } else { "/" };
    (format!("{slash}{path}"), query)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::testing::routes;

    fn told(role: &str, scope: &str, method: &str, url: &str) -> String {
        let asker = Asker {
            resource: "api://pmsgate/pms".into(),
            token_roles: vec![role.into()],
            scope: scope.into(),
            stakeholder: Stakeholder::Industry,
        };
        let lines = decisions(&routes(), &asker, method, url);
        lines
            .iter()
            .map(|e| format!("{} {}: {} ({})", e.outcome, e.rule, e.path, e.reason))
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn each_decision_is_told_until_the_first_refusal() {
        insta::assert_snapshot!(told("PMS.Industry.API", "system/*.rs", "get", "https://x/pms/api/v3/MedicinalProductDefinition?name=a&contact=b"), @r#"
        permitted route: /pms/api/v3/MedicinalProductDefinition (EP301: EP301 of pms-read-v3, FHIR 4.4.0)
        permitted audience: pms-read-v3 (its tokens are for api://pmsgate/pms)
        permitted role: EP301 (it has one of the roles PMS.Industry.API, PMS.NCA.API)
        permitted scope: EP301 (its scopes cover system/MedicinalProductDefinition.s)
        permitted parameter: name (open to the group industry)
        refused parameter: contact (the parameter "contact" is not open to callers of the group industry)
        "#);
        insta::assert_snapshot!(told("PMS.Industry.API", "system/*.r", "GET", "/pms/api/v3/MedicinalProductDefinition"), @r#"
        permitted route: /pms/api/v3/MedicinalProductDefinition (EP301: EP301 of pms-read-v3, FHIR 4.4.0)
        permitted audience: pms-read-v3 (its tokens are for api://pmsgate/pms)
        permitted role: EP301 (it has one of the roles PMS.Industry.API, PMS.NCA.API)
        refused scope: EP301 (the token's scopes do not cover this operation; it needs system/MedicinalProductDefinition.s)
        "#);
        insta::assert_snapshot!(told("Public.PMS.API", "system/*.rs", "GET", "public/v1/MedicinalProductDefinition"), @r#"
        permitted route: /public/v1/MedicinalProductDefinition (public-search: public-search of public-v1, FHIR 5.0.0)
        refused audience: public-v1 (its tokens are for api://pmsgate/pms, this API is api://pmsgate/public; the answer is 401)
        "#);
        insta::assert_snapshot!(told("x", "", "DELETE", "/pms/api/v3/MedicinalProductDefinition/1"), @r#"refused route: /pms/api/v3/MedicinalProductDefinition/1 (the method is not offered for this path; offered: GET, HEAD)"#);
        insta::assert_snapshot!(told("x", "", "GET", "/pms/api/v3/metadata"), @r#"permitted open: /pms/api/v3/metadata (the CapabilityStatement of pms-read-v3 is open to everybody)"#);
    }
}
