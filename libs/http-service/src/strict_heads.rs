//! A stream that is watched for requests which two programs could cut out of it differently (request smuggling).
//!
//! hyper reads such requests in one well-defined way and hides from handlers that there was another: of
//! Transfer-Encoding and Content-Length it drops the latter, and lines may end in a bare LF. A proxy in front of us
//! may read the other way. So HTTP/1 heads are looked at before hyper sees them, and an ambiguous one ends the
//! connection (RFC 9112 §2.2, §6.1, §11.2). HTTP/2 is let through: its framing leaves no choice.

use std::{
    io::{Error, ErrorKind, IoSlice, Result},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// The longest line that is held; hyper refuses heads well before.
const MAX_LINE: usize = 128 * 1024;
/// The first line of an HTTP/2 connection (RFC 9113 §3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0";
/// Bytes of the whole preface.
const HTTP2_PREFACE_LENGTH: usize = 24;

/// The watched stream.
#[derive(Debug)]
pub(crate) struct StrictHeads<S> {
    stream: S,
    watch: Watch,
    /// Ends a connection that does not even say which protocol it speaks: until then hyper's own limits do not run.
    silence: Option<Pin<Box<Sleep>>>,
    /// Bytes read, as far as the preface goes.
    seen: usize,
}

impl<S> StrictHeads<S> {
    /// Watches `stream`, whose first line must come within `patience`.
    pub(crate) fn new(stream: S, patience: Duration) -> Self {
        Self { stream, watch: Watch::default(), silence: Some(Box::pin(sleep(patience))), seen: 0 }
    }

    /// Whether it is known which protocol is spoken.
    fn has_begun(&self) -> bool {
        match self.watch.state {
            State::Beginning => false,
            State::Unwatched => self.seen >= HTTP2_PREFACE_LENGTH,
            _ => true,
        }
    }
}

/// What is known about the bytes that went by.
#[derive(Debug, Default)]
struct Watch {
    state: State,
    /// The beginning of a line whose end was not read yet.
    line: Vec<u8>,
    /// `Content-Length` of the head that is read.
    length: Option<u64>,
    /// The head that is read has a `Transfer-Encoding`.
    coded: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Before the first request line of the connection.
    #[default]
    Beginning,
    /// Before another request line; empty lines may precede it (RFC 9112 §2.2).
    RequestLine,
    /// In the header lines.
    Headers,
    /// In a body of known length.
    Body(u64),
    /// Before the line with a chunk's size.
    ChunkSize,
    /// In a chunk and the line end behind it.
    Chunk(u64),
    /// In the trailer lines.
    Trailers,
    /// HTTP/2.
    Unwatched,
}

/// Why a connection is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Ambiguity {
    #[error("Transfer-Encoding and Content-Length stand together")]
    TwoFramings,
    #[error("more than one Content-Length or Transfer-Encoding")]
    Repeated,
    #[error("a Content-Length that is no number")]
    Length,
    #[error("a Transfer-Encoding other than chunked")]
    Coding,
    #[error("a line ends in a bare LF")]
    BareLf,
    #[error("a chunk size that is no hexadecimal number")]
    ChunkSize,
    #[error("a line that does not end")]
    LongLine,
}

impl Watch {
    /// Looks at the next bytes.
    fn see(&mut self, mut bytes: &[u8]) -> std::result::Result<(), Ambiguity> {
        while !bytes.is_empty() {
            match self.state {
                State::Unwatched => return Ok(()),
                State::Body(left) => {
                    self.state = Self::skip(&mut bytes, left, State::Body, State::RequestLine);
                }
                State::Chunk(left) => {
                    self.state = Self::skip(&mut bytes, left, State::Chunk, State::ChunkSize);
                }
                _ => {
                    let Some(at) = bytes.iter().position(|byte| *byte == b'\n') else {
                        self.line.extend_from_slice(bytes);
                        return if self.line.len() > MAX_LINE { Err(Ambiguity::LongLine) } else { Ok(()) };
                    };
                    let (line, rest) = bytes.split_at(at);
                    bytes = &rest[1..];
                    if self.line.is_empty() {
                        self.line_ended(line)?;
                    } else {
                        let mut whole = std::mem::take(&mut self.line);
                        whole.extend_from_slice(line);
                        self.line_ended(&whole)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn skip(bytes: &mut &[u8], left: u64, within: fn(u64) -> State, behind: State) -> State {
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        *bytes = &bytes[here..];
        match left - here as u64 {
            0 => behind,
            left => within(left),
        }
    }

    fn line_ended(&mut self, line: &[u8]) -> std::result::Result<(), Ambiguity> {
        let line = line.strip_suffix(b"\r").ok_or(Ambiguity::BareLf)?;
        self.state = match self.state {
            State::Beginning if line == HTTP2_PREFACE => State::Unwatched,
            State::Beginning | State::RequestLine | State::Trailers if line.is_empty() => State::RequestLine,
            State::Beginning | State::RequestLine => {
                (self.length, self.coded) = (None, false);
                State::Headers
            }
            State::Headers if line.is_empty() => match (self.coded, self.length) {
                (true, Some(_)) => return Err(Ambiguity::TwoFramings),
                (true, None) => State::ChunkSize,
                (false, None | Some(0)) => State::RequestLine,
                (false, Some(length)) => State::Body(length),
            },
            State::Headers => {
                self.header(line)?;
                State::Headers
            }
            State::ChunkSize => match chunk_size(line)? {
                0 => State::Trailers,
                // The CR LF behind a chunk goes with it.
                size => State::Chunk(size.checked_add(2).ok_or(Ambiguity::ChunkSize)?),
            },
            other => other,
        };
        Ok(())
    }

    fn header(&mut self, line: &[u8]) -> std::result::Result<(), Ambiguity> {
        // Most lines are neither; their first letter says so.
        if !matches!(line.first(), Some(b'c' | b'C' | b't' | b'T')) {
            return Ok(());
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return Ok(()) };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
            let length =
                std::str::from_utf8(value).ok().filter(|_| digits).and_then(|text| text.parse().ok());
            if self.length.replace(length.ok_or(Ambiguity::Length)?).is_some() {
                return Err(Ambiguity::Repeated);
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Ambiguity::Coding);
            }
            if std::mem::replace(&mut self.coded, true) {
                return Err(Ambiguity::Repeated);
            }
        }
        Ok(())
    }
}

/// The size in front of a chunk; extensions are ignored as RFC 9112 §7.1.1 says.
fn chunk_size(line: &[u8]) -> std::result::Result<u64, Ambiguity> {
    let digits = line.split(|byte| matches!(byte, b';' | b' ' | b'\t')).next().unwrap_or_default();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(Ambiguity::ChunkSize);
    }
    let text = std::str::from_utf8(digits).map_err(|_| Ambiguity::ChunkSize)?;
    u64::from_str_radix(text, 16).map_err(|_| Ambiguity::ChunkSize)
}

impl<S: AsyncRead + Unpin> AsyncRead for StrictHeads<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Ready(result) => result?,
            Poll::Pending => {
                let silent =
                    self.silence.as_mut().is_some_and(|silence| silence.as_mut().poll(context).is_ready());
                return if silent { Poll::Ready(Err(ErrorKind::TimedOut.into())) } else { Poll::Pending };
            }
        }
        self.seen = self.seen.saturating_add(buffer.filled().len() - before);
        match self.watch.see(&buffer.filled()[before..]) {
            Ok(()) => {
                if self.silence.is_some() && self.has_begun() {
                    self.silence = None;
                }
                Poll::Ready(Ok(()))
            }
            Err(ambiguity) => {
                tracing::debug!(%ambiguity, "connection ended");
                // What hyper was given before stays; of this read it gets nothing.
                buffer.set_filled(before);
                Poll::Ready(Err(Error::new(ErrorKind::InvalidData, ambiguity)))
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StrictHeads<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judge(text: &str) -> std::result::Result<State, Ambiguity> {
        let mut watch = Watch::default();
        watch.see(text.as_bytes()).map(|()| watch.state)
    }

    #[test]
    fn each_ambiguity_is_found() {
        for (text, ambiguity) in [
            ("POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Ambiguity::Coding),
            (
                "GET / HTTP/1.1\r\ncontent-length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                Ambiguity::TwoFramings,
            ),
            (
                "GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\nContent-Length: 1\r\n\r\n",
                Ambiguity::TwoFramings,
            ),
            ("GET / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n", Ambiguity::Repeated),
            ("GET / HTTP/1.1\r\ncontent-length: +1\r\n\r\n", Ambiguity::Length),
            ("GET / HTTP/1.1\r\ncontent-length: 1, 1\r\n\r\n", Ambiguity::Length),
            ("GET / HTTP/1.1\nhost: a\r\n\r\n", Ambiguity::BareLf),
            ("GET / HTTP/1.1\r\nhost: a\n\r\n", Ambiguity::BareLf),
            ("GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nx\r\n", Ambiguity::ChunkSize),
            (
                "GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n",
                Ambiguity::ChunkSize,
            ),
        ] {
            assert_eq!(judge(text), Err(ambiguity), "{text:?}");
        }
    }

    #[test]
    fn a_body_is_no_head() {
        let hidden = "GET / HTTP/1.1\ncontent-length: 1\ntransfer-encoding: chunked\n\n";
        let text = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n{hidden}", hidden.len());
        assert_eq!(judge(&text), Ok(State::RequestLine));
        let chunked = format!(
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{:x};a=b\r\n{hidden}\r\n0\r\nX: y\r\n\r\n",
            hidden.len()
        );
        assert_eq!(judge(&chunked), Ok(State::RequestLine));
    }

    #[test]
    fn http2_is_let_through() {
        assert_eq!(judge("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\n\n\n"), Ok(State::Unwatched));
    }

    fn request() -> impl Strategy<Value = String> {
        let get = Just("GET /a HTTP/1.1\r\nHost: a\r\nTe: trailers\r\n\r\n".to_owned());
        let sized = "[a-z\r\n:]{0,30}".prop_map(|body| {
            format!("POST /b HTTP/1.1\r\ncontent-length: {}\r\nCookie: c\r\n\r\n{body}", body.len())
        });
        let chunked = prop::collection::vec("[a-z\r\n0]{1,20}", 0..4).prop_map(|chunks| {
            let chunks: Vec<String> =
                chunks.iter().map(|chunk| format!("{:X}\r\n{chunk}\r\n", chunk.len())).collect();
            let chunks = chunks.concat();
            format!("POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
        });
        prop_oneof![get, sized, chunked]
    }

    proptest! {
        #[test]
        fn honest_requests_pass_however_they_are_cut(requests in prop::collection::vec(request(), 0..5), mut cuts in prop::collection::vec(0usize..400, 0..8)) {
            let text = requests.concat();
            cuts.sort_unstable();
            let mut watch = Watch::default();
            let mut start = 0;
            for cut in cuts.into_iter().chain([text.len()]) {
                let cut = cut.clamp(start, text.len());
                prop_assert_eq!(watch.see(&text.as_bytes()[start..cut]), Ok(()));
                start = cut;
            }
            prop_assert!(requests.is_empty() || watch.state == State::RequestLine);
            prop_assert!(watch.line.is_empty());
        }

        #[test]
        fn any_bytes_are_looked_at_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Watch::default().see(&bytes);
        }
    }
}
