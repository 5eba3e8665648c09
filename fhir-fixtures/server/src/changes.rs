//! The feed of changes for gateways: the state of the data at once, and after every reading of the database, which is
//! several times in a second. While the database cannot be read the feed is silent: a line would say that nothing changed.

use std::{convert::Infallible, sync::Arc};

use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use caller_context::DataState;
use futures_util::stream;
use http::{HeaderValue, header};
use pms_terms::FhirVersion;

use crate::{answer::Look, call, state::State};

/// `GET /changes`. Ends when the server stops.
pub(crate) fn answer(state: &Arc<State>, request: &Request) -> Response {
    if let Err(refusal) = call::context(state, request.method(), request.uri(), request.headers()) {
        return refusal.respond("", Look::guessed(request.uri(), request.headers(), FhirVersion::V5_0_0));
    }
    let lines =
        stream::unfold((state.heads.readings(), state.heads.state()), |(mut readings, known)| async move {
            if let Some(known) = known {
                return Some((Ok::<_, Infallible>(line(known)), (readings, None)));
            }
            readings.changed().await.ok()?;
            let reading = *readings.borrow_and_update();
            Some((Ok(line(reading?)), (readings, None)))
        });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, Body::from_stream(lines)).into_response()
}

fn line(state: DataState) -> Bytes {
    Bytes::from(format!("{state}\n"))
}
