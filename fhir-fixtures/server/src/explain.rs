//! Why a caller sees what it sees: the decisions behind one answer, in order, without making the answer.

use std::sync::Arc;

use config::{ApiProduct, ApiProducts, Interaction, Operation};
use database::Database;
use fhir_model::access::{self, AccessMatrix, Column, Viewer};
use fhir_store::{Audience, StoreError};
use pms_terms::FhirVersion;
use serde::Serialize;

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// What was decided about: an element's path, a product, an operation.
    pub path: String,
    /// The rule that decided.
    pub rule: String,
    /// `kept`, `removed`, `partly`, `visible`, `hidden`, `found`, `absent`.
    pub outcome: &'static str,
    /// In plain words.
    pub reason: String,
}

/// A request that cannot be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The URL names no operation of an API product.
    #[error(
        "{method} {url} names no operation of an API product: give a path such as /pms/api/v3/MedicinalProductDefinition/600000900001"
    )]
    NoOperation {
        /// As given.
        method: String,
        /// As given.
        url: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Explains what `viewer` would be answered for `method` and `url` (a path, or a whole URL).
pub async fn explain(
    database: &Database,
    matrix: &Arc<AccessMatrix>,
    products: &ApiProducts,
    viewer: &Viewer,
    method: &str,
    url: &str,
) -> Result<Vec<Explained>, ExplainError> {
    let Some(found) = find_operation(products, method, url) else {
        return Err(ExplainError::NoOperation { method: method.to_owned(), url: url.to_owned() });
    };
    let Found { product, operation, id } = found;
    let mut steps = vec![Explained {
        path: format!("{} {}", operation.method.as_str(), operation.path),
        rule: operation.ep.clone(),
        outcome: "found",
        reason: format!("{}: {} of {}", operation.ep, operation.title, product.title),
    }];
    match operation.interaction {
        Interaction::Search => {
            steps.extend(search_rules(viewer));
            return Ok(steps);
        }
        Interaction::Merge | Interaction::TransactionResponse => {
            steps.push(write_rules(operation.interaction));
            return Ok(steps);
        }
        Interaction::Read | Interaction::Vread | Interaction::History | Interaction::Everything => {}
    }
    let Some(stored) = fhir_store::find(database, &id).await? else {
        steps.push(Explained {
            path: format!("{}/{id}", operation.resource_type),
            rule: "store".to_owned(),
            outcome: "absent",
            reason: "there is no such product in the store; the answer is 404, as for one that is hidden"
                .to_owned(),
        });
        return Ok(steps);
    };
    let gate = access::gate(matrix, viewer, &stored.facts);
    let column = access::column(viewer, &stored.facts);
    if gate.visible && matches!(operation.interaction, Interaction::Vread | Interaction::History) {
        let open = access::may_see_history(matrix, column);
        steps.push(Explained {
            path: format!("{}/{id}/_history", operation.resource_type),
            rule: "G4".to_owned(),
            outcome: if open { "visible" } else { "hidden" },
            reason: if open {
                format!(
                    "history is open to the column {}; old versions are shown by today's rules",
                    column.as_str()
                )
            } else {
                format!("history is closed to the column {}; the answer is 404", column.as_str())
            },
        });
    }
    let mentioned: Vec<&str> = stored.head.mentions.iter().map(String::as_str).collect();
    let targets = fhir_store::known_to(database, &Audience::new(viewer.clone()), &mentioned).await?;
    let decisions = access::explain(matrix, viewer, &stored.facts, &stored.product, &targets);
    let root = format!("{}/{id}", operation.resource_type);
    let whole = operation.interaction == Interaction::Everything;
    if gate.visible && product.fhir_version == FhirVersion::V4_4_0 {
        steps.push(Explained {
            path: root.clone(),
            rule: "rendering".to_owned(),
            outcome: "partly",
            reason: "elements are decided and named as in FHIR 5.0.0; what is left is written in 4.4.0"
                .to_owned(),
        });
    }
    // Of the parts a 4.4.0 root shows links, of which each part's own gate decides.
    let shown = |path: &str| {
        let (resource, element) =
            path.split_once('.').map_or((path, false), |(resource, _)| (resource, true));
        whole || resource == root || (!element && product.fhir_version == FhirVersion::V4_4_0)
    };
    for decision in decisions.into_iter().filter(|decision| shown(&decision.path)) {
        steps.push(Explained {
            path: decision.path,
            rule: decision.rule,
            outcome: decision.outcome.as_str(),
            reason: decision.reason,
        });
    }
    Ok(steps)
}

/// What decides about an operation that changes something.
fn write_rules(interaction: Interaction) -> Explained {
    let (path, reason) = match interaction {
        Interaction::Merge => (
            "$merge",
            "the Bundle decides: whose products it is about, and what it changes. Send it with ?_validate-only=true to \
             hear which rules it meets; what the answer shows is filtered as a read is",
        ),
        _ => (
            "TransactionResponse",
            "it is for the organisation that sent the Bundle, and absent for everybody else; what it shows is filtered as \
             a read is",
        ),
    };
    Explained {
        path: path.to_owned(),
        rule: "R1 to R5".to_owned(),
        outcome: "partly",
        reason: reason.to_owned(),
    }
}

/// What holds for every search of this viewer.
fn search_rules(viewer: &Viewer) -> Vec<Explained> {
    let audience = Audience::new(viewer.clone());
    let columns: Vec<&str> = audience.columns().into_iter().map(Column::as_str).collect();
    vec![
        Explained {
            path: "MedicinalProductDefinition".to_owned(),
            rule: "gates".to_owned(),
            outcome: "partly",
            reason: "only products whose gates are open to this client are matched, counted and paged; explain one of \
                     them by its id to see its gates"
                .to_owned(),
        },
        Explained {
            path: "search parameters".to_owned(),
            rule: "columns".to_owned(),
            outcome: "partly",
            reason: format!("a value is searched only where its element is visible: column {}", columns.join(" or ")),
        },
    ]
}

/// What a method and a URL name.
struct Found<'p> {
    product: &'p ApiProduct,
    operation: &'p Operation,
    /// The `{id}` of the path.
    id: String,
}

fn find_operation<'p>(products: &'p ApiProducts, method: &str, url: &str) -> Option<Found<'p>> {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.get(rest.find('/')?..)?,
        None => url,
    };
    let path = path.split(['?', '#']).next().unwrap_or(path).trim_end_matches('/');
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    products.iter().find_map(|product| {
        let rest = path.strip_prefix(product.base_path.as_str())?;
        product.operations.iter().find_map(|operation| {
            let id = matched(&operation.path, rest)?;
            operation.method.as_str().eq_ignore_ascii_case(method).then_some(Found { product, operation, id })
        })
    })
}

/// The `{id}` of a path that fits the template; empty when the template has none.
fn matched(template: &str, path: &str) -> Option<String> {
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    let mut id = String::new();
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(id),
            (Some("{id}"), Some(segment)) if !segment.is_empty() => segment.clone_into(&mut id),
            (Some(open), Some(segment)) if open.starts_with('{') && !segment.is_empty() => {}
            (Some(same), Some(segment)) if same == segment => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_yields_the_id() {
        assert_eq!(matched("/M/{id}/_history/{vid}", "/M/6/_history/2").as_deref(), Some("6"));
        assert_eq!(matched("/M", "/M").as_deref(), Some(""));
        for wrong in ["/M/6", "/M/6/_history", "/M//_history/2", "/N/6/_history/2"] {
            assert_eq!(matched("/M/{id}/_history/{vid}", wrong), None, "{wrong}");
        }
    }
}
