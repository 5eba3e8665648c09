//! Every function of the store, on SQLite and on PostgreSQL where a server is given.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on panics, and says what it did not check"
)]

mod comparison;
mod crash;
mod feed;
mod import;
mod mentions;
mod merges;
mod outlines;
mod plain;
mod sample;
mod search;
mod tools;
mod versions;
