//! The model over its public edge, on real, on made-up and on random products.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests are tests")]

mod access;
mod conversion;
mod differences;
mod matrix;
mod merge;
mod outline;
mod properties;
mod rendering;
mod sample;
mod search;
mod shared;
mod validation;
mod xml;
