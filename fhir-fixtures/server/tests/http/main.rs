//! The backend over HTTP, in process: what each class of callers is answered.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on panics, and says what it did not check"
)]

mod access_rows;
mod catalogue;
mod changes;
mod conditions;
mod context;
mod explain;
mod formats;
mod forms;
mod harness;
mod history;
mod includes;
mod memory;
mod merge;
mod merge_links;
mod merge_rules;
mod metadata;
mod other_products;
mod outlines;
mod random_views;
mod reads;
mod routes;
mod search;
mod shapes;
mod shared_products;
mod side_channels;
mod specimen;
mod visibility;
