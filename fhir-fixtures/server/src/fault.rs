//! Faults on request, in a sandbox: an answer goes wrong as the client asks, so that it can learn to bear it.
//!
//! Outside a sandbox the header means nothing, like any header that is not known. `429` and `503` come before anything
//! is done, `slow` before the work, `truncate` after it: a merge whose answer was broken off is done, which is what an
//! `Idempotency-Key` is for.

use std::{io, time::Duration};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt as _;

use crate::{answer::Look, outcome, outcome::Refusal, parameters::wrong};

/// Asks for a fault.
const HEADER: &str = "x-sandbox-fault";
/// The longest wait.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// What a refusal asks the client to wait.
const RETRY_AFTER: &str = "2";
/// Between the bytes that are sent and the end of the connection, so that they are sent.
const BEFORE_THE_CUT: Duration = Duration::from_millis(50);

/// What shall go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 429.
    Throttled,
    /// 503.
    Unavailable,
    /// An answer after a wait.
    Slow(Duration),
    /// An answer that ends halfway.
    Truncated,
}

impl Fault {
    /// What the request asks for, if it may ask.
    pub(crate) fn asked(sandbox: bool, headers: &HeaderMap) -> Result<Option<Self>, Refusal> {
        let Some(value) = headers.get(HEADER).filter(|_| sandbox) else { return Ok(None) };
        let text = value.to_str().unwrap_or_default().trim();
        let fault = match text {
            "429" => Some(Self::Throttled),
            "503" => Some(Self::Unavailable),
            "truncate" => Some(Self::Truncated),
            text => text.strip_prefix("slow=").and_then(span).map(Self::Slow),
        };
        fault.map(Some).ok_or_else(|| {
            wrong("X-Sandbox-Fault", "is one of 429, 503, truncate, slow=2s (or slow=200ms; 60s at most)")
        })
    }

    /// What comes instead of the work, or the wait before it.
    pub(crate) async fn before(self, request_id: &str, look: Look) -> Option<Response> {
        let (status, code, text) = match self {
            Self::Throttled => (
                StatusCode::TOO_MANY_REQUESTS,
                "throttled",
                "Too many requests, as X-Sandbox-Fault asked for.",
            ),
            Self::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "transient", "Unavailable, as X-Sandbox-Fault asked for.")
            }
            Self::Slow(wait) => {
                tokio::time::sleep(wait).await;
                return None;
            }
            Self::Truncated => return None,
        };
        let body = outcome::outcome("error", code, text, None, Some(request_id));
        let (media_type, body) = look.write_or_json(Bytes::from(body.to_string()));
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
        Some(response)
    }

    /// What becomes of the answer.
    pub(crate) async fn after(self, response: Response) -> Response {
        if self != Self::Truncated {
            return response;
        }
        let (mut head, body) = response.into_parts();
        let whole = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len()));
        let half = stream::iter([Ok::<Bytes, io::Error>(whole.slice(..whole.len() / 2))]);
        let cut = stream::once(async {
            tokio::time::sleep(BEFORE_THE_CUT).await;
            Err(io::Error::from(io::ErrorKind::ConnectionAborted))
        });
        Response::from_parts(head, Body::from_stream(half.chain(cut)))
    }
}

/// `2s` or `200ms`, at most [`MAX_WAIT`].
fn span(text: &str) -> Option<Duration> {
    let (digits, unit): (&str, fn(u64) -> Duration) = match text.strip_suffix("ms") {
        Some(digits) => (digits, Duration::from_millis),
        None => (text.strip_suffix('s')?, Duration::from_secs),
    };
    let plain = (1..=6).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
    digits.parse().ok().filter(|_| plain).map(unit).filter(|wait| *wait <= MAX_WAIT)
}

#[cfg(test)]
mod tests {
    use pms_terms::FhirVersion;

    use super::*;
    use crate::answer::Format;

    fn asked(sandbox: bool, value: &'static str) -> Result<Option<Fault>, Refusal> {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_static(value));
        Fault::asked(sandbox, &headers)
    }

    #[test]
    fn a_fault_is_read_in_a_sandbox_and_nowhere_else() {
        for (text, fault) in [
            ("429", Fault::Throttled),
            ("503", Fault::Unavailable),
            ("truncate", Fault::Truncated),
            ("slow=2s", Fault::Slow(Duration::from_secs(2))),
            ("slow=200ms", Fault::Slow(Duration::from_millis(200))),
            ("slow=60s", Fault::Slow(MAX_WAIT)),
        ] {
            assert_eq!(asked(true, text).unwrap(), Some(fault), "{text}");
            assert_eq!(asked(false, text).unwrap(), None, "{text}");
        }
        assert_eq!(Fault::asked(true, &HeaderMap::new()).unwrap(), None);
    }

    #[test]
    fn what_is_no_fault_is_refused_with_those_that_are() {
        for text in
            ["", "500", "slow", "slow=", "slow=61s", "slow=-1s", "slow=+1s", "slow=1m", "slow=99999999s"]
        {
            let refusal = asked(true, text).unwrap_err().to_string();
            assert!(refusal.contains("slow=2s"), "{text}: {refusal}");
            assert_eq!(asked(false, text).unwrap(), None, "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_cut_in_the_middle_and_announces_its_whole_length() {
        let response = Fault::Truncated.after(Response::new(Body::from("0123456789"))).await;
        assert_eq!(response.headers()[header::CONTENT_LENGTH], "10");
        let mut body = response.into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "01234");
        assert!(body.frame().await.unwrap().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_answer_waits_as_long_as_asked() {
        let began = tokio::time::Instant::now();
        let look = Look { format: Format::Json, pretty: false, version: FhirVersion::V5_0_0 };
        assert!(Fault::Slow(Duration::from_secs(2)).before("x", look).await.is_none());
        assert_eq!(began.elapsed(), Duration::from_secs(2));
    }
}
