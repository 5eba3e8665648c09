//! What every listener of ours has in common: workers, TLS, lifecycle, clock, request id, access log, health, metrics, traces.
//!
//! A listener is one socket per worker thread (`SO_REUSEPORT`), each thread with a runtime of its own, so that a
//! request is answered on the thread that accepted it and workers share nothing they need not. [`bind`] first, so
//! that the port is known; then [`Listening::serve`] with something that makes a [`Handler`] for each worker.

mod access_log;
mod admin;
mod client_certificate;
mod clock;
pub mod conditional;
mod handler;
mod health;
mod incoming_body;
mod listener;
mod metrics;
mod peer;
mod periodic;
mod problem;
mod request_id;
mod signals;
mod strict_heads;
mod tls;
mod traces;
mod watched_files;

pub use access_log::{AccessNote, NoteWanted};
pub use admin::admin_router;
pub use client_certificate::{ClientCertificate, ClientCertificates};
pub use clock::Clock;
pub use handler::{Body, Handler, RouterHandler};
pub use health::{Health, PartHealth};
pub use incoming_body::{BodyFault, IncomingBody};
pub use listener::{Listening, ServeOptions, Serving, bind};
pub use metrics::{MetricsHandle, install_metrics};
pub use peer::{Peer, Proxies, ToldBy};
pub use periodic::periodically;
pub use request_id::{HEADER as REQUEST_ID_HEADER, RequestId};
pub use signals::{hang_ups, termination};
pub use tls::{Certificate, TlsError, certificates, certified, valid_until};
pub use traces::{QuestionSpan, RequestSpan, Traces, TracesError, TracesOptions};
pub use watched_files::WatchedFiles;
