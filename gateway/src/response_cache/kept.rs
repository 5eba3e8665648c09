//! One kept answer: whole, as the caller of its class got it, with what it takes to give it again.

use axum::body::Body;
use bytes::Bytes;
use caller_context::{CHANGED_HEADER, DataState, Disclosure, STATE_HEADER};
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header, response};
use http_body_util::BodyExt as _;
use http_service::conditional::{Judgement, Validators};
use time::OffsetDateTime;

/// An allowance for what surrounds the bytes of an entry.
const AROUND: usize = 600;
/// The same for one header.
const AROUND_HEADER: usize = 80;

/// What an upstream says with an answer that may be kept: read before its headers are made ours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    /// What it is at least as new as.
    pub(super) state: DataState,
    /// When anything last changed that it shows.
    changed: Option<OffsetDateTime>,
}

impl Shown {
    /// From the headers of an upstream's answer.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let changed = text(CHANGED_HEADER).and_then(|seconds| seconds.parse().ok());
        Some(Self {
            state: text(STATE_HEADER)?.parse().ok()?,
            changed: changed.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok()),
        })
    }
}

/// A kept answer.
#[derive(Debug)]
pub(super) struct Kept {
    headers: HeaderMap,
    body: Bytes,
    shown: Shown,
    /// What giving it discloses, for the record of who read what.
    disclosed: Option<Disclosure>,
    /// When it came.
    at: OffsetDateTime,
    held: Held,
}

/// Counts bytes as long as it lives: an answer may outlive its place in the cache while it is being sent.
#[derive(Debug)]
struct Held {
    bytes: u32,
    gauge: metrics::Gauge,
}

impl Held {
    fn new(bytes: u32, gauge: &metrics::Gauge) -> Self {
        gauge.increment(f64::from(bytes));
        Self { bytes, gauge: gauge.clone() }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.gauge.decrement(f64::from(self.bytes));
    }
}

impl Kept {
    /// An answer with its whole body. `key_bytes`: how much its key takes.
    pub(super) fn new(
        head: response::Parts,
        body: Bytes,
        shown: Shown,
        at: OffsetDateTime,
        key_bytes: usize,
        gauge: &metrics::Gauge,
    ) -> Self {
        let headers: usize =
            head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + AROUND_HEADER).sum();
        let weight = u32::try_from(AROUND + key_bytes + headers + body.len()).unwrap_or(u32::MAX);
        let disclosed = head.extensions.get().cloned();
        Self { headers: head.headers, body, shown, disclosed, at, held: Held::new(weight, gauge) }
    }

    /// What it is at least as new as.
    pub(super) fn state(&self) -> DataState {
        self.shown.state
    }

    /// Bytes that it takes.
    pub(super) fn weight(&self) -> u32 {
        self.held.bytes
    }

    /// Seconds since it came.
    pub(super) fn age(&self, now: OffsetDateTime) -> u64 {
        u64::try_from((now - self.at).whole_seconds()).unwrap_or(0)
    }

    /// The answer to a request, with these conditions if it sets any: whole, without body to `HEAD`, or 304. Nothing when
    /// the request assumes another state: the refusal is the upstream's to write.
    pub(super) fn answer(&self, conditions: Option<&HeaderMap>, head: bool) -> Option<Response<Body>> {
        let tag = self.headers.get(header::ETAG).and_then(|tag| tag.to_str().ok());
        let judgement = conditions.zip(tag).map_or(Judgement::Answer, |(given, tag)| {
            Validators { tag, changed: self.shown.changed }.judge(given)
        });
        let mut response = Response::new(Body::empty());
        *response.headers_mut() = self.headers.clone();
        if let Some(disclosed) = &self.disclosed {
            response.extensions_mut().insert(disclosed.clone());
        }
        match judgement {
            Judgement::Failed => return None,
            Judgement::NotModified => {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                response.headers_mut().remove(header::CONTENT_TYPE);
                response.headers_mut().remove(header::CONTENT_LENGTH);
            }
            Judgement::Answer => {
                response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(self.body.len()));
                if !head {
                    *response.body_mut() = Body::from(self.body.clone());
                }
            }
        }
        Some(response)
    }
}

/// A body that was read as far as it may be.
pub(super) enum Gathered {
    /// All of it.
    Whole(Bytes),
    /// It is longer than may be kept: what came of it, and then the rest.
    Long(Body),
    /// It broke, or did not end in time.
    Broken(axum::Error),
}

/// Reads a body to its end, or until it has more than `limit` bytes.
pub(super) async fn gather(mut body: Body, limit: usize) -> Gathered {
    let mut chunks: Vec<Bytes> = Vec::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        match frame.map(http_body::Frame::into_data) {
            Ok(Ok(chunk)) => {
                length += chunk.len();
                chunks.push(chunk);
            }
            // Trailers, which nobody asked for.
            Ok(Err(_)) => {}
            Err(error) => return Gathered::Broken(error),
        }
        if length > limit {
            let begun = stream::iter(chunks.into_iter().map(Ok));
            return Gathered::Long(Body::from_stream(begun.chain(body.into_data_stream())));
        }
    }
    // Copied into its own place: what comes from a connection keeps the whole of its read buffer alive.
    let mut whole = Vec::with_capacity(length);
    for chunk in &chunks {
        whole.extend_from_slice(chunk);
    }
    Gathered::Whole(whole.into())
}

/// The header that tells whether the cache answered (RFC 9211).
pub(super) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::upstream::body::BoxError;

    const NOW: OffsetDateTime = datetime!(2026-06-12 12:00 UTC);

    fn kept(changed: Option<OffsetDateTime>) -> Kept {
        let mut response = Response::new(());
        for (name, value) in [
            (header::ETAG, "W/\"3.x7Kd\""),
            (header::CONTENT_TYPE, "application/fhir+json"),
            (header::VARY, "Accept"),
        ] {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        let shown = Shown { state: DataState { instance: 1, change: 2 }, changed };
        let (head, ()) = response.into_parts();
        Kept::new(head, Bytes::from_static(b"body"), shown, NOW, 10, &metrics::Gauge::noop())
    }

    fn asked(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[tokio::test]
    async fn it_is_given_whole_without_body_or_not_at_all() {
        let kept = kept(Some(NOW));
        let whole = kept.answer(None, false).unwrap();
        assert_eq!(
            (whole.status(), &whole.headers()[header::CONTENT_LENGTH]),
            (StatusCode::OK, &"4".parse().unwrap())
        );
        assert_eq!(whole.into_body().collect().await.unwrap().to_bytes(), "body");
        let head = kept.answer(None, true).unwrap();
        assert_eq!(head.headers()[header::CONTENT_LENGTH], "4");
        assert!(head.into_body().collect().await.unwrap().to_bytes().is_empty());
        for known in [
            asked(header::IF_NONE_MATCH, "W/\"3\""),
            asked(header::IF_MODIFIED_SINCE, "Fri, 12 Jun 2026 12:00:00 GMT"),
        ] {
            let known = kept.answer(Some(&known), false).unwrap();
            assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
            let names: Vec<_> = known.headers().keys().map(HeaderName::as_str).collect();
            assert_eq!(names, ["etag", "vary"]);
        }
        assert!(kept.answer(Some(&asked(header::IF_MATCH, "\"2\"")), false).is_none());
        let before = asked(header::IF_MODIFIED_SINCE, "Fri, 12 Jun 2026 11:59:59 GMT");
        assert_eq!(kept.answer(Some(&before), false).unwrap().status(), StatusCode::OK);
    }

    #[test]
    fn its_age_is_told_in_whole_seconds_and_never_below_none() {
        let kept = kept(None);
        assert_eq!(kept.age(NOW + time::Duration::milliseconds(2900)), 2);
        assert_eq!(kept.age(NOW - time::Duration::HOUR), 0, "a clock that was put back");
    }

    #[tokio::test]
    async fn a_body_is_gathered_to_its_end_or_passed_on_as_it_came() {
        let body = |chunks: &[&'static [u8]], broken: bool| {
            let chunks = chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk)));
            let end = broken.then(|| Err::<_, BoxError>("broken".into()));
            Body::from_stream(stream::iter(chunks.chain(end).collect::<Vec<_>>()))
        };
        let Gathered::Whole(whole) = gather(body(&[b"ab", b"", b"cd"], false), 4).await else { panic!() };
        assert_eq!(whole, "abcd");
        let Gathered::Long(long) = gather(body(&[b"ab", b"cd", b"ef"], false), 3).await else { panic!() };
        assert_eq!(long.collect().await.unwrap().to_bytes(), "abcdef");
        let Gathered::Long(mut cut) = gather(body(&[b"ab", b"cd"], true), 3).await else { panic!() };
        assert_eq!(cut.frame().await.unwrap().unwrap().into_data().unwrap(), "ab");
        assert_eq!(cut.frame().await.unwrap().unwrap().into_data().unwrap(), "cd");
        assert!(cut.frame().await.unwrap().is_err(), "what was cut stays cut");
        assert!(matches!(gather(body(&[b"ab"], true), 9).await, Gathered::Broken(_)));
    }
}
