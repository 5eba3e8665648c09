//! Pure: caller × operation × parameters → [`Permit`] or [`Denial`] with its reason.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};

use crate::{
    caller::Caller,
    fhir_request::{FhirRequest, Parameter},
    routes::{Admission, Operation},
};

/// The leave to forward one request; nothing else can be forwarded, and only [`authorize`] gives it.
#[derive(Debug)]
pub struct Permit<'a> {
    caller: &'a Caller,
    request: &'a FhirRequest<'a, 'a>,
    query: Option<Cow<'a, str>>,
    form: Option<String>,
    ignored: Vec<&'a str>,
}

impl<'a> Permit<'a> {
    /// On whose behalf.
    pub fn caller(&self) -> &'a Caller {
        self.caller
    }

    /// What is asked for.
    pub fn request(&self) -> &'a FhirRequest<'a, 'a> {
        self.request
    }

    /// The query to send on: without unknown parameters where the caller asked for lenience.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// The form to send on, of an operation that takes one: likewise.
    pub fn form(&self) -> Option<&str> {
        self.form.as_deref()
    }

    /// The parameters that are sent on, in their order.
    pub fn sent(&self) -> impl Iterator<Item = &'a Parameter<'a>> {
        let sent = |one: &&Parameter<'_>| !one.is_relic() && !self.ignored.contains(&one.name.as_ref());
        self.request.parameters.iter().filter(sent)
    }

    /// The names of the unknown parameters that are not sent on.
    pub fn ignored(&self) -> &[&'a str] {
        &self.ignored
    }
}

/// Why a known caller may not. Texts are shown to the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// None of the caller's roles is admitted to the product.
    #[error("this API is for the roles {}; the token has none of them", needed.join(", "))]
    Role {
        /// The roles that are.
        needed: Vec<String>,
    },
    /// The token's scopes do not cover the operation.
    #[error("the token's scopes do not cover this operation; it needs {needed}")]
    Scope {
        /// The scope that would.
        needed: String,
    },
    /// A parameter over elements that the caller's group does not see.
    #[error("the parameter {name:?} is not open to callers of the group {group}")]
    ParameterOfOthers {
        /// The parameter.
        name: String,
        /// The caller's stakeholder group.
        group: pms_terms::Stakeholder,
    },
    /// A parameter that the operation does not have.
    #[error(
        "the parameter {name:?} is not known for this operation; send `Prefer: handling=lenient` to have such parameters ignored"
    )]
    UnknownParameter {
        /// The parameter.
        name: String,
    },
    /// Something that `_sort` cannot order by.
    #[error(
        "nothing can be sorted by {key:?}: `_sort` takes names of search parameters, with `-` before those that descend; \
         send `Prefer: handling=lenient` to have it ignored"
    )]
    UnknownSortKey {
        /// The key.
        key: String,
    },
}

/// Decides. `lenient`: the caller prefers unknown parameters to be ignored ([`prefers_lenient`]).
pub fn authorize<'a>(
    caller: &'a Caller,
    request: &'a FhirRequest<'a, 'a>,
    lenient: bool,
) -> Result<Permit<'a>, Denial> {
    role(caller, request)?;
    scope(caller, request)?;
    let Admitted { query, form, ignored } = admitted(caller, request, lenient)?;
    Ok(Permit { caller, request, query, form, ignored })
}

/// Role × product.
pub fn role(caller: &Caller, request: &FhirRequest<'_, '_>) -> Result<(), Denial> {
    let roles = &request.product.roles;
    if caller.grant.roles.iter().any(|role| roles.contains(role)) {
        Ok(())
    } else {
        Err(Denial::Role { needed: roles.clone() })
    }
}

/// Scope × interaction × resource type.
pub fn scope(caller: &Caller, request: &FhirRequest<'_, '_>) -> Result<(), Denial> {
    if request.operation.scope.is_subset_of(&caller.grant.scope) {
        Ok(())
    } else {
        Err(Denial::Scope { needed: request.operation.scope_text.clone() })
    }
}

/// One parameter × stakeholder group.
pub fn parameter(caller: &Caller, operation: &Operation, parameter: &Parameter<'_>) -> Result<(), Denial> {
    let group = caller.grant.stakeholder;
    let judge = |name: &str| match operation.admits(name, group) {
        Admission::Admitted => Ok(()),
        Admission::OtherGroups => Err(Denial::ParameterOfOthers { name: shown(name), group }),
        Admission::Unknown => Err(Denial::UnknownParameter { name: shown(name) }),
    };
    judge(parameter.base_name())?;
    if parameter.name == "_sort" {
        // Sorting by a hidden element tells its order; each sort key is a search parameter of its own. Names that
        // begin with `_` and are not listed (`_score`) are no elements; the backend decides about them.
        let mut keys = parameter.value.split(',').map(|key| key.trim_start_matches('-'));
        return keys.try_for_each(|key| match judge(key) {
            Err(Denial::UnknownParameter { .. }) if key.starts_with('_') => Ok(()),
            Err(Denial::UnknownParameter { name: key }) => Err(Denial::UnknownSortKey { key }),
            decided => decided,
        });
    }
    Ok(())
}

/// What is sent on of query and form.
struct Admitted<'a> {
    query: Option<Cow<'a, str>>,
    form: Option<String>,
    ignored: Vec<&'a str>,
}

/// Query and form with what is admitted; without what is unknown, where lenience is wished for.
fn admitted<'a>(
    caller: &Caller,
    request: &'a FhirRequest<'a, 'a>,
    lenient: bool,
) -> Result<Admitted<'a>, Denial> {
    let (mut query, mut form) = (Vec::with_capacity(request.parameters.len()), Vec::new());
    let (mut ignored, mut in_query) = (Vec::new(), 0);
    for given in &request.parameters {
        in_query += usize::from(!given.in_form);
        if given.is_relic() {
            continue;
        }
        match parameter(caller, request.operation, given) {
            Ok(()) => (if given.in_form { &mut form } else { &mut query }).push(given.raw),
            Err(Denial::UnknownParameter { .. } | Denial::UnknownSortKey { .. }) if lenient => {
                ignored.push(given.name.as_ref());
            }
            Err(denial) => return Err(denial),
        }
    }
    let query = if query.len() == in_query {
        request.raw_query.filter(|query| !query.is_empty()).map(Cow::Borrowed)
    } else if query.is_empty() {
        None
    } else {
        Some(Cow::Owned(query.join("&")))
    };
    let form = request.operation.form.then(|| form.join("&"));
    Ok(Admitted { query, form, ignored })
}

/// A name as it may be repeated in an answer.
fn shown(name: &str) -> String {
    name.chars().take(64).collect()
}

/// Whether `Prefer: handling=lenient` is among the preferences (RFC 7240 §4.4, FHIR search "handling errors"). Of
/// several the first counts (RFC 7240 §2).
pub fn prefers_lenient(headers: &HeaderMap) -> bool {
    headers
        .get_all(HeaderName::from_static("prefer"))
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']))
        .filter_map(|preference| preference.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("handling"))
        .is_some_and(|(_, value)| value.trim().trim_matches('"').eq_ignore_ascii_case("lenient"))
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Method};
    use pms_terms::Stakeholder;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        fhir_request::{Target, read},
        routes::testing::routes,
        testing,
    };

    fn caller(role: &str, stakeholder: Stakeholder, scope: &str) -> Caller {
        testing::caller(|claims| {
            (claims.scope, claims.roles, claims.stakeholder) = (scope.into(), vec![role.into()], stakeholder);
        })
    }

    fn decide(
        caller: &Caller,
        path: &str,
        query: Option<&str>,
        lenient: bool,
    ) -> Result<Option<String>, Denial> {
        let routes = routes();
        let Ok(Target::Operation(request)) = read(&routes, &Method::GET, path, query) else {
            panic!("{path}")
        };
        authorize(caller, &request, lenient).map(|permit| permit.query().map(str::to_owned))
    }

    const SEARCH: &str = "/pms/api/v3/MedicinalProductDefinition";

    #[test]
    fn a_role_of_another_product_is_not_enough() {
        let public = caller("Public.PMS.API", Stakeholder::Public, "system/*.cruds");
        assert!(matches!(decide(&public, SEARCH, None, false), Err(Denial::Role { .. })));
        assert_eq!(decide(&public, "/public/v1/MedicinalProductDefinition", None, false), Ok(None));
    }

    #[test]
    fn a_scope_must_cover_the_interaction_and_the_type() {
        for (scope, covers) in [
            ("system/*.rs", true),
            ("system/MedicinalProductDefinition.s", true),
            ("system/MedicinalProductDefinition.r", false),
            ("system/Organization.cruds", false),
            ("openid profile", false),
            ("", false),
        ] {
            let decision = decide(&caller("PMS.NCA.API", Stakeholder::Nca, scope), SEARCH, None, false);
            assert_eq!(decision.is_ok(), covers, "{scope}: {decision:?}");
        }
    }

    #[test]
    fn parameters_are_judged_by_group() {
        let industry = caller("PMS.Industry.API", Stakeholder::Industry, "system/*.rs");
        let nca = caller("PMS.NCA.API", Stakeholder::Nca, "system/*.rs");
        assert_eq!(
            decide(&nca, SEARCH, Some("contact=x&name:exact=y"), false),
            Ok(Some("contact=x&name:exact=y".into()))
        );
        for hidden in ["contact=x", "contact:missing=true", "_sort=name,-contact"] {
            for lenient in [false, true] {
                let decision = decide(&industry, SEARCH, Some(hidden), lenient);
                assert!(matches!(decision, Err(Denial::ParameterOfOthers { .. })), "{hidden}: {decision:?}");
            }
        }
        for unknown in ["colour=x", "name.family=x", "_has:X:y:z=1"] {
            let decision = decide(&nca, SEARCH, Some(unknown), false);
            assert!(matches!(decision, Err(Denial::UnknownParameter { .. })), "{unknown}: {decision:?}");
        }
    }

    #[test]
    fn lenience_drops_what_is_unknown() {
        let nca = caller("PMS.NCA.API", Stakeholder::Nca, "system/*.rs");
        assert_eq!(
            decide(&nca, SEARCH, Some("colour=x&name=a%20b&shoe=1"), true),
            Ok(Some("name=a%20b".into()))
        );
        assert_eq!(decide(&nca, SEARCH, Some("colour=x"), true), Ok(None));
        assert_eq!(decide(&nca, SEARCH, Some("name=a&subscription-key=k"), false), Ok(Some("name=a".into())));
    }

    #[test]
    fn the_preference_is_found_among_others() {
        let with = |value: &'static str| {
            HeaderMap::from_iter([(HeaderName::from_static("prefer"), HeaderValue::from_static(value))])
        };
        assert!(prefers_lenient(&with("return=minimal; handling=lenient")));
        assert!(prefers_lenient(&with("respond-async, Handling=\"lenient\"")));
        assert!(!prefers_lenient(&with("handling=strict")));
        assert!(!prefers_lenient(&with("handling=strict, handling=lenient")));
    }

    proptest! {
        #[test]
        fn a_permit_never_carries_a_hidden_parameter(query in "((name|contact|_sort|x|_count)(:exact)?=(name|-contact|contact,name|1)&?){0,6}", lenient in any::<bool>()) {
            let query = query.trim_end_matches('&');
            let industry = caller("PMS.Industry.API", Stakeholder::Industry, "system/*.rs");
            let routes = routes();
            if let Ok(Target::Operation(request)) = read(&routes, &Method::GET, SEARCH, Some(query))
                && let Ok(permit) = authorize(&industry, &request, lenient)
            {
                let sent = permit.query().unwrap_or_default();
                for pair in sent.split('&').filter(|pair| !pair.is_empty()) {
                    let (name, value) = pair.split_once('=').unwrap();
                    prop_assert!(!name.starts_with("contact") && !name.starts_with('x'));
                    prop_assert!(name != "_sort" || !value.contains("contact"));
                }
            }
        }
    }
}
