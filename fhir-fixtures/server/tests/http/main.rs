//! The backend over HTTP, in process: what each class of callers is answered.

mod catalogue;
mod context;
mod harness;
mod history;
mod metadata;
mod reads;
mod routes;
mod search;
mod shared_products;
mod visibility;
