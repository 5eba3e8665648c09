//! Words for refusals that come without any: `application/problem+json` (RFC 9457), with the request's id.

use http::{HeaderValue, Response, StatusCode, header};
use http_body::Body as _;

use crate::{Body, RequestId};

/// An answer that says what is wrong.
pub(crate) fn answer(status: StatusCode, detail: &str, id: &RequestId) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    explain(&mut response, detail, id);
    response
}

/// Gives an error without a body one. `head`: the request was for the head alone, and has no body for that reason.
pub(crate) fn explain_if_mute(response: &mut Response<Body>, head: bool, id: &RequestId) {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    if is_error
        && !head
        && response.body().is_end_stream()
        && !response.headers().contains_key(header::CONTENT_TYPE)
    {
        explain(response, words(status), id);
    }
}

fn explain(response: &mut Response<Body>, detail: &str, id: &RequestId) {
    let status = response.status();
    let problem = serde_json::json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or("Error"),
        "status": status.as_u16(),
        "detail": detail,
        "instance": format!("urn:pmsgate:request:{}", id.as_str()),
    })
    .to_string();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(problem.len()));
    *response.body_mut() = Body::from(problem);
}

fn words(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => {
            "Nothing is served at this path. Each API says at /metadata and /swagger below its base path what it serves."
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            "This path is served for other methods only; the header Allow names them."
        }
        StatusCode::PAYLOAD_TOO_LARGE => "The body is larger than is read here.",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "The body's Content-Type is not read here.",
        StatusCode::REQUEST_TIMEOUT => "The request took too long to arrive.",
        status if status.is_client_error() => "The request cannot be answered as it is.",
        _ => "This failed, and it is not the request's fault. Try again later.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request_id::IdMaker;

    #[test]
    fn only_what_is_mute_is_explained() {
        let id = IdMaker::new().make();
        let with = |status: StatusCode, body: &'static str, head: bool| {
            let mut response = Response::new(Body::from(body));
            *response.status_mut() = status;
            explain_if_mute(&mut response, head, &id);
            response.headers().contains_key(header::CONTENT_TYPE)
        };
        assert!(with(StatusCode::NOT_FOUND, "", false));
        assert!(with(StatusCode::INTERNAL_SERVER_ERROR, "", false));
        assert!(!with(StatusCode::NOT_FOUND, "", true));
        assert!(!with(StatusCode::NOT_FOUND, "words", false));
        assert!(!with(StatusCode::NOT_MODIFIED, "", false));
        assert!(!with(StatusCode::NO_CONTENT, "", false));
    }
}
