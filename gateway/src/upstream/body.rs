//! Bodies on their way: the caller's, capped; the upstream's, bounded in time and giving its connection back; a
//! Bundle's, rewritten.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::{Buf as _, Bytes};
use http_body::{Body, Frame, SizeHint};
use http_service::BodyFault;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::{
    links::LinkRewriter,
    pool::{InFlight, Lease},
};

/// Any error of a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A request body that went over the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request body is larger than {0} bytes")]
pub struct TooLarge(pub u64);

/// A request body that ended before its end.
#[derive(Debug, thiserror::Error)]
#[error("the request body did not arrive whole")]
pub struct BrokenOff(#[source] BoxError);

impl BrokenOff {
    /// Whether it was given up because it came too slowly.
    pub fn is_too_slow(&self) -> bool {
        matches!(self.0.downcast_ref(), Some(BodyFault::TooSlow))
    }
}

/// A body that did not arrive whole in the time allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the upstream's answer did not end in the time allowed")]
pub struct TooSlow;

/// What is sent to the upstream.
pub enum RequestBody {
    /// Nothing.
    Empty,
    /// A form that was read and judged.
    Form(Option<Bytes>),
    /// The caller's body, at most so many bytes.
    Capped {
        /// The body.
        inner: Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>,
        /// What may still come.
        left: u64,
        /// What might have come, for the error.
        limit: u64,
        /// How far it is.
        arrival: Arc<Arrival>,
    },
}

/// Whether a caller's body is waited for.
#[derive(Debug, Default)]
pub struct Arrival(AtomicBool);

impl Arrival {
    /// Whether the caller was to send and did not.
    pub fn is_awaited(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl RequestBody {
    /// The caller's body; an error when it says itself that it is too long.
    pub fn capped<B>(body: B, limit: u64) -> Result<Self, TooLarge>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if body.is_end_stream() {
            return Ok(Self::Empty);
        }
        if body.size_hint().lower() > limit {
            return Err(TooLarge(limit));
        }
        let inner = Box::pin(http_body_util::BodyExt::map_err(body, |error| BrokenOff(error.into()).into()));
        Ok(Self::Capped { inner, left: limit, limit, arrival: Arc::default() })
    }

    /// How far the caller's body is, where there is one.
    pub(super) fn arrival(&self) -> Option<Arc<Arrival>> {
        match self {
            Self::Capped { arrival, .. } => Some(Arc::clone(arrival)),
            Self::Empty | Self::Form(_) => None,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let (inner, left, limit, arrival) = match &mut *self {
            Self::Empty => return Poll::Ready(None),
            Self::Form(form) => return Poll::Ready(form.take().map(|form| Ok(Frame::data(form)))),
            Self::Capped { inner, left, limit, arrival } => (inner, left, limit, arrival),
        };
        let polled = inner.as_mut().poll_frame(context);
        arrival.0.store(polled.is_pending(), Ordering::Relaxed);
        let frame = std::task::ready!(polled);
        Poll::Ready(match frame {
            // Trailers are hop-by-hop unless both sides agreed (RFC 9110 §6.5.1); nobody did.
            Some(Ok(frame)) => frame.into_data().ok().map(|data| {
                let length = data.remaining() as u64;
                if length > *left {
                    return Err(TooLarge(*limit).into());
                }
                *left -= length;
                Ok(Frame::data(data))
            }),
            Some(Err(error)) => Some(Err(error)),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty | Self::Form(None) => true,
            Self::Form(Some(_)) => false,
            Self::Capped { inner, .. } => inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Form(form) => SizeHint::with_exact(form.as_ref().map_or(0, |form| form.len() as u64)),
            Self::Capped { inner, .. } => inner.size_hint(),
        }
    }
}

/// The upstream's answer. Gives its connection back when it ended; a body that is dropped halfway closes it.
pub struct UpstreamBody {
    inner: Incoming,
    lease: Option<Lease>,
    _in_flight: InFlight,
    deadline: Instant,
    /// Made when the body has to be waited for; most are there at once.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl UpstreamBody {
    pub(super) fn new(inner: Incoming, lease: Lease, in_flight: InFlight, deadline: Instant) -> Self {
        let mut body = Self { inner, lease: Some(lease), _in_flight: in_flight, deadline, alarm: None };
        if body.inner.is_end_stream() {
            body.give_back();
        }
        body
    }

    fn give_back(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                if self.inner.is_end_stream() {
                    self.give_back();
                }
                if frame.is_data() {
                    return Poll::Ready(Some(Ok(frame)));
                }
                self.give_back();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                self.lease = None;
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(None) => {
                self.give_back();
                Poll::Ready(None)
            }
            Poll::Pending => {
                let deadline = self.deadline;
                let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
                std::task::ready!(alarm.as_mut().poll(context));
                self.lease = None;
                Poll::Ready(Some(Err(TooSlow.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A Bundle of the upstream with our addresses. Its length is not known beforehand.
pub struct RewrittenBody {
    inner: UpstreamBody,
    rewriter: LinkRewriter,
    ended: bool,
}

impl RewrittenBody {
    /// Rewrites `inner` while it passes.
    pub fn new(inner: UpstreamBody, rewriter: LinkRewriter) -> Self {
        Self { inner, rewriter, ended: false }
    }
}

impl Body for RewrittenBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        while !self.ended {
            let out = match std::task::ready!(Pin::new(&mut self.inner).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(chunk) => self.rewriter.push(&chunk),
                    Err(_) => continue,
                },
                Some(Err(error)) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    self.ended = true;
                    self.rewriter.finish()
                }
            };
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(out.into()))));
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}
