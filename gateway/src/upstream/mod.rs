//! The way to the product backend: only a [`Permit`](crate::authorize::Permit) goes out, streamed both ways.

pub mod body;
mod breaker;
mod changes;
mod cluster;
pub mod inbound;
pub mod links;
pub mod outbound;
pub mod pool;
pub mod xml_links;

pub use body::{RequestBody, UpstreamBody};
pub use changes::Changes;
pub use cluster::{Cluster, ClusterPools};
pub use pool::{Pool, UpstreamError};
