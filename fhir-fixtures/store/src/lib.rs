//! Products with all their versions, and the search index, in SQL.
//!
//! The unit is the product: one MedicinalProductDefinition and everything linked to it. Whatever changes a product
//! writes versions, members, owners, gates and search values in one transaction, gives the product a new revision and
//! a new place in the order of changes; servers follow that order ([`changes_after`]) and forget what they keep.
//!
//! Who may know of a product is decided by [`fhir_model::access::gate`] when the product is written, for every class of
//! callers, and kept as bits beside it; searches and look-ups read the bits in SQL, so that what is hidden is never
//! counted and never skipped over.

mod audience;
mod compartment;
mod derived;
mod error;
pub mod export;
pub mod import;
mod index;
pub mod locations;
pub mod merges;
mod products;
mod resources;
mod schema;
pub mod search;
mod statement;
pub mod verify;

pub use audience::Audience;
pub use error::StoreError;
pub use index::ensure_current;
pub use products::{
    ProductChange, ProductHead, StoreStatus, StoredProduct, StoredRoot, changes_after, find, find_head,
    find_heads, find_roots, find_whole, ids_by_steps, known_to, last_id_between, latest_change, status,
};
pub use resources::{StoredResource, current_bodies, find_version, find_versions, instant_text, versions};
pub use schema::{COMPONENT, MIGRATIONS, migrate, migration_status};
