//! The backend over HTTP, in process: what each class of callers is answered.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on panics, and says what it did not check"
)]

mod catalogue;
mod context;
mod explain;
mod harness;
mod history;
mod memory;
mod metadata;
mod reads;
mod routes;
mod search;
mod shapes;
mod shared_products;
mod visibility;
