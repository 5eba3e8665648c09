//! Pure: what a caller may search at a server that would find by hidden elements, too.
//!
//! A parameter over elements that the caller sees wherever it sees a product goes to the server. One over elements that
//! it never sees is refused. Of what lies between, a plain token goes to the server, and what the server finds counts
//! only when the caller would find it in what is shown: as in our own index, nobody finds by what is hidden.

use std::fmt::Write as _;

use fhir_model::{
    Product,
    access::{AccessMatrix, Column, Openness, Viewer},
    search,
};
use pms_terms::Stakeholder;
use serde::{Deserialize, Serialize};

use super::Refused;
use crate::{authorize::Permit, fhir_request::Parameter};

/// Entries on a page that did not ask for a number.
const PAGE: usize = 20;
/// The most entries on a page. Each costs the server questions about everything that belongs to it.
const MAX_PAGE: usize = 50;

/// A search as the server gets it, and what has to be looked at when it has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Search {
    /// Its query, without the number of entries.
    pub(crate) query: String,
    /// Entries on a page.
    pub(crate) count: usize,
    /// What must be found in what is shown, too.
    pub(crate) checks: Vec<Check>,
}

/// A token that must be found in what is shown of a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Check {
    /// The parameter.
    parameter: String,
    /// Its value.
    text: String,
}

impl Check {
    /// Whether what is shown has it.
    pub(crate) fn holds(&self, shown: &Product) -> bool {
        search::finds(&self.parameter, &self.text, shown)
    }
}

/// The columns in which a viewer can stand, whatever the product.
pub(crate) fn columns(matrix: &AccessMatrix, viewer: &Viewer) -> Vec<Column> {
    match viewer.stakeholder {
        Stakeholder::Public => vec![Column::Public],
        Stakeholder::Industry => {
            let own = if viewer.qualified { Column::IndustryOwnerQualified } else { Column::IndustryOwner };
            let others = matrix.industry_non_owner_sees_public_subset().then_some(Column::IndustryOther);
            others.into_iter().chain([own]).collect()
        }
        Stakeholder::Nca => vec![Column::Nca],
        Stakeholder::Ema => vec![Column::Ema],
    }
}

/// The search that a permitted request asks for.
pub(crate) fn search(matrix: &AccessMatrix, viewer: &Viewer, permit: &Permit<'_>) -> Result<Search, Refused> {
    let columns = columns(matrix, viewer);
    let mut wanted = Search { query: String::new(), count: count(permit)?, checks: Vec::new() };
    for given in given(permit) {
        match given.base_name() {
            "_format" | "_pretty" | "_count" => continue,
            "_sort" => {
                for key in given.value.split(',').map(|key| key.trim_start_matches('-')) {
                    require_open(matrix, &columns, viewer, key, given)?;
                }
            }
            name => match openness(matrix, &columns, name) {
                (Openness::Open, _) => {}
                (_, Openness::Closed) => return Err(hidden(viewer, given)),
                _ if given.name != name || !is_token(name) => return Err(partly(viewer, given)),
                _ => {
                    wanted
                        .checks
                        .push(Check { parameter: name.to_owned(), text: given.value.clone().into() });
                }
            },
        }
        if !wanted.query.is_empty() {
            wanted.query.push('&');
        }
        encode(&given.name, &mut wanted.query);
        wanted.query.push('=');
        encode(&given.value, &mut wanted.query);
    }
    Ok(wanted)
}

/// The cursor of a request for a further page. It holds the whole search: nothing else can be given.
pub(crate) fn cursor<'a>(permit: &Permit<'a>) -> Result<Option<&'a str>, Refused> {
    let Some(cursor) = given(permit).find(|given| given.name == "_cursor") else { return Ok(None) };
    if given(permit).any(|given| !matches!(&*given.name, "_cursor" | "_format" | "_pretty" | "_count")) {
        let problem = "holds the whole search: follow the link as it is, without further parameters";
        return Err(Refused::Value { name: "_cursor", problem });
    }
    Ok(Some(&cursor.value))
}

fn given<'a>(permit: &Permit<'a>) -> impl Iterator<Item = &'a Parameter<'a>> {
    let ignored: Vec<&str> = permit.ignored().to_vec();
    permit
        .request()
        .parameters
        .iter()
        .filter(move |given| !given.is_relic() && !ignored.contains(&given.name.as_ref()))
}

fn count(permit: &Permit<'_>) -> Result<usize, Refused> {
    let Some(given) = given(permit).find(|given| given.name == "_count") else { return Ok(PAGE) };
    match given.value.parse::<usize>() {
        Ok(0) => {
            let problem = "is 0, which asks for a total, and hidden products would be counted with the rest";
            Err(Refused::Value { name: "_count", problem })
        }
        Ok(count) => Ok(count.min(MAX_PAGE)),
        Err(_) => Err(Refused::Value { name: "_count", problem: "is not a number of entries" }),
    }
}

/// The least and the most open of all elements that a parameter looks at. What is not known is closed.
fn openness(matrix: &AccessMatrix, columns: &[Column], parameter: &str) -> (Openness, Openness) {
    let each = || {
        let elements = search::elements(parameter).unwrap_or_default();
        columns.iter().flat_map(move |column| elements.iter().map(|path| matrix.openness(*column, path)))
    };
    (each().min().unwrap_or(Openness::Closed), each().max().unwrap_or(Openness::Closed))
}

fn require_open(
    matrix: &AccessMatrix,
    columns: &[Column],
    viewer: &Viewer,
    key: &str,
    given: &Parameter<'_>,
) -> Result<(), Refused> {
    match openness(matrix, columns, key) {
        (Openness::Open, _) => Ok(()),
        (_, Openness::Closed) => Err(hidden(viewer, given)),
        _ => Err(partly(viewer, given)),
    }
}

fn is_token(parameter: &str) -> bool {
    search::PARAMETERS
        .iter()
        .any(|(name, kind, _)| *name == parameter && matches!(kind, search::ParameterKind::Token))
}

fn hidden(viewer: &Viewer, given: &Parameter<'_>) -> Refused {
    Refused::HiddenParameter { name: shown(given), group: viewer.stakeholder }
}

fn partly(viewer: &Viewer, given: &Parameter<'_>) -> Refused {
    Refused::PartlyHiddenParameter { name: shown(given), group: viewer.stakeholder }
}

/// A name as it may be repeated in an answer.
fn shown(given: &Parameter<'_>) -> String {
    given.name.chars().take(64).collect()
}

/// Percent-encodes all but the unreserved characters (RFC 3986 §2.3).
fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use fhir_model::access::DEFAULT_MATRIX;
    use http::Method;

    use super::*;
    use crate::{
        authorize::authorize,
        enforce::judge::viewer,
        fhir_request::{Target, read},
        routes::Routes,
        testing::{caller, partner, settings},
    };

    fn judged(stakeholder: Stakeholder, query: &str) -> Result<Search, Refused> {
        let mut settings = settings("http://127.0.0.1:1");
        settings.products = vec![partner("http://127.0.0.1:1")];
        let routes = Routes::compile(&settings).unwrap();
        let caller = caller(|claims| claims.stakeholder = stakeholder);
        let path = "/partner/r5/MedicinalProductDefinition";
        let Ok(Target::Operation(request)) = read(&routes, &Method::GET, path, Some(query)) else {
            panic!("{query}")
        };
        let permit = authorize(&caller, &request, false).unwrap();
        let matrix = AccessMatrix::parse(DEFAULT_MATRIX, "default").unwrap();
        assert_eq!(cursor(&permit), Ok(None));
        search(&matrix, &viewer(&caller), &permit)
    }

    #[test]
    fn open_elements_are_searched_as_asked() {
        let wanted =
            judged(Stakeholder::Public, "name:contains=a%26b+c&status=x,y&_sort=-name&_count=500").unwrap();
        assert_eq!(wanted.query, "name%3Acontains=a%26b%20c&status=x%2Cy&_sort=-name");
        assert_eq!((wanted.count, wanted.checks.len()), (MAX_PAGE, 0));
    }

    #[test]
    fn what_is_shown_in_part_is_checked_in_what_is_shown() {
        for (group, query, checks) in [
            (Stakeholder::Public, "identifier=a%7Cb", 1),
            (Stakeholder::Industry, "identifier=a%7Cb&product-classification=x", 2),
            (Stakeholder::Industry, "characteristic=x", 1),
            (Stakeholder::Nca, "identifier=a%7Cb&characteristic:not=x&contact=y", 0),
        ] {
            assert_eq!(judged(group, query).unwrap().checks.len(), checks, "{group}: {query}");
        }
    }

    #[test]
    fn hidden_elements_are_not_searched_by_any_way() {
        use Stakeholder::{Industry, Public};
        for (group, query) in [
            (Public, "characteristic=x"),
            (Public, "characteristic:missing=true"),
            (Public, "master-file=x"),
            (Public, "identifier:not=x"),
            (Public, "identifier:missing=true"),
            (Public, "contact=x"),
            (Public, "_sort=identifier"),
            (Public, "_sort=name,-characteristic"),
            (Public, "_sort=_score"),
            (Industry, "_sort=characteristic"),
            (Industry, "characteristic:not=x"),
            (Industry, "contact=x"),
        ] {
            let refused = judged(group, query).unwrap_err();
            let hidden =
                matches!(refused, Refused::HiddenParameter { .. } | Refused::PartlyHiddenParameter { .. });
            assert!(hidden, "{group}: {query}: {refused}");
        }
        for query in ["_count=0", "_count=many"] {
            assert!(matches!(judged(Public, query), Err(Refused::Value { .. })), "{query}");
        }
    }
}
