//! TransactionResponse: the outcome of a merge that was queued, for the client that had sent it (EP503a).
//!
//! An id that was never given, one of another client, one whose time is over, and one about a product that the client
//! must not know of any more are answered alike.

use axum::response::Response;
use fhir_store::merges::{self, Outcome, Record};
use http::{StatusCode, header};
use uuid::{Uuid, Variant};

use super::merge::{self, RETRY_AFTER};
use crate::{call::Call, outcome, outcome::Refusal};

pub(super) async fn answer(call: &Call<'_>) -> Result<Response, Refusal> {
    let state = call.state;
    let id = call.segment("id");
    if !is_ours(id) {
        return Err(Refusal::NotFound);
    }
    let Record { product_id, outcome } =
        merges::find(&state.database, &call.client_id, id, state.clock.now())
            .await?
            .ok_or(Refusal::NotFound)?;
    // The product's gates are asked whatever the outcome.
    call.angle(&product_id).await?;
    let bundle = match outcome {
        None => {
            let text = "The merge waits in the queue, or is at work. Ask again.";
            let body = outcome::outcome("information", "informational", text, None, None);
            let mut response = merge::json(call, StatusCode::ACCEPTED, &body);
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
            return Ok(response);
        }
        Some(Outcome::Applied { product_id, resources, told }) => {
            merge::applied_bundle(call, &product_id, &resources, told.as_ref()).await?
        }
        Some(Outcome::Refused { status, outcome, .. }) => merge::refused_bundle(status, &outcome),
    };
    Ok(merge::json(call, StatusCode::OK, &bundle))
}

/// Whether it could be an id of ours: a random UUID in its one spelling.
fn is_ours(id: &str) -> bool {
    Uuid::try_parse(id).is_ok_and(|uuid| {
        uuid.get_version_num() == 4 && uuid.get_variant() == Variant::RFC4122 && uuid.to_string() == id
    })
}
