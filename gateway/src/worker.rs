//! One worker's gateway: takes each request to the desk of the plan in force.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_service::{Handler, IncomingBody};
use tokio::sync::watch;

use crate::{pipeline::Desk, plan::Plan, state::Gateway, upstream::body::BoxError};

/// The shared parts, and connections of its own. Lives on one thread.
#[derive(Debug)]
pub struct GatewayWorker {
    plans: RefCell<watch::Receiver<Arc<Plan>>>,
    desk: RefCell<Rc<Desk>>,
}

impl GatewayWorker {
    /// A worker without connections yet.
    pub(crate) fn new(gateway: Arc<Gateway>, mut plans: watch::Receiver<Arc<Plan>>) -> Self {
        let plan = Arc::clone(&plans.borrow_and_update());
        Self { plans: RefCell::new(plans), desk: RefCell::new(Rc::new(Desk::new(gateway, plan, None))) }
    }

    /// Answers a request: with the upstream's answer, or with a refusal.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.desk().handle(request).await
    }

    /// Whether a raw path is the gateway's to answer, were it only with a refusal.
    pub fn owns(&self, path: &str) -> bool {
        self.desk().owns(path)
    }

    /// The desk of the plan in force; who holds it keeps its plan. Costs one atomic load while no plan follows.
    fn desk(&self) -> Rc<Desk> {
        let mut plans = self.plans.borrow_mut();
        // Err: the gateway is gone, and no other plan will come.
        if plans.has_changed().unwrap_or(false) {
            let plan = Arc::clone(&plans.borrow_and_update());
            let next = self.desk.borrow().moved_to(plan);
            self.desk.replace(Rc::new(next));
        }
        Rc::clone(&self.desk.borrow())
    }
}

impl Handler for GatewayWorker {
    fn handle(&self, request: Request<IncomingBody>) -> impl Future<Output = Response<Body>> {
        self.handle(request)
    }
}
