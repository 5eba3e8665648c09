//! The body of a request: held to a pace, and read to its end when the answer did not want all of it.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Version, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::{
    runtime::Handle,
    time::{Instant, Sleep, sleep_until, timeout_at},
};

/// For so many bytes a body may take a second longer.
const PACE: u64 = 1024;
/// What is read of a body that nobody wanted, so that its sender comes to read the answer: one that is not much over the usual
/// limit of 10 MiB.
pub(crate) const LEFTOVER: u64 = 16 * 1024 * 1024;
/// How long its sender has to come to read the answer.
pub(crate) const LEFTOVER_TIME: Duration = Duration::from_secs(2);

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
pub enum BodyFault {
    /// It came too slowly.
    #[error("the body came too slowly")]
    TooSlow,
    /// The connection or the stream ended, or its framing is wrong.
    #[error(transparent)]
    Broken(#[from] hyper::Error),
}

/// The body of a request. The time that is spent waiting for it is bounded; a caller that waits for `100 Continue` gets
/// it when the body is read for the first time, and never when it is not (RFC 9110 §10.1.1).
#[derive(Debug)]
pub struct IncomingBody {
    /// None when it was handed to be read to its end.
    inner: Option<Incoming>,
    patience: Duration,
    received: u64,
    /// Time spent waiting, and since when it is waited now.
    waited: Duration,
    waiting: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
    /// The caller sends nothing before it is told to go on, and reading tells it.
    held_back: bool,
    /// It is a stream among others on its connection: HTTP/2.
    is_stream: bool,
}

impl IncomingBody {
    /// The body of a request, for which `patience` is had, and more the more of it came.
    pub(crate) fn of(request: Request<Incoming>, patience: Duration) -> Request<Self> {
        let is_stream = request.version() >= Version::HTTP_2;
        // HTTP/2 callers are told nothing by reading.
        let held_back = !is_stream
            && !Body::is_end_stream(request.body())
            && request.headers().contains_key(header::EXPECT);
        request.map(|inner| Self {
            inner: Some(inner),
            patience,
            received: 0,
            waited: Duration::ZERO,
            waiting: None,
            alarm: None,
            held_back,
            is_stream,
        })
    }

    /// Waits, but not for longer than is left.
    fn poll_alarm(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        let allowed = self.patience + Duration::from_secs(self.received / PACE);
        let new = self.waiting.is_none();
        let since = *self.waiting.get_or_insert(now);
        let until = since + allowed.saturating_sub(self.waited);
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if new {
            alarm.as_mut().reset(until);
        }
        alarm.as_mut().poll(context)
    }
}

impl Body for IncomingBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let this = &mut *self;
        let Some(inner) = this.inner.as_mut() else { return Poll::Ready(None) };
        this.held_back = false;
        let polled = Pin::new(inner).poll_frame(context);
        let Poll::Ready(frame) = polled else {
            std::task::ready!(this.poll_alarm(context));
            this.inner = None;
            return Poll::Ready(Some(Err(BodyFault::TooSlow)));
        };
        if let Some(since) = this.waiting.take() {
            this.waited += since.elapsed();
        }
        if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()) {
            this.received += data.len() as u64;
        }
        Poll::Ready(frame.map(|frame| frame.map_err(BodyFault::Broken)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// A sender that is answered before it sent everything may not read the answer before it did, and where the rest is not
/// read, waits for room that never comes. So some of the rest is read. Where there is more, HTTP/1 ends the connection
/// behind the answer, and HTTP/2 tells the sender to stop (`RST_STREAM` with `NO_ERROR`, RFC 9113 §8.1): not at once, for
/// senders that hear it together with the answer take it for a failure, as curl 7.88 does.
impl Drop for IncomingBody {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else { return };
        let ends_here = !self.is_stream && inner.size_hint().lower() > LEFTOVER;
        if inner.is_end_stream() || self.held_back || ends_here {
            return;
        }
        let Ok(here) = Handle::try_current() else { return };
        here.spawn(discard(inner, self.is_stream));
    }
}

/// Reads what comes, and of a stream waits with its end.
async fn discard(mut body: Incoming, is_stream: bool) {
    let until = Instant::now() + LEFTOVER_TIME;
    let mut left = LEFTOVER;
    while let Ok(Some(Ok(frame))) = timeout_at(until, body.frame()).await {
        let read = frame.data_ref().map_or(0, |data| data.len() as u64);
        let Some(rest) = left.checked_sub(read) else {
            if is_stream {
                sleep_until(until).await;
            }
            return;
        };
        left = rest;
    }
}
