//! Connections to one upstream, kept by one worker: raw hyper connections, reused last in, first out.
//!
//! A request that a reused connection turns out not to be able to carry (the upstream closed it meanwhile) is sent
//! once more over a new one: always when hyper gives it back unsent, and when it is idempotent also if the
//! connection ended before the first byte of an answer (RFC 9110 §9.2.2, RFC 9112 §9.3.1).

use std::{
    error::Error as _,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Request, Response, uri::Authority};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};

use super::{
    RequestBody, UpstreamBody,
    body::{BrokenOff, TooLarge},
};
use crate::settings::Limits;

/// Idle connections kept; what comes back beyond is closed.
const MAX_IDLE: usize = 64;

/// Why there is no answer of the upstream.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The upstream failed again and again and is left alone for a while.
    #[error("left alone for {seconds} s")]
    Resting {
        /// Until somebody may try again.
        seconds: u32,
    },
    /// As many requests as admitted are in flight.
    #[error("too many requests in flight")]
    Busy,
    /// No connection, or none in time.
    #[error("no connection")]
    Unreachable(#[source] std::io::Error),
    /// No head of an answer in time.
    #[error("no answer in time")]
    Timeout,
    /// The caller's body is too large.
    #[error("request body too large")]
    BodyTooLarge(u64),
    /// The request body ended before its end.
    #[error("the request body did not arrive whole")]
    BodyBroken,
    /// The connection broke, or what came is no HTTP.
    #[error("the exchange broke")]
    Broken(#[source] hyper::Error),
}

impl UpstreamError {
    /// Whether the upstream is at fault, not the caller or we.
    pub fn is_the_upstreams(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Timeout | Self::Broken(_))
    }
}

/// The connections of one worker to one upstream.
#[derive(Debug)]
pub struct Pool {
    host: String,
    address: Option<IpAddr>,
    port: u16,
    connect_timeout: Duration,
    answer_timeout: Duration,
    total_timeout: Duration,
    max_in_flight: usize,
    idle: Arc<Mutex<Vec<SendRequest<RequestBody>>>>,
    in_flight: Arc<AtomicUsize>,
    /// The same of all workers.
    outstanding: Arc<AtomicUsize>,
}

impl Pool {
    /// A pool without connections. `outstanding` counts the upstream's requests over all workers.
    pub fn new(authority: &Authority, limits: &Limits, outstanding: Arc<AtomicUsize>) -> Self {
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        Self {
            address: host.parse().ok(),
            host,
            port: authority.port_u16().unwrap_or(80),
            connect_timeout: limits.connect_timeout,
            answer_timeout: limits.answer_timeout,
            total_timeout: limits.total_timeout,
            max_in_flight: limits.max_in_flight,
            idle: Arc::default(),
            in_flight: Arc::default(),
            outstanding,
        }
    }

    /// Sends a request. `again` makes it anew for the second try; `None` when it must not be sent twice.
    pub async fn send(
        &self,
        request: Request<RequestBody>,
        again: impl Fn() -> Option<Request<RequestBody>>,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        let in_flight = InFlight::enter([&self.in_flight, &self.outstanding], self.max_in_flight)
            .ok_or(UpstreamError::Busy)?;
        let began = Instant::now();
        let answer_by = began + self.answer_timeout;
        let mut request = request;
        let mut reusable = self.take_idle().await;
        loop {
            let reused = reusable.is_some();
            let mut sender = match reusable.take() {
                Some(sender) => sender,
                None => self.connect().await?,
            };
            let sent = timeout_at(answer_by, sender.try_send_request(request)).await;
            match sent {
                Err(_) => return Err(UpstreamError::Timeout),
                Ok(Ok(response)) => {
                    let lease = Lease { sender, idle: Arc::clone(&self.idle) };
                    let deadline = began + self.total_timeout;
                    return Ok(response.map(|body| UpstreamBody::new(body, lease, in_flight, deadline)));
                }
                Ok(Err(mut failed)) => {
                    let unsent = failed.take_message();
                    let error = failed.into_error();
                    if let Some(TooLarge(limit)) = cause(&error) {
                        return Err(UpstreamError::BodyTooLarge(*limit));
                    }
                    if cause::<BrokenOff>(&error).is_some() {
                        return Err(UpstreamError::BodyBroken);
                    }
                    let broke = !error.is_parse() && !error.is_user();
                    match unsent.or_else(|| if broke { again() } else { None }) {
                        Some(second) if reused => request = second,
                        _ => return Err(UpstreamError::Broken(error)),
                    }
                }
            }
        }
    }

    async fn take_idle(&self) -> Option<SendRequest<RequestBody>> {
        loop {
            let mut sender = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            if sender.is_ready() {
                return Some(sender);
            }
            // Its last body was read a moment ago and the connection has not noticed yet, or it is closed.
            if !sender.is_closed()
                && timeout(self.connect_timeout, sender.ready()).await.is_ok_and(|r| r.is_ok())
            {
                return Some(sender);
            }
        }
    }

    async fn connect(&self) -> Result<SendRequest<RequestBody>, UpstreamError> {
        let connecting = async {
            let stream = match self.address {
                Some(address) => TcpStream::connect((address, self.port)).await,
                None => TcpStream::connect((self.host.as_str(), self.port)).await,
            }
            .map_err(UpstreamError::Unreachable)?;
            stream.set_nodelay(true).map_err(UpstreamError::Unreachable)?;
            let (sender, connection) =
                http1::handshake(TokioIo::new(stream)).await.map_err(UpstreamError::Broken)?;
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "upstream connection ended");
                }
            });
            Ok(sender)
        };
        let late = || UpstreamError::Unreachable(std::io::ErrorKind::TimedOut.into());
        timeout(self.connect_timeout, connecting).await.unwrap_or_else(|_| Err(late()))
    }
}

/// What is wrong with the caller's body, when that is why a request could not be sent.
fn cause<T: std::error::Error + 'static>(error: &hyper::Error) -> Option<&T> {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(found) = cause.downcast_ref::<T>() {
            return Some(found);
        }
        source = cause.source();
    }
    None
}

/// A connection that carries an answer and goes back to its pool afterwards.
#[derive(Debug)]
pub(super) struct Lease {
    sender: SendRequest<RequestBody>,
    idle: Arc<Mutex<Vec<SendRequest<RequestBody>>>>,
}

impl Lease {
    pub(super) fn give_back(self) {
        if self.sender.is_closed() {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            idle.push(self.sender);
        }
    }
}

/// One request in flight, until its answer ended: counted for its worker, and for its upstream.
#[derive(Debug)]
pub(super) struct InFlight([Arc<AtomicUsize>; 2]);

impl InFlight {
    /// `limit` is the worker's.
    fn enter(counts: [&Arc<AtomicUsize>; 2], limit: usize) -> Option<Self> {
        // Counted first, so that the guard's drop always takes back what was added.
        let [before, _] = counts.map(|count| count.fetch_add(1, Ordering::Relaxed));
        let entered = Self(counts.map(Arc::clone));
        (before < limit).then_some(entered)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        for count in &self.0 {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
