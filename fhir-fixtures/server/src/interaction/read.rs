//! Read: the current version of a product's MedicinalProductDefinition (EP303).

use axum::response::Response;

use crate::{answer, call::Call, outcome::Refusal};

pub(super) async fn answer(call: &Call<'_>) -> Result<Response, Refusal> {
    let angle = call.visible().await?;
    let view = call.state.views.root(&angle, call.product.fhir_version).await?.ok_or(Refusal::NotFound)?;
    let response = answer::ok(view.resource.body.clone(), Some(&view.validators), &call.headers, call.look)?;
    Ok(answer::disclosed(response, view.disclosed.clone()))
}
