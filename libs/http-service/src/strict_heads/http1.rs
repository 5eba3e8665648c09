//! HTTP/1 as it goes by: which bytes are a head, which a body, and what is wrong with them.

use http::{Method, Uri, uri::Authority};

use super::{REFUSED, http2::Frames};

/// Bytes of a head.
pub(crate) const MAX_HEAD: usize = 64 * 1024;
/// Lines of a head.
pub(super) const MAX_HEADERS: usize = 100;
/// The longest line that is held in a chunked body.
const MAX_LINE: usize = 16 * 1024;
/// The first line of an HTTP/2 connection (RFC 9113 §3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// What is known about the bytes that went by.
#[derive(Debug, Default)]
pub(super) struct Watch {
    pub(super) state: State,
    /// The beginning of a line whose end was not read yet.
    line: Vec<u8>,
    /// What the head that is read said so far.
    head: Head,
    /// Heads that were read whole.
    pub(super) heads: usize,
    /// The frames of HTTP/2.
    pub(super) frames: Frames,
}

#[derive(Clone, Copy, Debug, Default)]
struct Head {
    /// `Content-Length`.
    length: Option<u64>,
    /// There is a `Transfer-Encoding`.
    coded: bool,
    /// There is a `Host`.
    host: bool,
    /// The target names its host itself.
    absolute: bool,
    /// HTTP/1.0.
    old: bool,
    lines: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
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
    /// HTTP/2: frames.
    Frames,
    /// Behind a head that was refused: nothing is read any more.
    Refused,
}

/// Why a request is refused, or a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeadFault {
    #[error("Transfer-Encoding and Content-Length stand together")]
    TwoFramings,
    #[error("there is more than one Content-Length, Transfer-Encoding or Host")]
    Repeated,
    #[error("Content-Length is no number")]
    Length,
    #[error("the only transfer coding is chunked, of HTTP/1.1")]
    Coding,
    #[error("a line ends in a bare LF")]
    BareLf,
    #[error("a chunk size is no hexadecimal number")]
    ChunkSize,
    #[error("a line does not end")]
    LongLine,
    #[error("the request line is not method, target and version, with one space between them")]
    RequestLine,
    #[error("the target is malformed, or has a fragment (`#`), which is not for sending")]
    Target,
    #[error("the target is longer than is read")]
    LongTarget,
    #[error("the version is neither HTTP/1.1 nor HTTP/1.0")]
    Version,
    #[error("a header line is not a name, a colon and a value without control characters")]
    Header,
    #[error("the Host header is missing")]
    NoHost,
    #[error("the Host header is no host with an optional port")]
    Host,
    #[error("the head has more than 100 lines")]
    TooManyLines,
    #[error("the head is larger than 64 KiB")]
    HeadTooLarge,
    #[error("more HTTP/2 frames ask for nothing, or take requests back, than are let through")]
    Restless,
}

impl HeadFault {
    /// The status that says so.
    pub(crate) const fn status(self) -> http::StatusCode {
        use http::StatusCode;
        match self {
            Self::LongTarget => StatusCode::URI_TOO_LONG,
            Self::TooManyLines | Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

type Judged = Result<(), HeadFault>;

impl Watch {
    pub(super) const fn in_head(&self) -> bool {
        matches!(self.state, State::Beginning | State::RequestLine | State::Headers)
    }

    /// Looks at the next bytes; how many of them lie before a head that is not whole or not right.
    pub(super) fn see(&mut self, bytes: &[u8]) -> (usize, Judged) {
        let mut head = 0;
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            match self.state {
                State::Frames if self.frames.see(rest) => return (bytes.len(), Ok(())),
                State::Frames => return (at, Err(HeadFault::Restless)),
                State::Refused => return (0, Ok(())),
                State::Body(left) => {
                    at += self.skip(rest.len(), left, State::Body, State::RequestLine);
                    head = at;
                }
                State::Chunk(left) => {
                    at += self.skip(rest.len(), left, State::Chunk, State::ChunkSize);
                }
                _ => {
                    let Some(end) = memchr::memchr(b'\n', rest) else {
                        self.line.extend_from_slice(rest);
                        let most = if self.in_head() { MAX_HEAD } else { MAX_LINE };
                        let judged = if self.line.len() > most { Err(self.endless()) } else { Ok(()) };
                        return (if self.in_head() { head } else { bytes.len() }, judged);
                    };
                    let judged = if self.line.is_empty() {
                        self.line_ended(&rest[..end])
                    } else {
                        let mut whole = std::mem::take(&mut self.line);
                        whole.extend_from_slice(&rest[..end]);
                        self.line_ended(&whole)
                    };
                    if judged.is_err() {
                        return (if self.in_head() { head } else { at }, judged);
                    }
                    at += end + 1;
                    if matches!(self.state, State::RequestLine) {
                        head = at;
                    }
                }
            }
        }
        (if self.in_head() { head } else { bytes.len() }, Ok(()))
    }

    /// Whether a request has begun whose end was not read.
    pub(super) const fn is_amid_request(&self) -> bool {
        !matches!(self.state, State::Beginning | State::RequestLine | State::Frames)
    }

    const fn endless(&self) -> HeadFault {
        match self.state {
            State::Beginning | State::RequestLine => HeadFault::LongTarget,
            State::Headers => HeadFault::HeadTooLarge,
            _ => HeadFault::LongLine,
        }
    }

    /// Goes over bytes of a body; how many there are.
    fn skip(&mut self, available: usize, left: u64, within: fn(u64) -> State, behind: State) -> usize {
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(available);
        self.state = match left - here as u64 {
            0 => behind,
            left => within(left),
        };
        here
    }

    fn line_ended(&mut self, line: &[u8]) -> Judged {
        let line = line.strip_suffix(b"\r").ok_or(HeadFault::BareLf)?;
        self.state = match self.state {
            State::Beginning if line == HTTP2_PREFACE => State::Frames,
            State::Beginning | State::RequestLine | State::Trailers if line.is_empty() => State::RequestLine,
            State::Beginning | State::RequestLine => {
                self.head = request_line(line)?;
                State::Headers
            }
            State::Headers if line.is_empty() => {
                self.heads += 1;
                let Head { length, coded, host, absolute, old, .. } = self.head;
                if !host && !absolute && !old {
                    return Err(HeadFault::NoHost);
                }
                match (coded, length) {
                    (true, Some(_)) => return Err(HeadFault::TwoFramings),
                    (true, None) if old => return Err(HeadFault::Coding),
                    (true, None) => State::ChunkSize,
                    (false, None | Some(0)) => State::RequestLine,
                    (false, Some(length)) => State::Body(length),
                }
            }
            State::Headers => {
                self.header(line)?;
                State::Headers
            }
            State::ChunkSize => match chunk_size(line)? {
                0 => State::Trailers,
                // The CR LF behind a chunk goes with it.
                size => State::Chunk(size.checked_add(2).ok_or(HeadFault::ChunkSize)?),
            },
            other => other,
        };
        Ok(())
    }

    fn header(&mut self, line: &[u8]) -> Judged {
        self.head.lines += 1;
        if self.head.lines > MAX_HEADERS {
            return Err(HeadFault::TooManyLines);
        }
        let colon = memchr::memchr(b':', line).ok_or(HeadFault::Header)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        // A name with a blank before its colon, or a line that goes on with the one before, is read differently by
        // different programs (RFC 9112 §5.1, §5.2); neither begins and ends with a token.
        if name.is_empty() || !name.iter().all(|byte| TOKEN[usize::from(*byte)]) || has_control(value) {
            return Err(HeadFault::Header);
        }
        // Most lines are none of those below; their first letter says so.
        if !matches!(name[0], b'c' | b'C' | b't' | b'T' | b'h' | b'H') {
            return Ok(());
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
            let length =
                std::str::from_utf8(value).ok().filter(|_| digits).and_then(|text| text.parse().ok());
            if self.head.length.replace(length.ok_or(HeadFault::Length)?).is_some() {
                return Err(HeadFault::Repeated);
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if !value.eq_ignore_ascii_case(b"chunked") {
                return Err(HeadFault::Coding);
            }
            if std::mem::replace(&mut self.head.coded, true) {
                return Err(HeadFault::Repeated);
            }
        } else if name.eq_ignore_ascii_case(b"host") {
            if std::mem::replace(&mut self.head.host, true) {
                return Err(HeadFault::Repeated);
            }
            // Most hosts are a name of plain letters, and a port.
            if is_plain_host(value) {
                return Ok(());
            }
            // RFC 9110 §4.2: no user information, and a host there must be.
            let authority = Authority::try_from(value).map_err(|_| HeadFault::Host)?;
            let has_port = authority.as_str().len() > authority.host().len();
            if authority.host().is_empty()
                || value.contains(&b'@')
                || has_port && authority.port_u16().is_none()
            {
                return Err(HeadFault::Host);
            }
        }
        Ok(())
    }
}

/// A host of letters, digits, hyphens and dots, with or without a port that is a number.
fn is_plain_host(value: &[u8]) -> bool {
    let (host, port) = match value.iter().position(|byte| *byte == b':') {
        Some(colon) => (&value[..colon], Some(&value[colon + 1..])),
        None => (value, None),
    };
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    !host.is_empty() && host.iter().all(plain) && port.is_none_or(is_port)
}

/// A port, as its digits show by themselves: those up to 9,999, and from 10,000 up to 59,999.
fn is_port(text: &[u8]) -> bool {
    match text {
        [b'1'..=b'5', rest @ ..] if rest.len() == 4 => rest.iter().all(u8::is_ascii_digit),
        _ => (1..=4).contains(&text.len()) && text.iter().all(u8::is_ascii_digit),
    }
}

/// RFC 9112 §3: `method SP target SP version`, and nothing that hyper would not take.
fn request_line(line: &[u8]) -> Result<Head, HeadFault> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(HeadFault::RequestLine);
    };
    if method == REFUSED.as_bytes() || Method::from_bytes(method).is_err() {
        return Err(HeadFault::RequestLine);
    }
    if !matches!(version, b"HTTP/1.1" | b"HTTP/1.0") {
        return Err(HeadFault::Version);
    }
    // RFC 9112 §3.2: a fragment is never sent; who reads it into the path reads another resource.
    if target.contains(&b'#') {
        return Err(HeadFault::Target);
    }
    if target.len() > usize::from(u16::MAX) - 1 {
        return Err(HeadFault::LongTarget);
    }
    // A path of plain bytes, as most are, needs no second reading.
    let plain = target.first() == Some(&b'/') && target.iter().all(|byte| PLAIN[usize::from(*byte)]);
    let absolute = !plain && Uri::try_from(target).map_err(|_| HeadFault::Target)?.authority().is_some();
    Ok(Head { absolute, old: version == b"HTTP/1.0", ..Head::default() })
}

/// Which bytes a token may have (RFC 9110 §5.6.2).
const TOKEN: [bool; 256] = letters_and(b"!#$%&'*+-.^_`|~");

/// What paths and queries of ours are made of, all of it without another meaning in a target (RFC 3986).
const PLAIN: [bool; 256] = letters_and(b"!$%&'*+-._~/?=:,");

/// A table of letters, digits and these marks.
const fn letters_and(marks: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 0x80 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    table
}

/// Whether there is what no header value has (RFC 9110 §5.5).
fn has_control(value: &[u8]) -> bool {
    // Without a way out of the loop, and with nothing counted, sixteen bytes are looked at at once.
    let control = |byte: &u8| u8::from((*byte < b' ' && *byte != b'\t') || *byte == 0x7f);
    value.iter().map(control).fold(0, |found, one| found | one) != 0
}

/// The size in front of a chunk; extensions are ignored as RFC 9112 §7.1.1 says.
fn chunk_size(line: &[u8]) -> Result<u64, HeadFault> {
    if has_control(line) {
        return Err(HeadFault::ChunkSize);
    }
    let digits = line.split(|byte| matches!(byte, b';' | b' ' | b'\t')).next().unwrap_or_default();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(HeadFault::ChunkSize);
    }
    let text = std::str::from_utf8(digits).map_err(|_| HeadFault::ChunkSize)?;
    u64::from_str_radix(text, 16).map_err(|_| HeadFault::ChunkSize)
}
