//! What answers requests on one worker.

use std::{future::Future, net::SocketAddr};

use http::{Request, Response};
use hyper::body::Incoming;
use tower::Service as _;

/// The body of every answer.
pub type Body = axum::body::Body;

/// Who is at the other end of the connection. A request extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The address of the connection, which may be a proxy's.
    pub address: SocketAddr,
    /// Whether the connection is TLS.
    pub tls: bool,
}

/// Answers requests. Made once for each worker and used on that worker's thread only, so it may hold things that
/// are not shared, such as a pool of connections.
pub trait Handler: 'static {
    /// Answers one request. [`Peer`] and [`crate::RequestId`] are among its extensions.
    fn handle(&self, request: Request<Incoming>) -> impl Future<Output = Response<Body>>;
}

/// An axum router as handler.
#[derive(Clone, Debug)]
pub struct RouterHandler(pub axum::Router);

impl Handler for RouterHandler {
    async fn handle(&self, request: Request<Incoming>) -> Response<Body> {
        // A clone of a router counts a reference; its readiness needs no waiting, its error cannot be.
        match self.0.clone().call(request.map(Body::new)).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}
