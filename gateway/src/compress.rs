//! Answers made smaller for callers that ask for it: gzip or zstd, while they stream.
//!
//! Only the gateway's answers are. What the BREACH attack needs is not there: a secret of the session in a body, beside
//! words of the attacker, in answers that a foreign page can have a browser fetch. A caller's token travels in a header
//! that no browser adds by itself, and a body holds nothing but what its caller may read. The portal's pages, which do
//! hold such secrets (against forged forms), are not compressed.

use std::{
    io::{self, Write as _},
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body::{Body as _, Frame};
use zstd::stream::write::Encoder as ZstdEncoder;

/// A smaller answer is not worth it: it fits into one packet as it is.
const WORTH_IT: u64 = 1400;
/// zlib's levels go from 1 to 9; FHIR's JSON gets little smaller above this one, and much slower.
const GZIP_LEVEL: Compression = Compression::new(4);
const ZSTD_LEVEL: i32 = 1;
/// What zstd looks back over, as a power of two: 256 KiB. It bounds the memory of each answer in progress.
const ZSTD_WINDOW: u32 = 18;

/// A content coding (RFC 9110 §8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// Compresses an answer if its caller asked for it and it is worth it. Who does not ask pays for one look.
pub fn answer(asked: &HeaderMap, head: bool, response: Response<Body>) -> Response<Body> {
    if !asked.contains_key(header::ACCEPT_ENCODING) {
        return response;
    }
    match wanted(asked) {
        Some(coding) if !head && is_worth_it(&response) => coded(response, coding),
        _ => response,
    }
}

/// The coding that the caller likes best (RFC 9110 §12.5.3); of equals the faster one. None where it likes the answer
/// as it is better, or accepts nothing that is spoken here: then, too, an answer helps more than a refusal.
pub fn wanted(headers: &HeaderMap) -> Option<Coding> {
    let (mut zstd, mut gzip, mut identity, mut rest) = (None, None, None, None);
    let lines = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    for member in lines.flat_map(|line| line.split(',')) {
        let (name, parameter) = member.split_once(';').unwrap_or((member, ""));
        let weight = weight(parameter)?;
        let name = name.trim();
        if name.eq_ignore_ascii_case("zstd") {
            zstd = Some(weight);
        } else if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            gzip = Some(weight);
        } else if name.eq_ignore_ascii_case("identity") {
            identity = Some(weight);
        } else if name == "*" {
            rest = Some(weight);
        }
    }
    let rest = rest.unwrap_or(0);
    let (zstd, gzip) = (zstd.unwrap_or(rest), gzip.unwrap_or(rest));
    // What is not named is acceptable, but nobody asked for it.
    let least = identity.unwrap_or(0).max(1);
    match (zstd >= least, gzip >= least) {
        (true, _) if zstd >= gzip => Some(Coding::Zstd),
        (_, true) => Some(Coding::Gzip),
        _ => None,
    }
}

/// `q=0.5` in thousandths; 1000 where there is none. None where it is malformed: such a wish is not guessed at.
fn weight(parameter: &str) -> Option<u16> {
    let parameter = parameter.trim();
    if parameter.is_empty() {
        return Some(1000);
    }
    let text = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="))?;
    let (whole, digits) = text.split_once('.').unwrap_or((text, ""));
    if digits.len() > 3 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{digits:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

fn is_worth_it(response: &Response<Body>) -> bool {
    let headers = response.headers();
    let status = response.status();
    let has_words = |name: header::HeaderName, words: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).is_some_and(|text| text.contains(words))
    };
    response.body().size_hint().exact().is_none_or(|length| length >= WORTH_IT)
        && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::PARTIAL_CONTENT)
        && !headers.contains_key(header::CONTENT_ENCODING)
        // RFC 9110 §7.7, RFC 9111 §5.2.2.6.
        && !has_words(header::CACHE_CONTROL, "no-transform")
        && ["json", "xml", "text/", "javascript"].iter().any(|words| has_words(header::CONTENT_TYPE, words))
}

fn coded(response: Response<Body>, coding: Coding) -> Response<Body> {
    let encoder = match coding {
        Coding::Gzip => Encoder::Gzip(Box::new(GzEncoder::new(Vec::new(), GZIP_LEVEL))),
        Coding::Zstd => match zstd() {
            Ok(encoder) => Encoder::Zstd(Box::new(encoder)),
            Err(error) => {
                tracing::error!(%error, "zstd cannot be used");
                return response;
            }
        },
    };
    let (mut head, body) = response.into_parts();
    let name = match coding {
        Coding::Gzip => "gzip",
        Coding::Zstd => "zstd",
    };
    head.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.remove(header::ACCEPT_RANGES);
    weaken(&mut head.headers);
    Response::from_parts(head, Body::new(Coded { inner: body, encoder: Some(encoder), unsaid: false }))
}

fn zstd() -> io::Result<ZstdEncoder<'static, Vec<u8>>> {
    let mut encoder = ZstdEncoder::new(Vec::new(), ZSTD_LEVEL)?;
    encoder.window_log(ZSTD_WINDOW)?;
    Ok(encoder)
}

/// A strong entity tag means the same bytes, and these are others (RFC 9110 §8.8.3.3); a weak one, as FHIR has it, means
/// the same version, which this is.
fn weaken(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(header::ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/")) else {
        return;
    };
    if let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()) {
        headers.insert(header::ETAG, weak);
    }
}

/// Boxed, for both are large beside the body that carries them.
enum Encoder {
    Gzip(Box<GzEncoder<Vec<u8>>>),
    Zstd(Box<ZstdEncoder<'static, Vec<u8>>>),
}

impl Encoder {
    fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Gzip(encoder) => encoder.write_all(bytes),
            Self::Zstd(encoder) => encoder.write_all(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Gzip(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }

    /// What came out so far.
    fn out(&mut self) -> Vec<u8> {
        std::mem::take(match self {
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
        })
    }
}

/// A body on its way through an encoder.
struct Coded {
    inner: Body,
    /// None at the end.
    encoder: Option<Encoder>,
    /// Something went in and may not have come out.
    unsaid: bool,
}

impl http_body::Body for Coded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        while let Some(encoder) = &mut this.encoder {
            let polled = Pin::new(&mut this.inner).poll_frame(context);
            let out = match polled {
                // While the upstream thinks, the caller gets what there is.
                Poll::Pending if this.unsaid => {
                    this.unsaid = false;
                    encoder.flush().map(|()| encoder.out())
                }
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        this.unsaid = true;
                        encoder.push(&data).map(|()| encoder.out())
                    }
                    Err(_) => continue,
                },
                Poll::Ready(Some(Err(error))) => {
                    // Broken off, and to be seen as such: no proper end is written.
                    this.encoder = None;
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Ready(None) => match this.encoder.take() {
                    Some(encoder) => encoder.finish(),
                    None => return Poll::Ready(None),
                },
            };
            match out {
                Ok(out) if out.is_empty() => {}
                Ok(out) => return Poll::Ready(Some(Ok(Frame::data(out.into())))),
                Err(error) => {
                    this.encoder = None;
                    return Poll::Ready(Some(Err(axum::Error::new(error))));
                }
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.encoder.is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use http_body_util::BodyExt as _;
    use proptest::prelude::*;

    use super::*;

    fn asking(accept: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_str(accept).unwrap())])
    }

    #[test]
    fn the_callers_order_decides_and_of_equals_zstd() {
        for (accept, coding) in [
            ("gzip", Some(Coding::Gzip)),
            ("x-gzip", Some(Coding::Gzip)),
            ("zstd", Some(Coding::Zstd)),
            ("gzip, deflate, br, zstd", Some(Coding::Zstd)),
            ("GZIP;q=1.0, zstd;q=0.5", Some(Coding::Gzip)),
            ("zstd;q=0, gzip; q=0.001", Some(Coding::Gzip)),
            ("*", Some(Coding::Zstd)),
            ("*;q=0.5, zstd;q=0", Some(Coding::Gzip)),
            ("gzip;q=0", None),
            ("", None),
            ("br", None),
            ("identity, gzip;q=0.5", None),
            ("identity;q=0.2, gzip;q=0.5", Some(Coding::Gzip)),
            ("identity;q=0", None),
            ("gzip;q=2", None),
            ("gzip;q=0.5000", None),
            ("gzip;level=9", None),
        ] {
            assert_eq!(wanted(&asking(accept)), coding, "{accept}");
        }
    }

    fn response(length: usize, headers: &[(&'static str, &'static str)]) -> Response<Body> {
        let mut response = Response::builder().header("content-length", length);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(Body::from("a".repeat(length))).unwrap()
    }

    const JSON: (&str, &str) = ("content-type", "application/fhir+json");

    #[test]
    fn what_is_small_coded_or_no_text_stays_as_it_is() {
        let coding = |accept: &str, head, response| {
            answer(&asking(accept), head, response).headers().get("content-encoding").cloned()
        };
        assert_eq!(coding("gzip", false, response(2000, &[JSON])).unwrap(), "gzip");
        assert_eq!(coding("zstd", false, response(2000, &[JSON])).unwrap(), "zstd");
        for untouched in [
            coding("gzip", false, response(1000, &[JSON])),
            coding("gzip", true, response(2000, &[JSON])),
            coding("br", false, response(2000, &[JSON])),
            coding("gzip", false, response(2000, &[("content-type", "image/png")])),
            coding("gzip", false, response(2000, &[JSON, ("cache-control", "no-transform")])),
        ] {
            assert_eq!(untouched, None);
        }
        assert_eq!(coding("gzip", false, response(2000, &[JSON, ("content-encoding", "br")])).unwrap(), "br");
    }

    #[test]
    fn other_bytes_have_no_strong_tag_and_no_length() {
        for (tag, expected) in [("\"3\"", "W/\"3\""), ("W/\"3\"", "W/\"3\"")] {
            let coded = answer(&asking("gzip"), false, response(2000, &[JSON, ("etag", tag)]));
            assert_eq!(coded.headers()["etag"], expected);
            assert!(!coded.headers().contains_key("content-length"));
        }
    }

    fn decoded(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        let mut all = Vec::new();
        match coding {
            Coding::Gzip => flate2::read::GzDecoder::new(bytes).read_to_end(&mut all).unwrap(),
            Coding::Zstd => zstd::stream::read::Decoder::new(bytes).unwrap().read_to_end(&mut all).unwrap(),
        };
        all
    }

    #[tokio::test]
    async fn what_waits_for_the_upstream_is_already_said() {
        for coding in [Coding::Gzip, Coding::Zstd] {
            let stream = futures_util::StreamExt::chain(
                futures_util::stream::iter([Ok::<_, io::Error>(Bytes::from_static(b"first"))]),
                futures_util::stream::pending(),
            );
            let head = Response::builder().header(JSON.0, JSON.1).body(Body::from_stream(stream)).unwrap();
            let mut body = coded(head, coding).into_body();
            let mut got = Vec::new();
            let mut context = Context::from_waker(std::task::Waker::noop());
            while let Poll::Ready(Some(frame)) = Pin::new(&mut body).poll_frame(&mut context) {
                got.extend_from_slice(frame.unwrap().data_ref().unwrap());
            }
            let mut said = [0; 5];
            match coding {
                Coding::Gzip => flate2::read::GzDecoder::new(&got[..]).read_exact(&mut said).unwrap(),
                Coding::Zstd => {
                    zstd::stream::read::Decoder::new(&got[..]).unwrap().read_exact(&mut said).unwrap();
                }
            }
            assert_eq!(&said, b"first", "{coding:?}");
        }
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_does_not_look_whole() {
        let stream =
            futures_util::stream::iter([Ok(Bytes::from_static(b"first")), Err(io::Error::other("x"))]);
        let head = Response::builder().header(JSON.0, JSON.1).body(Body::from_stream(stream)).unwrap();
        assert!(coded(head, Coding::Gzip).into_body().collect().await.is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_goes_in_comes_out(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..6), gzip in any::<bool>()) {
            let coding = if gzip { Coding::Gzip } else { Coding::Zstd };
            let whole = chunks.concat();
            let stream = futures_util::stream::iter(chunks.into_iter().map(|chunk| Ok::<_, io::Error>(Bytes::from(chunk))));
            let head = Response::builder().header(JSON.0, JSON.1).body(Body::from_stream(stream)).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let bytes = runtime.block_on(coded(head, coding).into_body().collect()).unwrap().to_bytes();
            prop_assert_eq!(decoded(coding, &bytes), whole);
        }
    }
}
