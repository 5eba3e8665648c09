//! Just enough HTTP/1.1 over loopback to fetch tokens and to look at one answer before the load starts.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub(super) fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body).with_context(|| {
            format!("status {} without JSON: {}", self.status, String::from_utf8_lossy(&self.body))
        })
    }
}

/// `GET`, with further header lines.
pub(super) fn get(address: SocketAddr, target: &str, headers: &str) -> Result<Answer> {
    exchange(
        address,
        &format!("GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n"),
    )
}

/// `POST` of a form.
pub(super) fn post_form(address: SocketAddr, target: &str, form: &str) -> Result<Answer> {
    let length = form.len();
    exchange(
        address,
        &format!(
            "POST {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{form}"
        ),
    )
}

fn exchange(address: SocketAddr, request: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("nobody listens at {address}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).context("no whole answer")?;
    parse(&answer)
}

/// Reads an answer that ended with its connection.
fn parse(answer: &[u8]) -> Result<Answer> {
    let head_length =
        answer.windows(4).position(|four| four == b"\r\n\r\n").context("an answer without a head")?;
    let head = std::str::from_utf8(&answer[..head_length]).context("a head that is no text")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
    let body = &answer[head_length + 4..];
    let chunked = head.to_ascii_lowercase().contains("\r\ntransfer-encoding: chunked");
    Ok(Answer { status, body: if chunked { unchunked(body)? } else { body.to_vec() } })
}

/// RFC 9112 §7.1, without trailers.
fn unchunked(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n").context("a chunk without a size")?;
        let size =
            std::str::from_utf8(&rest[..line]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let size = size.context("a chunk whose size is no number")?;
        rest = &rest[line + 2..];
        if size == 0 {
            return Ok(body);
        }
        if rest.len() < size + 2 {
            bail!("a chunk that was cut off");
        }
        body.extend_from_slice(&rest[..size]);
        rest = &rest[size + 2..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_body_are_read() {
        let plain = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").unwrap();
        assert_eq!((plain.status, plain.body), (200, b"{}".to_vec()));
        let chunked =
            b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n";
        let chunked = parse(chunked).unwrap();
        assert_eq!((chunked.status, chunked.body), (404, b"{}".to_vec()));
    }

    #[test]
    fn a_cut_answer_is_an_error() {
        assert!(parse(b"HTTP/1.1 200 OK\r\n").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{").is_err());
    }
}
