//! The way to the product backend: only a [`Permit`](crate::authorize::Permit) goes out, streamed both ways.

mod address;
pub mod body;
mod breaker;
mod changes;
mod channel;
mod cluster;
mod connector;
pub mod inbound;
pub mod links;
pub mod outbound;
pub mod pool;
pub mod tls;
mod ways;
pub mod xml_links;

pub use address::Address;
pub use body::{RequestBody, UpstreamBody};
pub use changes::Changes;
pub use cluster::{Cluster, ClusterPools};
pub use connector::Connector;
pub use pool::{Pool, UpstreamError};
pub use tls::UpstreamTls;
pub use ways::{UnfitWay, Ways};
