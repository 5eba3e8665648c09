//! What one request is sent over: an HTTP/1.1 connection of its own, or a stream of an HTTP/2 connection.

use std::{
    error::Error as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::{
    HeaderValue, Request, Response, Uri, header,
    uri::{Authority, Scheme},
};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};

use super::RequestBody;

/// Requests that one HTTP/2 connection carries at once, where the upstream admits as many: what RFC 9113 §6.5.2
/// recommends as the least to admit. Several connections lose less together, and use more than one processor there.
const MAX_STREAMS: usize = 100;

/// A way for one request.
#[derive(Debug)]
pub(super) enum Channel {
    /// An HTTP/1.1 connection, this request's alone until its answer was read.
    Alone(http1::SendRequest<RequestBody>),
    /// A stream, and its place on the connection.
    Stream { connection: Http2Connection, _place: Place },
}

impl Channel {
    /// Sends a request that is written for HTTP/1.1: a path as target, and `Host`.
    pub(super) async fn send(
        &mut self,
        mut request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<RequestBody>>> {
        match self {
            Self::Alone(sender) => sender.try_send_request(request).await,
            Self::Stream { connection, .. } => {
                name_authority(&mut request, &connection.scheme);
                connection.sender.try_send_request(request).await
            }
        }
    }

    /// Whether a request that failed in this way was not begun there, or the whole connection died under it.
    pub(super) fn died(&self, error: &hyper::Error) -> bool {
        match self {
            Self::Alone(_) => !error.is_parse() && !error.is_user(),
            Self::Stream { .. } => error.source().and_then(|source| source.downcast_ref()).is_none_or(
                // RFC 9113 §8.7: a refused stream was not processed; another reset is the upstream's answer, in its way.
                |error: &h2::Error| !error.is_reset() || error.reason() == Some(h2::Reason::REFUSED_STREAM),
            ),
        }
    }
}

/// HTTP/2 carries the host in the target (RFC 9113 §8.3.1).
fn name_authority<B>(request: &mut Request<B>, scheme: &Scheme) {
    let Some(host) = request.headers_mut().remove(header::HOST) else { return };
    let authority = Authority::try_from(host.as_bytes());
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(scheme.clone());
    parts.authority = authority.ok();
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
}

/// Undoes that, for a second try over HTTP/1.1.
pub(super) fn name_host<B>(request: &mut Request<B>) {
    let Some(authority) = request.uri().authority() else { return };
    if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
        request.headers_mut().insert(header::HOST, host);
    }
    let target = request.uri().path_and_query().cloned();
    *request.uri_mut() = target.map(Uri::from).unwrap_or_default();
}

/// An HTTP/2 connection.
#[derive(Clone, Debug)]
pub(super) struct Http2Connection {
    pub(super) sender: http2::SendRequest<RequestBody>,
    pub(super) room: Arc<Room>,
    pub(super) scheme: Scheme,
}

impl Http2Connection {
    /// Whether it ended, or the upstream takes no more requests on it (GOAWAY).
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// A stream, if there is room for one.
    pub(super) fn stream(&self) -> Option<Channel> {
        let place = Place::take(&self.room)?;
        Some(Channel::Stream { connection: self.clone(), _place: place })
    }
}

/// How many requests an HTTP/2 connection carries, and may.
#[derive(Debug)]
pub(super) struct Room {
    taken: AtomicUsize,
    admitted: AtomicUsize,
}

impl Room {
    /// An empty connection of an upstream that admits so many.
    pub(super) fn new(streams: usize) -> Self {
        Self { taken: AtomicUsize::new(0), admitted: AtomicUsize::new(streams) }
    }

    /// The upstream says, or still says, how many it admits.
    pub(super) fn admit(&self, streams: usize) {
        self.admitted.store(streams, Ordering::Relaxed);
    }
}

/// One place of a [`Room`], until it is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Room>);

impl Place {
    fn take(room: &Arc<Room>) -> Option<Self> {
        // Counted first, so that the drop always takes back what was added.
        let before = room.taken.fetch_add(1, Ordering::Relaxed);
        let place = Self(Arc::clone(room));
        (before < MAX_STREAMS.min(room.admitted.load(Ordering::Relaxed))).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_carries_no_more_than_both_sides_want() {
        let room = Arc::new(Room::new(usize::MAX));
        let places: Vec<_> = std::iter::from_fn(|| Place::take(&room)).collect();
        assert_eq!(places.len(), MAX_STREAMS);
        drop(places);
        room.admit(2);
        let two = [Place::take(&room), Place::take(&room)];
        assert!(two.iter().all(Option::is_some) && Place::take(&room).is_none());
        drop(two);
        assert!(Place::take(&room).is_some());
    }

    #[test]
    fn the_host_goes_into_the_target_and_back() {
        let mut request = Request::get("/a?b=c").header("host", "gate.example:8443").body(()).unwrap();
        name_authority(&mut request, &Scheme::HTTPS);
        assert_eq!(request.uri(), "https://gate.example:8443/a?b=c");
        assert!(request.headers().is_empty());
        name_host(&mut request);
        assert_eq!(
            (request.uri().to_string().as_str(), &request.headers()["host"]),
            ("/a?b=c", &HeaderValue::from_static("gate.example:8443"))
        );
    }
}
