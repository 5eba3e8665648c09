//! Connections to one upstream, kept by one worker: raw hyper connections. Those of HTTP/1.1 are reused last in, first
//! out; those of HTTP/2 are shared up to a bound of streams, and left alone once the upstream says GOAWAY.
//!
//! A request that a reused connection turns out not to be able to carry (the upstream closed it meanwhile) is sent
//! once more over a new one: always when hyper gives it back unsent, and when it is idempotent also if the
//! connection ended before the first byte of an answer (RFC 9110 §9.2.2, RFC 9112 §9.3.1).

use std::{
    error::Error as _,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Request, Response};
use hyper::client::conn::http1::SendRequest;
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    Connector, RequestBody, UpstreamBody,
    body::{Arrival, BrokenOff, TooLarge},
    channel::{Channel, Http2Connection, name_host},
    connector::Connection,
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
    /// The request body came too slowly.
    #[error("the request body came too slowly")]
    BodySlow,
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
    connector: Arc<Connector>,
    connect_timeout: Duration,
    answer_timeout: Duration,
    total_timeout: Duration,
    max_in_flight: usize,
    idle: Idle,
    shared: Mutex<Vec<Http2Connection>>,
    /// Held while a connection is made that others may share, so that of many requests at once one makes it.
    sharing: tokio::sync::Mutex<()>,
    in_flight: Arc<AtomicUsize>,
    /// The same of all workers.
    outstanding: Arc<AtomicUsize>,
}

/// Connections of HTTP/1.1 that carry nothing.
type Idle = Arc<Mutex<Vec<SendRequest<RequestBody>>>>;

impl Pool {
    /// A pool without connections. `outstanding` counts the upstream's requests over all workers.
    pub fn new(connector: &Arc<Connector>, limits: &Limits, outstanding: Arc<AtomicUsize>) -> Self {
        Self {
            connector: Arc::clone(connector),
            connect_timeout: limits.connect_timeout,
            answer_timeout: limits.answer_timeout,
            total_timeout: limits.total_timeout,
            max_in_flight: limits.max_in_flight,
            idle: Arc::default(),
            shared: Mutex::default(),
            sharing: tokio::sync::Mutex::default(),
            in_flight: Arc::default(),
            outstanding,
        }
    }

    /// Sends a request, whose time runs since it `began`. `again` makes it anew for the second try; `None` when it must not
    /// be sent twice.
    pub async fn send(
        &self,
        request: Request<RequestBody>,
        again: impl Fn() -> Option<Request<RequestBody>>,
        began: Instant,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        let in_flight = InFlight::enter([&self.in_flight, &self.outstanding], self.max_in_flight)
            .ok_or(UpstreamError::Busy)?;
        let deadline = began + self.total_timeout;
        let mut request = request;
        let mut reusable = self.take_reusable().await;
        loop {
            let reused = reusable.is_some();
            let mut channel = match reusable.take() {
                Some(channel) => channel,
                None => self.connect().await?,
            };
            let arrival = request.body().arrival();
            let sent = {
                let answer = std::pin::pin!(channel.send(request));
                self.await_answer(answer, began, arrival).await?
            };
            match sent {
                Ok(response) => {
                    let lease = Lease { channel, idle: Arc::clone(&self.idle) };
                    return Ok(response.map(|body| UpstreamBody::new(body, lease, in_flight, deadline)));
                }
                Err(mut failed) => {
                    let unsent = failed.take_message();
                    let error = failed.into_error();
                    if let Some(TooLarge(limit)) = cause(&error) {
                        return Err(UpstreamError::BodyTooLarge(*limit));
                    }
                    if let Some(broken) = cause::<BrokenOff>(&error) {
                        let slow = broken.is_too_slow();
                        return Err(if slow { UpstreamError::BodySlow } else { UpstreamError::BodyBroken });
                    }
                    let died = channel.died(&error);
                    match unsent.or_else(|| if died { again() } else { None }) {
                        Some(mut second) if reused => {
                            name_host(&mut second);
                            request = second;
                        }
                        _ => return Err(UpstreamError::Broken(error)),
                    }
                }
            }
        }
    }

    /// Waits for the head of an answer: as long as the upstream may take, and while the caller still sends its body, to
    /// the end of the whole exchange. Who kept us waiting until then decides whose failure it is.
    async fn await_answer<A: Future>(
        &self,
        mut answer: Pin<&mut A>,
        began: Instant,
        arrival: Option<Arc<Arrival>>,
    ) -> Result<A::Output, UpstreamError> {
        if let Ok(answer) = timeout_at(began + self.answer_timeout, answer.as_mut()).await {
            return Ok(answer);
        }
        let callers = || arrival.as_ref().is_some_and(|arrival| arrival.is_awaited());
        if callers()
            && let Ok(answer) = timeout_at(began + self.total_timeout, answer).await
        {
            return Ok(answer);
        }
        Err(if callers() { UpstreamError::BodySlow } else { UpstreamError::Timeout })
    }

    /// A way over a connection that stands.
    async fn take_reusable(&self) -> Option<Channel> {
        if self.connector.may_share()
            && let Some(stream) = self.take_stream()
        {
            return Some(stream);
        }
        loop {
            let mut sender = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            if sender.is_ready() {
                return Some(Channel::Alone(sender));
            }
            // Its last body was read a moment ago and the connection has not noticed yet, or it is closed.
            if !sender.is_closed()
                && timeout(self.connect_timeout, sender.ready()).await.is_ok_and(|r| r.is_ok())
            {
                return Some(Channel::Alone(sender));
            }
        }
    }

    fn take_stream(&self) -> Option<Channel> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.retain(|connection| !connection.is_closed());
        shared.iter().find_map(Http2Connection::stream)
    }

    async fn connect(&self) -> Result<Channel, UpstreamError> {
        // Not to be shared: nobody waits for anybody.
        let turn = if self.connector.may_share() { Some(self.sharing.lock().await) } else { None };
        if turn.is_some()
            && let Some(stream) = self.take_stream()
        {
            return Ok(stream);
        }
        match self.connector.connect(self.connect_timeout).await? {
            Connection::Http1(sender) => Ok(Channel::Alone(sender)),
            Connection::Http2(connection) => {
                // An upstream that admits no stream at all is not asked.
                let stream = connection.stream().ok_or(UpstreamError::Busy)?;
                self.shared.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
                Ok(stream)
            }
        }
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

/// What carries an answer. A connection goes back to its pool afterwards; a stream leaves room for another.
#[derive(Debug)]
pub(super) struct Lease {
    channel: Channel,
    idle: Idle,
}

impl Lease {
    pub(super) fn give_back(self) {
        let Channel::Alone(sender) = self.channel else { return };
        if sender.is_closed() {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            idle.push(sender);
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
