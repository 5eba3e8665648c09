//! What answers requests on one worker.

use std::future::Future;

use http::{Request, Response};
use tower::Service as _;

use crate::IncomingBody;

/// The body of every answer.
pub type Body = axum::body::Body;

/// Answers requests. Made once for each worker and used on that worker's thread only, so it may hold things that
/// are not shared, such as a pool of connections.
pub trait Handler: 'static {
    /// Answers one request. [`crate::Peer`] and [`crate::RequestId`] are among its extensions.
    fn handle(&self, request: Request<IncomingBody>) -> impl Future<Output = Response<Body>>;
}

/// An axum router as handler.
#[derive(Clone, Debug)]
pub struct RouterHandler(pub axum::Router);

impl Handler for RouterHandler {
    async fn handle(&self, request: Request<IncomingBody>) -> Response<Body> {
        // A clone of a router counts a reference; its readiness needs no waiting, its error cannot be.
        match self.0.clone().call(request.map(Body::new)).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}
