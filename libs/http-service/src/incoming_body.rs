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
    time::{Instant, Sleep, sleep_until},
};

/// For so many bytes a body may take a second longer.
const PACE: u64 = 1024;
/// What is read of a body that nobody wanted, so that its sender comes to read the answer.
const LEFTOVER: u64 = 1024 * 1024;
/// How long that is read.
const LEFTOVER_TIME: Duration = Duration::from_secs(5);

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
}

impl IncomingBody {
    /// The body of a request, for which `patience` is had, and more the more of it came.
    pub(crate) fn of(request: Request<Incoming>, patience: Duration) -> Request<Self> {
        // HTTP/2 callers are told nothing by reading.
        let held_back = !Body::is_end_stream(request.body())
            && request.version() < Version::HTTP_2
            && request.headers().contains_key(header::EXPECT);
        request.map(|inner| Self {
            inner: Some(inner),
            patience,
            received: 0,
            waited: Duration::ZERO,
            waiting: None,
            alarm: None,
            held_back,
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
/// read, waits for room that never comes. So a little rest is read. A lot is not: HTTP/1 then ends the connection, and
/// HTTP/2 tells the sender to stop (`RST_STREAM` with `NO_ERROR`, RFC 9113 §8.1).
impl Drop for IncomingBody {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else { return };
        if inner.is_end_stream() || self.held_back || inner.size_hint().lower() > LEFTOVER {
            return;
        }
        let Ok(here) = Handle::try_current() else { return };
        here.spawn(tokio::time::timeout(LEFTOVER_TIME, discard(inner)));
    }
}

async fn discard(mut body: Incoming) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, |data| data.len() as u64);
        if read > LEFTOVER {
            return;
        }
    }
}
