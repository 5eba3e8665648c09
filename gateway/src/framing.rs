//! Pure: strict reading of how a request is framed, where lenience lets one request hide in another.
//!
//! hyper parses the bytes and refuses malformed lines, differing lengths and unknown transfer codings; what is
//! judged here is what it leaves open.

use http::{Method, Version, header, request::Parts};

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
}

/// Judges the framing of a request. `has_body`: the parser expects a body.
pub fn check(parts: &Parts, has_body: bool) -> Result<(), FramingFault> {
    let headers = &parts.headers;
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(FramingFault::SeveralHosts);
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
    Ok(())
}

/// Whether the connection must not carry another request after this one. hyper reads a request with both
/// Transfer-Encoding and Content-Length by the former and drops the latter, so that whether there were two cannot be
/// seen here; a server that goes on must close then (RFC 9112 §6.1), or a proxy in front of us that went by the length
/// would take what follows for another caller's request.
pub fn ends_connection(parts: &Parts) -> bool {
    parts.version < Version::HTTP_2 && parts.headers.contains_key(header::TRANSFER_ENCODING)
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
        assert_eq!(judge(Version::HTTP_2, "https://a/x", &[], false), Ok(()));
    }
}
