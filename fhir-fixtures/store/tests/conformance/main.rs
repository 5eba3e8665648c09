//! Every function of the store, on SQLite and on PostgreSQL where a server is given.

mod crash;
mod feed;
mod import;
mod sample;
mod search;
mod versions;
