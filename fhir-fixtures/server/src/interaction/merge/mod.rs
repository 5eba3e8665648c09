//! `$merge`: a product's changes, decided at once or queued (EP502a).
//!
//! Order of work: the body is read and understood; a key that is at work already is refused; `_validate-only` decides
//! without storing; then the merge is handed in. Large ones, and those for which the caller prefers not to wait, go
//! into the queue and are answered by the place of their outcome.
//!
//! `If-Match` on the request means nothing here: which versions a merge is based on stands in the resources themselves
//! (`meta.versionId`, rule R1), and FHIR gives operations no conditional form.

mod outcome;
mod request;

pub(super) use self::outcome::{applied_bundle, refused_bundle};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use fhir_model::merge;
use fhir_store::merges::{self, Answer, Limits, Submission};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use uuid::Uuid;

use self::outcome::answer_with;
use crate::{answer, call::Call, outcome as outcomes, outcome::Refusal};

/// How long a caller may wait before it asks for an outcome, in seconds.
pub(super) const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

pub(super) async fn answer(call: &Call<'_>, body: Body) -> Result<Response, Refusal> {
    let state = call.state;
    let settings = &state.merging.settings;
    let validate_only = match call.parameters.one("_validate-only") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(crate::parameters::wrong("_validate-only", "must be true or false")),
    };
    let key = request::idempotency_key(&call.headers)?;
    let body = request::body(&call.headers, body, settings.max_bytes).await?;
    let bundle = request::bundle(&call.headers, &body, call.product.fhir_version)?;
    let viewer = call.audience.viewer();
    if validate_only {
        let plan = merges::check(&state.database, state.views.matrix(), viewer, &bundle).await?;
        return match plan {
            Ok(plan) => Ok(json(call, StatusCode::OK, &merge::validated(&plan))),
            Err(rejections) => {
                let outcome = merges::Outcome::refused(&rejections);
                answer_with(call, &outcome).await
            }
        };
    }
    let _at_work = match &key {
        Some(key) => Some(state.merging.begin(&call.client_id, key).ok_or(Refusal::KeyAtWork)?),
        None => None,
    };
    let merge_id = Uuid::new_v4().to_string();
    let submission = Submission {
        merge_id: &merge_id,
        client_id: &call.client_id,
        viewer,
        bundle: &bundle,
        request_digest: &request::digest(&call.product.id, &body),
        idempotency_key: key.as_deref(),
    };
    let limits = Limits {
        waiting_per_client: i64::from(settings.waiting_per_client),
        waiting: i64::from(settings.waiting),
        key_lifetime: settings.key_lifetime.0.try_into().unwrap_or(time::Duration::DAY),
        outcome_lifetime: state.merging.outcome_lifetime(),
    };
    let entries = bundle.get("entry").and_then(serde_json::Value::as_array).map_or(0, Vec::len);
    let rather_later = prefers_async(&call.headers);
    let later = rather_later || entries > settings.prompt_entries || body.len() > settings.prompt_bytes;
    let (database, now) = (&state.database, state.clock.now());
    let answered = if later {
        merges::enqueue(database, &submission, &limits, now).await?
    } else {
        merges::submit(database, state.views.matrix(), &submission, &limits, now).await?
    };
    match answered {
        Answer::Done(outcome) => {
            if outcome.is_applied() {
                // What this server has in memory is true again before its caller can ask.
                state.heads.follow().await?;
            }
            state.merging.note(&merge_id, &call.client_id, &outcome);
            answer_with(call, &outcome).await
        }
        Answer::Queued { merge_id, is_done } => {
            state.merging.nudge.notify_one();
            Ok(accepted(call, &merge_id, is_done, rather_later))
        }
        Answer::KeyReused => Err(Refusal::KeyReused),
        Answer::ClientQueueFull => Err(Refusal::ClientQueueFull),
        Answer::QueueFull => Err(Refusal::QueueFull),
    }
}

/// 202 with the place of the outcome (FHIR "Asynchronous Request Pattern").
fn accepted(call: &Call<'_>, merge_id: &str, is_done: bool, preferred: bool) -> Response {
    let text = if is_done {
        "The merge was sent before, and is decided. Its outcome is at the address in Content-Location."
    } else {
        "The merge waits in the queue. Its outcome will be at the address in Content-Location."
    };
    let body = outcomes::outcome("information", "informational", text, None, None);
    let mut response = json(call, StatusCode::ACCEPTED, &body);
    let headers = response.headers_mut();
    let place = call.base.link(&format!("/TransactionResponse/{merge_id}"), "");
    if let Ok(place) = HeaderValue::try_from(place) {
        headers.insert(header::CONTENT_LOCATION, place);
    }
    headers.insert(header::RETRY_AFTER, RETRY_AFTER);
    if preferred {
        // RFC 7240 §3.
        headers.insert("preference-applied", HeaderValue::from_static("respond-async"));
    }
    response
}

/// A FHIR resource as an answer that nobody may keep.
pub(super) fn json(call: &Call<'_>, status: StatusCode, body: &serde_json::Value) -> Response {
    let bytes = Bytes::from(body.to_string());
    let mut response = answer::ok(bytes, None, &call.headers, call.look)
        .unwrap_or_else(|refusal| refusal.respond("", call.look));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// `Prefer: respond-async` (RFC 7240 §4.1).
fn prefers_async(headers: &HeaderMap) -> bool {
    headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']))
        .any(|wish| wish.trim().eq_ignore_ascii_case("respond-async"))
}
