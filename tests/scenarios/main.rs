//! The house as its users meet it: the shipped program, real sockets, real databases.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "what could not be checked is said aloud")]

mod crash;
mod every_route_is_guarded;
mod fidelity;
mod first_call;
mod hidden_is_absent;
mod key_rollover;
mod portal_in_a_browser;
mod program;
mod real_products;
mod revocation;
mod third_party_clients;
