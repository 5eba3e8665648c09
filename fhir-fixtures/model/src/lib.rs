//! Medicinal products as FHIR trees: schema, 4.4.0 rendering, access levels, search values; pure.
//!
//! Everything inside works on the FHIR 5.0.0 JSON form; [`render`] leaves it for 4.4.0, [`convert`] comes back from
//! it. Nothing here reads a clock, a file or a socket.

pub mod access;
pub mod convert;
pub mod demo;
pub mod facts;
pub mod gather;
pub mod generate;
pub mod json;
pub mod link_parameters;
pub mod links;
pub mod merge;
mod path;
mod product;
pub mod render;
mod resource_type;
pub mod schema;
pub mod search;
pub mod terms;
mod tree;
pub mod xml;

pub use product::{Product, ResourceKey, UnreadableKey, resource_key, resource_type};
pub use resource_type::{ResourceType, UnknownResourceType};
