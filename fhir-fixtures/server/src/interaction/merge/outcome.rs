//! What became of a merge, for the caller: the versions it made as the caller may see them today, or why nothing was
//! stored. Every answer with content goes through the same filter as reads.

use std::collections::BTreeMap;

use axum::response::Response;
use fhir_model::{
    ResourceKey,
    access::View,
    merge::{Done, response},
};
use fhir_store::{
    StoredResource,
    merges::{AppliedResource, Outcome},
};
use http::StatusCode;
use serde_json::{Value, json};

use super::json;
use crate::{call::Call, outcome::Refusal};

/// The answer to the request that brought a merge in.
pub(in crate::interaction) async fn answer_with(
    call: &Call<'_>,
    outcome: &Outcome,
) -> Result<Response, Refusal> {
    match outcome {
        Outcome::Applied { product_id, resources, told } => {
            let bundle = applied_bundle(call, product_id, resources, told.as_ref()).await?;
            Ok(json(call, StatusCode::OK, &bundle))
        }
        Outcome::Refused { status, outcome, rules } => Err(Refusal::Merge {
            status: StatusCode::from_u16(*status).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY),
            outcome: outcome.clone(),
            rules: rules.join(" "),
        }),
    }
}

/// The Bundle of a merge that is stored. A product that the caller must not know of any more is not found.
pub(in crate::interaction) async fn applied_bundle(
    call: &Call<'_>,
    product_id: &str,
    resources: &[AppliedResource],
    told: Option<&Value>,
) -> Result<Value, Refusal> {
    let state = call.state;
    let angle = call.angle(product_id).await?;
    let stored = fhir_store::find(&state.database, product_id).await?.ok_or(Refusal::NotFound)?;
    let mut wanted = Vec::with_capacity(resources.len());
    for resource in resources {
        wanted.push((resource.key()?, resource.version_id));
    }
    let versions = fhir_store::find_versions(&state.database, &wanted).await?;
    let angle = angle.over(call, versions.iter().map(|version| &version.body)).await?;
    let view = View::new(state.views.matrix(), angle.column, &stored.facts, &stored.product, &angle.targets)
        .ok_or(Refusal::NotFound)?;
    let mut versions: BTreeMap<ResourceKey, StoredResource> =
        versions.into_iter().map(|version| (version.key.clone(), version)).collect();
    let mut done = Vec::with_capacity(wanted.len());
    for (resource, (key, _)) in resources.iter().zip(&wanted) {
        // Its version is stored together with the outcome.
        let Some(version) = versions.remove(key) else { continue };
        done.push(Done {
            entry: resource.entry,
            key: key.clone(),
            created: resource.created,
            version_id: version.version_id.to_string(),
            last_modified: fhir_store::instant_text(version.last_updated),
            resource: view.resource(&version.body),
        });
    }
    Ok(response(call.base.as_str(), &done, told))
}

/// The Bundle of a merge of which nothing was stored, for whoever asks later.
pub(in crate::interaction) fn refused_bundle(status: u16, outcome: &Value) -> Value {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
    json!({
        "resourceType": "Bundle",
        "type": "transaction-response",
        "entry": [{"response": {"status": status.to_string(), "outcome": outcome}}],
    })
}
