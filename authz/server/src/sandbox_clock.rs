//! `GET /sandbox/clock`: the time in a sandbox, for the parts of the house in other processes, and for testers.

use std::sync::Arc;

use axum::{
    Json,
    extract::State as Extract,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use crate::{mail::credentials::exact, state::State, use_cases::UseCases};

/// How far the clock is moved is no secret where it can be moved; elsewhere there is no such thing.
pub(crate) async fn get(Extract(state): Extract<Arc<State>>) -> Response {
    if !state.settings.sandbox {
        return (StatusCode::NOT_FOUND, "only a sandbox's clock can be moved\n").into_response();
    }
    match UseCases::of(state).show_clock().await {
        Ok(view) => {
            let body = json!({ "now": exact(view.now), "offset_seconds": view.offset.whole_seconds() });
            ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(body)).into_response()
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the clock cannot be told");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}
