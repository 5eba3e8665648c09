//! Pure: strict reading of how a request is framed, where lenience lets one request hide in another.
//!
//! The listener ends connections with heads that can be cut out of the stream in two ways, and hyper refuses
//! malformed lines, differing lengths and unknown transfer codings; what is judged here is what they leave open.

use http::{HeaderMap, Method, Version, header, request::Parts};

/// What is wrong with a request's framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramingFault {
    /// HTTP/1.1 without a Host header (RFC 9112 §3.2).
    #[error("the Host header is missing")]
    NoHost,
    /// More than one Host header (RFC 9112 §3.2).
    #[error("there is more than one Host header")]
    SeveralHosts,
    /// Host and the address disagree (RFC 9112 §3.2.2).
    #[error("the Host header and the address name different hosts")]
    HostDiffers,
    /// An address with a user in it (RFC 9110 §4.2.4, RFC 9113 §8.3.1).
    #[error("the address names a user")]
    UserInfo,
    /// Both ways to frame a body (RFC 9112 §6.1).
    #[error("Transfer-Encoding and Content-Length stand together")]
    TwoLengths,
    /// A transfer coding other than chunked (RFC 9112 §7).
    #[error("the only transfer coding is `chunked`")]
    TransferCoding,
    /// More than one Content-Length.
    #[error("there is more than one Content-Length")]
    SeveralLengths,
    /// A body where none has a meaning (RFC 9110 §9.3.1).
    #[error("GET and HEAD have no body here")]
    BodyOnGet,
    /// Another protocol is asked for on this connection (RFC 9110 §7.8).
    #[error("no other protocol is spoken here: WebSocket and other upgrades are refused")]
    Upgrade,
    /// An expectation that is not `100-continue` (RFC 9110 §10.1.1).
    #[error("the only expectation that is met is `100-continue`")]
    Expectation,
}

/// Judges the framing of a request. `has_body`: as [`has_body`] says.
pub fn check(parts: &Parts, has_body: bool) -> Result<(), FramingFault> {
    let headers = &parts.headers;
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(FramingFault::SeveralHosts);
    }
    if parts.uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(FramingFault::UserInfo);
    }
    match (host, parts.uri.authority()) {
        (Some(host), Some(authority))
            if !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) =>
        {
            return Err(FramingFault::HostDiffers);
        }
        (None, None) => return Err(FramingFault::NoHost),
        // HTTP/2 carries the host in `:authority`; HTTP/1.1 must have the header even so.
        (None, Some(_)) if parts.version < Version::HTTP_2 => return Err(FramingFault::NoHost),
        _ => {}
    }
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let length = lengths.next();
    if lengths.next().is_some() {
        return Err(FramingFault::SeveralLengths);
    }
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        if length.is_some() {
            return Err(FramingFault::TwoLengths);
        }
        if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(FramingFault::TransferCoding);
        }
    }
    if has_body && (parts.method == Method::GET || parts.method == Method::HEAD) {
        return Err(FramingFault::BodyOnGet);
    }
    if parts.version < Version::HTTP_2 && asks_for_upgrade(headers) {
        return Err(FramingFault::Upgrade);
    }
    if headers
        .get_all(header::EXPECT)
        .iter()
        .any(|wish| !wish.as_bytes().eq_ignore_ascii_case(b"100-continue"))
    {
        return Err(FramingFault::Expectation);
    }
    Ok(())
}

/// An offer of HTTP/2 without TLS, which Java's client makes on every first request, may be passed over and is
/// (RFC 9113 §3.1 has abolished it). Who asks for anything else would mistake a FHIR answer.
fn asks_for_upgrade(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::UPGRADE)
        .iter()
        .any(|protocols| !protocols.as_bytes().eq_ignore_ascii_case(b"h2c"))
}

/// Whether a request has a body. An HTTP/2 stream may be left open and end with nothing in it, which hides nothing.
pub fn has_body<B: http_body::Body>(version: Version, body: &B) -> bool {
    if version < Version::HTTP_2 { !body.is_end_stream() } else { body.size_hint().lower() > 0 }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn judge(
        version: Version,
        uri: &str,
        headers: &[(&str, &str)],
        has_body: bool,
    ) -> Result<(), FramingFault> {
        let mut request = Request::get(uri).version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check(&request.body(()).unwrap().into_parts().0, has_body)
    }

    #[test]
    fn each_fault_is_found() {
        let http1 = Version::HTTP_11;
        let host = ("host", "a");
        for (headers, fault) in [
            (vec![], FramingFault::NoHost),
            (vec![host, ("host", "a")], FramingFault::SeveralHosts),
            (vec![host, ("content-length", "1"), ("transfer-encoding", "chunked")], FramingFault::TwoLengths),
            (vec![host, ("content-length", "1"), ("content-length", "1")], FramingFault::SeveralLengths),
            (vec![host, ("transfer-encoding", "gzip, chunked")], FramingFault::TransferCoding),
            (vec![host, ("transfer-encoding", "identity")], FramingFault::TransferCoding),
        ] {
            assert_eq!(judge(http1, "/x", &headers, false), Err(fault), "{headers:?}");
        }
        assert_eq!(judge(http1, "/x", &[host], true), Err(FramingFault::BodyOnGet));
        assert_eq!(judge(http1, "http://b/x", &[host], false), Err(FramingFault::HostDiffers));
        assert_eq!(judge(http1, "http://a/x", &[host], false), Ok(()));
        assert_eq!(judge(http1, "/x", &[host], false), Ok(()));
        assert_eq!(judge(http1, "/x", &[host, ("upgrade", "websocket")], false), Err(FramingFault::Upgrade));
        assert_eq!(
            judge(http1, "/x", &[host, ("upgrade", "h2c, websocket")], false),
            Err(FramingFault::Upgrade)
        );
        assert_eq!(judge(http1, "/x", &[host, ("upgrade", "h2c")], false), Ok(()));
        assert_eq!(judge(http1, "/x", &[host, ("expect", "100-Continue")], false), Ok(()));
        assert_eq!(judge(http1, "/x", &[host, ("expect", "foo")], false), Err(FramingFault::Expectation));
        assert_eq!(judge(Version::HTTP_2, "https://a/x", &[], false), Ok(()));
        assert_eq!(judge(Version::HTTP_2, "https://me@a/x", &[], false), Err(FramingFault::UserInfo));
    }
}
