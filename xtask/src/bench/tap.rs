//! A pretended upstream that keeps what a gateway sends it: the only way to ask the backend directly is with a
//! caller context that a real gateway signed.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

/// The header in which a gateway sends the caller context.
const CONTEXT: &str = "x-pmsgate-caller";

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length: 42\r\n\
    Connection: close\r\n\r\n{\"resourceType\":\"Basic\",\"id\":\"benchmark1\"}";

/// Listens until the program ends.
pub(super) struct Tap {
    address: SocketAddr,
    contexts: Receiver<String>,
}

impl Tap {
    pub(super) fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let (sender, contexts) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sender = sender.clone();
                thread::spawn(move || serve(&stream, &sender));
            }
        });
        Ok(Self { address, contexts })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The caller context of the request that `ask` makes a gateway forward.
    pub(super) fn context_of(&self, ask: impl FnOnce() -> Result<()>) -> Result<String> {
        // What came before (health checks, warm-up) is not meant.
        while self.contexts.try_recv().is_ok() {}
        ask()?;
        self.contexts.recv_timeout(Duration::from_secs(5)).context("the gateway forwarded no caller context")
    }
}

/// Reads heads of requests without a body and answers each.
fn serve(stream: &TcpStream, contexts: &Sender<String>) {
    let mut lines = BufReader::new(stream).lines();
    while let Some(Ok(line)) = lines.next() {
        if line.is_empty() {
            // Whoever asked may be gone; there is nobody to tell.
            let mut stream = stream;
            stream.write_all(ANSWER).ok();
            return;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case(CONTEXT)
        {
            contexts.send(value.trim().to_owned()).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::http;

    #[test]
    fn the_context_of_a_request_is_kept() {
        let tap = Tap::start().unwrap();
        let ask = || http::get(tap.address(), "/x", "X-Pmsgate-Caller: abc.def\r\n").map(drop);
        assert_eq!(tap.context_of(ask).unwrap(), "abc.def");
        let answer = http::get(tap.address(), "/x", "").unwrap();
        assert_eq!(answer.json().unwrap()["id"], "benchmark1");
    }
}
